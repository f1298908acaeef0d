//! What is wrong with a command line, and what to type instead.

use super::arguments::{
    Arguments, Command, Flag, Positional, Problem, choices, runnable, takes_value, usage_line,
    with_value,
};
use super::commands::description;
use crate::say::closest::closest;
use crate::say::failure::{Failure, Kind};
use crate::say::shell::word;
use crate::settings;

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

    /// Lines for people.
    pub fn lines(&self) -> Vec<String> {
        vec![self.message.clone(), self.usage.clone()]
    }

    /// The same as a failure with its hint.
    pub fn failure(&self) -> Failure {
        Failure::new(Kind::Usage, self.message.clone()).with_hint(self.hint.clone())
    }
}

/// What is wrong with the arguments before the types of their values count.
pub(super) fn find(arguments: &Arguments, typed: &[&str]) -> Option<WrongUsage> {
    let (message, advice) = match arguments.problem {
        Some(problem) => of_problem(problem, arguments, typed),
        None => of_missing(arguments)?,
    };
    let path = arguments.path();
    let see_help = format!("see '{path} --help'");
    let hint = match advice {
        None => see_help,
        Some(advice) if advice.ends_with('?') => format!("{advice} See '{path} --help'"),
        Some(advice) => advice,
    };
    Some(WrongUsage::new(arguments, message, hint))
}

/// What argh says of a value that is not of its type.
pub(super) fn of_value(said: &str, arguments: &Arguments) -> WrongUsage {
    let said = said.trim();
    let option = said.strip_prefix("Error parsing option '");
    let option = option.and_then(|rest| rest.split_once("' with value '"));
    let positional = said.strip_prefix("Error parsing positional argument '");
    let positional = positional.and_then(|rest| rest.split_once("' with value '"));
    let message = match (option, positional) {
        (Some((option, rest)), _) => {
            let (value, why) = rest.split_once("': ").unwrap_or((rest, ""));
            format!("invalid value '{value}' for {option}: {why}")
        }
        (_, Some((name, rest))) => {
            let name = name.replace('_', " ");
            let name = name.replace("vm ", "VM ").replace("upid", "UPID");
            format!("invalid {name} '{rest}")
        }
        _ => said.to_owned(),
    };
    let hint = format!("see '{} --help'", arguments.path());
    WrongUsage::new(arguments, message, hint)
}

/// A message, and advice where there is better than to see the help.
type Said = (String, Option<String>);

fn of_problem(problem: Problem, arguments: &Arguments, typed: &[&str]) -> Said {
    match problem {
        Problem::UnknownCommand(text) => {
            let message = format!("unknown command '{text}'");
            (message, for_command(text, arguments, typed))
        }
        Problem::UnknownOption(name, value) => {
            let message = format!("unknown option '{name}'");
            (message, for_option(name, value, arguments, typed))
        }
        Problem::Unexpected(text) => for_unexpected(text, arguments),
        Problem::NotAChoice(text, positional) => for_choice(text, positional),
        Problem::GivenTwice(flag) => (format!("{} given twice", flag.long), None),
        Problem::MissingValue(flag) => {
            let example = format!("{} needs a value: {}", flag.long, with_value(flag));
            (example, None)
        }
        Problem::SwitchWithValue(flag) => (format!("{} takes no value", flag.long), None),
    }
}

fn of_missing(arguments: &Arguments) -> Option<Said> {
    let command = arguments.command();
    if !command.commands.is_empty() {
        let names: Vec<&str> = command.commands.iter().map(|it| it.name).collect();
        return Some((
            format!("missing command: one of {}", names.join(", ")),
            None,
        ));
    }
    let missing = arguments.missing();
    let names: Vec<String> = missing.iter().map(|name| format!("<{name}>")).collect();
    let message = match missing.len() {
        0 => return None,
        1 => format!("missing argument {}", names[0]),
        _ => format!("missing arguments {}", names.join(" ")),
    };
    let advice = taken_for_a_value(arguments).or_else(|| {
        let lacks_template = missing.last() == Some(&"template-name");
        lacks_template.then(|| "'homelab proxmox template list' shows the templates".to_owned())
    });
    Some((message, advice))
}

/// `--set web-1 debian-12`: the option has taken an argument for its value.
fn taken_for_a_value(arguments: &Arguments) -> Option<String> {
    let mut values = arguments.values();
    let (flag, value) = values.find(|(flag, value)| is_assignment(flag) && !value.contains('='))?;
    let usage = with_value(flag);
    Some(format!(
        "the option is '{usage}', and '{value}' was taken for its value"
    ))
}

