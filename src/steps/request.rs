//! Sends the requests of a step, polls their tasks, and judges the outcome.

use std::mem;

use crate::pve::types::{ExitStatus, TaskStatus, Upid};
use crate::pve::{self, Delivery};
use crate::say::stage::StepTask;
use crate::steps::{ActiveStep, Cause, Outcome, RefusedBy, Request, Stop, Trouble};
use crate::wait::refusal::{is_missing, is_outdated, is_temporary};
use crate::wait::server::{Judged, is_no_such_task};
use crate::wait::task;

impl ActiveStep<'_> {
    /// Sends a request. None if a task was started.
    pub(super) fn send(&mut self, request: &Request) -> Result<Option<Outcome>, Stop> {
        // Before each change: is it still the same VM?
        self.config()?;
        self.unfinished.existing.config = None;
        let before = mem::replace(&mut self.unfinished.task, StepTask::Requested);
        self.report_stage();
        self.was_carried_out = false;
        let server = self.engine.server;
        let result = request(server.pve, self.vm());
        let judged = server.judge_change(&mut self.change_grace, result);
        let (outcome, is_sent) = match judged {
            Ok(Judged::Answered(None)) => (Ok(Some(Outcome::Done)), true),
            Ok(Judged::Answered(Some(upid))) => {
                self.unfinished.task = StepTask::Running(upid);
                (self.is_polling_task, self.lines_read) = (true, 0);
                self.trouble = Some(Trouble::Nothing);
                (Ok(None), true)
            }
            Ok(Judged::Failed(error) | Judged::CutShort(error)) => {
                self.trouble = Some(Trouble::Request(error));
                (Err(Stop::NotYet), false)
            }
            Err(error) => {
                let error = self.masked(error);
                let is_unknown = error.delivery() == Delivery::Unknown;
                (self.outcome_of(error), is_unknown)
            }
        };
        self.has_requested |= is_sent;
        if !is_sent {
            self.unfinished.task = before;
        }
        self.report_stage();
        outcome
    }

    /// The outcome of a request that failed like this.
    fn outcome_of(&self, error: pve::Error) -> Result<Option<Outcome>, Stop> {
        Ok(Some(match error {
            pve::Error::Refused { ref message, .. } => Outcome::Refused {
                message: message.clone(),
                by: RefusedBy::Request(error),
            },
            pve::Error::NoQuorum {
                is_another_left: true,
                ..
            } => Outcome::NoQuorum,
            error if error.delivery() == Delivery::Unknown => Outcome::Unknown(error.to_string()),
            error => return Err(self.request_failed(error).into()),
        }))
    }

    /// The outcome of the running task, once it has ended.
    pub(super) fn poll_task(&mut self, upid: &Upid) -> Result<Option<Outcome>, Stop> {
        let server = self.engine.server;
        let status = self.judge(true, server.pve.task_status(upid))?;
        if let Ok(TaskStatus::Running) = status {
            self.trouble = Some(Trouble::Nothing);
            server.progress.follow_log(|| {
                // What cannot be read now is read after the next poll.
                let log = server.pve.task_log(upid, self.lines_read);
                let lines = log.unwrap_or_default();
                self.lines_read += lines.len();
                lines
            });
            return Ok(None);
        }
        self.is_polling_task = false;
        let status = match status {
            Ok(TaskStatus::Stopped(status)) => status,
            Ok(TaskStatus::Running) => return Ok(None),
            Err(error) if is_no_such_task(&error) => {
                let why = format!("the server no longer knows the task: {upid}");
                return Ok(Some(Outcome::Unknown(why)));
            }
            // The task keeps running, and the VM shows its effect.
            Err(error) => {
                let why = self.masked(error).to_string();
                return Ok(Some(Outcome::Unknown(why)));
            }
        };
        self.unfinished.task = StepTask::Ended(upid.clone());
        self.report_stage();
        let mask = self.engine.mask;
        Ok(Some(match status {
            ExitStatus::Ok => Outcome::Done,
            ExitStatus::Warnings(_) => {
                let warnings = task::warnings(server, upid).into_iter();
                self.unfinished.existing.warnings.extend(warnings.map(mask));
                Outcome::Done
            }
            ExitStatus::Unexpected => Outcome::Unknown(format!(
                "the task's worker died or its node went down: {upid}"
            )),
            ExitStatus::Failed(status) => Outcome::Refused {
                message: mask(status),
                by: RefusedBy::Task(upid.clone()),
            },
        }))
    }

    /// The cause of a final refusal.
    pub(super) fn refused(&self, message: String, by: RefusedBy) -> Cause {
        match by {
            RefusedBy::Request(error) => self.request_failed(error),
            RefusedBy::Task(upid) => {
                let lines = task::last_lines(self.engine.server, &upid).into_iter();
                let log = lines.map(self.engine.mask).collect();
                Cause::Task {
                    upid,
                    status: message,
                    log,
                }
            }
        }
    }

    /// What a refusal with this message means, unless it is final. That the VM is running already may be the
    /// effect of an earlier request, or of another user.
    pub(super) fn temporary(&self, message: &str) -> Option<Outcome> {
        let has_identity = self.existing().named_by.is_some() || self.existing().import.is_some();
        let is_missing = has_identity && is_missing(message);
        if is_outdated(message) || is_missing {
            return Some(Outcome::Outdated(message.to_owned()));
        }
        let is_running = format!("VM {} already running", self.vm().vmid);
        let is_temporary = is_temporary(message) || message.contains(&is_running);
        is_temporary.then(|| Outcome::Temporary(message.to_owned()))
    }
}
