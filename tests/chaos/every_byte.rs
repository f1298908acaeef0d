//! The record is cut at each of its bytes; a second run recovers.

use serde_json::json;

use super::report::{Report, read};
use super::situations::cluster;
use super::testbed::{NAME, Testbed, try_all};

/// The size of the record of a run without faults.
fn whole_size() -> u64 {
    let testbed = Testbed::new(cluster(json!({})), []);
    let seen = testbed.run("");
    testbed.expect_ready(&seen).unwrap();
    let record = testbed.state.record(NAME);
    assert!(!record.is_empty(), "no record was written");
    record.len() as u64
}

/// The process ID in it may have another length in the next run.
const SLACK: u64 = 8;

#[test]
fn one_vm_after_a_kill_in_any_write_to_the_record() {
    let size = whole_size();
    let cases: Vec<u64> = (0..=size).collect();
    let describe = |bytes: &u64| format!("killed when the record had {bytes} bytes of {size}");
    try_all("cuts", &cases, describe, |&bytes| {
        let testbed = Testbed::new(cluster(json!({})), []);
        let seen = testbed.run_limited(bytes);
        let went = if seen.exit.is_some() && bytes + SLACK < size {
            Err("was not killed".to_owned())
        } else {
            testbed.expect_ensured("").map(|_| ())
        };
        went.map_err(|why| format!("{why}\n{}", testbed.details()))
    });
}

/// Without a reliable record no request is sent, so none can be repeated by mistake.
#[test]
fn one_vm_when_the_disk_is_full_at_any_byte_of_the_record() {
    let size = whole_size();
    let cases: Vec<u64> = (0..=size).collect();
    let describe = |bytes: &u64| format!("a disk of {bytes} bytes of {size}");
    try_all("full disks", &cases, describe, |&bytes| {
        let testbed = Testbed::new(cluster(json!({})), []);
        let seen = testbed.start_on_full_disk(bytes, "--ensure").wait();
        testbed.remember("disk full", &seen);
        let went = testbed.expect_ready_or_failure(&seen).and_then(|_| {
            let again = testbed.expect_ensured("")?;
            match read(&seen)? {
                Report::Ready(ready) if ready.vmid == again.vmid => Ok(()),
                Report::Ready(ready) => {
                    Err(format!("first VM {}, then {}", ready.vmid, again.vmid))
                }
                Report::Failed { error } if error.started == "no" => Ok(()),
                Report::Failed { error } => Err(format!("{error:?}")),
            }
        });
        went.map_err(|why| format!("{why}\n{}", testbed.details()))
    });
}

/// An event that was cut off must not corrupt those that are written after it.
#[test]
fn one_vm_when_the_disk_is_full_temporarily() {
    let slow = || cluster(json!({"clone_steps": {"appears": 0, "named": 1, "done": 30}}));
    let testbed = Testbed::new(slow(), []);
    testbed.run("");
    let record = testbed.state.record(NAME);
    let start = record.find(r#"{"upid""#).expect("an event with the task");
    let event = start as u64 + SLACK..record.len() as u64;
    let cases: Vec<u64> = event.step_by(9).collect();
    let requests = testbed.fake.journal().len();
    let describe = |bytes: &u64| format!("a disk of {bytes} bytes, temporarily");
    try_all(
        "disks that are full temporarily",
        &cases,
        describe,
        |&bytes| {
            let testbed = Testbed::new(slow(), []);
            let running = testbed.start_on_full_disk(bytes, "--ensure");
            // The task was recorded before it was polled.
            testbed.fake.wait_for_requests(requests / 2);
            running.lift_file_size_limit();
            let seen = running.wait();
            testbed.remember("disk full temporarily", &seen);
            let went = testbed
                .expect_ready(&seen)
                .and_then(|_| testbed.expect_ensured(""));
            went.map(|_| ())
                .map_err(|why| format!("{why}\n{}", testbed.details()))
        },
    );
}
