//! An earlier run has left its ledger, and the cluster has changed since.

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
fn ground_with_ledger(setup: Value, node: &str, more: &[&str]) -> Testbed {
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

/// With the template and the finished VM.
fn whole() -> Value {
    json!({"guests": [
        {"vmid": FIRST, "name": NAME},
        {"vmid": 9000, "name": "debian-12", "template": true},
        {"vmid": 9001, "name": "ubuntu", "template": true},
    ]})
}

/// Each attempt is a full copy of the template, so a run makes only one.
#[test]
fn a_clone_that_fails_is_requested_once_in_each_run() {
    let setup = json!({"clone_exit": [FULL, FULL, "OK"]});
    let testbed = ground_with_ledger(setup, "pve1", &[]);
    for times in 1..=2 {
        let seen = testbed.run("--ensure");
        let failure = must(&testbed, testbed.expect_failure(&seen));
        let said = "Task failed: clone failed: copy failed: exit code 1; an earlier request may \
                    still create the VM";
        assert_eq!(failure.message, said, "{}", testbed.account());
        assert_eq!(testbed.posts(), times, "{}", testbed.account());
    }
    must(&testbed, testbed.expect_ensured(""));
}

#[rstest]
#[case::the_node_has_left_the_cluster("pve9", json!({}))]
#[case::the_node_is_down("pve2", json!({"nodes": ["pve1", "pve2"], "offline": ["pve2"]}))]
fn a_vm_that_was_migrated_is_found(#[case] node: &str, #[case] nodes: Value) {
    for more in [
        &[][..],
        &[UPID],
        &[UPID, CREATED],
        &[UPID, CREATED, FINISHED],
    ] {
        let mut setup = whole();
        for (key, value) in nodes.as_object().unwrap() {
            setup[key] = value.clone();
        }
        let testbed = ground_with_ledger(setup, node, more);
        let ready = must(&testbed, testbed.expect_ensured(""));
        let seen = (ready.vmid, ready.node.as_str(), testbed.posts());
        assert_eq!(seen, (FIRST, "pve1", 0), "{}", testbed.account());
    }
}

/// The template was rebuilt under another VMID, as in a nightly build. Only a person can know that the old
/// request has ended.
#[rstest]
fn a_clone_of_a_template_that_was_rebuilt_is_not_reported_as_one_of_the_new_template(
    #[values(true, false)] vm_exists: bool,
) {
    let mut guests = vec![json!({"vmid": 9001, "name": "debian-12", "template": true})];
    if vm_exists {
        guests.push(json!({"vmid": FIRST, "name": NAME}));
    }
    let testbed = ground_with_ledger(json!({"guests": guests}), "pve1", &[]);
    let seen = testbed.run("--ensure");
    let failure = must(&testbed, testbed.expect_failure(&seen));
    let told = (failure.kind.as_str(), failure.vmid, testbed.posts());
    assert_eq!(
        told,
        ("in_progress", Some(FIRST), 0),
        "{}",
        testbed.account()
    );
    fs::remove_file(format!("{}/{NAME}.jsonl", testbed.state.path())).unwrap();
    let ready = must(&testbed, testbed.expect_ensured(""));
    assert_eq!(ready.created, !vm_exists, "{}", testbed.account());
}

/// Neither the recorded template nor another one of that name exists.
#[test]
fn a_vm_of_a_removed_template_is_found() {
    let setup = json!({"guests": [{"vmid": FIRST, "name": NAME}]});
    let testbed = ground_with_ledger(setup, "pve1", &[]);
    let ready = must(&testbed, testbed.expect_ensured(""));
    assert_eq!((ready.vmid, ready.created), (FIRST, true));
}

#[rstest]
#[case::another_vmid("debian-12", "--vmid 150", "in_progress")]
#[case::another_template("ubuntu", "", "in_progress")]
#[case::no_template("nosuch", "", "template_not_found")]
fn a_vm_that_was_not_reported_does_not_satisfy_another_order(
    #[case] template: &str,
    #[case] words: &str,
    #[case] kind: &str,
    #[values(false, true)] is_created: bool,
) {
    let more = if is_created {
        &[UPID, CREATED][..]
    } else {
        &[]
    };
    let testbed = ground_with_ledger(whole(), "pve1", more);
    let seen = testbed.run_from(template, words);
    let said = testbed.account();
    assert_eq!(seen.exit, Some(1), "{said}");
    let beginning = format!(r#"{{"error":{{"kind":"{kind}","#);
    assert!(seen.stdout.starts_with(&beginning), "{said}");
    let ready = must(&testbed, testbed.expect_ensured(""));
    assert_eq!((ready.vmid, testbed.posts()), (FIRST, 0), "{said}");
}

/// The node went down while the first disk was copied, so the VM has no name.
#[test]
fn an_unfinished_vm_without_a_name_is_not_used() {
    let setup = json!({"guests": [
        {"vmid": FIRST, "lock": "clone", "row": "nameless"},
        {"vmid": 9000, "name": "debian-12", "template": true},
    ]});
    let testbed = ground_with_ledger(setup, "pve1", &[]);
    let seen = testbed.run("--ensure --timeout 1.2");
    let failure = must(&testbed, testbed.expect_failure(&seen));
    let told = (failure.kind.as_str(), failure.vmid, testbed.posts());
    assert_eq!(told, ("half_made", Some(FIRST), 0), "{}", testbed.account());
}

/// The outcome of the clone is unknown until the list is read.
#[test]
fn a_run_that_ends_early_keeps_the_record_of_the_one_before() {
    let setup = json!({"faults": [{"on": "GET /cluster/resources", "hang": true}]});
    let testbed = ground_with_ledger(setup, "pve1", &[]);
    let told = |seen| {
        let failure = must(&testbed, testbed.expect_failure(&seen));
        (failure.started, failure.vmid)
    };
    let unknown = ("unknown".to_owned(), Some(FIRST));
    assert_eq!(told(testbed.run("--ensure --timeout 0.5")), unknown);
    let running = testbed.start("--ensure");
    testbed.fake.wait_for_requests(2);
    running.signal(Signal::TERM);
    assert_eq!(told(running.wait()), unknown);
}

/// The second run can lock and read the ledger, but not write it.
#[test]
fn a_ledger_is_read_on_a_full_disk_too() {
    for words in ["", "--ensure"] {
        let setup = json!({"clone_steps": {"appears": 0, "named": 20, "done": 40}});
        let testbed = Testbed::new(cluster(setup), [every_post_is_kept()]);
        let seen = testbed.run("--timeout 1.2");
        must(&testbed, testbed.expect_failure(&seen));
        testbed.fake.wake();
        let full = testbed.state.record(NAME).len() as u64;
        let seen = testbed.start_on_full_disk(full, words).wait();
        testbed.remember("cannot write", &seen);
        let ready = must(&testbed, testbed.expect_ready(&seen));
        assert_eq!(ready.vmid, FIRST, "{}", testbed.account());
        must(&testbed, testbed.expect_ensured(""));
    }
}

/// Its UPID cannot be polled any more. The VM is complete, on another node.
#[rstest]
#[case::has_left_the_cluster("pve9", json!({}))]
#[case::is_down("pve2", json!({"nodes": ["pve1", "pve2"], "offline": ["pve2"]}))]
fn a_task_of_a_removed_node_is_not_awaited(#[case] node: &str, #[case] nodes: Value) {
    let mut setup = whole();
    for (key, value) in nodes.as_object().unwrap() {
        setup[key] = value.clone();
    }
    let upid = UPID.replace("UPID:pve1", &format!("UPID:{node}"));
    let testbed = ground_with_ledger(setup, node, &[&upid]);
    let ready = must(&testbed, testbed.expect_ensured(""));
    assert_eq!(
        (ready.vmid, ready.created, testbed.posts()),
        (FIRST, true, 0)
    );
}

/// The recorded VMID belongs to another guest, and a new one could not be recorded.
#[test]
fn no_clone_is_requested_that_cannot_be_recorded() {
    let setup = json!({"guests": [
        {"vmid": FIRST, "name": "db-1"},
        {"vmid": 9000, "name": "debian-12", "template": true},
    ]});
    let testbed = ground_with_ledger(setup, "pve1", &[]);
    let full = testbed.state.record(NAME).len() as u64;
    let seen = testbed.start_on_full_disk(full, "--ensure").wait();
    testbed.remember("cannot write", &seen);
    must(&testbed, testbed.expect_failure(&seen));
    assert_eq!(testbed.posts(), 0, "{}", testbed.account());
    must(&testbed, testbed.expect_ensured(""));
}

/// Requests fail because the VMID is taken, but each check finds it free.
#[test]
fn a_request_for_a_chosen_vmid_is_repeated_with_pauses() {
    let taken = "can't lock file '/var/lock/qemu-server/lock-{newid}.conf' - got timeout";
    let testbed = Testbed::new(cluster(json!({"clone_exit": taken})), []);
    let seen = testbed.run("--ensure --vmid 150 --timeout 1.2 --poll-interval 1");
    assert_eq!(seen.exit, Some(1), "{}", testbed.account());
    assert!(testbed.posts() <= 4, "{}", testbed.account());
}

/// If a template is destroyed and rebuilt under its VMID, an old request can be carried out again.
#[test]
fn a_template_that_is_missing_for_some_time_leads_to_no_second_vm() {
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
