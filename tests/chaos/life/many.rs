//! 50 VMs in one command.

use rstest::rstest;
use serde_json::{Value, json};

use super::verbs::is_change;
use crate::fake_pve::{FakePve, Setup};
use crate::homelab::{Homelab, StateDir};

const COUNT: usize = 50;

/// All are changed before the first one is waited for, and each takes few requests, polls aside.
#[rstest]
#[case::delete("delete --yes", "stopped", 6)]
#[case::delete_running("delete --yes --stop", "running", 11)]
#[case::start("start", "stopped", 6)]
#[case::shutdown("shutdown", "running", 6)]
#[case::stop("stop", "running", 6)]
#[case::reboot_with_polls_of_its_status("reboot", "running", 10)]
fn many_vms_take_few_requests(#[case] verb: &str, #[case] status: &str, #[case] most: usize) {
    let guests = (1..=COUNT).map(|number| {
        let name = format!("web-{number}");
        json!({"vmid": 100 + number, "name": name, "status": status})
    });
    let setup = json!({"guests": guests.collect::<Vec<Value>>(), "task_polls": 2});
    let setup: Setup = serde_json::from_value(setup).unwrap();
    let (fake, state) = (FakePve::start(setup), StateDir::new());
    let names: Vec<String> = (1..=COUNT).map(|number| format!("web-{number}")).collect();
    let (verb, options) = verb.split_once(' ').unwrap_or((verb, "--quiet"));
    let line = format!(
        "proxmox vm {verb} {} {options} --poll-interval 0.1",
        names.join(" ")
    );
    let seen = Homelab::at(&fake).in_state(&state).run(&line);
    assert_eq!(seen.exit, Some(0), "{}", seen.stderr);

    let journal = fake.journal();
    let is_poll = |line: &&String| line.contains("/tasks/UPID:");
    let first_poll = journal.iter().position(|line| is_poll(&line));
    let begun = &journal[..first_poll.expect("tasks are polled")];
    assert_eq!(begun.iter().filter(|line| is_change(line)).count(), COUNT);
    assert_eq!(begun[0], "GET /cluster/resources?type=vm");
    let others = journal.iter().filter(|line| !is_poll(line)).count() - 1;
    assert!(others <= most * COUNT, "{others} requests:\n{journal:#?}");
}
