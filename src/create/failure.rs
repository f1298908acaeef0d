//! The failures of the command. The message, kind and hint of each are in one place.

use std::path::Path;

use snafu::Snafu;

use super::spec::{CreateSpec, Method, Run};
use crate::guests::owner::VmidState;
use crate::guests::template::NotFound;
use crate::ledger::{self, Intent, Mode, Source};
use crate::pve;
use crate::pve::types::{Guest, Upid, Vmid};
use crate::say::failure::{Facts, Failure, Kind, Started, chain, kind_of};
use crate::say::grant::how_to_see_vms;
use crate::say::hint::refusal::blames_template;
use crate::say::hint::{hint_for, hint_for_task, with_more};
use crate::say::shell::word;
use crate::say::stage::{Stage, creation, process_name};
use crate::say::vm::RESUME;
use crate::say::vm::Vm;
use crate::wait::refusal::CreationError;
use crate::wait::task::how_to_read_log;

/// How a task failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failed {
    /// The task.
    pub upid: Upid,
    /// Its exit status.
    pub status: String,
    /// The last lines of its log.
    pub log: Vec<String>,
}

/// Why the outcome of a request is unknown.
#[derive(Debug, Snafu)]
pub enum Doubt {
    /// It got no usable answer.
    #[snafu(display("the {what} request got no answer: {why}"))]
    Lost {
        /// What it requested.
        what: &'static str,
        /// How the request failed.
        why: Box<pve::Error>,
    },
    /// The worker of its task died, or its node went down.
    #[snafu(display("the {}'s worker died or its node went down: {upid}", creation(upid)))]
    WorkerDied {
        /// That task.
        upid: Upid,
    },
}

/// What a request for a VM is called.
pub fn noun(source: &Source) -> &'static str {
    match source {
        Source::Template(_) => "clone",
        Source::Image(_) => "import",
    }
}

/// What a request for a VM asks for: `clone template 9000`
fn infinitive(source: &Source) -> String {
    match source {
        Source::Template(from) => format!("clone template {}", from.template),
        Source::Image(from) => format!("import '{}'", from.volume),
    }
}

/// `a clone of template 9000`
fn requested(source: &Source) -> String {
    match source {
        Source::Template(from) => format!("a clone of template {}", from.template),
        Source::Image(from) => format!("an import of '{}'", from.volume),
    }
}

/// Whether a request failed only because the time limit was reached.
pub fn is_out_of_time(run: &Run, failure: &Failure) -> bool {
    let is_unanswered = failure.kind == Kind::Unreachable && failure.facts.started == Started::No;
    is_unanswered && run.server.budget.left().is_zero()
}

/// The time limit (`seconds`) was reached before anything was started, for this reason.
pub fn nothing_started(because: Failure, seconds: f64) -> Failure {
    let message = format!("Timed out after {seconds} s; nothing was started: {because}");
    let hint = "nothing to clean up; run the command again, with a longer --timeout if the server is slow or \
                a lock is held long";
    let hint = with_more(hint.to_owned(), because.request.as_deref());
    failure(Kind::Timeout, message, hint, because.facts)
}

/// A failure while a request without an answer may still create this VM.
pub fn may_still_be_created(run: &Run, vm: &Vm, failed: Failure) -> Failure {
    let noun = match run.spec.method {
        Method::Clone { .. } => "clone",
        Method::Import(_) => "import",
    };
    let message = format!("{failed}; {vm} may still be created: its {noun} request got no answer");
    let facts = match failed.facts.vmid {
        Some(_) => Facts {
            started: Started::Unknown,
            ..failed.facts
        },
        None => vm.facts(Started::Unknown),
    };
    Failure {
        message,
        facts,
        ..failed
    }
}

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

/// Something could not be read before the clone.
pub fn not_read(what: impl AsRef<str>, source: pve::Error) -> Failure {
    let message = format!("{}: {}", what.as_ref(), chain(&source));
    let failure = Failure::new(kind_of(&source), message).with_hint(hint_for(&source));
    failure.because_of(Box::new(source))
}

/// A node or a row that cannot be read may hide a VM of the name.
pub fn name_may_be_taken(spec: &CreateSpec, unread: &str) -> Failure {
    let (name, noun) = (&spec.name, spec.noun());
    let message = format!("cannot tell whether a {noun} '{name}' exists: {unread}");
    let hint = format!(
        "if a node is switched off, --ignore-offline assumes that it has no {noun} of that name; --vmid N \
         creates the {noun} with that VMID regardless"
    );
    failure(Kind::Unreachable, message, hint, Facts::default())
}

