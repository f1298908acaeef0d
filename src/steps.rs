//! Carries out operations on a VM that exists. Independent of any command.
//!
//! - An operation proceeds in turns. In each it polls its task, or reads the VM's state and requests only what
//!   is missing. So several VMs can take turns, and one that waits does not delay the others.
//! - Right before each change it checks that the VM is still the same one: its VMID may have been reused.
//! - After a temporary failure it repeats the request, with growing pauses. After a lost answer it first reads
//!   the state again. So each request must be idempotent.

pub mod address;
mod cause;
pub mod convert;
pub mod delete;
pub mod power;
mod request;
pub mod side_by_side;
mod state;

use std::time::Duration;

pub use self::cause::{Cause, fix_and_resume};

use crate::pve::types::{Pool, Upid};
use crate::pve::{self, Delivery, Pve};
use crate::say::failure::Failure;
use crate::say::stage::{Stage, Step, StepTask, Unfinished};
use crate::say::vm::{Existing, Vm};
use crate::ui::progress::Activity;
use crate::wait::server::Server;
use crate::wait::{BackOff, Budget, GaveUp, RestartGrace};

/// Carries out operations.
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

/// What an operation needs next.
pub enum Next<'q> {
    /// Nothing.
    Done,
    /// This request, and then nothing more.
    Last(Request<'q>),
    /// This request, and then its effect is checked.
    Then(Request<'q>),
    /// Some time.
    Wait,
}

/// Why a turn ends early.
pub enum Stop {
    /// Something could not be read now, and probably can after a pause.
    NotYet,
    /// The operation has failed.
    Failed(Cause),
}

impl From<Cause> for Stop {
    fn from(cause: Cause) -> Stop {
        Stop::Failed(cause)
    }
}

/// What to do about a request that was refused, or whose task has failed.
pub enum AfterRefusal {
    /// It is a failure, unless the message is known to be temporary.
    Fail,
    /// It is a failure for this reason.
    FailBecause(Cause),
    /// The state is read again, as after a temporary failure.
    CheckAgain,
}

/// An operation on a VM.
pub trait Operation<'q> {
    /// What is needed next. Called in each turn in which no task of the operation is running.
    fn next(&mut self, active: &mut ActiveStep) -> Result<Next<'q>, Stop>;

    /// What a refusal with this message means.
    fn after_refusal(&mut self, _message: &str, _vm: &Vm) -> AfterRefusal {
        AfterRefusal::Fail
    }

    /// The time limit was reached, and the operation is not done.
    fn at_time_limit(&mut self, _active: &mut ActiveStep, cause: Cause) -> Result<(), Cause> {
        Err(cause)
    }
}

impl<'q, F: FnMut(&mut ActiveStep) -> Result<Next<'q>, Stop>> Operation<'q> for F {
    fn next(&mut self, active: &mut ActiveStep) -> Result<Next<'q>, Stop> {
        self(active)
    }
}

/// The result of a turn.
pub enum Turn {
    /// Nothing is left to do.
    Done,
    /// The next turn is due after this pause.
    After(Duration),
}

/// A step that is being carried out.
#[allow(
    clippy::struct_excessive_bools,
    reason = "independent facts about the step"
)]
pub struct ActiveStep<'r> {
    engine: Engine<'r>,
    unfinished: Unfinished,
    slot: Option<usize>,
    back_off: BackOff<'r>,
    announced: Option<String>,
    /// Whether the request of the running task is the last one.
    is_last: bool,
    /// Whether any change was requested.
    pub has_requested: bool,
    /// A change was requested, and its outcome is unknown.
    is_undecided: bool,
    grace: RestartGrace,
    /// Since when the configuration could not be read.
    missing_since: Option<Duration>,
    /// What the last turn failed with; absent if there was no turn yet.
    trouble: Option<Trouble>,
    last_note: Option<String>,
    /// How many lines of the running task's log were read.
    lines_read: usize,
    is_polling_task: bool,
    was_carried_out: bool,
    change_grace: RestartGrace,
}

