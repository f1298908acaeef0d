//! Reads the command line by argh's description of the commands: what each word is, in which order argh
//! accepts the words, and what is wrong with the first word that argh would refuse.
//!
//! argh accepts an option only directly after its own command, help only after everything else, and
//! no `--option=value`. Users type connection options after the verb, use `=` as in most other
//! tools, and ask for help wherever the cursor is. Completion reads a line the same way.

use std::iter;

use argh::{CommandInfoWithArgs, FlagInfo, FlagInfoKind, Optionality, PositionalInfo};

/// A command as argh describes it, with everything that can follow it.
pub(super) type Command = CommandInfoWithArgs;

/// An option or a switch.
pub(super) type Flag = &'static FlagInfo<'static>;

/// A command line, word by word.
pub(super) struct Arguments<'a> {
    /// The program, then each command that was named, each below the one before it.
    pub(super) levels: Vec<&'a Command>,
    words: Vec<Word<'a>>,
    pub(super) asks_for_help: bool,
    /// The first error that can be found without parsing values.
    pub(super) problem: Option<Problem<'a>>,
    /// The option whose value is missing at the end.
    pub(super) option_without_value: Option<Flag>,
    /// A `--` was read: what follows is neither an option nor a command.
    pub(super) options_ended: bool,
}

/// A positional argument, or the name or value of an option.
struct Word<'a> {
    text: &'a str,
    /// The index in `levels` of the command that accepts it.
    level: usize,
    kind: WordKind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum WordKind {
    Command,
    Option(Flag),
    Value(Flag),
    Positional,
    Separator,
}

