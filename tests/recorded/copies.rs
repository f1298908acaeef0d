//! What a clone copies from its template, and where it is stored.

use rstest::rstest;
use serde_json::{Value, json};

use super::acl::clone as clone_as_cloner;
use super::client::{CLONE, get, post};
use super::races::{clone, exit_of};
use super::rights::{CLONER, read, vmids};
use super::states::{template, with};
use super::update::config;
use crate::fake_pve::FakePve;

fn with_template(config: &Value) -> FakePve {
    let mut template = template();
    template["config"] = config.clone();
    let storages = json!({"fast": {"type": "zfspool"}});
    with(json!({"guests": [template], "storages": storages})).fake
}

fn cloned(fake: &FakePve, form: &str) -> Value {
    let upid = clone(fake, &format!("newid=101&name=web-1&{form}"));
    assert_eq!(exit_of(fake, &upid), "OK");
    config(fake)
}

#[test]
fn a_clone_has_the_options_of_its_template_but_its_own_identity() {
    let fake = with_template(&json!({
        "agent": null, "ide2": null, "cores": 4, "memory": "8192", "tags": "golden",
        "net1": "e1000=02:00:00:00:00:01,bridge=vmbr1", "unused0": "data:9000/x.raw",
        "description": "the golden one", "smbios1": "uuid=7064D0B2,manufacturer=QUNNRQ==,base64=1",
        "meta": "creation-qemu=8.1.5,ctime=1700000000",
    }));
    let template = get(&fake, "/nodes/pve1/qemu/9000/config").json()["data"].take();
    let copy = cloned(&fake, "full=1");
    let same = [
        "agent",
        "ide2",
        "cores",
        "memory",
        "tags",
        "boot",
        "vga",
        "meta",
        "description",
    ];
    for option in same {
        assert_eq!(copy[option], template[option], "{option}");
    }
    for option in ["digest", "smbios1", "vmgenid", "net0"] {
        assert_ne!(copy[option], template[option], "{option}");
    }
    assert_eq!(
        ["smbios1", "net1", "unused0", "template", "lock"].map(|option| copy[option].clone()),
        [
            json!("uuid=00000065-3eb0-4ed2-a0c8-4d404bd9d787,manufacturer=QUNNRQ==,base64=1"),
            json!("e1000=BC:24:11:10:00:65,bridge=vmbr1"),
            Value::Null,
            Value::Null,
            Value::Null,
        ]
    );
}

#[rstest]
#[case::full("full=1", ["data:101/vm-101-disk-0.raw", "fast:vm-101-disk-0", "data:101/vm-101-cloudinit.qcow2"])]
#[case::full_elsewhere("full=1&storage=small", ["small:101/vm-101-disk-0.raw", "small:101/vm-101-disk-1.raw", "small:101/vm-101-cloudinit.qcow2"])]
#[case::full_in_another_format("full=1&storage=small&format=qcow2", ["small:101/vm-101-disk-0.qcow2", "small:101/vm-101-disk-1.qcow2", "small:101/vm-101-cloudinit.qcow2"])]
#[case::linked("full=0", ["data:9000/base-9000-disk-0.raw/101/vm-101-disk-0.qcow2", "fast:base-9000-disk-0/vm-101-disk-0", "data:101/vm-101-cloudinit.qcow2"])]
#[case::linked_by_default("", ["data:9000/base-9000-disk-0.raw/101/vm-101-disk-0.qcow2", "fast:base-9000-disk-0/vm-101-disk-0", "data:101/vm-101-cloudinit.qcow2"])]
fn disks_are_on_the_requested_storage(#[case] form: &str, #[case] files: [&str; 3]) {
    let fake = with_template(&json!({
        "scsi0": "data:9000/base-9000-disk-0.raw,discard=on,size=3G",
        "virtio1": "fast:base-9000-disk-0,size=32G",
        "sata0": "local:iso/debian.iso,media=cdrom,size=600M",
    }));
    let config = cloned(&fake, form);
    let [first, second, cloudinit] = files;
    assert_eq!(
        ["scsi0", "virtio1", "ide2", "sata0"].map(|option| config[option].clone()),
        [
            json!(format!("{first},discard=on,size=3G")),
            json!(format!("{second},size=32G")),
            json!(format!("{cloudinit},media=cdrom,size=4M")),
            json!("local:iso/debian.iso,media=cdrom,size=600M"),
        ]
    );
}

/// Not even the token that may do everything.
#[rstest]
#[case::pci(
    json!({"hostpci0": "0000:01:00,pcie=1"}),
    "only root can set 'hostpci0' config for non-mapped devices"
)]
#[case::usb(json!({"usb0": "host=046d:c52b"}), "only root can set 'usb0' config for real devices")]
#[case::mapped(json!({"hostpci0": "mapping=gpu,pcie=1", "usb0": "mapping=stick"}), "OK")]
#[case::spice(json!({"usb0": "spice,usb3=1"}), "OK")]
#[case::arguments(json!({"args": "-s", "cicustom": "user=local:snippets/x.yaml"}), "OK")]
fn no_token_may_clone_a_raw_device_of_the_host(#[case] config: Value, #[case] reason: &str) {
    let fake = with_template(&config);
    let answer = post(&fake, CLONE, "newid=101&name=web-1");
    assert_eq!(answer.reason, reason);
    assert_eq!(answer.status == 500, reason != "OK");
    fake.finish_all();
    if reason == "OK" {
        let copy = super::update::config(&fake);
        for (option, value) in config.as_object().unwrap() {
            assert_eq!(copy[option], *value);
        }
    }
}

