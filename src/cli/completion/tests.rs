//! Scripts for commands and options that are difficult to quote; `tests` completes the real ones.

use std::process::{Command, Stdio};

use argh::{ArgsInfo, CommandInfoWithArgs, FromArgs};
use rstest::rstest;

use super::{Shell, script};
use crate::cli;

#[path = "../../../tests/shells.rs"]
mod shells;

/// Options that are difficult to quote.
#[derive(FromArgs, ArgsInfo)]
struct Hard {
    /// it's "$HOME", `id` and $(id): [a] {b} \n 100% *
    #[argh(option)]
    #[expect(dead_code, reason = "only its declaration counts")]
    set: Vec<String>,

    /// once
    #[argh(option)]
    #[expect(dead_code, reason = "only its declaration counts")]
    seat: Option<String>,

    /// nobody's business
    #[argh(switch, hidden_help)]
    #[expect(dead_code, reason = "only its declaration counts")]
    secret: bool,
}

fn hard() -> CommandInfoWithArgs {
    CommandInfoWithArgs {
        name: "hard",
        ..Hard::get_args_info()
    }
}

const DESCRIPTION: &str = r#"it's "$HOME", `id` and $(id): [a] {b} \n 100% *"#;

/// What `shell` offers for `hard --set a --seat b --se`, given to its script as the shell would.
/// `None` if the shell is not installed.
fn answer(shell: Shell) -> Option<String> {
    let (program, prepare, ask) = match shell {
        Shell::Bash => (
            "bash",
            "",
            "COMP_LINE='hard --set a --seat b --se' COMP_POINT=26 COMP_CWORD=5
            COMP_WORDS=(hard --set a --seat b --se)
            _hard
            printf '%s\\n' \"${COMPREPLY[@]}\"",
        ),
        Shell::Zsh => (
            "zsh",
            "compdef() { }
            _describe() { print -rl -- ${(P)@[-1]} }",
            "words=(hard --set a --seat b --se) CURRENT=6 PREFIX=--se
            _hard",
        ),
        Shell::Fish => ("fish", "", "complete -C 'hard --set a --seat b --se'"),
    };
    // The tests that type at real shells report a missing one.
    if !shells::is_installed(program) {
        return None;
    }
    let script = script(shell, &hard());
    let output = Command::new(program)
        .args(["-c", &format!("{prepare}\n{script}\n{ask}\n")])
        .env_clear()
        .env("PATH", shells::path())
        .env("HOME", "/nonexistent")
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    Some(String::from_utf8(output.stdout).unwrap())
}

#[rstest]
#[case::bash(Shell::Bash, "--set\n".to_owned())]
#[case::zsh(Shell::Zsh, format!("--help:display usage information\n--set:{}\n",
    DESCRIPTION.replace('\\', r"\\").replace(':', r"\:")))]
#[case::fish(Shell::Fish, format!("--set\t{DESCRIPTION}\n"))]
fn a_repeatable_option_is_offered_again_with_its_exact_description(
    #[case] shell: Shell,
    #[case] offered: String,
) {
    if let Some(answer) = answer(shell) {
        assert_eq!(answer, offered);
    }
}

#[rstest]
fn a_hidden_option_is_not_in_the_script(
    #[values(Shell::Bash, Shell::Zsh, Shell::Fish)] shell: Shell,
) {
    let script = script(shell, &hard());
    assert!(
        script.contains("seat") && !script.contains("secret"),
        "{script}"
    );
}

#[rstest]
fn every_command_and_option_is_in_the_script(
    #[values(Shell::Bash, Shell::Zsh, Shell::Fish)] shell: Shell,
) {
    let root = cli::description();
    let script = script(shell, &root);
    let mut missing = Vec::new();
    let mut levels = vec![&root];
    while let Some(level) = levels.pop() {
        let names = level.commands.iter().map(|command| command.name);
        let options = level.flags.iter().map(|flag| match shell {
            Shell::Bash | Shell::Zsh => flag.long,
            Shell::Fish => flag.long.trim_start_matches('-'),
        });
        missing.extend(
            names
                .chain(options)
                .filter(|name| !is_word_of(&script, name)),
        );
        levels.extend(level.commands.iter().map(|command| &command.command));
    }
    assert_eq!(missing, [""; 0]);
}

/// Whether `name` occurs in the script as a whole word.
fn is_word_of(script: &str, name: &str) -> bool {
    let is_inside = |c: char| c.is_alphanumeric() || c == '-';
    script.split(|c| !is_inside(c)).any(|word| word == name)
}
