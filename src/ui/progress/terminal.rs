//! A line of the terminal that is written again and again.

use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use console::Term;
use indicatif::TermLike;

/// How wide stderr's terminal is, if it is one.
pub fn columns() -> Option<usize> {
    let (_, columns) = Term::stderr().size_checked()?;
    (columns > 0).then(|| usize::from(columns))
}

/// Stderr with one line at the bottom that changes.
///
/// Between two writes the cursor stands at the beginning of that line. So whatever is written next
/// takes its place, be it `^C`; and when the window is made narrower, so that the terminal folds the
/// line, all of it is still behind the cursor, and is erased with what is below.
#[derive(Debug, Default)]
pub(super) struct Terminal {
    /// Goes out at once, so that nobody sees a half of it.
    pending: Mutex<String>,
}

const ERASE: &str = "\r\x1b[J";
/// A line that was too long for a window just made narrower would be folded without it.
const NO_WRAP: &str = "\x1b[?7l";
const WRAP: &str = "\x1b[?7h";

impl Terminal {
    fn pending(&self) -> MutexGuard<'_, String> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TermLike for Terminal {
    /// One less than there are: a terminal may fold a line that fills it.
    fn width(&self) -> u16 {
        let columns = columns().unwrap_or(80).max(2) - 1;
        u16::try_from(columns).unwrap_or(u16::MAX)
    }

    fn move_cursor_up(&self, _lines: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_down(&self, _lines: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_right(&self, _columns: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_left(&self, _columns: usize) -> io::Result<()> {
        Ok(())
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.write_str(text)
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.pending().push_str(text.trim_end());
        Ok(())
    }

    fn clear_line(&self) -> io::Result<()> {
        self.pending().push_str(ERASE);
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        let text = std::mem::take(&mut *self.pending());
        if text.is_empty() {
            return Ok(());
        }
        let mut stderr = io::stderr().lock();
        // `write!` would write it piece by piece, and a run may end between two of them.
        stderr.write_all(format!("{NO_WRAP}{text}{WRAP}\r").as_bytes())?;
        stderr.flush()
    }
}
