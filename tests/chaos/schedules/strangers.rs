//! Other users take our VMID, or the list shows a removed guest's row.

use serde_json::json;

use super::{FIRST, cluster, every_post_is_kept, must, number_of_post};
use crate::chaos::testbed::{NAME, Testbed};
use crate::fake_pve::{Cluster, Fault};

/// The first POST's answer is lost. When it is carried out, another user's guest has the VMID.
#[test]
fn a_stranger_takes_the_vmid_before_the_lost_request_is_carried_out() {
    let setup = |strangers: u32| {
        cluster(json!({
            "clone_steps": {"appears": 1, "named": 3, "done": 5},
            "strangers_every": 1,
            "strangers_at_most": strangers,
        }))
    };
    let post = number_of_post(&setup(0));
    // More guests take the VMIDs that are requested next, each in another way.
    for strangers in 1..=4 {
        let late = json!({"status": 596, "reason": "Connection timed out", "after": 1});
        let fault = Fault::at_request(post, json!({"late": late}));
        let testbed = Testbed::new(setup(strangers), [fault]);
        let seen = testbed.run("");
        let ready = must(&testbed, testbed.expect_ready(&seen));
        assert_eq!(ready.vmid, must(&testbed, testbed.expect_ensured("")).vmid);
        assert_ne!(ready.vmid, FIRST);
    }
}

/// As above, after the first run has given up.
#[test]
fn a_stranger_takes_the_vmid_between_two_runs() {
    let setup = cluster(json!({"strangers_every": 1, "strangers_at_most": 1}));
    let testbed = Testbed::new(setup, [every_post_is_kept()]);
    let seen = testbed.run("--timeout 1.2");
    must(&testbed, testbed.expect_failure(&seen));
    testbed.fake.wake();
    assert_eq!(testbed.fake.vms_named("stranger-1"), [FIRST]);
    let ready = must(&testbed, testbed.expect_ensured(""));
    assert_ne!(ready.vmid, FIRST);
}

#[test]
fn a_stranger_takes_the_vmid_of_every_second_request() {
    let testbed = Testbed::new(
        cluster(json!({
            "nodes": ["pve1", "pve2"],
            "clone_steps": {"appears": 1, "named": 3, "done": 5},
            "strangers_every": 1,
            "strangers_at_most": 8,
        })),
        [],
    );
    let seen = testbed.run("");
    must(&testbed, testbed.expect_ready(&seen));
    must(&testbed, testbed.expect_ensured(""));
    assert_eq!(testbed.fake.cluster().races, [2, 2, 2, 2]);
}

/// The VMID of `--vmid` is taken in each of the four ways, without and with `--ensure`: no other one is used.
#[test]
fn a_stranger_takes_the_chosen_vmid() {
    let testbed = Testbed::new(
        cluster(json!({
            "nodes": ["pve1", "pve2"],
            "clone_steps": {"appears": 1, "named": 3, "done": 5},
            "strangers_every": 1,
        })),
        [],
    );
    for ensure in ["", " --ensure"] {
        for _ in 0..4 {
            let vmid = 150 + testbed.fake.cluster().races.iter().sum::<usize>();
            let seen = testbed.run(&format!("--vmid {vmid}{ensure}"));
            let failure = must(&testbed, testbed.expect_failure(&seen));
            assert_eq!(failure.kind, "vmid_taken", "{}", testbed.account());
        }
    }
    assert_eq!(testbed.fake.cluster().races, [2, 2, 2, 2]);
    assert_eq!(testbed.fake.vms_named(NAME), [0; 0]);
}

/// A row is only a hint: the VM is not ours although its row has our name.
#[test]
fn a_row_of_a_removed_guest_of_our_name_is_not_our_vm() {
    for template in [false, true] {
        let setup = cluster(json!({
            "guests": [
                {"vmid": 101, "name": "db-1", "row": {"name": NAME, "template": template}},
                {"vmid": 9000, "name": "debian-12", "template": true},
            ],
        }));
        for words in ["", "--ensure"] {
            let testbed = Testbed::new(setup.clone(), []);
            let seen = testbed.run(words);
            let ready = must(&testbed, testbed.expect_ready(&seen));
            assert_eq!((ready.created, ready.vmid), (true, 100));
        }
    }
}

/// The VM is ours although its row has a removed guest's name or template flag.
#[test]
fn our_vm_has_the_row_of_a_removed_guest() {
    for template in [false, true] {
        let setup = cluster(json!({
            "dead_rows": {"101": {"name": "debian-12", "template": template}},
            "clone_steps": {"appears": 1, "named": 3, "done": 5},
        }));
        let lost = Fault::at_request(number_of_post(&setup), json!({"close": "lost"}));
        let testbed = Testbed::new(setup, [lost]);
        let seen = testbed.run("");
        let ready = must(&testbed, testbed.expect_ready(&seen));
        assert_eq!((ready.created, ready.vmid), (true, FIRST));
        must(&testbed, testbed.expect_ensured(""));
    }
}

