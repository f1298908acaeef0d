//! Ctrl-C and `kill` at every stage of a run.

mod changes;

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read, Write};
use std::process::Stdio;
use std::time::{Duration, Instant};

use rstest::rstest;
use serde_json::{Value, json};

use crate::chaos::report::{Report, read};
use crate::fake_pve::{FakePve, Setup};
use crate::homelab::{Homelab, Seen, Signal, StateDir, secrets};

/// How many bytes a pipe holds.
const PIPE_HOLDS: usize = 65536;
const CREATE: &str = "proxmox vm create web-1 debian-12 --poll-interval 0.01";

fn fake(faults: &Value) -> FakePve {
    let setup = json!({
        "guests": [{"vmid": 9000, "name": "debian-12", "template": true}],
        "clone_polls": 1_000_000,
        "faults": faults,
    });
    FakePve::start(serde_json::from_value::<Setup>(setup).unwrap())
}

#[rstest]
#[case::before_the_clone(
    json!([{"request": 1, "hang": true}]), 1,
    "interrupted; nothing was started",
    "nothing to clean up; run the command again",
    0,
)]
#[case::between_the_request_and_its_answer(
    json!([{"request": 3, "hang": true}]), 3,
    "interrupted; VM 100 'web-1' on node 'pve1' may or may not be being created",
    "run the same command with --ensure to resume",
    1,
)]
#[case::while_the_clone_runs(
    json!([]), 6,
    "interrupted; the clone to VM 100 'web-1' on node 'pve1' is still running",
    "run the same command with --ensure to resume; to wait only: homelab proxmox task wait \
     'UPID:pve1:00000001:0000000A:6B000001:qmclone:9000:root@pam!cli:'; to cancel the clone: homelab proxmox task \
     cancel 'UPID:pve1:00000001:0000000A:6B000001:qmclone:9000:root@pam!cli:'",
    1,
)]
fn an_interrupted_run_reports_what_continues_without_it(
    #[case] faults: Value,
    #[case] requests: usize,
    #[case] message: &str,
    #[case] hint: &str,
    #[case] files: usize,
    #[values((Signal::INT, 130), (Signal::TERM, 143))] (signal, exit): (Signal, i32),
) {
    let (fake, state) = (fake(&faults), StateDir::new());
    let run = Homelab::at(&fake).in_state(&state).start(CREATE);
    fake.wait_for_requests(requests);
    run.signal(signal);
    let expected = Seen {
        exit: Some(exit),
        stdout: String::new(),
        stderr: format!(
            "Creating VM 'web-1' from template 'debian-12'...\n\
             Failed to create VM: {message}\nHint: {hint}\n"
        ),
    };
    assert_eq!(run.wait(), expected);
    // A run that started nothing leaves no file behind.
    assert_eq!(fs::read_dir(state.path()).unwrap().count(), files);
}

#[test]
fn an_interrupted_run_prints_a_json_document() {
    let fake = fake(&json!([{"request": 3, "hang": true}]));
    let run = Homelab::at(&fake).start(&format!("{CREATE} --json"));
    fake.wait_for_requests(3);
    run.signal(Signal::TERM);
    let expected = concat!(
        r#"{"error":{"kind":"interrupted","message":"interrupted; VM 100 'web-1' on node 'pve1' "#,
        r#"may or may not be being created","hint":"run the same command with --ensure to "#,
        r#"resume","vmid":100,"upid":null,"node":"pve1","started":"unknown"}}"#,
        "\n"
    );
    let seen = run.wait();
    assert_eq!((seen.exit, seen.stdout.as_str()), (Some(143), expected));
}

#[test]
fn waiting_for_a_task_can_be_interrupted() {
    let fake = fake(&json!([]));
    let upid = "UPID:pve1:00000001:0000000A:6B000001:qmclone:9000:root@pam!cli:";
    let create = Homelab::at(&fake).start(CREATE);
    fake.wait_for_requests(4);
    create.kill();
    let requests = fake.journal().len();
    let run = Homelab::at(&fake).start(&format!("proxmox task wait {upid} --poll-interval 0.01"));
    fake.wait_for_requests(requests + 1);
    run.signal(Signal::INT);
    let expected = format!(
        "Failed to wait for the task: interrupted; the task on node 'pve1' may still be running\n\
         Hint: to continue waiting: homelab proxmox task wait '{upid}'\n"
    );
    let seen = run.wait();
    assert_eq!((seen.exit, seen.stderr), (Some(130), expected));
}

/// Nobody reads stderr, and its pipe holds only the first line, so that handling the first signal blocks.
#[test]
fn a_second_signal_ends_the_run_at_once() {
    let first_line = "Creating VM 'web-1' from template 'debian-12'...\n";
    let fake = fake(&json!([{"request": 1, "hang": true}]));
    let (mut unread, mut stderr) = io::pipe().unwrap();
    let filling = vec![b'.'; PIPE_HOLDS - first_line.len()];
    stderr.write_all(&filling).unwrap();
    let mut run = Homelab::at(&fake).start_into(CREATE, Stdio::piped(), stderr);
    fake.wait_for_requests(1);
    run.signal(Signal::INT);
    // The order of two simultaneous signals is undefined, so signals are sent until one is the second.
    while !run.has_ended() {
        run.signal(Signal::TERM);
    }
    assert_eq!(run.wait().exit, Some(143));
    let mut rest = Vec::new();
    unread.read_to_end(&mut rest).unwrap();
    secrets::expect_none("stderr", &rest);
}

