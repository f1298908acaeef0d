//! Creations of VMs that are refused, fail, or are in the way of other tasks.

use rstest::rstest;
use serde_json::{Value, json};

use super::client::{connect, delete, get, post, put};
use super::import::{QEMU, create, importing, importing_430, lab, lab_empty};
use super::races::exit_of;
use super::rights::{CLONER, ask, read};
use super::states::State;
use crate::fake_pve::{FakePve, TOKEN};

#[rstest]
#[case::no_vmid("name=x", "vmid", "property is missing and it is not optional")]
#[case::bad_vmid(
    "vmid=9",
    "vmid",
    "invalid format - value does not look like a valid VM ID\n"
)]
#[case::unknown(
    "vmid=101&nam=x",
    "nam",
    "property is not defined in schema and the schema does not allow additional properties"
)]
#[case::option("vmid=101&cores=0", "cores", "value must have a minimum value of 1")]
#[case::iso(
    "vmid=101&scsi0=local:0,import-from%3Dlocal:iso/x.iso",
    "scsi0",
    "local:iso/x.iso has wrong type 'iso' - needs to be 'images' or 'import'"
)]
fn bad_parameters_are_refused(#[case] form: &str, #[case] name: &str, #[case] why: &str) {
    let fake = lab_empty().fake;
    let answer = post(&fake, QEMU, form);
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json()["errors"], json!({name: why}));
    assert!(fake.cluster().guests.is_empty());
}

#[rstest]
#[case::node(
    "/nodes/pve9/qemu",
    "",
    500,
    "hostname lookup 'pve9' failed - failed to get address info for: pve9: Name or service not known"
)]
#[case::source_storage(
    QEMU,
    "&scsi0=local:0,import-from%3Dnosuch:import/x.qcow2",
    500,
    "storage 'nosuch' does not exist"
)]
#[case::keys(QEMU, "&sshkeys=x", 500, "SSH public key validation error")]
#[case::root_only(QEMU, "&args=-s", 500, "only root can set 'args' config")]
fn some_creations_are_refused_at_once(
    #[case] path: &str,
    #[case] form: &str,
    #[case] status: u16,
    #[case] reason: &str,
) {
    let fake = lab_empty().fake;
    let answer = post(&fake, path, &format!("vmid=101{form}"));
    assert_eq!((answer.status, &*answer.reason), (status, reason));
    assert!(fake.cluster().guests.is_empty());
}

/// The reason of the answer to a token with these privileges.
fn ask_with(acl: &Value, form: &str) -> String {
    let guests = json!([{"vmid": 100, "pool": "lab"}]);
    let fake = lab(json!({"guests": guests, "tokens": {CLONER: acl}})).fake;
    ask(&fake, CLONER, "POST", QEMU, &format!("vmid=101&{form}")).reason
}

#[test]
fn privileges_on_the_pool_are_enough() {
    let acl = json!({"/pool/lab": ["VM.Allocate", "VM.Config.HWType"]});
    let answers = ["pool=lab&vga=std", "vga=std"].map(|form| ask_with(&acl, form));
    assert_eq!(answers, ["OK", "Permission check failed"]);
}

#[rstest]
#[case::nothing(&[], "Permission check failed (/storage/local, Datastore.AllocateSpace|Datastore.Audit)")]
#[case::audit(&["Datastore.Audit"], "OK")]
#[case::space(&["Datastore.AllocateSpace"], "OK")]
fn the_image_must_be_readable(#[case] privileges: &[&str], #[case] reason: &str) {
    let acl = json!({
        "/vms": ["VM.Allocate"],
        "/storage/other": ["Datastore.AllocateSpace"],
        "/storage/local": privileges,
    });
    let form = "scsi0=other:0,import-from%3Dlocal:import/small.qcow2";
    assert_eq!(ask_with(&acl, form), reason);
}

