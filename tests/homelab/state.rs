//! State directories.

use std::path::PathBuf;

use super::{new_folder, secrets};

/// A state directory, removed when dropped.
pub(crate) struct StateDir {
    path: PathBuf,
}

impl StateDir {
    pub(crate) fn new() -> StateDir {
        StateDir {
            path: new_folder("state"),
        }
    }

    pub(crate) fn path(&self) -> &str {
        self.path.to_str().expect("UTF-8")
    }

    /// The records of runs about the VM with this name.
    pub(crate) fn record(&self, name: &str) -> String {
        let file = self.path.join(format!("{name}.jsonl"));
        let bytes = std::fs::read(file).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for StateDir {
    fn drop(&mut self) {
        let leaks = secrets::find_below(&self.path);
        let _ = std::fs::remove_dir_all(&self.path);
        secrets::expect_no_files(&leaks);
    }
}
