//! What is certain about a VM that is being made, at any moment of a run.

use std::fmt;

use crate::pve::Size;
use crate::pve::types::{Node, Upid, VmName, Vmid};
use crate::say::failure::{Kind, Known, Report, Started};
use crate::say::shell::word;

/// The VM that a run is after.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Vm {
    /// Its VMID.
    pub vmid: Vmid,
    /// Its name.
    pub name: VmName,
    /// The node it is on, or will be.
    pub node: Node,
}

/// `VM 101 'web-1' on node 'pve1'`
impl fmt::Display for Vm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Vm { vmid, name, node } = self;
        write!(f, "VM {vmid} '{name}' on node '{node}'")
    }
}

/// How far a VM has come, as far as it is certain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Stage {
    /// Nothing is in the making.
    NothingStarted,
    /// Another run on this host is at it, this process as far as is known.
    BehindAnotherRun(Option<u32>),
    /// Somebody else's VM is looked at, which may be what is wanted.
    InTheWay(Vm),
    /// The server was asked, and has not said what became of it.
    Undecided(Vm),
    /// The server has begun.
    Cloning(Vm, Upid),
    /// It is there, and nothing is left to do.
    Made(Vm),
    /// It existed before this run, and nothing is left to do.
    Exists(Vm),
    /// It is there, and not yet all that it shall be.
    SettingUp(Unfinished),
    /// The same, and the task of the current step has ended; its result is not known yet.
    Checking(Unfinished),
    /// A task of whatever kind is waited for.
    Waiting(Upid),
    /// That task has ended.
    Ended(Upid),
}

/// A VM that is there, and what is just being done for it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unfinished {
    /// It.
    pub vm: Vm,
    /// Whether this run has made it, or seen to its end what an earlier one had begun.
    pub created: bool,
    /// The task that is waited for, or the one that made the VM, where there is one that is known.
    pub upid: Option<Upid>,
    /// The one that is at work on it, or may be, as far as is known.
    pub task: Option<Upid>,
    /// What is being done.
    pub step: Step,
}

/// What is done for a VM once it is there, in this order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// Its configuration is changed.
    Configure,
    /// One of its disks is made that large.
    Enlarge(String, Size),
    /// It is started, and waited for until it runs.
    Start,
    /// Its address is waited for.
    Address,
}

impl Unfinished {
    /// How every message about it begins: `VM 101 'web-1' was created on node 'pve1'`.
    pub fn what_is_there(&self) -> String {
        let Vm { vmid, name, node } = &self.vm;
        let is_there = if self.created {
            "was created"
        } else {
            "already exists"
        };
        format!("VM {vmid} '{name}' {is_there} on node '{node}'")
    }
}

/// `VM 101 'web-1' was created on node 'pve1', but is still being started`
impl fmt::Display for Unfinished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, but {}", self.what_is_there(), self.step.ongoing())
    }
}

impl Step {
    /// What is the case as long as it goes on.
    pub fn ongoing(&self) -> String {
        match self {
            Step::Configure => "it is still being configured".to_owned(),
            Step::Enlarge(disk, size) => {
                format!("its disk {disk} is still being enlarged to {size}")
            }
            Step::Start => "it is still being started".to_owned(),
            Step::Address => "its address is not known yet".to_owned(),
        }
    }

    /// What is the case if nobody knows what came of it.
    pub fn perhaps(&self) -> String {
        match self {
            Step::Configure => "it may or may not have been configured".to_owned(),
            Step::Enlarge(disk, size) => {
                format!("its disk {disk} may or may not have been enlarged to {size}")
            }
            Step::Start => "it may or may not have been started".to_owned(),
            Step::Address => self.ongoing(),
        }
    }

    /// What is the case if it has failed.
    pub fn failed(&self) -> String {
        match self {
            Step::Configure => "it was not configured".to_owned(),
            Step::Enlarge(disk, size) => format!("its disk {disk} was not enlarged to {size}"),
            Step::Start => "it was not started".to_owned(),
            Step::Address => "its address could not be found out".to_owned(),
        }
    }
}

