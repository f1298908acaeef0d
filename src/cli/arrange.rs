//! Puts arguments where argh wants them.
//!
//! argh knows an option only at its own level, no `--option=value`, and help only behind all else.
//! People type connection options behind the command, most other tools understand `=`, and help is
//! asked for wherever the cursor is.

use std::iter;

use argh::{CommandInfoWithArgs, FlagInfo, FlagInfoKind};

/// `arguments` with `--option=value` split in two, with each option that belongs to a level above
/// moved up to it, and with a call for help, wherever it stands, behind the command it is about.
pub(super) fn arranged(root: &CommandInfoWithArgs, arguments: &[String]) -> Arranged {
    let mut levels = vec![Level::of(root)];
    let mut rest = arguments.iter();
    let mut is_help = false;
    while let Some(argument) = rest.next() {
        let deepest = levels.len() - 1;
        if argument == "--" {
            levels[deepest].words.push(argument.clone());
            levels[deepest].words.extend(rest.by_ref().cloned());
            break;
        }
        let awaits_a_command = !levels[deepest].info.commands.is_empty();
        if matches!(argument.as_str(), "-h" | "--help") || argument == "help" && awaits_a_command {
            is_help = true;
            continue;
        }
        if let Some(command) = levels[deepest].subcommand(argument) {
            levels.push(Level {
                command: Some(argument.clone()),
                ..Level::of(command)
            });
            continue;
        }
        let (name, value) = match argument.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (argument.as_str(), None),
        };
        let owner = levels.iter().rposition(|level| level.has_flag(name));
        match owner {
            Some(owner) if levels[owner].takes_value(name) => {
                levels[owner].words.push(name.to_owned());
                match value.or_else(|| rest.next().cloned()) {
                    Some(value) => levels[owner].words.push(value),
                    // With nothing behind it, it must not swallow the next command for its value.
                    None => levels.truncate(owner + 1),
                }
            }
            Some(owner) if value.is_none() => levels[owner].words.push(argument.clone()),
            // argh will say that it does not know the option. The value, which may be a secret
            // (`--token-secret=…`), is not for it to repeat.
            None if name.starts_with("--") => levels[deepest].words.push(name.to_owned()),
            _ => levels[deepest].words.push(argument.clone()),
        }
    }
    if is_help {
        let deepest = levels.len() - 1;
        levels[deepest].words = vec!["--help".to_owned()];
    }
    let names = levels.iter().filter_map(|level| level.command.as_deref());
    let path: Vec<&str> = iter::once("homelab").chain(names).collect();
    Arranged {
        command: path.join(" "),
        words: levels
            .into_iter()
            .flat_map(|level| level.command.into_iter().chain(level.words))
            .collect(),
    }
}

/// Arguments in argh's order.
pub(super) struct Arranged {
    /// The command they name, as far as they do: `homelab proxmox vm`.
    pub(super) command: String,
    pub(super) words: Vec<String>,
}

struct Level<'i> {
    info: &'i CommandInfoWithArgs,
    /// The word that led here; none at the root.
    command: Option<String>,
    words: Vec<String>,
}

impl<'i> Level<'i> {
    fn of(info: &'i CommandInfoWithArgs) -> Level<'i> {
        Level {
            info,
            command: None,
            words: Vec::new(),
        }
    }

    fn flag(&self, name: &str) -> Option<&'i FlagInfo<'i>> {
        self.info.flags.iter().find(|flag| flag.long == name)
    }

    fn has_flag(&self, name: &str) -> bool {
        self.flag(name).is_some()
    }

    fn takes_value(&self, name: &str) -> bool {
        self.flag(name)
            .is_some_and(|flag| matches!(flag.kind, FlagInfoKind::Option { .. }))
    }

    fn subcommand(&self, word: &str) -> Option<&'i CommandInfoWithArgs> {
        let mut commands = self.info.commands.iter();
        commands
            .find(|command| command.name == word)
            .map(|command| &command.command)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use argh::ArgsInfo;
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
    #[case::behind_two_dashes("proxmox vm create -- --host x", "proxmox vm create -- --host x")]
    #[case::help("proxmox vm --help", "proxmox vm --help")]
    #[case::help_comes_first("help proxmox vm create", "proxmox vm create --help")]
    #[case::help_in_between("proxmox --help vm create a", "proxmox vm create --help")]
    #[case::help_with_more("proxmox vm list --help --json", "proxmox vm list --help")]
    #[case::a_vm_named_help("proxmox vm create help x", "proxmox vm create help x")]
    #[case::a_host_named_help("proxmox --host help vm list", "proxmox --host help vm list")]
    #[case::unknown_command("proxmox vn list", "proxmox vn list")]
    fn options_end_up_at_their_level(#[case] typed: &str, #[case] expected: &str) {
        let words: Vec<String> = typed.split(' ').map(str::to_owned).collect();
        let arranged = arranged(&Cli::get_args_info(), &words);
        assert_eq!(arranged.words.join(" "), expected);
    }

    #[rstest]
    #[case::whole("proxmox vm create web-1", "homelab proxmox vm create")]
    #[case::half("proxmox vm", "homelab proxmox vm")]
    #[case::typo("proxmox vn list", "homelab proxmox")]
    #[case::nothing("", "homelab")]
    #[case::value_that_looks_like_one("proxmox --host template vm list", "homelab proxmox vm list")]
    fn the_command_is_known_as_far_as_it_was_typed(#[case] typed: &str, #[case] expected: &str) {
        let words: Vec<String> = typed.split_whitespace().map(str::to_owned).collect();
        let arranged = arranged(&Cli::get_args_info(), &words);
        assert_eq!(arranged.command, expected);
    }
}
