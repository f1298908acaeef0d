//! VMs that are converted to templates.

use rstest::rstest;
use serde_json::{Value, json};

use super::check_answer;
use super::client::{get, post};
use super::import::{asked, ended, imported, vm_400};
use super::races::exit_of;
use super::states::{State, guests_of, with};
use crate::fake_pve::{Deed, Did, FakePve, TOKEN};

fn converted() -> State {
    ended(asked("template-ok", vm_400()))
}

/// Its row is the one from before.
fn converted_beside_many() -> State {
    let state = with(json!({
        "nodes": ["pve1", "pve2"], "guests": guests_of("resources-right-after-template"),
    }));
    ended(asked("template-ok", state))
}

fn cloned() -> State {
    ended(asked("clone-linked-of-imported-template", converted()))
}

#[rstest]
#[case::convert("template-ok", imported)]
#[case::converted("template-ok-status", converted)]
#[case::log("template-ok-log", converted)]
#[case::config("config-after-template", converted)]
#[case::rows("resources-right-after-template", converted_beside_many)]
#[case::clone("clone-linked-of-imported-template", converted)]
#[case::config_of_a_clone("config-linked-clone-of-imported-template", cloned)]
fn a_vm_is_converted_as_recorded(#[case] name: &str, #[case] state: fn() -> State) {
    check_answer(name, &state());
}

const TEMPLATE: &str = "/nodes/pve1/qemu/101/template";

fn with_vm(config: &Value) -> FakePve {
    let storages = json!({
        "thin": {"type": "lvmthin"}, "thick": {"type": "lvm"}, "pool": {"type": "zfspool"},
    });
    let vm = json!({"vmid": 101, "name": "debian-13", "config": config});
    with(json!({"guests": [vm], "storages": storages})).fake
}

/// The UPID of a conversion that was accepted.
fn convert(fake: &FakePve, form: &str) -> String {
    let answer = post(fake, TEMPLATE, form);
    let upid = answer.json()["data"].as_str().map(str::to_owned);
    upid.unwrap_or_else(|| panic!("{}", answer.reason))
}

fn config(fake: &FakePve) -> Value {
    get(fake, "/nodes/pve1/qemu/101/config").json()["data"].take()
}

#[test]
fn the_disks_become_bases_where_linked_clones_are_possible() {
    let fake = with_vm(&json!({
        "scsi0": "data:101/vm-101-disk-0.qcow2,discard=on,size=3G",
        "scsi1": "data:9000/base-9000-disk-0.raw/101/vm-101-disk-1.qcow2,size=2G",
        "virtio0": "thin:vm-101-disk-0,size=2G",
        "virtio1": "thick:vm-101-disk-0,size=2G",
        "virtio2": "pool:base-9000-disk-0/vm-101-disk-0,size=2G",
        "unused0": "data:101/vm-101-disk-7.raw",
    }));
    let mut expected = config(&fake);
    assert_eq!(exit_of(&fake, &convert(&fake, "")), "OK");
    for (option, value) in [
        ("template", json!(1)),
        (
            "scsi0",
            json!("data:101/base-101-disk-0.qcow2,discard=on,size=3G"),
        ),
        (
            "scsi1",
            json!("data:9000/base-9000-disk-0.raw/101/base-101-disk-1.qcow2,size=2G"),
        ),
        ("virtio0", json!("thin:base-101-disk-0,size=2G")),
        (
            "virtio2",
            json!("pool:base-9000-disk-0/base-101-disk-0,size=2G"),
        ),
    ] {
        expected[option] = value;
    }
    let converted = config(&fake);
    assert_ne!(converted["digest"], expected["digest"]);
    expected["digest"] = converted["digest"].clone();
    assert_eq!(converted, expected);
}

#[test]
fn a_single_disk_can_be_converted_even_of_a_template() {
    let disks = json!({
        "scsi0": "data:101/vm-101-disk-0.raw,size=2G", "scsi1": "data:101/vm-101-disk-1.raw,size=2G",
    });
    let fake = with_vm(&disks);
    let convert = |disk: &str| {
        convert(&fake, &format!("disk={disk}"));
        let config = config(&fake);
        ["scsi0", "scsi1"].map(|disk| config[disk].as_str().unwrap().to_owned())
    };
    let disk = |kind, number| format!("data:101/{kind}-101-disk-{number}.raw,size=2G");
    assert_eq!(convert("scsi1"), [disk("vm", 0), disk("base", 1)]);
    assert_eq!(convert("scsi0"), [disk("base", 0), disk("base", 1)]);
}

#[test]
fn what_was_converted_is_recorded() {
    let fake = with_vm(&json!({}));
    convert(&fake, "");
    let cluster = fake.cluster();
    let deed = Deed {
        at: 1,
        owner: TOKEN.to_owned(),
        vm: (101, 0),
        name: Some("debian-13".to_owned()),
        uuid: cluster.guests[&101].uuid().map(str::to_owned),
        did: Did::Convert,
    };
    assert_eq!(cluster.deeds, [deed]);
}
