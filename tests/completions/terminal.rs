//! Somebody at a terminal: keys go in, and what comes out is read up to what was waited for.

use std::io::Write;
use std::process::{Child, Command};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use pty_process::Size;
use pty_process::blocking::{Pty, open};

use crate::terminal::output_of;

/// Only a failing test waits that long.
const PATIENCE: Duration = Duration::from_secs(30);

/// A program that has a terminal to itself.
pub(super) struct Terminal {
    child: Child,
    pty: Pty,
    screen: Receiver<Vec<u8>>,
    seen: String,
}

impl Terminal {
    pub(super) fn start(command: Command) -> Terminal {
        let (pty, pts) = open().unwrap();
        pty.resize(Size::new(50, 250)).unwrap();
        let child = pty_process::blocking::Command::from(command).spawn(pts);
        Terminal {
            child: child.unwrap(),
            screen: output_of(&pty),
            pty,
            seen: String::new(),
        }
    }

    pub(super) fn type_keys(&mut self, keys: &str) {
        self.pty.write_all(keys.as_bytes()).unwrap();
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
