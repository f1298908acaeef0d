//! Tests that need what this machine does not have: they pass, and say so.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

/// Says why tests are skipped, once for each reason. The test harness would capture `eprintln!`.
pub(crate) fn say(why: &str) {
    static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let mut said = SAID.lock().unwrap_or_else(PoisonError::into_inner);
    if said.insert(why.to_owned()) {
        let _ = writeln!(io::stderr(), "skipped: {why}");
    }
}
