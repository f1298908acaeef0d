//! The addresses of VMs, as their guest agents report them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::pve::types::{Guest, Vmid};
use crate::pve::{self, Pve, best_address};

/// How many agents are asked at once: one that does not answer takes 3 s.
const AT_ONCE: usize = 8;

/// The addresses that could be found.
#[derive(Default)]
pub struct Addresses {
    /// The VMs whose addresses are known.
    pub known: BTreeMap<Vmid, IpAddr>,
    /// Why the addresses of others are unknown although their agents may be running.
    pub failed: BTreeMap<Vmid, pve::Error>,
}

/// Asks the agents of the VMs that are running and have one.
pub fn addresses(pve: &Pve, vms: &[&Guest]) -> Addresses {
    let is_running = |vm: &&Guest| vm.status == "running";
    let running: Vec<&Guest> = vms.iter().copied().filter(is_running).collect();
    let next = AtomicUsize::new(0);
    let found = Mutex::new(Addresses::default());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE.min(running.len()) {
            let pve = pve.another();
            let (next, found, running) = (&next, &found, &running);
            scope.spawn(move || {
                while let Some(vm) = running.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let address = address_of(&pve, vm);
                    let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
                    match address {
                        Ok(address) => found.known.extend(address.map(|it| (vm.vmid, it))),
                        Err(error) => found.failed.extend([(vm.vmid, error)]),
                    }
                }
            });
        }
    });
    found.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// `None` if the VM has no agent, or its agent is not running or reports no address.
fn address_of(pve: &Pve, vm: &Guest) -> Result<Option<IpAddr>, pve::Error> {
    let config = pve.vm_config(&vm.node, vm.vmid)?;
    let Some(config) = config.filter(pve::VmConfig::has_agent) else {
        return Ok(None);
    };
    match pve.interfaces(&vm.node, vm.vmid) {
        Ok(interfaces) => Ok(best_address(&interfaces, &config.macs())),
        Err(pve::Error::Refused { status: 500, .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
