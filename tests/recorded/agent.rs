//! The answers of the agent in a VM, and of a VM without one.

use std::time::{Duration, Instant};

use rstest::rstest;
use serde_json::{Value, json};

use super::client::{Reply, connect, get, post};
use super::rights::{CLONER, read};
use super::states::{State, with};
use crate::fake_pve::{FakePve, TOKEN};

fn path(vmid: u32) -> String {
    format!("/nodes/pve1/qemu/{vmid}/agent/network-get-interfaces")
}

fn ask(fake: &FakePve, vmid: u32) -> Reply {
    get(fake, &path(vmid))
}

pub(super) fn vm_stopped() -> State {
    with(json!({"guests": [{"vmid": 284}]}))
}

pub(super) fn command_disabled() -> State {
    let desc = "Command guest-network-get-interfaces has been disabled";
    with(json!({
        "guests": [{"vmid": 284, "status": "running"}],
        "agents": {"284": {"error": {"class": "CommandNotFound", "desc": desc}}},
    }))
}

pub(super) fn not_configured() -> State {
    with(json!({"guests": [{"vmid": 281, "config": {"agent": "0"}}]}))
}

pub(super) fn not_configured_but_running() -> State {
    with(json!({"guests": [{"vmid": 281, "status": "running", "config": {"agent": "0"}}]}))
}

pub(super) fn forbidden() -> State {
    with(json!({"guests": [{"vmid": 280}], "tokens": {"homelab@pve!sep": "none"}}))
}

pub(super) fn not_yet() -> State {
    with(json!({"guests": [{"vmid": 284, "status": "running"}], "agent": {"polls": 1}}))
}

fn running(config: &Value) -> FakePve {
    with(json!({"guests": [{"vmid": 101, "status": "running", "config": config}]})).fake
}

#[test]
fn it_reports_loopback_networks_and_a_bridge() {
    let fake = running(&json!({"net1": "virtio=BC:24:11:00:0A:0B,bridge=vmbr1"}));
    let address = |ip: &str, kind: &str, prefix: u8| json!({"ip-address": ip, "ip-address-type": kind, "prefix": prefix});
    let expected = json!({"result": [
        {
            "name": "lo",
            "hardware-address": "00:00:00:00:00:00",
            "ip-addresses": [address("127.0.0.1", "ipv4", 8), address("::1", "ipv6", 128)],
        },
        {
            "name": "eth0",
            "hardware-address": "bc:24:11:00:00:65",
            "ip-addresses": [
                address("fe80::be24:11ff:fe00:65", "ipv6", 64),
                address("10.0.0.5", "ipv4", 24),
            ],
        },
        {
            "name": "eth1",
            "hardware-address": "bc:24:11:00:0a:0b",
            "ip-addresses": [
                address("fe80::be24:11ff:fe00:a0b", "ipv6", 64),
                address("10.1.0.5", "ipv4", 24),
            ],
        },
        {
            "name": "docker0",
            "hardware-address": "02:42:8d:1c:5a:11",
            "ip-addresses": [address("172.17.0.1", "ipv4", 16)],
        },
    ]});
    assert_eq!(ask(&fake, 101).json()["data"], expected);
}

#[test]
fn a_vm_has_the_address_from_cloudinit() {
    let fake = running(&json!({"ipconfig0": "gw=192.0.2.1,ip=192.0.2.7/26"}));
    let answer = ask(&fake, 101).json();
    let address = &answer["data"]["result"][1]["ip-addresses"][1];
    assert_eq!(
        (&address["ip-address"], &address["prefix"]),
        (&json!("192.0.2.7"), &json!(26))
    );
}

