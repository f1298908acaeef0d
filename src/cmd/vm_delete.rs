//! `vm delete`
//!
//! - The ledger of each name is locked first, so that no run on this host creates the VM meanwhile.
//! - At a terminal the name has to be typed; elsewhere `--yes` is needed.
//! - After a failure the VM is looked up once more: the message says whether it still exists.

use std::collections::BTreeMap;
use std::io::{self, BufRead, IsTerminal};
use std::path::PathBuf;

use serde::Serialize;

use super::change::{self, Target, Targets, carry_out, existing};
use super::{Outcome, Session, Success, raw};
use crate::cli::VmDelete;
use crate::guests::named;
use crate::guests::owner::VmidState;
use crate::ledger::{Event, Intent, Ledger, Lock, Record, remove_unused};
use crate::pve::types::{Node, VmName, Vmid};
use crate::say::failure::{Failure, Kind, chain};
use crate::say::stage::{Step, process_name};
use crate::say::vm::{Existing, Vm};
use crate::steps::delete::Delete;
use crate::steps::side_by_side::{Finished, Steps};
use crate::ui::progress::{say, warn};
use crate::wait::server::Server;
use crate::wait::{GaveUp, Poll};

/// Deletes VMs with their disks.
pub fn run(session: &Session, arguments: &VmDelete) -> Result<Success, Failure> {
    session.check_output_options()?;
    let targets = Targets {
        vm: &arguments.vm,
        more: &arguments.more,
        vmid: arguments.vmid,
        ignore_offline: arguments.ignore_offline,
        timeout: arguments.timeout,
        poll_interval: arguments.poll_interval,
    };
    if targets.vmid.is_some() && targets.is_several() {
        let message = "--vmid is for one VM, but several are named";
        let hint = "name one VM, or omit --vmid";
        return Err(Failure::new(Kind::Usage, message).with_hint(hint.to_owned()));
    }
    if !arguments.yes && !io::stdin().is_terminal() {
        let message = "nothing is deleted without a confirmation, and stdin is not a terminal";
        let hint = "to delete without a confirmation: --yes";
        return Err(Failure::new(Kind::Usage, message).with_hint(hint.to_owned()));
    }
    let access = session.configuration()?.access;
    let hosts = access
        .endpoints
        .iter()
        .map(|endpoint| endpoint.host.to_string());
    let mut ledgers = Ledgers::new(hosts.collect());
    let (directory, words) = (ledgers.directory.clone(), targets.words());
    let names: Vec<VmName> = words.filter_map(|word| word.parse().ok()).collect();
    session.handle_signals(move || {
        for (directory, name) in directory.iter().zip(&names) {
            remove_unused(directory, name);
        }
    });
    // Before the list is read, so that it shows the last change of every other run. That of a VMID is locked
    // once its name is known.
    for word in targets.words() {
        // A name that another run has locked fails below, alone.
        let _ = ledgers.lock(word);
    }
    let pve = session.client(&access, Some(targets.timeout.0));
    let pve = pve.map_err(|error| Failure::of_request(&error))?;
    let server = Server {
        pve: &pve,
        budget: session.budget(targets.timeout, targets.poll_interval),
        progress: session.progress(),
    };
    let mut all = Vec::new();
    for (word, found) in targets.words().zip(change::find(server, &targets)?) {
        all.push(match found {
            Ok(vm) => match ledgers.lock(VmName::of_guest(&vm.guest).as_str()) {
                Ok(()) => Target::Vm(existing(&vm)),
                Err(failure) => Target::Settled(Err(failure)),
            },
            Err(named::Error::Absent { .. }) if arguments.if_exists => {
                Target::Settled(ledgers.confirm_absent(server, word))
            }
            Err(error) => Target::Settled(Err(error.failure())),
        });
    }
    if !arguments.yes {
        confirm(&all)?;
    }
    let steps = || -> Steps {
        let delete = Delete::new(arguments.stop, arguments.keep_jobs);
        [(Step::Delete, Box::new(delete) as _)].into()
    };
    let results = carry_out(server, all, steps, |found, finished| {
        let Finished { existing, changed } =
            finished.or_else(|failure| after_failure(server, found, failure))?;
        ledgers.forget(existing.vm.name.as_str(), existing.vm.vmid);
        Ok(outcome(existing, changed))
    });
    drop(ledgers);
    session.results(targets.is_several(), results)
}

/// At a terminal: the name of each VM has to be typed.
fn confirm(all: &[Target]) -> Result<(), Failure> {
    let mut lines = io::stdin().lock().lines();
    for target in all {
        let Target::Vm(Existing { vm, .. }) = target else {
            continue;
        };
        say(&format!(
            "This deletes {vm} and all its disks. To confirm, type its name:"
        ));
        let typed = lines.next().and_then(Result::ok).unwrap_or_default();
        if typed.trim() != vm.name.as_str() {
            let message = "what was typed is not the VM's name, so nothing was deleted";
            return Err(Failure::new(Kind::Failed, message));
        }
    }
    Ok(())
}

