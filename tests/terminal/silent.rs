//! Plain lines, or none, where there is no progress line.

use rstest::rstest;
use serde_json::json;

use super::session::Session;
use super::{CREATE, CREATED, CREATING, at, slow};
use crate::fake_pve::FakePve;

const LINES: [&str; 4] = [
    CREATING,
    "Growing disk scsi0 of VM 101 to 33G...",
    "Starting VM 101...",
    "Waiting for an address of VM 101...",
];

#[rstest]
#[case::quiet("xterm", "--quiet", &[])]
#[case::json("xterm", "--json", &LINES[..1])]
#[case::a_dumb_terminal("dumb", "", &LINES)]
#[case::an_unknown_terminal("", "", &LINES)]
fn a_terminal_gets_no_codes(#[case] term: &str, #[case] flag: &str, #[case] lines: &[&str]) {
    let fake = slow(&json!([]), 6);
    let arguments = format!("{CREATE} {flag}");
    let left = Session::start(at(&fake).env("TERM", term), 120, arguments.trim_end()).end();
    assert_eq!(left.exit, Some(0));
    let expected: String = lines.iter().flat_map(|line| [line, "\r\n"]).collect();
    assert_eq!(left.raw, expected);
    assert!(!left.stdout.contains('\x1b'));
    expect_no_log(&fake);
}

#[test]
fn a_pipe_gets_a_line_for_each_step() {
    let fake = slow(&json!([]), 6);
    let seen = at(&fake).run(CREATE);
    let expected: String = LINES.iter().flat_map(|line| [*line, "\n"]).collect();
    assert_eq!((seen.exit, seen.stdout.as_str()), (Some(0), CREATED));
    assert_eq!(seen.stderr, expected);
    expect_no_log(&fake);
}

/// The log of a task is read only if it is shown.
fn expect_no_log(fake: &FakePve) {
    let journal = fake.journal();
    let logs: Vec<_> = journal
        .iter()
        .filter(|line| line.contains("/log"))
        .collect();
    assert!(logs.is_empty(), "{logs:?}");
}
