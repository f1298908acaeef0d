//! A clone fails and leaves an incomplete VM behind, which only root can remove.

use std::fs;

use rstest::rstest;
use serde_json::{Value, json};

use super::{FIRST, cluster, must};
use crate::chaos::testbed::{NAME, Testbed};

#[rstest]
#[case::quorum_lost(
    "clone failed: unable to open file '/etc/pve/nodes/pve1/qemu-server/{newid}.conf.tmp.563' - \
     Permission denied"
)]
#[case::worker_killed("unexpected status")]
fn an_incomplete_vm_is_never_taken_for_a_complete_one(#[case] exit: &str) {
    let testbed = Testbed::new(
        cluster(json!({
            "clone_exit": [exit, "OK"],
            "clone_steps": {"appears": 1, "named": 2, "done": 4},
        })),
        [],
    );
    for arguments in [
        "--timeout 1.2",
        "--timeout 1.2 --ensure",
        "--timeout 1.2 --ensure",
    ] {
        let seen = testbed.run(arguments);
        let failure = must(&testbed, testbed.expect_failure(&seen));
        assert_eq!(
            (failure.kind.as_str(), failure.vmid),
            ("half_made", Some(FIRST)),
            "{}",
            testbed.details()
        );
        assert_eq!(testbed.fake.vms_named(NAME), [FIRST]);
    }
    assert_eq!(testbed.posts(), 1, "{}", testbed.details());
    // `qm unlock 101 && qm destroy 101`, by root.
    testbed.fake.cluster().remove(FIRST);
    let ready = must(&testbed, testbed.expect_ensured(""));
    assert!(ready.created);
    assert_eq!(testbed.posts(), 2, "{}", testbed.details());
}

/// After `qm unlock 101`, only its missing disk distinguishes it from other VMs.
#[test]
fn an_unlocked_incomplete_vm_is_recognized_by_its_disks() {
    let setup = cluster(json!({"clone_exit": ["unexpected status", "OK"]}));
    let testbed = Testbed::new(setup, []);
    let seen = testbed.run("--timeout 1.2");
    must(&testbed, testbed.expect_failure(&seen));
    {
        let mut cluster = testbed.fake.cluster();
        let half = cluster.guests.get_mut(&FIRST).expect("the incomplete VM");
        half.config.remove("lock");
        half.config.remove("scsi0");
    }
    let seen = testbed.run("--ensure");
    let failure = must(&testbed, testbed.expect_failure(&seen));
    let reported = (failure.kind.as_str(), failure.vmid);
    assert_eq!(
        reported,
        ("half_made", Some(FIRST)),
        "{}",
        testbed.details()
    );
    // As the hint says.
    fs::remove_file(format!("{}/{NAME}.jsonl", testbed.state.path())).unwrap();
    assert_eq!(found(&testbed), json!([FIRST, false]));
    assert_eq!(testbed.posts(), 1, "{}", testbed.details());
}

#[test]
fn a_vm_that_somebody_else_created_may_have_other_disks_than_the_template() {
    let setup = cluster(json!({"guests": [
        {"vmid": FIRST, "name": NAME},
        {"vmid": 9000, "name": "debian-12", "template": true},
    ]}));
    let testbed = Testbed::new(setup, []);
    let mut guests = testbed.fake.cluster();
    let other = guests.guests.get_mut(&FIRST).expect("the VM");
    other.config.remove("scsi0");
    drop(guests);
    assert_eq!(found(&testbed), json!([FIRST, false]));
}

/// The VM that `--ensure` succeeds with, and whether this command created it.
fn found(testbed: &Testbed) -> Value {
    let seen = testbed.run("--ensure");
    let document: Value = serde_json::from_str(&seen.stdout).unwrap();
    json!([document["vmid"], document["created"]])
}
