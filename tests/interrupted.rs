//! Ctrl-C and `kill` at every stage of a run.

use std::io::{self, Read, Write};

use rstest::rstest;
use serde_json::json;

use crate::fake_pve::{FakePve, Setup};
use crate::homelab::{Homelab, Seen, secrets};

const CREATE: &str = "proxmox vm create web-1 debian-12 --poll-interval 0.01";

fn fake(faults: &serde_json::Value) -> FakePve {
    let setup = json!({
        "guests": [{"vmid": 9000, "name": "debian-12", "template": true}],
        "clone_looks": 1_000_000,
        "faults": faults,
    });
    FakePve::start(serde_json::from_value::<Setup>(setup).unwrap())
}

#[rstest]
#[case::before_the_clone(
    json!([{"request": 1, "hang": true}]), 1,
    "interrupted; nothing was started",
    "there is nothing to clean up; run it again",
)]
#[case::between_the_request_and_its_answer(
    json!([{"request": 3, "hang": true}]), 3,
    "interrupted; VM 100 'web-1' on node 'pve1' may or may not be in the making",
    "the same command with --ensure goes on with it",
)]
#[case::while_the_clone_runs(
    json!([]), 6,
    "interrupted; the clone to VM 100 'web-1' on node 'pve1' is still running",
    "the same command with --ensure goes on with it; to wait only: homelab proxmox task wait \
     'UPID:pve1:00000001:0000000A:6B000001:qmclone:9000:root@pam!cli:'",
)]
fn a_run_says_what_goes_on_without_it(
    #[case] faults: serde_json::Value,
    #[case] requests: usize,
    #[case] message: &str,
    #[case] hint: &str,
    #[values(("INT", 130), ("TERM", 143))] (signal, exit): (&str, i32),
) {
    let fake = fake(&faults);
    let run = Homelab::at(&fake).start(CREATE);
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
}

#[test]
fn a_script_reads_it_too() {
    let fake = fake(&json!([{"request": 3, "hang": true}]));
    let run = Homelab::at(&fake).start(&format!("{CREATE} --json"));
    fake.wait_for_requests(3);
    run.signal("TERM");
    let expected = concat!(
        r#"{"error":{"kind":"interrupted","message":"interrupted; VM 100 'web-1' on node 'pve1' "#,
        r#"may or may not be in the making","hint":"the same command with --ensure goes on with "#,
        r#"it","vmid":100,"upid":null,"node":"pve1","started":"unknown"}}"#,
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
    run.signal("INT");
    let expected = format!(
        "Failed to wait for the task: interrupted; the task on node 'pve1' may still be running\n\
         Hint: to go on waiting: homelab proxmox task wait '{upid}'\n"
    );
    let seen = run.wait();
    assert_eq!((seen.exit, seen.stderr), (Some(130), expected));
}

/// Nobody reads stderr, and its pipe takes the first line only: the answer to the first signal
/// hangs.
#[test]
fn a_second_signal_ends_the_run_at_once() {
    const PIPE_HOLDS: usize = 65536;
    let first_line = "Creating VM 'web-1' from template 'debian-12'...\n";
    let fake = fake(&json!([{"request": 1, "hang": true}]));
    let (mut unread, mut stderr) = io::pipe().unwrap();
    let filling = vec![b'.'; PIPE_HOLDS - first_line.len()];
    stderr.write_all(&filling).unwrap();
    let mut run = Homelab::at(&fake).start_into(CREATE, stderr);
    fake.wait_for_requests(1);
    run.signal("INT");
    // Which of two signals that arrive together is the first is not said, so: until one is second.
    while !run.has_ended() {
        run.signal("TERM");
    }
    assert_eq!(run.wait().exit, Some(143));
    let mut said = Vec::new();
    unread.read_to_end(&mut said).unwrap();
    secrets::expect_none("stderr", &said);
}
