//! One VMID, from the intent to the end: the VM is ours there, or never will be.
//!
//! The rule that all of this is for: once a request to clone to a VMID has got no usable answer, it
//! may be carried out at any time, so no other VMID is taken until this one is proved another's.
//! Asking again for the same one is safe, for it can become a VM only once.

use std::time::Duration;

use super::error::{Error, Failure, Unseen, Whose};
use super::refusal::Refusal;
use super::run::Run;
use super::sight::{Prospect, Settled, Sought, Unclear};
use crate::ledger::Claim;
use crate::pve::types::{ExitStatus, Guest, Node, Upid};
use crate::pve::{self, Delivery};
use crate::say::stage::{Stage, Vm};
use crate::ui::progress::Activity;
use crate::wait::server::is_no_such_task;
use crate::wait::task::{self, Ended};
use crate::wait::{BackOff, GaveUp};

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

impl Made {
    /// By a task that nobody knows any more.
    pub fn at(node: Node) -> Made {
        Made {
            node,
            upid: None,
            warnings: Vec::new(),
        }
    }
}

/// What to do next.
pub enum Next {
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
pub struct Attempt<'r> {
    run: &'r Run<'r>,
    claim: &'r mut Claim,
    template: &'r Guest,
    sought: Sought,
    back_off: BackOff<'r>,
    /// A request is on its way, or may be, of which nobody knows what becomes.
    undecided: bool,
    /// Why nobody knows.
    lost: Option<pve::Error>,
    /// When the last one was made, in the run's time.
    asked_at: Duration,
    /// Only an earlier run has asked so far; its task may have ended long ago.
    is_taken_over: bool,
    told: Told,
}

/// What has been said once and need not be said again.
#[derive(Default)]
struct Told {
    of_a_lock: bool,
    of_a_lost_answer: bool,
}

