//! Scripts with which a shell completes a command line, generated from argh's description of it.

mod bash;
mod fish;
mod zsh;

use std::str::FromStr;

use argh::CommandInfoWithArgs;

use crate::cli::level::{Level, levels};

/// A shell that a script can be generated for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shell {
    Bash,
    Zsh,
    Fish,
}

impl FromStr for Shell {
    type Err = String;

    fn from_str(text: &str) -> Result<Shell, String> {
        match text {
            "bash" => Ok(Shell::Bash),
            "zsh" => Ok(Shell::Zsh),
            "fish" => Ok(Shell::Fish),
            _ => Err("not one of bash, zsh and fish".to_owned()),
        }
    }
}

/// The script with which `shell` completes the command line that `root` describes.
pub fn script(shell: Shell, root: &CommandInfoWithArgs) -> String {
    let (program, levels) = (root.name, levels(root));
    let (template, level): (&str, fn(&Level) -> String) = match shell {
        Shell::Bash => (bash::SCRIPT, bash::level),
        Shell::Zsh => (zsh::SCRIPT, zsh::level),
        Shell::Fish => (fish::SCRIPT, fish::level),
    };
    let known: String = levels.iter().map(level).collect();
    let mut script = template
        .replace("PROGRAM", program)
        .replace("LEVELS", &known);
    if shell == Shell::Fish {
        script.extend(levels.iter().map(|level| fish::completions(program, level)));
    }
    script
}

#[cfg(test)]
mod tests;
