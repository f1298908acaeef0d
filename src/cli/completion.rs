//! Completion of a command line in bash, zsh and fish. The shells have only a stub each that calls
//! `homelab __complete`, so that all three offer the same.
//!
//! - A stub passes the words up to the cursor, the last one as far as it was typed; bash passes its line,
//!   because it splits words at `=` and `:` too.
//! - The answer is one candidate per line, or `:files` where the shell shall complete files itself.

use argh::{FromArgs, Optionality};

use super::arguments::{Arguments, Command, Flag, choices, positional_at, takes_value, with_value};
use super::commands::{Cli, Proxmox, Topic, description};
use super::manual::{TOPICS, unescaped};
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
    Storages,
    Pools,
    Nodes,
}

/// What can stand in place of the last word.
pub enum Offer {
    Files,
    Known(Vec<Candidate>),
    /// Names that the server is asked for, with these connection options.
    OfServer(Names, Box<Proxmox>),
}

/// The last word of an unfinished line.
pub struct Unfinished {
    shell: Shell,
    /// `--option=` before a value in the same word.
    option: String,
    /// What was typed of the word, or of the value.
    typed: String,
    /// How much of that bash does not replace.
    kept: usize,
}

/// Reads what a stub passes. `None` if that is none of a stub's.
pub fn read(passed: &[&str]) -> Option<(Unfinished, Offer)> {
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
        Some((option, value)) if option.starts_with("--") && !arguments.ended => {
            (format!("{option}="), value)
        }
        _ => (String::new(), *current),
    };
    // Where the cursor is behind a '=' or ':', that is the piece.
    let piece = piece.map(|piece| piece.trim_start_matches(['=', ':']));
    let unfinished = Unfinished {
        shell,
        kept: piece.map_or(0, |piece| typed.len().saturating_sub(piece.len())),
        option,
        typed: typed.to_owned(),
    };
    let offer = unfinished.offer(&arguments, before.last().copied().unwrap_or_default());
    Some((unfinished, offer))
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

impl Unfinished {
    fn offer(&self, arguments: &Arguments, before: &str) -> Offer {
        let is_redirection = |word: &str| word.starts_with(['<', '>']);
        if is_redirection(before) || is_redirection(&self.typed) {
            return Offer::Files;
        }
        if let Some(flag) = arguments.awaits {
            return values(flag, arguments);
        }
        if let Some(name) = self.option.strip_suffix('=') {
            let flag = arguments
                .options()
                .find(|flag| flag.long == name && takes_value(flag));
            return flag.map_or(Offer::Known(Vec::new()), |flag| values(flag, arguments));
        }
        if self.typed.starts_with('-') && !arguments.ended {
            return Offer::Known(options(arguments));
        }
        let command = arguments.command();
        if !command.commands.is_empty() {
            let is_ended = arguments.ended;
            return Offer::Known(if is_ended {
                Vec::new()
            } else {
                commands(command)
            });
        }
        match positional_at(command, arguments.positionals()) {
            Some(positional) if positional.name == "template-name" => {
                of_server(Names::Templates, arguments)
            }
            Some(positional) if positional.name == "topic" => {
                Offer::Known(TOPICS.iter().map(|(name, _)| plain(name)).collect())
            }
            Some(positional) => Offer::Known(choices(positional).map(plain).collect()),
            None => Offer::Known(Vec::new()),
        }
    }

    /// The candidates that begin with what was typed, as the shell's stub expects them.
    pub fn shown(&self, candidates: &[Candidate]) -> String {
        let fitting = candidates
            .iter()
            .filter(|(word, _)| word.starts_with(&self.typed));
        let lines = fitting.map(|(word, description)| match self.shell {
            Shell::Bash => format!("{}\n", &word[self.kept..]),
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

/// The options that were not given yet, and those that can be given again.
fn options(arguments: &Arguments) -> Vec<Candidate> {
    let is_open = |flag: &Flag| {
        !flag.hidden && (flag.optionality == Optionality::Repeating || !arguments.has(flag))
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
        "--ip-from" => Offer::Known(["net0", "net1", "ipv4", "ipv6"].map(plain).to_vec()),
        "--storage" => of_server(Names::Storages, arguments),
        "--pool" => of_server(Names::Pools, arguments),
        "--node" => of_server(Names::Nodes, arguments),
        _ => Offer::Known(Vec::new()),
    }
}

/// Names of the server that the connection options so far name.
fn of_server(names: Names, arguments: &Arguments) -> Offer {
    let words = [&["proxmox"], &arguments.connection()[..], &["check"]].concat();
    match Cli::from_args(&["homelab"], &words) {
        Ok(Cli {
            topic: Some(Topic::Proxmox(proxmox)),
            ..
        }) => Offer::OfServer(names, Box::new(proxmox)),
        _ => Offer::Known(Vec::new()),
    }
}
