//! The failures of the command. The message, kind and hint of each are in one place.

use snafu::Snafu;

use super::spec::{CreateSpec, Run};
use crate::guests::owner::VmidState;
use crate::guests::template::NotFound;
use crate::ledger::Source;
use crate::pve;
use crate::pve::types::{Guest, Upid, Vmid};
use crate::say::failure::{Facts, Failure, Kind, Started, chain, kind_of};
use crate::say::grant::how_to_see_vms;
use crate::say::hint::refusal::blames_template;
use crate::say::hint::{hint_for, hint_for_task, with_more};
use crate::say::stage::{Stage, creation};
use crate::say::vm::{RESUME, Vm};
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

/// What a request for a VM asks for: `clone template 9000`
fn infinitive(source: &Source) -> String {
    match source {
        Source::Template(from) => format!("clone template {}", from.template),
        Source::Image(from) => format!("import '{}'", from.volume),
    }
}

/// `a clone of template 9000`
pub fn requested(source: &Source) -> String {
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
    let noun = run.spec.request_noun();
    let message = if failed.facts.vmid == Some(vm.vmid) {
        // The failure is about the guest that has the VMID now.
        let vmid = vm.vmid;
        format!(
            "{failed}; if VMID {vmid} becomes free, another VM may still be created there: its {noun} request got \
             no answer"
        )
    } else {
        format!("{failed}; {vm} may still be created: its {noun} request got no answer")
    };
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

/// A failure with all its parts.
pub fn failure(kind: Kind, message: String, hint: impl Into<String>, facts: Facts) -> Failure {
    let failure = Failure::new(kind, message).with_hint(hint.into());
    failure.about(facts)
}

/// Nothing is known, except that something may have been started.
pub const UNKNOWN: Facts = Facts {
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

/// No template of that name.
pub fn no_template(source: &NotFound) -> Failure {
    Failure::of(Kind::TemplateNotFound, source).with_hint(source.hint().to_owned())
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
    let Guest { vmid, node, .. } = vm;
    let (state, hint) = match &vm.lock {
        Some(lock) => (
            format!(" and is locked ({lock})"),
            "choose another name, or wait until it is no longer locked".to_owned(),
        ),
        None => (
            " and is not a template".to_owned(),
            format!(
                "choose another name; or, if that VM is to become the template, on node '{node}': qm template \
                 {vmid}"
            ),
        ),
    };
    let message = format!("{vm} has that name{state}");
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
    let how_to_fix = match CreationError::of(&status, vm.vmid) {
        CreationError::LeftOver => Some(how_to_remove_left_over_volumes(vm, undecided)),
        _ => hint_for_task(&status),
    };
    let (more, hint) = match (undecided, is_visible) {
        (true, _) => (
            "; an earlier request may still create the VM",
            how_to_fix.map_or_else(
                || RESUME.to_owned(),
                |first| format!("{first}; then {RESUME}"),
            ),
        ),
        (_, false) => (
            "; cannot tell whether it left a VM behind",
            RESUME.to_owned(),
        ),
        _ => ("", how_to_fix.unwrap_or_else(|| how_to_read_log(&upid))),
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

fn how_to_remove_left_over_volumes(vm: &Vm, undecided: bool) -> String {
    let Vm { vmid, node, .. } = vm;
    let otherwise = if undecided {
        ""
    } else {
        "; or choose another VMID, or omit --vmid"
    };
    format!(
        "an earlier guest with VMID {vmid} has left that volume; on node '{node}', 'pvesm list STORAGE --vmid \
         {vmid}' lists it and 'pvesm free VOLUME' removes it{otherwise}"
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
