//! No secret gets into any output of a run.

use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::thread;

use rstest::rstest;

use super::{Homelab, StateDir};
use crate::fake_pve::SECRET;

/// Part of the secret of every token in these tests, and of each half of it.
const PIECE: &str = "0000-0000-0000";

pub(crate) fn expect_none(place: &str, bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    assert!(!text.contains(PIECE), "a secret is in {place}: {text}");
}

/// The files in this folder that contain a secret or have one in their name.
pub(super) fn find_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        // Called while a failed test unwinds, when a second panic would abort the whole run.
        let Ok(path) = entry.map(|entry| entry.path()) else {
            continue;
        };
        if path.is_dir() {
            found.extend(find_below(&path));
        } else {
            let bytes = fs::read(&path).unwrap_or_default();
            let text = String::from_utf8_lossy(&bytes);
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if text.contains(PIECE) || name.contains(PIECE) {
                found.push(path);
            }
        }
    }
    found
}

/// Does nothing while a test fails for another reason.
pub(super) fn expect_no_files(found: &[PathBuf]) {
    assert!(
        found.is_empty() || thread::panicking(),
        "a secret is in {found:?}"
    );
}

/// A program that runs this script, in place of ours.
fn sh(script: &str) -> Homelab {
    let script = format!("mkdir -p .local/state/homelab x; {script}");
    Homelab::alone()
        .env("SECRET", SECRET)
        .behind(&["/bin/sh", "-c", &script])
}

#[rstest]
#[case::stdout("echo $SECRET", true)]
#[case::stderr("echo $SECRET >&2", true)]
#[case::half_of_it("echo ${SECRET%-*}", true)]
#[case::the_other_half("echo ${SECRET#*-}", true)]
#[case::state_of_the_user("echo $SECRET > .local/state/homelab/web-1.jsonl", true)]
#[case::home("echo $SECRET > x/token", false)]
#[case::nowhere("echo done", false)]
fn a_secret_in_the_output_fails_the_test(#[case] script: &str, #[case] fails: bool) {
    assert_eq!(catch_unwind(|| sh(script).run("")).is_err(), fails);
}

#[rstest]
#[case::before("echo $SECRET >&2; echo done >&2", true)]
#[case::afterwards("echo done >&2; echo $SECRET >&2", true)]
#[case::not_at_all("echo done >&2", false)]
fn a_secret_in_the_output_of_a_running_program_fails_the_test(
    #[case] script: &str,
    #[case] fails: bool,
) {
    let ran = catch_unwind(|| {
        let mut running = sh(script).start("");
        running.wait_for_stderr("done");
        running.wait()
    });
    assert_eq!(ran.is_err(), fails);
}

#[rstest]
#[case::file("web-1.jsonl", SECRET, true)]
#[case::name(&format!("{SECRET}.jsonl"), "", true)]
#[case::folder("x/web-1.jsonl", SECRET, true)]
#[case::nothing("web-1.jsonl", "{}", false)]
fn a_secret_in_a_state_directory_fails_the_test(
    #[case] file: &str,
    #[case] text: &str,
    #[case] fails: bool,
) {
    let state = StateDir::new();
    fs::create_dir(format!("{}/x", state.path())).unwrap();
    fs::write(format!("{}/{file}", state.path()), text).unwrap();
    let folder = PathBuf::from(state.path());
    assert_eq!(catch_unwind(|| drop(state)).is_err(), fails);
    assert!(!folder.exists());
}