/// What prevented a turn from finishing the operation.
enum Trouble {
    Nothing,
    /// A temporary refusal, or an unknown outcome.
    Message(String),
    Request(pve::Error),
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
    Refused {
        message: String,
        by: RefusedBy,
    },
}

/// What has refused a change.
enum RefusedBy {
    Request(pve::Error),
    Task(Upid),
}

impl<'r> Engine<'r> {
    /// Carries out a step on a VM. Returns whether anything was requested.
    pub fn run(
        self,
        existing: &mut Existing,
        step: Step,
        operation: &mut dyn Operation<'_>,
    ) -> Result<bool, Failure> {
        let mut active = self.begin(existing.clone(), step, None);
        let mut pauses = self.server.budget.pauses();
        let result = loop {
            match active.turn(operation) {
                Err(cause) => break Err(cause),
                Ok(Turn::Done) => break Ok(()),
                Ok(Turn::After(pause)) if pause.is_zero() => {}
                Ok(Turn::After(pause)) => {
                    if !pauses.pause(pause) {
                        break active.time_limit_reached(operation);
                    }
                }
            }
        };
        let result = result.map_err(|cause| active.failure(cause));
        let has_requested = active.has_requested;
        *existing = active.unfinished.existing;
        result.map(|()| has_requested)
    }

    /// Begins a step on a VM. `slot` is its place among several VMs.
    pub fn begin(self, existing: Existing, step: Step, slot: Option<usize>) -> ActiveStep<'r> {
        let active = ActiveStep {
            engine: self,
            unfinished: Unfinished {
                existing,
                step,
                task: StepTask::None,
            },
            slot,
            back_off: BackOff::new(&self.server.budget),
            announced: None,
            is_last: false,
            has_requested: false,
            is_undecided: false,
            grace: RestartGrace::default(),
            missing_since: None,
            trouble: None,
            last_note: None,
            lines_read: 0,
            is_polling_task: false,
            was_carried_out: false,
            change_grace: RestartGrace::default(),
        };
        active.report_stage();
        active
    }
}

impl<'r> ActiveStep<'r> {
    /// Proceeds as far as possible without a pause.
    pub fn turn(&mut self, operation: &mut dyn Operation<'_>) -> Result<Turn, Cause> {
        let interval = Turn::After(self.budget().interval);
        if let (true, StepTask::Running(upid)) = (self.is_polling_task, &self.unfinished.task) {
            let upid = upid.clone();
            return match self.poll_task(&upid) {
                Ok(Some(outcome)) => self.judge_outcome(outcome, operation),
                Ok(None) | Err(Stop::NotYet) => Ok(interval),
                Err(Stop::Failed(cause)) => Err(cause),
            };
        }
        let (request, is_last) = match operation.next(self) {
            Err(Stop::Failed(cause)) => return Err(cause),
            Err(Stop::NotYet) => {
                // The VM may be replaced during the pause.
                self.unfinished.existing.config = None;
                return Ok(interval);
            }
            Ok(Next::Wait) => {
                self.trouble = Some(Trouble::Nothing);
                return Ok(interval);
            }
            Ok(Next::Done) => return Ok(Turn::Done),
            Ok(Next::Last(request)) => (request, true),
            Ok(Next::Then(request)) => (request, false),
        };
        self.is_last = is_last;
        match self.send(&request) {
            Ok(Some(outcome)) => self.judge_outcome(outcome, operation),
            // The task is polled once other VMs have had their turn.
            Ok(None) => Ok(Turn::After(Duration::ZERO)),
            Err(Stop::NotYet) => Ok(interval),
            Err(Stop::Failed(cause)) => Err(cause),
        }
    }

