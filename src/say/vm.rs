//! A VM by its VMID, name and node, and a VM that exists.

use std::fmt;

use crate::pve::types::{Guest, Node, Upid, VmName, Vmid};
use crate::pve::{Addresses, Identity, ImageVolume, VmConfig};
use crate::say::failure::{Facts, Started};

/// A VM by its VMID, name and node, whether or not it exists yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Vm {
    /// Its VMID.
    pub vmid: Vmid,
    /// Its name.
    pub name: VmName,
    /// The node it is on, or will be.
    pub node: Node,
}

impl Vm {
    /// `VM 101 'web-1'`, or `VM 101` if it has no name.
    pub fn label(&self) -> String {
        let unnamed = format!("VM {}", self.vmid);
        if self.name.as_str() == unnamed {
            unnamed
        } else {
            format!("{unnamed} '{}'", self.name)
        }
    }

    /// What a failed run reports to scripts about it.
    pub fn facts(&self, started: Started) -> Facts {
        Facts {
            vmid: Some(self.vmid),
            node: Some(self.node.clone()),
            upid: None,
            started,
        }
    }
}

/// `VM 101 'web-1' on node 'pve1'`
impl fmt::Display for Vm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on node '{}'", self.label(), self.node)
    }
}

/// A VM that exists, with what is known about it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Existing {
    /// The VM.
    pub vm: Vm,
    /// Whether this command created it, in this run or in an earlier one.
    pub created: bool,
    /// How the user named it, unless the command creates it or takes it for the one to create.
    pub named_by: Option<NamedBy>,
    /// Whether a step of this command on a VM that the user named has requested a change.
    pub was_changed: bool,
    /// The import that created it, if this command creates a template from an image.
    pub import: Option<Box<Import>>,
    /// The task that created it, if known.
    pub upid: Option<Upid>,
    /// Its addresses, if they were requested and are known.
    pub addresses: Option<Addresses>,
    /// The warnings of its tasks.
    pub warnings: Vec<String>,
    /// Its configuration. Absent if something was changed since it was read.
    pub config: Option<VmConfig>,
    /// What distinguishes it from other VMs with the same VMID, once its configuration was read.
    pub identity: Option<Identity>,
}

/// The import of an image that created a VM.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Import {
    /// The image.
    pub volume: ImageVolume,
    /// The UUID that the request gave the VM, and that no other VM has.
    pub uuid: String,
}

/// How a user names a VM that exists.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NamedBy {
    /// By its name: a VM with another name is another one.
    Name,
    /// By its VMID: its name is what its configuration says.
    Vmid,
}

impl Existing {
    /// The VM that a user named, as a list shows it.
    pub fn named(guest: &Guest, named_by: NamedBy) -> Existing {
        let vm = Vm {
            vmid: guest.vmid,
            name: VmName::of_guest(guest),
            node: guest.node.clone(),
        };
        Existing {
            named_by: Some(named_by),
            ..Existing::found(vm, None)
        }
    }

    /// How to continue after a failure.
    pub fn resume(&self) -> &'static str {
        if self.named_by.is_some() {
            "run the same command again"
        } else {
            RESUME
        }
    }

    /// A VM that existed before this command.
    pub fn found(vm: Vm, config: Option<VmConfig>) -> Existing {
        Existing {
            vm,
            created: false,
            named_by: None,
            was_changed: false,
            import: None,
            upid: None,
            addresses: None,
            warnings: Vec::new(),
            identity: config.as_ref().map(VmConfig::identity),
            config,
        }
    }

    /// `VM 101 'web-1'`, or `template 9000 'debian-12'`.
    pub fn label(&self) -> String {
        let label = self.vm.label();
        match &self.config {
            Some(config) if config.template => label.replacen("VM", "template", 1),
            _ => label,
        }
    }

    /// What a failed run reports to scripts about it.
    pub fn facts(&self) -> Facts {
        let started = if self.created {
            Started::Yes
        } else {
            Started::No
        };
        Facts {
            upid: self.upid.clone(),
            ..self.vm.facts(started)
        }
    }
}

/// How to resume a command that creates a VM.
pub const RESUME: &str = "run the same command with --ensure to resume";

/// `VM 101 'web-1' was created on node 'pve1'`, the beginning of every message about it.
impl fmt::Display for Existing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.named_by.is_some() {
            return self.vm.fmt(f);
        }
        let Vm { node, .. } = &self.vm;
        let exists = if self.created {
            "was created"
        } else {
            "already exists"
        };
        write!(f, "{} {exists} on node '{node}'", self.label())
    }
}
