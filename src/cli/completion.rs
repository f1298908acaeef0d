//! Scripts that complete a program's words in a shell, written from how these words are declared.

mod bash;
mod fish;
mod level;
mod zsh;

use std::str::FromStr;

use argh::CommandInfoWithArgs;

/// A shell that a script can be written for.
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

/// What that shell has to read to complete the words of `program`, whose commands `root` holds.
pub fn script(shell: Shell, program: &str, root: &CommandInfoWithArgs) -> String {
    let levels = level::levels(program, root);
    match shell {
        Shell::Bash => bash::script(program, &levels),
        Shell::Zsh => zsh::script(program, &levels),
        Shell::Fish => fish::script(program, &levels),
    }
}

#[cfg(test)]
mod tests;
