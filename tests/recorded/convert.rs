//! VMs that are converted to templates.

use rstest::rstest;
use serde_json::{Value, json};

use super::check_answer;
use super::client::{connect, delete, get, post};
use super::import::{asked, ended, enough_privileges, imported, vm_400, vm_403, vm_420};
use super::power::vm_280_runs;
use super::races::exit_of;
use super::states::{State, empty, guests_of, with};
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

fn vm_102_in_a_backup() -> State {
    with(json!({"guests": [{"vmid": 102, "lock": "backup"}]}))
}

fn vm_405_with_snapshots() -> State {
    with(json!({"guests": [{"vmid": 405, "config": {"parent": "before-upgrade"}}]}))
}

fn converted_by_a_low_token() -> State {
    ended(asked("template-low", vm_420()))
}

fn vm_432_without_quorum() -> State {
    with(json!({"guests": [{"vmid": 432}], "no_quorum": true}))
}

fn failed_without_quorum() -> State {
    ended(asked("no-quorum-template", vm_432_without_quorum()))
}

#[rstest]
#[case::convert("template-ok", imported)]
#[case::converted("template-ok-status", converted)]
#[case::log("template-ok-log", converted)]
#[case::config("config-after-template", converted)]
#[case::rows("resources-right-after-template", converted_beside_many)]
#[case::clone("clone-linked-of-imported-template", converted)]
#[case::config_of_a_clone("config-linked-clone-of-imported-template", cloned)]
#[case::not_there("template-not-there", empty)]
#[case::already("template-already", converted)]
#[case::by_its_option_alone("template-flag-only", vm_403)]
#[case::clone_by_its_option_alone("clone-of-one-request-template", vm_403)]
#[case::running("template-of-a-running-vm", vm_280_runs)]
#[case::snapshots("template-with-snapshots", vm_405_with_snapshots)]
#[case::locked("template-locked", vm_102_in_a_backup)]
#[case::forbidden("template-forbidden", enough_privileges)]
#[case::by_a_low_token("template-low", vm_420)]
#[case::converted_by_a_low_token("template-low-status", converted_by_a_low_token)]
#[case::clone_by_a_low_token("clone-low-of-own-template", converted_by_a_low_token)]
#[case::without_quorum("no-quorum-template", vm_432_without_quorum)]
#[case::task_without_quorum("no-quorum-template-status", failed_without_quorum)]
#[case::log_without_quorum("no-quorum-template-log", failed_without_quorum)]
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

/// Both are accepted before either worker has begun.
fn two_tasks(first: &str, second: &str) -> [String; 2] {
    let vm = json!({"vmid": 101});
    let fake = with(json!({"guests": [vm], "task_polls": 9})).fake;
    let upids = [first, second].map(|path| {
        let answer = post(&fake, &format!("/nodes/pve1/qemu/101/{path}"), "");
        answer.json()["data"].as_str().expect("a UPID").to_owned()
    });
    fake.finish_all();
    upids.map(|upid| exit_of(&fake, &upid))
}

#[rstest]
#[case::converted("template", "template", "you can't convert a template to a template")]
#[case::started(
    "status/start",
    "template",
    "you can't convert a VM to template if VM is running"
)]
#[case::start("template", "status/start", "you can't start a vm if it's a template")]
fn the_second_of_two_tasks_sees_what_the_first_has_done(
    #[case] first: &str,
    #[case] second: &str,
    #[case] exit: &str,
) {
    assert_eq!(two_tasks(first, second), ["OK", exit]);
}

/// From reading the server, not seen: the option is written before the disks are renamed.
#[rstest]
#[case::killed("unexpected status")]
#[case::storage_busy("cfs-lock 'storage-data' error: got lock request timeout")]
fn a_conversion_that_fails_leaves_a_template_that_is_none(#[case] exit: &str) {
    let fake = with(json!({"guests": [{"vmid": 101}], "template_exit": exit})).fake;
    assert_eq!(exit_of(&fake, &convert(&fake, "")), exit);
    let left = config(&fake);
    assert_eq!(left["template"], 1);
    assert_eq!(left["scsi0"], "data:101/vm-101-disk-0.raw,size=2G");
    assert_eq!(fake.cluster().deeds, []);
    let reasons = [(TEMPLATE, ""), ("/nodes/pve1/qemu/101/clone", "newid=102")]
        .map(|(path, form)| post(&fake, path, form).reason);
    let no_clones =
        "Linked clone feature is not supported for 'data:101/vm-101-disk-0.raw' (scsi0)";
    assert_eq!(
        reasons,
        ["you can't convert a template to a template", no_clones]
    );
}

#[test]
fn without_quorum_nothing_is_converted() {
    let state = failed_without_quorum();
    let cluster = state.fake.cluster();
    let vm = &cluster.guests[&432];
    assert!(!vm.is_template());
    assert_eq!(vm.config["scsi0"], "data:432/vm-432-disk-0.raw,size=2G");
}

