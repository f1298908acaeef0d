//! Two POSTs of ours compete for one VMID, and either may win.

use serde_json::{Value, json};

use super::{FIRST, cluster, every_post_is_kept, must, number_of_post};
use crate::chaos::testbed::{Testbed, try_all};
use crate::fake_pve::Fault;

struct Case {
    rights: &'static str,
    /// When a worker begins, and for how long it then copies.
    appears: u32,
    copying: u32,
    /// The exit status of the first clone that starts copying.
    first_exit: &'static str,
    /// For how many requests the first POST is kept; without a number, until the test wakes the daemon.
    kept: Option<usize>,
}

const STORAGE_BUSY: &str = "clone failed: cfs-lock 'storage-data' error: got lock request timeout";
const DISK_FULL: &str = "clone failed: copy failed: command 'qemu-img' failed: exit code 1";

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (rights, first_exit) in [
        ("all", "OK"),
        ("all", STORAGE_BUSY),
        ("all", DISK_FULL),
        ("late", "OK"),
    ] {
        for appears in [0, 1, 3] {
            for copying in [0, 6] {
                for kept in (1..=12).map(Some).chain([None]) {
                    cases.push(Case {
                        rights,
                        appears,
                        copying,
                        first_exit,
                        kept,
                    });
                }
            }
        }
    }
    cases
}

/// The answer to the first one is lost, and it is executed around the time of the second.
#[test]
fn one_vm_whichever_of_our_two_requests_wins() {
    let describe = |case: &Case| {
        let Case {
            rights,
            appears,
            copying,
            first_exit,
            kept,
        } = case;
        format!(
            "token '{rights}', begins after {appears}, copies for {copying} with '{first_exit}', \
             first one kept for {kept:?}"
        )
    };
    try_all("races with ourselves", &cases(), describe, |case| {
        let (setup, late) = (setup_of(case), case.kept);
        let late = json!({"status": 596, "reason": "Connection timed out", "after": late});
        let fault = Fault::at_request(number_of_post(&setup), json!({"late": late}));
        let testbed = Testbed::new(setup, [fault]);
        race(&testbed, case.first_exit).map_err(|why| format!("{why}\n{}", testbed.details()))
    });
}

fn setup_of(case: &Case) -> Value {
    cluster(json!({
        "tokens": {"cloner@pve!cli": case.rights},
        "clone_steps": {
            "appears": case.appears,
            "named": case.appears + case.copying / 2,
            "done": case.appears + case.copying,
        },
        "clone_exit": [case.first_exit, "OK"],
    }))
}

fn race(testbed: &Testbed, first_exit: &str) -> Result<(), String> {
    let seen = testbed.run("");
    let is_ready = if first_exit == DISK_FULL {
        testbed.expect_ready_or_failure(&seen)?
    } else {
        let ready = testbed.expect_ready(&seen)?;
        if (ready.vmid, ready.created) != (FIRST, true) {
            return Err(format!("{ready:?}"));
        }
        true
    };
    // Only when the VM exists may the other request be executed too.
    let ready = testbed.expect_ensured("")?;
    if is_ready == ready.created || ready.vmid != FIRST {
        return Err(format!("the second run says: {ready:?}"));
    }
    Ok(())
}

/// Neither run gets an answer, and both requests are executed at once.
#[test]
fn the_requests_of_two_runs_are_executed_together() {
    let testbed = Testbed::new(
        cluster(json!({"clone_steps": {"appears": 2, "named": 4, "done": 8}})),
        [every_post_is_kept()],
    );
    for arguments in ["--timeout 1.2", "--timeout 1.2 --ensure"] {
        let seen = testbed.run(arguments);
        must(&testbed, testbed.expect_failure(&seen));
    }
    testbed.fake.wake();
    let ready = must(&testbed, testbed.expect_ensured(""));
    assert_eq!(ready.vmid, FIRST);
    let posts = testbed.fake.journal();
    let posts = posts.iter().filter(|line| line.starts_with("POST"));
    assert!(posts.into_iter().all(|line| line.contains("newid=101&")));
}
