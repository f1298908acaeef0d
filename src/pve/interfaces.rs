//! A guest's network interfaces as its agent reports them, and the VM's network card that each address
//! belongs to.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::pve::property::value_of;

/// A guest agent's report of the guest's interfaces. The guest's owner controls the agent, so a report may
/// be wrong or malformed.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(from = "Value")]
pub enum Report {
    /// The list that the agent returned.
    Interfaces(Vec<Interface>),
    /// The agent answered with an error.
    Refused(AgentError),
    /// The server could not ask the agent, for this reason: the VM or the agent is not running.
    Unavailable(String),
}

/// A network interface inside a guest.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Interface {
    /// The guest's name for it.
    pub name: Option<String>,
    /// The MAC address in lower case; absent for interfaces that have none.
    pub mac: Option<String>,
    /// In the order in which the guest lists them.
    pub addresses: Vec<IpAddr>,
}

/// An error that a guest agent returned.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AgentError {
    /// Its category.
    pub reason: Reason,
    /// The agent's message.
    pub message: String,
}

/// Why a guest agent refused a command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reason {
    /// The agent's configuration disables the command.
    Disabled,
    /// The agent does not know the command.
    Unknown,
    /// The guest's file systems are frozen for a backup, which disables most commands meanwhile.
    Frozen,
    /// The command failed.
    Failed,
}

impl From<Value> for Report {
    fn from(result: Value) -> Report {
        match (&result["error"], result.as_array()) {
            (Value::Null, list) => {
                Report::Interfaces(list.into_iter().flatten().map(Interface::from).collect())
            }
            (error, _) => Report::Refused(AgentError::from(error)),
        }
    }
}

impl From<&Value> for Interface {
    fn from(entry: &Value) -> Interface {
        // Indexing a value that is not an object, or lacks the key, gives null.
        let addresses = entry["ip-addresses"].as_array().into_iter().flatten();
        let address = |address: &Value| address["ip-address"].as_str()?.parse().ok();
        Interface {
            name: entry["name"].as_str().map(str::to_owned),
            mac: entry["hardware-address"]
                .as_str()
                .map(str::to_ascii_lowercase),
            addresses: addresses.filter_map(address).collect(),
        }
    }
}

impl From<&Value> for AgentError {
    fn from(error: &Value) -> AgentError {
        const MAX_MESSAGE_CHARS: usize = 300;

        let message = error["desc"].as_str().map(str::trim);
        let message = message.map_or_else(|| error.to_string(), str::to_owned);
        let reason = if message.contains("frozen") {
            Reason::Frozen
        } else if message.contains("disabled") || message.contains("not allowed") {
            Reason::Disabled
        } else if error["class"] == "CommandNotFound" {
            Reason::Unknown
        } else {
            Reason::Failed
        };
        let message = message.chars().take(MAX_MESSAGE_CHARS).collect();
        AgentError { reason, message }
    }
}

/// A network card of a VM.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Card {
    /// Its key: `net0`.
    pub key: String,
    /// Its MAC address, in lower case.
    pub mac: String,
    /// What cloud-init configures for it; empty if nothing.
    pub ipconfig: String,
}

impl Card {
    /// The static address that cloud-init configures; `None` if it is dynamic. Without a family: IPv4, or
    /// IPv6 if only IPv6 is configured.
    pub fn static_address(&self, family: Option<Family>) -> Option<IpAddr> {
        let key = match family {
            Some(Family::V4) => "ip",
            None if value_of(&self.ipconfig, "ip").is_some() => "ip",
            Some(Family::V6) | None => "ip6",
        };
        // `10.0.0.5/24`, `dhcp`, `auto`
        let cidr = value_of(&self.ipconfig, key)?;
        cidr.split('/').next()?.parse().ok()
    }
}

/// IPv4 or IPv6.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The family of an address.
    pub fn of(address: IpAddr) -> Family {
        if address.is_ipv4() {
            Family::V4
        } else {
            Family::V6
        }
    }
}

/// An address of a guest that other machines may be able to reach.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Address {
    /// The VM's network card that has it: `net0`; absent if the interface exists only inside the guest,
    /// like a container bridge or a tunnel.
    pub card: Option<String>,
    /// The address.
    #[serde(rename = "address")]
    pub ip: IpAddr,
    /// The guest's name for the interface.
    pub interface: Option<String>,
}

/// The addresses of a guest.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Addresses {
    /// The one to use, if there is one.
    pub ip: Option<IpAddr>,
    /// All of them.
    pub ips: Vec<Address>,
}

