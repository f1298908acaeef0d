//! Reads the command line by argh's description of the commands: what each argument is, in which
//! order argh accepts them, and what was probably meant by an unknown one.
//!
//! argh accepts an option only directly after its own command, help only after everything else, and
//! no `--option=value`. Users type connection options after the verb, use `=` as in most other
//! tools, and ask for help wherever the cursor is.

use std::iter;

use argh::{CommandInfoWithArgs, FlagInfoKind};

use super::level::{choices, levels};
use crate::say::closest::closest;

/// A command line, word by word.
pub(super) struct Arguments<'a> {
    /// The program, then each command that was named, each below the one before it.
    levels: Vec<&'a CommandInfoWithArgs>,
    /// The index in `levels` of the command to run: the last one, unless an option lacks its value.
    depth: usize,
    words: Vec<Word<'a>>,
    asks_for_help: bool,
}

/// An argument, or the name or value of an option.
struct Word<'a> {
    text: &'a str,
    /// The index in `levels` of the command that accepts it.
    level: usize,
    kind: Kind,
}

enum Kind {
    Command,
    Option,
    Positional,
    /// An unexpected word, with those that are expected in its place.
    Unknown(Vec<&'static str>),
}

impl<'a> Arguments<'a> {
    pub(super) fn read(root: &'a CommandInfoWithArgs, arguments: &'a [String]) -> Arguments<'a> {
        let mut read = Arguments {
            levels: vec![root],
            depth: 0,
            words: Vec::new(),
            asks_for_help: false,
        };
        let mut rest = arguments.iter().map(String::as_str);
        while let Some(argument) = rest.next() {
            let takes_command = !read.levels[read.depth].commands.is_empty();
            match argument {
                "--" => {
                    let literal = iter::once(argument).chain(rest.by_ref());
                    literal.for_each(|text| read.add(read.depth, Kind::Positional, text));
                }
                "-h" | "--help" => read.asks_for_help = true,
                "help" if takes_command => read.asks_for_help = true,
                _ if argument.starts_with('-') => read.add_option(argument, &mut rest),
                _ if takes_command => read.add_command(argument),
                _ => read.add_positional(argument),
            }
        }
        read
    }

    fn add(&mut self, level: usize, kind: Kind, text: &'a str) {
        self.words.push(Word { text, level, kind });
    }

