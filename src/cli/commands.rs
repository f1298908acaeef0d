//! Every command with its arguments, options and the short part of its help, as argh parses them.
//!
//! An option's value has the name that help, man page and completion show: `N`, `ID`, `FILE`.

use std::path::PathBuf;

use argh::{ArgsInfo, FromArgs, SubCommandInfo};

use super::arguments::Command;
use super::changes::{VmDelete, VmReboot, VmShutdown, VmStart, VmStop};
use super::queries::{Container, VmList, VmShow, VmSsh};
use super::templates::Template;
use super::values::{Seconds, Shell, not_empty};
use crate::pve::types::{Upid, VmName, Vmid};
use crate::settings::ip_from::IpFrom;
use crate::settings::named::{cores, description as described, memory, tags};
use crate::settings::resize::Resize;

/// Provision virtual machines on Proxmox VE.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(help_triggers("-h", "--help"))]
#[argh(example = "homelab proxmox template list
homelab proxmox vm create web-1 debian-12
homelab proxmox vm delete --help
homelab help")]
pub struct Cli {
    /// print the version and exit (also -V)
    #[argh(switch)]
    #[expect(dead_code, reason = "answered before argh reads the line")]
    pub version: bool,

    #[argh(subcommand)]
    pub command: Option<TopCommand>,
}

/// The first word of a command.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand)]
#[allow(clippy::large_enum_variant, reason = "only one is built per run")]
pub enum TopCommand {
    Proxmox(Proxmox),
    Completions(Completions),
    Version(Version),
}

/// Virtual machines, templates and tasks of a Proxmox VE cluster.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "proxmox", help_triggers("-h", "--help", "help"))]
#[argh(
    note = "The server can be given with these options, in the environment or in a JSON file; the API
token only in the environment or the file: see 'homelab help config'. There is no option for the
token's secret, because every user of a machine can read the arguments of its processes.

These options may also follow the command."
)]
#[argh(example = "homelab proxmox check
homelab proxmox --host pve.lan template list
homelab proxmox vm create web-1 debian-12 --verbose")]
pub struct Proxmox {
    /// server: pve.lan, pve.lan:8006 or a URL; several nodes of one cluster separated by commas
    #[argh(option, arg_name = "HOST")]
    pub host: Option<String>,

    /// configuration file (default ~/.config/homelab/config.json)
    #[argh(option, arg_name = "FILE")]
    pub config: Option<PathBuf>,

    /// PEM file with the CA certificates to trust
    #[argh(option, arg_name = "FILE")]
    pub ca_file: Option<PathBuf>,

    /// trust only the certificate with this SHA-256 fingerprint; with several hosts one for each,
    /// separated by commas
    #[argh(option, arg_name = "SHA256")]
    pub fingerprint: Option<String>,

    /// do not verify the server's certificate
    #[argh(switch)]
    pub insecure: bool,

    /// time limit for one request (default 40)
    #[argh(option, arg_name = "SECONDS")]
    pub request_timeout: Option<Seconds>,

    /// print one line on stderr for each request
    #[argh(switch)]
    pub verbose: bool,

    #[argh(subcommand)]
    pub noun: Noun,
}

/// The kind of object that a Proxmox command is about.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand)]
#[allow(clippy::large_enum_variant, reason = "only one is built per run")]
pub enum Noun {
    Template(Template),
    Vm(Vm),
    Container(Container),
    Task(Task),
    Check(Check),
}

/// List, create, start, stop and delete virtual machines.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "vm", help_triggers("-h", "--help", "help"))]
#[argh(example = "homelab proxmox vm create web-1 debian-12 --start
homelab proxmox vm list --status running
homelab proxmox vm show web-1
homelab proxmox vm delete web-1 --stop")]
pub struct Vm {
    #[argh(subcommand)]
    pub verb: VmVerb,
}