/// The addresses that other machines may be able to reach, ordered by card, IPv4 before IPv6. Addresses that
/// belong to no card come last.
pub fn addresses(interfaces: &[Interface], cards: &[Card]) -> Vec<Address> {
    let place = |interface: &Interface| {
        let mut macs = cards.iter().map(|card| Some(&card.mac));
        macs.position(|mac| mac == interface.mac.as_ref())
    };
    let mut placed: Vec<(usize, Address)> = Vec::new();
    for interface in interfaces {
        let place = place(interface);
        let usable = interface.addresses.iter().copied().filter(is_reachable);
        placed.extend(usable.map(|ip| {
            let address = Address {
                card: place.map(|place| cards[place].key.clone()),
                ip,
                interface: interface.name.clone(),
            };
            (place.unwrap_or(cards.len()), address)
        }));
    }
    placed.sort_by_key(|(place, address)| (*place, Family::of(address.ip)));
    placed.into_iter().map(|(_, address)| address).collect()
}

fn is_reachable(address: &IpAddr) -> bool {
    let is_link_local = match address {
        IpAddr::V4(address) => address.is_link_local() || address.is_broadcast(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    !is_link_local && !address.is_loopback() && !address.is_unspecified() && !address.is_multicast()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    const FIRST: &str = "bc:24:11:00:00:65";
    const SECOND: &str = "bc:24:11:00:01:65";
    const BRIDGE: &str = "02:42:00:00:00:01";

    fn cards() -> [Card; 2] {
        [("net0", FIRST), ("net1", SECOND)].map(|(key, mac)| Card {
            key: key.to_owned(),
            mac: mac.to_owned(),
            ipconfig: String::new(),
        })
    }

    /// `net0 10.0.0.5`, or only the address if it belongs to no card.
    fn shown(interfaces: &[(&str, &str)]) -> Vec<String> {
        let list = interfaces.iter().map(|(mac, addresses)| {
            let addresses = addresses.split(", ").map(|it| json!({"ip-address": it}));
            let addresses: Vec<Value> = addresses.collect();
            json!({"hardware-address": mac, "ip-addresses": addresses})
        });
        let Report::Interfaces(interfaces) = Report::from(list.collect::<Value>()) else {
            panic!("not a list");
        };
        let found = addresses(&interfaces, &cards()).into_iter();
        let shown = found.map(|it| match it.card {
            Some(card) => format!("{card} {}", it.ip),
            None => it.ip.to_string(),
        });
        shown.collect()
    }

    #[rstest]
    #[case::address_of_a_card(&[(FIRST, "10.0.0.5")], &["net0 10.0.0.5"])]
    #[case::several_addresses(&[(FIRST, "10.0.0.5, 10.0.0.6")], &["net0 10.0.0.5", "net0 10.0.0.6"])]
    #[case::upper_case(&[("BC:24:11:00:00:65", "10.0.0.5")], &["net0 10.0.0.5"])]
    #[case::loopback_is_left_out(&[(FIRST, "127.0.0.1, ::1, 10.0.0.5")], &["net0 10.0.0.5"])]
    #[case::link_local_is_left_out(&[(FIRST, "169.254.1.1, fe80::1")], &[])]
    #[case::ipv4_before_ipv6(
        &[(FIRST, "2001:db8::5, 10.0.0.5")],
        &["net0 10.0.0.5", "net0 2001:db8::5"]
    )]
    #[case::the_first_card_first(
        &[(SECOND, "10.1.0.5"), (FIRST, "2001:db8::5")],
        &["net0 2001:db8::5", "net1 10.1.0.5"]
    )]
    // A bridge over a card, or a VLAN on it, has the card's MAC address.
    #[case::two_interfaces_on_one_card(
        &[(FIRST, "10.0.0.5"), (FIRST, "10.2.0.5")],
        &["net0 10.0.0.5", "net0 10.2.0.5"]
    )]
    #[case::a_bridge_inside_the_guest_is_not_a_card(
        &[(BRIDGE, "172.17.0.1"), ("", "10.8.0.1"), (FIRST, "10.0.0.5")],
        &["net0 10.0.0.5", "172.17.0.1", "10.8.0.1"]
    )]
    #[case::no_usable_address(&[(FIRST, "0.0.0.0, 224.0.0.1, 255.255.255.255, ::")], &[])]
    #[case::none(&[], &[])]
    fn each_usable_address_is_listed_with_its_card(
        #[case] interfaces: &[(&str, &str)],
        #[case] expected: &[&str],
    ) {
        assert_eq!(shown(interfaces), expected);
    }

    #[rstest]
    #[case::ipv4("ip=10.0.0.5/24,gw=10.0.0.1", [Some("10.0.0.5"), Some("10.0.0.5"), None])]
    #[case::both(
        "gw6=fe80::1,ip6=2001:db8::5/64,ip=10.0.0.5/24",
        [Some("10.0.0.5"), Some("10.0.0.5"), Some("2001:db8::5")]
    )]
    #[case::only_ipv6("ip6=2001:db8::5/64", [Some("2001:db8::5"), None, Some("2001:db8::5")])]
    #[case::ipv6_beside_dhcp("ip=dhcp,ip6=2001:db8::5/64", [None, None, Some("2001:db8::5")])]
    #[case::dynamic("ip=dhcp,ip6=auto", [None, None, None])]
    #[case::none("", [None, None, None])]
    fn a_static_address_is_known_from_the_configuration(
        #[case] ipconfig: &str,
        #[case] expected: [Option<&str>; 3],
    ) {
        let card = Card {
            ipconfig: ipconfig.to_owned(),
            ..cards()[0].clone()
        };
        let families = [None, Some(Family::V4), Some(Family::V6)];
        let known = families.map(|family| card.static_address(family).map(|it| it.to_string()));
        assert_eq!(known.each_ref().map(Option::as_deref), expected);
    }

    #[test]
    fn invalid_parts_of_the_agents_report_are_ignored() {
        let report = Report::from(json!([
            {"name": "lo", "hardware-address": "00:00:00:00:00:00", "ip-addresses": [
                {"ip-address": "127.0.0.1", "ip-address-type": "ipv4", "prefix": 8}]},
            {"name": "eth0", "hardware-address": "BC:24:11:00:00:65", "ip-addresses": [
                {"ip-address": 7}, {"ip-address": "x"}, {"ip-address": "10.0.0.5"}]},
            {"name": "sit0"},
            7
        ]));
        let Report::Interfaces(interfaces) = report else {
            panic!("no list");
        };
        let seen: Vec<(Option<&str>, Option<&str>, usize)> = interfaces
            .iter()
            .map(|it| (it.name.as_deref(), it.mac.as_deref(), it.addresses.len()))
            .collect();
        assert_eq!(
            seen,
            [
                (Some("lo"), Some("00:00:00:00:00:00"), 1),
                (Some("eth0"), Some(FIRST), 1),
                (Some("sit0"), None, 0),
                (None, None, 0)
            ]
        );
    }

    #[rstest]
    #[case::disabled(
        json!({"class": "CommandNotFound", "desc": "Command x has been disabled"}),
        Reason::Disabled,
        "Command x has been disabled"
    )]
    #[case::not_allowed(
        json!({"class": "GenericError", "desc": "the command is not allowed"}),
        Reason::Disabled,
        "the command is not allowed"
    )]
    #[case::disabled_with_another_class(
        json!({"class": "GenericError", "desc": "Command x has been disabled: the command is not allowed"}),
        Reason::Disabled,
        "Command x has been disabled: the command is not allowed"
    )]
    #[case::disabled_while_frozen(
        json!({"class": "CommandNotFound", "desc": "Command x has been disabled: the agent is in frozen state"}),
        Reason::Frozen,
        "Command x has been disabled: the agent is in frozen state"
    )]
    #[case::unknown_to_an_old_agent(
        json!({"class": "CommandNotFound", "desc": "The command x has not been found"}),
        Reason::Unknown,
        "The command x has not been found"
    )]
    #[case::other_error(
        json!({"class": "GenericError", "desc": "failed to get MAC address of ens18: No such device\n"}),
        Reason::Failed,
        "failed to get MAC address of ens18: No such device"
    )]
    #[case::not_an_object(json!("no"), Reason::Failed, "\"no\"")]
    #[case::without_a_message(json!({"code": 7}), Reason::Failed, "{\"code\":7}")]
    fn an_agents_error_is_classified_and_its_message_kept(
        #[case] error: Value,
        #[case] reason: Reason,
        #[case] message: &str,
    ) {
        let message = message.to_owned();
        let expected = Report::Refused(AgentError { reason, message });
        assert_eq!(Report::from(json!({"error": error})), expected);
    }
}
