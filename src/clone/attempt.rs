//! One VMID, from the intent to the end: the VM is ours there, or never will be.
//!
//! The rule that all of this is for: once a request to clone to a VMID has got no usable answer, it
//! may be carried out at any time, so no other VMID is taken until this one is proved another's.
//! Asking again for the same one is safe, for it can become a VM only once.

use std::time::Duration;

use super::error::{Error, Failure};
use super::refusal::Refusal;
use super::sight::{Settled, Sought, Unclear};
use crate::api::types::{ExitStatus, Guest, Node, Upid};
use crate::api::{self, Delivery, Met};
use crate::claim::{self, Claim};
use crate::progress::Progress;
use crate::report::{Kind, Report};
use crate::server::{Server, is_no_such_task};
use crate::stage::{Stage, Vm};
use crate::task;
use crate::wait::{BackOff, Forgiven, GaveUp};

/// How it ended.
pub enum Outcome {
    /// The VM is there.
    Created(Made),
    /// The VMID is another guest's: this one, as far as it was seen.
    Lost(Option<Guest>),
}

/// A VM that was cloned.
pub struct Made {
    /// Where it is.
    pub node: Node,
    /// The task that made it, where that is known.
    pub upid: Option<Upid>,
    /// What that task warned of.
    pub warnings: Vec<String>,
}

/// What to do next.
pub enum Step {
    /// Ask for the clone.
    Ask,
    /// Look at the task until it has ended.
    Watch(Upid),
    /// Look whose the VMID is.
    Look,
    /// Nothing more.
    End(Outcome),
}

/// The work on one VMID.
pub struct Attempt<'a> {
    server: Server<'a>,
    progress: &'a dyn Progress,
    random: &'a mut fastrand::Rng,
    claim: &'a mut Claim,
    template: &'a Guest,
    sought: Sought,
    back_off: BackOff<'a>,
    /// A request is on its way, or may be, of which nobody knows what becomes.
    undecided: bool,
    /// When that was, in the run's time.
    asked_at: Duration,
    /// An earlier run has asked; its task may have ended long ago.
    is_taken_over: bool,
    told: Told,
}

/// What has been said once and need not be said again.
#[derive(Default)]
struct Told {
    of_a_lock: bool,
    of_a_lost_answer: bool,
}

/// What an attempt works with.
pub struct Tools<'a> {
    /// Whom to ask.
    pub server: Server<'a>,
    /// Who hears of it.
    pub progress: &'a dyn Progress,
    /// What spreads runs that want the same.
    pub random: &'a mut fastrand::Rng,
    /// Where it is written down.
    pub claim: &'a mut Claim,
}