/// The run has printed its message and blocks while it writes its JSON document to a full pipe.
#[test]
fn a_signal_while_a_failure_is_printed_changes_nothing() {
    let fake = fake(&json!([]));
    for _ in 0..10 {
        let (mut unread, mut stdout) = io::pipe().unwrap();
        let mut filling = vec![b' '; PIPE_HOLDS];
        stdout.write_all(&filling).unwrap();
        let arguments = "proxmox vm create web-1 nosuch --json";
        let mut run = Homelab::at(&fake).start_into(arguments, stdout, Stdio::piped());
        run.wait_for_stderr("Hint: ");
        run.signal(Signal::TERM);
        unread.read_exact(&mut filling).unwrap();
        let ended = run.wait();
        let mut document = String::new();
        unread.read_to_string(&mut document).unwrap();
        let document: Value = serde_json::from_str(&document).unwrap();
        assert_eq!(document["error"]["kind"], "template_not_found");
        assert_eq!((ended.exit, ended.stderr.as_str()), (Some(1), ""));
    }
}

/// The number of runs; the delay from last request to signal grows by 20 µs each.
const MOMENTS: u32 = 100;
const CLONE: &str = "UPID:pve1:00000001:0000000A:6B000001:qmclone:9000:root@pam!cli:";

/// Whether the signal or its own result ends the run: message, document and exit code agree. Unless the
/// last request polls a task, nothing is reported as still running.
#[rstest]
#[case::nothing_is_started("create VM", "vm create web-1 nosuch", json!({}), 1, 1, false)]
#[case::the_vm_is_created("create VM", "vm create web-1 debian-12", json!({}), 4, 0, true)]
#[case::the_clone_fails(
    "create VM", "vm create web-1 debian-12", json!({"clone_exit": "no space"}), 7, 1, false
)]
#[case::the_clone_warns(
    "create VM", "vm create web-1 debian-12", json!({"clone_exit": "WARNINGS: 1"}), 5, 0, false
)]
#[case::the_vm_does_not_start(
    "create VM", "vm create web-1 debian-12 --start", json!({"start_exit": "no memory"}), 9, 1, false
)]
#[case::the_vm_starts("create VM", "vm create web-1 debian-12 --start", json!({}), 9, 0, false)]
#[case::the_task_has_failed(
    "wait for the task", &format!("task wait {CLONE}"), json!({"clone_exit": "no space"}), 2, 1, false
)]
fn a_signal_near_the_end_of_a_run_gives_one_report(
    #[case] verb: &str,
    #[case] arguments: &str,
    #[case] mut setup: Value,
    #[case] requests: usize,
    #[case] exit: i32,
    #[case] may_go_on: bool,
) {
    setup["guests"] = json!([{"vmid": 9000, "name": "debian-12", "template": true}]);
    let setup: Setup = serde_json::from_value(setup).unwrap();
    let mut exits = BTreeSet::new();
    for moment in 0..MOMENTS {
        let fake = FakePve::start(setup.clone());
        if arguments.starts_with("task") {
            Homelab::at(&fake).run("proxmox vm create web-1 debian-12");
        }
        let before = fake.take_journal().len();
        let run = Homelab::at(&fake).start(&format!("proxmox {arguments} --json"));
        fake.wait_for_requests(before + requests);
        let moment = Instant::now() + moment * Duration::from_micros(20);
        while Instant::now() < moment {}
        run.signal(Signal::TERM);
        let seen = run.wait();
        let one_end = expect_one_end(&seen, verb, exit, may_go_on);
        one_end.unwrap_or_else(|why| panic!("{why}: {seen:?}"));
        assert_eq!(fake.journal().len(), requests, "{:?}", fake.journal());
        exits.insert(seen.exit);
    }
    assert!(exits.contains(&Some(143)), "no signal came in time");
}

fn expect_one_end(seen: &Seen, verb: &str, exit: i32, may_go_on: bool) -> Result<(), String> {
    let ends = |line: &&str| !line.starts_with("Creating VM ") && !line.starts_with("Warning: ");
    let lines: Vec<&str> = seen.stderr.lines().filter(ends).collect();
    let error = match (read(seen)?, seen.exit) {
        (Report::Ready(_), Some(0)) if exit == 0 && lines.is_empty() => return Ok(()),
        (Report::Failed { error }, Some(143)) if error.kind == "interrupted" => error,
        (Report::Failed { error }, Some(1)) if exit == 1 && error.kind != "interrupted" => error,
        _ => return Err("exit code, document and message do not agree".to_owned()),
    };
    if !may_go_on && error.message.contains(" still ") {
        return Err("something that has ended is reported as still running".to_owned());
    }
    let mut expected = vec![error.message.clone()];
    if !error.message.starts_with("VM ") {
        expected = vec![format!("Failed to {verb}: {}", error.message)];
    }
    expected.extend(error.log.iter().map(|line| format!("  {line}")));
    expected.extend(error.hint.map(|hint| format!("Hint: {hint}")));
    if lines == expected {
        Ok(())
    } else {
        Err("stderr and document differ".to_owned())
    }
}
