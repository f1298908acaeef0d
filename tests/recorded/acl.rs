//! Tokens with exactly the privileges that an administrator has listed for them.

use rstest::rstest;
use serde_json::{Value, json};

use super::client::Reply;
use super::rights::{CLONER, ask, read, vmids};
use super::states::{State, template, with};
use crate::fake_pve::{FakePve, Setup, TOKEN};

/// The privileges of the recorded token: everything needed to clone into its pool.
fn recorded() -> Value {
    json!({
        "/vms/9000": ["VM.Audit", "VM.Clone"],
        "/pool/clients": ["Pool.Audit", "VM.Allocate", "VM.Audit"],
        "/storage/data": ["Datastore.AllocateSpace", "Datastore.Audit"],
        "/sdn/zones/localnetwork": ["SDN.Use"],
    })
}

/// The privileges needed to clone, and to see the clones, without a pool.
pub(super) fn enough() -> Value {
    json!({
        "/vms": ["VM.Allocate", "VM.Audit"],
        "/vms/9000": ["VM.Audit", "VM.Clone"],
        "/storage/data": ["Datastore.AllocateSpace"],
        "/sdn/zones/localnetwork": ["SDN.Use"],
    })
}

pub(super) fn may(acl: &Value) -> FakePve {
    with(json!({
        "guests": [{"vmid": 100, "name": "db-1"}, template()],
        "tokens": {CLONER: acl},
    }))
    .fake
}

pub(super) fn cloner() -> State {
    State {
        fake: may(&recorded()),
        upid: None,
    }
}

pub(super) fn cloning_into_the_pool() -> State {
    let state = cloner();
    let form = "newid=101&name=web-1&pool=clients";
    assert_eq!(clone(&state.fake, form).status, 200);
    state
}

pub(super) fn clone(fake: &FakePve, form: &str) -> Reply {
    ask(fake, CLONER, "POST", "/nodes/pve1/qemu/9000/clone", form)
}

#[test]
fn the_nearest_listed_path_decides() {
    let mut acl = enough();
    acl["/vms/100"] = json!([]);
    let fake = may(&acl);
    assert_eq!(
        vmids(&read(&fake, CLONER, "/cluster/resources?type=vm")),
        [9000]
    );
    assert_eq!(clone(&fake, "newid=101&name=web-1").status, 200);
    fake.finish_all();
    for list in ["/cluster/resources?type=vm", "/nodes/pve1/qemu"] {
        assert_eq!(vmids(&read(&fake, CLONER, list)), [101, 9000], "{list}");
    }
    let config = |vmid: u32| read(&fake, CLONER, &format!("/nodes/pve1/qemu/{vmid}/config"));
    assert_eq!(
        [100, 101, 9000].map(|vmid| config(vmid).status),
        [403, 200, 200]
    );
    let refusal = "Permission check failed (/vms/100, VM.Audit)";
    assert_eq!(config(100).reason, refusal);
}

#[test]
fn privileges_at_the_root_hold_everywhere() {
    let all = ["VM.Audit", "VM.Clone", "VM.Allocate", "SDN.Use"];
    let fake = may(&json!({"/": all, "/storage": ["Datastore.AllocateSpace"]}));
    assert_eq!(clone(&fake, "newid=101&name=web-1").status, 200);
    let seen = vmids(&read(&fake, CLONER, "/cluster/resources?type=vm"));
    assert_eq!(seen, [100, 101, 9000]);
}

/// At first every privilege is missing; each step grants the one that the previous step lacked.
#[test]
fn a_clone_is_refused_for_each_missing_privilege_in_order() {
    let mut acl = json!({});
    let mut refusals = Vec::new();
    let needed = [
        ("/vms/9000", "VM.Clone"),
        ("/vms/101", "VM.Allocate"),
        ("/storage/small", "Datastore.AllocateSpace"),
        ("/sdn/zones/localnetwork/vmbr0", "SDN.Use"),
    ];
    for (path, privilege) in needed {
        refusals.push(clone(&may(&acl), "newid=101&full=1&storage=small").reason);
        acl[path] = json!([privilege]);
    }
    assert_eq!(
        refusals,
        [
            "Permission check failed (/vms/9000, VM.Clone)",
            "Permission check failed",
            "Permission check failed (/storage/small, Datastore.AllocateSpace)",
            "Permission check failed (/sdn/zones/localnetwork/vmbr0, SDN.Use)",
        ]
    );
    let accepted = clone(&may(&acl), "newid=101&full=1&storage=small");
    assert_eq!(accepted.status, 200);
}

#[rstest]
#[case::the_vmid("/vms/101", "newid=101", 200)]
#[case::another_vmid("/vms/102", "newid=101", 403)]
#[case::the_vmid_with_a_pool("/vms/101", "newid=101&pool=clients", 200)]
#[case::the_pool("/pool/clients", "newid=101&pool=clients", 200)]
#[case::the_pool_without_naming_it("/pool/clients", "newid=101", 403)]
fn a_vmid_is_allowed_by_its_path_or_by_the_pool(
    #[case] path: &str,
    #[case] form: &str,
    #[case] status: u16,
) {
    let mut acl = enough();
    acl["/vms"] = json!(["VM.Audit"]);
    acl[path] = json!(["VM.Allocate"]);
    assert_eq!(clone(&may(&acl), form).status, status);
}

#[rstest]
#[case::a_disk(
    "virtio1",
    "small:9000/base-9000-disk-1.raw,size=2G",
    "Permission check failed (/storage/small, Datastore.AllocateSpace)"
)]
#[case::a_cdrom("sata1", "small:iso/debian.iso,media=cdrom", "OK")]
#[case::a_net(
    "net1",
    "virtio,bridge=vmbr1",
    "Permission check failed (/sdn/zones/localnetwork/vmbr1, SDN.Use)"
)]
fn every_disk_and_every_net_needs_a_privilege(
    #[case] option: &str,
    #[case] value: &str,
    #[case] reason: &str,
) {
    let mut acl = enough();
    acl["/sdn/zones/localnetwork/vmbr1"] = json!(["SDN.Audit"]);
    let fake = may(&acl);
    let mut cluster = fake.cluster();
    let template = cluster.guests.get_mut(&9000).unwrap();
    template.config.insert(option.to_owned(), json!(value));
    drop(cluster);
    assert_eq!(clone(&fake, "newid=101").reason, reason);
}

#[test]
fn a_token_sees_its_own_tasks() {
    let fake = may(&enough());
    clone(&fake, "newid=101");
    ask(
        &fake,
        TOKEN,
        "POST",
        "/nodes/pve1/qemu/9000/clone",
        "newid=102",
    );
    let list = read(&fake, CLONER, "/nodes/pve1/tasks?source=all").json();
    assert_eq!(list["total"], 1);
    let statuses = [0, 1].map(|number| {
        let upid = fake.cluster().tasks[number].upid.clone();
        read(&fake, CLONER, &format!("/nodes/pve1/tasks/{upid}/log")).status
    });
    assert_eq!(statuses, [200, 403]);
}

#[rstest]
#[case::privilege(json!({"/vms": ["VM.Alocate"]}))]
#[case::path(json!({"/vm": ["VM.Allocate"]}))]
#[case::end_of_a_path(json!({"/vms/": ["VM.Allocate"]}))]
#[case::vmid(json!({"/vms/debian-12": ["VM.Clone"]}))]
#[case::preset(json!("some"))]
fn typos_are_errors(#[case] acl: Value) {
    let story = json!({"tokens": {CLONER: acl}});
    assert!(serde_json::from_value::<Setup>(story).is_err());
}
