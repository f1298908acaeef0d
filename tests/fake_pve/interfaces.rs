//! The interfaces that the agent in a VM reports.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::nets::Net;
use super::stored_values::switch;

/// The agent of a VM, as written in stories.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct AgentSetup {
    /// The number of requests that find it not running yet.
    pub(crate) polls: u32,
    /// How long an answer takes; the real server waits 3 s for an agent that does not run.
    pub(crate) delay_ms: u64,
    /// If absent, it reports `usual_interfaces`.
    pub(crate) interfaces: Option<Interfaces>,
    /// It runs and refuses the command, which is disabled or too new for it.
    pub(crate) error: Option<AgentError>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AgentError {
    class: String,
    desc: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Interfaces {
    Always(Vec<Map<String, Value>>),
    /// One list per request; the last one for all that follow.
    InTurn(Vec<Vec<Map<String, Value>>>),
}

impl AgentSetup {
    pub(super) fn delay(&self) -> Duration {
        Duration::from_millis(self.delay_ms)
    }

    /// The answer to the request with this number, counting those before it was running.
    pub(super) fn answer(&self, poll: u32, usual: impl FnOnce() -> Value) -> Option<Value> {
        let poll = poll.checked_sub(self.polls)?;
        if let Some(error) = &self.error {
            return Some(json!({"error": error}));
        }
        Some(match &self.interfaces {
            None => usual(),
            Some(Interfaces::Always(interfaces)) => json!(interfaces),
            Some(Interfaces::InTurn(lists)) => {
                let last = lists.len().checked_sub(1).expect("at least one list");
                json!(lists[last.min(poll as usize)])
            }
        })
    }
}

/// Without the option there is no agent, whatever runs in the VM. One that is set but not enabled does not
/// answer either.
pub(super) fn is_agent_enabled(config: &Map<String, Value>) -> bool {
    let agent = match config.get("agent") {
        Some(Value::String(agent)) => agent.clone(),
        Some(Value::Number(agent)) => agent.to_string(),
        _ => return false,
    };
    let mut settings = agent.split(',');
    settings.any(|setting| {
        let enabled = setting.strip_prefix("enabled=").unwrap_or(setting);
        switch(enabled) == Some("1")
    })
}

/// Loopback, an `ethN` for each `netN`, and a bridge of the guest's own. The address is the one from
/// cloud-init, otherwise derived from the VMID: 101 has 10.0.0.5 in its first network and 10.1.0.5 in its
/// second one, and 352 has 10.0.1.0.
pub(super) fn usual_interfaces(vmid: u32, config: &Map<String, Value>) -> Value {
    let mut interfaces = vec![json!({
        "name": "lo",
        "hardware-address": "00:00:00:00:00:00",
        "ip-addresses": [address("127.0.0.1/8"), address("::1/128")],
    })];
    for number in 0..32 {
        let net = config.get(&format!("net{number}")).and_then(Value::as_str);
        let Some(mac) = net.and_then(|net| Net::parse(net).mac) else {
            continue;
        };
        let ipconfig = config.get(&format!("ipconfig{number}"));
        let ipconfig = ipconfig.and_then(Value::as_str).unwrap_or_default();
        let mut given = ipconfig
            .split(',')
            .filter_map(|part| part.strip_prefix("ip="));
        let given = given.next().filter(|ip| *ip != "dhcp").map(str::to_owned);
        let [.., high, low] = (vmid.wrapping_sub(96)).to_be_bytes();
        let ip = given.unwrap_or_else(|| format!("10.{number}.{high}.{low}/24"));
        interfaces.push(json!({
            "name": format!("eth{number}"),
            "hardware-address": mac.to_lowercase(),
            "ip-addresses": [address(&format!("{}/64", link_local(&mac))), address(&ip)],
        }));
    }
    interfaces.push(json!({
        "name": "docker0",
        "hardware-address": "02:42:8d:1c:5a:11",
        "ip-addresses": [address("172.17.0.1/16")],
    }));
    json!(interfaces)
}

fn address(cidr: &str) -> Value {
    let (address, prefix) = cidr.split_once('/').unwrap_or((cidr, "32"));
    let kind = if address.contains(':') {
        "ipv6"
    } else {
        "ipv4"
    };
    json!({
        "ip-address": address,
        "ip-address-type": kind,
        "prefix": prefix.parse::<u8>().unwrap_or_default(),
    })
}

/// The link-local address of a MAC.
fn link_local(mac: &str) -> String {
    let bytes = mac
        .split(':')
        .map(|byte| u8::from_str_radix(byte, 16).unwrap_or_default());
    let mut bytes: Vec<u8> = bytes.collect();
    bytes[0] ^= 2;
    bytes.splice(3..3, [0xff, 0xfe]);
    let groups = bytes.chunks(2).map(|pair| {
        let high = u16::from(pair[0]) << 8;
        format!("{:x}", high | u16::from(pair[1]))
    });
    format!("fe80::{}", groups.collect::<Vec<_>>().join(":"))
}
