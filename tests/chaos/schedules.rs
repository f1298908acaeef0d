//! The worst orders of events.

mod daemons;
mod destroyed;
mod half_made;
mod left_behind;
mod lost_tasks;
mod replaced;
mod strangers;
mod tokens;
mod two_requests;

use serde_json::{Value, json};

use super::situations::cluster;
use super::testbed::Testbed;
use crate::fake_pve::Fault;

/// The first VMID that a clone gets in `situations::cluster`.
const FIRST: u32 = 101;

/// The number of the POST among the requests of a run without faults.
pub(super) fn number_of_post(setup: &Value) -> usize {
    let testbed = Testbed::new(setup.clone(), []);
    testbed.run("");
    post_in(&testbed.fake.journal())
}

pub(super) fn post_in(journal: &[String]) -> usize {
    let post = journal.iter().position(|line| line.starts_with("POST"));
    post.expect("a clone was requested") + 1
}

/// A daemon that hangs from the first POST on and executes none of them until it is woken.
fn every_post_is_kept() -> Fault {
    let late = json!({"status": 596, "reason": "Connection timed out"});
    serde_json::from_value(json!({"on": "POST", "late": late})).expect("a fault")
}

/// Panics with all details.
#[track_caller]
fn must<T>(testbed: &Testbed, went: Result<T, String>) -> T {
    went.unwrap_or_else(|why| panic!("{why}\n{}", testbed.details()))
}
