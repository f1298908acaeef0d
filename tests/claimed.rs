//! Two runs that make the same VM on one host.

use std::fs::File;
use std::io::Write;
use std::process;

use serde_json::json;

use crate::fake_pve::{FakePve, Setup};
use crate::homelab::{Homelab, Seen, StateDir};

const CREATE: &str = "proxmox vm create web-1 debian-12 --poll-interval 0.01";
const CREATING: &str = "Creating VM 'web-1' from template 'debian-12'...\n";

fn fake() -> FakePve {
    let setup = json!({"guests": [{"vmid": 9000, "name": "debian-12", "template": true}]});
    FakePve::start(serde_json::from_value::<Setup>(setup).unwrap())
}

/// This process has the claim as long as the file is open.
fn held(state: &StateDir) -> File {
    let mut file = File::create(format!("{}/web-1.jsonl", state.path())).unwrap();
    file.lock().unwrap();
    let run = json!({"run": {"process": process::id(), "time": 1_795_420_071}});
    writeln!(file, "{run}").unwrap();
    file
}

#[test]
fn the_second_run_is_told_who_the_first_one_is() {
    let (fake, state) = (fake(), StateDir::new());
    let _held = held(&state);
    let this = process::id();
    let expected = Seen {
        exit: Some(1),
        stdout: format!(
            "{{\"error\":{{\"kind\":\"in_progress\",\"message\":\"process {this} is making VM \
             'web-1'\",\"hint\":\"--ensure waits for its end, and then says what is there\",\
             \"vmid\":null,\"upid\":null,\"node\":null,\"started\":\"unknown\"}}}}\n"
        ),
        stderr: format!(
            "{CREATING}Failed to create VM: process {this} is making VM 'web-1'\n\
             Hint: --ensure waits for its end, and then says what is there\n"
        ),
    };
    let homelab = Homelab::at(&fake).in_state(&state);
    assert_eq!(homelab.run(&format!("{CREATE} --json")), expected);
    assert_eq!(fake.journal(), [""; 0]);
}

#[test]
fn the_second_run_waits_for_the_first_one_and_looks_afterwards() {
    let (fake, state) = (fake(), StateDir::new());
    let held = held(&state);
    let homelab = Homelab::at(&fake).in_state(&state);
    let mut run = homelab.start(&format!("{CREATE} --ensure"));
    run.has_said("Waiting for another run that makes the same VM...");
    // Nothing that is read before the first run has ended is of any worth.
    assert_eq!(fake.journal(), [""; 0]);
    drop(held);
    let seen = run.wait();
    assert_eq!(
        (seen.exit, seen.stdout.as_str()),
        (
            Some(0),
            "Successfully created VM 100 'web-1' on node 'pve1'\n"
        )
    );
}

#[test]
fn waiting_for_the_first_run_takes_no_longer_than_the_budget() {
    let (fake, state) = (fake(), StateDir::new());
    let _held = held(&state);
    let seen = Homelab::at(&fake)
        .in_state(&state)
        .run(&format!("{CREATE} --ensure --timeout 0.2"));
    let expected = format!(
        "{CREATING}Waiting for another run that makes the same VM...\n\
         Failed to create VM: Timed out after 0.2 s; waiting for process {}, which is making VM \
         'web-1'\n\
         Hint: the same command with --ensure goes on with it\n",
        process::id()
    );
    assert_eq!((seen.exit, seen.stderr), (Some(1), expected));
}

#[test]
fn runs_that_make_other_vms_do_not_wait() {
    let (fake, state) = (fake(), StateDir::new());
    let _held = held(&state);
    let homelab = Homelab::at(&fake).in_state(&state);
    let seen = homelab.run("proxmox vm create web-2 debian-12 --quiet");
    assert_eq!((seen.exit, seen.stderr.as_str()), (Some(0), ""));
}

#[test]
fn a_process_that_is_no_more_is_not_named() {
    let (fake, state) = (fake(), StateDir::new());
    let mut ended = process::Command::new("/bin/true").spawn().unwrap();
    ended.wait().unwrap();
    let mut held = File::create(format!("{}/web-1.jsonl", state.path())).unwrap();
    held.lock().unwrap();
    let run = json!({"run": {"process": ended.id(), "time": 1_795_420_071}});
    writeln!(held, "{run}").unwrap();
    let seen = Homelab::at(&fake).in_state(&state).run(CREATE);
    let said = format!(
        "{CREATING}Failed to create VM: another process is making VM 'web-1'\n\
         Hint: --ensure waits for its end, and then says what is there\n"
    );
    assert_eq!((seen.exit, seen.stderr), (Some(1), said));
}
