//! One frame of the progress line.

use avt::{Cursor, Terminal};

/// Line wrap is off from here on …
pub(super) const BEGIN: &str = "\x1b[?7l";
/// … to here, where the cursor returns to the start of the line.
pub(super) const END: &str = "\x1b[?7h\r";
const ERASE: &str = "\r\x1b[J";

pub(super) struct Frame {
    /// The text that replaces the previous line.
    pub(super) text: String,
    written: String,
}

impl Frame {
    /// The frame in `written`, from its begin to its end.
    pub(super) fn of(written: &str) -> Frame {
        let text = written
            .strip_prefix(BEGIN)
            .and_then(|text| text.strip_suffix(END))
            .expect("a begin and an end");
        Frame {
            text: text.replace(ERASE, ""),
            written: text.to_owned(),
        }
    }

    /// Whether it fits, even on a terminal that wraps a full line.
    pub(super) fn fits(&self, columns: u16) -> bool {
        self.text.chars().count() < usize::from(columns)
    }

    /// Expects that it replaces the previous frame, in one row, and leaves the cursor where the next one
    /// begins.
    pub(super) fn expect_tidy(&self, columns: u16, (before, terminal): (Cursor, &Terminal)) {
        let Frame { text, written } = self;
        assert!(self.fits(columns), "wider than {columns}: {text:?}");
        assert!(!text.contains(char::is_control), "{written:?}");
        assert!(
            written.starts_with(ERASE) || *written == self.text,
            "something is written before the previous frame is erased: {written:?}"
        );
        let (_, row) = before.position().expect("a cursor");
        assert_eq!(terminal.cursor().position(), Some((0, row)), "{written:?}");
        let mut lines = terminal.screen().visible_lines().skip(row);
        let line = lines.next().expect("the row of the cursor");
        assert!(!line.is_wrapped(), "{written:?}");
        assert_eq!(line.text().trim_end(), *text);
        assert!(
            lines.all(|line| line.text().trim().is_empty()),
            "something is below {text:?}"
        );
    }
}
