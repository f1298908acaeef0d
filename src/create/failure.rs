//! The failures of the command, each with its words, kind and hint in one place.

use std::path::Path;

use snafu::Snafu;

use super::order::{Order, Run};
use crate::guests::owner::VmidState;
use crate::guests::template::NotFound;
use crate::ledger::{self, Intent, Mode};
use crate::pve;
use crate::pve::types::{Guest, Upid, VmName, Vmid};
use crate::say::failure::{Facts, Failure, Kind, Started, chain, kind_of};
use crate::say::grant::how_to_see_vms;
use crate::say::hint::refusal::{RefusedClone, blames_template};
use crate::say::hint::{hint_for, hint_for_clone, hint_for_task, with_more};
use crate::say::shell::word;
use crate::say::stage::{RESUME, Stage, process_name};
use crate::say::vm::Vm;
use crate::wait::refusal::Refusal;
use crate::wait::task::how_to_read_log;

/// How a task failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failed {
    /// The task.
    pub upid: Upid,
    /// Its exit status.
    pub words: String,
    /// The last lines of its log.
    pub log: Vec<String>,
}

/// Why it is not known what came of a request.
#[derive(Debug, Snafu)]
pub enum Doubt {
    /// It got no usable answer.
    #[snafu(display("the clone got no answer: {why}"))]
    Lost {
        /// How the request failed.
        why: Box<pve::Error>,
    },
    /// The worker of its task died, or its node went down.
    #[snafu(display("the clone's worker died or its node went down: {upid}"))]
    WorkerDied {
        /// That task.
        upid: Upid,
    },
}

/// Whether nothing but the end of the budget kept a question from being answered.
pub fn is_out_of_time(run: &Run, failure: &Failure) -> bool {
    let is_unanswered = failure.kind == Kind::Unreachable && failure.facts.started == Started::No;
    is_unanswered && run.server.budget.left().is_zero()
}

/// The budget, so many seconds, has ended before anything was begun, because of this.
pub fn nothing_started(because: Failure, seconds: f64) -> Failure {
    let words = format!("Timed out after {seconds} s; nothing was started: {because}");
    let hint = "there is nothing to clean up; run it again, with a longer --timeout if the server is \
                slow or what is in the way takes long";
    let hint = with_more(hint.to_owned(), because.request.as_deref());
    failure(Kind::Timeout, words, hint, because.facts)
}