/// The server refused the request for the VM, or certainly did not receive it.
pub fn refused(
    request: &Source,
    vm: &Vm,
    undecided: bool,
    source: Box<pve::Error>,
    hint: Option<String>,
) -> Failure {
    let message = format!("cannot {} to VM {}", infinitive(request), vm.vmid);
    let why = chain(&*source);
    if undecided {
        let message = format!("{message}: {why}; an earlier request may still create the VM");
        let facts = vm.facts(Started::Unknown);
        return failure(Kind::OutcomeUnknown, message, RESUME, facts);
    }
    let failure = Failure::new(kind_of(&source), format!("{message}: {why}"))
        .with_hint(hint)
        .about(vm.facts(Started::No));
    failure.because_of(source)
}

/// Something stayed locked until the time limit (`seconds`).
pub fn busy(request: &Source, vm: &Vm, why: &str, seconds: f64) -> Failure {
    let message = format!("cannot {} to VM {}: {why}", infinitive(request), vm.vmid);
    let because = Failure::new(Kind::Failed, message).about(vm.facts(Started::No));
    nothing_started(because, seconds)
}

fn failure(kind: Kind, message: String, hint: impl Into<String>, facts: Facts) -> Failure {
    let failure = Failure::new(kind, message).with_hint(hint.into());
    failure.about(facts)
}

/// Nothing is known, except that something may have been started.
const UNKNOWN: Facts = Facts {
    vmid: None,
    upid: None,
    node: None,
    started: Started::Unknown,
};

