//! The engine of what is done for a VM that exists: it knows no command and no option.
//!
//! - A step reads the VM's configuration, and asks only for what is missing.
//! - Right before each change, the VM must still be the one that the run is about: its VMID may have been
//!   reused.
//! - It waits for the task, if the server starts one.
//! - What passes by itself is asked for again, with growing pauses; after a lost answer the configuration
//!   is read before anything is asked again. So each request must have the same effect twice as once.

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

/// Takes steps.
#[derive(Clone, Copy)]
pub struct Engine<'r> {
    /// The server, and the time there is.
    pub server: Server<'r>,
    /// Hides secrets in the server's words, which may repeat what it was sent.
    pub mask: &'r dyn Fn(String) -> String,
    /// The pool of a VM that this command created.
    pub pool: Option<&'r Pool>,
}

/// A request for a change, and the task that the server begins for it, if it begins one.
pub type Request<'q> = Box<dyn Fn(&Pve, &Vm) -> Result<Option<Upid>, pve::Error> + 'q>;

/// A step that is being taken.
pub struct ActiveStep<'r> {
    engine: Engine<'r>,
    unfinished: Unfinished,
    is_announced: bool,
    /// Something was asked for, and what came of it is not known.
    is_undecided: bool,
}

/// What came of a request.
enum Outcome {
    Done,
    /// Something is locked or slow for a moment.
    Temporary(String),
    /// The configuration has changed since it was read.
    Outdated(String),
    /// The host had no quorum. The next one is asked from now on.
    NoQuorum,
    /// It is not known, for this reason, whether it was done.
    Unknown(String),
}

impl<'r> Engine<'r> {
    /// Takes a step for a VM, in whatever way `take` does. A failure begins with the VM, which exists all
    /// the same.
    pub fn take<T>(
        self,
        existing: &mut Existing,
        step: Step,
        take: impl FnOnce(&mut ActiveStep<'r>) -> Result<T, Cause>,
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
        let taken = take(&mut active);
        let taken = taken.map_err(|cause| cause.failure(&active.unfinished, self.pool));
        *existing = active.unfinished.existing;
        taken
    }
}

impl<'r> ActiveStep<'r> {
    /// Asks for what `missing` finds missing, until it finds nothing or the server has done it. Whether
    /// anything was asked for.
    pub fn until_done<'q>(
        &mut self,
        mut missing: impl FnMut(&mut Self) -> Result<Option<Request<'q>>, Cause>,
    ) -> Result<bool, Cause> {
        let mut back_off = BackOff::new(&self.engine.server.budget);
        let (mut has_asked, mut last_note) = (false, None);
        while let Some(request) = missing(self)? {
            has_asked = true;
            let (note, why) = match self.ask(&request)? {
                Outcome::Done => return Ok(true),
                Outcome::NoQuorum => continue,
                Outcome::Temporary(why) => (format!("Trying again until this passes: {why}"), why),
                Outcome::Outdated(why) => (
                    format!("The configuration has changed meanwhile ({why}); reading it again..."),
                    why,
                ),
                Outcome::Unknown(why) => {
                    self.is_undecided = true;
                    let note =
                        format!("Outcome unknown ({why}); checking whether it took effect...");
                    (note, why)
                }
            };
            // What goes on for the same reason is told once.
            if last_note.as_ref() != Some(&note) {
                self.engine.server.progress.note(&note);
                last_note = Some(note);
            }
            if !back_off.pause() {
                return Err(self.time_is_up(Some(why)));
            }
        }
        Ok(has_asked)
    }

    /// The time there is.
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

