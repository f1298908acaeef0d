//! The line that changes: what is being done, how far it is, and for how long it has been going on.

use std::fmt::Write;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::copying::Copying;
use super::doing::Doing;
use super::terminal::{Terminal, columns};
use crate::ui::output::clean;

/// Below that a bar would be too short to tell anything.
const WIDE: usize = 64;
/// Often enough for a second hand, and for a window that is made narrower.
const TICK: Duration = Duration::from_millis(250);
/// A line at the bottom of the terminal, until it is dropped.
pub(super) struct Live {
    bar: ProgressBar,
    copying: Option<Copying>,
}

impl Live {
    pub(super) fn new(doing: &Doing) -> Live {
        let target = ProgressDrawTarget::term_like(Box::new(Terminal::default()));
        let mut live = Live {
            bar: ProgressBar::with_draw_target(None, target),
            copying: None,
        };
        live.show(doing);
        // Not before: a tick would draw indicatif's own bar.
        live.bar.enable_steady_tick(TICK);
        live
    }

    /// What is being done from now on.
    pub(super) fn show(&mut self, doing: &Doing) {
        self.copying = match doing {
            Doing::Cloning(disks) => Some(Copying {
                disks: *disks,
                ..Copying::default()
            }),
            _ => None,
        };
        self.draw(doing.words(), None);
    }

    /// What the log of the task in hand says in addition.
    pub(super) fn log(&mut self, lines: &[String]) {
        let Some(copying) = &mut self.copying else {
            return;
        };
        for line in lines {
            copying.read(&clean(line));
        }
        let disk = copying.which_disk().unwrap_or_default();
        let Some(amount) = &copying.amount else {
            return;
        };
        let percent = copying.percent;
        let words = format!("{percent:3.0}%  {amount}  {disk}");
        self.draw(words, Some(percent));
    }

    /// How wide the window is counts anew each time the line is drawn.
    fn draw(&self, words: String, percent: Option<f64>) {
        let line = move |state: &ProgressState, line: &mut dyn Write| {
            let width = columns().unwrap_or(80).max(2) - 1;
            let seconds = state.elapsed().as_secs();
            let time = format!("{}:{:02}", seconds / 60, seconds % 60);
            let _ = line.write_str(&fitted(&words, percent, &time, width));
        };
        let style = ProgressStyle::with_template("{line}");
        let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
        self.bar.set_style(style.with_key("line", line));
        self.bar.force_draw();
    }

    /// Something else is said above the line.
    pub(super) fn aside(&self, say: impl FnOnce()) {
        self.bar.suspend(say);
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// As much as there is room for: the words come before the time, and both before the bar.
fn fitted(words: &str, percent: Option<f64>, time: &str, width: usize) -> String {
    let length = words.chars().count();
    let Some(room) = width.checked_sub(length + 1 + time.len()) else {
        return words.chars().take(width).collect();
    };
    // Brackets, and a second space on each side.
    match percent.filter(|_| width >= WIDE).zip(room.checked_sub(4)) {
        Some((percent, inner)) => format!("[{}] {words}  {time}", bar(percent, inner)),
        None => format!("{words}{:room$} {time}", ""),
    }
}

/// Plain letters: not each terminal of a jump host knows more.
fn bar(percent: f64, width: usize) -> String {
    let reached = |place: &usize| 100.0 * as_float(place + 1) <= percent * as_float(width);
    let done = (0..width).take_while(reached).count();
    let bar = "=".repeat(done) + ">";
    format!("{bar:width$.width$}")
}

/// A number of columns.
fn as_float(columns: usize) -> f64 {
    f64::from(u16::try_from(columns).unwrap_or(u16::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const WORDS: &str = " 50%  1.0 GiB of 2.0 GiB  disk 1 of 2";

    #[rstest]
    #[case::wide(
        65,
        Some(50.0),
        "[=========>         ]  50%  1.0 GiB of 2.0 GiB  disk 1 of 2  0:12"
    )]
    #[case::begun(
        65,
        Some(0.0),
        "[>                  ]  50%  1.0 GiB of 2.0 GiB  disk 1 of 2  0:12"
    )]
    #[case::done(
        65,
        Some(100.0),
        "[===================]  50%  1.0 GiB of 2.0 GiB  disk 1 of 2  0:12"
    )]
    #[case::no_bar(44, Some(50.0), " 50%  1.0 GiB of 2.0 GiB  disk 1 of 2   0:12")]
    #[case::just_so(42, Some(50.0), " 50%  1.0 GiB of 2.0 GiB  disk 1 of 2 0:12")]
    #[case::no_time(41, Some(50.0), " 50%  1.0 GiB of 2.0 GiB  disk 1 of 2")]
    #[case::not_even_the_words(20, Some(50.0), " 50%  1.0 GiB of 2.0")]
    #[case::no_percentage(46, None, " 50%  1.0 GiB of 2.0 GiB  disk 1 of 2     0:12")]
    fn it_fits(#[case] width: usize, #[case] percent: Option<f64>, #[case] line: &str) {
        assert_eq!(fitted(WORDS, percent, "0:12", width), line);
    }
}
