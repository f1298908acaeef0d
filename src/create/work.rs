//! One step of work on a VM that is there, until the server has taken it.

use super::refusal::passes_by_itself;
use super::run::Run;
use super::unfinished::{Cause, Doubt};
use crate::pve::types::{ExitStatus, Upid};
use crate::pve::{self, Delivery, Pve, Size, VmConfig};
use crate::say::stage::{Stage, Step, Unfinished};
use crate::settings::Change;
use crate::wait::server::is_no_such_task;
use crate::wait::task;
use crate::wait::{BackOff, GaveUp, Look};

/// What the server is asked for. To ask twice is to ask once.
pub enum Request {
    /// To change options, if the configuration is still the one with this digest: a request that
    /// comes late finds that it is not.
    Configure {
        /// The options.
        changes: Vec<Change>,
        /// Of the configuration that they were compared with.
        digest: Option<String>,
    },
    /// To make a disk that large.
    Enlarge(String, Size),
    /// To start the VM.
    Start,
}

/// What came of a request.
enum Outcome {
    /// The server has done it.
    Done,
    /// Somebody holds something for a moment.
    Again(String),
    /// Nobody knows, for this reason, whether it was done.
    Unknown(String),
}

/// A step that is being taken.
pub struct Work<'r> {
    run: &'r Run<'r>,
    /// The VM, as it can be told at any moment.
    pub unfinished: Unfinished,
    /// What tasks have warned of.
    pub warnings: Vec<String>,
    /// Something was asked for, and nobody has said what came of it.
    is_undecided: bool,
}

