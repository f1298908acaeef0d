//! VMs that are created with disks from images.

use rstest::rstest;
use serde_json::{Value, json};

use super::check_answer;
use super::client::{get, post};
use super::races::exit_of;
use super::states::{State, guests_of, with};
use crate::fake_pve::{Did, FakePve};
use crate::recording::Recording;

/// The node of the recorded server, with the image that it imported.
fn lab(mut story: Value) -> State {
    let usual = json!({
        "nodes": ["pve1", "pve2"],
        "storages": {
            "local": {"content": ["images", "import"]},
            "full": {"full": true},
            "iso-only": {"content": ["iso"]},
            "other": {},
            "thin": {"type": "lvmthin"},
        },
        "images": [{"volid": "local:import/small.qcow2", "file": {"virtual_size": 268_435_456}}],
    });
    for (field, value) in usual.as_object().unwrap() {
        story[field] = value.clone();
    }
    with(story)
}

/// Sends the recorded request to create a VM.
pub(super) fn asked(name: &str, mut state: State) -> State {
    let answer = super::replay(&Recording::load(name), &state);
    let upid = answer.json()["data"].as_str().map(str::to_owned);
    state.upid = Some(upid.unwrap_or_else(|| panic!("{}", answer.reason)));
    state
}

/// Polls its task until it ends.
pub(super) fn ended(state: State) -> State {
    let upid = state.upid.as_deref().expect("a task");
    while exit_of(&state.fake, upid) == "running" {}
    state
}

/// Since every fake starts at the same time, a VM on it never has the recorded time of creation.
pub(super) fn recorded_at(ctime: u64, vmid: u32, state: State) -> State {
    let meta = json!(format!("creation-qemu=10.0.2,ctime={ctime}"));
    let mut cluster = state.fake.cluster();
    let vm = cluster.guests.get_mut(&vmid).expect("the VM");
    vm.config.insert("meta".to_owned(), meta);
    drop(cluster);
    state
}

fn lab_empty() -> State {
    lab(json!({}))
}

fn importing() -> State {
    asked("create-import", lab(json!({"create_polls": 9})))
}

pub(super) fn imported() -> State {
    ended(asked("create-import", lab(json!({"create_polls": 2}))))
}

pub(super) fn vm_400() -> State {
    recorded_at(1_796_034_304, 400, imported())
}

fn importing_beside_others() -> State {
    let guests = json!([
        {"vmid": 280, "name": "run-1", "status": "running"},
        {"vmid": 9000, "name": "debian-12", "template": true},
    ]);
    asked(
        "create-import",
        lab(json!({"create_polls": 9, "guests": guests})),
    )
}

fn importing_beside_many() -> State {
    let mut guests = guests_of("resources-while-importing");
    guests.retain(|guest| guest["vmid"] != 400);
    asked(
        "create-import",
        lab(json!({"create_polls": 9, "guests": guests})),
    )
}

#[rstest]
#[case::create("create-import", lab_empty)]
#[case::created("create-import-status", imported)]
#[case::log("create-import-log", imported)]
#[case::config_while_importing("config-while-importing", importing)]
#[case::status_while_importing("current-while-importing", importing)]
#[case::vms_while_importing("node-qemu-while-importing", importing_beside_others)]
#[case::rows_while_importing("resources-while-importing", importing_beside_many)]
#[case::config("config-after-import", vm_400)]
fn a_vm_is_imported_as_recorded(#[case] name: &str, #[case] state: fn() -> State) {
    check_answer(name, &state());
}

const QEMU: &str = "/nodes/pve1/qemu";

/// The UPID of a creation that was accepted.
fn create(fake: &FakePve, form: &str) -> String {
    let answer = post(fake, QEMU, form);
    let upid = answer.json()["data"].as_str().map(str::to_owned);
    upid.unwrap_or_else(|| panic!("{}", answer.reason))
}

/// The configuration of VM 101, once it is created with these options.
fn created(story: Value, form: &str) -> Value {
    let fake = lab(story).fake;
    let upid = create(&fake, &format!("vmid=101&{form}"));
    assert_eq!(exit_of(&fake, &upid), "OK");
    get(&fake, "/nodes/pve1/qemu/101/config").json()["data"].take()
}

#[test]
fn a_vm_has_exactly_the_requested_options_and_its_own_identity() {
    let form = "name=web-1&memory=0512&cores=02&tags=Web,a&description=hi%0A&onboot=1\
                &net0=virtio,bridge%3Dvmbr0&net1=model%3De1000,macaddr%3D02:00:00:00:00:01\
                &scsi0=local:0,import-from%3Dlocal:import/small.qcow2,discard%3Don,ssd%3Dyes\
                &ide2=local:cloudinit&scsi1=other:1&ciuser=+bob+&cipassword=x&ipconfig0=ip%3Ddhcp";
    assert_eq!(
        created(json!({}), form),
        json!({
            "boot": "order=scsi0;ide2;net0",
            "cipassword": "**********",
            "ciuser": "bob",
            "cores": 2,
            "description": "hi",
            "digest": "0000000000000000000000000000000000000065",
            "ide2": "local:101/vm-101-cloudinit.qcow2,media=cdrom",
            "ipconfig0": "ip=dhcp",
            "memory": "0512",
            "meta": "creation-qemu=10.0.2,ctime=1795162113",
            "name": "web-1",
            "net0": "virtio=BC:24:11:00:00:65,bridge=vmbr0",
            "net1": "e1000=02:00:00:00:00:01",
            "onboot": 1,
            "scsi0": "local:101/vm-101-disk-0.qcow2,discard=on,size=256M,ssd=1",
            "scsi1": "other:101/vm-101-disk-0.raw,size=1G",
            "smbios1": "uuid=00000065-3eb0-4ed2-a0c8-4d404bd9d787",
            "tags": "a;web",
            "vmgenid": "00000065-779d-4385-88a6-d5b3a21537ec",
        })
    );
}

