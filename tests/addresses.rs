//! The addresses that guest agents report. `vm list --ip` asks several agents at once, so that a slow one
//! does not delay the others; `vm create --wait-ip` waits for one, even if the VM moves.

use rstest::rstest;
use serde_json::json;

use crate::fake_pve::{FakePve, Setup};
use crate::homelab::Homelab;

fn fake(setup: serde_json::Value) -> FakePve {
    FakePve::start(serde_json::from_value::<Setup>(setup).unwrap())
}

fn sorted_requests(fake: &FakePve) -> Vec<String> {
    let mut requests = fake.take_journal();
    requests.sort();
    requests
}

/// Five VMs in different states.
fn some_vms(faults: &serde_json::Value) -> FakePve {
    fake(json!({
        "guests": [
            {"vmid": 100, "name": "router", "status": "running"},
            {"vmid": 101, "name": "web-1", "status": "running"},
            {"vmid": 102, "name": "off"},
            {"vmid": 103, "name": "mute", "status": "running", "config": {"agent": null}},
            {"vmid": 104, "name": "booting", "status": "running"},
            {"vmid": 9000, "name": "debian-12", "template": true},
        ],
        "agents": {"104": {"polls": 1000}},
        "faults": faults,
    }))
}

#[test]
fn each_running_vm_is_shown_with_the_address_its_agent_reports() {
    let fake = some_vms(&json!([]));
    let seen = Homelab::at(&fake).run("proxmox vm list --ip");
    assert_eq!((seen.exit, seen.stderr.as_str()), (Some(0), ""));
    let expected = "\
VMID  Name     Status   Node  IP
100   router   running  pve1  10.0.0.4
101   web-1    running  pve1  10.0.0.5
102   off      stopped  pve1  -
103   mute     running  pve1  -
104   booting  running  pve1  -
";
    assert_eq!(seen.stdout, expected);
    // No request is sent for a VM that is off, nor to an agent that is not configured.
    let expected = [
        "GET /cluster/resources?type=vm",
        "GET /nodes/pve1/qemu/100/agent/network-get-interfaces",
        "GET /nodes/pve1/qemu/100/config",
        "GET /nodes/pve1/qemu/101/agent/network-get-interfaces",
        "GET /nodes/pve1/qemu/101/config",
        "GET /nodes/pve1/qemu/103/config",
        "GET /nodes/pve1/qemu/104/agent/network-get-interfaces",
        "GET /nodes/pve1/qemu/104/config",
    ];
    assert_eq!(sorted_requests(&fake), expected);
}

#[test]
fn an_unknown_address_is_null_in_json() {
    let fake = some_vms(&json!([]));
    let seen = Homelab::at(&fake).run("proxmox vm list --ip --json");
    let rows: serde_json::Value = serde_json::from_str(&seen.stdout).unwrap();
    let rows = rows.as_array().unwrap();
    let addresses: Vec<&serde_json::Value> = rows.iter().map(|row| &row["ip"]).collect();
    assert_eq!(
        addresses,
        [
            &json!("10.0.0.4"),
            &json!("10.0.0.5"),
            &json!(null),
            &json!(null),
            &json!(null)
        ]
    );
}

#[test]
fn without_the_option_no_address_is_requested_or_shown() {
    let fake = some_vms(&json!([]));
    let seen = Homelab::at(&fake).run("proxmox vm list --json");
    assert!(!seen.stdout.contains("\"ip\""), "{}", seen.stdout);
    assert_eq!(sorted_requests(&fake), ["GET /cluster/resources?type=vm"]);
}

#[test]
fn an_agent_that_cannot_be_asked_is_a_warning_and_the_others_are_shown() {
    let fake = some_vms(&json!([{"on": "GET /nodes/pve1/qemu/100/agent", "hang": true}]));
    let seen = Homelab::at(&fake).run("proxmox vm list --ip --request-timeout 0.5");
    let warning = format!(
        "Warning: cannot get the address of VM 100: no answer from {}: no complete response within 0.5 s; ",
        fake.address()
    );
    assert!(seen.stderr.starts_with(&warning), "{}", seen.stderr);
    let shown: Vec<&str> = seen.stdout.lines().skip(1).take(2).collect();
    assert_eq!(
        (seen.exit, shown),
        (
            Some(0),
            vec![
                "100   router   running  pve1  -",
                "101   web-1    running  pve1  10.0.0.5"
            ]
        )
    );
}

