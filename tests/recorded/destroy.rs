//! Destroying VMs: what is refused at once, what only the task refuses, and what remains.

use rstest::rstest;
use serde_json::{Value, json};

use super::client::{delete, get, post, put};
use super::races::{clone, exit_of};
use super::rights::{CLONER, ask};
use super::states::{State, cloning, template, with};
use crate::fake_pve::{Deed, Did, FakePve};

const VM: &str = "/nodes/pve1/qemu/101";

pub(super) fn vm_101() -> State {
    with(json!({
        "nodes": ["pve1", "pve2"],
        "guests": [{"vmid": 101, "name": "del-ok"}],
        "tokens": {"homelab@pve!sep": "none"},
    }))
}

/// Sends the DELETE, and polls its task until it ends.
fn destroy(mut state: State, vmid: u32, query: &str) -> State {
    let answer = delete(&state.fake, &format!("/nodes/pve1/qemu/{vmid}{query}"));
    let upid = answer.json()["data"].as_str().map(str::to_owned);
    let upid = upid.unwrap_or_else(|| panic!("{}", answer.reason));
    while exit_of(&state.fake, &upid) == "running" {}
    state.upid = Some(upid);
    state
}

pub(super) fn destroyed() -> State {
    destroy(vm_101(), 101, "?purge=1&destroy-unreferenced-disks=1")
}

pub(super) fn destroying() -> State {
    let state = with(json!({
        "guests": [{
            "vmid": 101, "name": "del-ok",
            "config": {"memory": "128", "meta": "creation-qemu=10.0.2,ctime=1796033748"},
        }],
        "task_polls": 9,
    }));
    assert_eq!(delete(&state.fake, VM).status, 200);
    state
}

pub(super) fn protected() -> State {
    with(json!({"guests": [{"vmid": 102, "config": {"protection": 1}}]}))
}

pub(super) fn destroyed_under_ha() -> State {
    destroy(super::power::under_ha(), 109, "?purge=1")
}

pub(super) fn locked() -> State {
    with(json!({"guests": [{"vmid": 103, "lock": "backup"}]}))
}

pub(super) fn destroy_of_a_locked_vm() -> State {
    destroy(locked(), 103, "?purge=1")
}

fn linked_clone(kind: &str) -> State {
    let state = with(json!({
        "guests": [{
            "vmid": 9000, "template": true,
            "config": {"scsi0": "local:9000/base-9000-disk-0.raw,size=64M", "ide2": null},
        }],
        "storages": {"local": {"type": kind}},
    }));
    let upid = clone(&state.fake, "newid=101&name=web-1");
    assert_eq!(exit_of(&state.fake, &upid), "OK");
    state
}

pub(super) fn destroy_of_a_base() -> State {
    destroy(linked_clone("dir"), 9000, "?purge=1")
}

/// Both requests arrive before either worker has ended.
pub(super) fn destroyed_twice() -> State {
    let state = with(json!({"guests": [{"vmid": 107}], "task_polls": 9}));
    delete(&state.fake, "/nodes/pve1/qemu/107?purge=1");
    destroy(state, 107, "?purge=1")
}

pub(super) fn started_before() -> State {
    let state = with(json!({"guests": [{"vmid": 460}], "task_polls": 9}));
    post(&state.fake, "/nodes/pve1/qemu/460/status/start", "");
    destroy(state, 460, "?purge=1")
}

pub(super) fn destroyed_after_its_clone() -> State {
    let story = json!({"guests": [template()], "clone_polls": 2});
    destroy(cloning(story, "pve1", "newid=120"), 120, "?purge=1")
}

pub(super) fn source_destroyed() -> State {
    let state = with(json!({"guests": [{"vmid": 112}], "clone_polls": 2}));
    let clone = post(&state.fake, "/nodes/pve1/qemu/112/clone", "newid=120").json();
    let upid = clone["data"].as_str().expect("a UPID");
    let state = destroy(state, 112, "?purge=1");
    assert_eq!(exit_of(&state.fake, upid), "OK");
    state
}

pub(super) fn long_clone() -> State {
    let story = json!({"guests": [template()], "clone_polls": 9, "lock_polls": 2});
    destroy(cloning(story, "pve1", "newid=432"), 432, "?purge=1")
}

