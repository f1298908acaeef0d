//! The ledger is cut at each of its bytes. Then a second run must succeed.

use serde_json::json;

use super::report::{Said, read};
use super::situations::cluster;
use super::testbed::{NAME, Testbed, try_all};

/// The size of the ledger after a run without faults.
fn full_size() -> u64 {
    let testbed = Testbed::new(cluster(json!({})), []);
    let seen = testbed.run("");
    testbed.expect_ready(&seen).unwrap();
    let ledger = testbed.state.record(NAME);
    assert!(!ledger.is_empty(), "no ledger was written");
    ledger.len() as u64
}

/// The process id in it may have another length in the next run.
const SLACK: u64 = 8;

#[test]
fn one_vm_after_a_kill_in_any_write_to_the_ledger() {
    let size = full_size();
    let cases: Vec<u64> = (0..=size).collect();
    let describe = |bytes: &u64| format!("killed when the ledger had {bytes} bytes of {size}");
    try_all("cuts", &cases, describe, |&bytes| {
        let testbed = Testbed::new(cluster(json!({})), []);
        let seen = testbed.run_limited(bytes);
        let result = if seen.exit.is_some() && bytes + SLACK < size {
            Err("was not killed".to_owned())
        } else {
            testbed.expect_ensured("").map(|_| ())
        };
        result.map_err(|why| format!("{why}\n{}", testbed.account()))
    });
}

/// Without a reliable record no clone is requested, so none can be repeated by mistake.
#[test]
fn one_vm_when_the_disk_is_full_at_any_byte_of_the_ledger() {
    let size = full_size();
    let cases: Vec<u64> = (0..=size).collect();
    let describe = |bytes: &u64| format!("a disk that is full after {bytes} bytes of {size}");
    try_all("full disks", &cases, describe, |&bytes| {
        let testbed = Testbed::new(cluster(json!({})), []);
        let seen = testbed.start_on_full_disk(bytes, "--ensure").wait();
        testbed.remember("disk full", &seen);
        let result = testbed.expect_ready_or_failure(&seen).and_then(|_| {
            let again = testbed.expect_ensured("")?;
            match read(&seen)? {
                Said::Ready(ready) if ready.vmid == again.vmid => Ok(()),
                Said::Ready(ready) => Err(format!("first VM {}, then {}", ready.vmid, again.vmid)),
                Said::Failed { error } if error.started == "no" => Ok(()),
                Said::Failed { error } => Err(format!("{error:?}")),
            }
        });
        result.map_err(|why| format!("{why}\n{}", testbed.account()))
    });
}

/// A line that was cut must not corrupt the lines after it.
#[test]
fn one_vm_when_the_disk_is_full_briefly() {
    let slow = || cluster(json!({"clone_steps": {"appears": 0, "named": 1, "done": 30}}));
    let testbed = Testbed::new(slow(), []);
    testbed.run("");
    let ledger = testbed.state.record(NAME);
    let record = ledger.find(r#"{"upid""#).expect("a record of the task");
    let record = record as u64 + SLACK..ledger.len() as u64;
    let cases: Vec<u64> = record.step_by(9).collect();
    let requests = testbed.fake.journal().len();
    let describe = |bytes: &u64| format!("a disk that is full after {bytes} bytes, briefly");
    try_all("disks that are full briefly", &cases, describe, |&bytes| {
        let testbed = Testbed::new(slow(), []);
        let running = testbed.start_on_full_disk(bytes, "--ensure");
        // The task is recorded before it is polled.
        testbed.fake.wait_for_requests(requests / 2);
        running.lift_file_size_limit();
        let seen = running.wait();
        testbed.remember("disk full briefly", &seen);
        let result = testbed
            .expect_ready(&seen)
            .and_then(|_| testbed.expect_ensured(""));
        result
            .map(|_| ())
            .map_err(|why| format!("{why}\n{}", testbed.account()))
    });
}
