//! What a run tells on stderr while it works.

use std::io::{self, Write};

use crate::api::types::VmName;
use crate::output::clean;

/// The journey, told to whoever wants to hear it.
pub trait Progress {
    /// The first words, before any request.
    fn creating(&self, name: &VmName, template: &str);
    /// Something that the user should know although the run goes on.
    fn warning(&self, text: &str);
}

/// Plain lines on stderr.
pub struct Lines {
    /// Only warnings: cron mails whatever is said.
    pub quiet: bool,
}

impl Progress for Lines {
    fn creating(&self, name: &VmName, template: &str) {
        if !self.quiet {
            say(&format!(
                "Creating VM '{name}' from template '{template}'..."
            ));
        }
    }

    fn warning(&self, text: &str) {
        say(&format!("Warning: {text}"));
    }
}

/// A line on stderr, without what could forge another one. If stderr is closed nobody is listening,
/// and the VM matters more than the words.
pub fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{}", clean(line));
}
