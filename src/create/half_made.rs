//! The failure where a VM was left half made, or may have been.

use std::path::Path;

use super::failure::{Doubt, Failed, remove};
use crate::guests::owner::VmidState;
use crate::say::failure::{Failure, Kind, Started};
use crate::say::hint::hint_for_task;
use crate::say::vm::Vm;

fn how_to_clear(vm: &Vm, state: &VmidState, path: Option<&Path>) -> String {
    let Vm { vmid, node, .. } = vm;
    match (state, path) {
        (VmidState::Incomplete(_), Some(path)) => format!(
            "it was changed since, or was left half made and unlocked; to take it as it is: {}, then the \
             same command with --ensure",
            remove(path)
        ),
        (VmidState::Incomplete(_), None) => format!(
            "it was changed since, or was left half made and unlocked; the same command with --ensure and \
             --vmid {vmid} takes it as it is"
        ),
        _ => format!(
            "on node '{node}', 'pvenode task list --source active' shows whether a clone (qmclone, under \
             its template's VMID) is at work; if none is, as root there: qm unlock {vmid} && qm destroy \
             {vmid} --destroy-unreferenced-disks 1"
        ),
    }
}

/// A VM was left half made, or may have been. `is_ours` where this command has asked for it.
pub fn half_made(
    vm: &Vm,
    state: &VmidState,
    is_ours: bool,
    failed: Option<Failed>,
    doubt: Option<&Doubt>,
    path: Option<&Path>,
) -> Failure {
    let Vm { vmid, node, .. } = vm;
    let unseen = "locked by a clone that this token cannot see, or half made";
    let words = match (state, &failed) {
        (VmidState::Incomplete(disks), _) => format!("{vm} lacks what its template has: {disks}"),
        (VmidState::BeingCreated { is_named: true }, Some(_)) => {
            format!("{vm} was left half made, and locked")
        }
        (VmidState::BeingCreated { is_named: true }, None) => format!("{vm} is {unseen}"),
        (_, Some(_)) => {
            format!("VM {vmid} on node '{node}' was left half made, locked and without its name")
        }
        (_, None) => {
            format!("VM {vmid} on node '{node}' is {unseen}, and does not tell whose it is")
        }
    };
    let mut hint = how_to_clear(vm, state, path);
    if let Some(first) = failed.as_ref().and_then(|it| hint_for_task(&it.words)) {
        hint = format!("{first}; then, {hint}");
    }
    let is_named = !matches!(
        state,
        VmidState::BeingCreated { is_named: false } | VmidState::Appeared
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
    let words = format!("{words}{died}");
    let Some(failed) = failed else {
        return Failure::new(Kind::HalfMade, words)
            .with_hint(hint)
            .about(facts);
    };
    facts.upid = Some(failed.upid);
    let words = format!("Task failed: {}; {words}", failed.words);
    Failure::new(Kind::HalfMade, words)
        .with_hint(hint)
        .about(facts)
        .with_log(failed.log)
}