#[rstest]
#[case::absent(json!(null), "No QEMU guest agent configured")]
#[case::disabled(json!("0"), "QEMU guest agent is not running")]
#[case::disabled_by_name(json!("enabled=0,type=virtio"), "QEMU guest agent is not running")]
#[case::enabled_by_name(json!("enabled=1,fstrim_cloned_disks=1"), "OK")]
#[case::enabled_by_yes(json!("yes"), "OK")]
fn it_must_be_configured(#[case] agent: Value, #[case] reason: &str) {
    assert_eq!(ask(&running(&json!({"agent": agent})), 101).reason, reason);
}

#[test]
fn an_agent_answers_after_some_polls_and_each_vm_has_its_own() {
    let fake = with(json!({
        "guests": [{"vmid": 101}, {"vmid": 102, "status": "running"}],
        "agents": {"101": {"polls": 2}},
    }))
    .fake;
    post(&fake, "/nodes/pve1/qemu/101/status/start", "");
    let seen = [(); 3].map(|()| ask(&fake, 101).status);
    assert_eq!((seen, ask(&fake, 102).status), ([500, 500, 200], 200));
}

#[test]
fn its_answers_can_be_scripted_in_turn() {
    let lo = json!({"name": "lo", "hardware-address": "00:00:00:00:00:00"});
    let lists = json!([[], [lo]]);
    let fake = with(json!({
        "guests": [{"vmid": 101, "status": "running"}, {"vmid": 102, "status": "running"}],
        "agents": {
            "101": {"interfaces": lists, "polls": 1},
            "102": {"interfaces": [lo]},
        },
    }))
    .fake;
    let reported = |vmid| ask(&fake, vmid).json()["data"]["result"].take();
    assert_eq!(
        [101, 101, 101, 101, 102].map(reported),
        [
            Value::Null,
            json!([]),
            json!([lo]),
            json!([lo]),
            json!([lo])
        ]
    );
}

#[test]
fn an_agent_that_refuses_does_so_once_it_runs() {
    let error = json!({"class": "GenericError", "desc": "the command is not allowed"});
    let fake = with(json!({
        "guests": [{"vmid": 101, "status": "running"}],
        "agent": {"polls": 1, "error": error},
    }))
    .fake;
    let answers = [(); 2].map(|()| ask(&fake, 101));
    assert_eq!([answers[0].status, answers[1].status], [500, 200]);
    assert_eq!(
        answers[1].json()["data"],
        json!({"result": {"error": error}})
    );
}

#[rstest]
#[case::since_9(
    "9.0.3",
    "VM.GuestAgent.Audit|VM.GuestAgent.Unrestricted",
    "VM.GuestAgent.Audit"
)]
#[case::before("8.4.14", "VM.Monitor", "VM.Monitor")]
fn it_needs_a_privilege(#[case] version: &str, #[case] missing: &str, #[case] enough: &str) {
    let ask = |granted: &[&str]| {
        let tokens = json!({CLONER: {"/vms": granted}});
        let guests = json!([{"vmid": 101, "status": "running"}]);
        let story = json!({"version": version, "guests": guests, "tokens": tokens});
        read(&with(story).fake, CLONER, &path(101)).reason
    };
    let refusal = format!("Permission check failed (/vms/101, {missing})");
    assert_eq!([ask(&["VM.Audit"]), ask(&[enough])], [&refusal, "OK"]);
}

#[test]
fn a_slow_agent_does_not_delay_other_requests() {
    let fake = with(json!({
        "guests": [{"vmid": 101, "status": "running"}, {"vmid": 102, "status": "running"}],
        "agents": {"101": {"delay_ms": 700}},
    }))
    .fake;
    let begin = Instant::now();
    let mut slow = connect(&fake);
    slow.send_as(TOKEN, "GET", &path(101), "");
    fake.wait_for_requests(1);
    assert_eq!(ask(&fake, 102).status, 200);
    let quick = begin.elapsed();
    assert_eq!(slow.reply().unwrap().status, 200);
    let delay = Duration::from_millis(700);
    assert!(quick < delay && begin.elapsed() >= delay, "{quick:?}");
}
