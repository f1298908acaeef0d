//! What somebody who made a typo in a command or an option probably had in mind.

use std::iter;

use argh::{CommandInfoWithArgs, FlagInfo, FlagInfoKind};

use crate::say::closest::closest;

/// The word, or the whole command, that was probably meant by the first of `arguments` that is not
/// known in its place.
pub(super) fn meant(
    program: &str,
    root: &CommandInfoWithArgs,
    arguments: &[String],
) -> Option<String> {
    let mut levels = vec![root];
    let mut rest = arguments.iter();
    let mut positionals = 0;
    while let Some(argument) = rest.next() {
        let level = *levels.last()?;
        if argument == "--" {
            return None;
        }
        if argument.starts_with("--") {
            let (name, value) = match argument.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (argument.as_str(), None),
            };
            let mut flags = levels.iter().flat_map(|level| level.flags.iter());
            match flags.find(|flag| flag.long == name) {
                Some(flag) if takes_value(flag) && value.is_none() => drop(rest.next()),
                Some(_) => {}
                None if name == "--help" => {}
                None => {
                    let flags = levels.iter().flat_map(|level| level.flags.iter());
                    let names = flags.map(|flag| flag.long).chain(["--help"]);
                    return closest(name, names).map(str::to_owned);
                }
            }
            continue;
        }
        if argument.starts_with('-') || argument == "help" {
            continue;
        }
        if level.commands.is_empty() {
            let choices = level.positionals.get(positionals)?.name;
            positionals += 1;
            if choices.contains('|') && choices.split('|').all(|choice| choice != argument) {
                return closest(argument, choices.split('|')).map(str::to_owned);
            }
            continue;
        }
        let mut commands = level.commands.iter();
        if let Some(command) = commands.find(|command| command.name == argument) {
            levels.push(&command.command);
            continue;
        }
        let names = level.commands.iter().map(|command| command.name);
        let close = closest(argument, names).map(str::to_owned);
        return close.or_else(|| elsewhere(program, root, argument, rest.as_slice()));
    }
    None
}

fn takes_value(flag: &FlagInfo) -> bool {
    matches!(flag.kind, FlagInfoKind::Option { .. })
}

/// The only command with this word in it that the words behind it fit: `vm list` without `proxmox`,
/// `list vm` the other way round.
fn elsewhere(
    program: &str,
    root: &CommandInfoWithArgs,
    word: &str,
    behind: &[String],
) -> Option<String> {
    let mut paths = Vec::new();
    collect(program.to_owned(), root, &mut paths);
    let with_word: Vec<&String> = paths
        .iter()
        .filter(|path| path.split(' ').skip(1).any(|part| part == word))
        .collect();
    let fit = |path: &str| {
        let typed = iter::once(word).chain(behind.iter().map(String::as_str));
        typed
            .filter(|word| path.split(' ').any(|part| part == *word))
            .count()
    };
    let best = with_word.iter().map(|path| fit(path)).max()?;
    let mut best = with_word.into_iter().filter(|path| fit(path) == best);
    match (best.next(), best.next()) {
        (Some(only), None) => Some(only.clone()),
        _ => None,
    }
}

/// The commands that something can be done with, those below which there is no other.
fn collect(path: String, level: &CommandInfoWithArgs, paths: &mut Vec<String>) {
    if level.commands.is_empty() {
        return paths.push(path);
    }
    for command in &level.commands {
        collect(format!("{path} {}", command.name), &command.command, paths);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use argh::ArgsInfo;
    use rstest::rstest;

    #[rstest]
    #[case::noun("proxmox vn list", Some("vm"))]
    #[case::topic("proxmocks vm list", Some("proxmox"))]
    #[case::verb("proxmox vm craete web-1 debian-12", Some("create"))]
    #[case::option("proxmox vm create a b --timout 5", Some("--timeout"))]
    #[case::option_with_its_value("proxmox vm create a b --timout=5", Some("--timeout"))]
    #[case::option_of_a_level_above("proxmox vm create a b --hsot x", Some("--host"))]
    #[case::option_before_the_command("proxmox --inscure vm list", Some("--insecure"))]
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
    fn a_typo_is_understood(#[case] typed: &str, #[case] expected: Option<&str>) {
        let words: Vec<String> = typed.split(' ').map(str::to_owned).collect();
        let meant = meant("homelab", &Cli::get_args_info(), &words);
        assert_eq!(meant.as_deref(), expected);
    }
}
