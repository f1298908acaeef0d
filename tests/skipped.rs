//! Tests that need what this machine does not have: they pass, and say so.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

/// Whether a shell is installed. If not, says that its tests are skipped.
pub(crate) fn has_shell(shell: &str) -> bool {
    let is_installed = path().split(':').any(|folder| {
        let file = format!("{folder}/{shell}");
        std::fs::exists(file).unwrap_or(false)
    });
    if !is_installed {
        say(&format!("{shell} is not installed"));
    }
    is_installed
}

/// Where the tests look for shells: wherever the user's own shell does.
pub(crate) fn path() -> String {
    std::env::var("PATH").unwrap_or_default()
}

/// Says why tests are skipped, once for each reason. The test harness would capture `eprintln!`.
pub(crate) fn say(why: &str) {
    static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let mut said = SAID.lock().unwrap_or_else(PoisonError::into_inner);
    if said.insert(why.to_owned()) {
        let _ = writeln!(io::stderr(), "skipped: {why}");
    }
}
