//! The command line: each command with its options and help, usage errors, shell completion.

mod arguments;
pub mod completion;
mod level;

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use argh::{ArgsInfo, CommandInfoWithArgs, EarlyExit, FromArgs};

use self::arguments::Arguments;
use self::completion::Shell;
use crate::pve::types::{Upid, VmName, Vmid};
use crate::say::failure::{Failure, Kind};
use crate::settings::ip_from::IpFrom;
use crate::settings::resize::Resize;

/// Machines of a home lab, from the command line.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(help_triggers("-h", "--help", "help"))]
#[argh(example = "homelab proxmox template list\nhomelab proxmox vm create web-1 debian-12")]
#[argh(note = "Every command explains itself: homelab proxmox vm create --help")]
#[argh(error_code(0, "done"))]
#[argh(error_code(1, "failed"))]
#[argh(error_code(2, "wrong usage or configuration; nothing was asked of any server"))]
#[argh(error_code(130, "interrupted by SIGINT (Ctrl-C)"))]
#[argh(error_code(143, "interrupted by SIGTERM"))]
pub struct Cli {
    /// print the version and exit
    #[argh(switch)]
    pub version: bool,

    #[argh(subcommand)]
    pub topic: Option<Topic>,
}

/// The first word of a command.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand)]
#[allow(clippy::large_enum_variant, reason = "only one is built per run")]
pub enum Topic {
    Proxmox(Proxmox),
    Completions(Completions),
}

/// Virtual machines and templates of a Proxmox VE cluster.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "proxmox", help_triggers("-h", "--help", "help"))]
#[argh(example = "homelab proxmox template list\nhomelab proxmox vm create web-1 debian-12")]
#[argh(
    note = "The server and the API token come from the environment (PROXMOX_HOST,
PROXMOX_USER, PROXMOX_TOKEN_KEY, PROXMOX_TOKEN_SECRET or
PROXMOX_TOKEN_SECRET_FILE; whom to trust: PROXMOX_FINGERPRINT or
PROXMOX_CA_FILE) or from a JSON file, with the same names in small letters:
{{\"proxmox\": {{\"host\": \"pve.lan\", \"user\": \"homelab@pve\", \"token_key\": \"cli\",
\"token_secret\": \"…\", \"fingerprint\": \"AA:BB:…\"}}}}

'homelab proxmox check' says what is missing, and where each setting came from.
The options above may also stand behind the command. The token's secret is never
an option: everybody on a machine can read the arguments of its processes."
)]
pub struct Proxmox {
    /// the server: pve.lan, pve.lan:8006 or an https address; several nodes of one cluster
    /// separated by commas
    #[argh(option, arg_name = "host")]
    pub host: Option<String>,

    /// configuration file (default ~/.config/homelab/config.json)
    #[argh(option, arg_name = "file")]
    pub config: Option<PathBuf>,

    /// PEM file with the certificate authority to trust
    #[argh(option, arg_name = "file")]
    pub ca_file: Option<PathBuf>,

    /// SHA-256 of the server's certificate, the only one to trust then; with several hosts one
    /// for each, separated by commas
    #[argh(option, arg_name = "sha256")]
    pub fingerprint: Option<String>,

    /// do not verify the server's certificate
    #[argh(switch)]
    pub insecure: bool,

    /// what one request may take at the most, in seconds (default 40)
    #[argh(option, arg_name = "seconds")]
    pub request_timeout: Option<Seconds>,

    /// say on stderr what is asked of the server, a line for each request
    #[argh(switch)]
    pub verbose: bool,

    #[argh(subcommand)]
    pub noun: Noun,
}

/// The kind of object that a Proxmox command is about.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand)]
pub enum Noun {
    Template(Template),
    Vm(Vm),
    Task(Task),
    Check(Check),
}

/// Templates of virtual machines.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "template", help_triggers("-h", "--help", "help"))]
#[argh(example = "homelab proxmox template list")]
pub struct Template {
    #[argh(subcommand)]
    pub verb: TemplateVerb,
}

/// A command about templates.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand)]
pub enum TemplateVerb {
    List(TemplateList),
}

/// List the templates that a VM can be cloned from.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "list", help_triggers("-h", "--help"))]
#[argh(note = "Templates of containers are left out, and so is what the API token may not see.")]
#[argh(example = "homelab proxmox template list
VMID  Name          Node
9000  debian-12     pve1
9001  ubuntu-22.04  pve2")]
pub struct TemplateList {
    /// print a JSON array
    #[argh(switch)]
    pub json: bool,
}

/// Virtual machines.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "vm", help_triggers("-h", "--help", "help"))]
#[argh(example = "homelab proxmox vm list\nhomelab proxmox vm create web-1 debian-12")]
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
    Create(VmCreate),
}