#[rstest]
#[case::bridge("net0=virtio,bridge%3Dvmbr0", "/sdn/zones/localnetwork/vmbr0, SDN.Use")]
#[case::startup("startup=order%3D1", "/, Sys.Modify")]
#[case::boot("boot=order%3Dscsi0", "/vms/101, VM.Config.Disk")]
#[case::cloudinit("ciuser=a", "/vms/101, VM.Config.Cloudinit|VM.Config.Network")]
fn each_option_needs_its_privilege(#[case] form: &str, #[case] missing: &str) {
    let mut privileges = vec!["VM.Allocate", "VM.Config.Options", "VM.Config.Network"];
    privileges.retain(|name| !missing.contains(name));
    let reason = ask_with(&json!({"/vms": privileges}), form);
    assert_eq!(reason, format!("Permission check failed ({missing})"));
}

/// The task of a creation, and whether the VM exists afterwards.
fn outcome(state: &State, upid: &str, vmid: u32) -> (String, bool) {
    while exit_of(&state.fake, upid) == "running" {}
    let exists = state.fake.cluster().guests.contains_key(&vmid);
    (exit_of(&state.fake, upid), exists)
}

#[rstest]
#[case::line_feed(
    "ciuser=a%0Ab",
    "unable to parse value of 'ciuser' - property contains a line feed"
)]
#[case::cloudinit_drive_left(
    "ide2=other:cloudinit",
    "disk image '/srv/other/images/101/vm-101-cloudinit.qcow2' already exists"
)]
#[case::cloudinit_drive_twice(
    "ide1=local:cloudinit&ide2=local:cloudinit",
    "ide2 - cloud-init drive is already attached at 'ide1'"
)]
#[case::storage_off("scsi0=off:1", "storage 'off' is disabled")]
#[case::storage_off_for_an_import(
    "scsi0=off:0,import-from%3Dlocal:import/small.qcow2",
    "cannot import from 'local:import/small.qcow2' - storage 'off' is disabled"
)]
fn a_worker_that_fails_leaves_nothing(#[case] form: &str, #[case] why: &str) {
    let state = lab(json!({"leftovers": ["other:101/vm-101-cloudinit.qcow2"]}));
    let before = state.fake.cluster().setup.leftovers.clone();
    let form = format!("vmid=101&ide0=local:1&{form}");
    let upid = create(&state.fake, &form);
    let exit = format!("unable to create VM 101 - {why}");
    assert_eq!(outcome(&state, &upid, 101), (exit, false));
    let cluster = state.fake.cluster();
    assert_eq!(cluster.setup.leftovers, before);
    assert_eq!(cluster.deeds, []);
}

#[test]
fn tags_are_refused_only_by_the_worker() {
    let tokens = json!({CLONER: {"/vms": ["VM.Allocate"]}});
    let state = lab(json!({"tokens": tokens}));
    let answer = ask(&state.fake, CLONER, "POST", QEMU, "vmid=101&tags=a").json();
    let upid = answer["data"].as_str().expect("a UPID");
    let exit = "unable to create VM 101 - Permission check failed (/vms/101, VM.Config.Options)";
    let log = json!([{"n": 1, "t": format!("TASK ERROR: {exit}")}]);
    assert_eq!(outcome(&state, upid, 101), (exit.to_owned(), false));
    let path = format!("/nodes/pve1/tasks/{upid}/log");
    assert_eq!(get(&state.fake, &path).json()["data"], log);
}

#[test]
fn the_lock_of_a_free_vmid_may_be_held() {
    let state = lab(json!({"busy_vmids": {"101": 1}}));
    let ends = [(); 2].map(|()| {
        let upid = create(&state.fake, "vmid=101");
        outcome(&state, &upid, 101)
    });
    let busy = "can't lock file '/var/lock/qemu-server/lock-101.conf' - got timeout";
    assert_eq!(ends, [(busy.to_owned(), false), ("OK".to_owned(), true)]);
}

const IMPORT: &str = "vmid=101&name=web-1&scsi0=local:0,import-from%3Dlocal:import/small.qcow2";

