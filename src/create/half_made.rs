//! The failure where a clone was left unfinished, or may have been.

use std::path::Path;

use super::failure::{Doubt, Failed};
use super::pending::remove;
use crate::guests::owner::VmidState;
use crate::say::failure::{Failure, Kind, Started};
use crate::say::hint::hint_for_task;
use crate::say::vm::Vm;

fn how_to_clear(noun: &str, vm: &Vm, state: &VmidState, path: Option<&Path>) -> String {
    let Vm { vmid, node, .. } = vm;
    match (state, path) {
        (VmidState::Incomplete(_), Some(path)) => format!(
            "it was changed later, or its clone was left unfinished and unlocked; to use it as it is: {}, \
             then run the same command with --ensure",
            remove(path)
        ),
        (VmidState::Incomplete(_), None) => format!(
            "it was changed later, or its clone was left unfinished and unlocked; to use it as it is, run \
             the same command with --ensure and --vmid {vmid}"
        ),
        _ => format!(
            "on node '{node}', 'pvenode task list --source active' shows whether {}; if none is, as root \
             there: qm unlock {vmid} && qm destroy {vmid} --destroy-unreferenced-disks 1",
            match noun {
                "import" => "an import is running (qmcreate, with that VMID)",
                _ => "a clone is running (qmclone, with the template's VMID)",
            }
        ),
    }
}

/// What creates the VM: its lock tells what another user has requested.
fn noun(requested: &'static str, state: &VmidState) -> &'static str {
    match state {
        VmidState::BeingCreated { by_import, .. } if *by_import => "import",
        VmidState::BeingCreated { .. } => "clone",
        _ => requested,
    }
}

/// A clone or an import was left unfinished, or may have been; `requested` is what this command calls its own.
/// `is_ours` if this command has requested it.
pub fn half_made(
    requested: &'static str,
    vm: &Vm,
    state: &VmidState,
    is_ours: bool,
    failed: Option<Failed>,
    doubt: Option<&Doubt>,
    path: Option<&Path>,
) -> Failure {
    let Vm { vmid, node, .. } = vm;
    let noun = noun(requested, state);
    let locked = match noun {
        "import" => {
            "locked by an import that this token cannot see, or its import was left unfinished"
        }
        _ => "locked by a clone that this token cannot see, or its clone was left unfinished",
    };
    let message = match (state, &failed) {
        (VmidState::Incomplete(disks), _) => format!("{vm} lacks disks of its template: {disks}"),
        (VmidState::BeingCreated { is_named: true, .. }, Some(_)) => {
            format!("{vm} was left unfinished and locked")
        }
        (VmidState::BeingCreated { is_named: true, .. }, None) => format!("{vm} is {locked}"),
        (_, Some(_)) => {
            format!("VM {vmid} on node '{node}' was left unfinished, locked and without its name")
        }
        (_, None) => {
            format!("VM {vmid} on node '{node}' has no name yet; it is {locked}")
        }
    };
    let mut hint = how_to_clear(noun, vm, state, path);
    if let Some(first) = failed.as_ref().and_then(|it| hint_for_task(&it.status)) {
        hint = format!("{first}; then, {hint}");
    }
    let is_named = !matches!(
        state,
        VmidState::BeingCreated {
            is_named: false,
            ..
        } | VmidState::Appeared
    );
    let started = match (is_named, is_ours) {
        _ if failed.is_some() => Started::Yes,
        (true, true) => Started::Yes,
        (false, false) => Started::No,
        _ => Started::Unknown,
    };
    let mut facts = vm.facts(started);
    let died = match doubt {
        Some(died @ Doubt::WorkerDied { upid }) => {
            facts.upid = Some(upid.clone());
            format!("; {died}")
        }
        _ => String::new(),
    };
    let message = format!("{message}{died}");
    let Some(failed) = failed else {
        return Failure::new(Kind::HalfMade, message)
            .with_hint(hint)
            .about(facts);
    };
    facts.upid = Some(failed.upid);
    let message = format!("Task failed: {}; {message}", failed.status);
    Failure::new(Kind::HalfMade, message)
        .with_hint(hint)
        .about(facts)
        .with_log(failed.log)
}
