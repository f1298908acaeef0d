//! The ledgers of the names of the VMs that are deleted.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::cmd::Session;
use crate::ledger::{self, Event, Intent, Ledger, Lock, Record};
use crate::pve::types::Vmid;
use crate::say::failure::{Failure, Kind, chain};
use crate::say::grant::how_to_see_vms;
use crate::say::stage::process_name;
use crate::ui::progress::warn;
use crate::wait::server::Server;
use crate::wait::{GaveUp, Poll};

/// The ledgers of the names, locked so that no run on this host creates one of the VMs meanwhile.
pub struct Ledgers {
    /// Absent if there is no state directory. Then nothing is recorded either.
    pub directory: Option<PathBuf>,
    hosts: Vec<String>,
    locked: BTreeMap<String, Ledger>,
}

impl Ledgers {
    /// None is locked yet. `hosts` are the servers of the configuration.
    pub fn new(hosts: Vec<String>) -> Ledgers {
        Ledgers {
            directory: Session::state_directory().ok(),
            hosts,
            locked: BTreeMap::new(),
        }
    }

    /// Locks the ledger of a name, unless it is locked already. A run that creates the VM is an error.
    pub fn lock(&mut self, name: &str) -> Result<(), Failure> {
        let (Some(directory), Ok(vm_name)) = (&self.directory, name.parse()) else {
            return Ok(());
        };
        if self.locked.contains_key(name) {
            return Ok(());
        }
        match Ledger::lock(directory, &vm_name) {
            Ok(Lock::Ours(ledger, _)) => {
                self.locked.insert(name.to_owned(), ledger);
            }
            Ok(Lock::HeldBy(process)) => {
                let process = process_name(process);
                let message = format!("{process} is creating or deleting VM '{name}'");
                let hint = "run the same command again once it has ended";
                return Err(Failure::new(Kind::InProgress, message).with_hint(hint.to_owned()));
            }
            Err(ledger::Error::Damaged { path, source }) => {
                let path = path.display();
                let message = format!("the record of VM '{name}' is damaged: {path}: {source}");
                let hint = "remove that file once no run creates the VM any more";
                return Err(Failure::new(Kind::Failed, message).with_hint(hint.to_owned()));
            }
            Err(error) => {
                warn(&chain(&error));
                self.directory = None;
            }
        }
        Ok(())
    }

    /// Removes the record of a VM that was deleted.
    pub fn forget(&mut self, name: &str, vmid: Vmid) {
        // A list may have shown another name.
        let _ = self.lock(name);
        let Some(ledger) = self.locked.get_mut(name) else {
            return;
        };
        let is_about = |intent: &Intent| {
            let is_of_cluster = intent.hosts.iter().any(|host| self.hosts.contains(host));
            intent.vmid == vmid && is_of_cluster
        };
        if ledger.record().intent().is_none_or(is_about)
            && let Err(error) = ledger.write(Event::Failed(vmid))
        {
            warn(&chain(&error));
        }
    }

    /// No VM has this name. An earlier run may have requested a clone with it that was not carried out yet.
    pub fn confirm_absent(&mut self, server: Server, name: &str) -> Result<(), Failure> {
        self.lock(name)?;
        let record = self.locked.get(name).map(Ledger::record);
        if let Some(intent) = record.and_then(Record::intent).cloned()
            && intent.hosts.iter().any(|host| self.hosts.contains(host))
        {
            let is_undecided = matches!(record, Some(Record::Requested(..)));
            if is_free_for_long(server, intent.vmid, is_undecided)? {
                self.forget(name, intent.vmid);
            } else if is_undecided {
                let message = format!(
                    "VM '{name}' not found, but an earlier run requested VM {}, and the server may still create it",
                    intent.vmid
                );
                let hint = "run the same command again once that is done; 'homelab proxmox vm list' shows it";
                return Err(Failure::new(Kind::InProgress, message).with_hint(hint.to_owned()));
            } else if is_hidden(server, intent.vmid)? {
                let message = format!(
                    "this token cannot see VM {}, which was '{name}'",
                    intent.vmid
                );
                let hint = how_to_see_vms(server.pve.token());
                return Err(Failure::new(Kind::Forbidden, message).with_hint(hint));
            }
        }
        Ok(())
    }
}

/// Whether the token sees no guest with this VMID, which is taken.
fn is_hidden(server: Server, vmid: Vmid) -> Result<bool, Failure> {
    let list = server.ask(|pve| pve.guests(&|guest| guest.vmid == vmid));
    let list = list.map_err(|error| Failure::of_request(&error))?;
    Ok(list.guests.is_empty())
}

/// Whether no guest has this VMID; `is_undecided`, not even after the time in which a request without an answer
/// is usually carried out.
fn is_free_for_long(server: Server, vmid: Vmid, is_undecided: bool) -> Result<bool, Failure> {
    let budget = server.budget;
    let until = budget.clock.elapsed() + budget.restart_time();
    let free = server.poll(true, |pve| {
        let is_free = pve.is_free(vmid)?;
        Ok(
            if is_free && is_undecided && budget.clock.elapsed() < until {
                Poll::NotYet
            } else {
                Poll::Done(is_free)
            },
        )
    });
    free.or_else(|gave_up| match gave_up {
        GaveUp::TimedOut(None) => Ok(false),
        GaveUp::TimedOut(Some(error)) | GaveUp::Failed(error) => Err(Failure::of_request(&error)),
    })
}
