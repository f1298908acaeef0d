//! What is wrong with a command line, and what to type instead.
//!
//! The values of `--set` are not repeated: they may be passwords, and cron mails what is printed.

mod words;

use std::cmp::Reverse;

use self::words::{OTHER_NAMES, RELATED};
use super::arguments::{
    Arguments, Command, Flag, Positional, Problem, choices, creates_template, runnable, usage_line,
    with_value,
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
    let mut hint = format!("see '{} --help'", arguments.path());
    let message = if let Some((option, rest)) = after("Error parsing option '") {
        let (value, why) = rest.split_once("': ").unwrap_or((rest, ""));
        match option {
            "--image" if value.contains('/') && !value.contains(':') => {
                FILE_OF_NODE.clone_into(&mut hint);
            }
            "--image" | "--checksum" => SEE_IMAGES.clone_into(&mut hint),
            _ => {}
        }
        // A password is not repeated.
        let is_shown = !(option == "--image" && value.contains('@'));
        let value = if is_shown {
            format!(" '{value}'")
        } else {
            String::new()
        };
        format!("invalid value{value} for {option}: {why}")
    } else if let Some((name, rest)) = after("Error parsing positional argument '") {
        let name = match name {
            "name" | "template_name" => "template name".to_owned(),
            "vm_name" => "VM name".to_owned(),
            name => name.replace('_', " ").replace("upid", "UPID"),
        };
        format!("invalid {name} '{rest}")
    } else {
        said.to_owned()
    };
    WrongUsage::new(arguments, message, hint)
}

const SEE_IMAGES: &str = "see 'homelab help images'";

/// What to type instead of a path.
const FILE_OF_NODE: &str = "a file that is in /var/lib/vz/import on the node is --image \
                            local:import/FILE, if storage 'local' has content type 'import'";

/// What to type if an image is given without its option.
const IMAGE_IS_OPTION: &str = "the image is an option: --image URL|VOLUME";

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
    let options = arguments.missing_options();
    let names = missing.iter().map(|name| format!("<{name}>"));
    let names: Vec<String> = names.chain(options.into_iter().map(with_value)).collect();
    let message = match (missing.len(), names.len()) {
        (_, 0) => return None,
        (0, 1) => format!("missing option {}", names[0]),
        (_, 1) => format!("missing argument {}", names[0]),
        _ => format!("missing arguments {}", names.join(" ")),
    };
    // `--set web-1 debian-12`
    let taken = without_value(arguments).map(|(flag, _)| {
        let usage = with_value(flag);
        format!("an argument was taken as the value of '{usage}'")
    });
    let advice = match missing.last() {
        _ if taken.is_some() => taken,
        _ if creates_template(command) => {
            let see_images = (names.len() > missing.len()).then(|| SEE_IMAGES.to_owned());
            image_without_option(arguments).or(see_images)
        }
        Some(&"template-name") => Some(SHOW_TEMPLATES.to_owned()),
        Some(&"vm") => Some(SHOW_VMS.to_owned()),
        _ => None,
    };
    Some((message, advice))
}

/// What to type if an argument of a command with `--image` is an image: a name contains none of these.
fn image_without_option(arguments: &Arguments) -> Option<String> {
    let is_image = |text: &str| {
        let ends_like_one = [".qcow2", ".img"].iter().any(|end| text.ends_with(end));
        text.contains(['/', ':']) || ends_like_one
    };
    let is_given = creates_template(arguments.command()) && arguments.positionals().any(is_image);
    is_given.then(|| IMAGE_IS_OPTION.to_owned())
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
    let did_you_mean = |suggestion: &str| format!("did you mean '{suggestion}'?");
    // Before the closest name: 'restart' is not 'start'.
    let related = || {
        let is_related = |words: &str| words.split(' ').any(|word| word == text);
        let mut related = RELATED.iter();
        let found = related.find(|(level, words, _)| *level == command.name && is_related(words));
        found.map(|(.., advice)| (*advice).to_owned())
    };
    path.map(|path| did_you_mean(&path))
        .or_else(related)
        .or_else(|| closest(text, names).map(did_you_mean))
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
    let others = commands.iter().filter(|(_, command)| has_it(command));
    // Of several, one with the same noun or verb: 'vm create' for 'vm list' and for 'template create'.
    let path = arguments.path();
    let shared = |other: &str| {
        let pairs = other.split(' ').zip(path.split(' '));
        pairs.filter(|(one, other)| one == other).count()
    };
    let other = others.min_by_key(|(other, _)| Reverse(shared(other)));
    other.map(|(path, _)| format!("it is an option of '{path}'"))
}

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
    let image = image_without_option(arguments);
    let Some((key, _)) = text.split_once('=') else {
        return (format!("unexpected argument '{text}'"), image);
    };
    let sets = arguments.options().any(|flag| flag.long == "--set");
    let is_setting = sets && settings::is_option(key);
    let advice = is_setting.then(|| format!("use --set {key}=..."));
    (format!("unexpected argument '{key}=...'"), image.or(advice))
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
