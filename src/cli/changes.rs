//! The commands that change existing VMs, as argh parses them.

use argh::{ArgsInfo, FromArgs};

use super::values::{Seconds, not_empty};
use crate::pve::types::Vmid;
use crate::settings::ip_from::IpFrom;

/// Start virtual machines.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "start", help_triggers("-h", "--help"))]
#[argh(
    note = "Waits until each VM runs. If a VM is running already, that is a success. With several VMs, one
failure does not stop the others, and the exit code is 1."
)]
#[argh(example = "$ homelab proxmox vm start web-1
Started VM 101 'web-1' on node 'pve1'

homelab proxmox vm start web-1 103 --wait-ip")]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch")]
pub struct VmStart {
    /// name or VMID of the VM
    #[argh(positional, arg_name = "vm", from_str_fn(not_empty))]
    pub vm: String,

    /// more VMs; all are changed at the same time
    #[argh(positional, arg_name = "more-vms", from_str_fn(not_empty))]
    pub more: Vec<String>,

    /// also wait until the guest agent reports an IP address
    #[argh(switch)]
    pub wait_ip: bool,

    /// wait for an address of this network card (net1), network (10.0.0.0/8), ipv4 or ipv6; implies
    /// --wait-ip; repeatable, preferred one first
    #[argh(option, arg_name = "FROM")]
    pub ip_from: Vec<IpFrom>,

    /// assume that nodes that are offline have no VM of that name
    #[argh(switch)]
    pub ignore_offline: bool,

    /// time limit for the whole command (default 300)
    #[argh(option, arg_name = "SECONDS", default = "Seconds::DEFAULT_TIMEOUT")]
    pub timeout: Seconds,

    /// pause between two polls of the server (default 2)
    #[argh(option, arg_name = "SECONDS", default = "Seconds::DEFAULT_INTERVAL")]
    pub poll_interval: Seconds,

    /// print one JSON document, even for errors; an array for several VMs
    #[argh(switch)]
    pub json: bool,

    /// print only warnings and errors
    #[argh(switch)]
    pub quiet: bool,
}

/// Shut down virtual machines.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "shutdown", help_triggers("-h", "--help"))]
#[argh(
    note = "Asks the guest to shut down, through its agent or the ACPI power button, and waits until the
VM is off. If a VM is off already, that is a success. A guest that does not react in time may still
shut down later; 'vm stop' powers its VM off. With several VMs, one failure does not stop the others,
and the exit code is 1."
)]
#[argh(example = "$ homelab proxmox vm shutdown web-1
Shut down VM 101 'web-1' on node 'pve1'

homelab proxmox vm shutdown web-1 db-1 --force")]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch")]
pub struct VmShutdown {
    /// name or VMID of the VM
    #[argh(positional, arg_name = "vm", from_str_fn(not_empty))]
    pub vm: String,

    /// more VMs; all are changed at the same time
    #[argh(positional, arg_name = "more-vms", from_str_fn(not_empty))]
    pub more: Vec<String>,

    /// how long the guest may take to shut down (default 60)
    #[argh(option, arg_name = "SECONDS")]
    pub guest_timeout: Option<Seconds>,

    /// power the VM off if its guest has not shut down in time
    #[argh(switch)]
    pub force: bool,

    /// assume that nodes that are offline have no VM of that name
    #[argh(switch)]
    pub ignore_offline: bool,

    /// time limit for the whole command (default 300)
    #[argh(option, arg_name = "SECONDS", default = "Seconds::DEFAULT_TIMEOUT")]
    pub timeout: Seconds,

    /// pause between two polls of the server (default 2)
    #[argh(option, arg_name = "SECONDS", default = "Seconds::DEFAULT_INTERVAL")]
    pub poll_interval: Seconds,

    /// print one JSON document, even for errors; an array for several VMs
    #[argh(switch)]
    pub json: bool,

    /// print only warnings and errors
    #[argh(switch)]
    pub quiet: bool,
}

/// Power off virtual machines.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "stop", help_triggers("-h", "--help"))]
#[argh(
    note = "Powers each VM off without asking its guest, which may lose data; 'vm shutdown' asks it. A
shutdown that this token has started is ended. If a VM is off already, that is a success. With several
VMs, one failure does not stop the others, and the exit code is 1."
)]
#[argh(example = "$ homelab proxmox vm stop web-1
Powered off VM 101 'web-1' on node 'pve1'")]
pub struct VmStop {
    /// name or VMID of the VM
    #[argh(positional, arg_name = "vm", from_str_fn(not_empty))]
    pub vm: String,

    /// more VMs; all are changed at the same time
    #[argh(positional, arg_name = "more-vms", from_str_fn(not_empty))]
    pub more: Vec<String>,

    /// assume that nodes that are offline have no VM of that name
    #[argh(switch)]
    pub ignore_offline: bool,

    /// time limit for the whole command (default 300)
    #[argh(option, arg_name = "SECONDS", default = "Seconds::DEFAULT_TIMEOUT")]
    pub timeout: Seconds,

    /// pause between two polls of the server (default 2)
    #[argh(option, arg_name = "SECONDS", default = "Seconds::DEFAULT_INTERVAL")]
    pub poll_interval: Seconds,

    /// print one JSON document, even for errors; an array for several VMs
    #[argh(switch)]
    pub json: bool,

    /// print only warnings and errors
    #[argh(switch)]
    pub quiet: bool,
}

/// Restart virtual machines.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "reboot", help_triggers("-h", "--help"))]
#[argh(
    note = "Asks the guest to shut down, and waits until the VM runs again with a new QEMU process, so
