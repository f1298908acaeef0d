//! A run at a terminal, and what somebody sees there.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::process::Child;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use avt::Terminal;
use pty_process::Size;
use pty_process::blocking::{Pty, open};

use super::frame::{BEGIN, END, Frame};
use crate::homelab::{Homelab, secrets};

const ROWS: u16 = 12;
/// How long a test waits for what shall be seen before it fails.
const PATIENCE: Duration = Duration::from_mins(1);

/// A run whose stderr is a terminal; its stdout is a pipe, so that what the terminal shows comes
/// from stderr alone.
pub(super) struct Session {
    child: Child,
    /// Its home must outlive it.
    _homelab: Homelab,
    pty: Pty,
    arriving: Receiver<Vec<u8>>,
    /// What has come and is not a whole frame yet.
    pending: String,
    /// All that has come.
    raw: String,
    terminal: Terminal,
    columns: u16,
    /// Frames that were written before the window got narrower may still be on their way.
    is_settled: bool,
    frames: Vec<Frame>,
}

/// What is left in the end.
pub(super) struct Left {
    pub(super) exit: Option<i32>,
    pub(super) stdout: String,
    /// The lines of the screen, as far as the program has written them: one that the terminal had
    /// to fold is one.
    pub(super) screen: Vec<String>,
    pub(super) raw: String,
    pub(super) frames: Vec<Frame>,
}

/// What programs write to a terminal, until none has it open any more.
pub(crate) fn output_of(pty: &Pty) -> Receiver<Vec<u8>> {
    let reading = pty.as_fd().try_clone_to_owned().expect("one more handle");
    let (sender, arriving) = channel();
    thread::spawn(move || {
        let mut reading = File::from(reading);
        let mut bytes = [0; 4096];
        // Reading fails once no process has the terminal open.
        while let Ok(count @ 1..) = reading.read(&mut bytes)
            && sender.send(bytes[..count].to_vec()).is_ok()
        {}
    });
    arriving
}

impl Session {
    pub(super) fn start(homelab: Homelab, columns: u16, words: &str) -> Session {
        let (pty, pts) = open().expect("a terminal");
        pty.resize(Size::new(ROWS, columns)).expect("a size");
        let (child, homelab) = homelab.start_at(pts, words);
        let arriving = output_of(&pty);
        Session {
            child,
            _homelab: homelab,
            pty,
            arriving,
            pending: String::new(),
            raw: String::new(),
            // What a narrower window pushes out above is still to be seen.
            terminal: Terminal::with_scrollback(columns.into(), ROWS.into(), None).expect("a size"),
            columns,
            is_settled: true,
            frames: Vec::new(),
        }
    }

    /// Looks on until a frame says all that.
    pub(super) fn until(&mut self, words: &[&str]) -> &Frame {
        self.until_one(|frame| words.iter().all(|word| frame.text.contains(word)))
    }

    /// Looks on until there is a frame of that kind, however many come together.
    pub(super) fn until_one(&mut self, is_meant: impl Fn(&Frame) -> bool) -> &Frame {
        let deadline = Instant::now() + PATIENCE;
        let mut looked_at = self.frames.len();
        loop {
            if let Some(found) = self.frames[looked_at..].iter().position(&is_meant) {
                return &self.frames[looked_at + found];
            }
            looked_at = self.frames.len();
            assert!(self.take_in(deadline), "it ended: {:?}", self.raw);
        }
    }

    /// The window is made so wide.
    pub(super) fn resize(&mut self, columns: u16) {
        self.pty.resize(Size::new(ROWS, columns)).expect("a size");
        self.terminal.resize(columns.into(), ROWS.into());
        self.is_settled = columns > self.columns;
        self.columns = columns;
    }

    pub(super) fn press(&mut self, key: u8) {
        self.pty.write_all(&[key]).expect("a terminal");
    }

    /// Looks on to the end.
    pub(super) fn end(mut self) -> Left {
        let deadline = Instant::now() + PATIENCE;
        while self.take_in(deadline) {}
        let rest = std::mem::take(&mut self.pending);
        assert!(!rest.contains(BEGIN), "a frame has no end: {rest:?}");
        self.terminal.feed(rest.as_str());
        let mut stdout = String::new();
        let mut pipe = self.child.stdout.take().expect("a pipe");
        pipe.read_to_string(&mut stdout).expect("UTF-8 comes out");
        secrets::expect_none("stdout", stdout.as_bytes());
        secrets::expect_none("the terminal", self.raw.as_bytes());
        let mut screen: Vec<String> = Vec::new();
        let mut is_folded = false;
        for line in self.terminal.screen().all_lines() {
            match screen.last_mut().filter(|_| is_folded) {
                Some(last) => last.push_str(&line.text()),
                None => screen.push(line.text()),
            }
            is_folded = line.is_wrapped();
        }
        for line in &mut screen {
            line.truncate(line.trim_end().len());
        }
        while screen.last().is_some_and(String::is_empty) {
            screen.pop();
        }
        Left {
            exit: self.child.wait().expect("a process of ours").code(),
            stdout,
            screen,
            raw: std::mem::take(&mut self.raw),
            frames: std::mem::take(&mut self.frames),
        }
    }

    /// Takes in what has come; false at the end.
    fn take_in(&mut self, deadline: Instant) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        let bytes = match self.arriving.recv_timeout(left) {
            Ok(bytes) => bytes,
            Err(error) => {
                assert!(Instant::now() < deadline, "{error}: {:?}", self.raw);
                return false;
            }
        };
        // All that is expected is plain letters, so no letter is cut in two.
        let text = String::from_utf8_lossy(&bytes);
        self.raw.push_str(&text);
        self.pending.push_str(&text);
        while let Some(end) = self.pending.find(END) {
            let rest = self.pending.split_off(end + END.len());
            let piece = std::mem::replace(&mut self.pending, rest);
            self.take_in_frame(&piece);
        }
        true
    }

    /// A frame with what was said before it.
    fn take_in_frame(&mut self, piece: &str) {
        let begin = piece.find(BEGIN).expect("a frame has a begin");
        let (said, written) = piece.split_at(begin);
        self.terminal.feed(said);
        let place = self.terminal.cursor();
        self.terminal.feed(written);
        let frame = Frame::of(written);
        self.is_settled |= frame.fits(self.columns);
        if self.is_settled {
            frame.expect_tidy(self.columns, (place, &self.terminal));
        }
        self.frames.push(frame);
    }
}

impl Drop for Session {
    /// One that a test has given up is not left behind.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
