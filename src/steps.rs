//! Carries out steps on a VM that exists. Independent of any command.
//!
//! - A step reads the VM's configuration and requests only what is missing.
//! - Right before each change it checks that the VM is still the same one: its VMID may have been reused.
//! - It waits for the task, if the server starts one.
//! - After a temporary failure it repeats the request, with growing pauses. After a lost answer it first reads
//!   the configuration again. So each request must be idempotent.

use crate::guests::owner::VmidState;
use crate::pve::types::{ExitStatus, Guest, Pool, Upid};
use crate::pve::{self, Delivery, Pve, VmConfig};
use crate::say::failure::{Failure, Kind, Started, chain, kind_of};
use crate::say::hint::refusal::ChangedVm;
use crate::say::hint::{hint_for_change, hint_for_task, with_more};
use crate::say::stage::{RESUME, Stage, Step, StepTask, Unfinished};
use crate::say::vm::{Existing, Vm};
use crate::ui::progress::Activity;
use crate::wait::refusal::{is_outdated, is_temporary};
use crate::wait::server::{Server, is_no_such_task};
use crate::wait::task::{self, how_to_read_log};
use crate::wait::{BackOff, Budget, GaveUp, Poll};

/// Carries out steps.
#[derive(Clone, Copy)]
pub struct Engine<'r> {
    /// The server, and the time limit.
    pub server: Server<'r>,
    /// Hides secrets in the server's messages, which may repeat what it was sent.
    pub mask: &'r dyn Fn(String) -> String,
    /// The pool of a VM that this command created.
    pub pool: Option<&'r Pool>,
}

/// Requests a change. Returns the task, if the server starts one.
pub type Request<'q> = Box<dyn Fn(&Pve, &Vm) -> Result<Option<Upid>, pve::Error> + 'q>;

/// A step that is being carried out.
pub struct ActiveStep<'r> {
    engine: Engine<'r>,
    unfinished: Unfinished,
    is_announced: bool,
    /// A change was requested, and its outcome is unknown.
    is_undecided: bool,
}

/// The outcome of a request.
enum Outcome {
    Done,
    /// Something is locked or slow for a moment.
    Temporary(String),
    /// The configuration has changed since it was read.
    Outdated(String),
    /// The host had no quorum. The next host is asked from now on.
    NoQuorum,
    /// Unknown, for this reason.
    Unknown(String),
}

impl<'r> Engine<'r> {
    /// Carries out a step on a VM by calling `carry_out`. The message of a failure begins with the VM, because
    /// it exists nevertheless.
    pub fn run<T>(
        self,
        existing: &mut Existing,
        step: Step,
        carry_out: impl FnOnce(&mut ActiveStep<'r>) -> Result<T, Cause>,
    ) -> Result<T, Failure> {
        let mut active = ActiveStep {
            engine: self,
            unfinished: Unfinished {
                existing: existing.clone(),
                step,
                task: StepTask::None,
            },
            is_announced: false,
            is_undecided: false,
        };
        active.report_stage();
        let result = carry_out(&mut active);
        let result = result.map_err(|cause| cause.failure(&active.unfinished, self.pool));
        *existing = active.unfinished.existing;
        result
    }
}

impl<'r> ActiveStep<'r> {
    /// Sends the request that `missing` returns, until it returns none or the server has carried one out.
    /// Returns whether it sent any.
    pub fn until_done<'q>(
        &mut self,
        mut missing: impl FnMut(&mut Self) -> Result<Option<Request<'q>>, Cause>,
    ) -> Result<bool, Cause> {
        let mut back_off = BackOff::new(&self.engine.server.budget);
        let (mut has_requested, mut last_note) = (false, None);
        while let Some(request) = missing(self)? {
            has_requested = true;
            let (note, why) = match self.send(&request)? {
                Outcome::Done => return Ok(true),
                Outcome::NoQuorum => continue,
                Outcome::Temporary(why) => (format!("Temporary failure ({why}); retrying..."), why),
                Outcome::Outdated(why) => (
                    format!("The configuration has changed ({why}); reading it again..."),
                    why,
                ),
                Outcome::Unknown(why) => {
                    self.is_undecided = true;
                    let note =
                        format!("Outcome unknown ({why}); checking whether it took effect...");
                    (note, why)
                }
            };
            // A reason that stays the same is reported once.
            if last_note.as_ref() != Some(&note) {
                self.engine.server.progress.note(&note);
                last_note = Some(note);
            }
            if !back_off.pause() {
                return Err(self.timed_out(Some(why)));
            }
        }
        Ok(has_requested)
    }