impl<'r> Work<'r> {
    /// Nothing is asked for yet.
    pub fn new(run: &'r Run<'r>, unfinished: Unfinished) -> Work<'r> {
        let work = Work {
            run,
            unfinished,
            warnings: Vec::new(),
            is_undecided: false,
        };
        work.tell_where_it_is();
        work
    }

    /// Asks for what `missing` finds missing, until it finds nothing or the server has done it.
    /// Whether anything was done.
    pub fn until_it_is_so(
        &mut self,
        mut missing: impl FnMut(&Self) -> Result<Option<Request>, Cause>,
    ) -> Result<bool, Cause> {
        let mut back_off = BackOff::new(&self.run.server.budget);
        let mut is_told = false;
        while let Some(request) = missing(self)? {
            let (why, note) = match self.ask_for(&request)? {
                Outcome::Done => return Ok(true),
                Outcome::Again(why) => {
                    let note = format!("Trying again until this passes: {why}");
                    (why, note)
                }
                Outcome::Unknown(why) => {
                    self.is_undecided = true;
                    let note = format!("Looking whether that was done, for nobody says ({why})...");
                    (why, note)
                }
            };
            if !is_told {
                is_told = true;
                self.run.progress.note(&note);
            }
            if !back_off.pause() {
                return Err(self.time_is_up(Some(why)));
            }
        }
        Ok(is_told)
    }

    /// Its configuration.
    pub fn config(&self) -> Result<VmConfig, Cause> {
        let vm = &self.unfinished.vm;
        let config = self.look(|pve| pve.vm_config(&vm.node, vm.vmid))?;
        config.ok_or(Cause::Gone)
    }

    /// Whether it runs.
    pub fn is_running(&self) -> Result<bool, Cause> {
        let vm = &self.unfinished.vm;
        self.look(|pve| pve.is_running(&vm.node, vm.vmid))
    }

    /// What came of a request that may have been carried out is looked for to the end.
    fn look<T>(&self, question: impl Fn(&Pve) -> Result<T, pve::Error>) -> Result<T, Cause> {
        let server = self.run.server;
        if self.is_undecided {
            let seen = server.watch(|pve| question(pve).map(Look::Done));
            return seen.map_err(|gave_up| self.not_seen(gave_up));
        }
        server.ask(question).map_err(|error| self.not_done(error))
    }

    /// The budget ended in the middle of it; what was in the way at last.
    pub fn time_is_up(&self, last: Option<String>) -> Cause {
        match last {
            Some(words) if self.is_undecided => {
                let why = Doubt::Answer { words };
                self.not_known(Some(self.seconds()), why)
            }
            last => Cause::TimeIsUp {
                seconds: self.seconds(),
                step: self.unfinished.step.clone(),
                task: self.unfinished.task.clone(),
                last,
            },
        }
    }

    /// Something was asked for, and the looks at what came of it ended like this.
    pub fn not_seen(&self, gave_up: GaveUp<pve::Error>) -> Cause {
        let (seconds, error) = match gave_up {
            GaveUp::TimeIsUp(None) => return self.time_is_up(None),
            GaveUp::TimeIsUp(Some(error)) => (Some(self.seconds()), error),
            GaveUp::Failed(error) => (None, error),
        };
        let error = Box::new(self.masked(error));
        self.not_known(seconds, Doubt::Look { error })
    }

    fn not_known(&self, seconds: Option<f64>, why: Doubt) -> Cause {
        Cause::NotKnown {
            seconds,
            step: self.unfinished.step.clone(),
            task: self.unfinished.task.clone(),
            why,
        }
    }

    fn seconds(&self) -> f64 {
        self.run.server.budget.total.as_secs_f64()
    }

    /// The server's no, or its silence, without what may be a secret in it.
    pub fn not_done(&self, error: pve::Error) -> Cause {
        if self.run.server.budget.left().is_zero() && error.delivery() != Delivery::Refused {
            return self.time_is_up(Some(self.masked(error).to_string()));
        }
        Cause::Request {
            step: self.unfinished.step.clone(),
            source: Box::new(self.masked(error)),
        }
    }

    fn masked(&self, error: pve::Error) -> pve::Error {
        error.map_words(|words| self.without_secrets(words))
    }

    /// The server's words, which may repeat what it was sent.
    pub fn without_secrets(&self, words: String) -> String {
        self.run.plan.wanted.settings.masked_in(words)
    }

    fn ask_for(&mut self, request: &Request) -> Result<Outcome, Cause> {
        let sent = self
            .run
            .server
            .ask_for_change(|pve| self.send(pve, request));
        match sent {
            Ok(None) => Ok(Outcome::Done),
            Ok(Some(upid)) => self.wait_for(upid),
            Err(error) => {
                let passes =
                    matches!(&error, pve::Error::Refused { words, .. } if self.passes(words));
                if passes {
                    Ok(Outcome::Again(self.masked(error).to_string()))
                } else if error.delivery() == Delivery::Unknown {
                    Ok(Outcome::Unknown(self.masked(error).to_string()))
                } else {
                    Err(self.not_done(error))
                }
            }
        }
    }

    fn send(&self, pve: &Pve, request: &Request) -> Result<Option<Upid>, pve::Error> {
        let (node, vmid) = (&self.unfinished.vm.node, self.unfinished.vm.vmid);
        match request {
            Request::Configure { changes, digest } => {
                let changes = changes.iter();
                let changes = changes.map(|change| (change.key.as_str(), change.value.expose()));
                let digest = digest.iter().map(|digest| ("digest", digest.as_str()));
                let options: Vec<(&str, &str)> = changes.chain(digest).collect();
                pve.configure(node, vmid, &options).map(|()| None)
            }
            Request::Enlarge(disk, size) => pve.resize_disk(node, vmid, disk, *size).map(Some),
            Request::Start => pve.start_vm(node, vmid).map(Some),
        }
    }

    fn wait_for(&mut self, upid: Upid) -> Result<Outcome, Cause> {
        self.unfinished.upid = Some(upid.clone());
        self.unfinished.task = Some(upid.clone());
        self.tell_where_it_is();
        let server = self.run.server;
        let status = match task::wait(server, &upid, self.run.progress) {
            Ok(ended) => ended.status,
            Err(GaveUp::Failed(error)) if is_no_such_task(&error) => ExitStatus::Unexpected,
            // It goes on all the same, and what it does can be seen in the VM.
            Err(GaveUp::Failed(error)) => {
                return Ok(Outcome::Unknown(self.masked(error).to_string()));
            }
            Err(gave_up) => return Err(self.not_seen(gave_up)),
        };
        self.unfinished.task = None;
        let stage = Stage::Checking(self.unfinished.clone());
        self.run.progress.at(stage);
        match status {
            ExitStatus::Ok => Ok(Outcome::Done),
            ExitStatus::Warnings(_) => {
                let warnings = task::warnings(server, &upid).into_iter();
                let masked: Vec<String> = warnings.map(|it| self.without_secrets(it)).collect();
                self.warnings.extend(masked);
                Ok(Outcome::Done)
            }
            ExitStatus::Unexpected => Ok(Outcome::Unknown(
                "its worker died or its node went down".to_owned(),
            )),
            ExitStatus::Failed(words) if self.passes(&words) => Ok(Outcome::Again(words)),
            ExitStatus::Failed(words) => {
                let log = task::last_words(server, &upid).into_iter();
                Err(Cause::Task {
                    step: self.unfinished.step.clone(),
                    log: log.map(|line| self.without_secrets(line)).collect(),
                    upid,
                    words: self.without_secrets(words),
                })
            }
        }
    }

    /// Whether asking again may help, or looking whether somebody else has done it.
    fn passes(&self, words: &str) -> bool {
        let vmid = self.unfinished.vm.vmid;
        passes_by_itself(words, vmid)
            || words.contains("detected modified configuration")
            || self.unfinished.step == Step::Start
                && words.contains(&format!("VM {vmid} already running"))
    }

    fn tell_where_it_is(&self) {
        let stage = Stage::SettingUp(self.unfinished.clone());
        self.run.progress.at(stage);
    }
}
