//! What a run tells on stderr while it works.

mod copying;
mod doing;
mod live;

use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

pub use self::doing::Doing;

use self::live::{Live, TICK, erase};
use crate::pve::types::VmName;
use crate::say::stage::{Stage, Vm};
use crate::ui::text::clean;

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
    live: Arc<Mutex<Option<Live>>>,
}

impl Lines {
    /// Before anything is begun.
    pub fn new(voice: Voice) -> Lines {
        Lines {
            voice,
            stage: Mutex::new(Stage::NothingStarted),
            live: Arc::default(),
        }
    }

    /// What is certain now. As long as it is held nothing else becomes certain.
    pub fn stage(&self) -> MutexGuard<'_, Stage> {
        lock(&self.stage)
    }

    /// Removes the progress line and locks these lines for the end of the run. While the returned guard is
    /// held, nothing else is printed through them, and a second caller waits.
    pub fn lock_for_the_end(&self) -> impl Drop + '_ {
        let mut live = lock(&self.live);
        if live.take().is_some() {
            erase();
        }
        live
    }

    /// A line, whatever the voice.
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
}

impl Progress for Lines {
    fn creating(&self, name: &VmName, template: &str) {
        self.note(&format!(
            "Creating VM '{name}' from template '{template}'..."
        ));
    }

    fn doing(&self, vm: &Vm, created: bool, doing: &Doing) {
        let is_said = match self.voice {
            Voice::Lines => true,
            Voice::Live | Voice::Notes => !created,
            Voice::Quiet => false,
        };
        if let Some(said) = doing.line(vm, created).filter(|_| is_said) {
            self.say(&said);
        }
        if self.voice == Voice::Live {
            let mut live = lock(&self.live);
            if live.is_none() {
                keep_drawing(self.live.clone());
            }
            live.get_or_insert_with(Live::new).show(doing);
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
        if let Some(live) = &mut *lock(&self.live) {
            live.log(lines);
        }
    }
}

/// Redraws the progress line until it is removed. If no thread can be started, the line changes only
/// with each event.
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

/// Something that the user should know although it goes on.
pub fn warn(text: &str) {
    say(&format!("Warning: {text}"));
}

/// A line on stderr, without what could forge another one. If stderr is closed nobody is listening,
/// and the VM matters more than the words.
pub fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{}", clean(line));
}
