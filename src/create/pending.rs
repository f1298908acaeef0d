//! The failures because of other runs: what they have requested, or that this cannot be told.

use std::path::Path;

use super::failure::{UNKNOWN, failure, requested};
use super::spec::CreateSpec;
use crate::ledger::{self, Intent, Mode, Source};
use crate::say::failure::{Facts, Failure, Kind, Started, chain};
use crate::say::hint::with_more;
use crate::say::shell::word;
use crate::say::stage::process_name;
use crate::say::vm::{RESUME, Vm};

/// A failure before the outcome of an earlier run's clone is known, or before it is known whether this command
/// can resume with its VM. It must mention that VM.
pub fn before_resuming(
    source: &Source,
    vm: &Vm,
    facts: Facts,
    failed: Failure,
    seconds: Option<f64>,
    path: Option<&Path>,
) -> Failure {
    let kind = seconds.map_or(failed.kind, |_| Kind::Timeout);
    let vm_exists = facts.started == Started::Yes;
    let message = if vm_exists {
        format!("{vm} was created but not finished by an earlier run: {failed}")
    } else {
        format!(
            "an earlier run requested {} to {vm}, which may or may not be being created: {failed}",
            requested(source)
        )
    };
    let message = match seconds {
        Some(seconds) => format!("Timed out after {seconds} s; {message}"),
        None => message,
    };
    let hint = match (failed.request, failed.hint) {
        (None, Some(hint)) if kind == Kind::TemplateNotFound && !vm_exists => {
            format!("{hint}; then {RESUME}{}", or_remove(path))
        }
        // The recorded template still exists.
        (None, Some(hint)) if kind == Kind::TemplateNotFound => {
            let template = match source {
                Source::Template(from) => format!(" with template {} and", from.template),
                Source::Image(_) => " with".to_owned(),
            };
            format!("{hint}; to resume with that VM, run the same command{template} --ensure")
        }
        (None, _) => format!("remove the options that do not fit, then {RESUME}"),
        (request, _) => with_more(RESUME.to_owned(), request.as_deref()),
    };
    Failure {
        vm_exists,
        ..failure(kind, message, hint, facts)
    }
}

/// The command that removes the ledger's file of a name.
pub fn remove(path: &Path) -> String {
    format!("rm {}", word(&path.to_string_lossy()))
}

/// How to start over, if there is a ledger.
fn or_remove(path: Option<&Path>) -> String {
    path.map_or_else(String::new, |path| {
        format!(
            "; or, to start over once the VM can no longer be created: {}",
            remove(path)
        )
    })
}

/// Another run has locked the ledger; this one has waited `waited` seconds.
pub fn name_locked(spec: &CreateSpec, holder: Option<u32>, waited: Option<f64>) -> Failure {
    let (name, noun) = (&spec.name, spec.noun());
    let process = process_name(holder);
    match waited {
        None => {
            let message = format!("{process} is creating {noun} '{name}'");
            let hint =
                format!("--ensure waits until it has ended, then uses or creates the {noun}");
            failure(Kind::InProgress, message, hint, UNKNOWN)
        }
        Some(seconds) => {
            let message =
                format!("Timed out after {seconds} s; {process} is still creating {noun} '{name}'");
            failure(Kind::Timeout, message, RESUME, UNKNOWN)
        }
    }
}

/// The ledger contains something other than events.
pub fn damaged(path: &Path, source: &ledger::Unreadable) -> Failure {
    let message = format!(
        "cannot tell what earlier runs have started: {} is damaged: {source}",
        path.display()
    );
    let hint = format!(
        "its readable lines contain the last VMID and task (UPID); once that task has ended: {}, then run the \
         same command with --ensure",
        remove(path)
    );
    failure(Kind::Failed, message, hint, UNKNOWN)
}

/// There is no usable ledger, and `--ensure` needs one.
pub fn no_ledger(source: &ledger::Error) -> Failure {
    let why = chain(source);
    let message = format!("cannot keep other runs from creating the same VM: {why}");
    let hint = "make it writable for this user, or set HOMELAB_STATE_DIR to another directory; or choose the \
                VMID with --vmid N";
    failure(Kind::Failed, message, hint, Facts::default())
}

/// An earlier run has requested another clone to this VM, which is not finished.
pub fn other_request_pending(
    spec: &CreateSpec,
    vm: &Vm,
    intent: &Intent,
    differences: &str,
    facts: Facts,
    path: Option<&Path>,
) -> Failure {
    let is_created = facts.started == Started::Yes;
    let from = match &intent.source {
        Source::Template(from) => format!("template {}", from.template),
        Source::Image(from) => format!("image '{}'", from.volume),
    };
    let message = if is_created {
        format!(
            "{vm} was created from {from} but not finished by an earlier run; this command requests \
             {differences}"
        )
    } else {
        format!(
            "an earlier run requested {} to {vm}, whose outcome is unknown; this command requests \
             {differences}",
            requested(&intent.source)
        )
    };
    let path = path.filter(|_| !is_created);
    let (command, options) = match &intent.source {
        Source::Template(from) => {
            let linked = match (from.mode, spec.mode()) {
                (Mode::Linked, _) => ", --linked",
                (Mode::Full, Some(Mode::Linked)) => ", no --linked",
                (Mode::Full, _) => "",
            };
            ("vm create", format!("template {}{linked}", from.template))
        }
        Source::Image(from) => {
            let volume = from.volume.to_string();
            let options = format!(
                "--image {}, no --checksum, no --image-storage",
                word(&volume)
            );
            ("template create", options)
        }
    };
    let is_same = matches!(intent.source, Source::Template(_)) == spec.image().is_none();
    let command = if is_same { "the same command" } else { command };
    let places = spec.places(intent).into_iter();
    let places = places.map(|(what, requested, recorded)| match (requested, recorded) {
        (_, Some(recorded)) => format!(", --{what} {}", word(&recorded)),
        (Some(_), None) => format!(", no --{what}"),
        (None, None) => String::new(),
    });
    let hint = format!(
        "finish that one first: run {command} with {options}{}, --ensure and no --vmid{}",
        places.collect::<String>(),
        or_remove(path)
    );
    failure(Kind::InProgress, message, hint, facts)
}

/// An earlier run has requested this VM from servers that this run does not use.
pub fn pending_elsewhere(vm: &Vm, hosts: &[String], path: Option<&Path>) -> Failure {
    let message = format!(
        "an earlier run began creating VM {} '{}' on another server, {}; the outcome is unknown",
        vm.vmid,
        vm.name,
        hosts.join(", ")
    );
    let hint = format!(
        "resume it there: run the same command with --host {} and --ensure{}",
        word(&hosts.join(",")),
        or_remove(path)
    );
    failure(Kind::InProgress, message, hint, vm.facts(Started::Unknown))
}
