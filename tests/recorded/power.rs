//! Starting VMs, and the tasks of that.

use rstest::rstest;
use serde_json::{Value, json};

use super::client::{get, post, put};
use super::races::{clone, exit_of};
use super::rights::{CLONER, ask, read};
use super::states::{State, template, with};
use super::update::{CONFIG, config};
use crate::fake_pve::FakePve;

const START: &str = "/nodes/pve1/qemu/101/status/start";

pub(super) fn running_vm() -> State {
    let web_01 = json!({
        "vmid": 101, "name": "web-01", "status": "running", "config": {"tags": "a;b"},
    });
    with(json!({"guests": [web_01, template()]}))
}

pub(super) fn start_without_bridge() -> State {
    let mut state = stopped_vm(json!({"bridges": []}));
    state.upid = Some(started(&state.fake));
    state
}

/// VM 109 is under HA.
pub(super) fn under_ha() -> State {
    with(json!({"guests": [{"vmid": 109, "name": "del-ha", "ha": "stopped"}]}))
}

/// The same, with other guests: in a pool, running, locked, containers.
pub(super) fn under_ha_beside_others() -> State {
    with(json!({"guests": [
        {"vmid": 102, "name": "del-prot"},
        {"vmid": 103, "name": "del-back", "lock": "backup"},
        {"vmid": 109, "name": "del-ha", "ha": "stopped"},
        {"vmid": 110, "name": "del-pool", "pool": "lab"},
        {"vmid": 280, "name": "run-1", "status": "running"},
        {"vmid": 300, "name": "ct-1", "type": "lxc", "config": {"tags": "web"}},
        {"vmid": 301, "name": "ct-tpl", "type": "lxc", "template": true},
        {"vmid": 9000, "name": "debian-12", "template": true},
        {"vmid": 9002, "name": "tiny", "template": true},
    ]}))
}

pub(super) fn vm_110() -> State {
    with(json!({"guests": [{"vmid": 110, "name": "del-pool"}]}))
}

pub(super) fn vm_280_runs() -> State {
    with(json!({
        "guests": [{"vmid": 280, "name": "run-1", "status": "running"}],
        "tokens": {"homelab@pve!sep": "none"},
    }))
}

pub(super) fn started_in_a_backup() -> State {
    let vm = json!({"vmid": 286, "status": "running", "lock": "backup"});
    start_of(286, &json!([vm]))
}

fn start_of(vmid: u32, guests: &Value) -> State {
    let mut state = with(json!({"guests": guests}));
    let path = format!("/nodes/pve1/qemu/{vmid}/status/start");
    let answer = post(&state.fake, &path, "").json();
    state.upid = answer["data"].as_str().map(str::to_owned);
    state
}

pub(super) fn start_of_a_template() -> State {
    start_of(9000, &json!([template()]))
}

pub(super) fn start_of_no_vm() -> State {
    start_of(150, &json!([]))
}

pub(super) fn start_of_a_locked_vm() -> State {
    start_of(102, &json!([{"vmid": 102, "lock": "backup"}]))
}

fn stopped_vm(mut story: Value) -> State {
    story["guests"] = json!([{"vmid": 101, "name": "web-01"}, template()]);
    with(story)
}

fn started(fake: &FakePve) -> String {
    let upid = post(fake, START, "").json()["data"].take();
    upid.as_str().expect("a UPID").to_owned()
}

fn status(fake: &FakePve) -> Value {
    get(fake, "/nodes/pve1/qemu/101/status/current").json()["data"].take()
}

#[test]
fn a_vm_runs_once_its_task_has_ended() {
    let fake = stopped_vm(json!({"task_polls": 1, "rows": "at_once"})).fake;
    let upid = started(&fake);
    let seen = [(); 2].map(|()| (exit_of(&fake, &upid), status(&fake)["status"].clone()));
    assert_eq!(
        seen,
        [
            ("running".to_owned(), json!("stopped")),
            ("OK".to_owned(), json!("running")),
        ]
    );
    let rows = get(&fake, "/cluster/resources?type=vm").json();
    assert_eq!(rows["data"][0]["status"], "running");
}