    /// The VM's configuration: the one that was read last, or a new one if something was changed since. An
    /// error if the VM is no longer there. One that has moved is followed to its node.
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
                // This says which privilege is missing.
                VmidState::Hidden | VmidState::Appeared if is_early() => {
                    pve.vm_config(&vm.node, vm.vmid).map(|_| Poll::NotYet)?
                }
                // The configuration of a new or moved VM may not have reached every node yet.
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
            .may_be(&identity)
        {
            return Err(Cause::replaced_by(&config.into_guest(vm.vmid, vm.node)));
        }
        existing.vm = vm;
        existing.config = Some(config.clone());
        Ok(config)
    }

    /// Reads the configuration once more, for the VM may have moved or be gone.
    pub fn read_config_again(&mut self) -> Result<VmConfig, Cause> {
        self.unfinished.existing.config = None;
        self.config()
    }

    /// Why the VM is not there any more, if that can be seen.
    pub fn why_gone(&mut self) -> Option<Cause> {
        let cause = self.read_config_again().err()?;
        matches!(cause, Cause::Gone { .. } | Cause::State { .. }).then_some(cause)
    }

    /// Why this guest, which has the VMID by now, is not the VM.
    fn cause_of(&self, pve: &Pve, guest: &Guest) -> Result<Cause, pve::Error> {
        let mut identity = None;
        if guest.is_vm() {
            let config = pve.vm_config(&guest.node, guest.vmid)?;
            identity = config.map(|config| config.identity());
        }
        let first = self.unfinished.existing.identity.as_ref();
        let is_same = first
            .zip(identity)
            .is_some_and(|(first, now)| first.may_be(&now));
        Ok(match &guest.name {
            Some(name) if is_same => Cause::State {
                words: format!("somebody has renamed it to '{name}'; it was not changed any more"),
                hint: format!(
                    "to give its name back, on node '{}': qm set {} --name {}; then {RESUME}",
                    guest.node,
                    guest.vmid,
                    self.vm().name
                ),
            },
            _ => Cause::replaced_by(guest),
        })
    }

    /// Whether the VM runs.
    pub fn is_running(&self) -> Result<bool, Cause> {
        self.read(|pve, vm| pve.is_running(&vm.node, vm.vmid).map(Poll::Done))
    }

    /// Reports what is being done, once.
    pub fn announce(&mut self, activity: &Activity) {
        if !self.is_announced {
            self.is_announced = true;
            let existing = &self.unfinished.existing;
            self.engine.server.progress.doing(existing, activity);
        }
    }

    /// Looks until done, however long looks fail.
    pub fn watch<T>(
        &self,
        mut look: impl FnMut(&Pve, &Vm) -> Result<Poll<T>, pve::Error>,
    ) -> Result<T, GaveUp<pve::Error>> {
        self.engine.server.poll(true, |pve| look(pve, self.vm()))
    }

    /// What came of a request that may have been carried out is looked for to the end.
    fn read<T>(
        &self,
        mut look: impl FnMut(&Pve, &Vm) -> Result<Poll<T>, pve::Error>,
    ) -> Result<T, Cause> {
        let server = self.engine.server;
        let seen = server.poll(self.is_undecided, |pve| look(pve, self.vm()));
        seen.map_err(|gave_up| match gave_up {
            _ if self.is_undecided => self.outcome_unknown(gave_up),
            GaveUp::TimedOut(None) => self.time_is_up(None),
            GaveUp::TimedOut(Some(error)) | GaveUp::Failed(error) => self.request_failed(error),
        })
    }

    /// The budget has ended; what was in the way at last.
    pub fn time_is_up(&self, last: Option<String>) -> Cause {
        let seconds = self.engine.server.budget.seconds();
        match last {
            Some(words) if self.is_undecided => Cause::OutcomeUnknown {
                seconds: Some(seconds),
                why: words,
                error: None,
            },
            last => Cause::TimedOut {
                seconds,
                last,
                hint: None,
            },
        }
    }

    /// Something was asked for, and the looks at what came of it ended like this.
    pub fn outcome_unknown(&self, gave_up: GaveUp<pve::Error>) -> Cause {
        let (seconds, error) = match gave_up {
            GaveUp::TimedOut(None) => return self.time_is_up(None),
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

    /// The server has refused, or has not answered.
    pub fn request_failed(&self, error: pve::Error) -> Cause {
        let error = self.masked(error);
        if self.engine.server.budget.left().is_zero() && error.delivery() != Delivery::Refused {
            return self.time_is_up(Some(error.to_string()));
        }
        let source = Box::new(error);
        Cause::Request { source }
    }

    fn masked(&self, error: pve::Error) -> pve::Error {
        error.map_message(self.engine.mask)
    }

    fn ask(&mut self, request: &Request) -> Result<Outcome, Cause> {
        // Only a VM that was seen to be the right one is changed.
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
                let why = format!("the server does not know the task any more: {upid}");
                return Ok(Outcome::Unknown(why));
            }
            // It goes on all the same, and what it does can be seen in the VM.
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
            ExitStatus::Failed(words) => {
                let words = mask(words);
                self.temporary(&words).ok_or_else(|| {
                    let lines = task::last_lines(server, &upid).into_iter();
                    let log = lines.map(mask).collect();
                    Cause::Task { upid, words, log }
                })
            }
        }
    }

    /// What a refusal in these words means, unless it is final. That the VM runs already may be somebody
    /// else's doing, or that of an earlier request.
    fn temporary(&self, words: &str) -> Option<Outcome> {
        if is_outdated(words) {
            return Some(Outcome::Outdated(words.to_owned()));
        }
        let is_running = format!("VM {} already running", self.vm().vmid);
        let passes = is_temporary(words) || words.contains(&is_running);
        passes.then(|| Outcome::Temporary(words.to_owned()))
    }

    fn report_stage(&self) {
        let stage = Stage::SettingUp(self.unfinished.clone());
        self.engine.server.progress.set_stage(stage);
    }
}