fn is_assignment(flag: Flag) -> bool {
    with_value(flag).contains('=')
}

fn for_command(text: &str, arguments: &Arguments, typed: &[&str]) -> Option<String> {
    let command = arguments.command();
    let names = command.commands.iter().map(|command| command.name);
    if let Some(close) = closest(text, names) {
        return Some(format!("did you mean '{close}'?"));
    }
    let is_related = |words: &str| words.split(' ').any(|word| word == text);
    let mut related = RELATED.iter();
    let found = related.find(|(level, words, _)| *level == command.name && is_related(words));
    found.map(|(.., advice)| (*advice).to_owned()).or_else(|| {
        let path = only_command_with(text, arguments.levels[0], typed)?;
        Some(format!("did you mean '{path}'?"))
    })
}

/// Words that other programs have for a command, or for what this program leaves to others: the command
/// that they stand behind, the words, and what to type.
const RELATED: &[(&str, &str, &str)] = &[
    ("vm", "ls ps ll", "did you mean 'list'?"),
    (
        "vm",
        "clone new add deploy provision launch",
        "did you mean 'create'?",
    ),
    (
        "vm",
        "rm remove delete destroy del",
        "homelab does not delete VMs; on the VM's node, as root: qm destroy VMID",
    ),
    (
        "vm",
        "start boot run up poweron",
        "for a new VM: vm create ... --start; for others, on the VM's node as root: qm start VMID",
    ),
    (
        "vm",
        "stop shutdown halt poweroff kill down",
        "on the VM's node, as root: qm shutdown VMID, or qm stop VMID",
    ),
    (
        "vm",
        "reboot restart reset",
        "on the VM's node, as root: qm reboot VMID",
    ),
    (
        "vm",
        "show info get status describe config inspect ip",
        "'homelab proxmox vm list --ip' shows status and address; on the VM's node, as root: qm config VMID",
    ),
    (
        "vm",
        "set update modify edit resize configure",
        "to change a VM: homelab proxmox vm create VM-NAME TEMPLATE-NAME --ensure --set KEY=VALUE",
    ),
    (
        "vm",
        "ssh connect console exec",
        "'homelab proxmox vm list --ip' shows the address for ssh",
    ),
    (
        "vm",
        "migrate move",
        "on the VM's node, as root: qm migrate VMID NODE",
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
        "cancel stop kill abort",
        "on the task's node, as root: pvesh delete /nodes/NODE/tasks/UPID",
    ),
    ("proxmox", "vms qemu kvm", "did you mean 'vm'?"),
    (
        "proxmox",
        "container containers ct lxc",
        "homelab has no command for containers; on a node: pct",
    ),
    (
        "proxmox",
        "doctor test verify ping status version",
        "did you mean 'check'?",
    ),
    (
        "proxmox",
        "list ls",
        "did you mean 'homelab proxmox vm list' or 'homelab proxmox template list'?",
    ),
    (
        "homelab",
        "list ls",
        "did you mean 'homelab proxmox vm list'?",
    ),
    ("homelab", "man manual docs", "did you mean 'help'?"),
    ("homelab", "pve vms", "did you mean 'proxmox'?"),
];

/// The command whose path has that word, and more of all typed words than any other such command:
/// `homelab proxmox vm list` for `vm list` and for `proxmox list vm`.
fn only_command_with(text: &str, root: &Command, typed: &[&str]) -> Option<String> {
    let has = |path: &str, word: &str| path.split(' ').skip(1).any(|name| name == word);
    let paths = runnable(root).into_iter().map(|(path, _)| path);
    let mut paths: Vec<String> = paths.filter(|path| has(path, text)).collect();
    let count = |path: &String| typed.iter().filter(|word| has(path, word)).count();
    let most = paths.iter().map(count).max()?;
    paths.retain(|path| count(path) == most);
    paths.pop().filter(|_| paths.is_empty())
}

