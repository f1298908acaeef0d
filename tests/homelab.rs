//! Runs the real program in an environment that contains only what the test sets.

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

/// The visible result of a run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// `None` if a signal ended the program.
    pub(crate) exit: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Seen {
    /// An entry of a test's report: the command and its result.
    pub(crate) fn as_entry(&self, line: &str) -> String {
        format!(
            "run '{line}': exit {:?}\n{}{}",
            self.exit, self.stderr, self.stdout
        )
    }
}

/// The program, ready to be started.
pub(crate) struct Homelab {
    command: Command,
    home: PathBuf,
}

impl Homelab {
    /// Without a server; its home is new and empty.
    pub(crate) fn alone() -> Homelab {
        let home = new_folder("home");
        let mut command = Command::new(env!("CARGO_BIN_EXE_homelab"));
        command.env_clear().env("HOME", &home).current_dir(&home);
        command.stdin(Stdio::null());
        Homelab { command, home }
    }

    /// With the fake server and a token that may do everything.
    pub(crate) fn at(fake: &FakePve) -> Homelab {
        let homelab = Homelab::alone().env("PROXMOX_HOST", &fake.url());
        homelab.with_token()
    }

    pub(crate) fn with_token(self) -> Homelab {
        self.env("PROXMOX_USER", "root@pam")
            .env("PROXMOX_TOKEN_KEY", "cli")
            .env("PROXMOX_TOKEN_SECRET", SECRET)
    }

    /// With another token, `USER@REALM!TOKENID`, that has the same secret.
    pub(crate) fn with_token_id(self, token: &str) -> Homelab {
        let (user, key) = token.split_once('!').expect("USER@REALM!TOKENID");
        self.env("PROXMOX_USER", user).env("PROXMOX_TOKEN_KEY", key)
    }

    /// Uses this state directory.
    pub(crate) fn in_state(self, state: &StateDir) -> Homelab {
        self.env("HOMELAB_STATE_DIR", state.path())
    }

    /// Limits the size of each file that it writes: the kernel ends the program in the write that exceeds
    /// the limit, after writing what fits.
    pub(crate) fn with_file_size_limit(self, bytes: u64) -> Homelab {
        // Only the soft limit, which can be raised again.
        self.behind(&["prlimit", &format!("--fsize={bytes}:unlimited")])
    }

    /// The same limit as an error of that write, as on a full disk.
    pub(crate) fn with_disk_size(self, bytes: u64) -> Homelab {
        let without_signal = ["/bin/sh", "-c", r#"trap "" XFSZ; exec "$0" "$@""#];
        self.behind(&without_signal).with_file_size_limit(bytes)
    }

    /// Limits its memory.
    pub(crate) fn with_memory_limit(self, bytes: u64) -> Homelab {
        self.behind(&["prlimit", &format!("--as={bytes}")])
    }

    /// Starts it through this command.
    fn behind(mut self, program: &[&str]) -> Homelab {
        let mut command = Command::new(program[0]);
        let environment = self.command.get_envs();
        command
            .args(&program[1..])
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

    /// Runs it with these arguments, separated by spaces.
    pub(crate) fn run(self, arguments: &str) -> Seen {
        let arguments: Vec<&str> = arguments.split(' ').collect();
        self.run_arguments(&arguments)
    }

    pub(crate) fn run_arguments(mut self, arguments: &[impl AsRef<std::ffi::OsStr>]) -> Seen {
        let output = self.command.args(arguments).output();
        seen(&output.expect("the program starts"))
    }

    /// The same with stdout redirected.
    pub(crate) fn run_into(mut self, arguments: &str, stdout: impl Into<Stdio>) -> Seen {
        let command = self.command.args(arguments.split(' '));
        let child = command.stdout(stdout).stderr(Stdio::piped()).spawn();
        let output = child.and_then(Child::wait_with_output);
        seen(&output.expect("the program starts"))
    }
}

impl Homelab {
    /// Starts it without waiting for its end.
    pub(crate) fn start(self, arguments: &str) -> Running {
        self.start_into(arguments, Stdio::piped(), Stdio::piped())
    }

    /// The same with stdout and stderr redirected.
    pub(crate) fn start_into(
        mut self,
        arguments: &str,
        stdout: impl Into<Stdio>,
        stderr: impl Into<Stdio>,
    ) -> Running {
        let command = self.command.args(arguments.split(' '));
        let command = command.stdout(stdout).stderr(stderr);
        let child = command.spawn().expect("the program starts");
        Running::new(child, self)
    }

    /// The same at a terminal, which is its stderr and sends it Ctrl-C. Its home lives as long as the
    /// returned `Homelab`.
    pub(crate) fn start_at(mut self, pts: Pts, arguments: &str) -> (Child, Homelab) {
        self.command.args(arguments.split(' '));
        let command = std::mem::replace(&mut self.command, Command::new(""));
        let stdout = Stdio::piped();
        let command = pty_process::blocking::Command::from(command).stdout(stdout);
        let child = command.spawn(pts).expect("the program starts");
        (child, self)
    }
}

/// The default state directory.
const STATE_IN_HOME: &str = ".local/state";

impl Drop for Homelab {
    fn drop(&mut self) {
        let leaks = secrets::find_below(&self.home.join(STATE_IN_HOME));
        let _ = std::fs::remove_dir_all(&self.home);
        secrets::expect_no_files(&leaks);
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
