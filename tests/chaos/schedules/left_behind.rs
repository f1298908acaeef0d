//! An earlier run has left a record on disk, and the cluster has changed since.

use std::fs;

use rstest::rstest;
use serde_json::{Value, json};

use super::{FIRST, cluster, every_post_is_kept, must, number_of_post};
use crate::chaos::testbed::{NAME, Testbed};
use crate::fake_pve::Fault;
use crate::homelab::Signal;

const UPID: &str = r#"{"upid":"UPID:pve1:00000009:0000005A:6B000009:qmclone:9000:root@pam!cli:"}"#;
const CREATED: &str = r#"{"created":101}"#;
const FINISHED: &str = r#"{"finished":101}"#;
const FULL: &str = "clone failed: copy failed: exit code 1";

/// A testbed where a run has requested VM 101 on `node`, and then recorded `more`.
fn testbed_with_record(setup: Value, node: &str, more: &[&str]) -> Testbed {
    let testbed = Testbed::new(cluster(setup), []);
    let host = testbed.fake.address();
    let run = r#"{"run":{"process":4711,"time":1795420071}}"#;
    let intent = json!({"intent": {
        "vmid": FIRST, "node": node, "template": 9000, "mode": "full", "hosts": [host.to_string()],
    }});
    let lines = format!("{run}\n{intent}\n{}", more.join("\n"));
    let path = format!("{}/{NAME}.jsonl", testbed.state.path());
    fs::write(path, lines.trim_end().to_owned() + "\n").unwrap();
    testbed
}

/// With the template, and the finished VM.
fn complete() -> Value {
    json!({"guests": [
        {"vmid": FIRST, "name": NAME},
        {"vmid": 9000, "name": "debian-12", "template": true},
        {"vmid": 9001, "name": "ubuntu", "template": true},
    ]})
}

/// Each attempt is a full copy of the template, so a run makes one and reports its result.
#[test]
fn a_clone_that_fails_is_requested_once_per_run() {
    let setup = json!({"clone_exit": [FULL, FULL, "OK"]});
    let testbed = testbed_with_record(setup, "pve1", &[]);
    for times in 1..=2 {
        let seen = testbed.run("--ensure");
        let failure = must(&testbed, testbed.expect_failure(&seen));
        let said = "Task failed: clone failed: copy failed: exit code 1; an earlier request may \
                    still create the VM";
        assert_eq!(failure.message, said, "{}", testbed.details());
        assert_eq!(testbed.posts(), times, "{}", testbed.details());
    }
    must(&testbed, testbed.expect_ensured(""));
}

#[rstest]
#[case::the_node_has_left_the_cluster("pve9", json!({}))]
#[case::the_node_is_down("pve2", json!({"nodes": ["pve1", "pve2"], "offline": ["pve2"]}))]
fn a_vm_that_was_moved_is_found_on_its_new_node(#[case] node: &str, #[case] nodes: Value) {
    for more in [
        &[][..],
        &[UPID],
        &[UPID, CREATED],
        &[UPID, CREATED, FINISHED],
    ] {
        let mut setup = complete();
        for (key, value) in nodes.as_object().unwrap() {
            setup[key] = value.clone();
        }
        let testbed = testbed_with_record(setup, node, more);
        let ready = must(&testbed, testbed.expect_ensured(""));
        let seen = (ready.vmid, ready.node.as_str(), testbed.posts());
        assert_eq!(seen, (FIRST, "pve1", 0), "{}", testbed.details());
    }
}

