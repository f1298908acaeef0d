//! The shells in which completions are tested, as far as they are installed.

/// Where the tests look for shells: in the PATH of the user.
pub(crate) fn path() -> String {
    std::env::var("PATH").unwrap_or_default()
}

/// Whether tests of this shell can run.
pub(crate) fn is_installed(shell: &str) -> bool {
    path().split(':').any(|folder| {
        let file = format!("{folder}/{shell}");
        std::fs::exists(file).unwrap_or(false)
    })
}
