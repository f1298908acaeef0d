//! Clone tasks, and what makes them go on.

use super::processes::{Process, Shown, ends_well, was_killed};
use super::setup::CloneSteps;

pub(crate) struct Task {
    pub(crate) upid: String,
    pub(super) process: Process,
    pub(crate) log: Vec<String>,
    /// What the worker writes down when it is further on.
    pub(super) log_to_come: Vec<String>,
    pub(crate) order: CloneOrder,
    pub(super) pace: Pace,
    stage: Stage,
    /// Whether the configuration that it writes has its name already.
    pub(super) named: bool,
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
    /// Where the disks go; each to where its original is, if not said.
    pub(crate) storage: Option<String>,
    pub(crate) format: Option<String>,
    /// The pool that it is in once it is done.
    pub(crate) pool: Option<String>,
    /// The node to which it moves when it is done.
    pub(crate) target: Option<String>,
    pub(crate) description: Option<String>,
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

impl Task {
    pub(super) fn forked(number: usize, order: CloneOrder, pace: Pace) -> Self {
        let process = Process {
            node: order.node.clone(),
            kind: "qmclone",
            vmid: order.source,
            owner: order.owner.clone(),
            number,
        };
        Self {
            upid: process.upid(),
            process,
            log: Vec::new(),
            log_to_come: Vec::new(),
            order,
            pace,
            stage: Stage::Forked,
            named: false,
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

    /// The new VMID is the worker's own from here on.
    pub(super) fn copy(&mut self, exit: String) {
        self.stage = Stage::Copying;
        self.exit = exit;
    }

    /// The worker ends before it has copied anything.
    pub(super) fn fail(&mut self, first_line: Option<String>, exit: String) {
        self.stage = Stage::Stopped;
        self.exit = exit;
        self.log.extend(first_line);
        self.log_end();
    }

    /// The new VMID's lock is held by somebody else.
    pub(super) fn fail_to_lock(&mut self) {
        let lock = format!("/var/lock/qemu-server/lock-{}.conf", self.order.newid);
        let waiting = "trying to acquire lock...".to_owned();
        let exit = format!("can't lock file '{lock}' - got timeout");
        self.fail(Some(waiting), exit);
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
        if was_killed(&self.exit) || self.exit.contains("Permission denied") {
            Ending::LeaveHalf
        } else if ends_well(&self.exit) {
            Ending::Complete
        } else {
            Ending::CleanUp
        }
    }

    pub(super) fn shown(&self) -> Shown<'_> {
        let is_stopped = self.stage == Stage::Stopped;
        Shown {
            process: &self.process,
            log: &self.log,
            exit: is_stopped.then_some(&self.exit),
        }
    }
}