/// What is wrong with a command line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Problem<'a> {
    UnknownCommand(&'a str),
    /// An option, with the word that follows it or stands after its `=`.
    UnknownOption(&'a str, Option<&'a str>),
    Unexpected(&'a str),
    /// A positional argument that is not one of its choices.
    NotAChoice(&'a str, Positional),
    GivenTwice(Flag),
    MissingValue(Flag),
    /// A switch with a value after `=`.
    SwitchWithValue(Flag),
}

/// A positional argument as argh describes it.
pub(super) type Positional = &'static PositionalInfo<'static>;

impl<'a> Arguments<'a> {
    pub(super) fn read(
        root: &'a Command,
        arguments: impl IntoIterator<Item = &'a str>,
    ) -> Arguments<'a> {
        let mut read = Arguments {
            levels: vec![root],
            words: Vec::new(),
            asks_for_help: false,
            problem: None,
            option_without_value: None,
            options_ended: false,
        };
        let mut rest = arguments.into_iter().peekable();
        while let Some(argument) = rest.next() {
            let commands = &read.command().commands;
            let help_is_command = commands.iter().any(|command| command.name == "help");
            match argument {
                _ if read.options_ended => read.add_positional(argument),
                "--" => {
                    read.options_ended = true;
                    read.add(WordKind::Separator, argument);
                }
                "-h" | "--help" => read.asks_for_help = true,
                // What follows an unknown command means nothing.
                _ if matches!(read.problem, Some(Problem::UnknownCommand(_))) => {}
                "help" if !commands.is_empty() && !help_is_command => read.asks_for_help = true,
                _ if argument.starts_with('-') && argument != "-" => {
                    read.add_option(argument, &mut rest);
                }
                _ if !commands.is_empty() => read.add_command(argument),
                _ => read.add_positional(argument),
            }
        }
        read
    }

    /// The last command that was named.
    pub(super) fn command(&self) -> &'a Command {
        self.levels[self.levels.len() - 1]
    }

    /// The commands that were named: `homelab proxmox vm`.
    pub(super) fn path(&self) -> String {
        let names = self.levels.iter().map(|info| info.name);
        names.collect::<Vec<_>>().join(" ")
    }

    /// The options of the last command, then those of the commands above it.
    pub(super) fn options(&self) -> impl Iterator<Item = Flag> {
        self.options_by_level().map(|(_, flag)| flag)
    }

    fn options_by_level(&self) -> impl Iterator<Item = (usize, Flag)> {
        let levels = self.levels.iter().enumerate().rev();
        levels.flat_map(|(level, info)| {
            let flags: &'static [FlagInfo<'static>] = info.flags;
            flags.iter().map(move |flag| (level, flag))
        })
    }

    /// Whether an option or switch of this name was given.
    pub(super) fn has_option(&self, name: &str) -> bool {
        self.options()
            .any(|flag| flag.long == name && self.has(flag))
    }

    /// Whether an option or switch was given.
    pub(super) fn has(&self, flag: Flag) -> bool {
        self.words
            .iter()
            .any(|word| word.kind == WordKind::Option(flag))
    }

    /// The values of options, each with its option.
    pub(super) fn values(&self) -> impl Iterator<Item = (Flag, &'a str)> {
        self.words.iter().filter_map(|word| match word.kind {
            WordKind::Value(flag) => Some((flag, word.text)),
            _ => None,
        })
    }

    /// The positional arguments.
    pub(super) fn positionals(&self) -> impl Iterator<Item = &'a str> {
        let is_positional = |word: &&Word| word.kind == WordKind::Positional;
        self.words
            .iter()
            .filter(is_positional)
            .map(|word| word.text)
    }

    /// How many positional arguments there are.
    pub(super) fn positional_count(&self) -> usize {
        self.positionals().count()
    }

    /// The required positional arguments that are missing.
    pub(super) fn missing_positionals(&self) -> Vec<&'static str> {
        let rest = self
            .command()
            .positionals
            .iter()
            .skip(self.positional_count());
        let required = rest.filter(|it| it.optionality == Optionality::Required);
        required.map(|it| it.name).collect()
    }

    /// The required options that are missing.
    pub(super) fn missing_options(&self) -> Vec<Flag> {
        let required = required_options(self.command());
        required.filter(|flag| !self.has(flag)).collect()
    }

    /// The words as argh accepts them: each option after its own command.
    pub(super) fn in_argh_order(&self) -> Vec<&'a str> {
        let mut words: Vec<&Word> = self.words.iter().collect();
        words.sort_by_key(|word| word.level);
        words.into_iter().map(|word| word.text).collect()
    }

    /// The connection options and their values.
    pub(super) fn connection(&self) -> Vec<&'a str> {
        let is_option = |word: &&Word| {
            word.level == 1 && matches!(word.kind, WordKind::Option(_) | WordKind::Value(_))
        };
        let options = self.words.iter().filter(is_option);
        options.map(|word| word.text).collect()
    }

    fn add(&mut self, kind: WordKind, text: &'a str) {
        self.add_at(self.levels.len() - 1, kind, text);
    }

    fn add_at(&mut self, level: usize, kind: WordKind, text: &'a str) {
        self.words.push(Word { text, level, kind });
    }

    fn refuse(&mut self, problem: Problem<'a>) {
        self.problem.get_or_insert(problem);
    }

    fn add_option(
        &mut self,
        argument: &'a str,
        rest: &mut iter::Peekable<impl Iterator<Item = &'a str>>,
    ) {
        let (name, value) = match argument.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (argument, None),
        };
        let name = if name == "-V" { "--version" } else { name };
        let found = self.options_by_level().find(|(_, flag)| flag.long == name);
        let Some((level, flag)) = found else {
            let value = value.or_else(|| rest.peek().copied());
            return self.refuse(Problem::UnknownOption(name, value));
        };
        if self.has(flag) && flag.optionality != Optionality::Repeating && takes_value(flag) {
            self.refuse(Problem::GivenTwice(flag));
        }
        let value = if takes_value(flag) {
            value.or_else(|| rest.next())
        } else {
            if value.is_some() {
                self.refuse(Problem::SwitchWithValue(flag));
            }
            return self.add_at(level, WordKind::Option(flag), name);
        };
        if let Some(value) = value {
            self.add_at(level, WordKind::Option(flag), name);
            self.add_at(level, WordKind::Value(flag), value);
        } else {
            self.option_without_value = Some(flag);
            self.refuse(Problem::MissingValue(flag));
        }
    }

    fn add_command(&mut self, argument: &'a str) {
        let commands = &self.command().commands;
        match commands.iter().find(|command| command.name == argument) {
            Some(command) => {
                self.levels.push(&command.command);
                self.add(WordKind::Command, argument);
            }
            None => self.refuse(Problem::UnknownCommand(argument)),
        }
    }

    fn add_positional(&mut self, argument: &'a str) {
        match positional_at(self.command(), self.positional_count()) {
            None => self.refuse(Problem::Unexpected(argument)),
            Some(positional) if !is_choice(positional, argument) => {
                self.refuse(Problem::NotAChoice(argument, positional));
            }
            Some(_) => {}
        }
        self.add(WordKind::Positional, argument);
    }
}

/// The positional argument with that index; the last one of some commands takes all that follow.
pub(super) fn positional_at(command: &Command, index: usize) -> Option<Positional> {
    let positionals: &'static [PositionalInfo<'static>] = command.positionals;
    let last = positionals.last();
    let last = last.filter(|last| last.optionality == Optionality::Repeating);
    positionals.get(index).or(last)
}

/// `bash|zsh|fish` is a choice of three; without `|`, any value is accepted.
pub(super) fn choices(positional: Positional) -> impl Iterator<Item = &'static str> {
    let name = positional.name;
    name.split('|').filter(move |_| name.contains('|'))
}

fn is_choice(positional: Positional, argument: &str) -> bool {
    choices(positional).next().is_none() || choices(positional).any(|choice| choice == argument)
}

/// Whether an option has a value, as opposed to a switch.
pub(super) fn takes_value(flag: Flag) -> bool {
    flag.kind != FlagInfoKind::Switch
}

/// `--timeout SECONDS`
pub(super) fn with_value(flag: Flag) -> String {
    match flag.kind {
        FlagInfoKind::Switch => flag.long.to_owned(),
        FlagInfoKind::Option { arg_name } => format!("{} {arg_name}", flag.long),
    }
}