/// The template was rebuilt under another VMID, as happens every night. Only a person can know that the old
/// request is over.
#[rstest]
fn a_clone_of_a_template_that_was_rebuilt_is_not_reported_as_one_of_the_new_template(
    #[values(true, false)] exists: bool,
) {
    let mut guests = vec![json!({"vmid": 9001, "name": "debian-12", "template": true})];
    if exists {
        guests.push(json!({"vmid": FIRST, "name": NAME}));
    }
    let testbed = testbed_with_record(json!({"guests": guests}), "pve1", &[]);
    let seen = testbed.run("--ensure");
    let failure = must(&testbed, testbed.expect_failure(&seen));
    let reported = (failure.kind.as_str(), failure.vmid, testbed.posts());
    assert_eq!(
        reported,
        ("in_progress", Some(FIRST), 0),
        "{}",
        testbed.details()
    );
    fs::remove_file(format!("{}/{NAME}.jsonl", testbed.state.path())).unwrap();
    let ready = must(&testbed, testbed.expect_ensured(""));
    assert_eq!(ready.created, !exists, "{}", testbed.details());
}

/// Neither the recorded template nor one with that name exists.
#[test]
fn a_vm_of_a_deleted_template_is_found() {
    let setup = json!({"guests": [{"vmid": FIRST, "name": NAME}]});
    let testbed = testbed_with_record(setup, "pve1", &[]);
    let ready = must(&testbed, testbed.expect_ensured(""));
    assert_eq!((ready.vmid, ready.created), (FIRST, true));
}