fn for_option(
    name: &str,
    value: Option<&str>,
    arguments: &Arguments,
    typed: &[&str],
) -> Option<String> {
    if let Some(whole) = at_its_place(name, value, arguments, typed) {
        return Some(format!("it goes after the command: {whole}"));
    }
    let bare = name.trim_start_matches('-');
    if let Some((_, meant)) = OTHER_NAMES
        .iter()
        .find(|(names, _)| names.split(' ').any(|it| it == name))
    {
        return Some((*meant).to_owned());
    }
    let sets = arguments.options().any(|flag| flag.long == "--set");
    if sets && settings::is_option(bare) {
        return Some(format!(
            "use --set {bare}={}",
            value_of_setting(bare, value)
        ));
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

/// Options of other programs, and what to use here.
const OTHER_NAMES: &[(&str, &str)] = &[
    ("-q -s --silent", "use --quiet"),
    ("-v --debug --trace", "use --verbose"),
    ("-o -j --output --format", "use --json"),
    (
        "-k --no-verify --skip-tls-verify --tls-insecure",
        "use --insecure",
    ),
    ("-H --server --url --endpoint --api-url", "use --host HOST"),
    ("-c --config-file", "use --config FILE"),
    (
        "--token --token-secret --secret --password --api-token",
        "put the secret into the configuration file or PROXMOX_TOKEN_SECRET_FILE, because every user \
         can read the arguments of a process; see 'homelab help config'",
    ),
    (
        "-n -t --name --vm-name --hostname --template --template-name --from --source --clone",
        "names are arguments, not options: homelab proxmox vm create <vm-name> <template-name>",
    ),
    ("--id --newid --vm-id", "use --vmid N"),
    ("--target --target-node", "use --node NAME"),
    ("--datastore", "use --storage ID"),
    ("--ram --mem", "use --set memory=MIB"),
    ("--cpus --cpu-count --vcpu", "use --set cores=N"),
    ("--disk --disk-size --size", "use --resize DISK=SIZE"),
    ("--user --ssh-user", "use --set ciuser=NAME"),
    (
        "--ip --address",
        "use --wait-ip to wait for an address, or --set ipconfig0=ip=ADDRESS/PREFIX to set one",
    ),
    (
        "--wait",
        "leave it out: vm create waits for the clone; --start and --wait-ip wait for more",
    ),
    ("--if-not-exists --exist-ok", "use --ensure"),
    ("--linked-clone", "use --linked"),
];

/// The value that was typed; a password is not repeated.
fn value_of_setting(key: &str, value: Option<&str>) -> String {
    match value {
        _ if key == "cipassword" => "@FILE".to_owned(),
        Some(value) if !value.starts_with('-') => word(value),
        _ => "VALUE".to_owned(),
    }
}

/// The whole command with an option of the verb moved behind it.
fn at_its_place(
    name: &str,
    value: Option<&str>,
    arguments: &Arguments,
    typed: &[&str],
) -> Option<String> {
    let position = typed
        .iter()
        .position(|word| word.split('=').next() == Some(name))?;
    let option = typed[position];
    let has_value = |flag: Flag| takes_value(flag) && !option.contains('=');
    [0, 1].into_iter().find_map(|values| {
        let end = typed.len().min(position + 1 + values);
        let rest = [&typed[..position], &typed[end..]].concat();
        let read = Arguments::read(arguments.levels[0], rest.iter().copied());
        let flag = read.options().find(|flag| flag.long == name)?;
        let fits = has_value(flag) == (values == 1);
        let value = value
            .filter(|_| values == 1)
            .map(|value| format!(" {}", word(value)));
        let moved = format!("{option}{}", value.unwrap_or_default());
        let usage = usage_line(&read.path(), read.command());
        let usage = usage.trim_start_matches("Usage: ");
        fits.then(|| usage.replace("[options]", &moved))
    })
}

/// Neither what follows a `=` nor what follows the name of a setting is repeated, for it may be a secret.
fn for_unexpected(text: &str, arguments: &Arguments) -> Said {
    let mut values = arguments.values();
    let without_value = values.find(|(flag, value)| is_assignment(flag) && !value.contains('='));
    if let Some((flag, key)) = without_value {
        let message = format!("{} needs KEY=VALUE, not '{key}' alone", flag.long);
        let value = value_of_setting(key, Some(text));
        return (message, Some(format!("use {} {key}={value}", flag.long)));
    }
    let Some((key, _)) = text.split_once('=') else {
        return (format!("unexpected argument '{text}'"), None);
    };
    let sets = arguments.options().any(|flag| flag.long == "--set");
    let is_setting = sets && settings::is_option(key);
    let advice = is_setting.then(|| format!("use --set {key}=..."));
    (format!("unexpected argument '{key}=...'"), advice)
}

fn for_choice(text: &str, positional: Positional) -> Said {
    let message = format!(
        "'{text}' is not one of {}",
        choices(positional).collect::<Vec<_>>().join(", ")
    );
    let close = closest(text, choices(positional));
    (
        message,
        close.map(|close| format!("did you mean '{close}'?")),
    )
}
