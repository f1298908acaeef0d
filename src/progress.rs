//! What a run tells on stderr while it works.

use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::api::types::VmName;
use crate::output::clean;
use crate::stage::Stage;

/// The journey, told to whoever wants to hear it.
pub trait Progress {
    /// The first words, before any request.
    fn creating(&self, name: &VmName, template: &str);
    /// What takes longer than one would expect.
    fn note(&self, text: &str);
    /// Something that the user should know although the run goes on.
    fn warning(&self, text: &str);
    /// What is certain from now on.
    fn at(&self, stage: Stage);
}

/// Plain lines on stderr.
pub struct Lines {
    /// Only warnings: cron mails whatever is said.
    pub quiet: bool,
    /// What is certain now, for whoever has to say it in the middle of the run.
    stage: Mutex<Stage>,
}

impl Lines {
    /// Before anything is begun.
    pub fn new(quiet: bool) -> Lines {
        let stage = Mutex::new(Stage::NothingStarted);
        Lines { quiet, stage }
    }

    /// What is certain now. As long as it is held nothing else becomes certain.
    pub fn stage(&self) -> MutexGuard<'_, Stage> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress for Lines {
    fn creating(&self, name: &VmName, template: &str) {
        self.note(&format!(
            "Creating VM '{name}' from template '{template}'..."
        ));
    }

    fn note(&self, text: &str) {
        if !self.quiet {
            say(text);
        }
    }

    fn warning(&self, text: &str) {
        warn(text);
    }

    fn at(&self, stage: Stage) {
        *self.stage() = stage;
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