    /// What to do after this outcome of the last request.
    fn judge_outcome(
        &mut self,
        outcome: Outcome,
        operation: &mut dyn Operation<'_>,
    ) -> Result<Turn, Cause> {
        self.was_carried_out = matches!(outcome, Outcome::Done);
        let outcome = match outcome {
            Outcome::Refused { message, by } => {
                match operation.after_refusal(&message, self.vm()) {
                    AfterRefusal::FailBecause(cause) => return Err(cause),
                    AfterRefusal::CheckAgain => Outcome::Temporary(message),
                    AfterRefusal::Fail => match self.temporary(&message) {
                        Some(outcome) => outcome,
                        None => return Err(self.refused(message, by)),
                    },
                }
            }
            outcome => outcome,
        };
        let (note, why) = match outcome {
            Outcome::Done if self.is_last => return Ok(Turn::Done),
            Outcome::Done | Outcome::NoQuorum | Outcome::Refused { .. } => {
                return Ok(Turn::After(Duration::ZERO));
            }
            Outcome::Temporary(why) => (format!("Temporary failure ({why}); retrying..."), why),
            Outcome::Outdated(why) => (
                format!("The configuration has changed ({why}); reading it again..."),
                why,
            ),
            Outcome::Unknown(why) => {
                self.is_undecided = true;
                let note = format!("Outcome unknown ({why}); checking whether it took effect...");
                (note, why)
            }
        };
        // A reason that stays the same is reported once.
        if self.last_note.as_ref() != Some(&note) {
            self.engine.server.progress.note(&note);
            self.last_note = Some(note);
        }
        self.trouble = Some(Trouble::Message(why));
        Ok(Turn::After(self.back_off.next_pause()))
    }

    /// The time limit was reached. What that means for the operation.
    pub fn time_limit_reached(&mut self, operation: &mut dyn Operation<'_>) -> Result<(), Cause> {
        self.engine.server.progress.gave_up();
        let is_ongoing = self.is_undecided || self.is_polling_task;
        let cause = match self.trouble.take() {
            Some(Trouble::Request(error)) if is_ongoing => {
                self.outcome_unknown(GaveUp::TimedOut(Some(error)))
            }
            Some(Trouble::Request(error)) => self.request_failed(error),
            Some(Trouble::Message(why)) => self.timed_out(Some(why)),
            Some(Trouble::Nothing) | None => self.timed_out(None),
        };
        operation.at_time_limit(self, cause)
    }

    /// The failure of this step for this reason.
    pub fn failure(&self, cause: Cause) -> Failure {
        cause.failure(&self.unfinished, self.engine.pool)
    }

    /// The VM once the step is done.
    pub fn finish(&mut self) -> Existing {
        if self.unfinished.existing.named_by.is_some() {
            self.unfinished.existing.was_changed |= self.has_requested;
            self.unfinished.task = StepTask::Done;
            self.report_stage();
        }
        self.unfinished.existing.clone()
    }

    /// Continues with another step on the same VM.
    pub fn set_step(&mut self, step: Step) {
        if self.unfinished.step != step {
            self.unfinished.step = step;
            self.report_stage();
        }
    }

    /// The time limit.
    pub fn budget(&self) -> Budget<'r> {
        self.engine.server.budget
    }

    /// The VM.
    pub fn vm(&self) -> &Vm {
        &self.unfinished.existing.vm
    }

    /// What is known about the VM.
    pub fn existing(&self) -> &Existing {
        &self.unfinished.existing
    }

    /// Adds what was found out about the VM.
    pub fn existing_mut(&mut self) -> &mut Existing {
        &mut self.unfinished.existing
    }

    /// The last task of this step, or the one that created the VM.
    pub fn upid(&self) -> Option<Upid> {
        self.unfinished.facts().upid
    }

    /// Whether the last request was carried out, according to the server.
    pub fn was_carried_out(&self) -> bool {
        self.was_carried_out
    }

    /// Whether a change was requested whose outcome is unknown.
    pub fn is_undecided(&self) -> bool {
        self.is_undecided
    }

    /// Reports that an activity begins. Repetitions are not reported.
    pub fn announce(&mut self, activity: &Activity) {
        let label = activity.label();
        if self.announced.as_ref() != Some(&label) {
            self.announced = Some(label);
            let existing = &self.unfinished.existing;
            self.engine
                .server
                .progress
                .begin_activity(existing, activity);
        }
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

    fn report_stage(&self) {
        let stage = Stage::SettingUp(self.unfinished.clone());
        self.engine.server.progress.set_stage_of(self.slot, stage);
    }
}