impl<'r> Attempt<'r> {
    /// On a VMID whose intent is written down.
    pub fn new(run: &'r Run<'r>, claim: &'r mut Claim, template: &'r Guest, vm: Vm) -> Attempt<'r> {
        let budget = run.server.budget;
        Attempt {
            run,
            claim,
            template,
            sought: Sought {
                vm,
                template: Some((template.vmid, template.node.clone())),
                prospect: Prospect::MayCome,
            },
            back_off: BackOff::new(&budget),
            undecided: false,
            lost: None,
            asked_at: budget.clock.elapsed(),
            is_taken_over: false,
            told: Told::default(),
        }
    }

    /// On a VMID that an earlier run may have asked for.
    pub fn taken_over(self) -> Attempt<'r> {
        Attempt {
            undecided: true,
            is_taken_over: true,
            ..self
        }
    }

    /// Until the VM is ours or certainly another's.
    pub fn see_to_its_end(mut self, first: Next) -> Result<Outcome, Error> {
        let mut step = first;
        loop {
            step = match step {
                Next::Ask => self.ask()?,
                Next::Watch(upid) => self.watch(upid)?,
                Next::Look => self.look()?,
                Next::End(outcome) => return Ok(outcome),
            };
        }
    }

    fn ask(&mut self) -> Result<Next, Error> {
        let (server, template) = (self.run.server, self.template);
        self.sought.vm.node = self.run.node_for(template).clone();
        let vm = self.sought.vm.clone();
        self.run.progress.at(Stage::Undecided(vm.clone()));
        let options = &self.run.plan.options;
        let asked = server.ask_for_change(|pve| {
            let (node, vmid) = (&template.node, template.vmid);
            pve.clone_vm(node, vmid, vm.vmid, &vm.name, options)
        });
        self.asked_at = server.budget.clock.elapsed();
        let error = match asked {
            Ok(upid) => {
                self.run.remember(self.claim.begun(&upid));
                self.is_taken_over = false;
                return Ok(Next::Watch(upid));
            }
            Err(error) => error,
        };
        match &error {
            _ if error.delivery() == Delivery::Unknown => {
                self.undecided = true;
                if !self.told.of_a_lost_answer {
                    self.told.of_a_lost_answer = true;
                    self.run.progress.note(&format!(
                        "No answer to the clone ({error}); looking what becomes of VM {}...",
                        vm.vmid
                    ));
                }
                self.lost = Some(error);
                Ok(Next::Look)
            }
            pve::Error::Refused { words, .. } => match self.meaning_of(words) {
                Refusal::VmidTaken => Ok(self.taken()),
                Refusal::Passes => self.ask_later(words),
                Refusal::Final => Err(self.not_begun(error)),
            },
            _ if self.undecided => Ok(Next::Look),
            _ => Err(self.not_begun(error)),
        }
    }

    fn watch(&mut self, upid: Upid) -> Result<Next, Error> {
        let vm = self.sought.vm.clone();
        let stage = Stage::Cloning(vm.clone(), upid.clone());
        self.run.progress.at(stage.clone());
        let Ended {
            status,
            before_we_looked,
        } = match self.wait_for(&upid) {
            Ok(ended) => ended,
            Err(GaveUp::TimeIsUp(unseen)) => return Err(self.timeout(stage, unseen)),
            // The task may be another token's, or of a node that is down, gone or set up anew.
            Err(GaveUp::Failed(error)) if self.is_taken_over || is_no_such_task(&error) => Ended {
                status: ExitStatus::Unexpected,
                before_we_looked: true,
            },
            Err(GaveUp::Failed(error)) => return Err(lost_sight(stage, error)),
        };
        match status {
            ExitStatus::Ok | ExitStatus::Warnings(_) if self.is_taken_over && before_we_looked => {
                self.look_behind(upid)
            }
            ExitStatus::Ok => Ok(self.created(vm.node, Some(upid), Vec::new())),
            // Recorded as created only once they are read: a run that is killed before that has the
            // next one read them.
            ExitStatus::Warnings(_) => {
                let stage = self.run.stage_of(vm.clone(), Some(upid.clone()));
                self.run.progress.at(stage);
                let warnings = task::warnings(self.run.server, &upid);
                Ok(self.created(vm.node, Some(upid), warnings))
            }
            ExitStatus::Unexpected => {
                self.undecided = true;
                Ok(Next::Look)
            }
            ExitStatus::Failed(words) => {
                self.run.progress.at(Stage::Undecided(vm));
                match self.meaning_of(&words) {
                    Refusal::VmidTaken => Ok(self.taken()),
                    Refusal::Passes => self.ask_later(&words),
                    // How an earlier run's task has failed does not say what this one would do.
                    Refusal::Final if self.is_taken_over => Ok(Next::Look),
                    Refusal::Final => self.failed(upid, words),
                }
            }
        }
    }

    fn wait_for(&self, upid: &Upid) -> Result<Ended, GaveUp<pve::Error>> {
        let Run {
            server, progress, ..
        } = *self.run;
        if progress.shows_logs() {
            progress.doing(
                &self.sought.vm,
                true,
                &Activity::Cloning(self.count_disks()),
            );
        }
        if self.is_taken_over {
            task::wait_while_seen(server, upid, progress)
        } else {
            task::wait(server, upid, progress)
        }
    }

    /// How many disks are copied, if that can be known: only for whoever looks on.
    fn count_disks(&self) -> Option<usize> {
        let Guest { vmid, node, .. } = self.template;
        let config = self.run.server.pve.vm_config(node, *vmid);
        config.ok().flatten().map(|config| config.disks().len())
    }

    /// Whose the VMID is, once nothing is in the making there any more.
    fn look(&mut self) -> Result<Next, Error> {
        let vm = self.sought.vm.clone();
        self.run.progress.at(Stage::Undecided(vm.clone()));
        let free_after = self.asked_at + self.run.server.budget.a_while();
        match self.sought.settled(self.run.server, free_after) {
            Ok(Settled::Free) => Ok(Next::Ask),
            Ok(Settled::Ours(node)) => Ok(self.created(node, None, Vec::new())),
            Ok(Settled::Anothers(guest)) => Ok(self.lost(Some(guest))),
            Ok(Settled::Hidden) => Err(Error::CannotSee {
                vm,
                token: self.run.token(),
            }),
            Err(unclear) => Err(self.unseen().because(unclear)),
        }
    }

    /// A task that ended well before this run began; its VM may have been destroyed since. Where this
    /// token sees no VMs the task's word is all there is.
    fn look_behind(&mut self, upid: Upid) -> Result<Next, Error> {
        let vm = self.sought.vm.clone();
        match self.sought.settled(self.run.server, Duration::ZERO) {
            Ok(Settled::Ours(node)) => Ok(self.created(node, Some(upid), Vec::new())),
            Ok(Settled::Free) => Ok(Next::Ask),
            Ok(Settled::Anothers(guest)) => Ok(self.lost(Some(guest))),
            Ok(Settled::Hidden) => Ok(self.created(vm.node, Some(upid), Vec::new())),
            Err(unclear) => Err(self.unseen().because(unclear)),
        }
    }

    /// A task that failed may leave a half VM behind, if it could not clean up either.
    fn failed(&mut self, upid: Upid, words: String) -> Result<Next, Error> {
        let vm = self.sought.vm.clone();
        let failure = Failure {
            log: task::last_words(self.run.server, &upid),
            upid,
            words,
        };
        if !self.undecided {
            self.sought.prospect = Prospect::IsOver;
        }
        match self.sought.settled(self.run.server, Duration::ZERO) {
            Ok(Settled::Ours(node)) => {
                return Ok(self.created(node, Some(failure.upid), Vec::new()));
            }
            Err(Unclear::Half(half)) => {
                return Err(Error::HalfMade {
                    vm,
                    half,
                    is_ours: true,
                    failure: Some(failure),
                    claim: self.claim.path().to_owned(),
                });
            }
            Ok(Settled::Anothers(_)) => self.nothing_is_there(),
            Ok(Settled::Free) if !self.undecided => self.nothing_is_there(),
            _ => {}
        }
        Err(Error::TaskFailed {
            vm,
            undecided: self.undecided,
            failure,
        })
    }

    /// In one of the shapes that say so. While undecided that may have been our own request.
    fn taken(&mut self) -> Next {
        if self.undecided {
            Next::Look
        } else {
            self.lost(None)
        }
    }

    /// The same VMID again, after a pause that grows: somebody holds a lock for a moment.
    fn ask_later(&mut self, words: &str) -> Result<Next, Error> {
        if !self.told.of_a_lock {
            self.told.of_a_lock = true;
            self.run
                .progress
                .note(&format!("Trying again until this passes: {words}"));
        }
        if self.back_off.pause() {
            return Ok(if self.undecided {
                Next::Look
            } else {
                Next::Ask
            });
        }
        if self.undecided {
            return Err(self.timeout(Stage::Undecided(self.sought.vm.clone()), None));
        }
        self.nothing_is_there();
        let source = Box::new(Error::Busy {
            template: self.template.vmid,
            vm: self.sought.vm.clone(),
            words: words.to_owned(),
        });
        let seconds = self.run.server.budget.total.as_secs_f64();
        Err(Error::NothingStarted { seconds, source })
    }

    fn created(&mut self, node: Node, upid: Option<Upid>, warnings: Vec<String>) -> Next {
        let vmid = self.sought.vm.vmid;
        self.sought.vm.node = node.clone();
        self.run
            .progress
            .at(self.run.stage_of(self.sought.vm.clone(), upid.clone()));
        self.run.remember(self.claim.created(vmid));
        Next::End(Outcome::Created(Made {
            node,
            upid,
            warnings,
        }))
    }

    fn lost(&mut self, rival: Option<Guest>) -> Next {
        self.nothing_is_there();
        let vmid = self.sought.vm.vmid;
        let more = match self.run.plan.vmid {
            None => "; trying another one...",
            Some(_) => "",
        };
        self.run
            .progress
            .note(&format!("VMID {vmid} went to another guest{more}"));
        Next::End(Outcome::Lost(rival))
    }

    fn nothing_is_there(&mut self) {
        let vmid = self.sought.vm.vmid;
        self.run.progress.at(Stage::NothingStarted);
        self.run.remember(self.claim.failed(vmid));
    }

    fn not_begun(&mut self, source: pve::Error) -> Error {
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

    fn unseen(&mut self) -> Unseen {
        Unseen {
            lost: self.lost.take(),
            vm: self.sought.vm.clone(),
            whose: Whose::AskedFor,
            claim: self.claim.path().to_owned(),
            seconds: self.run.server.budget.total.as_secs_f64(),
        }
    }

    fn timeout(&mut self, stage: Stage, unseen: Option<pve::Error>) -> Error {
        let is_undecided = matches!(stage, Stage::Undecided(_)) && unseen.is_none();
        let lost = self.lost.take().filter(|_| is_undecided);
        Error::Timeout {
            seconds: self.run.server.budget.total.as_secs_f64(),
            stage,
            unseen: unseen.map(Box::new),
            lost: lost.map(Box::new),
        }
    }

    fn meaning_of(&self, words: &str) -> Refusal {
        Refusal::of(words, self.template.vmid, self.sought.vm.vmid)
    }
}

fn lost_sight(stage: Stage, source: pve::Error) -> Error {
    let source = Box::new(source);
    Error::LostSight { stage, source }
}
