//! A run that continues while its test does something else.

use std::io::Read;
use std::process::{Child, Command};

pub(crate) use rustix::process::Signal;
use rustix::process::{Pid, kill_process};

use super::{Homelab, Seen, secrets, seen};

/// A run that has not been waited for yet.
pub(crate) struct Running {
    child: Child,
    /// Its home must outlive it.
    _homelab: Homelab,
}

impl Running {
    pub(super) fn new(child: Child, homelab: Homelab) -> Running {
        Running {
            child,
            _homelab: homelab,
        }
    }

    /// Waits for its end. Output that was already read is not returned again.
    pub(crate) fn wait(self) -> Seen {
        seen(&self.child.wait_with_output().expect("its end"))
    }

    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// By its process id.
    pub(crate) fn signal(&self, signal: Signal) {
        let sent = kill_process(Pid::from_child(&self.child), signal);
        sent.expect("a process of ours");
    }

    /// Removes the limit on the size of its files.
    pub(crate) fn lift_file_size_limit(&self) {
        let process = self.process().to_string();
        let given = Command::new("prlimit")
            .args(["--pid", &process, "--fsize=unlimited"])
            .status();
        assert!(given.expect("prlimit").success());
    }

    /// Reads stderr up to the line that contains `text`, and returns it.
    pub(crate) fn wait_for_stderr(&mut self, text: &str) -> String {
        let stderr = self.child.stderr.as_mut().expect("a pipe");
        let mut read = Vec::new();
        let mut byte = [0];
        while !(read.ends_with(b"\n") && String::from_utf8_lossy(&read).contains(text)) {
            stderr.read_exact(&mut byte).expect("more on stderr");
            read.push(byte[0]);
        }
        secrets::expect_none("stderr", &read);
        String::from_utf8(read).expect("UTF-8 comes out")
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        let ended = self.child.try_wait().expect("a process of ours");
        ended.is_some()
    }

    /// `kill -9`, by its process id.
    pub(crate) fn kill(mut self) -> Seen {
        self.child.kill().expect("a process of ours");
        self.wait()
    }
}
