//! The claim breaks off at each of its bytes. Then a second run puts it right.

use serde_json::json;

use super::ground::{Ground, NAME, try_all};
use super::report::{Said, read};
use super::situations::cluster;

/// As long as the claim gets when nothing goes wrong.
fn whole_size() -> u64 {
    let ground = Ground::new(cluster(json!({})), []);
    let seen = ground.run("");
    ground.expect_ready(&seen).unwrap();
    let claim = ground.state.claim(NAME);
    assert!(!claim.is_empty(), "no claim was written");
    claim.len() as u64
}

/// The process id in it may be shorter or longer the next time.
const SLACK: u64 = 8;

#[test]
fn one_vm_after_a_kill_in_any_write_to_the_claim() {
    let size = whole_size();
    let cases: Vec<u64> = (0..=size).collect();
    let describe = |bytes: &u64| format!("killed when the claim had {bytes} bytes of {size}");
    try_all("cuts", &cases, describe, |&bytes| {
        let ground = Ground::new(cluster(json!({})), []);
        let seen = ground.run_limited(bytes);
        let went = if seen.exit.is_some() && bytes + SLACK < size {
            Err("was not killed".to_owned())
        } else {
            ground.expect_ensured("").map(|_| ())
        };
        went.map_err(|why| format!("{why}\n{}", ground.account()))
    });
}

/// Without a word that can be relied on there is no request that could be repeated by mistake.
#[test]
fn one_vm_when_the_disk_is_full_at_any_byte_of_the_claim() {
    let size = whole_size();
    let cases: Vec<u64> = (0..=size).collect();
    let describe = |bytes: &u64| format!("a disk for {bytes} bytes of {size}");
    try_all("full disks", &cases, describe, |&bytes| {
        let ground = Ground::new(cluster(json!({})), []);
        let seen = ground.start_on_full_disk(bytes, "--ensure").wait();
        ground.remember("disk full", &seen);
        let went = ground.expect_ready_or_failure(&seen).and_then(|_| {
            let again = ground.expect_ensured("")?;
            match read(&seen)? {
                Said::Ready(ready) if ready.vmid == again.vmid => Ok(()),
                Said::Ready(ready) => Err(format!("first VM {}, then {}", ready.vmid, again.vmid)),
                Said::Failed { error } if error.started == "no" => Ok(()),
                Said::Failed { error } => Err(format!("{error:?}")),
            }
        });
        went.map_err(|why| format!("{why}\n{}", ground.account()))
    });
}

/// A record that was cut must not spoil those that are written after it.
#[test]
fn one_vm_when_the_disk_is_full_for_a_moment() {
    let slow = || cluster(json!({"clone_steps": {"appears": 0, "named": 1, "done": 30}}));
    let ground = Ground::new(slow(), []);
    ground.run("");
    let claim = ground.state.claim(NAME);
    let record = claim.find(r#"{"upid""#).expect("a record of the task");
    let record = record as u64 + SLACK..claim.len() as u64;
    let cases: Vec<u64> = record.step_by(9).collect();
    let requests = ground.fake.journal().len();
    let describe = |bytes: &u64| format!("a disk for {bytes} bytes, for a moment");
    try_all(
        "disks that are full for a moment",
        &cases,
        describe,
        |&bytes| {
            let ground = Ground::new(slow(), []);
            let running = ground.start_on_full_disk(bytes, "--ensure");
            // The task was written down before it was looked at.
            ground.fake.wait_for_requests(requests / 2);
            running.give_room();
            let seen = running.wait();
            ground.remember("disk full for a moment", &seen);
            let went = ground
                .expect_ready(&seen)
                .and_then(|_| ground.expect_ensured(""));
            went.map(|_| ())
                .map_err(|why| format!("{why}\n{}", ground.account()))
        },
    );
}