/// A command about virtual machines.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand)]
#[allow(clippy::large_enum_variant, reason = "only one is built per run")]
pub enum VmVerb {
    List(VmList),
    Show(VmShow),
    Create(VmCreate),
    Start(VmStart),
    Shutdown(VmShutdown),
    Stop(VmStop),
    Reboot(VmReboot),
    Delete(VmDelete),
    Ssh(VmSsh),
}

/// Create a virtual machine from a template.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "create", help_triggers("-h", "--help"))]
#[argh(
    note = "Finds the template by its exact name, takes a free VMID, clones the template, waits
until the clone is done, applies the settings, and starts the VM if asked to. --dry-run shows all this
and changes nothing.

Running the same command again resumes a run that was interrupted or failed. If a finished VM of
that name exists, or one that somebody else created, the command fails; with --ensure it succeeds.

See 'homelab help exactly-one', 'homelab help settings', 'homelab help addresses'."
)]
#[argh(example = "$ homelab proxmox vm create web-1 debian-12
Creating VM 'web-1' from template 'debian-12'...
Successfully created VM 101 'web-1' on node 'pve1'

$ homelab proxmox vm create web-1 debian-12 \\
    --cores 4 --memory 8G --tags web,test --resize scsi0=32G \\
    --set ciuser=admin --ssh-key ~/.ssh/id_ed25519.pub \\
    --wait-ip --json
{{\"vmid\":101,\"name\":\"web-1\",\"node\":\"pve1\",\"created\":true,...}}")]
#[argh(example = "homelab proxmox vm create web-1 debian-12 --dry-run
homelab proxmox vm create web-1 debian-12 --ensure --quiet")]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch")]
pub struct VmCreate {
    /// name of the new VM: letters, digits, '-' and '.'
    #[argh(positional, arg_name = "vm-name")]
    pub vm_name: VmName,

    /// name or VMID of the template
    #[argh(positional, arg_name = "template-name", from_str_fn(not_empty))]
    pub template_name: String,

    /// use this VMID, 100 to 999999999 (default: the next free one)
    #[argh(option, arg_name = "N")]
    pub vmid: Option<Vmid>,

    /// create the VM if it does not exist; if it exists, even if somebody else created it, apply the settings, keys,
    /// sizes and --start to it and succeed; wait if another run is creating it
    #[argh(switch)]
    pub ensure: bool,

    /// assume that nodes that are offline have no VM of that name
    #[argh(switch)]
    pub ignore_offline: bool,

    /// create a linked clone, which copies no disks: the template cannot be deleted while the VM exists;
    /// not with --storage
    #[argh(switch)]
    pub linked: bool,

    /// storage for all disks (default: the storages of the template's disks)
    #[argh(option, arg_name = "ID", from_str_fn(not_empty))]
    pub storage: Option<String>,

    /// pool to add the VM to
    #[argh(option, arg_name = "ID", from_str_fn(not_empty))]
    pub pool: Option<String>,

    /// node to create the VM on (default: the template's node); needs shared storage, or a template
    /// of the same name on that node
    #[argh(option, arg_name = "NAME", from_str_fn(not_empty))]
    pub node: Option<String>,

    /// number of CPU cores; the same as --set cores=N
    #[argh(option, arg_name = "N", from_str_fn(cores))]
    pub cores: Option<String>,

    /// memory: 8G, or a number of MiB
    #[argh(option, arg_name = "SIZE", from_str_fn(memory))]
    pub memory: Option<String>,

    /// tags, separated by commas
    #[argh(option, arg_name = "TAGS", from_str_fn(tags))]
    pub tags: Option<String>,

    /// description of the VM
    #[argh(option, arg_name = "TEXT", from_str_fn(described))]
    pub description: Option<String>,

    /// set an option of the VM, named as in 'qm config': cores=4, ipconfig0=ip=dhcp; KEY=@FILE reads
    /// the value from FILE; repeatable
    #[argh(option, arg_name = "KEY=VALUE")]
    pub set: Vec<String>,

