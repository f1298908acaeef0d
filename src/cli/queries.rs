//! The commands about VMs and containers that change nothing, as argh parses them.

use std::path::PathBuf;

use argh::{ArgsInfo, FromArgs};

use super::values::not_empty;
use crate::guests::filter::{GuestStatus, NamePattern};
use crate::settings::ip_from::IpFrom;

/// List virtual machines.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "list", help_triggers("-h", "--help"))]
#[argh(
    note = "Templates are not listed. '-' stands for an unknown name or address; an address is
known only while a guest agent runs in the VM. Of several filters, all must match."
)]
#[argh(example = "$ homelab proxmox vm list
VMID  Name   Status                 Node
100   db-1   running                pve1
101   web-1  stopped (lock: clone)  pve1")]
#[argh(example = "homelab proxmox vm list --tag web --status running --wide
homelab proxmox vm list --name 'web-*' --ip
homelab proxmox vm list --ip-from 10.0.0.0/8 --json")]
pub struct VmList {
    /// show only VMs with this tag; repeatable: VMs that have all of them
    #[argh(option, arg_name = "TAG", from_str_fn(not_empty))]
    pub tag: Vec<String>,

    /// show only VMs with this status: running, stopped, or unknown if the node is offline
    #[argh(option, arg_name = "STATUS")]
    pub status: Option<GuestStatus>,

    /// show only VMs on this node
    #[argh(option, arg_name = "NAME", from_str_fn(not_empty))]
    pub node: Option<String>,

    /// show only VMs in this pool
    #[argh(option, arg_name = "ID", from_str_fn(not_empty))]
    pub pool: Option<String>,

    /// show only VMs whose names match: * stands for any characters, ? for one, [1-3] for one of
    /// several
    #[argh(option, arg_name = "PATTERN")]
    pub name: Option<NamePattern>,

    /// also show cores, memory, uptime, tags and pool
    #[argh(switch)]
    pub wide: bool,

    /// show the IP address of each running VM, as its guest agent reports it
    #[argh(switch)]
    pub ip: bool,

    /// show only addresses of this network card (net1), network (10.0.0.0/8), ipv4 or ipv6;
    /// implies --ip; repeatable, preferred one first
    #[argh(option, arg_name = "FROM")]
    pub ip_from: Vec<IpFrom>,

    /// print a JSON array, or for an error a JSON object
    #[argh(switch)]
    pub json: bool,
}

/// Show one virtual machine.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "show", help_triggers("-h", "--help"))]
#[argh(
    note = "Shows the settings with which the VM runs, and those that change at its next start as pending.
'-' stands for what is not set or not known. Addresses are known only while a guest agent runs in the
VM; 'IP' is the one that 'vm ssh' connects to. The password is never shown."
)]
#[argh(example = "homelab proxmox vm show web-1
homelab proxmox vm show 101 --json")]
pub struct VmShow {
    /// name or VMID of the VM
    #[argh(positional, arg_name = "vm", from_str_fn(not_empty))]
    pub vm: String,

    /// assume that nodes that are offline have no VM of that name
    #[argh(switch)]
    pub ignore_offline: bool,

    /// prefer an address of this network card (net1), network (10.0.0.0/8), ipv4 or ipv6 as 'IP';
    /// repeatable, preferred one first
    #[argh(option, arg_name = "FROM")]
    pub ip_from: Vec<IpFrom>,

    /// print one JSON document, even for errors
    #[argh(switch)]
    pub json: bool,
}

/// Connect to a virtual machine with ssh.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "ssh", help_triggers("-h", "--help"))]
#[argh(
    note = "Runs ssh with the address that the VM's guest agent reports, and with the command after '--', if
there is one. The exit code is that of ssh, or 1 or 2 if ssh was not started. Does not wait for a VM that
is still starting.

ssh reads its own configuration as usual: options for these addresses belong there."
)]
#[argh(example = "homelab proxmox vm ssh web-1
homelab proxmox vm ssh web-1 -- uptime
homelab proxmox vm ssh web-1 --user root --identity ~/.ssh/lab -- df -h")]
pub struct VmSsh {
    /// name or VMID of the VM
    #[argh(positional, arg_name = "vm", from_str_fn(not_empty))]
    pub vm: String,

    /// command to run in the VM instead of a shell, after '--'
    #[argh(positional, arg_name = "command")]
    pub command: Vec<String>,

    /// user to log in as (default: the VM's cloud-init user, or without one, ssh's default)
    #[argh(option, arg_name = "NAME", from_str_fn(not_empty))]
    pub user: Option<String>,

    /// private key to log in with
    #[argh(option, arg_name = "FILE")]
    pub identity: Option<PathBuf>,

    /// connect only to an address of this network card (net1), network (10.0.0.0/8), ipv4 or ipv6;
    /// repeatable, preferred one first
    #[argh(option, arg_name = "FROM")]
    pub ip_from: Vec<IpFrom>,

    /// assume that nodes that are offline have no VM of that name
    #[argh(switch)]
    pub ignore_offline: bool,
}

/// List containers.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "container", help_triggers("-h", "--help", "help"))]
#[argh(example = "homelab proxmox container list")]
pub struct Container {
    #[argh(subcommand)]
    pub verb: ContainerVerb,
}

/// A command about containers.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand)]
pub enum ContainerVerb {
    List(ContainerList),
}

/// List containers.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "list", help_triggers("-h", "--help"))]
#[argh(
    note = "Templates are not listed. '-' stands for what is not known. Of several filters, all must
match."
)]
#[argh(example = "$ homelab proxmox container list
VMID  Name   Status   Node
300   dns-1  running  pve1")]
#[argh(example = "homelab proxmox container list --tag web --wide")]
pub struct ContainerList {
    /// show only containers with this tag; repeatable: containers that have all of them
    #[argh(option, arg_name = "TAG", from_str_fn(not_empty))]
    pub tag: Vec<String>,

    /// show only containers with this status: running, stopped, or unknown if the node is offline
    #[argh(option, arg_name = "STATUS")]
    pub status: Option<GuestStatus>,

    /// show only containers on this node
    #[argh(option, arg_name = "NAME", from_str_fn(not_empty))]
    pub node: Option<String>,

    /// show only containers in this pool
    #[argh(option, arg_name = "ID", from_str_fn(not_empty))]
    pub pool: Option<String>,

    /// show only containers whose names match: * stands for any characters, ? for one, [1-3] for one of
    /// several
    #[argh(option, arg_name = "PATTERN")]
    pub name: Option<NamePattern>,

    /// also show cores, memory, uptime, tags and pool
    #[argh(switch)]
    pub wide: bool,

    /// print a JSON array, or for an error a JSON object
    #[argh(switch)]
    pub json: bool,
}
