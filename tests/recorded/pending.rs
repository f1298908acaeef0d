//! Changes of running VMs that wait for the next start.

use serde_json::{Value, json};

use super::client::{get, post, put};
use super::rights::{CLONER, ask};
use super::states::{State, with};
use super::update::{CONFIG, set};
use crate::fake_pve::FakePve;
use crate::recording::Recording;

const PENDING: &str = "/nodes/pve1/qemu/101/pending";

/// With the configuration that was recorded, and other processors and memory until the next start.
pub(super) fn run_renamed() -> State {
    let recorded = Recording::load("config-running-with-pending").answer;
    let recorded: Value = serde_json::from_str(&recorded).expect("JSON");
    with(json!({"guests": [{
        "vmid": 280, "status": "running", "config": recorded["data"],
        "live": {"cores": 1, "memory": "256"},
    }]}))
}

fn running() -> FakePve {
    let guest = json!({"vmid": 101, "status": "running", "config": {"cpu": "host"}});
    with(json!({"guests": [guest]})).fake
}

/// Sorted by key, because the real server sorts by nothing.
fn sorted(answer: &Value) -> Vec<Value> {
    let mut entries = answer["data"].as_array().expect("a list").clone();
    entries.sort_by_key(|entry| entry["key"].to_string());
    entries
}

fn entry(fake: &FakePve, option: &str) -> Option<Value> {
    let entries = sorted(&get(fake, PENDING).json());
    entries.into_iter().find(|entry| entry["key"] == option)
}

#[test]
fn pending_values_are_as_recorded() {
    let recording = Recording::load("pending-running");
    let recorded: Value = serde_json::from_str(&recording.answer).expect("JSON");
    let reply = get(&run_renamed().fake, &recording.path);
    assert_eq!(sorted(&reply.json()), sorted(&recorded));
}

#[test]
fn some_options_of_a_running_vm_wait_for_its_next_start() {
    let fake = running();
    assert_eq!(set(&fake, "cores=4&tags=a&kvm=0&delete=cpu"), "OK");
    let expected = [
        json!({"key": "cores", "value": 1, "pending": 4}),
        json!({"key": "cpu", "value": "host", "delete": 1}),
        json!({"key": "kvm", "pending": 0}),
        json!({"key": "tags", "value": "a"}),
    ];
    let options = ["cores", "cpu", "kvm", "tags"];
    assert_eq!(
        options.map(|option| entry(&fake, option)),
        expected.map(Some)
    );
    let cores =
        |query: &str| get(&fake, &format!("{CONFIG}{query}")).json()["data"]["cores"].take();
    assert_eq!(["", "?current=0", "?current=1"].map(cores), [4, 4, 1]);
    let cpus = |fake: &FakePve| {
        let path = "/nodes/pve1/qemu/101/status/current";
        get(fake, path).json()["data"]["cpus"].take()
    };
    assert_eq!(cpus(&fake), 1);
    for action in ["stop", "start"] {
        post(&fake, &format!("/nodes/pve1/qemu/101/status/{action}"), "");
    }
    assert_eq!(
        entry(&fake, "cores"),
        Some(json!({"key": "cores", "value": 4}))
    );
    assert_eq!(cpus(&fake), 4);
}

#[test]
fn options_of_a_stopped_vm_are_never_pending() {
    let fake = with(json!({"guests": [{"vmid": 101}]})).fake;
    put(&fake, CONFIG, "cores=4");
    assert_eq!(
        entry(&fake, "cores"),
        Some(json!({"key": "cores", "value": 4}))
    );
}

#[test]
fn pending_values_need_a_privilege() {
    let tokens = json!({CLONER: {"/vms": ["VM.PowerMgmt"]}});
    let fake = with(json!({"guests": [{"vmid": 101}], "tokens": tokens})).fake;
    let refusal = "Permission check failed (/vms/101, VM.Audit)";
    assert_eq!(ask(&fake, CLONER, "GET", PENDING, "").reason, refusal);
}

#[test]
fn rows_have_the_size_and_the_uptime_of_a_guest() {
    let guest = json!({
        "vmid": 101, "name": "web-1", "status": "running", "uptime": 86400,
        "config": {"cores": 2, "sockets": 2, "memory": "4096", "scsi0": "data:101/vm-101-disk-0.raw,size=8G"},
    });
    let fake = with(json!({"guests": [guest]})).fake;
    let row = get(&fake, "/cluster/resources?type=vm").json()["data"][0].take();
    let figures = ["maxcpu", "maxmem", "maxdisk", "uptime"].map(|field| row[field].as_u64());
    let expected = [4, 4 << 30, 8 << 30, 86401];
    assert_eq!(figures, expected.map(Some));
}