#[test]
fn a_clone_needs_a_privilege_for_each_mapped_device() {
    let mut acl = super::acl::enough();
    let clone = |acl: &Value| {
        let fake = super::acl::may(acl);
        let mut cluster = fake.cluster();
        let template = cluster.guests.get_mut(&9000).unwrap();
        template
            .config
            .insert("hostpci0".to_owned(), json!("mapping=gpu"));
        drop(cluster);
        clone_as_cloner(&fake, "newid=101").reason
    };
    let before = clone(&acl);
    acl["/mapping/pci/gpu"] = json!(["Mapping.Use"]);
    let refusal = "Permission check failed (/mapping/pci/gpu, Mapping.Use)";
    assert_eq!([before, clone(&acl)], [refusal, "OK"]);
}

#[test]
fn a_clone_differs_from_the_one_that_had_its_vmid_before() {
    let fake = with_template(&json!({}));
    let first = cloned(&fake, "full=1");
    fake.cluster().remove(101);
    let second = cloned(&fake, "full=1");
    for option in ["digest", "smbios1", "vmgenid", "net0"] {
        assert_ne!(first[option], second[option], "{option}");
    }
}

#[test]
fn a_clone_has_no_generation_if_its_template_has_none() {
    let copy = cloned(
        &with_template(&json!({"vmgenid": null, "smbios1": null})),
        "full=1",
    );
    assert_eq!(copy["vmgenid"], Value::Null);
    assert_eq!(copy["smbios1"], "uuid=00000065-3eb0-4ed2-a0c8-4d404bd9d787");
}

#[test]
fn each_write_of_a_running_clone_changes_the_digest() {
    let fake = with(json!({
        "guests": [template()],
        "clone_steps": {"appears": 0, "named": 2, "done": 3},
    }))
    .fake;
    clone(&fake, "newid=101&name=web-1");
    let digests = [(); 3].map(|()| config(&fake)["digest"].as_str().unwrap().to_owned());
    assert!(
        digests[0] != digests[1] && digests[1] != digests[2],
        "{digests:?}"
    );
}

#[test]
fn a_description_may_be_given() {
    let fake = with_template(&json!({}));
    let config = cloned(&fake, "full=1&description=made+today%0A");
    assert_eq!(config["description"], "made today");
}

#[test]
fn a_vm_is_in_its_pool_once_it_is_finished() {
    let pool = ["Pool.Audit", "VM.Allocate", "VM.Audit", "VM.Config.CPU"];
    let fake = with(json!({
        "guests": [template()],
        "tokens": {CLONER: {
            "/vms/9000": ["VM.Audit", "VM.Clone"],
            "/pool/clients": pool,
            "/storage": ["Datastore.AllocateSpace"],
            "/sdn": ["SDN.Use"],
        }},
    }))
    .fake;
    let list = |fake: &FakePve| read(fake, CLONER, "/cluster/resources?type=vm");
    assert_eq!(clone_as_cloner(&fake, "newid=101&pool=clients").status, 200);
    assert_eq!(vmids(&list(&fake)), [9000]);
    fake.finish_all();
    assert_eq!(vmids(&list(&fake)), [101, 9000]);
    assert_eq!(list(&fake).json()["data"][0]["pool"], "clients");
    let granted = read(&fake, CLONER, "/access/permissions?path=/vms/101").json();
    let granted = granted["data"]["/vms/101"].as_object().unwrap();
    assert_eq!(granted.keys().collect::<Vec<_>>(), pool);
}

#[test]
fn a_vm_on_shared_storage_moves_once_it_is_finished() {
    let fake = with(json!({
        "nodes": ["pve1", "pve2"],
        "guests": [template()],
        "shared_storage": true,
        "clone_polls": 1,
    }))
    .fake;
    let upid = clone(&fake, "newid=101&name=web-1&full=1&target=pve2");
    let node = |fake: &FakePve| fake.cluster().guests[&101].node.clone();
    let seen = [(); 2].map(|()| (exit_of(&fake, &upid), node(&fake)));
    let expected = [("running", "pve1"), ("OK", "pve2")];
    assert_eq!(
        seen,
        expected.map(|(exit, node)| (exit.to_owned(), node.to_owned()))
    );
}

#[test]
fn a_vm_that_has_moved_is_not_found_immediately_on_its_new_node() {
    let fake = with(json!({
        "nodes": ["pve1", "pve2"],
        "guests": [template()],
        "shared_storage": true,
        "arrival_polls": 2,
    }))
    .fake;
    let upid = clone(&fake, "newid=101&name=web-1&full=1&target=pve2");
    assert_eq!(exit_of(&fake, &upid), "OK");
    let rows = get(&fake, "/cluster/resources?type=vm").json();
    assert_eq!(rows["data"][0]["node"], "pve2");
    assert_eq!(get(&fake, "/cluster/nextid?vmid=101").status, 400);
    let at = |node: &str| get(&fake, &format!("/nodes/{node}/qemu/101/config")).reason;
    let missing =
        |node| format!("Configuration file 'nodes/{node}/qemu-server/101.conf' does not exist");
    let seen = ["pve1", "pve2", "pve2", "pve2"].map(at);
    let expected = [
        missing("pve1"),
        missing("pve2"),
        missing("pve2"),
        "OK".to_owned(),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn shared_storage_does_not_make_an_unknown_node_valid() {
    let fake = with(json!({"guests": [template()], "shared_storage": true})).fake;
    let answer = post(&fake, CLONE, "newid=101&target=pve9");
    assert_eq!(answer.reason, "no such cluster node 'pve9'");
}
