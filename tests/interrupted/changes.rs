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
#[case::before_it_is_found(
    "delete web-1 --yes",
    1,
    "Failed to delete VM: interrupted; nothing was started\n\
     Hint: nothing to clean up; run the command again\n"
)]
#[case::before_the_request(
    "delete web-1 --yes",
    5,
    "interrupted; VM 101 'web-1' on node 'pve1' was not deleted\n\
     Hint: run the same command again\n"
)]
#[case::during_the_request(
    "delete web-1 --yes",
    6,
    "Deleting VM 101...\n\
     interrupted; VM 101 'web-1' on node 'pve1' may or may not have been deleted\n\
     Hint: run the same command again, with --if-exists\n"
)]
#[case::while_it_is_deleted(
    "delete web-1 --yes",
    8,
    "Deleting VM 101...\n\
     interrupted; VM 101 'web-1' on node 'pve1' is still being deleted\n\
     Hint: run the same command again, with --if-exists; to wait only: homelab proxmox task wait 'UPID:pve1:00000001:0000000A:6B000001:qmdestroy:101:root@pam!cli:'\n"
)]
#[case::while_it_is_powered_off(
    "delete web-2 --yes --stop",
    7,
    "Powering off VM 102...\n\
     interrupted; VM 102 'web-2' on node 'pve1' is still being powered off\n\
     Hint: run the same command again; to wait only: homelab proxmox task wait 'UPID:pve1:00000001:0000000A:6B000001:qmstop:102:root@pam!cli:'\n"
)]
#[case::during_a_start(
    "start web-1",
    5,
    "Starting VM 101...\n\
     interrupted; VM 101 'web-1' on node 'pve1' may or may not have been started\n\
     Hint: run the same command again\n"
)]
#[case::while_it_starts(
    "start web-1",
    7,
    "Starting VM 101...\n\
     interrupted; VM 101 'web-1' on node 'pve1' is still being started\n\
     Hint: run the same command again; to wait only: homelab proxmox task wait 'UPID:pve1:00000001:0000000A:6B000001:qmstart:101:root@pam!cli:'\n"
)]
#[case::while_it_shuts_down(
    "shutdown web-2",
    7,
    "Shutting down VM 102...\n\
     interrupted; VM 102 'web-2' on node 'pve1' is still being shut down\n\
     Hint: run the same command again; to wait only: homelab proxmox task wait 'UPID:pve1:00000001:0000000A:6B000001:qmshutdown:102:root@pam!cli:'\n"
)]
#[case::while_it_is_stopped(
    "stop web-2",
    7,
    "Powering off VM 102...\n\
     interrupted; VM 102 'web-2' on node 'pve1' is still being powered off\n\
     Hint: run the same command again; to wait only: homelab proxmox task wait 'UPID:pve1:00000001:0000000A:6B000001:qmstop:102:root@pam!cli:'\n"
)]
#[case::while_it_reboots(
    "reboot web-2",
    7,
    "Rebooting VM 102...\n\
     interrupted; VM 102 'web-2' on node 'pve1' is still being rebooted\n\
     Hint: run the same command again; to wait only: homelab proxmox task wait 'UPID:pve1:00000001:0000000A:6B000001:qmreboot:102:root@pam!cli:'\n"
)]
#[case::while_several_start(
    "start web-1 web-2 web-3",
    14,
    "Starting VM 101...\n\
     Starting VM 103...\n\
     interrupted; VM 101 'web-1' on node 'pve1' is still being started; VM 102 'web-2' on node 'pve1' needed no \
     change; VM 103 'web-3' on node 'pve1' is still being started\n\
     Hint: run the same command again\n"
)]
#[case::while_several_are_deleted(
    "delete web-1 web-3 --yes",
    15,
    "Deleting VM 101...\n\
     Deleting VM 103...\n\
     interrupted; VM 101 'web-1' on node 'pve1' is still being deleted; VM 103 'web-3' on node \
     'pve1' is still being deleted\n\
     Hint: run the same command again\n"
)]
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
