//! VMs that are created with disks from images.

use rstest::rstest;
use serde_json::{Value, json};

use super::check_answer;
use super::client::{delete, get, post};
use super::races::exit_of;
use super::rights::ask;
use super::states::{State, guests_of, with};
use crate::fake_pve::{Did, FakePve};
use crate::recording::Recording;

pub(super) const QEMU: &str = "/nodes/pve1/qemu";

/// The UPID of a creation that was accepted.
pub(super) fn create(fake: &FakePve, form: &str) -> String {
    let answer = post(fake, QEMU, form);
    let upid = answer.json()["data"].as_str().map(str::to_owned);
    upid.unwrap_or_else(|| panic!("{}", answer.reason))
}

/// The node of the recorded server, with the image that it imported.
pub(super) fn lab(mut story: Value) -> State {
    let usual = json!({
        "nodes": ["pve1", "pve2"],
        "storages": {
            "local": {"content": ["images", "import"]},
            "full": {"full": true},
            "iso-only": {"content": ["iso"]},
            "off": {"disabled": true},
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

/// Sends the recorded request, which begins a task.
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

pub(super) fn lab_empty() -> State {
    lab(json!({}))
}

pub(super) fn importing() -> State {
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

fn vms_everywhere() -> State {
    let guests = json!([
        {"vmid": 400, "name": "cloud-tpl"},
        {"vmid": 300, "name": "ct-1", "type": "lxc"},
    ]);
    lab(json!({"guests": guests}))
}

/// The tokens of the recorded server: one with the role of the README, but for cloning, and one without
/// privileges.
fn lab_of_tokens(more: &[&str]) -> State {
    let mut on_vms = vec![
        "VM.Allocate",
        "VM.Audit",
        "VM.Config.CPU",
        "VM.Config.Cloudinit",
        "VM.Config.Disk",
        "VM.Config.Memory",
        "VM.Config.Network",
        "VM.Config.Options",
    ];
    on_vms.extend(more);
    let low = json!({
        "/vms": on_vms,
        "/storage/local": ["Datastore.AllocateSpace", "Datastore.Audit"],
        "/sdn/zones/localnetwork": ["SDN.Use"],
    });
    lab(json!({
        "guests": [{"vmid": 100, "pool": "lab"}],
        "tokens": {"homelab@pve!cli": low, "homelab@pve!sep": "none"},
        "create_polls": 1,
    }))
}

fn few_privileges() -> State {
    lab_of_tokens(&[])
}

pub(super) fn enough_privileges() -> State {
    lab_of_tokens(&["VM.Config.HWType"])
}

pub(super) fn vm_420() -> State {
    let state = ended(asked("create-low-ok", enough_privileges()));
    recorded_at(1_796_034_389, 420, state)
}

fn created_in_a_pool() -> State {
    ended(asked("create-low-pool", few_privileges()))
}

fn no_quorum() -> State {
    lab(json!({"no_quorum": true}))
}

fn image_missing() -> State {
    ended(asked("create-no-such-image", lab_empty()))
}

fn storage_full() -> State {
    ended(asked("create-import-full", lab(json!({"create_polls": 1}))))
}

/// VM 430 is being imported by the token that may abort it.
pub(super) fn importing_430() -> State {
    let mut state = enough_privileges();
    state.fake.cluster().setup.create_polls = 9;
    let token = "homelab@pve!cli";
    let form = form_of("create-low-ok", 430);
    let answer = ask(&state.fake, token, "POST", QEMU, &form).json();
    state.upid = answer["data"].as_str().map(str::to_owned);
    state
}

fn aborted() -> State {
    let state = importing_430();
    let upid = state.upid.as_deref().expect("a task");
    let path = format!("/nodes/pve1/tasks/{upid}");
    assert_eq!(delete(&state.fake, &path).status, 200);
    state
}

/// The body of a recorded request, for another VMID.
fn form_of(name: &str, vmid: u32) -> String {
    let form = Recording::load(name).body.expect("a body");
    let (_, options) = form.split_once('&').expect("options");
    format!("vmid={vmid}&{options}")
}

fn killed_in(mut story: Value) -> State {
    story["create_exit"] = json!("unexpected status");
    story["create_polls"] = json!(1);
    let mut state = lab(story);
    state.upid = Some(create(&state.fake, &form_of("create-import", 441)));
    ended(state)
}

fn killed() -> State {
    killed_in(json!({}))
}

fn killed_beside_many() -> State {
    let mut guests = guests_of("create-worker-killed-resources");
    guests.retain(|guest| guest["vmid"] != 441);
    killed_in(json!({"guests": guests, "rows": "at_once"}))
}

fn killed_then_destroyed() -> State {
    ended(asked("create-worker-killed-destroy", killed()))
}

fn killed_then_started() -> State {
    let mut state = killed();
    let path = "/nodes/pve1/qemu/441/status/start";
    let start = post(&state.fake, path, "").json();
    state.upid = start["data"].as_str().map(str::to_owned);
    ended(state)
}

/// Root has removed the lock.
fn killed_then_unlocked() -> State {
    let state = killed();
    let unlocked = state
        .fake
        .cluster()
        .edit(441, |config| drop(config.remove("lock")));
    assert!(unlocked);
    state
}

fn killed_then_cleaned_up() -> State {
    let destroy = "create-worker-killed-destroy-after-unlock";
    ended(asked(destroy, killed_then_unlocked()))
}

fn race_won() -> State {
    asked("create-race-2", lab(json!({"create_polls": 9})))
}

fn vm_405() -> State {
    recorded_at(1_796_034_323, 405, ended(race_won()))
}

fn created_without_a_bridge() -> State {
    ended(asked("create-bridge-missing", lab_empty()))
}

/// Created with the option `template`.
pub(super) fn vm_403() -> State {
    let state = ended(asked("create-template-in-one-request", lab_empty()));
    recorded_at(1_796_034_316, 403, state)
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
#[case::vmid_taken("create-vmid-taken", vms_everywhere)]
#[case::vmid_taken_elsewhere("create-vmid-taken-on-other-node", vms_everywhere)]
#[case::vmid_of_a_container("create-vmid-of-a-container", vms_everywhere)]
#[case::bad_name("create-bad-name", lab_empty)]
#[case::size("create-import-size", lab_empty)]
#[case::storage_unknown("create-unknown-storage", lab_empty)]
#[case::storage_bad("create-storage-without-images", lab_empty)]
#[case::pool_unknown("create-unknown-pool", lab_empty)]
#[case::without_quorum("no-quorum-create", no_quorum)]
#[case::forbidden("create-forbidden", few_privileges)]
#[case::forbidden_controller("create-low", few_privileges)]
#[case::forbidden_serial_port("create-low-serial", few_privileges)]
#[case::forbidden_display("create-low-vga", few_privileges)]
#[case::forbidden_storage("create-low-other-storage", few_privileges)]
#[case::forbidden_path("create-low-path", few_privileges)]
#[case::forbidden_path_of_root("create-root-path", lab_empty)]
#[case::by_a_low_token("create-low-ok", enough_privileges)]
#[case::created_by_a_low_token("create-low-ok-status", vm_420)]
#[case::log_of_a_low_token("create-low-ok-log", vm_420)]
#[case::config_of_a_low_token("create-low-ok-config-after", vm_420)]
#[case::in_a_pool("create-low-pool", few_privileges)]
#[case::created_in_a_pool("create-low-pool-status", created_in_a_pool)]
#[case::log_in_a_pool("create-low-pool-log", created_in_a_pool)]
#[case::image_missing("create-no-such-image", lab_empty)]
#[case::task_image_missing("create-no-such-image-status", image_missing)]
#[case::log_image_missing("create-no-such-image-log", image_missing)]
#[case::config_image_missing("create-no-such-image-config-after", image_missing)]
#[case::storage_full("create-import-full", lab_empty)]
#[case::task_storage_full("create-import-full-status", storage_full)]
#[case::log_storage_full("create-import-full-log", storage_full)]
#[case::config_storage_full("create-import-full-config-after", storage_full)]
#[case::abort("abort-import", importing_430)]
#[case::aborted("abort-import-status", aborted)]
#[case::log_aborted("abort-import-log", aborted)]
#[case::config_aborted("abort-import-config-after", aborted)]
#[case::killed("create-worker-killed-status", killed)]
#[case::log_killed("create-worker-killed-log", killed)]
#[case::config_killed("create-worker-killed-config-after", killed)]
#[case::rows_killed("create-worker-killed-resources", killed_beside_many)]
#[case::create_killed("create-over-a-killed-create", killed)]
#[case::destroy_killed("create-worker-killed-destroy", killed)]
#[case::task_destroy_killed("create-worker-killed-destroy-status", killed_then_destroyed)]
#[case::log_destroy_killed("create-worker-killed-destroy-log", killed_then_destroyed)]
#[case::task_start_killed("create-worker-killed-start-status", killed_then_started)]
#[case::clean_up("create-worker-killed-destroy-after-unlock", killed_then_unlocked)]
#[case::cleaned_up(
    "create-worker-killed-destroy-after-unlock-status",
    killed_then_cleaned_up
)]
#[case::log_cleaned_up(
    "create-worker-killed-destroy-after-unlock-log",
    killed_then_cleaned_up
)]
#[case::race_lost("create-race-1", race_won)]
#[case::race_won("create-race-2", lab_empty)]
#[case::task_race_won("create-race-2-status", vm_405)]
#[case::config_race_won("create-race-config-after", vm_405)]
#[case::bridge_missing("create-bridge-missing", lab_empty)]
#[case::task_bridge_missing("create-bridge-missing-status", created_without_a_bridge)]
#[case::log_bridge_missing("create-bridge-missing-log", created_without_a_bridge)]
#[case::bridge_missing_for_few("create-unknown-bridge-low", few_privileges)]
#[case::template_option("create-template-in-one-request", lab_empty)]
#[case::config_of_the_template_option("config-after-template-in-one-request", vm_403)]
fn a_vm_is_created_as_recorded(#[case] name: &str, #[case] state: fn() -> State) {
    check_answer(name, &state());
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