impl<'a> Attempt<'a> {
    /// On a VMID whose intent has just been written.
    pub fn fresh(tools: Tools<'a>, template: &'a Guest, vm: Vm) -> Attempt<'a> {
        let Tools {
            server,
            progress,
            random,
            claim,
        } = tools;
        Attempt {
            server,
            progress,
            random,
            claim,
            template,
            sought: Sought {
                vm,
                template: Some((template.vmid, template.node.clone())),
                is_begun: true,
            },
            back_off: BackOff::new(&server.budget),
            undecided: false,
            asked_at: server.budget.clock.elapsed(),
            is_taken_over: false,
            told: Told::default(),
        }
    }

    /// On a VMID that an earlier run may have asked for.
    pub fn taken_over(tools: Tools<'a>, template: &'a Guest, vm: Vm) -> Attempt<'a> {
        Attempt {
            undecided: true,
            is_taken_over: true,
            ..Attempt::fresh(tools, template, vm)
        }
    }

    /// Until the VM is ours or certainly another's.
    pub fn see_to_its_end(mut self, first: Step) -> Result<Outcome, Error> {
        let mut step = first;
        loop {
            step = match step {
                Step::Ask => self.ask()?,
                Step::Watch(upid) => self.watch(upid)?,
                Step::Look => self.look()?,
                Step::End(outcome) => return Ok(outcome),
            };
        }
    }

    fn ask(&mut self) -> Result<Step, Error> {
        let (server, template) = (self.server, self.template);
        self.sought.vm.node = template.node.clone();
        let vm = self.sought.vm.clone();
        self.progress.at(Stage::Undecided(vm.clone()));
        let asked = server.budget.try_until_done(
            |error| was_not_heard(error, server.pve.met()),
            || {
                let (node, vmid) = (&template.node, template.vmid);
                server.pve.clone_vm(node, vmid, vm.vmid, &vm.name)
            },
        );
        self.asked_at = server.budget.clock.elapsed();
        let error = match asked {
            Ok(upid) => {
                self.remember(|claim| claim.begun(&upid));
                return Ok(Step::Watch(upid));
            }
            Err(error) => error,
        };
        match &error {
            _ if error.delivery() == Delivery::Unknown => {
                self.undecided = true;
                if !self.told.of_a_lost_answer {
                    self.told.of_a_lost_answer = true;
                    self.progress.note(&format!(
                        "No answer to the clone ({error}); looking what becomes of VM {}...",
                        vm.vmid
                    ));
                }
                Ok(Step::Look)
            }
            api::Error::Refused { words, .. } => match self.meaning_of(words) {
                Refusal::VmidTaken => Ok(self.taken()),
                Refusal::Passes => self.ask_later(words),
                Refusal::Final => Err(self.not_begun(error)),
            },
            _ if self.undecided => Ok(Step::Look),
            _ => Err(self.not_begun(error)),
        }
    }

    fn watch(&mut self, upid: Upid) -> Result<Step, Error> {
        let vm = self.sought.vm.clone();
        let stage = Stage::Cloning(vm.clone(), upid.clone());
        self.progress.at(stage.clone());
        let status = match task::wait(self.server, &upid) {
            Ok(status) => status,
            Err(GaveUp::TimeIsUp(unseen)) => return Err(self.timeout(stage, unseen)),
            // The task may be another token's, or of a node that was set up anew.
            Err(GaveUp::Failed(error)) if self.is_taken_over || is_no_such_task(&error) => {
                ExitStatus::Unexpected
            }
            Err(GaveUp::Failed(error)) => return Err(lost_sight(stage, error)),
        };
        match status {
            ExitStatus::Ok | ExitStatus::Warnings(_) if self.is_taken_over => {
                self.look_behind(upid)
            }
            ExitStatus::Ok => Ok(self.created(vm.node, Some(upid), Vec::new())),
            ExitStatus::Warnings(_) => {
                let warnings = task::warnings(self.server, &upid);
                Ok(self.created(vm.node, Some(upid), warnings))
            }
            ExitStatus::Unexpected => {
                self.undecided = true;
                Ok(Step::Look)
            }
            ExitStatus::Failed(words) => match self.meaning_of(&words) {
                Refusal::VmidTaken => Ok(self.taken()),
                Refusal::Passes => self.ask_later(&words),
                // How an earlier run's task has failed does not say what this one would do.
                Refusal::Final if self.is_taken_over => Ok(Step::Look),
                Refusal::Final => self.failed(upid, words),
            },
        }
    }

    /// Whose the VMID is, once nothing is in the making there any more.
    fn look(&mut self) -> Result<Step, Error> {
        let vm = self.sought.vm.clone();
        self.progress.at(Stage::Undecided(vm.clone()));
        let free_after = self.asked_at + self.server.budget.a_while();
        match self.sought.settled(self.server, free_after) {
            Ok(Settled::Free) => Ok(Step::Ask),
            Ok(Settled::Ours(node)) => Ok(self.created(node, None, Vec::new())),
            Ok(Settled::Anothers(guest)) => Ok(Step::End(Outcome::Lost(Some(guest)))),
            Ok(Settled::Hidden) => Err(Error::CannotSee { vm }),
            Err(Unclear::HalfMade(missing)) => Err(Error::HalfMade {
                vm,
                missing,
                failure: None,
            }),
            Err(Unclear::BeingCloned(upid)) => Err(self.timeout(Stage::Cloning(vm, upid), None)),
            Err(Unclear::TimeIsUp(unseen)) => Err(self.timeout(Stage::Undecided(vm), unseen)),
            Err(Unclear::Failed(error)) => Err(lost_sight(Stage::Undecided(vm), error)),
        }
    }

    /// An earlier run's task has ended well; its VM may have been destroyed since. A VM that this
    /// token cannot see is taken on the word of the task.
    fn look_behind(&mut self, upid: Upid) -> Result<Step, Error> {
        match self.sought.settled(self.server, Duration::ZERO) {
            Ok(Settled::Free) => Ok(Step::Ask),
            Ok(Settled::Ours(node)) => Ok(self.created(node, Some(upid), Vec::new())),
            Ok(Settled::Hidden) => {
                let node = self.sought.vm.node.clone();
                Ok(self.created(node, Some(upid), Vec::new()))
            }
            _ => self.look(),
        }
    }

    /// A task that failed may leave a half VM behind, if it could not clean up either.
    fn failed(&mut self, upid: Upid, words: String) -> Result<Step, Error> {
        let vm = self.sought.vm.clone();
        let failure = Failure {
            log: task::last_words(self.server, &upid),
            upid,
            words,
        };
        match self.sought.settled(self.server, Duration::ZERO) {
            Ok(Settled::Ours(node)) => {
                return Ok(self.created(node, Some(failure.upid), Vec::new()));
            }
            Err(Unclear::HalfMade(missing)) => {
                let failure = Some(failure);
                return Err(Error::HalfMade {
                    vm,
                    missing,
                    failure,
                });
            }
            Ok(Settled::Anothers(_)) => self.nothing_is_there(),
            Ok(Settled::Free) if !self.undecided => self.nothing_is_there(),
            _ => {}
        }
        Err(Error::TaskFailed { vm, failure })
    }

    /// In one of the shapes that say so. While undecided that may have been our own request.
    fn taken(&mut self) -> Step {
        if self.undecided {
            Step::Look
        } else {
            Step::End(Outcome::Lost(None))
        }
    }

    /// The same VMID again, after a pause that grows: somebody holds a lock for a moment.
    fn ask_later(&mut self, words: &str) -> Result<Step, Error> {
        if !self.told.of_a_lock {
            self.told.of_a_lock = true;
            self.progress
                .note(&format!("Trying again until this passes: {words}"));
        }
        if self.back_off.pause(self.random) {
            return Ok(if self.undecided {
                Step::Look
            } else {
                Step::Ask
            });
        }
        if self.undecided {
            return Err(self.timeout(Stage::Undecided(self.sought.vm.clone()), None));
        }
        let (status, words) = (500, words.to_owned());
        let source = Box::new(self.not_begun(api::Error::Refused { status, words }));
        let seconds = self.server.budget.total.as_secs_f64();
        Err(Error::NothingStarted { seconds, source })
    }

    fn created(&mut self, node: Node, upid: Option<Upid>, warnings: Vec<String>) -> Step {
        let vmid = self.sought.vm.vmid;
        self.sought.vm.node = node.clone();
        self.progress.at(Stage::Made(self.sought.vm.clone()));
        self.remember(|claim| claim.created(vmid));
        Step::End(Outcome::Created(Made {
            node,
            upid,
            warnings,
        }))
    }

    fn nothing_is_there(&mut self) {
        let vmid = self.sought.vm.vmid;
        self.progress.at(Stage::NothingStarted);
        self.remember(|claim| claim.failed(vmid));
    }

    /// What cannot be written down any more changes nothing at the server.
    fn remember(&mut self, write: impl FnOnce(&mut Claim) -> Result<(), claim::Error>) {
        if let Err(error) = write(self.claim) {
            self.progress
                .warning(&Report::of(Kind::Failed, &error).message);
        }
    }

    fn not_begun(&mut self, source: api::Error) -> Error {
        if !self.undecided {
            self.nothing_is_there();
        }
        Error::StartClone {
            template: self.template.vmid,
            vm: self.sought.vm.clone(),
            undecided: self.undecided,
            source: Box::new(source),
        }
    }

    fn timeout(&self, stage: Stage, unseen: Option<api::Error>) -> Error {
        Error::Timeout {
            seconds: self.server.budget.total.as_secs_f64(),
            stage,
            unseen: unseen.map(|error| error.to_string()),
        }
    }

    fn meaning_of(&self, words: &str) -> Refusal {
        Refusal::of(words, self.template.vmid, self.sought.vm.vmid)
    }
}

/// A request that was not carried out, and may be heard the next time.
fn was_not_heard(error: &api::Error, met: Met) -> Forgiven {
    let is_restarting = match error {
        api::Error::Refused { status: 401, .. } => met == Met::Accepted,
        _ => error.delivery() == Delivery::NotDelivered && met > Met::NotYet,
    };
    if is_restarting {
        Forgiven::WhileADaemonRestarts
    } else {
        Forgiven::Not
    }
}

fn lost_sight(stage: Stage, source: api::Error) -> Error {
    let source = Box::new(source);
    Error::LostSight { stage, source }
}
