//! Why a step was not carried out, and what to do about it.

use crate::pve;
use crate::pve::types::{Guest, Node, Pool, Upid};
use crate::say::failure::{Failure, Kind, Started, chain, kind_of};
use crate::say::hint::refusal::{ChangedVm, NO_QUORUM};
use crate::say::hint::{SHOW_VMS, hint_for_change, hint_for_task, with_more};
use crate::say::stage::{Step, StepTask, Unfinished};
use crate::say::vm::{Existing, Vm};
use crate::wait::task::how_to_read_log;

/// Why a step was not carried out.
#[derive(Debug)]
pub enum Cause {
    /// The server has refused the request, or did not receive it.
    Request {
        /// How the request failed.
        source: Box<pve::Error>,
    },
    /// The task failed.
    Task {
        /// The task.
        upid: Upid,
        /// Its exit status.
        status: String,
        /// The last lines of its log.
        log: Vec<String>,
    },
    /// The time limit was reached.
    TimedOut {
        /// The time limit.
        seconds: f64,
        /// What prevented the step until then, if that is known.
        last: Option<String>,
        /// What to do about that, if resuming is not enough.
        hint: Option<String>,
    },
    /// It was requested, and its outcome is unknown.
    OutcomeUnknown {
        /// The time limit, if it was reached.
        seconds: Option<f64>,
        /// Why.
        why: String,
        /// The failed poll, if that is why.
        error: Option<Box<pve::Error>>,
    },
    /// The VM was destroyed.
    Gone {
        /// What has its VMID now, if anything.
        vmid_has: Option<String>,
    },
    /// The state of the VM does not permit it.
    State {
        /// That state.
        message: String,
        /// What to do about it.
        hint: String,
    },
}

/// What to do about a wrong option. A VM that this command did not create is changed with --ensure only.
pub fn fix_and_resume(existing: &Existing) -> &'static str {
    if existing.created {
        "fix the setting and run the same command with --ensure"
    } else {
        "fix the setting and run the same command again"
    }
}

/// What to do about a task that has failed.
fn after_failed_task(upid: &Upid, status: &str, existing: &Existing) -> String {
    let hint = hint_for_task(status).unwrap_or_else(|| how_to_read_log(upid));
    format!("{hint}; once the cause is fixed, {}", existing.resume())
}

/// The VM does not exist any more; `vmid_has` has its VMID.
fn explain_loss(vmid_has: Option<String>, unfinished: &Unfinished) -> (Kind, String, String) {
    let Unfinished {
        existing,
        step,
        task,
    } = unfinished;
    let may_be_renamed = vmid_has.is_some() && existing.identity.is_none();
    let done = if may_be_renamed {
        "it was renamed or deleted"
    } else {
        "it was deleted"
    };
    let name = format!("'{}'", existing.vm.name);
    let has_name = vmid_has.as_ref().is_some_and(|other| other.contains(&name));
    let message = match vmid_has {
        None => done.to_owned(),
        Some(other) => {
            // A request names only the VMID.
            let is_by_vmid = existing.named_by.is_some() || *step == Step::Convert;
            let changed = if is_by_vmid && *task != StepTask::None {
                "may have been"
            } else {
                "was not"
            };
            format!("{done}, and its VMID now belongs to {other}, which {changed} changed")
        }
    };
    if existing.named_by.is_some() {
        return (Kind::VmNotFound, message, SHOW_VMS.to_owned());
    }
    // Next to a VM, no template of its name is created.
    let first = if has_name && existing.import.is_some() {
        "choose another name, or rename that one and "
    } else {
        ""
    };
    let hint = format!("{SHOW_VMS}; {first}run the same command to create a new one");
    (Kind::Failed, message, hint)
}

/// What is certain at the time limit.
fn state_at_time_limit(unfinished: &Unfinished, is_explained: bool) -> String {
    let Unfinished {
        existing,
        step,
        task,
    } = unfinished;
    match task {
        StepTask::Requested | StepTask::Running(_) => step.ongoing(),
        _ if existing.named_by.is_none() => step.ongoing(),
        StepTask::Ended(_) if !is_explained => step.unknown(),
        _ => step.failed(),
    }
}

/// What to do about a refused change, and how to resume.
fn how_to_resume(refused: &pve::Error, existing: &Existing, pool: Option<&Pool>) -> String {
    let vm = ChangedVm {
        vmid: existing.vm.vmid,
        node: &existing.vm.node,
        pool: pool.filter(|_| existing.created),
    };
    let resume = existing.resume();
    match (refused, hint_for_change(refused, &vm)) {
        (pve::Error::Refused { status: 400, .. }, _) if existing.named_by.is_none() => {
            fix_and_resume(existing).to_owned()
        }
        (_, Some(hint)) => format!("{hint}; then {resume}"),
        (_, None) => resume.to_owned(),
    }
}

impl Cause {
    /// The VM no longer exists, because this guest has its VMID.
    pub(super) fn replaced_by(guest: &Guest) -> Cause {
        let vmid_has = Some(guest.to_string());
        Cause::Gone { vmid_has }
    }

    /// The VM no longer exists, because a VM that is being created has its VMID.
    pub(super) fn replaced_by_new_vm() -> Cause {
        Cause::Gone {
            vmid_has: Some("a VM that is being created".to_owned()),
        }
    }

