//! What is certain about a VM that is being made, at any moment of a run.

use std::fmt;

use crate::api::types::{Node, Upid, VmName, Vmid};
use crate::report::{Known, Started};
use crate::shell::word;

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
    /// It is there.
    Made(Vm),
    /// A task of whatever kind is waited for.
    Waiting(Upid),
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
            Stage::Waiting(upid) => {
                write!(f, "the task on node '{}' may still be running", upid.node())
            }
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

    /// What to do when a run ends here.
    pub fn hint(&self) -> String {
        match self {
            Stage::NothingStarted => "there is nothing to clean up; run it again".to_owned(),
            Stage::BehindAnotherRun(_) | Stage::InTheWay(_) | Stage::Undecided(_) => {
                GO_ON.to_owned()
            }
            Stage::Cloning(_, upid) => {
                let upid = word(upid.as_str());
                format!("{GO_ON}; to wait only: homelab proxmox task wait {upid}")
            }
            Stage::Waiting(upid) => {
                let upid = word(upid.as_str());
                format!("to go on waiting: homelab proxmox task wait {upid}")
            }
            Stage::Made(_) => "nothing is left to do".to_owned(),
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
            Stage::InTheWay(vm) => (vm, None, Started::No),
            Stage::Undecided(vm) => (vm, None, Started::Unknown),
            Stage::Cloning(vm, upid) => (vm, Some(upid.clone()), Started::Yes),
            Stage::Made(vm) => (vm, None, Started::Yes),
            Stage::Waiting(upid) => {
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

/// What a run with the same words does.
pub const GO_ON: &str = "the same command with --ensure goes on with it";
