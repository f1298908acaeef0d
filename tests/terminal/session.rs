//! A run at a terminal, and what it shows there.

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
/// How long a test waits for expected output before it fails.
const PATIENCE: Duration = Duration::from_mins(1);

/// A run whose stderr is a terminal; its stdout is a pipe, so the terminal shows only stderr.
pub(super) struct Session {
    child: Child,
    /// Its home must outlive it.
    _homelab: Homelab,
    pty: Pty,
    arriving: Receiver<Vec<u8>>,
    /// Output that is not a complete frame yet.
    pending: String,
    /// All output.
    raw: String,
    terminal: Terminal,
    columns: u16,
    /// False while frames written before the window became narrower may still arrive.
    is_settled: bool,
    frames: Vec<Frame>,
}

/// The outcome of a run.
pub(super) struct Outcome {
    pub(super) exit: Option<i32>,
    pub(super) stdout: String,
    /// The lines of the screen as the program wrote them: a line that the terminal wrapped is one line.
    pub(super) screen: Vec<String>,
    pub(super) raw: String,
    pub(super) frames: Vec<Frame>,
}

/// The output of programs to a terminal, until no program has it open.
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
    pub(super) fn start(homelab: Homelab, columns: u16, arguments: &str) -> Session {
        let (pty, pts) = open().expect("a terminal");
        pty.resize(Size::new(ROWS, columns)).expect("a size");
        let (child, homelab) = homelab.start_at(pts, arguments);
        let arriving = output_of(&pty);
        Session {
            child,
            _homelab: homelab,
            pty,
            arriving,
            pending: String::new(),
            raw: String::new(),
            // Lines that a narrower window scrolls out are still needed.
            terminal: Terminal::with_scrollback(columns.into(), ROWS.into(), None).expect("a size"),
            columns,
            is_settled: true,
            frames: Vec::new(),
        }
    }

    /// Reads until a frame contains all these texts.
    pub(super) fn until(&mut self, texts: &[&str]) -> &Frame {
        self.until_one(|frame| texts.iter().all(|text| frame.text.contains(text)))
    }

    /// Reads until there is a matching frame, even if several arrive together.
    pub(super) fn until_one(&mut self, matches: impl Fn(&Frame) -> bool) -> &Frame {
        let deadline = Instant::now() + PATIENCE;
        let mut checked = self.frames.len();
        loop {
            if let Some(found) = self.frames[checked..].iter().position(&matches) {
                return &self.frames[checked + found];
            }
            checked = self.frames.len();
            assert!(self.receive(deadline), "it ended: {:?}", self.raw);
        }
    }

    /// Sets the width of the window.
    pub(super) fn resize(&mut self, columns: u16) {
        self.pty.resize(Size::new(ROWS, columns)).expect("a size");
        self.terminal.resize(columns.into(), ROWS.into());
        self.is_settled = columns > self.columns;
        self.columns = columns;
    }

    pub(super) fn press(&mut self, key: u8) {
        self.pty.write_all(&[key]).expect("a terminal");
    }

    /// Reads to the end.
    pub(super) fn end(mut self) -> Outcome {
        let deadline = Instant::now() + PATIENCE;
        while self.receive(deadline) {}
        let rest = std::mem::take(&mut self.pending);
        assert!(!rest.contains(BEGIN), "a frame has no end: {rest:?}");
        self.terminal.feed(rest.as_str());
        let mut stdout = String::new();
        let mut pipe = self.child.stdout.take().expect("a pipe");
        pipe.read_to_string(&mut stdout).expect("UTF-8 comes out");
        secrets::expect_none("stdout", stdout.as_bytes());
        secrets::expect_none("the terminal", self.raw.as_bytes());
        let mut screen: Vec<String> = Vec::new();
        let mut is_wrapped = false;
        for line in self.terminal.screen().all_lines() {
            match screen.last_mut().filter(|_| is_wrapped) {
                Some(last) => last.push_str(&line.text()),
                None => screen.push(line.text()),
            }
            is_wrapped = line.is_wrapped();
        }
        for line in &mut screen {
            line.truncate(line.trim_end().len());
        }
        while screen.last().is_some_and(String::is_empty) {
            screen.pop();
        }
        Outcome {
            exit: self.child.wait().expect("a process of ours").code(),
            stdout,
            screen,
            raw: std::mem::take(&mut self.raw),
            frames: std::mem::take(&mut self.frames),
        }
    }

    /// Reads new output; false at the end.
    fn receive(&mut self, deadline: Instant) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        let bytes = match self.arriving.recv_timeout(left) {
            Ok(bytes) => bytes,
            Err(error) => {
                assert!(Instant::now() < deadline, "{error}: {:?}", self.raw);
                return false;
            }
        };
        // Only ASCII is expected, so no character is split.
        let text = String::from_utf8_lossy(&bytes);
        self.raw.push_str(&text);
        self.pending.push_str(&text);
        while let Some(end) = self.pending.find(END) {
            let rest = self.pending.split_off(end + END.len());
            let piece = std::mem::replace(&mut self.pending, rest);
            self.receive_frame(&piece);
        }
        true
    }

    /// Handles a frame and the text before it.
    fn receive_frame(&mut self, piece: &str) {
        let begin = piece.find(BEGIN).expect("a frame has a begin");
        let (before, written) = piece.split_at(begin);
        self.terminal.feed(before);
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
    /// Ends a run that a test has given up.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
