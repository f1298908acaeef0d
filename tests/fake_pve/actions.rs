//! Tasks that change one VM: its power state, the size of a disk, or its existence.
//!
//! - A worker waits for the lock of its VM, at most for `lock_polls` polls of its task; each of these polls
//!   advances the holder of the lock too.
//! - It then holds the lock until its task stops, and its work takes effect at that moment.
//! - A short task stops early if something else needs the lock. A clone does not, nor does the shutdown of
//!   a guest that does not react.

use super::cluster::Cluster;
use super::processes::{Process, Shown, log_end};
use super::quorum::Here;
use super::resize::Growth;

pub(crate) struct Action {
    pub(crate) upid: String,
    pub(super) process: Process,
    pub(super) vmid: u32,
    pub(crate) work: Work,
    pub(crate) log: Vec<String>,
    /// Once it has stopped.
    pub(crate) exit: Option<String>,
    /// The node that received the request.
    here: Here,
    stage: Stage,
    /// How often it waited for a lock.
    waits: usize,
}

#[derive(Clone, Copy)]
enum Stage {
    /// Another worker holds the lock of the VM; the number of polls until it gives up.
    Waiting(u32),
    /// The number of polls that still find it running.
    Working(u32),
    /// Its work takes effect at this moment.
    Ending,
}

#[derive(Clone)]
pub(crate) enum Work {
    Start,
    /// For a VM under HA.
    FileStart,
    /// After it ended these shutdowns.
    Stop {
        overruled: Vec<String>,
    },
    Shutdown {
        force: bool,
    },
    Reboot,
    /// For a VM under HA, with the timeout of the guest.
    FileStop(usize),
    Destroy {
        purge: bool,
        unreferenced: bool,
    },
    Resize(Growth),
    Convert {
        disk: Option<String>,
    },
}

impl Work {
    fn kind(&self) -> &'static str {
        match self {
            Self::Start => "qmstart",
            Self::FileStart => "hastart",
            Self::Stop { .. } => "qmstop",
            Self::Shutdown { .. } => "qmshutdown",
            Self::Reboot => "qmreboot",
            Self::FileStop(_) => "hastop",
            Self::Destroy { .. } => "qmdestroy",
            Self::Resize(_) => "resize",
            Self::Convert { .. } => "qmtemplate",
        }
    }

    fn is_filed(&self) -> bool {
        matches!(self, Self::FileStart | Self::FileStop(_))
    }

    /// Whether the guest has to react.
    fn asks_the_guest(&self) -> bool {
        matches!(self, Self::Shutdown { .. } | Self::Reboot)
    }
}

/// The log of a worker, and its exit status.
pub(super) struct Done {
    pub(super) log: Vec<String>,
    pub(super) exit: String,
}

impl Done {
    pub(super) fn ok() -> Self {
        Self::failed("OK".to_owned())
    }

    /// Nothing but an exit status.
    pub(super) fn failed(exit: String) -> Self {
        let log = Vec::new();
        Self { log, exit }
    }
}

/// The worker that holds the lock of a VM, by its index.
#[derive(Clone, Copy)]
enum Holder {
    Action(usize),
    Clone(usize),
    Creation(usize),
}

pub(super) fn lock_timeout(vmid: u32) -> String {
    format!("can't lock file '/var/lock/qemu-server/lock-{vmid}.conf' - got timeout")
}

const WARNING: &str =
    "iothread is only valid with virtio disk or virtio-scsi-single controller, ignoring";

impl Action {
    pub(super) fn is(&self, node: &str, upid: &str) -> bool {
        self.process.node == node && self.upid == upid
    }

    /// Whether it holds the lock of its VM.
    fn is_working(&self) -> bool {
        self.exit.is_none() && matches!(self.stage, Stage::Working(_))
    }

    pub(super) fn is_of(&self, owner: &str) -> bool {
        self.process.owner == owner
    }

