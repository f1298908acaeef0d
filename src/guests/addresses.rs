//! The addresses of VMs, as their guest agents tell them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::pve::types::{Guest, Vmid};
use crate::pve::{self, Pve, best_address};

/// An agent that does not answer costs 3 s; so many are asked at once.
const AT_ONCE: usize = 8;

/// What could be found out.
#[derive(Default)]
pub struct Addresses {
    /// The VMs whose addresses are known.
    pub known: BTreeMap<Vmid, IpAddr>,
    /// What kept others from being known, though their agents may be running.
    pub failed: BTreeMap<Vmid, pve::Error>,
}

/// Asks the agents of those VMs that run and have one.
pub fn addresses(pve: &Pve, vms: &[&Guest]) -> Addresses {
    let running: Vec<&Guest> = vms
        .iter()
        .copied()
        .filter(|vm| vm.status == "running")
        .collect();
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
                    found.add(vm.vmid, address);
                }
            });
        }
    });
    found.into_inner().unwrap_or_else(PoisonError::into_inner)
}

impl Addresses {
    fn add(&mut self, vmid: Vmid, address: Result<Option<IpAddr>, pve::Error>) {
        match address {
            Ok(address) => self.known.extend(address.map(|address| (vmid, address))),
            Err(error) => {
                self.failed.insert(vmid, error);
            }
        }
    }
}

/// None if the VM has no agent, or that does not run, or knows of none.
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
