//! A check fails if and only if creating a VM without further options fails.

use rstest::rstest;
use serde_json::{Value, json};

use super::support::{CHECK, all_but, at, cluster, fake};
use crate::homelab::StateDir;

/// A token with all privileges but this one.
fn lacking(path: &str, privilege: &str) -> Value {
    cluster(&all_but(Some((path, privilege))))
}

/// A cluster whose template has one more option.
fn with_option(option: &str, value: &str) -> Value {
    let mut setup = cluster(&all_but(None));
    setup["guests"][1]["config"] = json!({option: value});
    setup
}

/// A cluster of three nodes with these differences.
fn with(more: &[(&str, Value)]) -> Value {
    let mut setup = cluster(&all_but(None));
    setup["nodes"] = json!(["pve1", "pve2", "pve3"]);
    for (name, value) in more {
        setup[*name] = value.clone();
    }
    setup
}

fn with_guest_on(node: &str, offline: &str) -> Value {
    let mut setup = with(&[("offline", json!([offline]))]);
    let guests = setup["guests"].as_array_mut().unwrap();
    guests.push(json!({"vmid": 200, "name": "db-1", "node": node}));
    setup
}

#[rstest]
#[case::nothing_is_missing(cluster(&all_but(None)), 0)]
#[case::vm_clone(lacking("/vms/9000", "VM.Clone"), 1)]
#[case::template_not_seen(lacking("/vms/9000", "VM.Audit"), 1)]
#[case::vm_allocate(lacking("/vms", "VM.Allocate"), 1)]
#[case::new_vm_not_seen(lacking("/vms", "VM.Audit"), 0)]
#[case::privilege_of_a_later_step(lacking("/vms", "VM.Config.Disk"), 0)]
#[case::storage(lacking("/storage/data", "Datastore.AllocateSpace"), 1)]
#[case::bridge(lacking("/sdn/zones/localnetwork", "SDN.Use"), 1)]
#[case::no_privileges(cluster(&json!("none")), 1)]
#[case::all_nodes_online(with(&[]), 0)]
#[case::a_node_offline(with(&[("offline", json!(["pve2"]))]), 0)]
#[case::a_node_with_a_guest_offline(with_guest_on("pve2", "pve2"), 1)]
#[case::another_node_with_a_guest_offline(with_guest_on("pve2", "pve3"), 0)]
#[case::no_quorum(with(&[("offline", json!(["pve2", "pve3"])), ("no_quorum", json!(true))]), 1)]
#[case::pci_device(with_option("hostpci0", "0000:01:00"), 1)]
#[case::usb_device(with_option("usb0", "host=1-2"), 1)]
#[case::usb_of_the_viewer(with_option("usb0", "spice"), 0)]
#[case::mapped_device(with_option("usb0", "mapping=dongle"), 1)]
#[case::cd_drive_of_the_node(with_option("ide0", "cdrom,media=cdrom"), 1)]
#[case::cd_image(with_option("ide0", "local:iso/debian.iso,media=cdrom"), 0)]
fn a_check_fails_if_and_only_if_a_vm_cannot_be_created(#[case] setup: Value, #[case] exit: i32) {
    let fake = fake(setup);
    let state = StateDir::new();
    let check = at(&fake, &state).run(CHECK).exit;
    let arguments = "proxmox vm create web-1 debian-12 --poll-interval 0.01";
    let create = at(&fake, &state).run(arguments).exit;
    assert_eq!((check, create), (Some(exit), Some(exit)));
}
