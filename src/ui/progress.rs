//! What a run reports on stderr while it works.

mod activity;
mod copying;
mod live;
mod outage;

use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

pub use self::activity::Activity;

use self::live::{Live, TICK, erase};
use self::outage::Outage;
use crate::say::stage::Stage;
use crate::say::vm::Existing;
use crate::ui::text::clean;

/// How much a run reports.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verbosity {
    /// A progress line, for a terminal.
    Live,
    /// One line per step, for a log file or a pipe.
    Steps,
    /// Notes and warnings, but no steps.
    Notes,
    /// Warnings only: cron mails all output.
    Quiet,
}

/// Reports a run on stderr.
pub struct Progress {
    verbosity: Verbosity,
    /// What is certain now, in case the run is interrupted.
    stage: Mutex<Stage>,
    /// The progress line, while there is one. Locked while these methods print.
    live: Arc<Mutex<Option<Live>>>,
    outage: Mutex<Outage>,
}

impl Progress {
    /// For a run that has not started anything.
    pub fn new(verbosity: Verbosity) -> Progress {
        Progress {
            verbosity,
            stage: Mutex::new(Stage::NothingStarted),
            live: Arc::default(),
            outage: Mutex::default(),
        }
    }

    /// What is certain now. While the returned guard is held, [`Progress::set_stage`] waits.
    pub fn stage(&self) -> MutexGuard<'_, Stage> {
        lock(&self.stage)
    }

    /// Removes the progress line and locks the output for the end of the run. While the returned guard is
    /// held, these methods print nothing, and a second caller waits.
    pub fn lock_for_exit(&self) -> impl Drop + '_ {
        let mut live = lock(&self.live);
        if live.take().is_some() {
            erase();
        }
        live
    }

    /// Sets what is certain until the next call, in case the run ends before that.
    pub fn set_stage(&self, stage: Stage) {
        *self.stage() = stage;
    }

    /// Sets what is certain about one of several VMs, or about the only one.
    pub fn set_stage_of(&self, slot: Option<usize>, stage: Stage) {
        let mut current = self.stage();
        match (&mut *current, slot) {
            (Stage::Several(stages), Some(slot)) => stages[slot] = stage,
            (current, _) => *current = stage,
        }
    }

    /// Prints a line above the progress line, whatever the verbosity.
    pub fn say(&self, text: &str) {
        let live = lock(&self.live);
        if live.is_some() {
            erase();
        }
        say(text);
        if let Some(live) = &*live {
            live.draw();
        }
    }

    /// Prints something that explains a delay.
    pub fn note(&self, text: &str) {
        if self.verbosity != Verbosity::Quiet {
            self.say(text);
        }
    }

    /// Prints something that the user should know although the run continues.
    pub fn warning(&self, text: &str) {
        self.say(&format!("Warning: {text}"));
    }

    /// Reports that an activity begins. A change to a VM that existed before this command is announced even
    /// where steps are not: its owner may not expect it.
    pub fn begin_activity(&self, existing: &Existing, activity: &Activity) {
        let is_announced = match self.verbosity {
            Verbosity::Steps => true,
            Verbosity::Live | Verbosity::Notes => !existing.created && existing.named_by.is_none(),
            Verbosity::Quiet => false,
        };
        let text = activity.announcement(existing.vm.vmid, existing.created);
        if let Some(text) = text.filter(|_| is_announced) {
            self.say(&text);
        }
        if self.verbosity == Verbosity::Live {
            self.show(activity);
        }
    }

    /// Announces an activity outside the steps of a VM, a download or an import: where there is no progress line,
    /// with this line, if it is given.
    pub fn begin(&self, activity: &Activity, announcement: Option<&str>) {
        match self.verbosity {
            Verbosity::Live => self.show(activity),
            Verbosity::Steps => announcement.into_iter().for_each(|it| self.say(it)),
            Verbosity::Notes | Verbosity::Quiet => {}
        }
    }

    /// Reports that the template's disks are being copied. `count` returns their number, and is called only
    /// if that is shown.
    pub fn cloning(&self, count: impl FnOnce() -> Option<usize>) {
        if self.verbosity == Verbosity::Live {
            self.show(&Activity::Cloning(count()));
        }
    }

    /// Reports the progress of the current task. `read` reads new lines of its log, and is called only if
    /// they are shown.
    pub fn follow_log(&self, read: impl FnOnce() -> Vec<String>) {
        if self.verbosity == Verbosity::Live {
            let lines = read();
            if let Some(live) = &mut *lock(&self.live) {
                live.log(&lines);
            }
        }
    }

    /// A host or a node did not answer. The third time in a row is reported.
    pub fn no_answer(&self, name: &str, why: &str) {
        if lock(&self.outage).failed(name) {
            self.notice(&[
                format!("{name} does not answer ({why}); still waiting"),
                format!("{name} does not answer; still waiting"),
            ]);
        }
    }

    /// A poll was answered. The end of an outage is reported if the outage was.
    pub fn answered(&self) {
        let ended = lock(&self.outage).ended();
        let notice = ended.map(|name| format!("{name} answers again"));
        self.notice(notice.as_slice());
    }

    /// Polls are not repeated any more.
    pub fn gave_up(&self) {
        lock(&self.outage).ended();
        self.notice(&[]);
    }

    /// Shows a notice about the server in the progress line, or prints it if there is none. `texts` are
    /// one message in several lengths, longest first; without any, the notice ends.
    fn notice(&self, texts: &[String]) {
        if let Some(live) = &mut *lock(&self.live) {
            return live.notice(texts);
        }
        if let Some(text) = texts.first() {
            self.note(text);
        }
    }

    fn show(&self, activity: &Activity) {
        let mut live = lock(&self.live);
        if live.is_none() {
            keep_drawing(self.live.clone());
        }
        live.get_or_insert_with(Live::new).show(activity);
    }
}

/// Redraws the progress line until it is removed. If no thread can be started, the line is redrawn only
/// when something happens.
fn keep_drawing(live: Arc<Mutex<Option<Live>>>) {
    let _ = thread::Builder::new().spawn(move || {
        loop {
            thread::sleep(TICK);
            match &*lock(&live) {
                Some(live) => live.draw(),
                None => return,
            }
        }
    });
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Prints a warning on stderr.
pub fn warn(text: &str) {
    say(&format!("Warning: {text}"));
}

/// Prints one line on stderr; text from the server in it cannot forge another line. A closed stderr must
/// not end the run, so it is ignored.
pub fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{}", clean(line));
}
