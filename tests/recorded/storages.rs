//! Storages of several types, and leftover volumes on them.

use rstest::rstest;
use serde_json::{Value, json};

use super::client::{CLONE, get, post};
use super::races::{clone, exit_of};
use super::states::{template, with};
use super::update::{config, set};
use crate::fake_pve::FakePve;

fn log(fake: &FakePve, upid: &str) -> Vec<String> {
    let log = get(fake, &format!("/nodes/pve1/tasks/{upid}/log")).json();
    let lines = log["data"].as_array().unwrap().iter();
    lines
        .map(|line| line["t"].as_str().unwrap().to_owned())
        .collect()
}

/// A template with drives on this storage, named as this type of storage names volumes.
fn template_on(storage: &str, kind: &str) -> Value {
    let mut template = template();
    template["config"] = if kind == "dir" {
        json!({
            "ide2": format!("{storage}:9000/vm-9000-cloudinit.qcow2,media=cdrom,size=4M"),
            "scsi0": format!("{storage}:9000/base-9000-disk-0.raw,size=2G"),
        })
    } else {
        json!({
            "ide2": format!("{storage}:vm-9000-cloudinit,media=cdrom,size=4M"),
            "scsi0": format!("{storage}:base-9000-disk-0,size=2G"),
        })
    };
    template
}

#[rstest]
#[case::dir(
    "dir",
    "store:101/vm-101-cloudinit.qcow2",
    "disk image '/srv/store/images/101/vm-101-cloudinit.qcow2' already exists"
)]
#[case::lvm(
    "lvm",
    "store:vm-101-cloudinit",
    "lvcreate 'pve/vm-101-cloudinit' error:   Logical Volume \"vm-101-cloudinit\" already exists in \
     volume group \"pve\""
)]
#[case::lvm_thin(
    "lvmthin",
    "store:vm-101-cloudinit",
    "lvcreate 'pve/vm-101-cloudinit' error:   Logical Volume \"vm-101-cloudinit\" already exists in \
     volume group \"pve\""
)]
#[case::rbd(
    "rbd",
    "store:vm-101-cloudinit",
    "rbd create 'vm-101-cloudinit' error: rbd: create error: (17) File exists"
)]
#[case::zfs(
    "zfspool",
    "store:vm-101-cloudinit",
    "zfs error: cannot create 'rpool/data/vm-101-cloudinit': dataset already exists"
)]
fn a_clone_fails_each_time_a_cloudinit_drive_is_left_over(
    #[case] kind: &str,
    #[case] leftover: &str,
    #[case] why: &str,
) {
    let fake = with(json!({
        "guests": [template_on("store", kind)],
        "storages": {"store": {"type": kind}},
        "leftovers": [leftover],
    }))
    .fake;
    let exit = format!("clone failed: {why}");
    for _ in 0..2 {
        let upid = clone(&fake, "newid=101&name=web-1&full=1");
        assert_eq!(exit_of(&fake, &upid), exit);
        let source = template_on("store", kind)["config"]["ide2"].clone();
        let source = source.as_str().unwrap().split(',').next().unwrap();
        assert_eq!(
            log(&fake, &upid),
            [
                "creating a clone of VM 9000 with ID 101".to_owned(),
                format!("create full clone of drive ide2 ({source})"),
                format!("TASK ERROR: {exit}"),
            ]
        );
        assert_eq!(get(&fake, "/cluster/nextid?vmid=101").status, 200);
    }
    let other = clone(&fake, "newid=102&name=web-1&full=1");
    assert_eq!(exit_of(&fake, &other), "OK");
}

#[test]
fn a_disk_gets_another_name_if_one_is_left_over() {
    let fake = with(json!({
        "guests": [template()],
        "leftovers": ["data:101/vm-101-disk-0.raw"],
    }))
    .fake;
    clone(&fake, "newid=101&name=web-1&full=1");
    fake.finish_all();
    assert_eq!(config(&fake)["scsi0"], "data:101/vm-101-disk-1.raw,size=2G");
    set(&fake, "scsi1=data:8");
    assert_eq!(config(&fake)["scsi1"], "data:101/vm-101-disk-2.raw,size=8G");
}

#[rstest]
#[case::dir(
    "dir",
    "store:9000/base-9000-disk-0.raw/101/vm-101-disk-0.qcow2,size=2G"
)]
#[case::lvm_thin("lvmthin", "store:vm-101-disk-0,size=2G")]
#[case::rbd("rbd", "store:base-9000-disk-0/vm-101-disk-0,size=2G")]
#[case::zfs("zfspool", "store:base-9000-disk-0/vm-101-disk-0,size=2G")]
fn a_linked_clone_is_stored_with_its_base(#[case] kind: &str, #[case] disk: &str) {
    let fake = with(json!({
        "guests": [template_on("store", kind)],
        "storages": {"store": {"type": kind}},
    }))
    .fake;
    clone(&fake, "newid=101&name=web-1&full=0");
    fake.finish_all();
    assert_eq!(config(&fake)["scsi0"], disk);
}

