//! What is wrong with a command line, and what to type instead.
//!
//! The values of `--set` are not repeated: they may be passwords, and cron mails what is printed.

use super::arguments::{
    Arguments, Command, Flag, Positional, Problem, choices, runnable, usage_line, with_value,
};
use super::commands::description;
use super::manual;
use crate::say::closest::closest;
use crate::say::failure::{Failure, Kind};
use crate::say::hint::{SHOW_TEMPLATES, SHOW_VMS};
use crate::say::shell::word as quoted;
use crate::settings::{self, Settings};

/// A command line that cannot be run.
#[derive(Debug)]
pub struct WrongUsage {
    message: String,
    /// The usage line of the command, as far as one was named.
    usage: String,
    hint: String,
}

impl WrongUsage {
    pub(super) fn new(arguments: &Arguments, message: String, hint: String) -> WrongUsage {
        WrongUsage {
            message,
            usage: usage_line(&arguments.path(), arguments.command()),
            hint,
        }
    }

    /// Some argument is not UTF-8.
    pub fn not_utf8() -> WrongUsage {
        let root = description();
        let message = "an argument is not UTF-8".to_owned();
        WrongUsage::new(
            &Arguments::read(&root, []),
            message,
            "see 'homelab --help'".to_owned(),
        )
    }

    /// The message, and the usage line of the command.
    pub fn lines(&self) -> Vec<String> {
        vec![self.message.clone(), self.usage.clone()]
    }

    /// The message and the hint.
    pub fn failure(&self) -> Failure {
        Failure::new(Kind::Usage, self.message.clone()).with_hint(self.hint.clone())
    }
}

/// Finds what is wrong without parsing values.
pub(super) fn wrong_usage(arguments: &Arguments, typed: &[&str]) -> Option<WrongUsage> {
    let (message, advice) = match arguments.problem {
        Some(problem) => message_for(problem, arguments, typed),
        None => message_for_missing(arguments)?,
    };
    let path = arguments.path();
    let hint = match advice {
        None => format!("see '{path} --help'"),
        Some(advice) if advice.ends_with('?') => format!("{advice} See '{path} --help'"),
        Some(advice) => advice,
    };
    Some(WrongUsage::new(arguments, message, hint))
}

/// Rewrites argh's message about an invalid value.
pub(super) fn invalid_value(said: &str, arguments: &Arguments) -> WrongUsage {
    let said = said.trim();
    let after = |beginning: &str| said.strip_prefix(beginning)?.split_once("' with value '");
    let message = if let Some((option, rest)) = after("Error parsing option '") {
        let (value, why) = rest.split_once("': ").unwrap_or((rest, ""));
        format!("invalid value '{value}' for {option}: {why}")
    } else if let Some((name, rest)) = after("Error parsing positional argument '") {
        let name = name.replace('_', " ");
        let name = name.replace("vm ", "VM ").replace("upid", "UPID");
        format!("invalid {name} '{rest}")
    } else {
        said.to_owned()
    };
    let hint = format!("see '{} --help'", arguments.path());
    WrongUsage::new(arguments, message, hint)
}

/// A message, and what to type, if that is known.
type Message = (String, Option<String>);

fn message_for(problem: Problem, arguments: &Arguments, typed: &[&str]) -> Message {
    match problem {
        Problem::UnknownCommand(text) => {
            let message = format!("unknown command '{text}'");
            (message, advice_for_command(text, arguments, typed))
        }
        Problem::UnknownOption(name, value) => {
            let message = format!("unknown option '{name}'");
            (message, advice_for_option(name, value, arguments))
        }
        Problem::Unexpected(text) => message_for_unexpected(text, arguments),
        Problem::NotAChoice(text, positional) => message_for_choice(text, positional),
        Problem::GivenTwice(flag) => (format!("{} given twice", flag.long), None),
        Problem::MissingValue(flag) => {
            let usage = with_value(flag);
            (format!("{} needs a value: {usage}", flag.long), None)
        }
        Problem::SwitchWithValue(flag) => (format!("{} takes no value", flag.long), None),
    }
}