#[test]
fn a_vm_under_ha_runs_some_time_after_its_task_has_ended() {
    let fake = with(json!({
        "guests": [{"vmid": 101, "ha": "stopped"}],
        "ha_requests": 5,
        "task_polls": 9,
    }))
    .fake;
    let upid = started(&fake);
    assert!(upid.contains(":hastart:101:"), "{upid}");
    assert_eq!(exit_of(&fake, &upid), "OK");
    let seen = [(); 4].map(|()| {
        let status = status(&fake);
        (status["status"].clone(), status["ha"]["state"].clone())
    });
    let filed = (json!("stopped"), Value::Null);
    assert_eq!(
        seen,
        [
            filed.clone(),
            filed.clone(),
            filed,
            (json!("running"), json!("started"))
        ]
    );
    let row = get(&fake, "/cluster/resources?type=vm").json()["data"][0]["hastate"].take();
    assert_eq!(row, "started");
}

#[rstest]
#[case::never(json!({"ha_requests": null}), Value::Null)]
#[case::in_vain(json!({"start_exit": "start failed: QEMU exited with code 1"}), json!("error"))]
fn a_vm_under_ha_may_never_run(#[case] mut story: Value, #[case] state: Value) {
    story["guests"] = json!([{"vmid": 101, "ha": "stopped"}]);
    let fake = with(story).fake;
    let upid = started(&fake);
    fake.finish_all();
    assert_eq!(exit_of(&fake, &upid), "OK");
    let status = status(&fake);
    assert_eq!(
        (&status["status"], &status["ha"]["state"]),
        (&json!("stopped"), &state)
    );
}

#[test]
fn each_start_creates_another_process() {
    let fake = stopped_vm(json!({})).fake;
    let pids = [(); 2].map(|()| {
        started(&fake);
        let pid = status(&fake)["pid"].clone();
        let mut cluster = fake.cluster();
        let vm = cluster.guests.get_mut(&101).unwrap();
        "stopped".clone_into(&mut vm.status);
        pid
    });
    assert!(pids[0].is_number() && pids[0] != pids[1], "{pids:?}");
}

#[test]
fn a_second_start_waits_for_the_first_one() {
    let fake = stopped_vm(json!({"task_polls": 9})).fake;
    let first = started(&fake);
    let second = started(&fake);
    fake.finish_all();
    assert_eq!(
        [first, second].map(|upid| exit_of(&fake, &upid)),
        ["OK", "VM 101 already running"]
    );
}

#[rstest]
#[case::no_vm(
    "150",
    "Configuration file 'nodes/pve1/qemu-server/150.conf' does not exist"
)]
#[case::template("9000", "you can't start a vm if it's a template")]
#[case::locked("102", "VM is locked (backup)")]
#[case::bridge("103", "bridge 'vmbr9' does not exist")]
fn the_task_of_a_start_reports_why_it_failed(#[case] vmid: &str, #[case] exit: &str) {
    let fake = with(json!({"guests": [
        {"vmid": 102, "lock": "backup"},
        {"vmid": 103, "config": {"net0": "virtio=02:00:00:00:00:01,bridge=vmbr9"}},
        template(),
    ]}))
    .fake;
    let answer = post(&fake, &format!("/nodes/pve1/qemu/{vmid}/status/start"), "");
    assert_eq!(answer.status, 200);
    assert_eq!(
        exit_of(&fake, answer.json()["data"].as_str().unwrap()),
        exit
    );
}

#[rstest]
#[case::fails(json!("start failed: QEMU exited with code 1"), "stopped")]
#[case::warns(json!("WARNINGS: 1"), "running")]
fn a_story_sets_the_exit_status_of_a_start(#[case] exit: Value, #[case] after: &str) {
    let fake = stopped_vm(json!({"start_exit": exit})).fake;
    let upid = started(&fake);
    assert_eq!(json!(exit_of(&fake, &upid)), exit);
    assert_eq!(status(&fake)["status"], after);
}

