//! Two of our POSTs request the same VMID, and either may win.

use serde_json::{Value, json};

use super::{FIRST, cluster, every_post_is_kept, must, number_of_post};
use crate::chaos::testbed::{Testbed, try_all};
use crate::fake_pve::Fault;

struct Case {
    rights: &'static str,
    /// When a worker starts, and for how long it copies.
    appears: u32,
    copying: u32,
    /// How the first clone that copies ends.
    first_exit: &'static str,
    /// For how many requests the first POST is kept; without a number, until the daemon is woken.
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

/// The answer to the first request is lost, and it is carried out at about the time of the second one.
#[test]
fn one_vm_whichever_of_two_requests_wins() {
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
        race(&testbed, case.first_exit).map_err(|why| format!("{why}\n{}", testbed.account()))
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
    // The other request may only be carried out once the VM exists.
    let ready = testbed.expect_ensured("")?;
    if is_ready == ready.created || ready.vmid != FIRST {
        return Err(format!("the second run reports: {ready:?}"));
    }
    Ok(())
}

/// Neither run gets an answer, and the requests of both are carried out at once.
#[test]
fn the_requests_of_two_runs_are_carried_out_together() {
    let testbed = Testbed::new(
        cluster(json!({"clone_steps": {"appears": 2, "named": 4, "done": 8}})),
        [every_post_is_kept()],
    );
    for words in ["--timeout 1.2", "--timeout 1.2 --ensure"] {
        let seen = testbed.run(words);
        must(&testbed, testbed.expect_failure(&seen));
    }
    testbed.fake.wake();
    let ready = must(&testbed, testbed.expect_ensured(""));
    assert_eq!(ready.vmid, FIRST);
    let posts = testbed.fake.journal();
    let posts = posts.iter().filter(|line| line.starts_with("POST"));
    assert!(posts.into_iter().all(|line| line.contains("newid=101&")));
}