fn message_for_missing(arguments: &Arguments) -> Option<Message> {
    let command = arguments.command();
    if !command.commands.is_empty() {
        let names: Vec<&str> = command.commands.iter().map(|it| it.name).collect();
        let one_of = if names.len() > 1 { "one of " } else { "" };
        let message = format!("missing command: {one_of}{}", names.join(", "));
        return Some((message, None));
    }
    let missing = arguments.missing_positionals();
    let names: Vec<String> = missing.iter().map(|name| format!("<{name}>")).collect();
    let message = match missing.len() {
        0 => return None,
        1 => format!("missing argument {}", names[0]),
        _ => format!("missing arguments {}", names.join(" ")),
    };
    // `--set web-1 debian-12`
    let taken = without_value(arguments).map(|(flag, _)| {
        let usage = with_value(flag);
        format!("an argument was taken as the value of '{usage}'")
    });
    let advice = taken.or_else(|| match *missing.last()? {
        "template-name" => Some(SHOW_TEMPLATES.to_owned()),
        "vm" => Some(SHOW_VMS.to_owned()),
        _ => None,
    });
    Some((message, advice))
}

/// An option such as `--set KEY=VALUE` that got only a KEY, and that KEY.
fn without_value<'a>(arguments: &Arguments<'a>) -> Option<(Flag, &'a str)> {
    let is_incomplete =
        |(flag, value): &(Flag, &str)| with_value(flag).contains('=') && !value.contains('=');
    arguments.values().find(is_incomplete)
}

fn advice_for_command(text: &str, arguments: &Arguments, typed: &[&str]) -> Option<String> {
    let command = arguments.command();
    let names = command.commands.iter().map(|command| command.name);
    let path = path_with(text, arguments.levels[0], typed);
    if arguments.levels.len() == 1 && manual::topic(text).is_some() {
        return Some(format!("see 'homelab help {text}'"));
    }
    let suggestion = closest(text, names).map(str::to_owned).or(path);
    suggestion
        .map(|suggestion| format!("did you mean '{suggestion}'?"))
        .or_else(|| {
            let is_related = |words: &str| words.split(' ').any(|word| word == text);
            let mut related = RELATED.iter();
            let found =
                related.find(|(level, words, _)| *level == command.name && is_related(words));
            found.map(|(.., advice)| (*advice).to_owned())
        })
}

/// The command whose path contains all typed command names, in any order: `homelab proxmox vm list` for
/// `vm list` and for `proxmox list vm`. If there are several, as for `vm rm`, what they begin with up to
/// `text`.
fn path_with(text: &str, root: &Command, typed: &[&str]) -> Option<String> {
    let paths: Vec<String> = runnable(root).into_iter().map(|(path, _)| path).collect();
    let has = |path: &str, word: &str| path.split(' ').skip(1).any(|name| name == word);
    let is_name = |word: &&&str| paths.iter().any(|path| has(path, word));
    let named: Vec<&&str> = typed.iter().filter(is_name).collect();
    let belongs = |path: &&String| has(path, text) && named.iter().all(|word| has(path, word));
    let mut fitting: Vec<&String> = paths.iter().filter(belongs).collect();
    if let [path] = fitting[..] {
        return Some(path.clone());
    }
    if fitting.is_empty() && typed.first() == Some(&text) {
        fitting = paths.iter().filter(|path| has(path, text)).collect();
    }
    let up_to_text = |path: &&String| {
        let end = path.find(&format!(" {text} "))?;
        Some(path[..=end + text.len()].to_owned())
    };
    let mut beginnings: Vec<String> = fitting.iter().filter_map(up_to_text).collect();
    beginnings.dedup();
    beginnings.pop().filter(|_| beginnings.is_empty())
}