/// The failure while a request without an answer may still create this VM.
pub fn may_still_be_created(vm: &Vm, failed: Failure) -> Failure {
    let message = format!("{failed}; the clone to {vm}, which got no answer, may still be created");
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

/// The failure while it is not clear what became of an earlier run's clone, or whether this command goes
/// on with its VM: it must not sound as if there was none.
pub fn before_resuming(
    template: Vmid,
    vm: &Vm,
    facts: Facts,
    failed: Failure,
    late: Option<f64>,
    path: Option<&Path>,
) -> Failure {
    let kind = late.map_or(failed.kind, |_| Kind::Timeout);
    let is_there = facts.started == Started::Yes;
    let words = if is_there {
        format!("{vm} was created by an earlier run, which did not finish it: {failed}")
    } else {
        format!(
            "an earlier run has asked for a clone of template {template} to {vm}, which may or may not be in \
             the making: {failed}"
        )
    };
    let words = match late {
        Some(seconds) => format!("Timed out after {seconds} s; {words}"),
        None => words,
    };
    let hint = match (failed.request, failed.hint) {
        (None, Some(hint)) if kind == Kind::TemplateNotFound && !is_there => {
            format!("{hint}; then {RESUME}{}", or_remove(path))
        }
        // The template of its record still exists.
        (None, Some(hint)) if kind == Kind::TemplateNotFound => {
            format!(
                "{hint}; the same command with template {template} and --ensure goes on with that VM"
            )
        }
        (None, _) => format!("without what it cannot become, {RESUME}"),
        (request, _) => with_more(RESUME.to_owned(), request.as_deref()),
    };
    Failure {
        vm_exists: is_there,
        ..failure(kind, words, hint, facts)
    }
}

/// Something could not be read before the clone.
pub fn not_read(what: impl AsRef<str>, source: pve::Error) -> Failure {
    let words = format!("{}: {}", what.as_ref(), chain(&source));
    let failure = Failure::new(kind_of(&source), words).with_hint(hint_for(&source));
    failure.because_of(Box::new(source))
}

/// A node or a row that cannot be read may hide a VM of the name.
pub fn name_may_be_taken(name: &VmName, doubts: &str) -> Failure {
    let words = format!("cannot tell whether there is a VM '{name}': {doubts}");
    let hint = "if a node is switched off, --ignore-offline assumes that it has no VM of that name; \
                --vmid N creates the VM with that VMID in any case";
    failure(Kind::Unreachable, words, hint, Facts::default())
}

/// The server has refused the clone, or has certainly not heard of it.
pub fn clone_refused(
    clone: &RefusedClone,
    vm: &Vm,
    undecided: bool,
    source: Box<pve::Error>,
) -> Failure {
    let words = format!("cannot clone template {} to VM {}", clone.template, vm.vmid);
    let why = chain(&*source);
    if undecided {
        let words = format!("{words}, which an earlier request may still make: {why}");
        let facts = vm.facts(Started::Unknown);
        return failure(Kind::OutcomeUnknown, words, RESUME, facts);
    }
    let failure = Failure::new(kind_of(&source), format!("{words}: {why}"))
        .with_hint(hint_for_clone(&source, clone))
        .about(vm.facts(Started::No));
    failure.because_of(source)
}

/// Something was locked until the budget, so many seconds, ended.
pub fn busy(template: Vmid, vm: &Vm, why: &str, seconds: f64) -> Failure {
    let words = format!("cannot clone template {template} to VM {}: {why}", vm.vmid);
    let because = Failure::new(Kind::Failed, words).about(vm.facts(Started::No));
    nothing_started(because, seconds)
}

fn failure(kind: Kind, words: String, hint: impl Into<String>, facts: Facts) -> Failure {
    let failure = Failure::new(kind, words).with_hint(hint.into());
    failure.about(facts)
}

/// Nothing is known but that something may have been begun.
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

/// What to type to remove the ledger's file of a name.
pub fn remove(path: &Path) -> String {
    format!("rm {}", word(&path.to_string_lossy()))
}

/// How to begin anew, if there is a ledger.
fn or_remove(path: Option<&Path>) -> String {
    path.map_or_else(String::new, |path| {
        format!(
            "; or, if nothing can be making it any more: {}",
            remove(path)
        )
    })
}

/// Another run holds the ledger; `waited` is for how long this one has waited, in seconds.
pub fn name_locked(name: &VmName, holder: Option<u32>, waited: Option<f64>) -> Failure {
    let process = process_name(holder);
    match waited {
        None => {
            let words = format!("{process} is making VM '{name}'");
            let hint = "--ensure waits for its end, and then says what is there";
            failure(Kind::InProgress, words, hint, UNKNOWN)
        }
        Some(seconds) => {
            let words = format!(
                "Timed out after {seconds} s; waiting for {process}, which is making VM '{name}'"
            );
            failure(Kind::Timeout, words, RESUME, UNKNOWN)
        }
    }
}

/// The ledger holds something else than events.
pub fn damaged(path: &Path, source: &ledger::Unreadable) -> Failure {
    let words = format!(
        "cannot tell what earlier runs have begun: {} is damaged: {source}",
        path.display()
    );
    let hint = format!(
        "its good lines name the VMID and the task (UPID) that were begun last; once that is over: {}, \
         then the same command with --ensure",
        remove(path)
    );
    failure(Kind::Failed, words, hint, UNKNOWN)
}

/// There is no usable ledger, and the command promises something about other runs.
pub fn no_ledger(source: &ledger::Error) -> Failure {
    let why = chain(source);
    let words = format!("cannot keep other runs from making the same VM: {why}");
    let hint = "this user must be able to write there, or HOMELAB_STATE_DIR names another directory; \
                without one, --vmid N says which VM is meant";
    failure(Kind::Failed, words, hint, Facts::default())
}

/// No template of that name.
pub fn no_template(source: &NotFound) -> Failure {
    Failure::of(Kind::TemplateNotFound, source).with_hint(source.hint().to_owned())
}

/// An earlier run has begun another clone to this VM.
pub fn other_clone_pending(
    order: &Order,
    vm: &Vm,
    begun: &Intent,
    asked: &str,
    facts: Facts,
    path: Option<&Path>,
) -> Failure {
    let template = begun.template;
    let is_created = facts.started == Started::Yes;
    let words = if is_created {
        format!(
            "{vm} was created from template {template} by an earlier run, which did not finish it; this \
             command asks for {asked}"
        )
    } else {
        format!(
            "an earlier run has begun to clone template {template} to {vm} and has not seen its end; this \
             command asks for {asked}"
        )
    };
    let path = path.filter(|_| !is_created);
    let linked = match (begun.mode, order.mode().0) {
        (Mode::Linked, _) => ", --linked",
        (Mode::Full, Mode::Linked) => ", no --linked",
        (Mode::Full, Mode::Full) => "",
    };
    let places = order.places(begun).into_iter();
    let places = places.map(|(what, asked, begun)| match (asked, begun) {
        (_, Some(begun)) => format!(", --{what} {}", word(&begun)),
        (Some(_), None) => format!(", no --{what}"),
        (None, None) => String::new(),
    });
    let hint = format!(
        "see that one to its end first: the same command with template {template}{linked}{}, --ensure and \
         no --vmid{}",
        places.collect::<String>(),
        or_remove(path)
    );
    failure(Kind::InProgress, words, hint, facts)
}

/// An earlier run has begun this VM at servers that this run does not speak to.
pub fn pending_elsewhere(vm: &Vm, hosts: &[String], path: Option<&Path>) -> Failure {
    let words = format!(
        "an earlier run has begun to make VM {} '{}' at another server, {}, and has not seen its end",
        vm.vmid,
        vm.name,
        hosts.join(", ")
    );
    let hint = format!(
        "see it to its end there, with the same command, --host {} and --ensure{}",
        word(&hosts.join(",")),
        or_remove(path)
    );
    failure(Kind::InProgress, words, hint, vm.facts(Started::Unknown))
}

/// VMs of that name exist.
pub fn exists(name: &VmName, holders: &[Guest], ensure: bool) -> Failure {
    let holder = |(index, guest): (usize, &Guest)| {
        if index > 0 {
            return format!("; another is {}", guest.place());
        }
        let lock = guest.lock.as_ref().map(|lock| format!(", locked ({lock})"));
        let (vmid, node, lock) = (guest.vmid, &guest.node, lock.unwrap_or_default());
        format!("VM {vmid} '{name}' already exists on node '{node}'{lock}")
    };
    let words: String = holders.iter().enumerate().map(holder).collect();
    let first = holders.first();
    let hint = if first.is_some_and(Guest::is_being_cloned) {
        "a clone is making it, or has left it half made; --ensure waits for it"
    } else if ensure {
        "--vmid asks for another one; without it, or with the VMID of that VM, --ensure is content with \
         what is there"
    } else {
        "a new VM needs another name; --ensure is content with the one that is there"
    };
    failure(Kind::AlreadyExists, words, hint, facts_of_guest(first))
}

/// Several VMs of that name exist, and any of them would do.
pub fn ambiguous(name: &VmName, holders: &[Guest]) -> Failure {
    let places: Vec<String> = holders.iter().map(Guest::place).collect();
    let words = format!("several VMs are named '{name}': {}", places.join(", "));
    let hint = "--vmid N says which of them is meant";
    let facts = facts_of_guest(holders.first());
    failure(Kind::Ambiguous, words, hint, facts)
}

/// The VMID that was asked for is another guest's.
pub fn vmid_taken(vmid: Vmid, guest: Result<&Guest, &VmidState>) -> Failure {
    let by = match guest {
        Ok(guest) => guest.to_string(),
        Err(VmidState::Hidden) => "a guest that this token cannot see".to_owned(),
        Err(_) => "a VM that is being made".to_owned(),
    };
    let words = format!("VMID {vmid} is taken by {by}");
    let hint = "choose another VMID, or leave --vmid out to get a free one";
    let facts = Facts {
        vmid: Some(vmid),
        ..facts_of_guest(guest.ok())
    };
    failure(Kind::VmidTaken, words, hint, facts)
}

/// The clone's task has failed.
pub fn task_failed(vm: &Vm, undecided: bool, is_seen: bool, failed: Failed) -> Failure {
    let Failed { upid, words, log } = failed;
    let (more, hint) = match (undecided, is_seen) {
        (true, _) => (
            "; an earlier request may still make the VM",
            RESUME.to_owned(),
        ),
        (_, false) => (
            "; whether it left a VM behind cannot be seen",
            RESUME.to_owned(),
        ),
        _ if Refusal::of(&words, vm.vmid) == Refusal::LeftOver => {
            ("", how_to_remove_left_over_volumes(vm))
        }
        _ => {
            let hint = hint_for_task(&words);
            ("", hint.unwrap_or_else(|| how_to_read_log(&upid)))
        }
    };
    let words = format!("Task failed: {words}{more}");
    let started = if undecided || !is_seen {
        Started::Unknown
    } else {
        Started::No
    };
    let facts = vm.facts(started).of_task(&upid);
    failure(Kind::TaskFailed, words, hint, facts).with_log(log)
}

fn how_to_remove_left_over_volumes(vm: &Vm) -> String {
    let Vm { vmid, node, .. } = vm;
    format!(
        "an earlier guest {vmid} has left that behind; on node '{node}', 'pvesm list STORAGE --vmid {vmid}' \
         names it and 'pvesm free VOLUME' removes it; or choose another VMID, or leave --vmid out"
    )
}

/// Names the templates at these places, if one of them could be cloned instead.
pub fn with_other_templates(failure: Failure, others: &[String]) -> Failure {
    if others.is_empty() || !blames_template(&failure.message) {
        return failure;
    }
    let other = format!(
        "other templates have the same name: {}; a VMID instead of the name chooses one",
        others.join(", ")
    );
    let hint = match &failure.hint {
        Some(hint) => format!("{hint}; {other}"),
        None => other,
    };
    failure.with_hint(hint)
}

/// What goes on cannot be looked at any more.
pub fn outcome_unseen(stage: &Stage, source: &pve::Error) -> Failure {
    let what = match stage {
        Stage::Cloning(vm, _) => format!("how the clone to {vm} ends, it may still be running"),
        stage => format!("what becomes of it: {stage}"),
    };
    let words = format!("do not know {what}: {}", chain(source));
    let hint = with_more(stage.hint(), Some(source));
    failure(Kind::OutcomeUnknown, words, hint, stage.facts())
}

/// The budget has ended at this stage.
pub fn timed_out(
    seconds: f64,
    stage: &Stage,
    unseen: Option<&pve::Error>,
    doubt: Option<&Doubt>,
) -> Failure {
    let doubt = doubt.filter(|_| unseen.is_none());
    let why = doubt.map_or_else(String::new, |doubt| format!("; {doubt}"));
    let at = stage.as_last_seen(unseen.as_ref());
    let words = format!("Timed out after {seconds} s; {at}{why}");
    let lost = match doubt {
        Some(Doubt::Lost { why }) => Some(&**why),
        _ => None,
    };
    let hint = with_more(stage.hint(), unseen.or(lost));
    failure(Kind::Timeout, words, hint, stage.facts())
}

/// Whether a VM that an earlier run has created still exists cannot be seen; `late` is the whole budget in
/// seconds, if it has ended.
pub fn created_unseen(vm: &Vm, late: Option<f64>, unseen: Option<&pve::Error>) -> Failure {
    let after = late.map(|seconds| format!("Timed out after {seconds} s; "));
    let why = unseen.map(|why| format!(": {why}"));
    let words = format!(
        "{}an earlier run has made {vm}, which cannot be looked at{}",
        after.unwrap_or_default(),
        why.unwrap_or_default()
    );
    let kind = match (late, unseen) {
        (None, Some(error)) => kind_of(error),
        _ => Kind::Timeout,
    };
    let hint = with_more(RESUME.to_owned(), unseen);
    failure(kind, words, hint, vm.facts(Started::Unknown))
}

/// This token may not see who has the VMID of a VM that was asked for, or that was created.
pub fn hidden(run: &Run, vm: &Vm, was_created: bool) -> Failure {
    let hint = format!(
        "{RESUME}, once it may: {}",
        how_to_see_vms(run.server.pve.token())
    );
    if was_created {
        let words =
            format!("cannot see {vm}, which an earlier run has made: the token needs VM.Audit");
        return failure(Kind::Forbidden, words, hint, vm.facts(Started::Unknown));
    }
    let words = format!("cannot see {vm}: somebody has that VMID, and the token needs VM.Audit");
    let facts = vm.facts(Started::Unknown);
    failure(Kind::OutcomeUnknown, words, hint, facts)
}