#[test]
fn a_conversion_that_is_aborted_does_not_happen() {
    let fake = with(json!({"guests": [{"vmid": 101}], "task_polls": 9})).fake;
    let upid = convert(&fake, "");
    delete(&fake, &format!("/nodes/pve1/tasks/{upid}"));
    assert_eq!(exit_of(&fake, &upid), "received interrupt");
    fake.finish_all();
    assert!(!fake.cluster().guests[&101].is_template());
}

#[test]
fn linked_and_full_clones_of_a_converted_vm_are_possible() {
    let fake = with_vm(&json!({"scsi0": "data:101/vm-101-disk-0.qcow2,size=3G"}));
    convert(&fake, "");
    let disk = |newid: u32, form: &str| {
        let form = format!("newid={newid}&{form}");
        let clone = post(&fake, "/nodes/pve1/qemu/101/clone", &form).json();
        assert_eq!(exit_of(&fake, clone["data"].as_str().unwrap()), "OK");
        let cluster = fake.cluster();
        cluster.guests[&newid].config["scsi0"].clone()
    };
    assert_eq!(
        [disk(102, ""), disk(103, "full=1")],
        [
            "data:101/base-101-disk-0.qcow2/102/vm-102-disk-0.qcow2,size=3G",
            "data:103/vm-103-disk-0.qcow2,size=3G",
        ]
    );
}

/// The template flag in the row of a VM, and in the list of its node.
fn seen(fake: &FakePve) -> [Value; 2] {
    ["/cluster/resources?type=vm", "/nodes/pve1/qemu"]
        .map(|path| get(fake, path).json()["data"][0]["template"].take())
}

#[rstest]
#[case::late(json!({}), [json!(0), json!(1)])]
#[case::at_once(json!({"rows": "at_once"}), [json!(1), json!(1)])]
fn the_row_of_a_new_template_may_be_late(#[case] mut story: Value, #[case] expected: [Value; 2]) {
    story["guests"] = json!([{"vmid": 101}]);
    let fake = with(story).fake;
    assert_eq!(seen(&fake), [json!(0), Value::Null]);
    convert(&fake, "");
    assert_eq!(seen(&fake), expected);
}

#[rstest]
#[case::lost(json!({"close": "lost"}))]
#[case::never_answered(json!({"hang": "after"}))]
#[case::executed_later(
    json!({"late": {"status": 596, "reason": "Connection timed out", "after": 2}})
)]
fn a_conversion_without_an_answer_may_be_carried_out(#[case] mut fault: Value) {
    fault["on"] = json!("POST /nodes/pve1/qemu/101/template");
    let fake = with(json!({"guests": [{"vmid": 101}], "faults": [fault]})).fake;
    let mut client = connect(&fake);
    client.send_as(TOKEN, "POST", TEMPLATE, "");
    fake.wait_for_requests(1);
    for _ in 0..2 {
        get(&fake, "/version");
    }
    let did: Vec<_> = fake
        .cluster()
        .deeds
        .iter()
        .map(|deed| deed.did.clone())
        .collect();
    assert_eq!(did, [Did::Convert]);
}

#[test]
fn another_user_converts_a_vm_and_makes_a_template() {
    let make = json!({"create": {"vmid": 102, "name": "debian-13", "template": true}});
    let fake = with(json!({
        "guests": [{"vmid": 101}, {"vmid": 103, "status": "running"}],
        "others": [
            {"before": "POST", "do": {"convert": 101}},
            {"before": "POST", "do": {"convert": 103}},
            {"before": "POST", "do": make},
        ],
    }))
    .fake;
    let refusal = post(&fake, TEMPLATE, "").reason;
    assert_eq!(refusal, "you can't convert a template to a template");
    let cluster = fake.cluster();
    let are_templates = [101, 102, 103].map(|vmid| cluster.guests[&vmid].is_template());
    assert_eq!(are_templates, [true, true, false]);
    let disks = [101, 102].map(|vmid| cluster.guests[&vmid].config["scsi0"].clone());
    let base = |vmid| json!(format!("data:{vmid}/base-{vmid}-disk-0.raw,size=2G"));
    assert_eq!(disks, [base(101), base(102)]);
    assert_eq!(cluster.deeds, []);
}

#[test]
fn another_user_may_make_a_template_between_two_requests() {
    let fake = with(json!({"guests": [{"vmid": 101, "name": "debian-13"}]})).fake;
    let make = |vmid| {
        let mut cluster = fake.cluster();
        cluster.make_template_as_stranger(vmid, 0, "debian-13")
    };
    assert_eq!([101, 102].map(make), [false, true]);
    assert_eq!(fake.templates_named("debian-13"), [102]);
    assert_eq!(fake.cluster().deeds, []);
}