/// After a failed task: a success if the VM is gone, and otherwise the failure says that it still exists.
fn after_failure(server: Server, found: &Existing, failure: Failure) -> Result<Finished, Failure> {
    if failure.kind != Kind::TaskFailed {
        return Err(failure);
    }
    match server.ask(|pve| VmidState::of(pve, &found.vm, None)) {
        Ok(VmidState::Free | VmidState::Another(_)) => Ok(Finished {
            existing: found.clone(),
            changed: true,
        }),
        Ok(VmidState::Ours(..)) => Err(Failure {
            message: format!("{}; the VM still exists", failure.message),
            ..failure
        }),
        _ => Err(failure),
    }
}

#[derive(Serialize)]
struct Document<'e> {
    vmid: Option<Vmid>,
    name: Option<&'e str>,
    node: Option<&'e Node>,
    /// Whether this command deleted it.
    deleted: bool,
    warnings: &'e [String],
}

fn outcome(existing: Existing, deleted: bool) -> Outcome {
    let Vm { vmid, name, node } = &existing.vm;
    let label = existing.vm.label();
    Outcome {
        text: if deleted {
            format!("Deleted {label} from node '{node}'")
        } else {
            format!("{label} on node '{node}' was deleted by somebody else")
        },
        document: raw(&Document {
            vmid: Some(*vmid),
            name: Some(name.as_str()),
            node: Some(node),
            deleted,
            warnings: &existing.warnings,
        }),
        warnings: existing.warnings,
    }
}

/// The ledgers of the names, locked so that no run on this host creates one of the VMs meanwhile.
struct Ledgers {
    /// Absent if there is no state directory. Then nothing is recorded either.
    directory: Option<PathBuf>,
    hosts: Vec<String>,
    locked: BTreeMap<String, Ledger>,
}

impl Ledgers {
    fn new(hosts: Vec<String>) -> Ledgers {
        Ledgers {
            directory: Session::state_directory().ok(),
            hosts,
            locked: BTreeMap::new(),
        }
    }

    /// Locks the ledger of a name, unless it is locked already. A run that creates the VM is an error.
    fn lock(&mut self, name: &str) -> Result<(), Failure> {
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
            Err(error) => {
                warn(&chain(&error));
                self.directory = None;
            }
        }
        Ok(())
    }

    /// Removes the record of a VM that was deleted.
    fn forget(&mut self, name: &str, vmid: Vmid) {
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
    fn confirm_absent(&mut self, server: Server, name: &str) -> Result<Outcome, Failure> {
        self.lock(name)?;
        let record = self.locked.get(name).map(Ledger::record);
        if let Some(intent) = record.and_then(Record::intent).cloned()
            && intent.hosts.iter().any(|host| self.hosts.contains(host))
        {
            let is_undecided = matches!(record, Some(Record::Requested(..)));
            if !is_free_for_long(server, intent.vmid, is_undecided)? {
                let vmid = intent.vmid;
                if is_undecided {
                    let message = format!(
                        "VM '{name}' not found, but an earlier run requested it as VM {vmid}, which may still be \
                         being created"
                    );
                    let hint = "run the same command again once that is done; 'homelab proxmox vm list' shows it";
                    return Err(Failure::new(Kind::InProgress, message).with_hint(hint.to_owned()));
                }
            } else {
                self.forget(name, intent.vmid);
            }
        }
        Ok(Outcome {
            text: format!("VM '{name}' does not exist"),
            document: raw(&Document {
                vmid: name.parse().ok(),
                name: Some(name).filter(|name| name.parse::<Vmid>().is_err()),
                node: None,
                deleted: false,
                warnings: &[],
            }),
            warnings: Vec::new(),
        })
    }
}

/// Whether no guest has this VMID; `is_undecided`, not even after the time in which a request without an answer
/// is usually carried out.
fn is_free_for_long(server: Server, vmid: Vmid, is_undecided: bool) -> Result<bool, Failure> {
    let budget = server.budget;
    let until = budget.clock.elapsed() + budget.restart_time();
    let free = server.poll(true, |pve| {
        Ok(match pve.is_free(vmid)? {
            false => Poll::Done(false),
            true if is_undecided && budget.clock.elapsed() < until => Poll::NotYet,
            true => Poll::Done(true),
        })
    });
    free.or_else(|gave_up| match gave_up {
        GaveUp::TimedOut(None) => Ok(false),
        GaveUp::TimedOut(Some(error)) | GaveUp::Failed(error) => Err(Failure::of_request(&error)),
    })
}