/// From reading the server, not seen: the worker removes the disks, but cannot remove the configuration.
#[rstest]
#[case::at_its_end(
    false,
    "unable to open file '/etc/pve/nodes/pve1/qemu-server/101.conf.tmp.227' - Permission denied"
)]
#[case::when_it_is_aborted(true, "received interrupt")]
fn a_worker_that_loses_the_quorum_leaves_the_lock(#[case] aborts: bool, #[case] why: &str) {
    let acts = json!([{"request": 2, "do": {"quorum": false}}]);
    let state = lab(json!({"create_polls": 1, "others": acts}));
    let upid = create(&state.fake, "vmid=101&name=web-1&ide2=local:cloudinit");
    let task = format!("/nodes/pve1/tasks/{upid}");
    if aborts {
        delete(&state.fake, &task);
    }
    let exit = format!("unable to create VM 101 - {why}");
    assert_eq!(outcome(&state, &upid, 101), (exit.clone(), true));
    let log = get(&state.fake, &format!("{task}/log?start=2")).json()["data"].take();
    let warning = "failed to remove config file: Permission denied";
    assert_eq!(
        log,
        json!([{"n": 3, "t": warning}, {"n": 4, "t": format!("TASK ERROR: {exit}")}])
    );
    let cluster = state.fake.cluster();
    let left = &cluster.guests[&101];
    assert_eq!((left.lock(), left.name()), (Some("create"), None));
    assert_eq!(cluster.setup.leftovers, [""; 0]);
    assert_eq!(cluster.deeds, []);
}

#[rstest]
#[case::killed(json!({"create_exit": "unexpected status"}), false)]
#[case::killed_by_an_abort(json!({"abort_kills": true}), true)]
fn the_disks_of_a_killed_worker_stay_until_they_are_looked_for(
    #[case] mut story: Value,
    #[case] aborts: bool,
) {
    story["create_polls"] = json!(1);
    let state = lab(story);
    let upid = create(&state.fake, &format!("{IMPORT}&ide2=local:cloudinit"));
    if aborts {
        delete(&state.fake, &format!("/nodes/pve1/tasks/{upid}"));
    }
    let killed = ("unexpected status".to_owned(), true);
    assert_eq!(outcome(&state, &upid, 101), killed);
    let volumes = || state.fake.cluster().setup.leftovers.clone();
    let disks = ["vm-101-cloudinit.qcow2", "vm-101-disk-0.qcow2"];
    let disks = disks.map(|name| format!("local:101/{name}"));
    assert_eq!(volumes(), disks);

    let mut unlock = state.fake.cluster();
    unlock.edit(101, |config| drop(config.remove("lock")));
    drop(unlock);
    let path = format!("{QEMU}/101");
    assert_eq!(delete(&state.fake, &path).status, 200);
    assert_eq!(volumes(), disks);
    state.fake.cluster().end_faults();
    let again = create(&state.fake, IMPORT);
    assert_eq!(outcome(&state, &again, 101), ("OK".to_owned(), true));
    assert_eq!(
        state.fake.cluster().guests[&101].config["scsi0"],
        "local:101/vm-101-disk-1.qcow2,size=256M"
    );
    delete(&state.fake, &format!("{path}?destroy-unreferenced-disks=1"));
    assert_eq!(volumes(), [""; 0]);
}

#[rstest]
#[case::not_begun_to_copy("vmid=101", "received interrupt")]
#[case::copying(
    IMPORT,
    "cannot import from 'local:import/small.qcow2' - copy failed: command '/usr/bin/qemu-img \
     convert -p -n -f qcow2 -O qcow2 /var/lib/vz/import/small.qcow2 \
     zeroinit:/var/lib/vz/images/101/vm-101-disk-0.qcow2' failed: received interrupt"
)]
fn an_aborted_creation_leaves_nothing(#[case] form: &str, #[case] why: &str) {
    let state = lab(json!({"create_polls": 9}));
    let upid = create(&state.fake, form);
    assert_eq!(
        delete(&state.fake, &format!("/nodes/pve1/tasks/{upid}")).status,
        200
    );
    let exit = format!("unable to create VM 101 - {why}");
    assert_eq!(outcome(&state, &upid, 101), (exit, false));
    assert_eq!(state.fake.cluster().setup.leftovers, [""; 0]);
}