/// List the virtual machines that are no templates.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "list", help_triggers("-h", "--help"))]
#[argh(
    note = "A VM whose name is not known yet, or no more, is shown as '-'. What holds a VM,
a clone or a backup, is shown as its lock. With --ip a VM that tells no address, for
it does not run or has no guest agent, is shown with '-'."
)]
#[argh(example = "homelab proxmox vm list
VMID  Name   Status                 Node
100   db-1   running                pve1
101   web-1  stopped (lock: clone)  pve1")]
pub struct VmList {
    /// ask the guest agent of each running VM for its address, and show that
    #[argh(switch)]
    pub ip: bool,

    /// show only addresses from a network card (net1), a network (10.0.0.0/8), ipv4 or ipv6; implies
    /// --ip; may be given several times, the first match wins
    #[argh(option, arg_name = "netn|cidr")]
    pub ip_from: Vec<IpFrom>,

    /// print a JSON array
    #[argh(switch)]
    pub json: bool,
}

/// Make a virtual machine from a template.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "create", help_triggers("-h", "--help"))]
#[argh(
    note = "Finds the template by its name, takes a free VMID, clones the template, waits
until the clone is done, sets it up and starts it as far as that is asked for, and
says what was made.

The template's name must match exactly, in upper and lower case too. Among
templates of one name the one with the lowest VMID is taken, and a warning names
the others. A number that is no template's name is taken for a template's VMID.

If a VM of that name exists, none is made: an error, or with --ensure a success,
once it is as the options say; what is so already is left alone. What a run began
that was killed, cut off or out of time, the next run with the same words sees to
its end. Runs leave word for each other in HOMELAB_STATE_DIR (default
~/.local/state/homelab).

Everything that can be known to be wrong is said before the clone. If a later step
fails, the VM stays, and the message begins with it.

Connection options (homelab proxmox --help) may stand here as well."
)]
#[argh(example = "homelab proxmox vm create web-1 debian-12
Creating VM 'web-1' from template 'debian-12'...
Successfully created VM 101 'web-1' on node 'pve1'

homelab proxmox vm create web-1 debian-12 --set cores=4 --set memory=8192 \\
  --set ciuser=admin --ssh-key ~/.ssh/id_ed25519.pub --resize scsi0=32G --wait-ip
Creating VM 'web-1' from template 'debian-12'...
Successfully created VM 101 'web-1' on node 'pve1' at 10.0.0.5

homelab proxmox vm create web-1 debian-12 --json --timeout 900
Creating VM 'web-1' from template 'debian-12'...
{{\"vmid\":101,\"name\":\"web-1\",\"node\":\"pve1\",\"created\":true,\"upid\":\"UPID:pve1:…\",\"ip\":null}}")]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch")]
pub struct VmCreate {
    /// name of the new VM: letters, digits, '-' and '.'
    #[argh(positional, arg_name = "vm-name")]
    pub vm_name: VmName,

    /// name or VMID of the template
    #[argh(positional, arg_name = "template-name", from_str_fn(not_empty))]
    pub template_name: String,

    /// the VMID to take, 100 to 999999999 (default: a free one)
    #[argh(option, arg_name = "n")]
    pub vmid: Option<Vmid>,

    /// be content with the VM of that name if it is there; wait for whoever is making it
    #[argh(switch)]
    pub ensure: bool,

    /// create the VM although a node that is offline may have one of that name
    #[argh(switch)]
    pub ignore_offline: bool,

    /// clone without copying the disks; the VM needs its template for ever
    #[argh(switch)]
    pub linked: bool,

    /// the storage for all disks of a full clone (default: those of the template)
    #[argh(option, arg_name = "id", from_str_fn(not_empty))]
    pub storage: Option<String>,

    /// the pool that the new VM becomes a member of
    #[argh(option, arg_name = "id", from_str_fn(not_empty))]
    pub pool: Option<String>,

    /// the node that the new VM shall be on (default: that of the template); takes shared storage
    #[argh(option, arg_name = "name", from_str_fn(not_empty))]
    pub node: Option<String>,

    /// set an option of the VM, in Proxmox's own names: cores=4, ipconfig0=ip=dhcp; the value
    /// @FILE is what stands in that file; may be given several times
    #[argh(option, arg_name = "key=value")]
    pub set: Vec<String>,

    /// let the keys in this file log in, by way of cloud-init: public ones, a line for each; may be
    /// given several times
    #[argh(option, arg_name = "file")]
    pub ssh_key: Vec<PathBuf>,

