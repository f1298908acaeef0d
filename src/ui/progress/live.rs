//! The progress line at the bottom of a terminal.
//!
//! - It shows the activity, its progress, and the time since the line first appeared.
//! - While the server does not answer, a notice takes the place of the activity.
//! - Each frame is a single write that erases the previous frame and leaves the cursor at the start of the
//!   line. Anything written next, even `^C`, overwrites the line.
//! - If the window becomes narrower, the terminal wraps the line. All of it is still after the cursor, so
//!   the next frame erases all of it.
//! - The width is read for every frame. The owner must draw every [`TICK`].

use std::io::{self, Write};
use std::time::{Duration, Instant};

use console::Term;

use super::activity::Activity;
use super::copying::Copying;
use crate::ui::text::clean;

/// How often the line has to be drawn for the time to advance and the width to follow the window.
pub(super) const TICK: Duration = Duration::from_millis(250);
/// In a narrower window a bar would be too short to be useful.
const MIN_WIDTH_FOR_BAR: usize = 64;
const MIN_BAR: usize = 8;

const ERASE: &str = "\r\x1b[J";
/// Stops the terminal from wrapping a frame that is too long for a window just made narrower.
const NO_WRAP: &str = "\x1b[?7l";
const WRAP: &str = "\x1b[?7h";

pub(super) struct Live {
    started: Instant,
    text: String,
    percent: Option<usize>,
    copying: Option<Copying>,
    /// Shown instead of the text: one message in several lengths, longest first.
    notice: Vec<String>,
}

impl Live {
    pub(super) fn new() -> Live {
        Live {
            started: Instant::now(),
            text: String::new(),
            percent: None,
            copying: None,
            notice: Vec::new(),
        }
    }

    /// Shows what is being done from now on.
    pub(super) fn show(&mut self, activity: &Activity) {
        self.text = activity.label();
        self.percent = None;
        self.copying = match activity {
            Activity::Cloning(disks) => Some(Copying::of(*disks)),
            Activity::Downloading(_) | Activity::Importing => Some(Copying::of(Some(1))),
            _ => None,
        };
        self.draw();
    }

    /// Shows the progress of the current task, according to new lines of its log.
    pub(super) fn log(&mut self, lines: &[String]) {
        let Some(copying) = &mut self.copying else {
            return;
        };
        for line in lines {
            if let Some((percent, text)) = copying.read(&clean(line)) {
                (self.percent, self.text) = (Some(percent), text);
            }
        }
        self.draw();
    }

    /// Shows this instead of the text, in the longest form that fits; the text again if there is none.
    pub(super) fn notice(&mut self, texts: &[String]) {
        if self.notice != texts {
            self.notice = texts.to_vec();
            self.draw();
        }
    }

    pub(super) fn draw(&self) {
        // A terminal may wrap a line that fills it.
        let width = usize::from(Term::stderr().size().1).max(2) - 1;
        let seconds = self.started.elapsed().as_secs();
        let time = format!("{}:{:02}", seconds / 60, seconds % 60);
        let text = longest_that_fits(&self.notice, width).unwrap_or(&self.text);
        write_frame(fitted(text, self.percent, &time, width).trim_end());
    }
}

/// Erases the line that was drawn last.
pub(super) fn erase() {
    write_frame("");
}

/// A closed stderr must not end the run, so it is ignored.
fn write_frame(line: &str) {
    // `write!` would write this in pieces, and the run may end between two of them.
    let frame = format!("{NO_WRAP}{ERASE}{line}{WRAP}\r");
    let _ = io::stderr().write_all(frame.as_bytes());
}

/// The longest of these texts that fits, or the shortest.
fn longest_that_fits(texts: &[String], width: usize) -> Option<&String> {
    let fits = |text: &&String| text.chars().count() <= width;
    texts.iter().find(fits).or(texts.last())
}

/// Fits a line into `width`: the text takes precedence over the time, and both over the bar.
fn fitted(text: &str, percent: Option<usize>, time: &str, width: usize) -> String {
    let length = text.chars().count();
    let Some(room) = width.checked_sub(length + 1 + time.len()) else {
        return text.chars().take(width).collect();
    };
    // Brackets, and a second space on each side of the text.
    match percent.zip(room.checked_sub(4)) {
        Some((percent, inner)) if width >= MIN_WIDTH_FOR_BAR && inner >= MIN_BAR => {
            format!("[{}] {text}  {time}", bar(percent, inner))
        }
        _ => format!("{text}{:room$} {time}", ""),
    }
}

/// ASCII only, because the terminal of a jump host may not be able to show more.
fn bar(percent: usize, width: usize) -> String {
    let bar = "=".repeat(width * percent / 100) + ">";
    format!("{bar:width$.width$}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const TEXT: &str = " 50%  1.0 GiB of 2.0 GiB  disk 1 of 2";

    #[rstest]
    #[case::wide(
        65,
        Some(50),
        "[=========>         ]  50%  1.0 GiB of 2.0 GiB  disk 1 of 2  0:12"
    )]
    #[case::zero_percent(
        65,
        Some(0),
        "[>                  ]  50%  1.0 GiB of 2.0 GiB  disk 1 of 2  0:12"
    )]
    #[case::hundred_percent(
        65,
        Some(100),
        "[===================]  50%  1.0 GiB of 2.0 GiB  disk 1 of 2  0:12"
    )]
    #[case::no_bar(44, Some(50), " 50%  1.0 GiB of 2.0 GiB  disk 1 of 2   0:12")]
    #[case::just_wide_enough(42, Some(50), " 50%  1.0 GiB of 2.0 GiB  disk 1 of 2 0:12")]
    #[case::no_time(41, Some(50), " 50%  1.0 GiB of 2.0 GiB  disk 1 of 2")]
    #[case::text_cut_short(20, Some(50), " 50%  1.0 GiB of 2.0")]
    #[case::no_percentage(46, None, " 50%  1.0 GiB of 2.0 GiB  disk 1 of 2     0:12")]
    fn a_line_fits_the_width(
        #[case] width: usize,
        #[case] percent: Option<usize>,
        #[case] line: &str,
    ) {
        assert_eq!(fitted(TEXT, percent, "0:12", width), line);
    }

    #[test]
    fn a_frame_has_a_bar_what_is_copied_and_the_time() {
        let text = " 57%  18.1 GiB of 32.0 GiB  disk 1 of 1";
        assert_eq!(
            fitted(text, Some(57), "0:07", 80),
            "[==================>             ]  57%  18.1 GiB of 32.0 GiB  disk 1 of 1  0:07"
        );
    }
}
