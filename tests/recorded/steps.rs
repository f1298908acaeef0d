//! Clones that advance by themselves, and the remains of those that fail.

use rstest::rstest;
use serde_json::{Value, json};

use super::client::{CLONE, get, post};
use super::races::{clone, exit_of};
use super::states::{template, template_and, with};
use crate::fake_pve::FakePve;

/// The state of VM 101: whether its VMID is free, its name, its lock, whether it has a disk.
fn state_of_101(fake: &FakePve) -> Value {
    let free = get(fake, "/cluster/nextid?vmid=101").status == 200;
    let cluster = fake.cluster();
    let config = cluster.guests.get(&101).map(|vm| &vm.config);
    let option = |name| config.and_then(|config| config.get(name));
    json!([
        free,
        option("name"),
        option("lock"),
        option("scsi0").is_some()
    ])
}

#[test]
fn a_clone_advances_with_every_request() {
    let steps = json!({"appears": 2, "named": 4, "done": 6});
    let fake = template_and("clone_steps", steps).fake;
    clone(&fake, "newid=101&name=web-1");
    let seen = [(); 6].map(|()| state_of_101(&fake));
    assert_eq!(
        seen,
        [
            json!([true, null, null, false]),
            json!([false, null, "clone", false]),
            json!([false, null, "clone", false]),
            json!([false, "web-1", "clone", false]),
            json!([false, "web-1", "clone", false]),
            json!([false, "web-1", null, true]),
        ]
    );
}

#[test]
fn a_clone_without_a_name_yet_is_listed_by_its_vmid() {
    let steps = json!({"appears": 0, "named": 9, "done": 9});
    let fake = template_and("clone_steps", steps).fake;
    clone(&fake, "newid=101&name=web-1");
    let vms = get(&fake, "/nodes/pve1/qemu").json();
    let rows = get(&fake, "/cluster/resources?type=vm").json();
    assert_eq!(vms["data"][0]["name"], "VM 101");
    assert_eq!(
        (&rows["data"][0]["name"], &rows["data"][0]["lock"]),
        (&Value::Null, &json!("clone"))
    );
}

#[test]
fn polls_do_not_advance_such_a_clone_further() {
    let steps = json!({"appears": 0, "named": 0, "done": 3});
    let fake = template_and("clone_steps", steps).fake;
    let upid = clone(&fake, "newid=101&name=web-1");
    let seen = [(); 3].map(|()| exit_of(&fake, &upid));
    assert_eq!(seen, ["running", "running", "OK"]);
}

#[rstest]
#[case::worker_killed("unexpected status", "unexpected status")]
#[case::quorum_lost(
    "clone failed: unable to open file '/etc/pve/nodes/pve1/qemu-server/{newid}.conf.tmp.1' - \
     Permission denied",
    "clone failed: unable to open file '/etc/pve/nodes/pve1/qemu-server/101.conf.tmp.1' - \
     Permission denied"
)]
fn the_incomplete_vm_of_a_failed_clone_remains(#[case] scripted: &str, #[case] exit: &str) {
    let steps = json!({"appears": 0, "named": 1, "done": 1});
    let fake = with(json!({
        "guests": [template()],
        "clone_steps": steps,
        "clone_exit": scripted,
    }))
    .fake;
    let upid = clone(&fake, "newid=101&name=web-1");
    assert_eq!(exit_of(&fake, &upid), exit);
    assert_eq!(state_of_101(&fake), json!([false, "web-1", "clone", false]));
    assert_eq!(fake.vms_named("web-1"), [101]);
}

#[test]
fn a_new_guest_gets_the_row_of_the_deleted_one_before_it() {
    let fake = with(json!({
        "guests": [template()],
        "dead_rows": {"101": {"name": "old-one"}},
    }))
    .fake;
    let name =
        |fake: &FakePve| get(fake, "/cluster/resources?type=vm").json()["data"][0]["name"].clone();
    let before = name(&fake);
    clone(&fake, "newid=101&name=web-1");
    let row = name(&fake);
    fake.finish_all();
    // The node reads the configurations.
    let vms = get(&fake, "/nodes/pve1/qemu").json();
    assert_eq!(vms["data"][0]["name"], "web-1");
    fake.cluster().remove(101);
    clone(&fake, "newid=101&name=web-2");
    assert_eq!(
        [before, row, name(&fake)],
        ["debian-12", "old-one", "old-one"]
    );
}

#[test]
fn finish_all_finishes_everything() {
    let fake = with(json!({
        "guests": [template()],
        "clone_steps": {"appears": 100, "named": 100, "done": 100},
        "faults": [{"request": 2, "late": {"status": 596, "reason": "Connection timed out"}}],
    }))
    .fake;
    let running = clone(&fake, "newid=101&name=web-1");
    post(&fake, CLONE, "newid=102&name=web-2");
    fake.finish_all();
    assert_eq!(exit_of(&fake, &running), "OK");
    assert_eq!(
        (fake.vms_named("web-1"), fake.vms_named("web-2")),
        (vec![101], vec![102])
    );
}
