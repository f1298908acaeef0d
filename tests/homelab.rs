//! Runs the real program in an environment that holds nothing but what a test puts there.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::fake_pve::{FakePve, SECRET};

/// What somebody sees of a run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Seen {
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
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::SeqCst);
        let name = format!("home-{}-{number}", std::process::id());
        let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&home).expect("the target folder can be written");
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

    pub(crate) fn env(mut self, name: &str, value: &str) -> Homelab {
        self.command.env(name, value);
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Homelab {
        self.command.env_remove(name);
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
        let output = child.and_then(std::process::Child::wait_with_output);
        seen(&output.expect("the program starts"))
    }
}

impl Drop for Homelab {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.home);
    }
}

fn seen(output: &Output) -> Seen {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8 comes out");
    let seen = Seen {
        exit: output.status.code(),
        stdout: text(&output.stdout),
        stderr: text(&output.stderr),
    };
    for shown in [&seen.stdout, &seen.stderr] {
        assert!(!shown.contains(SECRET), "the secret came out: {shown}");
    }
    seen
}
