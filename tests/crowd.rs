//! Many simultaneous runs on a cluster where they get in each other's way.

use std::collections::BTreeSet;

use serde_json::json;

use crate::chaos::report::{Ready, Report, read};
use crate::fake_pve::{FakePve, Setup};
use crate::homelab::{Homelab, Running, StateDir};

const RUNS: usize = 32;

fn busy_cluster() -> FakePve {
    let setup = json!({
        "nodes": ["pve1", "pve2"],
        "guests": [
            {"vmid": 100, "name": "router", "node": "pve2"},
            {"vmid": 9000, "name": "debian-12", "template": true},
        ],
        // Each run polls once or twice before a worker begins.
        "clone_steps": {"appears": 40, "named": 120, "done": 200},
        "copying_at_once": 12,
        "strangers_every": 12,
        "rows": {"every_ms": 200},
    });
    FakePve::start(serde_json::from_value::<Setup>(setup).unwrap())
}

fn create(name: &str, arguments: &str) -> String {
    format!(
        "proxmox vm create {name} debian-12 --json --poll-interval 0.02 --timeout 40{arguments}"
    )
}

fn ready(running: Running) -> Ready {
    let seen = running.wait();
    match read(&seen) {
        Ok(Report::Ready(ready)) => ready,
        otherwise => panic!("{otherwise:?}\n{}", seen.stderr),
    }
}

#[test]
fn each_run_of_a_crowd_gets_its_own_vm() {
    let fake = busy_cluster();
    let state = StateDir::new();
    let names: Vec<String> = (1..=RUNS).map(|number| format!("web-{number}")).collect();
    let start = |name: &String| Homelab::at(&fake).in_state(&state).start(&create(name, ""));
    let running: Vec<Running> = names.iter().map(start).collect();
    let ready: Vec<Ready> = running.into_iter().map(ready).collect();

    let vmids: BTreeSet<u32> = ready.iter().map(|ready| ready.vmid).collect();
    assert_eq!(vmids.len(), RUNS);
    fake.finish_all();
    for (name, ready) in names.iter().zip(&ready) {
        assert_eq!((name, ready.created), (&ready.name, true));
        assert_eq!(fake.vms_named(name), [ready.vmid], "{name}");
    }
    let requests: Vec<usize> = names
        .iter()
        .map(|name| requests_that_count(&fake, name))
        .collect();
    assert!(requests.iter().all(|times| *times <= 8), "{requests:?}");
    let races = fake.cluster().races;
    assert!(races.iter().all(|times| *times > 0), "{races:?}");
}

/// The clone requests for this name, without those that failed because of a temporary lock.
fn requests_that_count(fake: &FakePve, name: &str) -> usize {
    let parameter = format!("name={name}&");
    let journal = fake.journal();
    let posts = journal.iter().filter(|line| line.contains(&parameter));
    let cluster = fake.cluster();
    let waited = cluster.tasks.iter().filter(|task| {
        let storage_was_busy = task.exit.starts_with("clone failed: ");
        task.order.name == name && storage_was_busy
    });
    posts.count() - waited.count()
}

#[test]
fn a_crowd_that_requests_the_same_vm_gets_one() {
    let fake = busy_cluster();
    let state = StateDir::new();
    let arguments = create("web-1", " --ensure");
    let start = |_| Homelab::at(&fake).in_state(&state).start(&arguments);
    let running: Vec<Running> = (0..16).map(start).collect();
    let ready: Vec<Ready> = running.into_iter().map(ready).collect();

    fake.finish_all();
    let vms = fake.vms_named("web-1");
    let vmids: BTreeSet<u32> = ready.iter().map(|ready| ready.vmid).collect();
    assert_eq!(vms, Vec::from_iter(vmids));
    assert_eq!(vms.len(), 1);
    let created = ready.iter().filter(|ready| ready.created);
    assert_eq!(created.count(), 1);
}
