//! Other users act between two requests of a run.

use rstest::rstest;
use serde_json::{Value, json};

use super::strangers::give_our_name;
use super::{FIRST, cluster, must, number_of_post};
use crate::chaos::testbed::{NAME, Testbed};
use crate::fake_pve::{Cluster, Fault};

const SET_UP: &str = "--set cores=4 --resize scsi0=32G --start";

/// Runs a command while another user acts during request number `request`; returns its JSON document too.
fn meanwhile(arguments: &str, request: usize, act: impl FnOnce(&mut Cluster)) -> (Testbed, Value) {
    let fault = Fault::at_request(request, json!({"hang": true}));
    let testbed = Testbed::new(cluster(json!({})), [fault]);
    let running = testbed.start(&format!("--request-timeout 0.3 {arguments}"));
    testbed.fake.wait_for_requests(request);
    drop(testbed.fake.take_journal());
    act(&mut testbed.fake.cluster());
    let seen = running.wait();
    testbed.remember(arguments, &seen);
    let document = serde_json::from_str(&seen.stdout).expect("one document");
    (testbed, document)
}

fn changes(testbed: &Testbed) -> Vec<String> {
    let mut changes = testbed.fake.journal();
    changes.retain(|line| !line.starts_with("GET "));
    changes
}

/// Asserts how the run reports its VM after that.
#[track_caller]
fn assert_reported(testbed: &Testbed, report: &Value, state: &str, started: &str) {
    let message = format!("VM {FIRST} '{NAME}' was created on node 'pve1', but {state}");
    let error = &report["error"];
    let seen = (&error["message"], &error["started"]);
    let expected = (&json!(message), &json!(started));
    assert_eq!(seen, expected, "{}", testbed.details());
}

/// The requests after the clone's POST are: its status, the configuration, PUT, the configuration, PUT
/// resize, its status, the configuration, the VM's status, POST start.
#[rstest]
#[case::before_it_is_enlarged(4)]
#[case::before_it_is_started(7)]
fn a_vm_of_another_user_at_the_same_vmid_is_not_changed(
    #[case] after_post: usize,
    #[values("db-1", NAME)] name: &str,
) {
    let request = number_of_post(&cluster(json!({}))) + after_post;
    let (testbed, report) = meanwhile(SET_UP, request, |cluster| {
        cluster.remove(FIRST);
        cluster.add_stranger(FIRST, 0, name, false, false);
    });
    let state = format!(
        "it was deleted, and its VMID now belongs to VM {FIRST} '{name}' on node 'pve1', which \
         was not changed"
    );
    assert_reported(&testbed, &report, &state, "no");
    assert_eq!(changes(&testbed), [""; 0], "{}", testbed.details());
}

/// It still exists, so it is not reported as gone.
#[test]
fn a_vm_that_was_renamed_during_a_run_is_not_changed() {
    let request = number_of_post(&cluster(json!({}))) + 4;
    let (testbed, report) = meanwhile(SET_UP, request, |cluster| {
        cluster.guests.get_mut(&FIRST).expect("the VM").config["name"] = json!("db-1");
    });
    let state = "it was renamed to 'db-1', so nothing more was changed";
    assert_reported(&testbed, &report, state, "yes");
    assert_eq!(changes(&testbed), [""; 0], "{}", testbed.details());
}

#[test]
fn a_vm_that_was_destroyed_during_a_run_is_reported_as_gone_and_then_created_again() {
    let request = number_of_post(&cluster(json!({}))) + 4;
    let (testbed, report) = meanwhile(SET_UP, request, |cluster| {
        cluster.remove(FIRST);
    });
    assert_reported(&testbed, &report, "it was deleted", "no");
    assert!(must(&testbed, testbed.expect_ensured(SET_UP)).created);
}

#[test]
fn a_vm_that_moves_during_a_run_is_followed_to_its_node() {
    let nodes = json!({"nodes": ["pve1", "pve2"]});
    let request = number_of_post(&cluster(nodes.clone())) + 4;
    let fault = Fault::at_request(request, json!({"hang": true}));
    let testbed = Testbed::new(cluster(nodes), [fault]);
    let running = testbed.start(&format!("{SET_UP} --request-timeout 0.3"));
    testbed.fake.wait_for_requests(request);
    assert!(testbed.fake.cluster().move_as_stranger(FIRST));
    let ready = must(&testbed, testbed.expect_ready(&running.wait()));
    assert_eq!(ready.node, "pve2");
    assert_eq!(testbed.fake.cluster().guests[&FIRST].status, "running");
}

/// The template was locked by a backup at the first clone request.
#[rstest]
#[case::without_ensure("", "already_exists", None)]
#[case::with_ensure("--ensure", "", Some(150))]
fn a_clone_that_waited_for_a_lock_is_not_requested_again_once_the_name_is_taken(
    #[case] arguments: &str,
    #[case] kind: &str,
    #[case] found: Option<u32>,
) {
    let post = number_of_post(&cluster(json!({})));
    let reason = "VM is locked (backup)";
    let body = json!({"data": null, "message": format!("{reason}\n")}).to_string();
    let locked = json!({"answer": {"status": 500, "reason": reason, "body": body}});
    let faults = [
        Fault::at_request(post, locked),
        Fault::at_request(post + 1, json!({"hang": true})),
    ];
    let setup = cluster(json!({"guests": [
        {"vmid": 150, "name": "db-1"},
        {"vmid": 9000, "name": "debian-12", "template": true},
    ]}));
    let testbed = Testbed::new(setup, faults);
    let running = testbed.start(&format!("--request-timeout 0.3 {arguments}"));
    testbed.fake.wait_for_requests(post + 1);
    give_our_name(&mut testbed.fake.cluster(), 150);
    let seen = running.wait();
    testbed.remember(arguments, &seen);
    let report: Value = serde_json::from_str(&seen.stdout).expect("one document");
    assert_eq!(report["error"]["kind"].as_str().unwrap_or_default(), kind);
    assert_eq!(
        report["vmid"].as_u64(),
        found.map(u64::from),
        "{}",
        testbed.details()
    );
    assert_eq!(testbed.posts(), 1, "{}", testbed.details());
}