    /// make a disk at least that large: scsi0=32G, or scsi0=+8G for so much more than the
    /// template's; may be given several times
    #[argh(option, arg_name = "disk=size")]
    pub resize: Vec<Resize>,

    /// start the VM, and wait until it runs
    #[argh(switch)]
    pub start: bool,

    /// start the VM, and wait until its guest agent reports an address: of net0, or after a while
    /// of another network card
    #[argh(switch)]
    pub wait_ip: bool,

    /// wait for an address from a network card (net1), a network (10.0.0.0/8), ipv4 or ipv6; implies
    /// --wait-ip; may be given several times, the first match wins
    #[argh(option, arg_name = "netn|cidr")]
    pub ip_from: Vec<IpFrom>,

    /// what the whole command may take, in seconds (default 300)
    #[argh(option, arg_name = "seconds", default = "Seconds::DEFAULT_TIMEOUT")]
    pub timeout: Seconds,

    /// pause between two looks at the server, in seconds (default 2)
    #[argh(option, arg_name = "seconds", default = "Seconds::DEFAULT_INTERVAL")]
    pub poll_interval: Seconds,

    /// print one JSON document, also for errors
    #[argh(switch)]
    pub json: bool,

    /// print nothing on success but warnings
    #[argh(switch)]
    pub quiet: bool,
}

/// Tasks of a server.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "task", help_triggers("-h", "--help", "help"))]
#[argh(
    example = "homelab proxmox task wait 'UPID:pve1:000001E0:0001ECB8:6B03EE51:qmclone:9000:root@pam!cli:'"
)]
pub struct Task {
    #[argh(subcommand)]
    pub verb: TaskVerb,
}

/// A command about tasks.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand)]
pub enum TaskVerb {
    Wait(TaskWait),
}

/// Wait until a task has ended.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "wait", help_triggers("-h", "--help"))]
#[argh(
    note = "Succeeds if the task has ended well, be it with warnings, and fails if it has failed.
Put the UPID in single quotes: its '!' means something to a shell.

Connection options (homelab proxmox --help) may stand here as well."
)]
#[argh(
    example = "homelab proxmox task wait 'UPID:pve1:000001E0:0001ECB8:6B03EE51:qmclone:9000:root@pam!cli:'
Task UPID:pve1:000001E0:0001ECB8:6B03EE51:qmclone:9000:root@pam!cli: ended: OK"
)]
pub struct TaskWait {
    /// the task, as a message of this program or of Proxmox VE names it
    #[argh(positional, arg_name = "upid")]
    pub upid: Upid,

    /// what the whole command may take, in seconds (default 300)
    #[argh(option, arg_name = "seconds", default = "Seconds::DEFAULT_TIMEOUT")]
    pub timeout: Seconds,

    /// pause between two looks at the task, in seconds (default 2)
    #[argh(option, arg_name = "seconds", default = "Seconds::DEFAULT_INTERVAL")]
    pub poll_interval: Seconds,

    /// print one JSON document, also for errors
    #[argh(switch)]
    pub json: bool,

    /// print nothing on success but warnings
    #[argh(switch)]
    pub quiet: bool,
}

/// Look at everything that a run depends on.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "check", help_triggers("-h", "--help"))]
#[argh(
    note = "Checks configuration, name and connection and certificate of each host, token, server
version, quorum, what the token sees, and the state directory: one line each, with
what to do. With a template's name it also checks whether the template can be cloned,
and each privilege that this needs, with the 'pveum' command that grants a missing one.
Nothing is changed on the server.

FAIL means that 'vm create' would fail. The exit code is 0 if nothing has failed.

Connection options (homelab proxmox --help) may stand here as well."
)]
#[argh(example = "homelab proxmox check debian-12
homelab proxmox check debian-12 --pool lab")]
pub struct Check {
    /// name or VMID of a template that shall be cloned
    #[argh(positional, arg_name = "template-name", from_str_fn(not_empty))]
    pub template_name: Option<String>,

    /// the pool of the new VM, as for vm create
    #[argh(option, arg_name = "id", from_str_fn(not_empty))]
    pub pool: Option<String>,

    /// the storage of the new VM's disks, as for vm create
    #[argh(option, arg_name = "id", from_str_fn(not_empty))]
    pub storage: Option<String>,

    /// print one JSON document
    #[argh(switch)]
    pub json: bool,
}

/// Print the script with which a shell completes this program's words.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "completions", help_triggers("-h", "--help"))]
#[argh(
    note = "A shell reads the script once it is in the right place, for all users or for one:

bash  /etc/bash_completion.d/homelab, if the package bash-completion is there; else, and
      for one user, a line in ~/.bashrc:  . <(homelab completions bash)