/// Commands of other programs, and what this program leaves to others: the command that they follow, the
/// words, and the advice.
const RELATED: &[(&str, &str, &str)] = &[
    ("vm", "ls ps ll", "did you mean 'list'?"),
    (
        "vm",
        "clone new add deploy provision launch",
        "did you mean 'create'?",
    ),
    (
        "vm",
        "rm remove destroy del purge",
        "did you mean 'delete'?",
    ),
    ("vm", "boot run up poweron", "did you mean 'start'?"),
    (
        "vm",
        "resume suspend pause",
        "on the VM's node, as root: qm suspend VMID, or qm resume VMID",
    ),
    (
        "vm",
        "halt down off",
        "did you mean 'shutdown', which asks the guest, or 'stop', which powers the VM off?",
    ),
    ("vm", "poweroff kill", "did you mean 'stop'?"),
    ("vm", "restart reset", "did you mean 'reboot'?"),
    (
        "vm",
        "info get status describe config inspect ip",
        "did you mean 'show'?",
    ),
    (
        "vm",
        "set update modify edit resize configure",
        "to change a VM: homelab proxmox vm create VM-NAME TEMPLATE-NAME --ensure --set KEY=VALUE",
    ),
    (
        "vm",
        "connect exec login enter shell",
        "did you mean 'ssh'?",
    ),
    (
        "vm",
        "console terminal vnc",
        "on the VM's node, as root: qm terminal VMID",
    ),
    (
        "vm",
        "migrate move",
        "on the VM's node, as root: qm migrate VMID NODE",
    ),
    ("container", "ls ps ll", "did you mean 'list'?"),
    (
        "container",
        "create start stop shutdown reboot delete show",
        "homelab only lists containers; on a node, as root: pct",
    ),
    ("template", "ls ps ll", "did you mean 'list'?"),
    (
        "template",
        "create new add build convert",
        "see 'homelab help templates'",
    ),
    (
        "template",
        "rm remove delete destroy",
        "on the template's node, as root: qm destroy VMID",
    ),
    ("task", "list ls", "on a node: pvenode task list"),
    (
        "task",
        "log status show",
        "on the task's node: pvenode task log UPID",
    ),
    (
        "task",
        "stop kill abort rm delete",
        "did you mean 'cancel'?",
    ),
    (
        "proxmox",
        "list ls",
        "did you mean 'homelab proxmox vm list' or 'homelab proxmox template list'?",
    ),
    ("proxmox", "vms qemu kvm", "did you mean 'vm'?"),
    (
        "proxmox",
        "containers ct lxc pct",
        "did you mean 'container'?",
    ),
    (
        "proxmox",
        "doctor test verify ping status version",
        "did you mean 'check'?",
    ),
    (
        "homelab",
        "list ls",
        "did you mean 'homelab proxmox vm list'?",
    ),
    ("homelab", "man manual docs", "did you mean 'help'?"),
    ("homelab", "pve vms", "did you mean 'proxmox'?"),
];

fn advice_for_option(name: &str, value: Option<&str>, arguments: &Arguments) -> Option<String> {
    let known = |long: &str| arguments.options().any(|flag| flag.long == long);
    // The options are those of the command that the line ends in.
    if known(name) {
        return Some(format!("put it after '{}'", arguments.path()));
    }
    let other = OTHER_NAMES
        .iter()
        .find(|(names, option, _)| known(option) && names.split(' ').any(|other| other == name));
    if let Some((.., advice)) = other {
        return Some((*advice).to_owned());
    }
    // `vm ssh web-1 ls -a`
    let runs_command = arguments
        .command()
        .positionals
        .iter()
        .any(|it| it.name == "command");
    if runs_command && arguments.positional_count() > 1 {
        return Some("put '--' before the command".to_owned());
    }
    let key = name.trim_start_matches('-');
    if known("--set") && settings::is_option(key) {
        return Some(advice_to_set(key, value));
    }
    let close = closest(name, arguments.options().map(|flag| flag.long));
    if let Some(close) = close {
        return Some(format!("did you mean '{close}'?"));
    }
    let commands = runnable(arguments.levels[0]);
    let has_it = |command: &Command| command.flags.iter().any(|flag| flag.long == name);
    let other = commands.iter().find(|(_, command)| has_it(command));
    other.map(|(path, _)| format!("it is an option of '{path}'"))
}