#[rstest]
#[case::another_vmid("debian-12", "--vmid 150", "in_progress")]
#[case::another_template("ubuntu", "", "in_progress")]
#[case::no_template("nosuch", "", "template_not_found")]
fn a_recorded_vm_is_not_reported_for_a_different_request(
    #[case] template: &str,
    #[case] arguments: &str,
    #[case] kind: &str,
    #[values(false, true)] is_created: bool,
) {
    let more = if is_created {
        &[UPID, CREATED][..]
    } else {
        &[]
    };
    let testbed = testbed_with_record(complete(), "pve1", more);
    let seen = testbed.run_from(template, arguments);
    let details = testbed.details();
    assert_eq!(seen.exit, Some(1), "{details}");
    let beginning = format!(r#"{{"error":{{"kind":"{kind}","#);
    assert!(seen.stdout.starts_with(&beginning), "{details}");
    let ready = must(&testbed, testbed.expect_ensured(""));
    assert_eq!((ready.vmid, testbed.posts()), (FIRST, 0), "{details}");
}

/// The node went down while the first disk was copied, so the VM has no name to identify it.
#[test]
fn a_nameless_vm_of_a_failed_clone_is_incomplete() {
    let setup = json!({"guests": [
        {"vmid": FIRST, "lock": "clone", "row": "nameless"},
        {"vmid": 9000, "name": "debian-12", "template": true},
    ]});
    let testbed = testbed_with_record(setup, "pve1", &[]);
    let seen = testbed.run("--ensure --timeout 1.2");
    let failure = must(&testbed, testbed.expect_failure(&seen));
    let reported = (failure.kind.as_str(), failure.vmid, testbed.posts());
    assert_eq!(
        reported,
        ("half_made", Some(FIRST), 0),
        "{}",
        testbed.details()
    );
}

/// Before the list was read, the state of the VM is unknown.
#[test]
fn a_run_that_ends_early_keeps_the_record_of_the_one_before() {
    let setup = json!({"faults": [{"on": "GET /cluster/resources", "hang": true}]});
    let testbed = testbed_with_record(setup, "pve1", &[]);
    let reported = |seen| {
        let failure = must(&testbed, testbed.expect_failure(&seen));
        (failure.started, failure.vmid)
    };
    let unknown = ("unknown".to_owned(), Some(FIRST));
    assert_eq!(reported(testbed.run("--ensure --timeout 0.5")), unknown);
    let running = testbed.start("--ensure");
    testbed.fake.wait_for_requests(2);
    running.signal(Signal::TERM);
    assert_eq!(reported(running.wait()), unknown);
}

/// The second run can lock and read the record, but not write.
#[test]
fn a_record_is_obeyed_on_a_full_disk_too() {
    for arguments in ["", "--ensure"] {
        let setup = json!({"clone_steps": {"appears": 0, "named": 20, "done": 40}});
        let testbed = Testbed::new(cluster(setup), [every_post_is_kept()]);
        let seen = testbed.run("--timeout 1.2");
        must(&testbed, testbed.expect_failure(&seen));
        testbed.fake.wake();
        let full = testbed.state.record(NAME).len() as u64;
        let seen = testbed.start_on_full_disk(full, arguments).wait();
        testbed.remember("cannot write", &seen);
        let ready = must(&testbed, testbed.expect_ready(&seen));
        assert_eq!(ready.vmid, FIRST, "{}", testbed.details());
        must(&testbed, testbed.expect_ensured(""));
    }
}

/// Its UPID can no longer be queried. The VM is complete, on another node.
#[rstest]
#[case::has_left_the_cluster("pve9", json!({}))]
#[case::is_down("pve2", json!({"nodes": ["pve1", "pve2"], "offline": ["pve2"]}))]
fn a_task_on_a_node_that_is_gone_is_not_waited_for(#[case] node: &str, #[case] nodes: Value) {
    let mut setup = complete();
    for (key, value) in nodes.as_object().unwrap() {
        setup[key] = value.clone();
    }
    let upid = UPID.replace("UPID:pve1", &format!("UPID:{node}"));
    let testbed = testbed_with_record(setup, node, &[&upid]);
    let ready = must(&testbed, testbed.expect_ensured(""));
    assert_eq!(
        (ready.vmid, ready.created, testbed.posts()),
        (FIRST, true, 0)
    );
}

/// The requested VMID belongs to another guest, and no event about a new one could be recorded.
#[test]
fn nothing_is_requested_without_a_record() {
    let setup = json!({"guests": [
        {"vmid": FIRST, "name": "db-1"},
        {"vmid": 9000, "name": "debian-12", "template": true},
    ]});
    let testbed = testbed_with_record(setup, "pve1", &[]);
    let full = testbed.state.record(NAME).len() as u64;
    let seen = testbed.start_on_full_disk(full, "--ensure").wait();
    testbed.remember("cannot write", &seen);
    must(&testbed, testbed.expect_failure(&seen));
    assert_eq!(testbed.posts(), 0, "{}", testbed.details());
    must(&testbed, testbed.expect_ensured(""));
}

/// The server reports the VMID as taken on each request, and as free on each check.
#[test]
fn requests_for_a_chosen_vmid_pause_in_between() {
    let taken = "can't lock file '/var/lock/qemu-server/lock-{newid}.conf' - got timeout";
    let testbed = Testbed::new(cluster(json!({"clone_exit": taken})), []);
    let seen = testbed.run("--ensure --vmid 150 --timeout 1.2 --poll-interval 1");
    assert_eq!(seen.exit, Some(1), "{}", testbed.details());
    assert!(testbed.posts() <= 4, "{}", testbed.details());
}

/// A template that is destroyed and rebuilt under its VMID makes an old request valid again.
#[test]
fn a_template_that_is_temporarily_gone_causes_no_second_vm() {
    for after in (1..30).step_by(3) {
        let setup = cluster(json!({"clone_steps": {"appears": 0, "named": 20, "done": 40}}));
        let post = number_of_post(&setup);
        let late = json!({"status": 596, "reason": "Connection timed out", "after": after});
        let testbed = Testbed::new(setup, [Fault::at_request(post, json!({"late": late}))]);
        let running = testbed.start("--ensure");
        testbed.fake.wait_for_requests(post);
        testbed.remember("killed", &running.kill());
        let template = testbed.fake.cluster().guests.remove(&9000).unwrap();
        testbed.run("--ensure");
        testbed.fake.cluster().guests.insert(9000, template);
        must(&testbed, testbed.expect_ensured(""));
        testbed.fake.wake();
        must(&testbed, testbed.expect_ensured(""));
    }
}
