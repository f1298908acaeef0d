//! The line that changes: what is being done, how far it is, and for how long it has been going on.

use std::fmt::Write;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::copying::Copying;
use super::doing::Doing;
use super::terminal::{Terminal, columns};
use crate::output::clean;

/// Below that there is no room for a bar beside the words.
const WIDE: usize = 64;
/// Often enough for a second hand, and for a window that is made narrower.
const TICK: Duration = Duration::from_millis(250);
/// What the bar counts in: a tenth of a percent.
const WHOLE: u64 = 1000;

/// A line at the bottom of the terminal, until it is dropped.
pub(super) struct Live {
    bar: ProgressBar,
    copying: Option<Copying>,
}

impl Live {
    pub(super) fn new() -> Live {
        let target = ProgressDrawTarget::term_like(Box::new(Terminal::default()));
        let bar = ProgressBar::with_draw_target(Some(WHOLE), target);
        bar.enable_steady_tick(TICK);
        Live { bar, copying: None }
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
        self.bar.set_style(style("{wide_msg} {time}"));
        self.bar.set_message(doing.words());
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
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "0 to 1000"
        )]
        self.bar.set_position((percent * 10.0) as u64);
        let words = format!("{percent:3.0}%  {amount}  {disk}");
        if columns().unwrap_or(0) >= WIDE {
            self.bar.set_style(style("[{wide_bar}] {msg}  {time}"));
        } else {
            self.bar.set_style(style("{wide_msg} {time}"));
        }
        self.bar.set_message(words);
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

fn style(template: &str) -> ProgressStyle {
    // Plain letters: not each terminal of a jump host knows more.
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
        .with_key("time", |state: &ProgressState, line: &mut dyn Write| {
            let seconds = state.elapsed().as_secs();
            let _ = write!(line, "{}:{:02}", seconds / 60, seconds % 60);
        })
}
