//! The addresses of VMs, as reported by their guest agents.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::pve::types::{Guest, Node, Vmid};
use crate::pve::{self, Address, Addresses, AgentError, Pve, Reason, Report, VmConfig, addresses};
use crate::say::hint::hint_for;
use crate::settings::ip_from::{IpFrom, choose};

/// How many agents are asked at once: one that does not answer takes 3 s.
const CONCURRENCY: usize = 8;

/// The addresses that could be read.
#[derive(Default)]
pub struct Found {
    /// Those of the running VMs that have an agent.
    pub known: BTreeMap<Vmid, Addresses>,
    /// For VMs whose agents may be running: why the addresses are unknown, and what to do.
    pub failed: BTreeMap<Vmid, String>,
}

/// Asks the agents of all running VMs that have one. Chooses with `--ip-from` among the addresses that are
/// reported now; does not wait for others.
pub fn find_addresses(pve: &Pve, vms: &[&Guest], from: &[IpFrom]) -> Found {
    let is_running = |vm: &&Guest| vm.status == "running";
    let running: Vec<&Guest> = vms.iter().copied().filter(is_running).collect();
    let next = AtomicUsize::new(0);
    let found = Mutex::new(Found::default());
    thread::scope(|scope| {
        for _ in 0..CONCURRENCY.min(running.len()) {
            let pve = pve.duplicate();
            let (next, found, running) = (&next, &found, &running);
            scope.spawn(move || {
                while let Some(vm) = running.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let addresses = addresses_of(&pve, vm, from);
                    let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
                    match addresses {
                        Ok(addresses) => found.known.extend([(vm.vmid, addresses)]),
                        Err(why) => found.failed.extend([(vm.vmid, why)]),
                    }
                }
            });
        }
    });
    found.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Empty if the VM has no agent, or its agent is not running or reports no address.
fn addresses_of(pve: &Pve, vm: &Guest, from: &[IpFrom]) -> Result<Addresses, String> {
    let failed = |error: pve::Error| match hint_for(&error) {
        Some(hint) => format!("{error}; {hint}"),
        None => error.to_string(),
    };
    let config = pve.vm_config(&vm.node, vm.vmid).map_err(failed)?;
    let Some(config) = config else {
        return Ok(Addresses::default());
    };
    match ask_agent(pve, &vm.node, vm.vmid, &config, from).map_err(failed)? {
        AgentAnswer::Addresses(addresses) => Ok(addresses),
        AgentAnswer::Refused(error) => Err(format!(
            "guest agent error: {}; {}",
            error.message,
            hint_for_agent(&error)
        )),
        AgentAnswer::Disabled | AgentAnswer::Unavailable(_) => Ok(Addresses::default()),
    }
}

/// What the guest agent of a VM says about its addresses.
pub enum AgentAnswer {
    /// The addresses, possibly none, and the one that `--ip-from` chooses.
    Addresses(Addresses),
    /// The VM's configuration does not enable the agent.
    Disabled,
    /// The agent refused to report them.
    Refused(AgentError),
    /// The server could not ask the agent, for this reason.
    Unavailable(String),
}

/// Asks the guest agent of a VM once, unless its configuration does not enable the agent. An agent that is
/// not running takes 3 s.
pub fn ask_agent(
    pve: &Pve,
    node: &Node,
    vmid: Vmid,
    config: &VmConfig,
    from: &[IpFrom],
) -> Result<AgentAnswer, pve::Error> {
    if !config.has_agent() {
        return Ok(AgentAnswer::Disabled);
    }
    Ok(match pve.interfaces(node, vmid)? {
        Report::Interfaces(interfaces) => {
            let cards = config.cards();
            let ips = addresses(&interfaces, &cards);
            let chosen = choose(from, &cards, &ips);
            let ip = chosen.map(|(_, address)| address.ip);
            AgentAnswer::Addresses(Addresses { ip, ips })
        }
        Report::Refused(error) => AgentAnswer::Refused(error),
        Report::Unavailable(message) => AgentAnswer::Unavailable(message),
    })
}

/// `10.0.0.5 (net0), 172.17.0.1 (docker0)`
pub fn listed(ips: &[Address]) -> String {
    const MAX_LISTED: usize = 8;

    let each = ips.iter().take(MAX_LISTED).map(|ip| {
        let place = ip.card.as_ref().or(ip.interface.as_ref());
        let place = place.map_or_else(String::new, |place| format!(" ({place})"));
        format!("{}{place}", ip.ip)
    });
    let more = match ips.len().saturating_sub(MAX_LISTED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{}{more}", each.collect::<Vec<_>>().join(", "))
}

/// What to do about an error of a guest agent.
pub fn hint_for_agent(error: &AgentError) -> &'static str {
    match error.reason {
        Reason::Disabled => {
            "in the guest, allow guest-network-get-interfaces (block-rpcs or allow-rpcs in \
             /etc/qemu/qemu-ga.conf, or the options in /etc/sysconfig/qemu-ga) and restart \
             qemu-guest-agent"
        }
        Reason::Unknown => {
            "in the guest, update qemu-guest-agent: this version is too old to report addresses"
        }
        Reason::Frozen => {
            "the guest's file systems are frozen for a backup; try again when it is done"
        }
        Reason::Failed => "see 'journalctl -u qemu-guest-agent' in the guest",
    }
}
