//! The files in which runs on one host leave records for each other.

use std::fs::{self, File};
use std::io::Write;
use std::process;

use rstest::rstest;
use serde_json::json;

use crate::fake_pve::{FakePve, Setup};
use crate::homelab::{Homelab, Seen, StateDir};

const CREATE: &str = "proxmox vm create web-1 debian-12 --poll-interval 0.01";
const CREATING: &str = "Creating VM 'web-1' from template 'debian-12'...\n";

fn fake() -> FakePve {
    let setup = json!({"guests": [{"vmid": 9000, "name": "debian-12", "template": true}]});
    FakePve::start(serde_json::from_value::<Setup>(setup).unwrap())
}

/// This process holds the lock as long as the file is open.
fn held(state: &StateDir) -> File {
    let mut file = File::create(format!("{}/web-1.jsonl", state.path())).unwrap();
    file.lock().unwrap();
    let run = json!({"run": {"process": process::id(), "time": 1_795_420_071}});
    writeln!(file, "{run}").unwrap();
    file
}

#[test]
fn the_second_run_names_the_process_of_the_first() {
    let (fake, state) = (fake(), StateDir::new());
    let _held = held(&state);
    let this = process::id();
    let expected = Seen {
        exit: Some(1),
        stdout: format!(
            "{{\"error\":{{\"kind\":\"in_progress\",\"message\":\"process {this} is creating VM \
             'web-1'\",\"hint\":\"--ensure waits until it has ended, then uses or creates the VM\",\
             \"vmid\":null,\"upid\":null,\"node\":null,\"started\":\"unknown\"}}}}\n"
        ),
        stderr: format!(
            "{CREATING}Failed to create VM: process {this} is creating VM 'web-1'\n\
             Hint: --ensure waits until it has ended, then uses or creates the VM\n"
        ),
    };
    let homelab = Homelab::at(&fake).in_state(&state);
    assert_eq!(homelab.run(&format!("{CREATE} --json")), expected);
    assert_eq!(fake.journal(), [""; 0]);
}

#[test]
fn the_second_run_waits_for_the_first_before_it_reads_anything() {
    let (fake, state) = (fake(), StateDir::new());
    let held = held(&state);
    let homelab = Homelab::at(&fake).in_state(&state);
    let mut run = homelab.start(&format!("{CREATE} --ensure"));
    run.wait_for_stderr("Waiting for another run that is creating the same VM...");
    // Anything read before the first run has ended would be outdated.
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
fn waiting_for_the_first_run_ends_at_the_time_limit() {
    let (fake, state) = (fake(), StateDir::new());
    let _held = held(&state);
    let seen = Homelab::at(&fake)
        .in_state(&state)
        .run(&format!("{CREATE} --ensure --timeout 0.2"));
    let expected = format!(
        "{CREATING}Waiting for another run that is creating the same VM...\n\
         Failed to create VM: Timed out after 0.2 s; process {} is still creating VM 'web-1'\n\
         Hint: run the same command with --ensure to resume\n",
        process::id()
    );
    assert_eq!((seen.exit, seen.stderr), (Some(1), expected));
}

#[test]
fn runs_for_other_vms_do_not_wait() {
    let (fake, state) = (fake(), StateDir::new());
    let _held = held(&state);
    let homelab = Homelab::at(&fake).in_state(&state);
    let seen = homelab.run("proxmox vm create web-2 debian-12 --quiet");
    assert_eq!((seen.exit, seen.stderr.as_str()), (Some(0), ""));
}

#[test]
fn a_process_that_has_ended_is_not_named() {
    let (fake, state) = (fake(), StateDir::new());
    let mut ended = process::Command::new("/bin/true").spawn().unwrap();
    ended.wait().unwrap();
    let mut held = File::create(format!("{}/web-1.jsonl", state.path())).unwrap();
    held.lock().unwrap();
    let run = json!({"run": {"process": ended.id(), "time": 1_795_420_071}});
    writeln!(held, "{run}").unwrap();
    let seen = Homelab::at(&fake).in_state(&state).run(CREATE);
    let expected = format!(
        "{CREATING}Failed to create VM: another process is creating VM 'web-1'\n\
         Hint: --ensure waits until it has ended, then uses or creates the VM\n"
    );
    assert_eq!((seen.exit, seen.stderr), (Some(1), expected));
}

/// The files in the state directory, by name.
fn files(state: &StateDir) -> Vec<String> {
    let files = fs::read_dir(state.path()).unwrap();
    let names = files.map(|file| file.unwrap().file_name());
    names.map(|name| name.into_string().unwrap()).collect()
}

#[rstest]
#[case::no_such_template("web-1 nosuch", &[])]
#[case::no_such_storage("web-1 debian-12 --storage nosuch", &[])]
#[case::the_vm_exists("db-1 debian-12", &[])]
#[case::the_vm_exists_and_is_used("db-1 debian-12 --ensure", &[])]
#[case::it_was_created("web-1 debian-12", &["web-1.jsonl"])]
fn only_files_that_the_next_run_needs_remain_in_the_state_directory(
    #[case] arguments: &str,
    #[case] expected: &[&str],
) {
    let setup = json!({"guests": [
        {"vmid": 100, "name": "db-1"},
        {"vmid": 9000, "name": "debian-12", "template": true},
    ]});
    let fake = FakePve::start(serde_json::from_value::<Setup>(setup).unwrap());
    let state = StateDir::new();
    let homelab = Homelab::at(&fake).in_state(&state);
    homelab.run(&format!(
        "proxmox vm create {arguments} --poll-interval 0.01"
    ));
    assert_eq!(files(&state), expected);
}

/// The first run removes its file when it ends; the second one, which waits for the lock, must not treat
/// the lock of the removed file as its own.
#[test]
fn a_run_that_waits_gets_the_lock_of_a_file_that_exists() {
    let setup = json!({"guests": [], "faults": [{"request": 1, "hang": true}]});
    let fake = FakePve::start(serde_json::from_value::<Setup>(setup).unwrap());
    let state = StateDir::new();
    let homelab = || Homelab::at(&fake).in_state(&state);
    let first = homelab().start(&format!("{CREATE} --request-timeout 0.3"));
    fake.wait_for_requests(1);
    let mut second = homelab().start(&format!("{CREATE} --ensure --timeout 20"));
    second.wait_for_stderr("Waiting for another run that is creating the same VM...");
    let ended = [first.wait().exit, second.wait().exit];
    assert_eq!(ended, [Some(1), Some(1)]);
    assert_eq!(files(&state), [""; 0]);
}