    fn add_option(&mut self, argument: &'a str, rest: &mut impl Iterator<Item = &'a str>) {
        let (name, value) = match argument.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (argument, None),
        };
        let flags = self.levels.iter().enumerate().rev();
        let flags =
            flags.flat_map(|(level, info)| info.flags.iter().map(move |flag| (level, flag)));
        match flags.clone().find(|(_, flag)| flag.long == name) {
            Some((level, flag)) if flag.kind == FlagInfoKind::Switch => {
                // argh rejects a value here; at the last level, a request for help still comes first.
                let level = if value.is_some() { self.depth } else { level };
                self.add(level, Kind::Option, argument);
            }
            Some((level, _)) => {
                self.add(level, Kind::Option, name);
                match value.or_else(|| rest.next()) {
                    Some(value) => self.add(level, Kind::Option, value),
                    // In argh's order the next command would follow, and be taken for the value.
                    None => self.depth = level,
                }
            }
            None => {
                let known = flags.map(|(_, flag)| flag.long).chain(["--help"]).collect();
                // The value may be a secret (`--token-secret=…`), and argh repeats what it rejects.
                self.add(self.depth, Kind::Unknown(known), name);
            }
        }
    }

    fn add_command(&mut self, argument: &'a str) {
        let commands = &self.levels[self.depth].commands;
        if let Some(command) = commands.iter().find(|command| command.name == argument) {
            self.levels.push(&command.command);
            self.depth += 1;
            self.add(self.depth, Kind::Command, argument);
        } else {
            let known = commands.iter().map(|command| command.name).collect();
            self.add(self.depth, Kind::Unknown(known), argument);
        }
    }

    fn add_positional(&mut self, argument: &'a str) {
        let is_positional = |word: &&Word| matches!(word.kind, Kind::Positional);
        let index = self.words.iter().filter(is_positional).count();
        let positional = self.levels[self.depth].positionals.get(index);
        let kind = match positional.map(choices) {
            Some(choices) if choices.is_empty() || choices.contains(&argument) => Kind::Positional,
            choices => Kind::Unknown(choices.unwrap_or_default()),
        };
        self.add(self.depth, kind, argument);
    }

    /// The command that was named, as far as one was: `homelab proxmox vm`.
    pub(super) fn command(&self) -> String {
        let names = self.levels[..=self.depth].iter().map(|info| info.name);
        names.collect::<Vec<_>>().join(" ")
    }

    /// The arguments as argh accepts them: each option after its own command, or, if help is asked
    /// for, only that after the command.
    pub(super) fn in_argh_order(&self) -> Vec<&'a str> {
        let is_kept = |word: &&Word| {
            word.level < self.depth
                || word.level == self.depth
                    && (!self.asks_for_help || matches!(word.kind, Kind::Command))
        };
        let mut words: Vec<&Word> = self.words.iter().filter(is_kept).collect();
        words.sort_by_key(|word| word.level);
        let texts = words.into_iter().map(|word| word.text);
        let help = self.asks_for_help.then_some("--help");
        texts.chain(help).collect()
    }

    /// The word, or the whole command, that was probably meant by the first unknown word.
    pub(super) fn suggestion(&self) -> Option<String> {
        let mut words = self.words.iter().enumerate();
        let (index, word, known) = words.find_map(|(index, word)| match &word.kind {
            Kind::Unknown(known) => Some((index, word, known)),
            _ => None,
        })?;
        let close = closest(word.text, known.iter().copied()).map(str::to_owned);
        let is_command = !self.levels[word.level].commands.is_empty();
        close.or_else(|| is_command.then(|| self.only_command_with(&self.words[index..]))?)
    }

    /// The command whose path has the first of these words in it, and more of all of them than any
    /// other such command: `homelab proxmox vm list` for `vm list` and for `proxmox list vm`.
    fn only_command_with(&self, words: &[Word]) -> Option<String> {
        let levels = levels(self.levels[0]).into_iter();
        let verbs = levels.filter(|level| level.commands.is_empty());
        let mut paths: Vec<String> = verbs.map(|level| level.path).collect();
        let has = |path: &str, word: &Word| path.split(' ').skip(1).any(|name| name == word.text);
        paths.retain(|path| has(path, &words[0]));
        let count = |path: &String| words.iter().filter(|word| has(path, word)).count();
        let most = paths.iter().map(count).max()?;
        paths.retain(|path| count(path) == most);
        paths.pop().filter(|_| paths.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::description;
    use rstest::rstest;

    #[rstest]
    #[case::already_in_order("proxmox --host h vm list", "proxmox --host h vm list")]
    #[case::behind_the_verb("proxmox vm list --host h", "proxmox --host h vm list")]
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
    #[case::missing_value("proxmox vm list --host", "proxmox --host")]
    #[case::switch_with_a_value("proxmox vm list --json=1", "proxmox vm list --json=1")]
    #[case::unknown_option("proxmox vm list --nope=1", "proxmox vm list --nope")]
    #[case::unknown_option_with_one_dash("proxmox vm list -p=1", "proxmox vm list -p")]
    #[case::behind_two_dashes("proxmox vm create -- --host x", "proxmox vm create -- --host x")]
    #[case::help("proxmox vm --help", "proxmox vm --help")]
    #[case::help_comes_first("help proxmox vm create", "proxmox vm create --help")]
    #[case::help_in_between("proxmox --help vm create a", "proxmox vm create --help")]
    #[case::help_with_more("proxmox vm list --help --json", "proxmox vm list --help")]
    #[case::help_with_a_switch_with_a_value("proxmox vm --help --insecure=1", "proxmox vm --help")]
    #[case::a_vm_named_help("proxmox vm create help x", "proxmox vm create help x")]
    #[case::a_host_named_help("proxmox --host help vm list", "proxmox --host help vm list")]
    #[case::unknown_command("proxmox vn list", "proxmox vn list")]
    fn options_move_to_their_own_command(#[case] typed: &str, #[case] expected: &str) {
        let words: Vec<String> = typed.split(' ').map(str::to_owned).collect();
        let root = description();
        let arguments = Arguments::read(&root, &words);
        assert_eq!(arguments.in_argh_order().join(" "), expected);
    }

    #[rstest]
    #[case::whole("proxmox vm create web-1", "homelab proxmox vm create")]
    #[case::half("proxmox vm", "homelab proxmox vm")]
    #[case::typo("proxmox vn list", "homelab proxmox")]
    #[case::nothing("", "homelab")]
    #[case::value_that_looks_like_one("proxmox --host template vm list", "homelab proxmox vm list")]
    fn the_command_is_recognized_as_far_as_it_was_typed(
        #[case] typed: &str,
        #[case] expected: &str,
    ) {
        let words: Vec<String> = typed.split_whitespace().map(str::to_owned).collect();
        let root = description();
        let arguments = Arguments::read(&root, &words);
        assert_eq!(arguments.command(), expected);
    }

    #[rstest]
    #[case::noun("proxmox vn list", Some("vm"))]
    #[case::topic("proxmocks vm list", Some("proxmox"))]
    #[case::verb("proxmox vm craete web-1 debian-12", Some("create"))]
    #[case::option("proxmox vm create a b --timout 5", Some("--timeout"))]
    #[case::option_with_its_value("proxmox vm create a b --timout=5", Some("--timeout"))]
    #[case::option_of_a_level_above("proxmox vm create a b --hsot x", Some("--host"))]
    #[case::option_before_the_command("proxmox --inscure vm list", Some("--insecure"))]
    #[case::one_dash("proxmox vm create a b -timeout 5", Some("--timeout"))]
    #[case::behind_a_word_that_is_rejected("proxmox vm list x --hsot", None)]
    #[case::value_of_an_option("proxmox --host vn vm lst", Some("list"))]
    #[case::level_left_out("vm list", Some("homelab proxmox vm list"))]
    #[case::two_levels_left_out("create web-1 debian-12", Some("homelab proxmox vm create"))]
    #[case::noun_left_out("proxmox create web-1 debian-12", Some("homelab proxmox vm create"))]
    #[case::other_way_round("proxmox list vm", Some("homelab proxmox vm list"))]
    #[case::one_of_two("proxmox list", None)]
    #[case::shell("completions bsh", Some("bash"))]
    #[case::nothing_like_it("proxmox frobnicate", None)]
    #[case::nothing_like_that_option("proxmox vm list --frobnicate", None)]
    #[case::arguments_may_be_anything("proxmox vm create lst vn", None)]
    #[case::behind_two_dashes("proxmox vm create -- --timout", None)]
    #[case::all_is_well("proxmox vm list --json", None)]
    fn a_similar_word_is_suggested(#[case] typed: &str, #[case] expected: Option<&str>) {
        let words: Vec<String> = typed.split(' ').map(str::to_owned).collect();
        let root = description();
        let arguments = Arguments::read(&root, &words);
        assert_eq!(arguments.suggestion().as_deref(), expected);
    }
}
