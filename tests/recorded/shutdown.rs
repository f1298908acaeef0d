//! Stopping, shutting down and rebooting VMs, and what happens after the tasks of that.

use rstest::rstest;
use serde_json::{Value, json};

use super::client::{delete, get, post, put};
use super::races::exit_of;
use super::rights::{CLONER, ask};
use super::states::{State, template, with};
use crate::fake_pve::{Did, FakePve};

/// Starts a task, without polling it.
fn begin(fake: &FakePve, vmid: u32, action: &str, form: &str) -> String {
    let path = format!("/nodes/pve1/qemu/{vmid}/status/{action}");
    let answer = post(fake, &path, form);
    let upid = answer.json()["data"].as_str().map(str::to_owned);
    upid.unwrap_or_else(|| panic!("{}", answer.reason))
}

/// Starts a task, and polls it until it ends.
fn ended(mut state: State, vmid: u32, action: &str, form: &str) -> State {
    let upid = begin(&state.fake, vmid, action, form);
    while exit_of(&state.fake, &upid) == "running" {}
    state.upid = Some(upid);
    state
}

fn running(vmid: u32, name: &str, on_shutdown: &Value) -> State {
    with(json!({
        "guests": [{"vmid": vmid, "name": name, "status": "running", "on_shutdown": on_shutdown}],
        "shutdown_polls": 1,
    }))
}

fn run_1() -> State {
    running(280, "run-1", &json!("prompt"))
}

/// The agent of its guest is not enabled.
fn no_agent() -> State {
    with(json!({"guests": [{
        "vmid": 281, "name": "no-agent", "status": "running", "on_shutdown": "never",
        "config": {"agent": "0"},
    }]}))
}

/// The agent of its guest does not answer, and its shutdown takes long.
fn silent(shutdown_polls: u32) -> State {
    with(json!({
        "guests": [{"vmid": 282, "status": "running", "on_shutdown": "never"}],
        "agent": {"polls": 999},
        "shutdown_polls": shutdown_polls,
        "lock_polls": 2,
    }))
}

pub(super) fn locked() -> State {
    with(json!({"guests": [
        {"vmid": 286, "name": "locked", "status": "running", "lock": "backup"},
    ]}))
}

pub(super) fn paused() -> State {
    with(json!({"guests": [
        {"vmid": 285, "name": "slow-down", "status": "paused"},
        {"vmid": 286, "name": "locked", "status": "paused", "uptime": 139},
    ]}))
}

pub(super) fn started_while_paused() -> State {
    ended(paused(), 286, "start", "")
}

pub(super) fn started_while_cloning() -> State {
    let state = with(json!({"guests": [{"vmid": 410}], "clone_polls": 2}));
    post(&state.fake, "/nodes/pve1/qemu/410/clone", "newid=411");
    ended(state, 410, "start", "")
}

pub(super) fn stopped() -> State {
    ended(run_1(), 280, "stop", "")
}

pub(super) fn stop_of_a_stopped_vm() -> State {
    ended(super::power::vm_110(), 110, "stop", "")
}

pub(super) fn stop_of_no_vm() -> State {
    ended(with(json!({})), 150, "stop", "")
}

pub(super) fn stop_of_a_locked_vm() -> State {
    ended(locked(), 286, "stop", "")
}

pub(super) fn stop_behind_a_shutdown() -> State {
    let state = silent(9);
    begin(&state.fake, 282, "shutdown", "timeout=100");
    ended(state, 282, "stop", "")
}

pub(super) fn overruling() -> State {
    let state = silent(9);
    begin(&state.fake, 282, "shutdown", "timeout=100");
    ended(state, 282, "stop", "overrule-shutdown=1")
}

pub(super) fn overruled() -> State {
    let mut state = silent(9);
    state.upid = Some(begin(&state.fake, 282, "shutdown", "timeout=100"));
    begin(&state.fake, 282, "stop", "overrule-shutdown=1");
    state
}

pub(super) fn stopped_without_quorum() -> State {
    let state = paused();
    state.fake.cluster().setup.no_quorum = true;
    ended(state, 286, "stop", "")
}

pub(super) fn shut_down() -> State {
    ended(run_1(), 280, "shutdown", "")
}

pub(super) fn shutdown_of_a_stopped_vm() -> State {
    ended(super::power::vm_110(), 110, "shutdown", "")
}

pub(super) fn shutdown_of_no_vm() -> State {
    ended(with(json!({})), 150, "shutdown", "")
}

pub(super) fn shutdown_of_a_locked_vm() -> State {
    ended(locked(), 286, "shutdown", "timeout=5")
}

pub(super) fn forced_while_paused() -> State {
    ended(paused(), 286, "shutdown", "forceStop=1")
}

pub(super) fn timed_out() -> State {
    ended(no_agent(), 281, "shutdown", "")
}

pub(super) fn agent_silent() -> State {
    ended(silent(1), 282, "shutdown", "timeout=15")
}