    pub(super) fn shown(&self) -> Shown<'_> {
        Shown {
            process: &self.process,
            log: &self.log,
            exit: self.exit.as_deref(),
        }
    }

    fn end(&mut self, done: Done) {
        let Done { log, exit } = done;
        let waited = ["trying to acquire lock...", " OK"].repeat(self.waits);
        self.log = waited.into_iter().map(str::to_owned).collect();
        self.log.extend(log);
        // WARNINGS of a destroy are in its log already.
        let has_warnings = self.log.iter().any(|line| line.starts_with("WARN: "));
        if has_warnings {
            self.log.push(format!("TASK {exit}"));
        } else {
            log_end(&mut self.log, &exit, WARNING);
        }
        self.exit = Some(exit);
    }

    fn give_up(&mut self) {
        self.waits = 0;
        let done = Done::failed(lock_timeout(self.vmid));
        self.end(done);
        self.log.insert(0, "trying to acquire lock...".to_owned());
    }
}

impl Cluster {
    /// Forks a worker.
    pub(super) fn begin_action(
        &mut self,
        token: &str,
        node: &str,
        vmid: u32,
        work: Work,
    ) -> String {
        let process = Process {
            node: node.to_owned(),
            kind: work.kind(),
            id: vmid.to_string(),
            owner: token.to_owned(),
            number: self.next_process(),
        };
        let upid = process.upid();
        let waits = if work.is_filed() {
            0
        } else {
            usize::from(self.wait_for_lock(vmid))
        };
        let number = self.actions.len();
        self.actions.push(Action {
            upid: upid.clone(),
            process,
            vmid,
            work,
            log: Vec::new(),
            exit: None,
            here: self.here.clone(),
            stage: Stage::Waiting(self.setup.lock_polls),
            waits,
        });
        self.proceed(number);
        upid
    }

    /// Lets a worker begin if it needs no lock, or can have it.
    fn proceed(&mut self, number: usize) {
        let action = &self.actions[number];
        let (vmid, is_filed) = (action.vmid, action.work.is_filed());
        let polls = if self.holds_out(number) {
            self.setup.shutdown_polls
        } else {
            self.setup.task_polls
        };
        match self.lock_holder(vmid) {
            Some(holder) if !is_filed => {
                let action = &mut self.actions[number];
                // A new VM has a second lock.
                let is_new =
                    matches!(holder, Holder::Clone(clone) if self.tasks[clone].order.newid == vmid);
                action.waits = action.waits.max(if is_new { 2 } else { 1 });
            }
            _ if is_filed || polls == 0 => self.finish_action(number),
            _ => self.actions[number].stage = Stage::Working(polls),
        }
    }

    pub(super) fn poll_action(&mut self, number: usize) {
        let action = &self.actions[number];
        if action.exit.is_some() {
            return;
        }
        let vmid = action.vmid;
        match action.stage {
            Stage::Working(0) => self.finish_action(number),
            Stage::Working(left) => self.actions[number].stage = Stage::Working(left - 1),
            Stage::Ending => {}
            Stage::Waiting(left) => {
                match self.lock_holder(vmid) {
                    Some(Holder::Action(holder)) => self.poll_action(holder),
                    Some(Holder::Clone(holder)) => self.poll_clone(holder),
                    Some(Holder::Creation(holder)) => self.poll_creation(holder),
                    None => {}
                }
                if self.lock_holder(vmid).is_none() {
                    return self.proceed(number);
                }
                let action = &mut self.actions[number];
                match left.checked_sub(1) {
                    Some(left) => action.stage = Stage::Waiting(left),
                    None => action.give_up(),
                }
            }
        }
    }

    /// A clone holds the lock of its source too.
    fn lock_holder(&self, vmid: u32) -> Option<Holder> {
        let is_clone = |task: &super::tasks::Task| {
            task.is_copying() && [task.order.newid, task.order.source].contains(&vmid)
        };
        let is_action = |action: &Action| action.is_working() && action.vmid == vmid;
        let clone = self.tasks.iter().position(is_clone).map(Holder::Clone);
        let action = self.actions.iter().position(is_action);
        let mut creations = self.creations.iter();
        let creation = creations.position(|creation| creation.is_running_for(vmid));
        clone
            .or(creation.map(Holder::Creation))
            .or(action.map(Holder::Action))
    }

    /// Whether it is the shutdown of a guest that does not react.
    fn holds_out(&self, number: usize) -> bool {
        let action = &self.actions[number];
        let (node, vmid) = (&action.process.node, action.vmid);
        action.work.asks_the_guest() && self.is_deaf(node, vmid)
    }

