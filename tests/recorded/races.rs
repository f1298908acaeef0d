//! Workers that lose their VMID, in each of the ways of the real server.

use serde_json::{Value, json};

use super::client::{CLONE, get, post};
use super::states::{State, polled, template, with};
use crate::fake_pve::FakePve;

/// The UPID of a clone that was accepted.
pub(super) fn clone(fake: &FakePve, parameters: &str) -> String {
    let answer = post(fake, CLONE, parameters);
    let upid = answer.json()["data"].as_str().map(str::to_owned);
    upid.unwrap_or_else(|| panic!("{}", answer.reason))
}

/// Its exit status; `running` while it has none.
pub(super) fn exit_of(fake: &FakePve, upid: &str) -> String {
    let node = upid.split(':').nth(1).expect("UPID:node:…");
    let status = get(fake, &format!("/nodes/{node}/tasks/{upid}/status")).json();
    let fields = [&status["data"]["exitstatus"], &status["data"]["status"]];
    let first = fields.iter().find_map(|field| field.as_str());
    first.expect("a status").to_owned()
}

/// Both POSTs arrive before either worker begins.
fn two_clones_to(vmid: u32, done: u32) -> State {
    let steps = json!({"appears": 2, "named": 2, "done": done});
    let mut state = with(json!({"guests": [template()], "clone_steps": steps}));
    clone(&state.fake, &format!("newid={vmid}&name=racea&full=1"));
    let second = clone(&state.fake, &format!("newid={vmid}&name=raceb&full=1"));
    state.upid = Some(second);
    polled(polled(state))
}

pub(super) fn lost_to_a_clone() -> State {
    two_clones_to(201, 100)
}

pub(super) fn lost_to_a_complete_vm() -> State {
    two_clones_to(211, 2)
}

#[test]
fn the_first_of_two_posts_wins_and_is_not_disturbed() {
    let State { fake, .. } = lost_to_a_clone();
    fake.finish_all();
    assert_eq!(fake.vms_named("racea"), [201]);
    assert_eq!(fake.vms_named("raceb"), [0; 0]);
    assert_eq!(fake.cluster().races, [0, 1, 0, 0]);
}

#[test]
fn the_lock_of_a_free_vmid_can_be_held_temporarily() {
    let fake = with(json!({"guests": [template()], "busy_vmids": {"951": 2}})).fake;
    let ends = [(); 3].map(|()| {
        let free = get(&fake, "/cluster/nextid?vmid=951").status == 200;
        let upid = clone(&fake, "newid=951&name=web-1");
        (free, exit_of(&fake, &upid))
    });
    let busy = "can't lock file '/var/lock/qemu-server/lock-951.conf' - got timeout";
    let expected = [(true, busy), (true, busy), (true, "OK")];
    assert_eq!(ends, expected.map(|(free, exit)| (free, exit.to_owned())));
    assert_eq!(fake.cluster().races, [0; 4]);
}

#[test]
fn a_vmid_that_a_clone_owns_is_refused_at_once() {
    let steps = json!({"appears": 1, "named": 9, "done": 9});
    let fake = with(json!({"guests": [template()], "clone_steps": steps})).fake;
    clone(&fake, "newid=201&name=racea");
    let second = post(&fake, CLONE, "newid=201&name=raceb");
    let reason = "unable to create VM 201: config file already exists";
    assert_eq!((second.status, &*second.reason), (500, reason));
    assert_eq!(fake.cluster().races, [1, 0, 0, 0]);
}

#[test]
fn too_many_clones_on_a_storage_fail_and_leave_nothing() {
    let steps = json!({"appears": 0, "named": 3, "done": 7});
    let fake = with(json!({
        "guests": [template()],
        "clone_steps": steps,
        "copying_at_once": 1,
    }))
    .fake;
    let upids = [101, 102, 103].map(|vmid| clone(&fake, &format!("newid={vmid}&name=web-1")));
    let exits = upids.map(|upid| exit_of(&fake, &upid));
    assert_eq!(
        exits.each_ref().map(|exit| &**exit),
        [
            "running",
            "clone failed: can't lock file '/var/lock/pve-manager/pve-storage-data' - got timeout",
            "clone failed: cfs-lock 'storage-data' error: got lock request timeout",
        ]
    );
    let free = ["101", "102"].map(|vmid| get(&fake, &format!("/cluster/nextid?vmid={vmid}")));
    assert_eq!(free.map(|reply| reply.status), [400, 200]);
    // By now the first one is finished, so there is room again.
    let fourth = clone(&fake, "newid=102&name=web-2");
    assert_eq!(exit_of(&fake, &fourth), "running");
}

#[test]
fn the_log_of_a_clone_that_found_a_complete_vm() {
    let State { fake, upid } = lost_to_a_complete_vm();
    let upid = upid.expect("a task");
    let log = get(&fake, &format!("/nodes/pve1/tasks/{upid}/log")).json();
    let line = "TASK ERROR: unable to create VM 211: config file already exists";
    assert_eq!(log["data"], json!([{"n": 1, "t": line}]));
    assert_eq!(log["total"], Value::from(1));
}
