//! `vm delete`
//!
//! - The ledger of each name is locked first, so that no run on this host creates the VM meanwhile.
//! - At a terminal the name has to be typed; elsewhere `--yes` is needed.
//! - After a failure the VM is looked up once more: the message says whether it still exists.

mod ledgers;

use std::io::{self, BufRead, IsTerminal};

use serde::Serialize;

use self::ledgers::Ledgers;
use super::change::{self, Target, carry_out, existing};
use super::{Outcome, Session, Success, raw};
use crate::cli::{Targets, VmDelete};
use crate::guests::named::{self, Named};
use crate::guests::owner::{Expected, VmidState};
use crate::ledger::remove_unused;
use crate::pve::types::{Node, VmName, Vmid};
use crate::say::failure::{Failure, Kind, Started};
use crate::say::stage::Step;
use crate::say::vm::{Existing, NamedBy, Vm};
use crate::steps::delete::Delete;
use crate::steps::side_by_side::Steps;
use crate::ui::progress::say;
use crate::wait::server::Server;

/// Deletes VMs with their disks.
pub fn run(session: &Session, arguments: &VmDelete) -> Result<Success, Failure> {
    session.check_output_options()?;
    let targets = Targets {
        vmid: arguments.vmid,
        ..arguments.targets()
    };
    check_arguments(arguments)?;
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
    let pve = session.connect(&access, Some(targets.timeout.0))?;
    let server = session.server(&pve, targets.timeout, targets.poll_interval);
    let mut all = Vec::new();
    for (word, found) in targets.words().zip(change::find(server, &targets)?) {
        all.push(target(arguments, &mut ledgers, server, word, found));
    }
    if !arguments.yes {
        confirm(server, arguments.stop, &mut all)?;
    }
    let steps = || -> Steps {
        let delete = Delete::new(arguments.stop, arguments.keep_jobs, arguments.if_exists);
        [(Step::Delete, Box::new(delete) as _)].into()
    };
    let results = carry_out(server, all, steps, |found, finished| {
        let existing = finished.or_else(|failure| after_failure(server, found, failure))?;
        ledgers.forget(existing.vm.name.as_str(), existing.vm.vmid);
        Ok(outcome(existing))
    });
    drop(ledgers);
    session.results(targets.is_several(), results)
}

/// Whether the arguments are wrong together, or here.
fn check_arguments(arguments: &VmDelete) -> Result<(), Failure> {
    if arguments.vmid.is_some() && !arguments.more.is_empty() {
        let message = "--vmid is for one VM, but several are named";
        let hint = "name one VM, or omit --vmid";
        return Err(Failure::new(Kind::Usage, message).with_hint(hint.to_owned()));
    }
    if !arguments.yes && !io::stdin().is_terminal() {
        let message = "nothing is deleted without a confirmation, and stdin is not a terminal";
        let hint = "to delete without a confirmation: --yes";
        return Err(Failure::new(Kind::Usage, message).with_hint(hint.to_owned()));
    }
    Ok(())
}

/// What to do for one name or VMID.
fn target(
    arguments: &VmDelete,
    ledgers: &mut Ledgers,
    server: Server,
    word: &str,
    found: Result<Named, named::Error>,
) -> Target {
    match found {
        Ok(vm) => match ledgers.lock(VmName::of_guest(&vm.guest).as_str()) {
            Ok(()) => Target::Vm(existing(&vm)),
            Err(failure) => Target::Settled(Err(failure)),
        },
        Err(named::Error::Absent { .. }) if arguments.if_exists => {
            let absent = ledgers.confirm_absent(server, word);
            Target::Settled(absent.map(|()| absent_outcome(word)))
        }
        Err(error) => Target::Settled(Err(error.failure())),
    }
}

/// At a terminal: the name of each VM has to be typed. From then on it is this VM, whatever gets its VMID while the
/// user types.
fn confirm(server: Server, stop: bool, all: &mut [Target]) -> Result<(), Failure> {
    let mut lines = io::stdin().lock().lines();
    for target in all {
        let Target::Vm(existing) = target else {
            continue;
        };
        let Vm { vmid, node, .. } = &existing.vm;
        let failed = |error| Failure::of_request(&error);
        let config = server
            .ask(|pve| pve.vm_config(node, *vmid))
            .map_err(failed)?;
        let status = server.ask(|pve| pve.vm_status(node, *vmid));
        let is_running = status.is_ok_and(|status| status.is_some_and(|it| it.is_running()));
        if is_running && !stop {
            // That fails without a question.
            continue;
        }
        if let Some(config) = config {
            existing.identity = Some(config.identity());
            if existing.named_by == Some(NamedBy::Vmid) {
                let guest = config.into_guest(*vmid, node.clone());
                existing.vm.name = VmName::of_guest(&guest);
            }
        }
        let vm = &existing.vm;
        let first = if is_running { "powers off and " } else { "" };
        say(&format!(
            "This {first}deletes {vm} and all its disks. To confirm, type its name:"
        ));
        let typed = lines.next().and_then(Result::ok).unwrap_or_default();
        if typed.trim() != vm.name.as_str() {
            let message = format!("that is not the name of {vm}; nothing was deleted");
            return Err(Failure::new(Kind::Failed, message));
        }
    }
    Ok(())
}

/// After something was requested: a success if the VM is gone after all, and otherwise the failure says that it
/// still exists.
fn after_failure(server: Server, found: &Existing, failure: Failure) -> Result<Existing, Failure> {
    let is_unknown = matches!(
        failure.kind,
        Kind::Timeout | Kind::OutcomeUnknown | Kind::VmNotFound
    );
    if is_unknown || failure.facts.started == Started::No {
        return Err(failure);
    }
    match VmidState::of(server.pve, &found.vm, Expected::AnyVm) {
        Ok(VmidState::Free) => Ok(Existing {
            was_changed: true,
            ..found.clone()
        }),
        _ if failure.message.contains("the VM still exists") => Err(failure),
        Ok(VmidState::Ours(..)) => Err(Failure {
            message: format!("{}; the VM still exists", failure.message),
            ..failure
        }),
        _ => Err(Failure {
            message: format!("{}; the VM may or may not exist", failure.message),
            ..failure
        }),
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

fn outcome(existing: Existing) -> Outcome {
    let deleted = existing.was_changed;
    let Vm { vmid, name, node } = &existing.vm;
    let label = existing.vm.label();
    Outcome {
        text: if deleted {
            format!("Deleted {label} from node '{node}'")
        } else {
            format!("{label} on node '{node}' no longer exists")
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

fn absent_outcome(word: &str) -> Outcome {
    let vmid: Option<Vmid> = word.parse().ok();
    Outcome {
        text: format!("VM '{word}' does not exist"),
        document: raw(&Document {
            vmid,
            name: vmid.is_none().then_some(word),
            node: None,
            deleted: false,
            warnings: &[],
        }),
        warnings: Vec::new(),
    }
}