    /// Finishes the work of short tasks that hold the lock of the VM. Returns whether there were any.
    pub(super) fn wait_for_lock(&mut self, vmid: u32) -> bool {
        self.finish_writing(|update| update.is_for(vmid));
        let mut has_waited = false;
        for number in 0..self.actions.len() {
            let action = &self.actions[number];
            let is_holder = action.is_working() && action.vmid == vmid;
            if is_holder && !self.holds_out(number) {
                self.finish_action(number);
                has_waited = true;
            }
        }
        has_waited
    }

    /// Waits as a request does that is answered only with the lock: an error after 10 seconds.
    pub(super) fn lock_or_time_out(&mut self, vmid: u32) -> Result<(), String> {
        self.wait_for_lock(vmid);
        for _ in 0..=self.setup.lock_polls {
            match self.lock_holder(vmid) {
                None => return Ok(()),
                Some(Holder::Action(holder)) => self.poll_action(holder),
                Some(Holder::Clone(holder)) => self.poll_clone(holder),
                Some(Holder::Creation(holder)) => self.poll_creation(holder),
            }
        }
        let (polls, requests) = (self.setup.lock_polls, self.requests);
        match self.lock_holder(vmid) {
            Some(Holder::Clone(holder)) if self.tasks[holder].pace.ends_within(polls, requests) => {
                self.end_clone(holder);
            }
            Some(Holder::Creation(holder))
                if self.creations[holder].ends_within(polls, requests) =>
            {
                self.end_creation(holder);
            }
            _ => {}
        }
        match self.lock_holder(vmid) {
            None => Ok(()),
            Some(_) => Err(lock_timeout(vmid)),
        }
    }

    /// Whether the lock cannot be had soon.
    pub(super) fn is_lock_held(&self, vmid: u32) -> bool {
        self.lock_holder(vmid).is_some()
    }

    pub(super) fn finish_actions(&mut self) {
        self.finish_writing(|_| true);
        // A reboot adds a start.
        let mut number = 0;
        while number < self.actions.len() {
            self.finish_action(number);
            number += 1;
        }
        self.finish_filed();
        self.finish_later();
    }

    /// Ends a worker before its work is done.
    pub(super) fn interrupt_action(&mut self, number: usize, exit: &str) {
        let action = &self.actions[number];
        if action.exit.is_some() {
            return;
        }
        let asked = action.is_working() && action.work.asks_the_guest();
        let (vmid, owner) = (action.vmid, action.process.owner.clone());
        let silent = self.silent_agent_line(vmid).filter(|_| asked);
        if asked {
            self.go_down_later(&owner, vmid);
        }
        let done = Done {
            log: silent.into_iter().collect(),
            exit: exit.to_owned(),
        };
        self.actions[number].end(done);
    }

    pub(super) fn finish_action(&mut self, number: usize) {
        let action = &self.actions[number];
        if action.exit.is_some() || matches!(action.stage, Stage::Ending) {
            return;
        }
        let (node, vmid) = (action.process.node.clone(), action.vmid);
        let (owner, work) = (action.process.owner.clone(), action.work.clone());
        self.actions[number].stage = Stage::Ending;
        // The worker has the quorum of its own node, no matter which node the client is asking.
        let its_node = self.actions[number].here.clone();
        let here = std::mem::replace(&mut self.here, its_node);
        let done = match work {
            Work::Start => self.start(&owner, &node, vmid),
            Work::FileStart => self.file_start(&owner, vmid),
            Work::Stop { overruled } => self.stop(&owner, &node, vmid, &overruled),
            Work::Shutdown { force } => self.shut_down(&owner, &node, vmid, force),
            Work::Reboot => self.reboot(&owner, &node, vmid),
            Work::FileStop(timeout) => self.file_stop(&owner, vmid, timeout),
            Work::Destroy {
                purge,
                unreferenced,
            } => self.destroy(&owner, &node, vmid, purge, unreferenced),
            Work::Resize(growth) => self.resize(&owner, &node, vmid, &growth),
            Work::Convert { disk } => self.convert(&owner, &node, vmid, disk.as_deref()),
        };
        self.here = here;
        self.actions[number].end(done);
    }
}