/// Options of other programs, the option that the command must have for the advice to help, and the
/// advice.
const OTHER_NAMES: &[(&str, &str, &str)] = &[
    ("-v", "--verbose", "use --verbose, or -V for the version"),
    ("-v", "--version", "use -V for the version"),
    ("-q -s --silent", "--quiet", "use --quiet"),
    ("--debug --trace", "--verbose", "use --verbose"),
    ("-o -j --output --format", "--json", "use --json"),
    (
        "-k --no-verify --skip-tls-verify --tls-insecure",
        "--insecure",
        "use --insecure",
    ),
    (
        "-H --server --url --endpoint --api-url",
        "--host",
        "use --host HOST",
    ),
    ("-c --config-file", "--config", "use --config FILE"),
    (
        "--token --token-secret --secret --password --api-token",
        "--host",
        "put the secret into the configuration file or PROXMOX_TOKEN_SECRET_FILE, because every user can \
         read the arguments of a process; see 'homelab help config'",
    ),
    (
        "-n -t --name --vm-name --hostname --template --template-name --from --source --clone",
        "--linked",
        "names are arguments, not options: homelab proxmox vm create VM-NAME TEMPLATE-NAME",
    ),
    ("-y --assume-yes --confirm", "--yes", "use --yes"),
    (
        "-f --force",
        "--yes",
        "use --yes to delete without asking, and --stop to power off a running VM first",
    ),
    (
        "--ignore-not-found --ignore-missing --missing-ok",
        "--if-exists",
        "use --if-exists",
    ),
    (
        "--purge --destroy-unreferenced-disks --destroy-disks",
        "--keep-jobs",
        "omit it: disks and jobs are deleted without it; to keep the jobs: --keep-jobs",
    ),
    (
        "--running --stopped --state",
        "--status",
        "use --status running or --status stopped",
    ),
    ("-l -w --long", "--wide", "use --wide"),
    (
        "--sshkey --sshkeys --ssh-keys --key",
        "--ssh-key",
        "use --ssh-key FILE",
    ),
    (
        "--full --full-clone",
        "--linked",
        "omit it: without --linked, every VM is a full clone",
    ),
    ("--check --plan --preview", "--dry-run", "use --dry-run"),
    ("--id --newid --vm-id", "--vmid", "use --vmid N"),
    ("--target --target-node", "--node", "use --node NAME"),
    ("--datastore", "--storage", "use --storage ID"),
    ("--ram --mem", "--memory", "use --memory SIZE"),
    ("--cpus --cpu-count --vcpu", "--cores", "use --cores N"),
    (
        "--disk --disk-size --size",
        "--resize",
        "use --resize DISK=SIZE",
    ),
    (
        "-l --login --ssh-user",
        "--identity",
        "use --user NAME, or put '--' before the command if this is its option",
    ),
    (
        "-i --key",
        "--identity",
        "use --identity FILE, or put '--' before the command if this is its option",
    ),
    ("--user --ssh-user", "--set", "use --set ciuser=NAME"),
    (
        "--ip --address",
        "--linked",
        "use --wait-ip to wait for an address, or --set ipconfig0=ip=ADDRESS/PREFIX to set one",
    ),
    ("--ip --address", "--wait-ip", "use --wait-ip"),
    (
        "--wait",
        "--linked",
        "omit it: vm create waits for the clone; --start and --wait-ip also wait for the VM",
    ),
    (
        "--wait",
        "--wait-ip",
        "omit it: the command waits until the VM runs; --wait-ip also waits for its address",
    ),
    (
        "--wait",
        "--poll-interval",
        "omit it: the command waits until it is done",
    ),
    ("--if-not-exists --exist-ok", "--ensure", "use --ensure"),
    ("--linked-clone", "--linked", "use --linked"),
];

/// Repeats the typed value if it is valid and not a password.
fn advice_to_set(key: &str, value: Option<&str>) -> String {
    let is_valid = |value: &&str| {
        let assignment = format!("{key}={value}");
        !value.starts_with(['-', '@']) && Settings::gather(&[assignment], &[]).is_ok()
    };
    let value = match value.filter(is_valid) {
        _ if key == "cipassword" => "@FILE".to_owned(),
        Some(value) => quoted(value),
        None => "VALUE".to_owned(),
    };
    format!("use --set {key}={value}")
}

fn message_for_unexpected(text: &str, arguments: &Arguments) -> Message {
    if let Some((flag, key)) = without_value(arguments) {
        let message = format!("{} needs a value: {}", flag.long, with_value(flag));
        let advice = match flag.long {
            "--set" => settings::is_option(key).then(|| advice_to_set(key, Some(text))),
            option => Some(format!("use {option} {key}={text}")),
        };
        return (message, advice);
    }
    let Some((key, _)) = text.split_once('=') else {
        return (format!("unexpected argument '{text}'"), None);
    };
    let sets = arguments.options().any(|flag| flag.long == "--set");
    let is_setting = sets && settings::is_option(key);
    let advice = is_setting.then(|| format!("use --set {key}=..."));
    (format!("unexpected argument '{key}=...'"), advice)
}

fn message_for_choice(text: &str, positional: Positional) -> Message {
    let names: Vec<&str> = choices(positional).collect();
    let message = format!("'{text}' is not one of {}", names.join(", "));
    let close = closest(text, names.into_iter());
    (
        message,
        close.map(|close| format!("did you mean '{close}'?")),
    )
}
