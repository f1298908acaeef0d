//! Clone tasks, and what advances them.

use super::actions::lock_timeout;
use super::processes::{Process, Shown, ends_well, was_killed};
use super::setup::CloneSteps;

pub(crate) struct Task {
    pub(crate) upid: String,
    pub(super) process: Process,
    pub(crate) log: Vec<String>,
    /// Log lines for later stages.
    pub(super) log_to_come: Vec<String>,
    pub(crate) order: CloneOrder,
    pub(super) pace: Pace,
    stage: Stage,
    /// Whether the configuration already has its name.
    pub(super) named: bool,
    /// Empty before the worker has begun; while it copies, its future exit status.
    pub(crate) exit: String,
    /// Its exit status if it is interrupted while it copies.
    pub(super) exit_if_interrupted: String,
}

/// A clone request whose parameters and source are valid.
#[derive(Clone)]
pub(crate) struct CloneOrder {
    pub(crate) node: String,
    pub(crate) source: u32,
    pub(crate) newid: u32,
    pub(crate) name: String,
    pub(crate) full: bool,
    /// The storage of the disks; if absent, each has that of its original.
    pub(crate) storage: Option<String>,
    pub(crate) format: Option<String>,
    /// The pool of the finished VM.
    pub(crate) pool: Option<String>,
    /// The node to which the finished VM moves.
    pub(crate) target: Option<String>,
    pub(crate) description: Option<String>,
    /// The token that requested it.
    pub(crate) owner: String,
}

/// What advances a clone, or the creation of a VM.
#[derive(Clone, Copy)]
pub(super) enum Pace {
    /// Polls of its status; this many still find it running.
    Polls(u32),
    /// Requests of any kind, after the first `before` ones.
    Requests { before: usize, steps: CloneSteps },
}

impl Pace {
    /// Whether a step is due at this request count; with polls, all but the last step are due at the POST.
    pub(super) fn is_due(self, step: fn(CloneSteps) -> u32, requests: usize) -> bool {
        match self {
            Self::Polls(_) => true,
            Self::Requests { before, steps } => requests - before >= step(steps) as usize,
        }
    }

    /// Whether this poll of the status of its task is the last one that finds it running.
    pub(super) fn is_over_after_poll(&mut self) -> bool {
        match self {
            Self::Polls(0) => true,
            Self::Polls(left) => {
                *left -= 1;
                false
            }
            Self::Requests { .. } => false,
        }
    }

    /// In how many polls the log of a task is complete.
    pub(super) fn polls_of_log(self) -> usize {
        match self {
            Self::Polls(left) => left as usize + 2,
            Self::Requests { .. } => 8,
        }
    }

    /// Whether the next few requests end it.
    pub(super) fn ends_within(self, few: u32, requests: usize) -> bool {
        match self {
            Self::Polls(left) => left < few,
            Self::Requests { .. } => self.is_due(|steps| steps.done, requests + few as usize),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The worker exists, but has not checked yet whether the new VMID is still free.
    Forked,
    Copying,
    Stopped,
}

/// What the end of a task means for its VM.
pub(super) enum Ending {
    Complete,
    CleanUp,
    /// The incomplete VM remains.
    LeaveHalf,
}

impl Task {
    pub(super) fn forked(number: usize, order: CloneOrder, pace: Pace) -> Self {
        let process = Process {
            node: order.node.clone(),
            kind: "qmclone",
            id: order.source.to_string(),
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
            exit_if_interrupted: String::new(),
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

    /// From here on the worker owns the new VMID.
    pub(super) fn copy(&mut self, exit: String) {
        self.stage = Stage::Copying;
        self.exit = exit;
    }

    /// The worker ends before it copies anything.
    pub(super) fn fail(&mut self, first_line: Option<String>, exit: String) {
        self.stage = Stage::Stopped;
        self.exit = exit;
        self.log.extend(first_line);
        self.log_end();
    }

    /// Somebody else holds the lock of this VMID.
    pub(super) fn fail_to_lock(&mut self, vmid: u32) {
        let waiting = "trying to acquire lock...".to_owned();
        self.fail(Some(waiting), lock_timeout(vmid));
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
