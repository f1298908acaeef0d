//! Clone tasks: what the server says of them, and what makes them go on.

use serde_json::{Value, json};

use super::setup::CloneSteps;

pub(crate) struct Task {
    pub(crate) upid: String,
    pub(crate) log: Vec<String>,
    pub(crate) order: CloneOrder,
    pub(super) pace: Pace,
    stage: Stage,
    /// Whether the configuration that it writes has its name already.
    pub(super) named: bool,
    worker: Worker,
    /// Empty before the worker has begun; while it copies, what it will end with.
    pub(crate) exit: String,
}

/// What a POST asks for once its parameters and the source are found good.
#[derive(Clone)]
pub(crate) struct CloneOrder {
    pub(crate) node: String,
    pub(crate) source: u32,
    pub(crate) newid: u32,
    pub(crate) name: String,
    pub(crate) full: bool,
    /// The token that asked.
    pub(crate) owner: String,
}

/// What makes a clone go on.
#[derive(Clone, Copy)]
pub(super) enum Pace {
    /// Looks at its status; so many of them still find it running.
    Looks(u32),
    /// Requests of any kind that came after so many had come.
    Requests { before: usize, steps: CloneSteps },
}

impl Pace {
    /// Whether a step is due when so many requests have come; with looks all but the last one
    /// are due at the POST.
    pub(super) fn is_due(self, step: fn(CloneSteps) -> u32, requests: usize) -> bool {
        match self {
            Self::Looks(_) => true,
            Self::Requests { before, steps } => requests - before >= step(steps) as usize,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The worker is there, but has not looked yet whether the new VMID is still free.
    Forked,
    Copying,
    Stopped,
}

/// What the end of a task means for the VM that it was making.
pub(super) enum Ending {
    Complete,
    CleanUp,
    /// Nobody could remove what there was of it.
    LeaveHalf,
}

/// What a UPID says of a process. No clock: the first one of every fake is the same.
struct Worker {
    pid: usize,
    pstart: usize,
    starttime: usize,
}

impl Worker {
    fn after(earlier: usize) -> Self {
        let number = earlier + 1;
        Self {
            pid: number,
            pstart: number * 10,
            starttime: 0x6B00_0000 + number,
        }
    }
}

impl Task {
    pub(super) fn forked(earlier: usize, order: CloneOrder, pace: Pace) -> Self {
        let worker = Worker::after(earlier);
        Self {
            upid: format!(
                "UPID:{}:{:08X}:{:08X}:{:08X}:qmclone:{}:{}:",
                order.node, worker.pid, worker.pstart, worker.starttime, order.source, order.owner
            ),
            log: Vec::new(),
            order,
            pace,
            stage: Stage::Forked,
            named: false,
            worker,
            exit: String::new(),
        }
    }

    pub(super) fn is(&self, node: &str, upid: &str) -> bool {
        self.order.node == node && self.upid == upid
    }

    pub(super) fn is_forked(&self) -> bool {
        self.stage == Stage::Forked
    }

    pub(super) fn is_copying(&self) -> bool {
        self.stage == Stage::Copying
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stage == Stage::Stopped
    }

    /// The new VMID is the worker's own from here on.
    pub(super) fn copy(&mut self, exit: String) {
        self.stage = Stage::Copying;
        self.exit = exit;
        self.log_copying();
    }

    /// The worker ends before it has copied anything.
    pub(super) fn fail(&mut self, first_line: Option<String>, exit: String) {
        self.stage = Stage::Stopped;
        self.exit = exit;
        self.log.extend(first_line);
        self.log_end();
    }

    /// Whether this look at the status, which finds it running, is the last one to do so.
    pub(super) fn is_over_after_a_look(&mut self) -> bool {
        match &mut self.pace {
            Pace::Looks(0) => true,
            Pace::Looks(left) => {
                *left -= 1;
                false
            }
            Pace::Requests { .. } => false,
        }
    }

    pub(super) fn end(&mut self) -> Ending {
        self.stage = Stage::Stopped;
        self.log_end();
        if self.was_killed() || self.exit.contains("Permission denied") {
            Ending::LeaveHalf
        } else if self.ends_well() {
            Ending::Complete
        } else {
            Ending::CleanUp
        }
    }

    pub(super) fn ends_well(&self) -> bool {
        self.exit == "OK" || self.exit.starts_with("WARNINGS: ")
    }

    /// Nobody writes a last line for a worker that was killed.
    pub(super) fn was_killed(&self) -> bool {
        self.exit == "unexpected status"
    }

    pub(super) fn status(&self) -> Value {
        let (user, token) = self.user_and_token();
        let mut status = self.who_and_when();
        status["status"] = json!(if self.is_stopped() {
            "stopped"
        } else {
            "running"
        });
        status["user"] = json!(user);
        status["tokenid"] = json!(token);
        if self.is_stopped() {
            status["exitstatus"] = json!(self.exit);
        }
        status
    }

    /// Its line in the node's list, where a running one has the whole token as its user.
    pub(super) fn entry(&self) -> Value {
        let mut entry = self.who_and_when();
        if self.is_stopped() {
            let (user, token) = self.user_and_token();
            entry["user"] = json!(user);
            entry["tokenid"] = json!(token);
            entry["endtime"] = json!(self.worker.starttime + 1);
            entry["status"] = json!(self.exit);
        } else {
            entry["user"] = json!(self.order.owner);
            entry["saved"] = json!("0");
            entry["status"] = json!("RUNNING");
        }
        entry
    }

    fn user_and_token(&self) -> (&str, &str) {
        let parts = self.order.owner.split_once('!');
        parts.expect("an owner is USER@REALM!TOKEN")
    }

    /// What status and task list have in common.
    fn who_and_when(&self) -> Value {
        json!({
            "id": self.order.source.to_string(),
            "node": self.order.node,
            "pid": self.worker.pid,
            "pstart": self.worker.pstart,
            "starttime": self.worker.starttime,
            "type": "qmclone",
            "upid": self.upid,
        })
    }
}