that pending changes of its options take effect. If a VM is off, that is an error. With several VMs,
one failure does not stop the others, and the exit code is 1."
)]
#[argh(example = "$ homelab proxmox vm reboot web-1
Rebooted VM 101 'web-1' on node 'pve1'")]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch")]
pub struct VmReboot {
    /// name or VMID of the VM
    #[argh(positional, arg_name = "vm", from_str_fn(not_empty))]
    pub vm: String,

    /// more VMs; all are changed at the same time
    #[argh(positional, arg_name = "more-vms", from_str_fn(not_empty))]
    pub more: Vec<String>,

    /// how long the guest may take to shut down (default 60)
    #[argh(option, arg_name = "SECONDS")]
    pub guest_timeout: Option<Seconds>,

    /// also wait until the guest agent reports an IP address
    #[argh(switch)]
    pub wait_ip: bool,

    /// wait for an address of this network card (net1), network (10.0.0.0/8), ipv4 or ipv6; implies
    /// --wait-ip; repeatable, preferred one first
    #[argh(option, arg_name = "FROM")]
    pub ip_from: Vec<IpFrom>,

    /// assume that nodes that are offline have no VM of that name
    #[argh(switch)]
    pub ignore_offline: bool,

    /// time limit for the whole command (default 300)
    #[argh(option, arg_name = "SECONDS", default = "Seconds::DEFAULT_TIMEOUT")]
    pub timeout: Seconds,

    /// pause between two polls of the server (default 2)
    #[argh(option, arg_name = "SECONDS", default = "Seconds::DEFAULT_INTERVAL")]
    pub poll_interval: Seconds,

    /// print one JSON document, even for errors; an array for several VMs
    #[argh(switch)]
    pub json: bool,

    /// print only warnings and errors
    #[argh(switch)]
    pub quiet: bool,
}

/// Delete virtual machines with their disks.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "delete", help_triggers("-h", "--help"))]
#[argh(
    note = "Deletes each VM with all its disks and snapshots, and its entries in backup jobs, replication
jobs and HA. At a terminal, without --yes, you have to type the name of each VM.

Disks that the VM's configuration does not mention are deleted, too: the server deletes all disks of
its VMID from all storages. If another cluster uses one of these storages, the disks of its VM with
the same VMID are deleted as well.

Templates and containers are never deleted, nor VMs that are locked, protected, being cloned or,
without --stop, running. If another user deletes the VM at the same time, that is a success. With
several VMs, one failure does not stop the others, and the exit code is 1."
)]
#[argh(example = "$ homelab proxmox vm delete web-1 --yes
Deleting VM 101...
Deleted VM 101 'web-1' from node 'pve1'")]
#[argh(example = "homelab proxmox vm delete ci-2026-11-23 --stop --if-exists --yes --quiet")]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch")]
pub struct VmDelete {
    /// name or VMID of the VM
    #[argh(positional, arg_name = "vm", from_str_fn(not_empty))]
    pub vm: String,

    /// more VMs; all are changed at the same time
    #[argh(positional, arg_name = "more-vms", from_str_fn(not_empty))]
    pub more: Vec<String>,

    /// fail unless the VM of that name has this VMID
    #[argh(option, arg_name = "N")]
    pub vmid: Option<Vmid>,

    /// delete without asking; required if stdin is not a terminal
    #[argh(switch)]
    pub yes: bool,

    /// succeed if there is no VM of that name or VMID
    #[argh(switch)]
    pub if_exists: bool,

    /// power off a running VM first
    #[argh(switch)]
    pub stop: bool,

    /// keep its entries in backup jobs and replication jobs; an error if it is under HA
    #[argh(switch)]
    pub keep_jobs: bool,

    /// assume that nodes that are offline have no VM of that name
    #[argh(switch)]
    pub ignore_offline: bool,

    /// time limit for the whole command (default 300)
    #[argh(option, arg_name = "SECONDS", default = "Seconds::DEFAULT_TIMEOUT")]
    pub timeout: Seconds,

    /// pause between two polls of the server (default 2)
    #[argh(option, arg_name = "SECONDS", default = "Seconds::DEFAULT_INTERVAL")]
    pub poll_interval: Seconds,

    /// print one JSON document, even for errors; an array for several VMs
    #[argh(switch)]
    pub json: bool,

    /// print only warnings and errors
    #[argh(switch)]
    pub quiet: bool,
}

/// The VMs that a command changes, and how long it may take.
#[derive(Clone, Copy)]
pub struct Targets<'a> {
    /// The first name or VMID.
    pub vm: &'a str,
    /// The other ones.
    pub more: &'a [String],
    /// The VMID that the VM must have, if one was given.
    pub vmid: Option<Vmid>,
    /// Whether to assume that offline nodes have no VM of these names.
    pub ignore_offline: bool,
    /// The time limit for the whole command.
    pub timeout: Seconds,
    /// The pause between two polls.
    pub poll_interval: Seconds,
}

impl<'a> Targets<'a> {
    /// The names and VMIDs.
    pub fn words(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        std::iter::once(self.vm).chain(self.more.iter().map(String::as_str))
    }

    /// Whether the result is one document for each of several VMs.
    pub fn is_several(&self) -> bool {
        !self.more.is_empty()
    }
}

macro_rules! targets {
    ($($verb:ident),+) => {$(
        impl $verb {
            /// The VMs to change.
            pub fn targets(&self) -> Targets<'_> {
                Targets {
                    vm: &self.vm,
                    more: &self.more,
                    vmid: None,
                    ignore_offline: self.ignore_offline,
                    timeout: self.timeout,
                    poll_interval: self.poll_interval,
                }
            }
        }
    )+};
}

targets!(VmStart, VmShutdown, VmStop, VmReboot, VmDelete);
