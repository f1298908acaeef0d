//! A server that stops answering while a run waits for it.

use rstest::rstest;
use serde_json::json;

use crate::fake_pve::{FakePve, Setup};
use crate::homelab::Homelab;

const CREATE: &str = "proxmox vm create web-1 debian-12 --poll-interval 0.05";
const CREATING: &str = "Creating VM 'web-1' from template 'debian-12'...\n";
const CREATED: &str = "Successfully created VM 100 'web-1' on node 'pve1'\n";
const CLONE: &str = "UPID:pve1:00000001:0000000A:6B000001:qmclone:9000:root@pam!cli:";
const OUTAGE: &str = "127.0.0.1 does not answer (Connection refused); still waiting\n\
                      127.0.0.1 answers again\n";

/// Stops listening for 0.6 s before its seventh request, which is a poll of a running clone.
fn fake() -> FakePve {
    let setup = json!({
        "guests": [{"vmid": 9000, "name": "debian-12", "template": true}],
        "clone_polls": 6,
        "faults": [{"request": 7, "refuse_ms": 600}],
    });
    FakePve::start(serde_json::from_value::<Setup>(setup).unwrap())
}

#[rstest]
#[case::in_lines("", &format!("{CREATING}{OUTAGE}"))]
#[case::with_json("--json", &format!("{CREATING}{OUTAGE}"))]
#[case::quiet("--quiet", "")]
fn an_outage_during_a_clone_is_reported_once(#[case] flag: &str, #[case] stderr: &str) {
    let seen = Homelab::at(&fake()).run(format!("{CREATE} {flag}").trim_end());
    assert_eq!((seen.exit, seen.stderr.as_str()), (Some(0), stderr));
    if flag.is_empty() {
        assert_eq!(seen.stdout, CREATED);
    }
}

#[test]
fn an_outage_while_a_task_is_awaited_is_reported_once() {
    let setup = json!({
        "guests": [{"vmid": 9000, "name": "debian-12", "template": true}],
        "clone_polls": 9,
        "faults": [{"request": 9, "refuse_ms": 600}],
    });
    let fake = FakePve::start(serde_json::from_value::<Setup>(setup).unwrap());
    let create = Homelab::at(&fake).start(CREATE);
    fake.wait_for_requests(5);
    create.kill();
    let wait = format!("proxmox task wait {CLONE} --poll-interval 0.05");
    let seen = Homelab::at(&fake).run(&wait);
    assert_eq!((seen.exit, seen.stderr.as_str()), (Some(0), OUTAGE));
}

#[rstest]
#[case::two_polls(2, "")]
#[case::three_polls(
    3,
    "node 'pve1' does not answer (595 No route to host); still waiting\nnode 'pve1' answers again\n"
)]
fn the_third_poll_in_a_row_without_an_answer_is_reported(#[case] polls: u32, #[case] note: &str) {
    let answer = json!({"status": 595, "reason": "No route to host"});
    let fault = |poll| json!({"request": 4 + poll, "answer": answer});
    let setup = json!({
        "guests": [{"vmid": 9000, "name": "debian-12", "template": true}],
        "clone_polls": 6,
        "faults": (1..=polls).map(fault).collect::<Vec<_>>(),
    });
    let fake = FakePve::start(serde_json::from_value::<Setup>(setup).unwrap());
    let seen = Homelab::at(&fake).run(CREATE);
    let expected = format!("{CREATING}{note}");
    assert_eq!((seen.exit, seen.stderr), (Some(0), expected));
}
