//! Runs the real program in an environment that holds nothing but what a test puts there.

mod running;
pub(crate) mod secrets;
mod state;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

pub(crate) use running::{Running, Signal};
pub(crate) use state::StateDir;

use pty_process::blocking::Pts;

use crate::fake_pve::{FakePve, SECRET};

/// What somebody sees of a run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// `None` for a program that a signal has ended.
    pub(crate) exit: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// The program, ready to be started.
pub(crate) struct Homelab {
    command: Command,
    home: PathBuf,
}

impl Homelab {
    /// Knows no server; its home is new and empty.
    pub(crate) fn alone() -> Homelab {
        let home = new_folder("home");
        let mut command = Command::new(env!("CARGO_BIN_EXE_homelab"));
        command.env_clear().env("HOME", &home).current_dir(&home);
        command.stdin(Stdio::null());
        Homelab { command, home }
    }

    /// Knows the fake and the token that may do everything there.
    pub(crate) fn at(fake: &FakePve) -> Homelab {
        let homelab = Homelab::alone().env("PROXMOX_HOST", &fake.url());
        homelab.with_token()
    }

    pub(crate) fn with_token(self) -> Homelab {
        self.env("PROXMOX_USER", "root@pam")
            .env("PROXMOX_TOKEN_KEY", "cli")
            .env("PROXMOX_TOKEN_SECRET", SECRET)
    }

    /// With another token, `USER@REALM!TOKENID`, of the same secret.
    pub(crate) fn with_rights_of(self, token: &str) -> Homelab {
        let (user, key) = token.split_once('!').expect("USER@REALM!TOKENID");
        self.env("PROXMOX_USER", user).env("PROXMOX_TOKEN_KEY", key)
    }

    /// Leaves word for other runs where they look for it.
    pub(crate) fn in_state(self, state: &StateDir) -> Homelab {
        self.env("HOMELAB_STATE_DIR", state.path())
    }

    /// No file may become longer than that: the kernel ends the program in the very write that
    /// would do it, with what fits written.
    pub(crate) fn with_files_up_to(self, bytes: u64) -> Homelab {
        // Only the soft limit, which can be raised again.
        self.behind(&["prlimit", &format!("--fsize={bytes}:unlimited")])
    }

    /// The same as an error of that write, as from a full disk.
    pub(crate) fn with_a_disk_of(self, bytes: u64) -> Homelab {
        let without_signal = ["/bin/sh", "-c", r#"trap "" XFSZ; exec "$0" "$@""#];
        self.behind(&without_signal).with_files_up_to(bytes)
    }

    /// It gets no more memory than that.
    pub(crate) fn with_memory(self, bytes: u64) -> Homelab {
        self.behind(&["prlimit", &format!("--as={bytes}")])
    }

    /// Started by a program that these words call.
    fn behind(mut self, words: &[&str]) -> Homelab {
        let mut command = Command::new(words[0]);
        let environment = self.command.get_envs();
        command
            .args(&words[1..])
            .arg(self.command.get_program())
            .args(self.command.get_args())
            .env_clear()
            .envs(environment.filter_map(|(name, value)| Some((name, value?))))
            .current_dir(&self.home)
            .stdin(Stdio::null());
        self.command = command;
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Homelab {
        self.command.env(name, value);
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Homelab {
        self.command.env_remove(name);
        self
    }

    /// A file in its home, where it runs.
    pub(crate) fn with_file(self, name: &str, text: &str) -> Homelab {
        std::fs::write(self.home.join(name), text).expect("a home that can be written");
        self
    }

    /// The home and working directory of the run.
    pub(crate) fn home(&self) -> &Path {
        &self.home
    }

    /// `words` are split at spaces.
    pub(crate) fn run(self, words: &str) -> Seen {
        let words: Vec<&str> = words.split(' ').collect();
        self.run_words(&words)
    }

    pub(crate) fn run_words(mut self, words: &[impl AsRef<std::ffi::OsStr>]) -> Seen {
        let output = self.command.args(words).output();
        seen(&output.expect("the program starts"))
    }

    /// With stdout going there instead of being read.
    pub(crate) fn run_into(mut self, words: &str, stdout: impl Into<Stdio>) -> Seen {
        let command = self.command.args(words.split(' '));
        let child = command.stdout(stdout).stderr(Stdio::piped()).spawn();
        let output = child.and_then(Child::wait_with_output);
        seen(&output.expect("the program starts"))
    }
}

impl Homelab {
    /// Goes on while the test does something else.
    pub(crate) fn start(self, words: &str) -> Running {
        self.start_into(words, Stdio::piped(), Stdio::piped())
    }

    /// The same with stdout and stderr going there.
    pub(crate) fn start_into(
        mut self,
        words: &str,
        stdout: impl Into<Stdio>,
        stderr: impl Into<Stdio>,
    ) -> Running {
        let command = self.command.args(words.split(' '));
        let command = command.stdout(stdout).stderr(stderr);
        let child = command.spawn().expect("the program starts");
        Running::new(child, self)
    }

    /// The same at a terminal, which is its stderr, and from where it gets Ctrl-C. As long as the
    /// returned one lives its home does.
    pub(crate) fn start_at(mut self, pts: Pts, words: &str) -> (Child, Homelab) {
        self.command.args(words.split(' '));
        let command = std::mem::replace(&mut self.command, Command::new(""));
        let stdout = Stdio::piped();
        let command = pty_process::blocking::Command::from(command).stdout(stdout);
        let child = command.spawn(pts).expect("the program starts");
        (child, self)
    }
}

/// Where runs leave word for each other unless they are told where.
const STATE_IN_HOME: &str = ".local/state";

impl Drop for Homelab {
    fn drop(&mut self) {
        let told = secrets::find_below(&self.home.join(STATE_IN_HOME));
        let _ = std::fs::remove_dir_all(&self.home);
        secrets::expect_no_files(&told);
    }
}

fn new_folder(name: &str) -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::SeqCst);
    let name = format!("{name}-{}-{number}", std::process::id());
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).expect("the target folder can be written");
    folder
}

fn seen(output: &Output) -> Seen {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8 comes out");
    secrets::expect_none("stdout", &output.stdout);
    secrets::expect_none("stderr", &output.stderr);
    Seen {
        exit: output.status.code(),
        stdout: text(&output.stdout),
        stderr: text(&output.stderr),
    }
}