    /// The VM has another name now.
    pub(super) fn renamed(existing: &Existing, name: &str, node: &Node) -> Cause {
        let (vmid, resume) = (existing.vm.vmid, existing.resume());
        Cause::State {
            message: format!("it was renamed to '{name}', so nothing more was changed"),
            hint: match existing.named_by {
                Some(_) => "run the command with the new name".to_owned(),
                None => format!(
                    "to restore its name, on node '{node}': qm set {vmid} --name {}; then {resume}",
                    existing.vm.name
                ),
            },
        }
    }

    /// The VM is a template.
    pub(super) fn is_template() -> Cause {
        Cause::State {
            message: "it is a template".to_owned(),
            hint: SHOW_VMS.to_owned(),
        }
    }

    /// The VM's deletion was cut off, and its VMID stays taken.
    pub(super) fn half_deleted(Vm { vmid, node, .. }: &Vm) -> Cause {
        Cause::State {
            message: "its deletion has begun, and may have been cut off: the VM still exists, but its disks may \
                      already be gone"
                .to_owned(),
            hint: format!(
                "if no task deletes it any more, on node '{node}', as root: qm unlock {vmid} && qm destroy {vmid} \
                 --destroy-unreferenced-disks 1"
            ),
        }
    }

    /// The VM exists, but its configuration is on no node.
    pub(super) fn not_found(existing: &Existing) -> Cause {
        Cause::State {
            message: "its configuration cannot be found on any node".to_owned(),
            hint: format!("it may be migrating; {}", existing.resume()),
        }
    }

    /// The cluster cannot carry out a change.
    pub(super) fn no_quorum(existing: &Existing, why: &str, has_changed: bool) -> Cause {
        let more = if has_changed { " more" } else { "" };
        Cause::State {
            message: format!("the cluster has no quorum ({why}), so nothing{more} was changed"),
            hint: format!("{NO_QUORUM}; then {}", existing.resume()),
        }
    }

    /// The VM is not complete yet.
    pub(super) fn being_created() -> Cause {
        Cause::State {
            message: "it is being created".to_owned(),
            hint: "run the same command again once it exists; if nothing is creating it, a clone was cut off, \
                   and 'homelab help troubleshooting' says how to remove it"
                .to_owned(),
        }
    }

    /// The failure of a step that was not carried out, or may not have been.
    pub(super) fn failure(self, unfinished: &Unfinished, pool: Option<&Pool>) -> Failure {
        let Unfinished { existing, step, .. } = unfinished;
        let is_named = existing.named_by.is_some();
        let mut facts = unfinished.facts();
        let mut log = Vec::new();
        match &self {
            Cause::Task {
                upid, log: lines, ..
            } => {
                facts.upid = Some(upid.clone());
                log.clone_from(lines);
            }
            Cause::Gone { vmid_has } if !is_named => {
                let may_be_renamed = vmid_has.is_some() && existing.identity.is_none();
                facts.started = if may_be_renamed {
                    Started::Unknown
                } else {
                    Started::No
                };
            }
            _ => {}
        }
        let (kind, message, hint) = self.explained(unfinished, pool);
        let message = if is_named {
            format!("Failed to {} {}: {message}", step.infinitive(), existing.vm)
        } else {
            format!("{existing}, but {message}")
        };
        Failure::new(kind, message)
            .with_hint(hint)
            .about(facts)
            .with_log(log)
            .of_existing_vm()
    }

    /// The kind, what happened, and what to do about it.
    fn explained(self, unfinished: &Unfinished, pool: Option<&Pool>) -> (Kind, String, String) {
        let Unfinished { existing, step, .. } = unfinished;
        let is_named = existing.named_by.is_some();
        let after = |seconds: f64| format!("after {seconds} s ");
        // For a VM that the user named, the message begins with that.
        let failed = if is_named {
            String::new()
        } else {
            format!("{}: ", step.failed())
        };
        match self {
            Cause::Request { source } => (
                kind_of(&source),
                format!("{failed}{}", chain(&*source)),
                how_to_resume(&source, existing, pool),
            ),
            Cause::Task { upid, status, .. } => {
                let hint = after_failed_task(&upid, &status, existing);
                let message = format!("{failed}Task failed: {status}");
                (Kind::TaskFailed, message, hint)
            }
            Cause::TimedOut {
                seconds,
                last,
                hint,
            } => {
                let state = state_at_time_limit(unfinished, last.is_some());
                let last = last.map_or_else(String::new, |why| format!(": {why}"));
                let message = format!("{}{state}{last}", after(seconds));
                (
                    Kind::Timeout,
                    message,
                    hint.unwrap_or_else(|| unfinished.hint()),
                )
            }
            Cause::OutcomeUnknown {
                seconds,
                why,
                error,
            } => {
                let kind = seconds.map_or(Kind::OutcomeUnknown, |_| Kind::Timeout);
                let after = seconds.map(after).unwrap_or_default();
                let message = format!("{after}{}: {why}", step.unknown());
                (
                    kind,
                    message,
                    with_more(unfinished.hint(), error.as_deref()),
                )
            }
            Cause::Gone { vmid_has } => explain_loss(vmid_has, unfinished),
            Cause::State { message, hint } => (Kind::Failed, message, hint),
        }
    }
}
