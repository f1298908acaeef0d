//! What a run tells on stderr while it works.

mod copying;
mod doing;
mod live;
mod terminal;

use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

pub use self::doing::Doing;

use self::live::Live;
use crate::pve::types::VmName;
use crate::say::stage::{Stage, Vm};
use crate::ui::output::clean;

/// The journey, told to whoever wants to hear it.
pub trait Progress {
    /// The first words, before any request.
    fn creating(&self, name: &VmName, template: &str);
    /// What is being done for a VM from now on. Of one that was there before, that is a change that
    /// its owner may not expect.
    fn doing(&self, vm: &Vm, created: bool, doing: &Doing);
    /// What takes longer than one would expect.
    fn note(&self, text: &str);
    /// Something that the user should know although the run goes on.
    fn warning(&self, text: &str);
    /// What is certain from now on.
    fn at(&self, stage: Stage);
    /// Whether anybody looks on, for whom the log of the task in hand is worth reading.
    fn shows_logs(&self) -> bool;
    /// What that log says in addition.
    fn log(&self, lines: &[String]);
}

/// How much is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Voice {
    /// To somebody who looks on: what goes on, in a line that changes.
    Live,
    /// To whoever reads it later: a line for each step.
    Lines,
    /// No steps: the result tells it all.
    Notes,
    /// Only warnings: cron mails whatever is said.
    Quiet,
}

/// A run's words on stderr.
pub struct Lines {
    voice: Voice,
    /// What is certain now, for whoever has to say it in the middle of the run.
    stage: Mutex<Stage>,
    /// The line that changes, if there is one just now.
    live: Mutex<Option<Live>>,
}

impl Lines {
    /// Before anything is begun.
    pub fn new(voice: Voice) -> Lines {
        Lines {
            voice,
            stage: Mutex::new(Stage::NothingStarted),
            live: Mutex::new(None),
        }
    }

    /// What is certain now. As long as it is held nothing else becomes certain.
    pub fn stage(&self) -> MutexGuard<'_, Stage> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes the progress line and locks these lines for the end of the run. While the returned guard is
    /// held, nothing else is printed through them, and a second caller waits.
    pub fn lock_for_the_end(&self) -> impl Drop + '_ {
        let mut live = self.live();
        live.take();
        live
    }

    /// A line, whatever the voice.
    pub fn say(&self, line: &str) {
        match &*self.live() {
            Some(shown) => shown.aside(|| say(line)),
            None => say(line),
        }
    }

    fn live(&self) -> MutexGuard<'_, Option<Live>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress for Lines {
    fn creating(&self, name: &VmName, template: &str) {
        self.note(&format!(
            "Creating VM '{name}' from template '{template}'..."
        ));
    }

    fn doing(&self, vm: &Vm, created: bool, doing: &Doing) {
        let line = doing.line(vm, created);
        let is_said = match self.voice {
            Voice::Lines => true,
            Voice::Live | Voice::Notes => !created,
            Voice::Quiet => false,
        };
        if let Some(line) = line.filter(|_| is_said) {
            self.say(&line);
        }
        if self.voice == Voice::Live {
            match &mut *self.live() {
                Some(shown) => shown.show(doing),
                none => *none = Some(Live::new(doing)),
            }
        }
    }

    fn note(&self, text: &str) {
        if self.voice != Voice::Quiet {
            self.say(text);
        }
    }

    fn warning(&self, text: &str) {
        self.say(&format!("Warning: {text}"));
    }

    fn at(&self, stage: Stage) {
        *self.stage() = stage;
    }

    fn shows_logs(&self) -> bool {
        self.voice == Voice::Live
    }

    fn log(&self, lines: &[String]) {
        if let Some(live) = &mut *self.live() {
            live.log(lines);
        }
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