/// `the clone to VM 101 'web-1' on node 'pve1' is still running`
impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stage::NothingStarted => f.write_str("nothing was started"),
            Stage::BehindAnotherRun(Some(process)) => {
                write!(
                    f,
                    "this run has started nothing; process {process} is making the VM"
                )
            }
            Stage::BehindAnotherRun(None) => {
                f.write_str("this run has started nothing; another process is making the VM")
            }
            Stage::InTheWay(vm) => {
                write!(f, "this run has started nothing; it was looking at {vm}")
            }
            Stage::Undecided(vm) => write!(f, "{vm} may or may not be in the making"),
            Stage::Cloning(vm, _) => write!(f, "the clone to {vm} is still running"),
            Stage::Made(vm) => write!(f, "{vm} was created"),
            Stage::Exists(vm) => write!(f, "{vm} already exists"),
            Stage::SettingUp(unfinished) => unfinished.fmt(f),
            Stage::Checking(unfinished) => {
                let (what, perhaps) = (unfinished.what_is_there(), unfinished.step.perhaps());
                write!(f, "{what}, but {perhaps}")
            }
            Stage::Waiting(upid) => {
                write!(f, "the task on node '{}' may still be running", upid.node())
            }
            Stage::Ended(upid) => write!(f, "the task on node '{}' has ended", upid.node()),
        }
    }
}

impl Stage {
    /// The same for somebody whose last look has failed, for this reason, if it has.
    pub fn as_seen_last(&self, unseen: Option<&impl fmt::Display>) -> String {
        let words = self.to_string();
        match unseen {
            None => words,
            Some(why) => {
                let words = words.replace("is still running", "may still be running");
                format!("{words}; the last look failed: {why}")
            }
        }
    }

    /// Whether the VM is there, which every message then begins with.
    pub fn is_made(&self) -> bool {
        matches!(
            self,
            Stage::Made(_) | Stage::Exists(_) | Stage::SettingUp(_) | Stage::Checking(_)
        )
    }

    /// The report when a signal ends the run at this stage.
    pub fn interrupted(&self) -> Report {
        let made = self.is_made();
        let message = if made {
            format!("{self}: interrupted")
        } else {
            format!("interrupted; {self}")
        };
        Report {
            known: self.known(),
            made,
            ..Report::new(Kind::Interrupted, message).with_hint(self.hint())
        }
    }

    /// What to do when a run ends here.
    pub fn hint(&self) -> String {
        match self {
            Stage::NothingStarted => "there is nothing to clean up; run it again".to_owned(),
            Stage::BehindAnotherRun(_) | Stage::InTheWay(_) | Stage::Undecided(_) => {
                GO_ON.to_owned()
            }
            Stage::SettingUp(unfinished) | Stage::Checking(unfinished) => {
                go_on_or_wait(unfinished.task.as_ref())
            }
            Stage::Cloning(_, upid) => go_on_or_wait(Some(upid)),
            Stage::Waiting(upid) => {
                let upid = word(upid.as_str());
                format!("to go on waiting: homelab proxmox task wait {upid}")
            }
            Stage::Ended(upid) => {
                let upid = word(upid.as_str());
                format!("to see how it ended: homelab proxmox task wait {upid}")
            }
            Stage::Made(_) | Stage::Exists(_) => "nothing is left to do".to_owned(),
        }
    }

    /// The same for scripts.
    pub fn known(&self) -> Known {
        let (vm, upid, started) = match self {
            Stage::NothingStarted => return Known::default(),
            Stage::BehindAnotherRun(_) => {
                return Known {
                    started: Started::Unknown,
                    ..Known::default()
                };
            }
            Stage::InTheWay(vm) | Stage::Exists(vm) => (vm, None, Started::No),
            Stage::Undecided(vm) => (vm, None, Started::Unknown),
            Stage::Cloning(vm, upid) => (vm, Some(upid.clone()), Started::Yes),
            Stage::Made(vm) => (vm, None, Started::Yes),
            Stage::SettingUp(unfinished) | Stage::Checking(unfinished) => {
                return unfinished.known();
            }
            Stage::Waiting(upid) | Stage::Ended(upid) => {
                return Known {
                    vmid: None,
                    node: Some(upid.node()),
                    upid: Some(upid.clone()),
                    started: Started::Unknown,
                };
            }
        };
        Known {
            vmid: Some(vm.vmid),
            node: Some(vm.node.clone()),
            upid,
            started,
        }
    }
}

impl Unfinished {
    /// The same for scripts.
    pub fn known(&self) -> Known {
        Known {
            vmid: Some(self.vm.vmid),
            node: Some(self.vm.node.clone()),
            upid: self.upid.clone(),
            started: if self.created {
                Started::Yes
            } else {
                Started::No
            },
        }
    }
}

/// What a run with the same words does.
pub const GO_ON: &str = "the same command with --ensure goes on with it";

/// The same, and how to wait for a task that goes on, if one does.
pub fn go_on_or_wait(task: Option<&Upid>) -> String {
    match task {
        Some(upid) => {
            let upid = word(upid.as_str());
            format!("{GO_ON}; to wait only: homelab proxmox task wait {upid}")
        }
        None => GO_ON.to_owned(),
    }
}
