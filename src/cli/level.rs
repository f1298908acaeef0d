//! The commands of a program, and what can be typed after each of them.

use argh::{
    CommandInfoWithArgs, FlagInfo, FlagInfoKind, Optionality, PositionalInfo, SubCommandInfo,
};

/// An option or a switch.
pub(super) type Flag = &'static FlagInfo<'static>;

/// A command, and what can be typed after it.
pub(super) struct Level<'i> {
    /// The command: `homelab proxmox vm`.
    pub(super) path: String,
    pub(super) commands: &'i [SubCommandInfo],
    /// Its own options, then those of the commands above it, which can be typed here too.
    pub(super) options: Vec<Flag>,
    /// Those of its own options that no command above it has.
    pub(super) new_options: Vec<Flag>,
    /// The choices for each positional argument; none where it can be anything.
    pub(super) arguments: Vec<Vec<&'static str>>,
}

/// All commands, each before those below it.
pub(super) fn levels(root: &CommandInfoWithArgs) -> Vec<Level<'_>> {
    let mut levels = Vec::new();
    let mut open = vec![(root.name.to_owned(), root, Vec::new())];
    while let Some((path, info, above)) = open.pop() {
        let own: Vec<Flag> = info.flags.iter().filter(|flag| !flag.hidden).collect();
        let is_inherited = |flag: &&Flag| own.iter().all(|option| option.long != flag.long);
        let inherited = above.iter().filter(is_inherited);
        let options: Vec<Flag> = own.iter().chain(inherited).copied().collect();
        open.extend(info.commands.iter().rev().map(|command| {
            let path = format!("{path} {}", command.name);
            (path, &command.command, options.clone())
        }));
        let new_options = own.iter().filter(|flag| !above.contains(flag));
        levels.push(Level {
            new_options: new_options.copied().collect(),
            path,
            options,
            commands: &info.commands,
            arguments: info.positionals.iter().map(choices).collect(),
        });
    }
    levels
}

/// `bash|zsh|fish` is a choice of three.
pub(super) fn choices(positional: &PositionalInfo<'static>) -> Vec<&'static str> {
    let choices = Some(positional.name).filter(|name| name.contains('|'));
    choices.map_or(Vec::new(), |name| name.split('|').collect())
}

impl Level<'_> {
    /// What the scripts for bash and zsh know of a level: the name of each list, and its entries.
    /// `entry` makes an entry of a name and a description.
    pub(super) fn lists(&self, entry: fn(&str, &str) -> String) -> [(&str, Vec<String>); 6] {
        let commands = self.commands.iter();
        let commands = commands.map(|it| entry(it.name, &in_one_line(it.command.description)));
        let options = self.options.iter();
        let options = options.map(|it| entry(it.long, &in_one_line(it.description)));
        let arguments = self.arguments.iter().map(|choices| choices.join(" "));
        [
            ("commands", commands.collect()),
            ("options", options.collect()),
            ("values", self.options_that(takes_value)),
            ("files", self.options_that(takes_file)),
            ("repeated", self.options_that(repeats)),
            ("arguments", arguments.collect()),
        ]
    }

    /// The names of its options that are of a kind.
    pub(super) fn options_that(&self, is_of_kind: fn(Flag) -> bool) -> Vec<String> {
        let options = self.options.iter().filter(|option| is_of_kind(option));
        options.map(|option| option.long.to_owned()).collect()
    }
}

pub(super) fn takes_value(flag: Flag) -> bool {
    flag.kind != FlagInfoKind::Switch
}

pub(super) fn takes_file(flag: Flag) -> bool {
    flag.kind == FlagInfoKind::Option { arg_name: "file" }
}

pub(super) fn repeats(flag: Flag) -> bool {
    flag.optionality == Optionality::Repeating
}

/// A description in one line, without the full stop. argh doubles its braces, because it passes it
/// to `format!` for the help page.
pub(super) fn in_one_line(description: &str) -> String {
    let description = description.replace("{{", "{").replace("}}", "}");
    let words: Vec<&str> = description.split_whitespace().collect();
    words.join(" ").trim_end_matches('.').to_owned()
}