    /// SSH public keys of the cloud-init user, instead of the template's; repeatable
    #[argh(option, arg_name = "FILE")]
    pub ssh_key: Vec<PathBuf>,

    /// grow a disk to at least SIZE: scsi0=32G; scsi0=+8G adds to the size of the template's disk;
    /// repeatable
    #[argh(option, arg_name = "DISK=SIZE")]
    pub resize: Vec<Resize>,

    /// start the VM and wait until it runs
    #[argh(switch)]
    pub start: bool,

    /// start the VM and wait until its guest agent reports an IP address
    #[argh(switch)]
    pub wait_ip: bool,

    /// wait for an address of this network card (net1), network (10.0.0.0/8), ipv4 or ipv6; implies
    /// --wait-ip; repeatable, preferred one first
    #[argh(option, arg_name = "FROM")]
    pub ip_from: Vec<IpFrom>,

    /// time limit for the whole command (default 300)
    #[argh(option, arg_name = "SECONDS", default = "Seconds::DEFAULT_TIMEOUT")]
    pub timeout: Seconds,

    /// pause between two polls of the server (default 2)
    #[argh(option, arg_name = "SECONDS", default = "Seconds::DEFAULT_INTERVAL")]
    pub poll_interval: Seconds,

    /// show what would be done, and change nothing
    #[argh(switch)]
    pub dry_run: bool,

    /// print one JSON document, even for errors
    #[argh(switch)]
    pub json: bool,

    /// print only warnings and errors
    #[argh(switch)]
    pub quiet: bool,
}

/// Wait for a server task, or cancel it.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "task", help_triggers("-h", "--help", "help"))]
#[argh(example = "homelab proxmox task wait 'UPID:pve1:000001E0:…'
homelab proxmox task cancel 'UPID:pve1:000001E0:…'")]
pub struct Task {
    #[argh(subcommand)]
    pub verb: TaskVerb,
}

/// A command about tasks.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand)]
pub enum TaskVerb {
    Wait(TaskWait),
    Cancel(TaskCancel),
}

/// Wait until a task has ended.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "wait", help_triggers("-h", "--help"))]
#[argh(
    note = "Succeeds if the task succeeded, with or without warnings, and fails if it failed.
An unknown UPID is reported only after 30 s, because a restarting daemon may not know it yet. Put
the UPID in single quotes: it may contain '!', which is special to shells."
)]
#[argh(example = "$ homelab proxmox task wait 'UPID:pve1:000001E0:…'
Task UPID:pve1:000001E0:… ended: OK")]
pub struct TaskWait {
    /// task ID (UPID), as shown by an error or the web interface
    #[argh(positional, arg_name = "upid")]
    pub upid: Upid,

    /// time limit for the whole command (default 300)
    #[argh(option, arg_name = "SECONDS", default = "Seconds::DEFAULT_TIMEOUT")]
    pub timeout: Seconds,

    /// pause between two polls of the server (default 2)
    #[argh(option, arg_name = "SECONDS", default = "Seconds::DEFAULT_INTERVAL")]
    pub poll_interval: Seconds,

    /// print one JSON document, even for errors
    #[argh(switch)]
    pub json: bool,

    /// print only warnings and errors
    #[argh(switch)]
    pub quiet: bool,
}

/// Cancel a task.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "cancel", help_triggers("-h", "--help"))]
#[argh(
    note = "Asks the server to end the task, and waits until it has ended. If it has ended already, that is
a success. A cancelled clone leaves no VM behind, unless its clean-up takes longer than 5 s; the result
says whether one is left. Cancelling a task of another token requires Sys.Modify on the node."
)]
#[argh(example = "$ homelab proxmox task cancel 'UPID:pve1:000001E0:…'
Task UPID:pve1:000001E0:… was cancelled")]
pub struct TaskCancel {
    /// task ID (UPID), as shown by an error or the web interface
    #[argh(positional, arg_name = "upid")]
    pub upid: Upid,

