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
    looks_left: u32,
}

#[derive(Clone)]
pub(crate) enum Work {
    Start,
    /// Of a VM under HA.
    FileStart,
    Resize(Growth),
}

/// What a worker writes down, and why it failed if it did.
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
    /// Forks a worker, which has the VM's lock until its end: what it does is done when its task
    /// stops, or before another one that wants the same lock.
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
            looks_left: self.setup.task_looks,
        });
        if self.setup.task_looks == 0 || is_filed {
            self.finish_action(self.actions.len() - 1);
        }
        upid
    }

    pub(super) fn look_at_action(&mut self, number: usize) {
        let action = &mut self.actions[number];
        if action.exit.is_some() {
            return;
        }
        match action.looks_left.checked_sub(1) {
            Some(left) => action.looks_left = left,
            None => self.finish_action(number),
        }
    }

    /// Whoever has the VM's lock comes to an end with it.
    pub(super) fn wait_for_lock(&mut self, vmid: u32) {
        self.finish_writing(|writing| writing.is_for(vmid));
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