/// Its guest went down after its shutdown had failed.
pub(super) fn down_late() -> State {
    let state = running(285, "slow-down", &json!({"late": 2}));
    let state = ended(state, 285, "shutdown", "timeout=5");
    for _ in 0..2 {
        get(&state.fake, "/version");
    }
    state
}

pub(super) fn forced() -> State {
    ended(no_agent(), 281, "shutdown", "timeout=5&forceStop=1")
}

pub(super) fn second_shutdown() -> State {
    let state = silent(9);
    begin(&state.fake, 282, "shutdown", "timeout=100");
    ended(state, 282, "shutdown", "timeout=5")
}

/// Not started again yet.
pub(super) fn rebooted() -> State {
    let state = run_1();
    state.fake.cluster().setup.reboot_requests = 9;
    ended(state, 280, "reboot", "")
}

pub(super) fn reboot_of_a_locked_vm() -> State {
    ended(locked(), 286, "reboot", "timeout=5")
}

pub(super) fn reboot_timed_out() -> State {
    ended(no_agent(), 281, "reboot", "timeout=5")
}

/// Long enough ago to have been started again.
pub(super) fn rebooted_without_quorum() -> State {
    let state = with(json!({"guests": [{"vmid": 283}]}));
    let state = ended(state, 283, "start", "");
    state.fake.cluster().setup.no_quorum = true;
    let state = ended(state, 283, "reboot", "timeout=5");
    for _ in 0..9 {
        get(&state.fake, "/version");
    }
    state
}

fn status(fake: &FakePve, vmid: u32) -> Value {
    let path = format!("/nodes/pve1/qemu/{vmid}/status/current");
    get(fake, &path).json()["data"].take()
}

fn exit(state: &State) -> String {
    exit_of(&state.fake, state.upid.as_deref().expect("a task"))
}

#[test]
fn a_guest_that_goes_down_late_does_so_after_the_failure() {
    let state = running(285, "slow-down", &json!({"late": 3}));
    let state = ended(state, 285, "shutdown", "timeout=5");
    let seen = [(); 4].map(|()| status(&state.fake, 285)["status"].clone());
    assert_eq!(seen, ["running", "running", "stopped", "stopped"]);
    assert_eq!(exit(&state), "VM quit/powerdown failed");
}

#[test]
fn a_process_started_in_the_meantime_does_not_go_down() {
    let state = running(285, "slow-down", &json!({"late": 4}));
    let state = ended(state, 285, "shutdown", "timeout=5");
    let state = ended(ended(state, 285, "stop", ""), 285, "start", "");
    for _ in 0..4 {
        get(&state.fake, "/version");
    }
    assert_eq!(status(&state.fake, 285)["status"], "running");
}

#[test]
fn a_reboot_ends_when_the_vm_is_off_and_a_task_of_root_starts_it_again() {
    let tokens = json!({CLONER: {"/vms": ["VM.PowerMgmt", "VM.Audit"]}});
    let guests = json!([{"vmid": 101, "status": "running", "uptime": 500}]);
    let fake = with(json!({
        "guests": guests, "tokens": tokens, "task_polls": 3, "reboot_requests": 4,
    }))
    .fake;
    let before = status(&fake, 101);
    let reboot = ask(
        &fake,
        CLONER,
        "POST",
        "/nodes/pve1/qemu/101/status/reboot",
        "",
    );
    let upid = reboot.json()["data"].as_str().unwrap().to_owned();
    let exits = [(); 4].map(|()| exit_of(&fake, &upid));
    assert_eq!(exits, ["running", "running", "running", "OK"]);
    let seen = [(); 2].map(|()| status(&fake, 101)["status"].clone());
    assert_eq!(seen, ["stopped", "stopped"]);
    get(&fake, "/version");
    let task = get(&fake, "/nodes/pve1/tasks?source=active").json()["data"][0].take();
    let fields = ["type", "id", "user", "tokenid", "status"].map(|field| task[field].clone());
    let expected = [
        json!("qmstart"),
        json!("101"),
        json!("root@pam"),
        Value::Null,
        json!("RUNNING"),
    ];
    assert_eq!(fields, expected);
    let path = format!(
        "/nodes/pve1/tasks/{}/status",
        task["upid"].as_str().unwrap()
    );
    assert_eq!(ask(&fake, CLONER, "GET", &path, "").status, 403);
    fake.finish_all();
    let after = status(&fake, 101);
    assert_eq!(
        (&after["status"], after["pid"] != before["pid"]),
        (&json!("running"), true)
    );
    assert!(before["uptime"].as_u64() >= Some(500) && after["uptime"].as_u64() < Some(9));
    let deeds: Vec<_> = fake
        .cluster()
        .deeds
        .iter()
        .map(|deed| (deed.owner.clone(), deed.did.clone()))
        .collect();
    assert_eq!(
        deeds,
        [
            (CLONER.to_owned(), Did::Stop),
            ("root@pam".to_owned(), Did::Start)
        ]
    );
}