fn facts_of_guest(guest: Option<&Guest>) -> Facts {
    Facts {
        vmid: guest.map(|guest| guest.vmid),
        node: guest.map(|guest| guest.node.clone()),
        ..Facts::default()
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

/// No template of that name.
pub fn no_template(source: &NotFound) -> Failure {
    Failure::of(Kind::TemplateNotFound, source).with_hint(source.hint().to_owned())
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
            let image = from.url.as_ref().unwrap_or(&volume);
            ("template create", format!("--image {}", word(image)))
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

/// VMs of that name exist.
pub fn exists(spec: &CreateSpec, holders: &[Guest]) -> Failure {
    let (name, noun, ensure) = (&spec.name, spec.noun(), spec.ensure);
    if spec.image().is_some()
        && let Some(vm) = holders.iter().find(|guest| guest.is_vm())
    {
        return not_a_template(vm);
    }
    let holder = |(index, guest): (usize, &Guest)| {
        if index > 0 {
            return format!("; another is {}", guest.place());
        }
        let lock = guest.lock.as_ref().map(|lock| format!(", locked ({lock})"));
        let (vmid, node, lock) = (guest.vmid, &guest.node, lock.unwrap_or_default());
        format!("{noun} {vmid} '{name}' already exists on node '{node}'{lock}")
    };
    let message: String = holders.iter().enumerate().map(holder).collect();
    let first = holders.first();
    let hint = if first.is_some_and(Guest::is_being_cloned) {
        "a clone is creating it, or has left it unfinished; --ensure waits for it".to_owned()
    } else if ensure {
        format!(
            "--vmid names another {noun}; to use the existing one, omit --vmid or give its VMID"
        )
    } else {
        format!("choose another name, or use the existing {noun} with --ensure")
    };
    failure(Kind::AlreadyExists, message, hint, facts_of_guest(first))
}

/// A VM has the name of the new template, and this program did not create it for that.
fn not_a_template(vm: &Guest) -> Failure {
    let message = format!("{vm} has that name and is not a template");
    let Guest { vmid, node, .. } = vm;
    let hint = format!(
        "choose another name; or, if that VM is to become the template, on node '{node}': qm template {vmid}"
    );
    failure(Kind::AlreadyExists, message, hint, facts_of_guest(Some(vm)))
}

/// Several VMs of that name exist, and `--ensure` could succeed with each.
pub fn ambiguous(spec: &CreateSpec, holders: &[Guest]) -> Failure {
    let (name, noun) = (&spec.name, spec.noun());
    let places: Vec<String> = holders.iter().map(Guest::place).collect();
    let message = format!("several {noun}s are named '{name}': {}", places.join(", "));
    let hint = "choose one with --vmid N";
    let facts = facts_of_guest(holders.first());
    failure(Kind::Ambiguous, message, hint, facts)
}

/// The requested VMID belongs to another guest.
pub fn vmid_taken(vmid: Vmid, guest: Result<&Guest, &VmidState>) -> Failure {
    let by = match guest {
        Ok(guest) => guest.to_string(),
        Err(VmidState::Hidden) => "a guest that this token cannot see".to_owned(),
        Err(_) => "a VM that is being created".to_owned(),
    };
    let message = format!("VMID {vmid} is taken by {by}");
    let hint = "choose another VMID, or omit --vmid to get a free one";
    let facts = Facts {
        vmid: Some(vmid),
        ..facts_of_guest(guest.ok())
    };
    failure(Kind::VmidTaken, message, hint, facts)
}

/// The task that creates the VM has failed.
pub fn task_failed(vm: &Vm, undecided: bool, is_visible: bool, failed: Failed) -> Failure {
    let Failed { upid, status, log } = failed;
    let (more, hint) = match (undecided, is_visible) {
        (true, _) => (
            "; an earlier request may still create the VM",
            RESUME.to_owned(),
        ),
        (_, false) => (
            "; cannot tell whether it left a VM behind",
            RESUME.to_owned(),
        ),
        _ if CreationError::of(&status, vm.vmid) == CreationError::LeftOver => {
            ("", how_to_remove_left_over_volumes(vm))
        }
        _ => {
            let hint = hint_for_task(&status);
            ("", hint.unwrap_or_else(|| how_to_read_log(&upid)))
        }
    };
    let message = format!("Task failed: {status}{more}");
    let started = if undecided || !is_visible {
        Started::Unknown
    } else {
        Started::No
    };
    let facts = vm.facts(started).of_task(&upid);
    failure(Kind::TaskFailed, message, hint, facts).with_log(log)
}

fn how_to_remove_left_over_volumes(vm: &Vm) -> String {
    let Vm { vmid, node, .. } = vm;
    format!(
        "an earlier guest with VMID {vmid} has left that volume; on node '{node}', 'pvesm list STORAGE --vmid \
         {vmid}' lists it and 'pvesm free VOLUME' removes it; or choose another VMID, or omit --vmid"
    )
}

/// Adds where the other templates of the same name are, if the failure may be due to the template.
pub fn with_other_templates(failure: Failure, others: &[String]) -> Failure {
    if others.is_empty() || !blames_template(&failure.message) {
        return failure;
    }
    let other = format!(
        "other templates have the same name: {}; to choose one, give its VMID instead of the name",
        others.join(", ")
    );
    let hint = match &failure.hint {
        Some(hint) => format!("{hint}; {other}"),
        None => other,
    };
    failure.with_hint(hint)
}

/// The outcome can no longer be read.
pub fn outcome_unseen(stage: &Stage, source: &pve::Error) -> Failure {
    let what = match stage {
        Stage::Creating(vm, task) => {
            let noun = creation(task);
            format!("cannot poll the {noun} to {vm}, which may still be running")
        }
        stage => stage.to_string(),
    };
    let message = format!("{what}: {}", chain(source));
    let hint = with_more(stage.hint(), Some(source));
    failure(Kind::OutcomeUnknown, message, hint, stage.facts())
}

/// The time limit was reached at this stage.
pub fn timed_out(
    seconds: f64,
    stage: &Stage,
    error: Option<&pve::Error>,
    doubt: Option<&Doubt>,
) -> Failure {
    let doubt = doubt.filter(|_| error.is_none());
    let why = doubt.map_or_else(String::new, |doubt| format!("; {doubt}"));
    let at = stage.after_last_poll(error.as_ref());
    let message = format!("Timed out after {seconds} s; {at}{why}");
    let lost = match doubt {
        Some(Doubt::Lost { why, .. }) => Some(&**why),
        _ => None,
    };
    let hint = with_more(stage.hint(), error.or(lost));
    failure(Kind::Timeout, message, hint, stage.facts())
}

/// Cannot check whether a VM of an earlier run still exists; `seconds` is the time limit, if it was
/// reached.
pub fn created_unchecked(vm: &Vm, seconds: Option<f64>, error: Option<&pve::Error>) -> Failure {
    let after = seconds.map(|seconds| format!("Timed out after {seconds} s; "));
    let why = error.map(|error| format!(": {error}"));
    let message = format!(
        "{}cannot check {vm}, which an earlier run created{}",
        after.unwrap_or_default(),
        why.unwrap_or_default()
    );
    let kind = match (seconds, error) {
        (None, Some(error)) => kind_of(error),
        _ => Kind::Timeout,
    };
    let hint = with_more(RESUME.to_owned(), error);
    failure(kind, message, hint, vm.facts(Started::Unknown))
}

/// This token may not see which guest has the VMID of a VM that was requested or created.
pub fn hidden(run: &Run, vm: &Vm, was_created: bool) -> Failure {
    let hint = format!("{}; then {RESUME}", how_to_see_vms(run.server.pve.token()));
    if was_created {
        let message =
            format!("cannot see {vm}, which an earlier run created: the token needs VM.Audit");
        return failure(Kind::Forbidden, message, hint, vm.facts(Started::Unknown));
    }
    let message =
        format!("cannot see {vm}: a guest has that VMID, and the token needs VM.Audit to see it");
    let facts = vm.facts(Started::Unknown);
    failure(Kind::OutcomeUnknown, message, hint, facts)
}
