//! What a run reports on stderr while it works.

mod copying;
mod doing;
mod live;
mod terminal;

use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

pub use self::doing::Doing;

use self::live::Live;
use crate::say::stage::Stage;
use crate::say::vm::Existing;
use crate::ui::output::clean;

/// How much is reported.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verbosity {
    /// At a terminal: what goes on, in a line that changes.
    Live,
    /// In a log: a line for each step.
    Lines,
    /// No steps: the result tells it all.
    Notes,
    /// Only warnings: cron mails whatever is printed.
    Quiet,
}

/// Reports on stderr, and knows what is certain at any moment of the run.
pub struct Progress {
    verbosity: Verbosity,
    stage: Mutex<Stage>,
    /// The line that changes, if one is shown.
    live: Mutex<Option<Live>>,
}

impl Progress {
    /// Before anything is begun.
    pub fn new(verbosity: Verbosity) -> Progress {
        Progress {
            verbosity,
            stage: Mutex::new(Stage::NothingStarted),
            live: Mutex::new(None),
        }
    }

    /// What is certain now. While the guard is held, nothing else becomes certain.
    pub fn stage(&self) -> MutexGuard<'_, Stage> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets what is certain from now on.
    pub fn at(&self, stage: Stage) {
        *self.stage() = stage;
    }

    /// Removes the changing line and locks the output for the end of the run. While the returned guard
    /// is held, nothing else is printed through this, and a second caller waits.
    pub fn lock_for_the_end(&self) -> impl Drop + '_ {
        let mut live = self.live();
        live.take();
        live
    }

    /// A line, whatever the verbosity.
    pub fn say(&self, line: &str) {
        match &*self.live() {
            Some(shown) => shown.aside(|| say(line)),
            None => say(line),
        }
    }

    /// Something that takes longer than expected, or is done otherwise.
    pub fn note(&self, text: &str) {
        if self.verbosity != Verbosity::Quiet {
            self.say(text);
        }
    }

    /// Something that the user should know although the run goes on.
    pub fn warning(&self, text: &str) {
        self.say(&format!("Warning: {text}"));
    }

    /// What is being done for an existing VM from now on. A change to a VM that existed before this
    /// command is reported also where steps are not.
    pub fn doing(&self, existing: &Existing, doing: &Doing) {
        let is_said = match self.verbosity {
            Verbosity::Lines => true,
            Verbosity::Live | Verbosity::Notes => !existing.created,
            Verbosity::Quiet => false,
        };
        let line = doing.line(existing.vm.vmid, existing.created);
        if let Some(line) = line.filter(|_| is_said) {
            self.say(&line);
        }
        self.show(|| Doing::clone(doing));
    }

    /// The template's disks are being copied; `count` finds out how many, and is called only if it is
    /// going to be shown.
    pub fn cloning(&self, count: impl FnOnce() -> Option<usize>) {
        self.show(|| Doing::Cloning(count()));
    }

    /// More of the current task's log; `read` reads it, and is called only if it is going to be shown.
    pub fn follow_log(&self, read: impl FnOnce() -> Vec<String>) {
        if self.verbosity == Verbosity::Live {
            let lines = read();
            if let Some(live) = &mut *self.live() {
                live.log(&lines);
            }
        }
    }

    fn show<'d>(&self, doing: impl FnOnce() -> Doing<'d>) {
        if self.verbosity == Verbosity::Live {
            let doing = doing();
            match &mut *self.live() {
                Some(shown) => shown.show(&doing),
                none => *none = Some(Live::new(&doing)),
            }
        }
    }

    fn live(&self) -> MutexGuard<'_, Option<Live>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Something that the user should know although it goes on.
pub fn warn(text: &str) {
    say(&format!("Warning: {text}"));
}

/// A line on stderr, without what could forge another one. If stderr is closed nobody is listening,
/// and the VM matters more than the words.
pub fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{}", clean(line));
}