#[rstest]
#[case::lost(&[false, false], "stopped")]
#[case::lost_and_back(&[false, true], "running")]
#[case::kept(&[true, true], "running")]
fn a_rebooted_vm_stays_off_if_there_is_no_quorum_when_it_is_started(
    #[case] has_quorum: &[bool],
    #[case] expected: &str,
) {
    let state = run_1();
    state.fake.cluster().setup.no_quorum = !has_quorum[0];
    let state = ended(state, 280, "reboot", "");
    state.fake.cluster().setup.no_quorum = !has_quorum[1];
    for _ in 0..3 {
        get(&state.fake, "/version");
    }
    let after = (exit(&state), status(&state.fake, 280)["status"].take());
    assert_eq!(after, ("OK".to_owned(), json!(expected)));
}

#[test]
fn a_vm_that_is_rebooted_on_a_node_without_the_others_stays_off() {
    let State { fake, .. } = run_1();
    let cut_off = FakePve::start_cut_off(&fake, "pve1");
    let upid = begin(&cut_off, 280, "reboot", "");
    assert_eq!(exit_of(&cut_off, &upid), "OK");
    for _ in 0..3 {
        get(&fake, "/version");
    }
    assert_eq!(status(&fake, 280)["status"], "stopped");
}

#[test]
fn the_shutdown_of_another_token_is_left_alone() {
    let tokens = json!({CLONER: {"/vms": ["VM.PowerMgmt"]}});
    let state = with(json!({
        "guests": [{"vmid": 101, "status": "running", "on_shutdown": "never"}],
        "tokens": tokens, "shutdown_polls": 99, "lock_polls": 0,
    }));
    begin(&state.fake, 101, "shutdown", "");
    let stop = |token| {
        let path = "/nodes/pve1/qemu/101/status/stop";
        let answer = ask(&state.fake, token, "POST", path, "overrule-shutdown=1");
        exit_of(&state.fake, answer.json()["data"].as_str().unwrap())
    };
    let timeout = "can't lock file '/var/lock/qemu-server/lock-101.conf' - got timeout";
    assert_eq!([CLONER, crate::fake_pve::TOKEN].map(stop), [timeout, "OK"]);
}

#[test]
fn a_shutdown_that_runs_blocks_changes_and_ends_on_its_own() {
    let blocked = silent(9);
    begin(&blocked.fake, 282, "shutdown", "");
    let change = |state: &State| put(&state.fake, "/nodes/pve1/qemu/282/config", "tags=a").reason;
    let timeout = "can't lock file '/var/lock/qemu-server/lock-282.conf' - got timeout";
    assert_eq!(change(&blocked), timeout);
    let soon_free = silent(1);
    begin(&soon_free.fake, 282, "shutdown", "");
    assert_eq!(change(&soon_free), "OK");
}

#[rstest]
#[case::stop("stop", "", "Requesting HA stop for VM 101")]
#[case::shutdown("shutdown", "timeout=5", "Requesting HA stop for VM 101")]
fn a_vm_under_ha_stops_some_time_after_its_task(
    #[case] action: &str,
    #[case] form: &str,
    #[case] line: &str,
) {
    let state = with(json!({
        "guests": [{"vmid": 101, "ha": "started", "status": "running"}],
        "ha_requests": 4,
    }));
    let state = ended(state, 101, action, form);
    let upid = state.upid.as_deref().unwrap();
    assert!(upid.contains(":hastop:101:"), "{upid}");
    let log = get(&state.fake, &format!("/nodes/pve1/tasks/{upid}/log")).json();
    assert_eq!(log["data"][0]["t"], line);
    let seen = [(); 2].map(|()| {
        let status = status(&state.fake, 101);
        (status["status"].clone(), status["ha"]["state"].clone())
    });
    let expected = [
        (json!("running"), Value::Null),
        (json!("stopped"), json!("stopped")),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn a_shutdown_under_ha_cannot_be_overruled() {
    let fake = with(json!({"guests": [{"vmid": 101, "ha": "started"}]})).fake;
    let path = "/nodes/pve1/qemu/101/status/stop";
    let answer = post(&fake, path, "overrule-shutdown=1");
    let errors = json!({"overrule-shutdown": "Not applicable for HA resources."});
    assert_eq!(
        (answer.status, answer.json()["errors"].take()),
        (400, errors)
    );
}

#[test]
fn a_vm_that_was_paused_is_destroyed_only_after_a_stop() {
    let state = paused();
    let destroy = |state: &State| delete(&state.fake, "/nodes/pve1/qemu/286").reason;
    assert_eq!(destroy(&state), "VM 286 is running - destroy failed");
    assert_eq!(destroy(&ended(state, 286, "stop", "")), "OK");
}

#[test]
fn templates_and_stopped_vms_are_stopped_at_once() {
    let state = with(json!({"guests": [template(), {"vmid": 101, "lock": "backup"}]}));
    let ends = [
        (9000, "stop"),
        (9000, "shutdown"),
        (101, "stop"),
        (101, "shutdown"),
    ];
    let ends = ends.map(|(vmid, action)| {
        let upid = begin(&state.fake, vmid, action, "");
        exit_of(&state.fake, &upid)
    });
    assert_eq!(ends, ["OK"; 4]);
    assert_eq!(state.fake.cluster().deeds, []);
}
