//! Tests that need something that this machine lacks: they pass, and print a note.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

/// Prints why tests are skipped, once for each reason. The test harness would capture `eprintln!`.
pub(crate) fn say(why: &str) {
    static PRINTED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let mut printed = PRINTED.lock().unwrap_or_else(PoisonError::into_inner);
    if printed.insert(why.to_owned()) {
        let _ = writeln!(io::stderr(), "skipped: {why}");
    }
}