#[test]
fn a_vm_may_stop_right_after_its_start() {
    let fake = stopped_vm(json!({"dies_after_start": true})).fake;
    let upid = started(&fake);
    assert_eq!(exit_of(&fake, &upid), "OK");
    assert_eq!(status(&fake)["status"], "stopped");
}

#[test]
fn the_status_of_a_running_vm() {
    let status = status(&running_vm().fake);
    let fields = ["status", "qmpstatus", "name", "vmid", "agent"];
    assert_eq!(
        fields.map(|field| status[field].clone()),
        [
            json!("running"),
            json!("running"),
            json!("web-01"),
            json!(101),
            json!(1)
        ]
    );
}

#[rstest]
#[case::start("POST", START, "VM.PowerMgmt")]
#[case::status("GET", "/nodes/pve1/qemu/101/status/current", "VM.Audit")]
fn it_needs_a_privilege(#[case] method: &str, #[case] path: &str, #[case] privilege: &str) {
    let ask = |granted: &[&str]| {
        let tokens = json!({CLONER: {"/vms": granted}});
        let fake = with(json!({"guests": [{"vmid": 101}], "tokens": tokens})).fake;
        ask(&fake, CLONER, method, path, "").reason
    };
    let refusal = format!("Permission check failed (/vms/101, {privilege})");
    assert_eq!([ask(&[]), ask(&[privilege])], [&refusal, "OK"]);
}

#[test]
fn the_task_list_of_a_node_can_be_filtered_by_kind() {
    let fake = stopped_vm(json!({})).fake;
    clone(&fake, "newid=102");
    started(&fake);
    put(&fake, "/nodes/pve1/qemu/101/resize", "disk=scsi0&size=9G");
    let kinds = |query: &str| {
        let list = get(&fake, &format!("/nodes/pve1/tasks?source=all{query}")).json();
        let entries = list["data"].as_array().unwrap().iter();
        let kinds = entries.map(|entry| (entry["type"].clone(), entry["id"].clone()));
        kinds.collect::<Vec<_>>()
    };
    let [cloned, start, grown] = [("qmclone", "9000"), ("qmstart", "101"), ("resize", "101")]
        .map(|(kind, id)| (json!(kind), json!(id)));
    assert_eq!(kinds(""), [cloned.clone(), grown.clone(), start.clone()]);
    assert_eq!(kinds("&typefilter=qmclone"), [cloned]);
    assert_eq!(kinds("&vmid=101"), [grown, start]);
}

#[test]
fn a_start_is_visible_to_the_token_that_requested_it() {
    let tokens = json!({CLONER: {"/vms": ["VM.PowerMgmt"]}, "cloner@pve!full": "none"});
    let fake = with(json!({"guests": [{"vmid": 101}], "tokens": tokens})).fake;
    let upid = ask(&fake, CLONER, "POST", START, "").json()["data"].take();
    let log = format!("/nodes/pve1/tasks/{}/log", upid.as_str().unwrap());
    assert_eq!(read(&fake, "cloner@pve!full", &log).status, 403);
    let lines = read(&fake, CLONER, &log).json()["data"].take();
    assert_eq!(
        lines,
        json!([
            {"n": 1, "t": "generating cloud-init ISO"},
            {"n": 2, "t": "TASK OK"},
        ])
    );
}

#[test]
fn without_quorum_nothing_is_started_or_changed() {
    let fake = stopped_vm(json!({"no_quorum": true})).fake;
    assert_eq!(
        post(&fake, START, "").reason,
        "cluster not ready - no quorum?"
    );
    assert_eq!(put(&fake, CONFIG, "cores=2").status, 500);
    assert_eq!(config(&fake)["cores"], 1);
}
