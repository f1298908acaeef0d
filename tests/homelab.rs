//! Runs the real program in an environment that holds nothing but what a test puts there.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

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
        self.start_into(words, Stdio::piped())
    }

    /// The same with stderr going there.
    pub(crate) fn start_into(mut self, words: &str, stderr: impl Into<Stdio>) -> Running {
        let command = self.command.args(words.split(' '));
        let command = command.stdout(Stdio::piped()).stderr(stderr);
        Running {
            child: command.spawn().expect("the program starts"),
            _homelab: self,
        }
    }
}

impl Drop for Homelab {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.home);
    }
}

/// A run that has not been waited for yet.
pub(crate) struct Running {
    child: Child,
    /// Its home must outlive it.
    _homelab: Homelab,
}

impl Running {
    pub(crate) fn wait(self) -> Seen {
        seen(&self.child.wait_with_output().expect("its end"))
    }

    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// `INT`, `TERM` …, by its process id.
    pub(crate) fn signal(&self, signal: &str) {
        let words = format!("kill -s {signal} {}", self.process());
        let status = Command::new("/bin/sh").args(["-c", &words]).status();
        assert!(status.expect("a shell").success(), "{words}");
    }

    /// Its files may grow again.
    pub(crate) fn give_room(&self) {
        let process = self.process().to_string();
        let given = Command::new("prlimit")
            .args(["--pid", &process, "--fsize=unlimited"])
            .status();
        assert!(given.expect("prlimit").success());
    }

    /// What it says on stderr up to the line that contains `words`.
    pub(crate) fn has_said(&mut self, words: &str) -> String {
        let stderr = self.child.stderr.as_mut().expect("a pipe");
        let mut said = Vec::new();
        let mut byte = [0];
        while !(said.ends_with(b"\n") && String::from_utf8_lossy(&said).contains(words)) {
            stderr.read_exact(&mut byte).expect("more to be said");
            said.push(byte[0]);
        }
        String::from_utf8(said).expect("UTF-8 comes out")
    }

    pub(crate) fn has_ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a process of ours")
    }

    /// `kill -9`, by its process id.
    pub(crate) fn kill(mut self) -> Seen {
        self.child.kill().expect("a process of ours");
        self.wait()
    }
}

/// Where runs leave word for each other, until it is dropped.
pub(crate) struct StateDir {
    path: PathBuf,
}

impl StateDir {
    pub(crate) fn new() -> StateDir {
        StateDir {
            path: new_folder("state"),
        }
    }

    pub(crate) fn path(&self) -> &str {
        self.path.to_str().expect("UTF-8")
    }

    /// What runs have written down about the VM of this name.
    pub(crate) fn claim(&self, name: &str) -> String {
        let file = self.path.join(format!("{name}.jsonl"));
        let bytes = std::fs::read(file).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for StateDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
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
