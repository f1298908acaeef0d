//! The shells, each as it is for a user who has nothing but the script.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use super::terminal::Terminal;
use crate::fake_pve::SECRET;
use crate::homelab::{Homelab, Seen};
use crate::{shells, skipped};

/// A shell, and how it comes by the script.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Shell {
    Bash,
    /// In a folder of the `fpath`.
    Zsh,
    /// Read by `.zshrc`.
    ZshThatSources,
    /// Where users have theirs.
    Fish,
}

/// What the shells say ahead of each line that they want.
const PROMPT: &str = "ready> ";

/// Both shells put all candidates into the line at Ctrl-T, and print the line at Ctrl-O.
const BASHRC: &str = r#"
PS1='ready> '
bind '"\C-t": insert-completions'
bind -x '"\C-o": printf "\n[line:%s:line]\n" "$READLINE_LINE"'
. ~/script
"#;
const ZSHRC: &str = r#"
PS1='ready> ' COLUMNS=250
fpath=(~/functions $fpath)
autoload -Uz compinit && compinit -u -D
zstyle ':completion:all:*' completer _all_matches _complete
zstyle ':completion:all:*' insert yes
zle -C all complete-word _generic
print-line() { print -r -- $'\n'"[line:${BUFFER}:line]" }
zle -N print-line
bindkey '^T' all
bindkey '^O' print-line
"#;
const CONFIG_FISH: &str = "
set -g fish_greeting
function fish_prompt
    echo -n 'ready> '
end
";

impl Shell {
    fn name(self) -> &'static str {
        match self {
            Shell::Bash => "bash",
            Shell::Zsh | Shell::ZshThatSources => "zsh",
            Shell::Fish => "fish",
        }
    }

    pub(super) fn script(self) -> String {
        let seen = Homelab::alone().run(&format!("completions {}", self.name()));
        let expected = Seen {
            exit: Some(0),
            stdout: seen.stdout.clone(),
            stderr: String::new(),
        };
        assert_eq!(seen, expected);
        seen.stdout
    }
}

/// A user with a shell, the script for it, and some files.
pub(super) struct User {
    shell: Shell,
    /// Only its home is made use of.
    homelab: Homelab,
    /// The server that the environment names, if any.
    server: Option<String>,
}

impl User {
    /// `None` if the shell is not installed.
    pub(super) fn of(shell: Shell) -> Option<User> {
        if !shells::is_installed(shell.name()) {
            skipped::say(&format!("{} is not installed", shell.name()));
            return None;
        }
        let user = User {
            shell,
            homelab: Homelab::alone(),
            server: None,
        };
        for (file, text) in [
            ("here/ca.pem", ""),
            ("here/config.json", ""),
            ("here/keys/a", ""),
            ("here/keys/b c", ""),
        ] {
            user.write(file, text);
        }
        // What is typed is printed instead of run.
        let run = format!(
            "#!/bin/sh\n[ \"$1\" = __complete ] && exec '{}' \"$@\"\necho \"ran[$*]\"\n",
            env!("CARGO_BIN_EXE_homelab")
        );
        user.write("bin/homelab", &run);
        let program = user.home().join("bin/homelab");
        fs::set_permissions(
            &program,
            std::os::unix::fs::PermissionsExt::from_mode(0o755),
        )
        .unwrap();
        let script = shell.script();
        match shell {
            Shell::Bash => {
                user.write("script", &script);
                user.write(".bashrc", BASHRC);
            }
            Shell::Zsh => {
                user.write("functions/_homelab", &script);
                user.write(".zshrc", ZSHRC);
            }
            Shell::ZshThatSources => {
                user.write("script", &script);
                user.write(".zshrc", &format!("{ZSHRC}. ~/script\n"));
            }
            Shell::Fish => {
                user.write(".config/fish/completions/homelab.fish", &script);
                user.write(".config/fish/config.fish", CONFIG_FISH);
            }
        }
        Some(user)
    }

    /// With the environment of somebody who uses that server.
    pub(super) fn at(mut self, server: &str) -> User {
        self.server = Some(server.to_owned());
        self
    }

    fn home(&self) -> &Path {
        self.homelab.home()
    }

    fn write(&self, file: &str, text: &str) {
        let file = self.home().join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }

    /// In an empty environment, where the files are.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let path = format!("{}/bin:{}", self.home().display(), shells::path());
        command
            .env_clear()
            .env("HOME", self.home())
            .env("PATH", path)
            .env("TERM", "xterm")
            .env("LC_ALL", "C.UTF-8")
            .current_dir(self.home().join("here"));
        if let Some(server) = &self.server {
            command
                .env("PROXMOX_HOST", server)
                .env("PROXMOX_USER", "root@pam")
                .env("PROXMOX_TOKEN_KEY", "cli")
                .env("PROXMOX_TOKEN_SECRET", SECRET);
        }
        command
    }

    /// Sits down at a terminal, and waits until the shell wants a line.
    pub(super) fn open_terminal(&self) -> Terminal {
        let mut command = self.command(self.shell.name());
        match self.shell {
            Shell::Bash => command
                .arg("--noprofile")
                .arg("--rcfile")
                .arg(self.home().join(".bashrc")),
            Shell::Zsh | Shell::ZshThatSources => command.arg("--no-global-rcs"),
            Shell::Fish => &mut command,
        }
        .arg("-i");
        let mut terminal = Terminal::start(command);
        terminal.read_until(PROMPT);
        terminal
    }

    /// What the shell would put in place of the last word of `line`, sorted. Of a value behind
    /// `--option=` only the value is told, and of a directory its name.
    pub(super) fn candidates(&self, line: &str) -> Vec<String> {
        let last_word = line.rfind(' ').map_or(0, |space| space + 1);
        let offered = match self.shell {
            Shell::Bash | Shell::Zsh | Shell::ZshThatSources => self.inserted(line, last_word),
            Shell::Fish => {
                let described = self.fish_described(line);
                described.into_iter().map(|(name, _)| name).collect()
            }
        };
        let option = line[last_word..].split_once('=').map(|(name, _)| name);
        let option = option.map(|name| format!("{name}=")).unwrap_or_default();
        let mut values: Vec<String> = offered
            .iter()
            .map(|word| word.strip_prefix(&option).unwrap_or(word))
            .map(|word| word.trim_end_matches('/').to_owned())
            .collect();
        values.sort();
        values
    }

    /// As bash and zsh insert all that they have to offer.
    fn inserted(&self, line: &str, last_word: usize) -> Vec<String> {
        let mut terminal = self.open_terminal();
        terminal.type_keys(&format!("{line}\x14\x0f"));
        terminal.read_until("[line:");
        let inserted = terminal.read_until(":line]");
        if inserted == line {
            return Vec::new();
        }
        assert_eq!(inserted.get(..last_word), line.get(..last_word));
        let mut words = vec![String::new()];
        for part in inserted[last_word..].split_inclusive(' ') {
            let last = words.last_mut().unwrap();
            if let Some(part) = part.strip_suffix("\\ ") {
                *last += part;
                *last += " ";
            } else {
                *last += part.trim_end();
                words.push(String::new());
            }
        }
        words.retain(|word| !word.is_empty());
        words
    }

    /// Candidates and what is said of them.
    pub(super) fn described(&self, line: &str) -> Vec<(String, String)> {
        if self.shell == Shell::Fish {
            return self.fish_described(line);
        }
        let mut terminal = self.open_terminal();
        // Ctrl-D lists them.
        terminal.type_keys(&format!("{line}\x04\x0f"));
        let list = terminal.read_until("[line:").replace("\x1b[K", "");
        let lines = list.lines().filter_map(|line| line.split_once(" -- "));
        // Behind the last one the cursor goes back to the line.
        let clean = |text: &str| {
            let text = text.trim_start_matches("\x1b[J");
            let (text, _) = text.split_once('\x1b').unwrap_or((text, ""));
            text.trim().to_owned()
        };
        lines
            .map(|(name, description)| (clean(name), clean(description)))
            .collect()
    }

    fn fish_described(&self, line: &str) -> Vec<(String, String)> {
        let output = self
            .command("fish")
            .args(["-c", "complete -C $argv[1]", line])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
        let lines = text
            .lines()
            .map(|line| line.split_once('\t').unwrap_or((line, "")));
        lines
            .map(|(name, description)| (name.to_owned(), description.to_owned()))
            .collect()
    }
}
