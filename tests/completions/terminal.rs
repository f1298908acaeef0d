//! Somebody at a terminal: keys go in, and what comes out is read up to what was waited for.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

/// Only a failing test waits that long.
const PATIENCE: Duration = Duration::from_secs(30);

/// A program that has a terminal to itself.
pub(super) struct Terminal {
    child: Child,
    keys: ChildStdin,
    screen: Receiver<Vec<u8>>,
    seen: String,
}

impl Terminal {
    /// `command` is a line for `sh`; of the environment of `prepared` it gets everything.
    pub(super) fn start(mut prepared: Command, command: &str) -> Terminal {
        let mut child = prepared
            .args(["--quiet", "--flush", "--command", command, "/dev/null"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("script: {error}; on Debian: apt-get install bsdutils"));
        let mut out = child.stdout.take().unwrap();
        let (tell, screen) = channel();
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(length @ 1..) = out.read(&mut bytes) {
                if tell.send(bytes[..length].to_vec()).is_err() {
                    break;
                }
            }
        });
        Terminal {
            keys: child.stdin.take().unwrap(),
            child,
            screen,
            seen: String::new(),
        }
    }

    pub(super) fn type_keys(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    /// What has appeared since the last call, up to `text` and without it.
    pub(super) fn read_until(&mut self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some((before, behind)) = self.seen.split_once(text) {
                let before = before.to_owned();
                self.seen = behind.to_owned();
                return before;
            }
            let rest = deadline.saturating_duration_since(Instant::now());
            let Ok(bytes) = self.screen.recv_timeout(rest) else {
                panic!("{text:?} did not appear, but {:?}", self.seen);
            };
            self.seen += &String::from_utf8_lossy(&bytes);
        }
    }
}

impl Drop for Terminal {
    /// With its terminal gone, the program in it ends too.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