/// The command that these words name, with or without a `proxmox` before them.
pub(super) fn command_named<'a>(root: &'a Command, words: &[&'a str]) -> Option<Arguments<'a>> {
    let in_full = [words, &[&["proxmox"], words].concat()].map(<[&str]>::to_vec);
    in_full.into_iter().find_map(|path| {
        let read = Arguments::read(root, path.iter().copied());
        let is_named = read.problem.is_none() && read.levels.len() == path.len() + 1;
        is_named.then_some(read)
    })
}

/// All commands that can be run, by their words, each with its path.
pub(super) fn runnable(root: &Command) -> Vec<(String, &Command)> {
    let mut found = Vec::new();
    let mut open = vec![(root.name.to_owned(), root)];
    while let Some((path, info)) = open.pop() {
        let commands = info.commands.iter().rev();
        open.extend(commands.map(|it| (format!("{path} {}", it.name), &it.command)));
        if info.commands.is_empty() {
            found.push((path, info));
        }
    }
    found
}

/// The options without which a command cannot be run.
fn required_options(command: &Command) -> impl Iterator<Item = Flag> {
    let flags: &'static [FlagInfo<'static>] = command.flags;
    flags
        .iter()
        .filter(|flag| flag.optionality == Optionality::Required)
}

/// Whether a command creates a template from an image, so that its argument is the name of the new one.
pub(super) fn creates_template(command: &Command) -> bool {
    command.flags.iter().any(|flag| flag.long == "--image")
}

/// `Usage: homelab proxmox check [<template-name>] [options]`
pub(super) fn usage_line(path: &str, command: &Command) -> String {
    let mut words = vec![format!("Usage: {path}")];
    words.extend(command.positionals.iter().map(placeholder));
    words.extend(required_options(command).map(with_value));
    if command.flags.iter().any(|flag| !is_help(flag)) {
        words.push("[options]".to_owned());
    }
    if !command.commands.is_empty() {
        words.push("<command>".to_owned());
    }
    words.join(" ")
}

pub(super) fn placeholder(positional: &PositionalInfo) -> String {
    let name = positional.name;
    match positional.optionality {
        Optionality::Required => format!("<{name}>"),
        Optionality::Optional => format!("[<{name}>]"),
        Optionality::Repeating | Optionality::Greedy => format!("[<{name}>...]"),
    }
}

pub(super) fn is_help(flag: &FlagInfo) -> bool {
    flag.long == "--help"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::commands::description;
    use rstest::rstest;

    #[rstest]
    #[case::already_in_order("proxmox --host h vm list", "proxmox --host h vm list")]
    #[case::after_the_verb("proxmox vm list --host h", "proxmox --host h vm list")]
    #[case::between_positionals(
        "proxmox vm create a --insecure b --json",
        "proxmox --insecure vm create a b --json"
    )]
    #[case::equals_sign(
        "proxmox vm create a b --timeout=5 --host=h",
        "proxmox --host h vm create a b --timeout 5"
    )]
    #[case::equals_sign_in_the_value("proxmox vm list --host=a=b", "proxmox --host a=b vm list")]
    #[case::empty_value("proxmox vm list --host=", "proxmox --host  vm list")]
    #[case::value_that_looks_like_an_option(
        "proxmox vm list --host --json",
        "proxmox --host --json vm list"
    )]
    #[case::value_that_looks_like_a_command(
        "proxmox --host vm vm list",
        "proxmox --host vm vm list"
    )]
    #[case::after_two_dashes("proxmox vm create -- --host x", "proxmox vm create -- --host x")]
    #[case::a_vm_named_help("proxmox vm create help x", "proxmox vm create help x")]
    #[case::a_host_named_help("proxmox --host help vm list", "proxmox --host help vm list")]
    fn options_move_to_their_own_command(#[case] typed: &str, #[case] expected: &str) {
        let root = description();
        let arguments = Arguments::read(&root, typed.split(' '));
        assert_eq!(arguments.problem, None);
        assert_eq!(arguments.in_argh_order().join(" "), expected);
    }

    #[rstest]
    #[case::whole("proxmox vm create web-1", "homelab proxmox vm create", false)]
    #[case::half("proxmox vm", "homelab proxmox vm", false)]
    #[case::typo("proxmox vn list", "homelab proxmox", false)]
    #[case::nothing("", "homelab", false)]
    #[case::value_that_looks_like_one(
        "proxmox --host template vm list",
        "homelab proxmox vm list",
        false
    )]
    #[case::help("proxmox vm --help", "homelab proxmox vm", true)]
    #[case::help_of_a_group("proxmox help vm create", "homelab proxmox vm create", true)]
    #[case::help_in_between("proxmox --help vm create a", "homelab proxmox vm create", true)]
    #[case::help_with_more("proxmox vm list --help --nope", "homelab proxmox vm list", true)]
    #[case::help_as_a_command("help cron", "homelab help", false)]
    fn the_command_is_recognized_as_far_as_it_was_typed(
        #[case] typed: &str,
        #[case] path: &str,
        #[case] asks_for_help: bool,
    ) {
        let root = description();
        let arguments = Arguments::read(&root, typed.split_whitespace());
        let found = (arguments.path(), arguments.asks_for_help);
        assert_eq!(found, (path.to_owned(), asks_for_help));
    }
}