    /// The time limit.
    pub fn budget(&self) -> Budget<'r> {
        self.engine.server.budget
    }

    /// The VM.
    pub fn vm(&self) -> &Vm {
        &self.unfinished.existing.vm
    }

    /// The last task of this step, or the one that created the VM.
    pub fn upid(&self) -> Option<Upid> {
        self.unfinished.facts().upid
    }

    /// The VM's configuration, read again only if something was changed since. An error if the VM no longer
    /// exists. A VM that was migrated is found on its new node.
    pub fn config(&mut self) -> Result<VmConfig, Cause> {
        if let Some(config) = &self.unfinished.existing.config {
            return Ok(config.clone());
        }
        let budget = self.budget();
        let until = budget.clock.elapsed() + budget.restart_time();
        let is_early = || budget.clock.elapsed() < until;
        let found = self.read(|pve, vm| {
            Ok(match VmidState::of(pve, vm, None)? {
                VmidState::Ours(vm, config) => Poll::Done(Ok((vm, config))),
                VmidState::Another(guest) => Poll::Done(Err(self.cause_of(pve, &guest)?)),
                // The failure of this request says which privilege is missing.
                VmidState::Hidden | VmidState::Appeared if is_early() => {
                    pve.vm_config(&vm.node, vm.vmid).map(|_| Poll::NotYet)?
                }
                // The configuration of a new or migrated VM may not have reached every node yet.
                _ if is_early() => Poll::NotYet,
                VmidState::BeingCreated { .. } => Poll::Done(Err(Cause::Gone {
                    vmid_has: Some("a VM that is being created".to_owned()),
                })),
                _ => Poll::Done(Err(Cause::Gone { vmid_has: None })),
            })
        });
        let (vm, config) = found??;
        let existing = &mut self.unfinished.existing;
        let identity = config.identity();
        if !existing
            .identity
            .get_or_insert(identity.clone())
            .may_match(&identity)
        {
            return Err(Cause::replaced_by(&config.into_guest(vm.vmid, vm.node)));
        }
        existing.vm = vm;
        existing.config = Some(config.clone());
        Ok(config)
    }

    /// Reads the configuration again: the VM may have been migrated or destroyed.
    pub fn read_config_again(&mut self) -> Result<VmConfig, Cause> {
        self.unfinished.existing.config = None;
        self.config()
    }

    /// Why the VM no longer exists, if it does not and that can be seen.
    pub fn why_gone(&mut self) -> Option<Cause> {
        let cause = self.read_config_again().err()?;
        matches!(cause, Cause::Gone { .. } | Cause::State { .. }).then_some(cause)
    }

    /// Why this guest, which has the VMID now, is not the VM.
    fn cause_of(&self, pve: &Pve, guest: &Guest) -> Result<Cause, pve::Error> {
        let mut identity = None;
        if guest.is_vm() {
            let config = pve.vm_config(&guest.node, guest.vmid)?;
            identity = config.map(|config| config.identity());
        }
        let first = self.unfinished.existing.identity.as_ref();
        let is_same = first
            .zip(identity)
            .is_some_and(|(first, now)| first.may_match(&now));
        Ok(match &guest.name {
            Some(name) if is_same => Cause::State {
                message: format!("it was renamed to '{name}', so nothing more was changed"),
                hint: format!(
                    "to restore its name, on node '{}': qm set {} --name {}; then {RESUME}",
                    guest.node,
                    guest.vmid,
                    self.vm().name
                ),
            },
            _ => Cause::replaced_by(guest),
        })
    }

    /// Whether the VM is running.
    pub fn is_running(&self) -> Result<bool, Cause> {
        self.read(|pve, vm| pve.is_running(&vm.node, vm.vmid).map(Poll::Done))
    }

    /// Reports the activity, the first time it is called.
    pub fn announce(&mut self, activity: &Activity) {
        if !self.is_announced {
            self.is_announced = true;
            let existing = &self.unfinished.existing;
            self.engine
                .server
                .progress
                .begin_activity(existing, activity);
        }
    }

    /// Polls until done. Failed polls are repeated until the time limit.
    pub fn poll<T>(
        &self,
        mut poll: impl FnMut(&Pve, &Vm) -> Result<Poll<T>, pve::Error>,
    ) -> Result<T, GaveUp<pve::Error>> {
        self.engine.server.poll(true, |pve| poll(pve, self.vm()))
    }

    /// Polls until done. After a request with an unknown outcome, failed polls are repeated until the time
    /// limit.
    fn read<T>(
        &self,
        mut poll: impl FnMut(&Pve, &Vm) -> Result<Poll<T>, pve::Error>,
    ) -> Result<T, Cause> {
        let server = self.engine.server;
        let read = server.poll(self.is_undecided, |pve| poll(pve, self.vm()));
        read.map_err(|gave_up| match gave_up {
            _ if self.is_undecided => self.outcome_unknown(gave_up),
            GaveUp::TimedOut(None) => self.timed_out(None),
            GaveUp::TimedOut(Some(error)) | GaveUp::Failed(error) => self.request_failed(error),
        })
    }

    /// The time limit was reached; `last` is what prevented the step until then.
    pub fn timed_out(&self, last: Option<String>) -> Cause {
        let seconds = self.engine.server.budget.seconds();
        match last {
            Some(why) if self.is_undecided => Cause::OutcomeUnknown {
                seconds: Some(seconds),
                why,
                error: None,
            },
            last => Cause::TimedOut {
                seconds,
                last,
                hint: None,
            },
        }
    }

    /// A change was requested, and the polls for its outcome ended like this.
    pub fn outcome_unknown(&self, gave_up: GaveUp<pve::Error>) -> Cause {
        let (seconds, error) = match gave_up {
            GaveUp::TimedOut(None) => return self.timed_out(None),
            GaveUp::TimedOut(Some(error)) => (Some(self.engine.server.budget.seconds()), error),
            GaveUp::Failed(error) => (None, error),
        };
        let error = self.masked(error);
        Cause::OutcomeUnknown {
            seconds,
            why: error.to_string(),
            error: Some(Box::new(error)),
        }
    }

    /// The server has refused a request, or has not answered it.
    pub fn request_failed(&self, error: pve::Error) -> Cause {
        let error = self.masked(error);
        if self.engine.server.budget.left().is_zero() && error.delivery() != Delivery::Refused {
            return self.timed_out(Some(error.to_string()));
        }
        let source = Box::new(error);
        Cause::Request { source }
    }

    fn masked(&self, error: pve::Error) -> pve::Error {
        error.map_message(self.engine.mask)
    }

    fn send(&mut self, request: &Request) -> Result<Outcome, Cause> {
        // Before each change: is it still the same VM?
        self.config()?;
        self.unfinished.existing.config = None;
        let server = self.engine.server;
        let error = match server.ask_for_change(|pve| request(pve, self.vm())) {
            Ok(None) => return Ok(Outcome::Done),
            Ok(Some(upid)) => return self.wait_for(upid),
            Err(error) => self.masked(error),
        };
        let refused = match &error {
            pve::Error::Refused { message, .. } => self.temporary(message),
            pve::Error::NoQuorum {
                is_another_left: true,
                ..
            } => Some(Outcome::NoQuorum),
            error if error.delivery() == Delivery::Unknown => {
                Some(Outcome::Unknown(error.to_string()))
            }
            _ => None,
        };
        refused.ok_or_else(|| self.request_failed(error))
    }

    fn wait_for(&mut self, upid: Upid) -> Result<Outcome, Cause> {
        self.unfinished.task = StepTask::Running(upid.clone());
        self.report_stage();
        let (server, mask) = (self.engine.server, self.engine.mask);
        let status = match task::wait(server, &upid, true) {
            Ok(ended) => ended.status,
            Err(GaveUp::Failed(error)) if is_no_such_task(&error) => {
                let why = format!("the server no longer knows the task: {upid}");
                return Ok(Outcome::Unknown(why));
            }
            // The task keeps running, and the VM shows its effect.
            Err(GaveUp::Failed(error)) => {
                return Ok(Outcome::Unknown(self.masked(error).to_string()));
            }
            Err(gave_up) => return Err(self.outcome_unknown(gave_up)),
        };
        self.unfinished.task = StepTask::Ended(upid.clone());
        self.report_stage();
        match status {
            ExitStatus::Ok => Ok(Outcome::Done),
            ExitStatus::Warnings(_) => {
                let warnings = task::warnings(server, &upid).into_iter();
                self.unfinished.existing.warnings.extend(warnings.map(mask));
                Ok(Outcome::Done)
            }
            ExitStatus::Unexpected => Ok(Outcome::Unknown(format!(
                "the task's worker died or its node went down: {upid}"
            ))),
            ExitStatus::Failed(status) => {
                let status = mask(status);
                self.temporary(&status).ok_or_else(|| {
                    let lines = task::last_lines(server, &upid).into_iter();
                    let log = lines.map(mask).collect();
                    Cause::Task { upid, status, log }
                })
            }
        }
    }

    /// What a refusal with this message means, unless it is final. That the VM is running already may be the
    /// effect of an earlier request, or of another user.
    fn temporary(&self, message: &str) -> Option<Outcome> {
        if is_outdated(message) {
            return Some(Outcome::Outdated(message.to_owned()));
        }
        let is_running = format!("VM {} already running", self.vm().vmid);
        let is_temporary = is_temporary(message) || message.contains(&is_running);
        is_temporary.then(|| Outcome::Temporary(message.to_owned()))
    }

    fn report_stage(&self) {
        let stage = Stage::SettingUp(self.unfinished.clone());
        self.engine.server.progress.set_stage(stage);
    }
}

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