#[test]
fn one_of_several_agents_that_refuse_is_named_and_the_others_are_shown() {
    let error = json!({"class": "CommandNotFound", "desc": "Command x has been disabled"});
    let refuses = |vmid: u32| {
        json!({"on": format!("GET /nodes/pve1/qemu/{vmid}/agent"),
            "json": {"data": {"result": {"error": error}}}})
    };
    let fake = some_vms(&json!([refuses(101), refuses(104)]));
    let seen = Homelab::at(&fake).run("proxmox vm list --ip");
    let warning = "Warning: cannot get the address of VM 101 and 1 more: guest agent error: Command x has \
                   been disabled; in the guest, allow guest-network-get-interfaces ";
    assert!(seen.stderr.starts_with(warning), "{}", seen.stderr);
    let shown: Vec<&str> = seen.stdout.lines().skip(1).take(2).collect();
    let expected = [
        "100   router   running  pve1  10.0.0.4",
        "101   web-1    running  pve1  -",
    ];
    assert_eq!((seen.exit, &shown[..]), (Some(0), &expected[..]));
}

#[test]
fn at_most_eight_agents_are_asked_concurrently() {
    let guests: Vec<_> = (100..110)
        .map(|vmid| json!({"vmid": vmid, "name": format!("vm-{vmid}"), "status": "running"}))
        .collect();
    let silent: Vec<_> = (100..110)
        .map(|vmid| json!({"on": format!("GET /nodes/pve1/qemu/{vmid}/agent"), "hang": true}))
        .collect();
    let fake = fake(json!({"guests": guests, "faults": silent}));
    let run = Homelab::at(&fake).start("proxmox vm list --ip");
    // The list, then the configuration and the agent of eight VMs: then all wait.
    fake.wait_for_requests(1 + 8 + 8);
    run.kill();
    let requests = sorted_requests(&fake);
    let agents = requests.iter().filter(|it| it.contains("/agent/")).count();
    assert_eq!((agents, requests.len()), (8, 17));
}

const WEB_1: &str = "proxmox vm create web-1 debian-12 --ensure --wait-ip --poll-interval 0.01";

/// A VM whose agent is silent, on the first of two nodes.
fn booting_vm() -> FakePve {
    fake(json!({
        "nodes": ["pve1", "pve2"],
        "guests": [
            {"vmid": 101, "name": "web-1", "status": "running"},
            {"vmid": 9000, "name": "debian-12", "template": true},
        ],
        "agent": {"polls": 1000},
    }))
}

#[test]
fn a_vm_that_moves_while_a_run_waits_for_its_address_is_asked_on_its_new_node() {
    let fake = booting_vm();
    let run = Homelab::at(&fake).start(WEB_1);
    // The list, the configuration, the status, and the first request to the agent.
    fake.wait_for_requests(4);
    let mut cluster = fake.cluster();
    cluster.guests.get_mut(&101).unwrap().node = "pve2".to_owned();
    cluster.setup.agent.polls = 0;
    drop(cluster);
    let seen = run.wait();
    let line = "VM 101 'web-1' already exists on node 'pve2' at 10.0.0.5\n";
    assert_eq!((seen.exit, seen.stdout.as_str()), (Some(0), line));
}

#[test]
fn a_vm_that_is_destroyed_while_a_run_waits_for_its_address_is_reported_as_gone() {
    let fake = booting_vm();
    let run = Homelab::at(&fake).start(WEB_1);
    fake.wait_for_requests(4);
    fake.cluster().remove(101);
    let seen = run.wait();
    let message = "VM 101 'web-1' already exists on node 'pve1', but it was deleted\n";
    let stderr = seen.stderr.split_once('\n').unwrap().1;
    assert!(stderr.starts_with(message), "{stderr}");
    assert_eq!(seen.exit, Some(1));
}

/// The other VM is off, or its agent reports an address.
#[rstest]
#[case::off("stopped")]
#[case::on("running")]
fn a_vm_of_another_user_at_the_same_vmid_is_not_waited_for(#[case] status: &str) {
    let fake = booting_vm();
    let run = Homelab::at(&fake).start(&format!("{WEB_1} --ip-from 0.0.0.0/0"));
    fake.wait_for_requests(4);
    let mut cluster = fake.cluster();
    cluster.setup.agent.polls = 0;
    cluster.remove(101);
    cluster.add_stranger(101, 0, "db-1", false, false);
    status.clone_into(&mut cluster.guests.get_mut(&101).unwrap().status);
    drop(cluster);
    let seen = run.wait();
    let message = "VM 101 'web-1' already exists on node 'pve1', but it was deleted, and its \
                   VMID now belongs to VM 101 'db-1' on node 'pve1', which was not changed\n";
    let stderr = seen.stderr.split_once('\n').unwrap().1;
    assert!(stderr.starts_with(message), "{stderr}");
    assert_eq!((seen.exit, seen.stdout.as_str()), (Some(1), ""));
}
