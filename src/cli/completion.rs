//! Completion of a command line in bash, zsh and fish. Each shell has only a stub that calls
//! `homelab __complete`, so all three offer the same.
//!
//! - A stub passes the words up to the cursor, of the last one only what was typed; bash passes its line,
//!   because it splits words at `=` and `:` too.
//! - The answer is one candidate per line, or `:files` if the shell is to complete file names.

use argh::{FromArgs, Optionality};

use super::arguments::{
    Arguments, Command, Flag, Positional, choices, command_named, creates_template, positional_at,
    takes_value, with_value,
};
use super::commands::{Cli, Proxmox, TopCommand, description};
use super::manual::{self, TOPICS, unescaped};
use super::values::Shell;
use crate::settings;

/// The script for a shell.
pub(super) fn script(shell: Shell) -> &'static str {
    match shell {
        Shell::Bash => include_str!("completion/homelab.bash"),
        Shell::Zsh => include_str!("completion/homelab.zsh"),
        Shell::Fish => include_str!("completion/homelab.fish"),
    }
}

/// A word that can be typed, and its description.
pub type Candidate = (String, String);

/// Names that only the server knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Names {
    Templates,
    Vms,
    Storages,
    Pools,
    Nodes,
}

/// The candidates for the last word.
pub enum Offer {
    Files,
    Known(Vec<Candidate>),
    /// Names to request from the server, with these connection options.
    FromServer(Names, Box<Proxmox>),
}

/// The last word of a line, up to the cursor.
pub struct CursorWord {
    shell: Shell,
    /// `--option=` before a value in the same word.
    option: String,
    /// What was typed of the word, or of the value.
    typed: String,
    /// The length of the prefix that bash keeps.
    kept: usize,
}

/// Reads what a stub passes. `None` if no stub passes such words.
pub fn read(passed: &[&str]) -> Option<(CursorWord, Offer)> {
    let (shell, rest) = passed.split_first()?;
    let shell: Shell = shell.parse().ok()?;
    let (words, piece) = match (shell, rest) {
        (Shell::Bash, [line, piece]) => (words_of(line)?.split_off(1), Some(*piece)),
        (Shell::Bash, _) => return None,
        _ => (rest.iter().map(|word| (*word).to_owned()).collect(), None),
    };
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (current, before) = words.split_last()?;
    let root = description();
    let arguments = Arguments::read(&root, before.iter().copied());
    let (option, typed) = match current.split_once('=') {
        Some((option, value)) if option.starts_with("--") && !arguments.options_ended => {
            (format!("{option}="), value)
        }
        _ => (String::new(), *current),
    };
    // After '=' or ':', bash passes that character as the word.
    let piece = piece.map(|piece| piece.trim_start_matches(['=', ':']));
    let cursor_word = CursorWord {
        shell,
        kept: piece.map_or(0, |piece| typed.len().saturating_sub(piece.len())),
        option,
        typed: typed.to_owned(),
    };
    let offer = cursor_word.offer(&arguments, before.last().copied().unwrap_or_default());
    Some((cursor_word, offer))
}

/// The words of a line of bash up to the cursor; the last one is empty after a space.
fn words_of(line: &str) -> Option<Vec<String>> {
    // A mark at the cursor is part of the last word, whichever that is.
    let mark = "\u{1}";
    let closings = ["", "'", "\""].into_iter();
    let mut split = closings.filter_map(|quote| shlex::split(&format!("{line}{mark}{quote}")));
    let mut words = split.next()?;
    let last = words.last_mut()?;
    *last = last.replace(mark, "");
    Some(words)
}

impl CursorWord {
    fn offer(&self, arguments: &Arguments, before: &str) -> Offer {
        let is_redirection = |word: &str| word.starts_with(['<', '>']);
        if is_redirection(before) || is_redirection(&self.typed) {
            return Offer::Files;
        }
        if let Some(flag) = arguments.option_without_value {
            return values(flag, arguments);
        }
        if let Some(name) = self.option.strip_suffix('=') {
            let flag = arguments
                .options()
                .find(|flag| flag.long == name && takes_value(flag));
            return flag.map_or(Offer::Known(Vec::new()), |flag| values(flag, arguments));
        }
        if self.typed.starts_with('-') && !arguments.options_ended {
            return Offer::Known(options(arguments));
        }
        let command = arguments.command();
        if arguments.problem.is_some() {
            return Offer::Known(Vec::new());
        }
        if !command.commands.is_empty() {
            let is_ended = arguments.options_ended;
            return Offer::Known(if is_ended {
                Vec::new()
            } else {
                commands(command)
            });
        }
        let is_new =
            |positional: &Positional| positional.name == "vm-name" || creates_template(command);
        match positional_at(command, arguments.positional_count()) {
            // An existing name is an error.
            Some(positional) if is_new(&positional) && !arguments.has_option("--ensure") => {
                Offer::Known(Vec::new())
            }
            Some(positional) if positional.name == "template-name" => {
                from_server(Names::Templates, arguments)
            }
            Some(positional) if matches!(positional.name, "vm-name" | "vm" | "more-vms") => {
                from_server(Names::Vms, arguments)
            }
            Some(positional) if positional.name == "topic" => Offer::Known(topics(arguments)),
            Some(positional) => Offer::Known(choices(positional).map(plain).collect()),
            None => Offer::Known(Vec::new()),
        }
    }