/// Why a step was not taken.
#[derive(Debug)]
pub enum Cause {
    /// The server has refused the request, or has not got it.
    Request {
        /// How.
        source: Box<pve::Error>,
    },
    /// The task failed.
    Task {
        /// Which.
        upid: Upid,
        /// Its exit status.
        words: String,
        /// The last lines of its log.
        log: Vec<String>,
    },
    /// The budget has ended.
    TimedOut {
        /// All of it.
        seconds: f64,
        /// What was in the way at last, if that is known.
        last: Option<String>,
        /// What to do about that, where it is more than to resume.
        hint: Option<String>,
    },
    /// It was asked for, and what came of it was not seen.
    OutcomeUnknown {
        /// The whole budget, if it has ended.
        seconds: Option<f64>,
        /// What was in the way.
        why: String,
        /// The failed look, if it was one.
        error: Option<Box<pve::Error>>,
    },
    /// The VM was destroyed meanwhile.
    Gone {
        /// What has its VMID now, if anything.
        vmid_has: Option<String>,
    },
    /// The VM is in a state that does not allow it.
    State {
        /// Which.
        words: String,
        /// What to do about it.
        hint: String,
    },
}

/// What to do where an option of the command is wrong.
pub const FIX_AND_RESUME: &str =
    "correct what it complains of, and add --ensure: that goes on with this VM";

const CREATE_ANEW: &str =
    "'homelab proxmox vm list' shows what exists; the same command creates a new VM";

fn gone(vmid_has: Option<String>, may_be_renamed: bool) -> String {
    let done = if may_be_renamed {
        "somebody has renamed or destroyed it"
    } else {
        "somebody has destroyed it"
    };
    match vmid_has {
        None => format!("{done} since"),
        Some(other) => {
            format!("{done}, and its VMID now belongs to {other}, which was not changed")
        }
    }
}

/// What to do about a refused change before the VM can be resumed.
fn how_to_resume(refused: &pve::Error, existing: &Existing, pool: Option<&Pool>) -> String {
    let vm = ChangedVm {
        vmid: existing.vm.vmid,
        node: &existing.vm.node,
        pool: pool.filter(|_| existing.created),
    };
    match (refused, hint_for_change(refused, &vm)) {
        (pve::Error::Refused { status: 400, .. }, _) => FIX_AND_RESUME.to_owned(),
        (_, Some(hint)) => format!("{hint}; then {RESUME}"),
        (_, None) => RESUME.to_owned(),
    }
}

impl Cause {
    fn replaced_by(guest: &Guest) -> Cause {
        let vmid_has = Some(guest.to_string());
        Cause::Gone { vmid_has }
    }

    /// The failure of a step that was not taken, or is not known to have been.
    fn failure(self, unfinished: &Unfinished, pool: Option<&Pool>) -> Failure {
        let step = &unfinished.step;
        let after = |seconds: f64| format!("after {seconds} s ");
        let mut facts = unfinished.facts();
        let mut log = Vec::new();
        let (kind, words, hint) = match self {
            Cause::Request { source } => (
                kind_of(&source),
                format!("{}: {}", step.failed(), chain(&*source)),
                how_to_resume(&source, &unfinished.existing, pool),
            ),
            Cause::Task {
                upid,
                words,
                log: lines,
            } => {
                let hint = hint_for_task(&words);
                let words = format!("{}: Task failed: {words}", step.failed());
                let hint = hint.unwrap_or_else(|| how_to_read_log(&upid));
                (facts.upid, log) = (Some(upid), lines);
                let hint = format!("{hint}; once that is mended, {RESUME}");
                (Kind::TaskFailed, words, hint)
            }
            Cause::TimedOut {
                seconds,
                last,
                hint,
            } => {
                let last = last.map_or_else(String::new, |why| format!(": {why}"));
                let words = format!("{}{}{last}", after(seconds), step.ongoing());
                let hint = hint.unwrap_or_else(|| unfinished.hint());
                (Kind::Timeout, words, hint)
            }
            Cause::OutcomeUnknown {
                seconds,
                why,
                error,
            } => {
                let kind = seconds.map_or(Kind::OutcomeUnknown, |_| Kind::Timeout);
                let after = seconds.map(after).unwrap_or_default();
                let words = format!("{after}{}: {why}", step.unknown());
                (kind, words, with_more(unfinished.hint(), error.as_deref()))
            }
            Cause::Gone { vmid_has } => {
                let may_be_renamed = vmid_has.is_some() && unfinished.existing.identity.is_none();
                facts.started = if may_be_renamed {
                    Started::Unknown
                } else {
                    Started::No
                };
                let words = gone(vmid_has, may_be_renamed);
                (Kind::Failed, words, CREATE_ANEW.to_owned())
            }
            Cause::State { words, hint } => (Kind::Failed, words, hint),
        };
        Failure::new(kind, format!("{}, but {words}", unfinished.existing))
            .with_hint(hint)
            .about(facts)
            .with_log(log)
            .of_existing_vm()
    }
}