const CREATE_AGAIN: &str =
    "'homelab proxmox vm list' lists the VMs; run the same command to create a new one";

fn gone(vmid_has: Option<String>, may_be_renamed: bool) -> String {
    let done = if may_be_renamed {
        "it was renamed or deleted"
    } else {
        "it was deleted"
    };
    match vmid_has {
        None => done.to_owned(),
        Some(other) => {
            format!("{done}, and its VMID now belongs to {other}, which was not changed")
        }
    }
}

/// What to do about a refused change, and how to resume.
fn how_to_resume(refused: &pve::Error, existing: &Existing, pool: Option<&Pool>) -> String {
    let vm = ChangedVm {
        vmid: existing.vm.vmid,
        node: &existing.vm.node,
        pool: pool.filter(|_| existing.created),
    };
    match (refused, hint_for_change(refused, &vm)) {
        (pve::Error::Refused { status: 400, .. }, _) => fix_and_resume(existing).to_owned(),
        (_, Some(hint)) => format!("{hint}; then {RESUME}"),
        (_, None) => RESUME.to_owned(),
    }
}

impl Cause {
    fn replaced_by(guest: &Guest) -> Cause {
        let vmid_has = Some(guest.to_string());
        Cause::Gone { vmid_has }
    }

    /// The failure of a step that was not carried out, or may not have been.
    fn failure(self, unfinished: &Unfinished, pool: Option<&Pool>) -> Failure {
        let step = &unfinished.step;
        let after = |seconds: f64| format!("after {seconds} s ");
        let mut facts = unfinished.facts();
        let mut log = Vec::new();
        let (kind, message, hint) = match self {
            Cause::Request { source } => (
                kind_of(&source),
                format!("{}: {}", step.failed(), chain(&*source)),
                how_to_resume(&source, &unfinished.existing, pool),
            ),
            Cause::Task {
                upid,
                status,
                log: lines,
            } => {
                let hint = hint_for_task(&status);
                let message = format!("{}: Task failed: {status}", step.failed());
                let hint = hint.unwrap_or_else(|| how_to_read_log(&upid));
                (facts.upid, log) = (Some(upid), lines);
                let hint = format!("{hint}; once the cause is fixed, {RESUME}");
                (Kind::TaskFailed, message, hint)
            }
            Cause::TimedOut {
                seconds,
                last,
                hint,
            } => {
                let last = last.map_or_else(String::new, |why| format!(": {why}"));
                let message = format!("{}{}{last}", after(seconds), step.ongoing());
                let hint = hint.unwrap_or_else(|| unfinished.hint());
                (Kind::Timeout, message, hint)
            }
            Cause::OutcomeUnknown {
                seconds,
                why,
                error,
            } => {
                let kind = seconds.map_or(Kind::OutcomeUnknown, |_| Kind::Timeout);
                let after = seconds.map(after).unwrap_or_default();
                let message = format!("{after}{}: {why}", step.unknown());
                let hint = with_more(unfinished.hint(), error.as_deref());
                (kind, message, hint)
            }
            Cause::Gone { vmid_has } => {
                let may_be_renamed = vmid_has.is_some() && unfinished.existing.identity.is_none();
                facts.started = if may_be_renamed {
                    Started::Unknown
                } else {
                    Started::No
                };
                let message = gone(vmid_has, may_be_renamed);
                (Kind::Failed, message, CREATE_AGAIN.to_owned())
            }
            Cause::State { message, hint } => (Kind::Failed, message, hint),
        };
        Failure::new(kind, format!("{}, but {message}", unfinished.existing))
            .with_hint(hint)
            .about(facts)
            .with_log(log)
            .of_existing_vm()
    }
}