/// `data` is local, `ceph` is shared, `nvme` exists only on pve2.
fn refusal(drives: &Value, form: &str) -> String {
    let mut template = template();
    template["config"] = drives.clone();
    let fake = with(json!({
        "nodes": ["pve1", "pve2"],
        "guests": [template],
        "storages": {
            "ceph": {"type": "rbd", "shared": true},
            "nvme": {"type": "lvm", "nodes": ["pve2"]},
            "lvm": {"type": "lvm"},
        },
    }))
    .fake;
    post(&fake, CLONE, &format!("newid=101&name=web-1&{form}")).reason
}

#[rstest]
#[case::all_shared(json!({}), "OK")]
#[case::empty_cdrom(json!({"sata0": "none,media=cdrom"}), "OK")]
#[case::local_iso(
    json!({"sata0": "local:iso/debian.iso,media=cdrom,size=600M"}),
    "can't clone VM to node 'pve2' (VM uses local storage)"
)]
#[case::local_cloudinit(
    json!({"ide2": "data:9000/vm-9000-cloudinit.qcow2,media=cdrom"}),
    "can't clone VM to node 'pve2' (VM uses local storage)"
)]
#[case::unknown(json!({"scsi1": "gone:base-9000-disk-1"}), "storage 'gone' does not exist")]
fn a_clone_to_another_node_needs_shared_storage_for_every_drive(
    #[case] more: Value,
    #[case] reason: &str,
) {
    let mut drives = json!({
        "ide2": "ceph:vm-9000-cloudinit,media=cdrom,size=4M",
        "scsi0": "ceph:base-9000-disk-0,size=2G",
    });
    for (option, drive) in more.as_object().unwrap() {
        drives[option] = drive.clone();
    }
    assert_eq!(refusal(&drives, "full=1&target=pve2"), reason);
}

#[rstest]
#[case::not_here(
    "full=1&storage=nvme",
    "storage 'nvme' is not available on node 'pve1'"
)]
#[case::not_shared(
    "full=1&storage=data&target=pve2",
    "can't clone to non-shared storage 'data'"
)]
#[case::no_disks("full=1&storage=local", "Parameter verification failed.")]
fn a_storage_that_cannot_be_used_is_refused(#[case] form: &str, #[case] reason: &str) {
    assert_eq!(refusal(&json!({}), form), reason);
}

#[test]
fn not_every_storage_supports_linked_clones() {
    let drives = json!({"scsi0": "lvm:base-9000-disk-0,size=2G"});
    assert_eq!(
        ["full=0", "full=1"].map(|form| refusal(&drives, form)),
        [
            "Linked clone feature is not supported for 'lvm:base-9000-disk-0' (scsi0)",
            "OK",
        ]
    );
}

#[test]
fn a_full_storage_is_detected_during_the_copy() {
    let fake = with(json!({
        "guests": [template()],
        "storages": {"small": {"full": true}},
    }))
    .fake;
    let upid = clone(&fake, "newid=221&name=web-1&full=1&storage=small");
    let exit = "clone failed: copy failed: command '/usr/bin/qemu-img convert -p -n -f raw -O raw \
                /var/lib/vz/images/9000/base-9000-disk-0.raw \
                zeroinit:/mnt/small/images/221/vm-221-disk-0.raw' failed: exit code 1";
    assert_eq!(exit_of(&fake, &upid), exit);
    let log = log(&fake, &upid);
    let no_space = "qemu-img: error while writing at byte 522190848: No space left on device";
    assert_eq!(
        log[log.len() - 2..],
        [no_space.to_owned(), format!("TASK ERROR: {exit}")]
    );
    assert_eq!(get(&fake, "/cluster/nextid?vmid=221").status, 200);
}

/// Each node has its own copy of the template, on its own storage with the same name.
#[test]
fn templates_with_one_name_can_be_on_each_node() {
    let copy = |vmid: u32, node: &str| {
        json!({
            "vmid": vmid, "name": "debian-12", "template": true, "node": node,
            "config": {"scsi0": format!("data:{vmid}/base-{vmid}-disk-0.raw,size=2G")},
        })
    };
    let fake = with(json!({
        "nodes": ["pve1", "pve2"],
        "guests": [copy(9000, "pve1"), copy(9001, "pve2")],
    }))
    .fake;
    let ask = |node: &str, vmid: u32, target: &str| {
        let path = format!("/nodes/{node}/qemu/{vmid}/clone");
        post(
            &fake,
            &path,
            &format!("newid=101&name=web-1&full=1{target}"),
        )
        .reason
    };
    assert_eq!(
        [
            ask("pve1", 9000, "&target=pve2"),
            ask("pve2", 9001, "&target=pve2")
        ],
        [
            "can't clone VM to node 'pve2' (VM uses local storage)",
            "OK"
        ]
    );
}
