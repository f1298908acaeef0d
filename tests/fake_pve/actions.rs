//! Tasks that change one VM: its start, and the growth of a disk.

use super::cluster::Cluster;
use super::processes::{Process, Shown, log_end};
use super::resize::Growth;

pub(crate) struct Action {
    pub(crate) upid: String,
    pub(super) process: Process,
    pub(crate) work: Work,
    pub(crate) log: Vec<String>,
    /// Once it has stopped.
    pub(crate) exit: Option<String>,
    polls_left: u32,
}

#[derive(Clone)]
pub(crate) enum Work {
    Start,
    /// For a VM under HA.
    FileStart,
    Resize(Growth),
}

/// The log of a worker, and its exit status.
pub(super) struct Done {
    pub(super) log: Vec<String>,
    pub(super) exit: String,
}

impl Done {
    pub(super) fn failed(exit: String) -> Self {
        let log = Vec::new();
        Self { log, exit }
    }
}

impl Action {
    pub(super) fn is(&self, node: &str, upid: &str) -> bool {
        self.process.node == node && self.upid == upid
    }

    pub(super) fn shown(&self) -> Shown<'_> {
        Shown {
            process: &self.process,
            log: &self.log,
            exit: self.exit.as_deref(),
        }
    }
}

impl Cluster {
    /// Forks a worker, which holds the lock of the VM until it ends: its work takes effect when its task
    /// stops, or before another task that needs the same lock.
    pub(super) fn begin_action(
        &mut self,
        token: &str,
        node: &str,
        vmid: u32,
        work: Work,
    ) -> String {
        let is_filed = matches!(work, Work::FileStart);
        if !is_filed {
            self.wait_for_lock(vmid);
        }
        let kind = match work {
            Work::Start => "qmstart",
            Work::FileStart => "hastart",
            Work::Resize(_) => "resize",
        };
        let process = Process {
            node: node.to_owned(),
            kind,
            vmid,
            owner: token.to_owned(),
            number: self.next_process(),
        };
        let upid = process.upid();
        self.actions.push(Action {
            upid: upid.clone(),
            process,
            work,
            log: Vec::new(),
            exit: None,
            polls_left: self.setup.task_polls,
        });
        if self.setup.task_polls == 0 || is_filed {
            self.finish_action(self.actions.len() - 1);
        }
        upid
    }

    pub(super) fn poll_action(&mut self, number: usize) {
        let action = &mut self.actions[number];
        if action.exit.is_some() {
            return;
        }
        match action.polls_left.checked_sub(1) {
            Some(left) => action.polls_left = left,
            None => self.finish_action(number),
        }
    }

    /// Finishes the work of whatever holds the lock of the VM.
    pub(super) fn wait_for_lock(&mut self, vmid: u32) {
        self.finish_writing(|update| update.is_for(vmid));
        for number in 0..self.actions.len() {
            if self.actions[number].process.vmid == vmid {
                self.finish_action(number);
            }
        }
    }

    pub(super) fn finish_actions(&mut self) {
        self.finish_writing(|_| true);
        for number in 0..self.actions.len() {
            self.finish_action(number);
        }
        self.finish_filed();
    }

    fn finish_action(&mut self, number: usize) {
        let action = &self.actions[number];
        if action.exit.is_some() {
            return;
        }
        let (node, vmid) = (action.process.node.clone(), action.process.vmid);
        let (owner, work) = (action.process.owner.clone(), action.work.clone());
        let Done { mut log, exit } = match work {
            Work::Start => self.start(&node, vmid),
            Work::FileStart => self.file_start(vmid),
            Work::Resize(growth) => self.resize(&owner, &node, vmid, &growth),
        };
        let warning = "iothread is only valid with virtio disk or virtio-scsi-single controller, \
                       ignoring";
        log_end(&mut log, &exit, warning);
        let action = &mut self.actions[number];
        action.log = log;
        action.exit = Some(exit);
    }
}