zsh   /usr/local/share/zsh/site-functions/_homelab, or a file _homelab in another
      folder of $fpath; then 'compinit' has to run in ~/.zshrc
fish  /etc/fish/completions/homelab.fish, or ~/.config/fish/completions/homelab.fish

Shells that are started from then on complete commands, options and, where an option
takes a file, its name."
)]
#[argh(example = "homelab completions bash > /etc/bash_completion.d/homelab
homelab completions zsh > /usr/local/share/zsh/site-functions/_homelab
homelab completions fish > /etc/fish/completions/homelab.fish")]
pub struct Completions {
    /// the shell that shall complete them
    #[argh(positional, arg_name = "bash|zsh|fish")]
    pub shell: Shell,
}

/// A duration given in seconds: greater than zero, fractions allowed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seconds(pub Duration);

impl Seconds {
    const DEFAULT_TIMEOUT: Seconds = Seconds(Duration::from_mins(5));
    const DEFAULT_INTERVAL: Seconds = Seconds(Duration::from_secs(2));
    /// Ten years: longer than anybody waits, and far below where adding it to a time overflows.
    const AT_MOST: f64 = 315_360_000.0;
    /// A millisecond: a shorter pause between two requests is no pause.
    const AT_LEAST: f64 = 0.001;
}

impl FromStr for Seconds {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Seconds, Self::Err> {
        let seconds: f64 = text.parse().map_err(|_| "not a number of seconds")?;
        if !(Seconds::AT_LEAST..=Seconds::AT_MOST).contains(&seconds) {
            return Err("not a number of seconds between 0.001 and 315360000");
        }
        Ok(Seconds(Duration::from_secs_f64(seconds)))
    }
}

fn not_empty(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("it is empty".to_owned());
    }
    Ok(text.to_owned())
}

/// argh's description of all commands and options.
fn description() -> CommandInfoWithArgs {
    CommandInfoWithArgs {
        name: "homelab",
        ..Cli::get_args_info()
    }
}

/// The command that was typed, or what to print instead of running one: help if `status` is `Ok`,
/// else what is wrong with the arguments.
pub fn parse(arguments: &[String]) -> Result<Cli, EarlyExit> {
    let root = description();
    let arguments = Arguments::read(&root, arguments);
    Cli::from_args(&[root.name], &arguments.in_argh_order())
}

/// The script with which `shell` completes the command line.
pub fn completions(shell: Shell) -> String {
    completion::script(shell, &description())
}

/// What is printed where the command line is wrong: lines for people, and the failure.
pub fn wrong_usage(complaint: &str, arguments: &[String]) -> (Vec<String>, Failure) {
    let root = description();
    let arguments = Arguments::read(&root, arguments);
    let command = arguments.command();
    let mut lines: Vec<String> = complaint.trim().lines().map(str::to_owned).collect();
    let message: Vec<&str> = lines.iter().map(|line| line.trim()).collect();
    let mut hint = format!("'{command} --help' explains it");
    if let Some(meant) = arguments.suggestion() {
        hint = format!("did you mean '{meant}'? {hint}");
    }
    let failure = Failure::new(Kind::Usage, message.join(" ")).with_hint(hint);
    lines.push(usage_of(&command));
    (lines, failure)
}

/// The usage line of a command; its options are left out if they make the line too long.
fn usage_of(command: &str) -> String {
    let words: Vec<&str> = command.split(' ').chain(["--help"]).collect();
    let help = Cli::from_args(&words[..1], &words[1..]).err();
    let help = help.map(|exit| exit.output).unwrap_or_default();
    let line = help.lines().next().unwrap_or_default();
    match (line.find(" [--"), line.find(" [--] ")) {
        (Some(first), Some(last)) if line.len() > LONGEST_USAGE => {
            format!("{} [options]{}", &line[..first], &line[last..])
        }
        _ => line.to_owned(),
    }
}

/// In a longer line the missing argument is hard to find.
const LONGEST_USAGE: usize = 150;

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::whole("300", Some(300_000))]
    #[case::fraction("0.5", Some(500))]
    #[case::shortest("0.001", Some(1))]
    #[case::zero("0", None)]
    #[case::too_short("0.0001", None)]
    #[case::negative("-1", None)]
    #[case::infinite("inf", None)]
    #[case::nan("nan", None)]
    #[case::huge("1e300", None)]
    #[case::unit("5s", None)]
    #[case::empty("", None)]
    fn seconds_are_greater_than_zero(#[case] text: &str, #[case] milliseconds: Option<u64>) {
        let seconds: Option<Seconds> = text.parse().ok();
        let expected = milliseconds.map(|ms| Seconds(Duration::from_millis(ms)));
        assert_eq!(seconds, expected);
    }
}
