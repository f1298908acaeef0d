//! A window that is made narrower or wider while the bar is shown.

use serde_json::json;

use super::session::Session;
use super::{CREATE, CREATED, CREATING, at, bar_of, slow, stuck};

/// The server does not answer meanwhile, so the progress line itself must notice the change.
#[test]
fn the_progress_line_follows_the_window() {
    let fake = stuck();
    let mut session = Session::start(at(&fake), 120, CREATE);
    session.until_one(|frame| bar_of(&frame.text).is_some());
    session.resize(40);
    session.until_one(|frame| frame.text.contains("disk 1 of 2") && frame.fits(40));
    session.resize(100);
    session.until_one(|frame| bar_of(&frame.text).is_some() && frame.text.len() == 99);
    session.resize(30);
    session.until_one(|frame| frame.fits(30));
    session.press(3);
    let left = session.end();
    assert_eq!(left.exit, Some(130));
    let screen = left.screen.join("\n");
    assert!(screen.starts_with(CREATING), "{screen}");
    assert!(!screen.contains("disk 1 of 2"), "{screen}");
    assert_eq!(left.screen.len(), 3, "{screen}");
}

/// Text that was wrapped when the window became narrower is erased too.
#[test]
fn a_run_in_a_narrower_window_leaves_nothing_behind() {
    let fake = slow(&json!([]), 1_000_000);
    let mut session = Session::start(at(&fake), 120, CREATE);
    session.until_one(|frame| bar_of(&frame.text).is_some());
    session.resize(40);
    session.until_one(|frame| frame.text.contains("disk 1 of 2") && frame.fits(40));
    fake.finish_all();
    let left = session.end();
    assert_eq!(left.screen, [CREATING]);
    assert_eq!((left.exit, left.stdout.as_str()), (Some(0), CREATED));
}
