//! What other users do between two requests, as planned in a story.

use serde_json::{Value, json};

use super::client::{delete, get, post, put};
use super::races::{clone, exit_of};
use super::rights::vmids;
use super::states::{template, with};
use super::update::CONFIG;
use crate::fake_pve::{Did, FakePve};

fn fake(others: &Value) -> FakePve {
    with(json!({
        "nodes": ["pve1", "pve2"],
        "guests": [{"vmid": 101, "name": "web-1"}],
        "others": others,
    }))
    .fake
}

fn uuid(fake: &FakePve) -> Value {
    get(fake, CONFIG).json()["data"]["smbios1"].take()
}

#[test]
fn a_vm_is_replaced_right_before_a_request() {
    let replace = json!({"replace": {"vmid": 101, "name": "db-1", "status": "running"}});
    let fake =
        fake(&json!([{"before": "GET /nodes/pve1/qemu/101/config", "nth": 2, "do": replace}]));
    let before = uuid(&fake);
    get(&fake, "/version");
    assert_eq!(fake.vms_named("web-1"), [101]);
    assert_ne!(uuid(&fake), before);
    assert_eq!(fake.vms_named("db-1"), [101]);
    let row = get(&fake, "/cluster/resources?type=vm").json()["data"][0].take();
    assert_eq!(row["name"], "web-1");
    assert_eq!(fake.cluster().deeds, []);
}

#[test]
fn the_vm_of_a_stranger_is_destroyed_if_a_request_asks_for_its_vmid() {
    let replace = json!({"replace": {"vmid": 101, "name": "db-1"}});
    let fake = fake(&json!([{"before": "DELETE", "do": replace}]));
    let ours = fake.cluster().guests[&101].stamp();
    delete(&fake, "/nodes/pve1/qemu/101");
    let cluster = fake.cluster();
    let deed = &cluster.deeds[0];
    assert!(matches!(deed.did, Did::Destroy(_)));
    assert_eq!((ours, deed.vm), ((101, 0), (101, 1)));
}

#[test]
fn the_quorum_is_lost_and_found_at_certain_requests() {
    let fake = fake(&json!([
        {"request": 2, "do": {"quorum": false}},
        {"request": 3, "do": {"quorum": true}},
    ]));
    let statuses = [(); 3].map(|()| put(&fake, CONFIG, "tags=a").status);
    assert_eq!(statuses, [200, 500, 200]);
}

#[test]
fn other_users_do_all_kinds_of_things() {
    let fake = fake(&json!([
        {"request": 2, "do": {"create": {"vmid": 102, "name": "db-1"}}},
        {"request": 3, "do": {"start": 102}},
        {"request": 4, "do": {"pause": 102}},
        {"request": 5, "do": {"power_off": 102}},
        {"request": 6, "do": {"lock": {"vmid": 102, "lock": "backup"}}},
        {"request": 7, "do": {"unlock": 102}},
        {"request": 8, "do": {"rename": {"vmid": 102, "name": "db-2"}}},
        {"request": 9, "do": {"destroy": 102}},
    ]));
    let seen = (0..9).map(|_| {
        let data = get(&fake, "/nodes/pve1/qemu/102/status/current").json()["data"].take();
        let fields =
            ["qmpstatus", "lock", "name"].map(|field| data[field].as_str().map(str::to_owned));
        fields.into_iter().flatten().collect::<Vec<_>>().join(" ")
    });
    let expected = [
        "",
        "stopped db-1",
        "running db-1",
        "paused db-1",
        "stopped db-1",
        "stopped backup db-1",
        "stopped db-1",
        "stopped db-2",
        "",
    ];
    assert_eq!(seen.collect::<Vec<_>>(), expected);
}

#[test]
fn a_vm_moves_and_its_node_is_lost() {
    let fake = fake(&json!([
        {"request": 2, "do": {"move": {"vmid": 101, "node": "pve2"}}},
        {"request": 3, "do": {"lose": "pve2"}},
        {"request": 4, "do": {"reach": "pve2"}},
    ]));
    let statuses = [(); 4].map(|()| get(&fake, "/nodes/pve2/qemu/101/config").status);
    assert_eq!(statuses, [500, 200, 595, 200]);
}

#[test]
fn tasks_that_hold_a_lock_end_before_other_users_act() {
    let fake = with(json!({
        "guests": [template(), {"vmid": 101, "status": "running"}],
        "task_polls": 9,
        "clone_polls": 9,
        "others": [{"before": "GET /version", "do": {"create": {"vmid": 102, "status": "running"}}},
            {"before": "GET /version", "do": {"replace": {"vmid": 101}}},
            {"before": "GET /version", "do": {"destroy": 103}}],
    }))
    .fake;
    let copied = clone(&fake, "newid=103");
    let stops = ["101", "102"].map(|vmid| {
        let path = format!("/nodes/pve1/qemu/{vmid}/status/stop");
        post(&fake, &path, "").json()["data"].take()
    });
    get(&fake, "/version");
    let missing = "unable to find configuration file for VM 102 on node 'pve1'";
    let exits = stops.map(|upid| exit_of(&fake, upid.as_str().unwrap()));
    assert_eq!(exits, ["OK", missing]);
    assert_eq!(exit_of(&fake, &copied), "OK");
    assert_eq!(
        vmids(&get(&fake, "/cluster/resources?type=vm")),
        [101, 102, 9000]
    );
    let stopped: Vec<_> = fake.cluster().deeds.iter().map(|deed| deed.vm).collect();
    assert_eq!(stopped, [(101, 0)]);
}
