//! Strangers take a VMID just before us, in each of the four ways.

use rstest::rstest;
use serde_json::{Value, json};

use super::client::{CLONE, get, post};
use super::races::exit_of;
use super::states::{template, with};
use crate::fake_pve::FakePve;

/// The outcome of a clone to this VMID: the reason of the refusal, or the exit status of the task.
fn end_of_clone(fake: &FakePve, vmid: u32) -> String {
    let answer = post(fake, CLONE, &format!("newid={vmid}&name=web-1"));
    let upid = answer.json()["data"].as_str().map(str::to_owned);
    let Some(upid) = upid else {
        return answer.reason;
    };
    while exit_of(fake, &upid) == "running" {}
    exit_of(fake, &upid)
}

#[rstest]
#[case::at_once(Value::Null)]
#[case::slowly(json!({"appears": 2, "named": 3, "done": 4}))]
fn every_second_post_loses_in_one_of_four_ways(#[case] steps: Value) {
    let fake = with(json!({
        "nodes": ["pve1", "pve2"],
        "guests": [template()],
        "clone_steps": steps,
        "strangers_every": 2,
    }))
    .fake;
    let ends: Vec<_> = (101..109).map(|vmid| end_of_clone(&fake, vmid)).collect();
    assert_eq!(
        ends,
        [
            "OK",
            "unable to create VM 102: config file already exists",
            "OK",
            "can't lock file '/var/lock/qemu-server/lock-104.conf' - got timeout",
            "OK",
            "unable to create VM 106: config file already exists",
            "OK",
            "close (rename) atomic file '/etc/pve/nodes/pve1/qemu-server/108.conf' failed: \
             File exists",
        ]
    );
    assert_eq!(fake.cluster().races, [1, 1, 1, 1]);
    let strangers = (1..=4).map(|number| fake.vms_named(&format!("stranger-{number}")));
    let strangers: Vec<_> = strangers.collect();
    // The fourth one is a container.
    assert_eq!(strangers, [vec![102], vec![104], vec![106], vec![]]);
    assert_eq!(fake.cluster().guests[&108].node, "pve2");
}

#[test]
fn the_clone_of_a_stranger_finishes_some_requests_later() {
    let fake = with(json!({"guests": [template()], "strangers_every": 1})).fake;
    end_of_clone(&fake, 101);
    end_of_clone(&fake, 102);
    let lock = |fake: &FakePve| fake.cluster().guests[&102].lock().map(str::to_owned);
    assert_eq!(lock(&fake).as_deref(), Some("clone"));
    for _ in 0..10 {
        get(&fake, "/version");
    }
    assert_eq!(lock(&fake), None);
}

#[test]
fn the_number_of_strangers_can_be_limited() {
    let fake = with(json!({
        "guests": [template()],
        "strangers_every": 1,
        "strangers_at_most": 1,
    }))
    .fake;
    end_of_clone(&fake, 101);
    assert_eq!(end_of_clone(&fake, 102), "OK");
}

#[test]
fn a_vmid_that_is_already_taken_gets_no_stranger() {
    let fake = with(json!({
        "guests": [template(), {"vmid": 101, "name": "db-1"}],
        "strangers_every": 1,
    }))
    .fake;
    end_of_clone(&fake, 101);
    assert_eq!(fake.vms_named("db-1"), [101]);
    assert_eq!(fake.vms_named("stranger-1"), [0; 0]);
}