    /// The candidates that begin with what was typed, as the shell's stub expects them.
    pub fn shown(&self, candidates: &[Candidate]) -> String {
        let fitting = candidates
            .iter()
            .filter(|(word, _)| word.starts_with(&self.typed))
            // After `cores=` the shell would begin a new word.
            .filter(|(word, _)| !(word.ends_with('=') && *word == self.typed));
        let lines = fitting.map(|(word, description)| match self.shell {
            Shell::Bash => format!("{}\n", word.get(self.kept..).unwrap_or_default()),
            Shell::Zsh => {
                let word = word.replace('\\', r"\\").replace(':', r"\:");
                format!("{word}:{description}\n")
            }
            Shell::Fish => format!("{}{word}\t{description}\n", self.option),
        });
        lines.collect()
    }
}

fn plain(word: &str) -> Candidate {
    (word.to_owned(), String::new())
}

fn commands(command: &Command) -> Vec<Candidate> {
    let described = |description| unescaped(description).trim_end_matches('.').to_owned();
    let commands = command.commands.iter();
    commands
        .map(|it| (it.name.to_owned(), described(it.command.description)))
        .collect()
}

/// The topics of the manual, and the commands whose help can be shown instead.
fn topics(arguments: &Arguments) -> Vec<Candidate> {
    let words: Vec<&str> = arguments.positionals().collect();
    let root = description();
    let topics = TOPICS.iter().filter(|_| words.is_empty());
    let topics =
        topics.map(|(name, source)| ((*name).to_owned(), manual::read(source).0.to_owned()));
    let nouns = root
        .commands
        .iter()
        .filter(|it| words.is_empty() && it.name == "proxmox");
    let nouns = nouns.flat_map(|proxmox| commands(&proxmox.command));
    let named = command_named(&root, &words).map(|read| commands(read.command()));
    topics
        .chain(nouns)
        .chain(named.unwrap_or_default())
        .collect()
}

/// The options that were not given yet, and those that can be given again.
fn options(arguments: &Arguments) -> Vec<Candidate> {
    let excludes = [("--json", "--quiet"), ("--quiet", "--json")];
    let is_open = |flag: &Flag| {
        let is_excluded = excludes
            .iter()
            .any(|(one, other)| *one == flag.long && arguments.has_option(other));
        let is_new = flag.optionality == Optionality::Repeating || !arguments.has(flag);
        !flag.hidden && is_new && !is_excluded
    };
    let mut options: Vec<Candidate> = Vec::new();
    for flag in arguments.options().filter(is_open) {
        if options.iter().all(|(name, _)| name != flag.long) {
            options.push((flag.long.to_owned(), unescaped(flag.description)));
        }
    }
    options
}

/// The values of an option.
fn values(flag: Flag, arguments: &Arguments) -> Offer {
    if with_value(flag).ends_with(" FILE") {
        return Offer::Files;
    }
    match flag.long {
        "--set" => {
            let keys = settings::option_names().map(|key| plain(&format!("{key}=")));
            Offer::Known(keys.collect())
        }
        "--ip-from" => Offer::Known(
            [
                "net0",
                "net1",
                "ipv4",
                "ipv6",
                "10.0.0.0/8",
                "172.16.0.0/12",
                "192.168.0.0/16",
            ]
            .map(plain)
            .to_vec(),
        ),
        "--status" => Offer::Known(["running", "stopped", "unknown"].map(plain).to_vec()),
        // A new template has one disk.
        "--resize" if creates_template(arguments.command()) => Offer::Known(vec![plain("scsi0=")]),
        "--storage" | "--image-storage" => from_server(Names::Storages, arguments),
        "--pool" => from_server(Names::Pools, arguments),
        "--node" => from_server(Names::Nodes, arguments),
        _ => Offer::Known(Vec::new()),
    }
}

/// Names to request from the server that the connection options select.
fn from_server(names: Names, arguments: &Arguments) -> Offer {
    let words = [&["proxmox"], &arguments.connection()[..], &["check"]].concat();
    match Cli::from_args(&["homelab"], &words) {
        Ok(Cli {
            command: Some(TopCommand::Proxmox(proxmox)),
            ..
        }) => Offer::FromServer(names, Box::new(proxmox)),
        _ => Offer::Known(Vec::new()),
    }
}