    /// time limit for the whole command (default 300)
    #[argh(option, arg_name = "SECONDS", default = "Seconds::DEFAULT_TIMEOUT")]
    pub timeout: Seconds,

    /// pause between two polls of the server (default 2)
    #[argh(option, arg_name = "SECONDS", default = "Seconds::DEFAULT_INTERVAL")]
    pub poll_interval: Seconds,

    /// print one JSON document, even for errors
    #[argh(switch)]
    pub json: bool,

    /// print only warnings and errors
    #[argh(switch)]
    pub quiet: bool,
}

/// Check the connection, the token's privileges and a template.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "check", help_triggers("-h", "--help"))]
#[argh(
    note = "Prints one line for each check of the configuration, the hosts and their certificates,
the token, the server's version, the quorum, the visible VMs and the state directory. With a
template it also shows whether it can be cloned, with --image-storage whether a template can be
created from an image, otherwise which commands the token permits. For each missing privilege it
prints the 'pveum' command.

FAIL means that 'vm create', or with --image-storage 'template create', would fail. The exit code is
0 if nothing failed. Nothing is changed on the server."
)]
#[argh(example = "homelab proxmox check debian-12
homelab proxmox check debian-12 --pool lab
homelab proxmox check --image-storage local")]
pub struct Check {
    /// name or VMID of the template to check
    #[argh(positional, arg_name = "template-name", from_str_fn(not_empty))]
    pub template_name: Option<String>,

    /// check the privileges for a VM in this pool
    #[argh(option, arg_name = "ID", from_str_fn(not_empty))]
    pub pool: Option<String>,

    /// check the privileges for a VM or a template with its disks on this storage
    #[argh(option, arg_name = "ID", from_str_fn(not_empty))]
    pub storage: Option<String>,

    /// check whether 'template create' can download an image to this storage
    #[argh(option, arg_name = "ID", from_str_fn(not_empty))]
    pub image_storage: Option<String>,

    /// print one JSON document
    #[argh(switch)]
    pub json: bool,
}

/// Print a completion script for bash, zsh or fish.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "completions", help_triggers("-h", "--help"))]
#[argh(
    note = "The script completes commands, options and their values, and the names of VMs, templates,
storages, pools and nodes, which it reads from the server.

The examples install it for all users and need root. To install it for one user: in bash, add the
line '. <(homelab completions bash)' to ~/.bashrc; in zsh, save the script as _homelab in a directory
listed in $fpath; in fish, save it as ~/.config/fish/completions/homelab.fish."
)]
#[argh(example = "homelab completions bash \\
    > /etc/bash_completion.d/homelab
homelab completions zsh \\
    > /usr/local/share/zsh/site-functions/_homelab
homelab completions fish \\
    > /etc/fish/completions/homelab.fish")]
pub struct Completions {
    /// the shell to print the script for
    #[argh(positional, arg_name = "bash|zsh|fish")]
    pub shell: Shell,
}

/// Show a topic of the manual, or the help of a command.
// Not a subcommand of `Cli`: argh reserves the name 'help'.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(help_triggers("-h", "--help"))]
#[argh(example = "homelab help
homelab help cron
homelab help vm create
homelab help --man | man -l -")]
pub struct Help {
    /// a topic of the manual, or a command
    #[argh(positional, arg_name = "topic")]
    pub topic: Vec<String>,

    /// print the whole manual as a man page
    #[argh(switch)]
    pub man: bool,
}

/// Print the version.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "version", help_triggers("-h", "--help"))]
#[argh(example = "homelab version")]
pub struct Version {}

/// The name of a command that argh reserves.
pub(super) const HELP: &str = "help";

/// argh's description of all commands and options.
pub(super) fn description() -> Command {
    let mut root = Command {
        name: "homelab",
        ..Cli::get_args_info()
    };
    let command = Command {
        name: HELP,
        ..Help::get_args_info()
    };
    root.commands.push(SubCommandInfo {
        name: HELP,
        command,
    });
    root
}
