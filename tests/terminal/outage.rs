//! A server that stops answering while the bar is shown.

use rstest::rstest;
use serde_json::json;

use super::session::Session;
use super::{CREATE, CREATED, CREATING, at, bar_of, slow};

const AGAIN: &str = "127.0.0.1 answers again";

#[rstest]
#[case::no_room_for_the_reason(45, "127.0.0.1 does not answer; still waiting", false)]
#[case::no_room_for_the_time(
    65,
    "127.0.0.1 does not answer (Connection refused); still waiting",
    false
)]
#[case::wide(
    120,
    "127.0.0.1 does not answer (Connection refused); still waiting",
    true
)]
fn an_outage_is_reported_in_the_progress_line(
    #[case] columns: u16,
    #[case] notice: &str,
    #[case] has_bar: bool,
) {
    let fake = slow(&json!([{"request": 10, "refuse_ms": 800}]), 6);
    let mut session = Session::start(at(&fake), columns, CREATE);
    session.until(&["disk 1 of 2"]);
    let frame = session.until(&["does not answer"]).text.clone();
    session.until(&[AGAIN]);
    session.until(&["starting"]);
    let left = session.end();
    assert_eq!(left.screen, [CREATING]);
    assert_eq!((left.exit, left.stdout.as_str()), (Some(0), CREATED));
    let words = bar_of(&frame).map_or(&*frame, |(_, words)| words);
    assert!(words.trim_start().starts_with(notice), "{frame:?}");
    assert_eq!(bar_of(&frame).is_some(), has_bar, "{frame:?}");
}
