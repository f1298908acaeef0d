//! Other users ("strangers") take our VMID, or leave a deleted guest's row there.

use serde_json::json;

use super::{FIRST, cluster, every_post_is_kept, must, number_of_post};
use crate::chaos::testbed::{NAME, Testbed};
use crate::fake_pve::{Cluster, Fault};

/// The answer to the first POST is lost. By the time it is executed, a stranger has the VMID.
#[test]
fn a_stranger_takes_the_vmid_before_the_lost_request_is_executed() {
    let setup = |strangers: u32| {
        cluster(json!({
            "clone_steps": {"appears": 1, "named": 3, "done": 5},
            "strangers_every": 1,
            "strangers_at_most": strangers,
        }))
    };
    let post = number_of_post(&setup(0));
    // Further strangers take the VMIDs that are requested next, each in another way.
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

/// A stranger takes the VMID after the first run has given up.
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
fn a_stranger_wins_every_other_request() {
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

/// The only acceptable VMID is lost in each of the four ways, first without and then with `--ensure`; no
/// other VMID is used.
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
            assert_eq!(failure.kind, "vmid_taken", "{}", testbed.details());
        }
    }
    assert_eq!(testbed.fake.cluster().races, [2, 2, 2, 2]);
    assert_eq!(testbed.fake.vms_named(NAME), [0; 0]);
}

/// A row is only a hint: the VM is not ours although its row says so.
#[test]
fn a_row_of_a_deleted_guest_with_our_name_is_not_our_vm() {
    for template in [false, true] {
        let setup = cluster(json!({
            "guests": [
                {"vmid": 101, "name": "db-1", "row": {"name": NAME, "template": template}},
                {"vmid": 9000, "name": "debian-12", "template": true},
            ],
        }));
        for arguments in ["", "--ensure"] {
            let testbed = Testbed::new(setup.clone(), []);
            let seen = testbed.run(arguments);
            let ready = must(&testbed, testbed.expect_ready(&seen));
            assert_eq!((ready.created, ready.vmid), (true, 100));
        }
    }
}

/// The opposite case: the VM is ours, but its row has a deleted guest's name or its template flag.
#[test]
fn our_vm_is_found_despite_the_row_of_a_deleted_guest() {
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

/// A stranger clones to the VMID of our lost request; its VM has no name while it copies.
#[test]
fn a_stranger_clones_to_the_vmid_while_we_poll() {
    let setup = cluster(json!({
        "dead_rows": {"101": {"name": NAME}},
        "strangers_every": 2,
        "strangers_at_most": 2,
    }));
    let post = number_of_post(&setup);
    for after in 1..8 {
        // The first stranger comes with the second POST that is executed.
        let late = json!({"status": 596, "reason": "Connection timed out", "after": after});
        let fault = Fault::at_request(post, json!({"late": late}));
        let testbed = Testbed::new(setup.clone(), [fault]);
        let seen = testbed.run("");
        must(&testbed, testbed.expect_ready(&seen));
        must(&testbed, testbed.expect_ensured(""));
    }
}

/// A stranger's clone has the VMID, under its own name, and fails. Then the VMID is free for the request
/// whose answer was lost.
#[test]
fn a_stranger_whose_clone_fails_gives_the_vmid_back() {
    let setup = cluster(json!({}));
    let late = json!({"late": {"status": 596, "reason": "Connection timed out"}});
    let post = number_of_post(&setup);
    let testbed = Testbed::new(setup, [Fault::at_request(post, late)]);
    let running = testbed.start("");
    testbed.fake.wait_for_requests(post);
    testbed.fake.cluster().add_half_made_stranger(FIRST);
    // It still exists some polls later.
    testbed.fake.wait_for_requests(post + 10);
    testbed.fake.cluster().remove(FIRST);
    testbed.fake.wake();
    let seen = running.wait();
    let ready = must(&testbed, testbed.expect_ready(&seen));
    assert_eq!(ready.vmid, FIRST, "{}", testbed.details());
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

/// The first run is killed during its clone request; then somebody else creates a VM with that name.
/// Another request would create a second one.
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
    assert_eq!(testbed.posts(), posts, "{}", testbed.details());
}

/// It moves from one node to the other after the list was read and before its configuration is.
#[test]
fn a_vm_that_moves_during_a_run_is_found_by_its_name() {
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
    assert_eq!(found, (FIRST, "pve1", false), "{}", testbed.details());
    assert_eq!(testbed.posts(), 0, "{}", testbed.details());
}