pub(super) fn cloned_while_destroying() -> State {
    let mut state = with(json!({"guests": [{"vmid": 470, "template": true}], "task_polls": 9}));
    delete(&state.fake, "/nodes/pve1/qemu/470?purge=1");
    let clone = post(&state.fake, "/nodes/pve1/qemu/470/clone", "newid=471").json();
    state.upid = clone["data"].as_str().map(str::to_owned);
    state
}

fn vm_442_on(volume: &str, storages: &Value) -> State {
    let config = json!({"scsi0": format!("{volume},size=64M")});
    with(json!({"guests": [{"vmid": 442, "config": config}], "storages": storages}))
}

pub(super) fn storage_disabled() -> State {
    let storages = json!({"other": {"disabled": true}});
    destroy(
        vm_442_on("other:442/vm-442-disk-0.raw", &storages),
        442,
        "?purge=1&destroy-unreferenced-disks=1",
    )
}

pub(super) fn storage_removed() -> State {
    let state = vm_442_on("other:442/vm-442-disk-1.raw", &json!({}));
    destroy(state, 442, "?purge=1")
}

pub(super) fn vm_432_without_quorum() -> State {
    with(json!({
        "guests": [{
            "vmid": 432, "name": "long-clone",
            "config": {
                "boot": "order=scsi0;ide2",
                "ide2": "local:432/vm-432-cloudinit.qcow2,media=cdrom,size=4M",
                "memory": "128",
                "meta": "creation-qemu=10.0.2,ctime=1796033748",
                "scsi0": "local:432/vm-432-disk-0.raw,discard=on,size=64M",
            },
        }],
        "storages": {"local": {}},
        "no_quorum": true,
    }))
}

pub(super) fn half_destroyed() -> State {
    destroy(vm_432_without_quorum(), 432, "?purge=1")
}

fn half_destroyed_with_quorum_again() -> State {
    let state = half_destroyed();
    state.fake.cluster().setup.no_quorum = false;
    state
}

pub(super) fn half_started() -> State {
    let mut state = half_destroyed_with_quorum_again();
    let start = post(&state.fake, "/nodes/pve1/qemu/432/status/start", "").json();
    state.upid = start["data"].as_str().map(str::to_owned);
    state
}

/// The start has made the cloud-init drive again.
pub(super) fn destroyed_at_last() -> State {
    destroy(half_started(), 432, "?purge=1")
}

pub(super) fn vm_423_in_a_pool() -> State {
    with(json!({
        "guests": [{"vmid": 423, "pool": "lab"}],
        "tokens": {"homelab@pve!sep": {"/pool/lab": ["VM.Allocate"]}},
    }))
}

pub(super) fn without_purge() -> State {
    destroy(with(json!({"guests": [{"vmid": 450}]})), 450, "")
}

/// The exit status of the destroy of VM 101.
fn end_of(state: &State) -> String {
    exit_of(&state.fake, state.upid.as_deref().expect("a task"))
}

fn volumes(fake: &FakePve) -> Vec<String> {
    fake.cluster().setup.leftovers.clone()
}

#[rstest]
#[case::default("", &["data:105/vm-105-disk-7.qcow2", "off:vm-105-disk-8", "data:106/vm-106-disk-7.raw"])]
#[case::unreferenced(
    "?destroy-unreferenced-disks=1",
    &["off:vm-105-disk-8", "data:106/vm-106-disk-7.raw"]
)]
fn disks_without_a_configuration_stay_unless_requested(#[case] query: &str, #[case] left: &[&str]) {
    let leftovers = [
        "data:105/vm-105-disk-7.qcow2",
        "off:vm-105-disk-8",
        "data:106/vm-106-disk-7.raw",
    ];
    let state = with(json!({
        "guests": [{"vmid": 105}],
        "storages": {"off": {"type": "rbd", "disabled": true}},
        "leftovers": leftovers,
    }));
    let state = destroy(state, 105, query);
    assert_eq!(
        (end_of(&state), volumes(&state.fake)),
        (
            "OK".to_owned(),
            left.iter().map(|&it| it.to_owned()).collect()
        )
    );
}

#[test]
fn a_disk_that_cannot_be_removed_stays_and_is_found_by_the_next_vm() {
    let State { fake, .. } = storage_disabled();
    let disk = "other:442/vm-442-disk-0.raw";
    assert_eq!(volumes(&fake), [disk]);
    let mut cluster = fake.cluster();
    assert!(cluster.add_stranger(442, 0, "next", false, false));
    cluster.setup.storages.clear();
    drop(cluster);
    put(&fake, "/nodes/pve1/qemu/442/config", "scsi1=data:1");
    assert_eq!(volumes(&fake), [disk]);
}