#[rstest]
#[case::short(2, "OK", false)]
#[case::long(
    9,
    "can't lock file '/var/lock/qemu-server/lock-101.conf' - got timeout",
    true
)]
fn a_destroy_waits_for_a_creation_and_then_destroys_it(
    #[case] polls: u32,
    #[case] exit: &str,
    #[case] exists: bool,
) {
    let state = lab(json!({"create_polls": polls, "lock_polls": 4}));
    let creation = create(&state.fake, IMPORT);
    let destroy = delete(&state.fake, &format!("{QEMU}/101")).json();
    let upid = destroy["data"].as_str().expect("a UPID");
    assert_eq!(outcome(&state, upid, 101), (exit.to_owned(), exists));
    state.fake.finish_all();
    assert_eq!(exit_of(&state.fake, &creation), "OK");
}

#[test]
fn a_vm_that_is_being_created_is_locked_for_everything_else() {
    let state = importing();
    let refusals = ["template", "clone"].map(|what| {
        let form = if what == "clone" { "newid=101" } else { "" };
        post(&state.fake, &format!("{QEMU}/400/{what}"), form).reason
    });
    let set = put(&state.fake, &format!("{QEMU}/400/config"), "cores=2").reason;
    assert_eq!(refusals, ["VM is locked (create)"; 2]);
    assert_eq!(set, "VM is locked (create)");
}

/// A clone that was accepted before may have the same VMID.
#[test]
fn a_creation_takes_the_vmid_from_a_clone_that_has_not_begun() {
    let steps = json!({"appears": 3, "named": 3, "done": 3});
    let guests = json!([{"vmid": 9000, "name": "debian-12", "template": true}]);
    let story = json!({"guests": guests, "clone_steps": steps, "create_polls": 9});
    let state = lab(story);
    let clone = |fake: &FakePve| post(fake, &format!("{QEMU}/9000/clone"), "newid=101");
    let lost = clone(&state.fake).json()["data"].take();
    create(&state.fake, IMPORT);
    let refused = clone(&state.fake);
    assert_eq!(
        refused.reason,
        "unable to create VM 101: config file already exists"
    );
    get(&state.fake, "/version");
    let lock = "can't lock file '/var/lock/qemu-server/lock-101.conf' - got timeout";
    assert_eq!(exit_of(&state.fake, lost.as_str().unwrap()), lock);
    state.fake.finish_all();
    assert_eq!(state.fake.vms_named("web-1"), [101]);
}

#[test]
fn the_task_belongs_to_its_token_and_is_listed() {
    let state = importing_430();
    let upid = state.upid.as_deref().expect("a task");
    let list = |token: &str, query: &str| {
        let path = format!("/nodes/pve1/tasks?source=all&{query}");
        read(&state.fake, token, &path).json()["total"].clone()
    };
    let token = "homelab@pve!cli";
    assert_eq!(list(token, "typefilter=qmcreate&vmid=430"), 1);
    assert_eq!(list(token, "vmid=431"), 0);
    assert_eq!(list("homelab@pve!sep", ""), 0);
    let status = format!("/nodes/pve1/tasks/{upid}/status");
    let statuses = [token, "homelab@pve!sep"].map(|token| read(&state.fake, token, &status).status);
    assert_eq!(statuses, [200, 403]);
}

#[rstest]
#[case::lost(json!({"close": "lost"}))]
#[case::never_answered(json!({"hang": "after"}))]
#[case::executed_later(
    json!({"late": {"status": 596, "reason": "Connection timed out", "after": 2}})
)]
fn a_creation_without_an_answer_may_be_carried_out(#[case] mut fault: Value) {
    fault["on"] = json!("POST /nodes/pve1/qemu");
    let state = lab(json!({"faults": [fault], "create_requests": 1}));
    let mut client = connect(&state.fake);
    client.send_as(TOKEN, "POST", QEMU, IMPORT);
    state.fake.wait_for_requests(1);
    for _ in 0..3 {
        get(&state.fake, "/version");
    }
    assert_eq!(state.fake.vms_named("web-1"), [101]);
    assert_eq!(state.fake.cluster().deeds.len(), 1);
}