#[rstest]
#[case::file("local:0", "local:101/vm-101-disk-0.qcow2,size=256M")]
#[case::other_format("local:0,format%3Draw", "local:101/vm-101-disk-0.raw,size=256M")]
#[case::volume("thin:0", "thin:vm-101-disk-0,size=256M")]
fn the_storage_decides_on_the_format_of_an_import(#[case] target: &str, #[case] disk: &str) {
    let image = "local:import/small.qcow2";
    let form = format!("scsi0={target},import-from%3D{image}");
    assert_eq!(created(json!({}), &form)["scsi0"], disk);
}

#[test]
fn a_new_vm_avoids_the_names_of_disks_that_were_left() {
    let leftovers = json!(["local:101/vm-101-disk-0.raw"]);
    let form = "scsi0=local:1&scsi1=local:1";
    let config = created(json!({"leftovers": leftovers}), form);
    assert_eq!(
        ["scsi0", "scsi1"].map(|disk| config[disk].clone()),
        [1, 2].map(|number| json!(format!("local:101/vm-101-disk-{number}.raw,size=1G")))
    );
}

#[test]
fn a_vm_without_devices_boots_from_nothing() {
    let config = created(json!({}), "smbios1=uuid%3Dx");
    assert_eq!(config["boot"], " ");
    assert_eq!(config["smbios1"], "uuid=x");
}

#[test]
fn what_was_created_is_recorded_once_it_is_whole() {
    let State { fake, upid } = importing();
    assert_eq!(fake.cluster().deeds, []);
    fake.finish_all();
    let cluster = fake.cluster();
    let image = cluster.image("pve1", "local:import/small.qcow2");
    let deed = &cluster.deeds[0];
    assert_eq!(cluster.deeds.len(), 1);
    assert_eq!(
        (&*deed.owner, deed.vm, deed.name.as_deref()),
        ("root@pam!cli", (400, 0), Some("cloud-tpl"))
    );
    assert_eq!(deed.did, Did::Create(vec![image.unwrap().sha256.clone()]));
    drop(cluster);
    assert_eq!(exit_of(&fake, &upid.unwrap()), "OK");
}

/// How the row and the task look with each poll.
fn seen_by_polls(story: Value) -> Vec<(Value, Value, String)> {
    let State { fake, upid } = asked("create-import", lab(story));
    let upid = upid.unwrap();
    let look = |_| {
        let row = get(&fake, "/cluster/resources?type=vm").json()["data"][0].take();
        let exit = exit_of(&fake, &upid);
        (row["name"].clone(), row["lock"].clone(), exit)
    };
    (0..4).map(look).collect()
}

#[rstest]
#[case::by_polls(json!({"rows": "at_once", "create_polls": 2}))]
#[case::by_requests(json!({"rows": "at_once", "create_requests": 6}))]
fn a_vm_is_named_after_its_vmid_until_it_is_whole(#[case] story: Value) {
    let created = |name, lock, exit: &str| (json!(name), lock, exit.to_owned());
    let locked = |exit| created("VM 400", json!("create"), exit);
    assert_eq!(
        seen_by_polls(story),
        [
            locked("running"),
            locked("running"),
            locked("OK"),
            created("cloud-tpl", Value::Null, "OK")
        ]
    );
}

#[test]
fn the_log_of_an_import_grows_with_each_poll() {
    let story = json!({"clone_log": "growing", "create_polls": 3});
    let State { fake, upid } = asked("create-import", lab(story));
    let upid = upid.unwrap();
    let last_line = |_| {
        let path = format!("/nodes/pve1/tasks/{upid}/log?limit=0");
        let lines = get(&fake, &path).json()["data"].take();
        exit_of(&fake, &upid);
        let last = lines.as_array().unwrap().last().unwrap().clone();
        last["t"].as_str().unwrap().to_owned()
    };
    let expected = [
        "transferred 0.0 B of 256.0 MiB (0.00%)",
        "transferred 64.0 MiB of 256.0 MiB (25.00%)",
        "transferred 128.0 MiB of 256.0 MiB (50.00%)",
        "transferred 202.7 MiB of 256.0 MiB (79.17%)",
        "TASK OK",
    ];
    assert_eq!((0..5).map(last_line).collect::<Vec<_>>(), expected);
}