/// Another user clones to the VMID whose outcome is unknown. That clone has no name until it is copied.
#[test]
fn a_stranger_clones_to_the_vmid_while_we_poll() {
    let setup = cluster(json!({
        "dead_rows": {"101": {"name": NAME}},
        "strangers_every": 2,
        "strangers_at_most": 2,
    }));
    let post = number_of_post(&setup);
    for after in 1..8 {
        // The first stranger comes with the second POST that is carried out.
        let late = json!({"status": 596, "reason": "Connection timed out", "after": after});
        let fault = Fault::at_request(post, json!({"late": late}));
        let testbed = Testbed::new(setup.clone(), [fault]);
        let seen = testbed.run("");
        must(&testbed, testbed.expect_ready(&seen));
        must(&testbed, testbed.expect_ensured(""));
    }
}

/// Another user's clone has the VMID, under its own name, and fails. Then the VMID is free for the request
/// whose answer was lost.
#[test]
fn a_stranger_s_failed_clone_frees_the_vmid() {
    let setup = cluster(json!({}));
    let late = json!({"late": {"status": 596, "reason": "Connection timed out"}});
    let post = number_of_post(&setup);
    let testbed = Testbed::new(setup, [Fault::at_request(post, late)]);
    let running = testbed.start("");
    testbed.fake.wait_for_requests(post);
    testbed.fake.cluster().add_half_made_stranger(FIRST);
    // Some polls later it still exists.
    testbed.fake.wait_for_requests(post + 10);
    testbed.fake.cluster().remove(FIRST);
    testbed.fake.wake();
    let seen = running.wait();
    let ready = must(&testbed, testbed.expect_ready(&seen));
    assert_eq!(ready.vmid, FIRST, "{}", testbed.account());
    must(&testbed, testbed.expect_ensured(""));
}

/// Another user renames a VM.
pub(super) fn give_our_name(cluster: &mut Cluster, vmid: u32) {
    let stranger = cluster.guests.get_mut(&vmid).expect("the stranger's VM");
    stranger.config["name"] = json!(NAME);
    if let Some(row) = &mut stranger.row {
        NAME.clone_into(&mut row.name);
    }
}

/// The first run is killed with its request on the way; then another user creates a VM of that name.
/// Repeating the request would create a second one.
#[test]
fn the_clone_is_not_requested_again_while_another_vm_has_the_name() {
    let setup = cluster(json!({"guests": [
        {"vmid": 150, "name": "db-1"},
        {"vmid": 9000, "name": "debian-12", "template": true},
    ]}));
    let testbed = Testbed::new(setup, [every_post_is_kept()]);
    let seen = testbed.run("--timeout 1.2");
    must(&testbed, testbed.expect_failure(&seen));
    let posts = testbed.posts();
    give_our_name(&mut testbed.fake.cluster(), 150);
    let seen = testbed.run("--ensure");
    let ready = must(&testbed, testbed.expect_ready(&seen));
    assert_eq!((ready.vmid, ready.created), (150, false));
    assert_eq!(testbed.posts(), posts, "{}", testbed.account());
}

/// It is migrated between the read of the list and that of its configuration.
#[test]
fn a_vm_that_is_migrated_meanwhile_is_found_by_its_name() {
    let setup = cluster(json!({
        "nodes": ["pve1", "pve2"],
        "guests": [
            {"vmid": FIRST, "name": NAME, "node": "pve2"},
            {"vmid": 9000, "name": "debian-12", "template": true},
        ],
    }));
    let fault = Fault::at_request(2, json!({"hang": true}));
    let testbed = Testbed::new(setup, [fault]);
    let running = testbed.start("--ensure --request-timeout 0.3");
    testbed.fake.wait_for_requests(2);
    let vm = |cluster: &mut Cluster| {
        let vm = cluster.guests.get_mut(&FIRST).expect("the VM");
        "pve1".clone_into(&mut vm.node);
    };
    vm(&mut testbed.fake.cluster());
    let seen = running.wait();
    let ready = must(&testbed, testbed.expect_ready(&seen));
    let found = (ready.vmid, ready.node.as_str(), ready.created);
    assert_eq!(found, (FIRST, "pve1", false), "{}", testbed.account());
    assert_eq!(testbed.posts(), 0, "{}", testbed.account());
}