#[test]
fn without_quorum_the_disks_are_removed_and_the_vm_remains() {
    let State { fake, .. } = half_destroyed();
    let cluster = fake.cluster();
    let removed = [
        "local:432/vm-432-cloudinit.qcow2",
        "local:432/vm-432-disk-0.raw",
    ];
    let removed = removed.map(str::to_owned).to_vec();
    let deed = Deed {
        at: 1,
        owner: "root@pam!cli".to_owned(),
        vm: (432, 0),
        name: Some("long-clone".to_owned()),
        uuid: cluster.guests[&432].uuid().map(str::to_owned),
        did: Did::RemoveDisks(removed),
    };
    assert_eq!(cluster.deeds, [deed]);
    assert_eq!(cluster.guests[&432].lock(), None);
}

#[test]
fn a_vm_is_gone_with_its_row_its_pool_and_the_privileges_on_it() {
    let tokens = json!({CLONER: {
        "/vms": ["VM.Audit"],
        "/vms/101": ["VM.Allocate", "VM.PowerMgmt"],
        "/pool/lab": ["Pool.Audit"],
    }});
    let guests = json!([{"vmid": 101, "pool": "lab"}, {"vmid": 102}]);
    let fake = with(json!({"guests": guests, "tokens": tokens})).fake;
    let deed = || fake.cluster().deeds.last().map(|deed| deed.did.clone());
    assert_eq!(deed(), None);
    assert_eq!(ask(&fake, CLONER, "DELETE", VM, "").status, 200);
    let rows = get(&fake, "/cluster/resources?type=vm").json()["data"].take();
    let rows = rows
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["vmid"].clone());
    assert_eq!(rows.collect::<Vec<_>>(), [102]);
    let disks = [
        "data:101/vm-101-cloudinit.qcow2",
        "data:101/vm-101-disk-0.raw",
    ];
    assert_eq!(
        deed(),
        Some(Did::Destroy(disks.map(str::to_owned).to_vec()))
    );
    let again = ask(&fake, CLONER, "DELETE", VM, "");
    assert_eq!(
        again.reason,
        "Permission check failed (/vms/101, VM.Allocate)"
    );
}

#[test]
fn a_storage_that_does_not_record_bases_lets_a_template_go() {
    let state = destroy(linked_clone("lvmthin"), 9000, "");
    assert_eq!(end_of(&state), "OK");
    assert!(state.fake.cluster().guests.contains_key(&101));
}

#[test]
fn a_worker_that_dies_near_the_end_leaves_a_lock_and_nothing_else() {
    let state = with(json!({
        "guests": [{"vmid": 101, "name": "web-1"}],
        "destroy_exit": ["unexpected status", "OK"],
    }));
    let state = destroy(state, 101, "");
    assert_eq!(end_of(&state), "unexpected status");
    let config = get(&state.fake, "/nodes/pve1/qemu/101/config").json()["data"].take();
    let keys: Vec<_> = config.as_object().unwrap().keys().cloned().collect();
    assert_eq!(
        (keys, &config["lock"]),
        (
            vec!["digest".to_owned(), "lock".to_owned()],
            &json!("destroyed")
        )
    );
    assert_eq!(end_of(&destroy(state, 101, "")), "VM is locked (destroyed)");
}

#[test]
fn whichever_vm_has_the_vmid_when_the_lock_is_free_is_destroyed() {
    let state = cloning(
        json!({"guests": [template()], "clone_polls": 1}),
        "pve1",
        "newid=101",
    );
    let first = delete(&state.fake, VM).json()["data"].take();
    let mut cluster = state.fake.cluster();
    cluster.delete_as_stranger(101);
    cluster.add_stranger(101, 0, "db-1", false, false);
    drop(cluster);
    assert_eq!(exit_of(&state.fake, first.as_str().unwrap()), "OK");
    assert_eq!(
        state.fake.cluster().deeds.last().map(|deed| deed.vm),
        Some((101, 1))
    );
}

#[test]
fn a_clone_ends_while_a_destroy_waits_for_it() {
    let steps = json!({"appears": 0, "named": 1, "done": 4});
    let story = json!({"guests": [template()], "clone_steps": steps});
    let state = destroy(cloning(story, "pve1", "newid=101&name=web-1"), 101, "");
    assert_eq!(end_of(&state), "OK");
    assert!(!state.fake.cluster().guests.contains_key(&101));
}
