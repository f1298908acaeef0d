//! The commands that change existing VMs.

use rstest::rstest;
use serde_json::{Value, json};

use crate::fake_pve::{FakePve, Setup};
use crate::homelab::{Homelab, Seen, Signal, StateDir};

/// Tasks never end by themselves.
fn fake(faults: &Value) -> FakePve {
    let setup = json!({
        "guests": [
            {"vmid": 101, "name": "web-1"},
            {"vmid": 102, "name": "web-2", "status": "running"},
            {"vmid": 103, "name": "web-3"},
        ],
        "task_polls": 1_000_000,
        "faults": faults,
    });
    FakePve::start(serde_json::from_value::<Setup>(setup).unwrap())
}

#[rstest]
#[case::before_it_is_found("delete web-1 --yes", 1, "")]
#[case::before_the_request("delete web-1 --yes", 5, "")]
#[case::during_the_request("delete web-1 --yes", 6, "")]
#[case::while_it_is_deleted("delete web-1 --yes", 8, "")]
#[case::while_it_is_powered_off("delete web-2 --yes --stop", 6, "")]
#[case::during_a_start("start web-1", 4, "")]
#[case::while_it_starts("start web-1", 6, "")]
#[case::while_it_shuts_down("shutdown web-2", 6, "")]
#[case::while_it_is_stopped("stop web-2", 6, "")]
#[case::while_it_reboots("reboot web-2", 7, "")]
#[case::while_several_start("start web-1 web-2 web-3", 10, "")]
#[case::while_several_are_deleted("delete web-1 web-3 --yes", 15, "")]
fn an_interrupted_change_reports_what_continues_without_it(
    #[case] arguments: &str,
    #[case] requests: usize,
    #[case] expected: &str,
    #[values((Signal::INT, 130), (Signal::TERM, 143))] (signal, exit): (Signal, i32),
) {
    let hang = json!([{"request": requests, "hang": true}]);
    let (fake, state) = (fake(&hang), StateDir::new());
    let run = Homelab::at(&fake).in_state(&state);
    let run = run.start(&format!("proxmox vm {arguments} --poll-interval 0.01"));
    fake.wait_for_requests(requests);
    run.signal(signal);
    let expected = Seen {
        exit: Some(exit),
        stdout: String::new(),
        stderr: expected.to_owned(),
    };
    assert_eq!(run.wait(), expected, "{:#?}", fake.journal());
}
