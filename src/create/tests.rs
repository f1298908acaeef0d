//! The workflow against a mock server, with a clock that jumps instead of sleeping.

use std::path::Path;
use std::time::Duration;

use argh::FromArgs;
use mockito::{Mock, Server, ServerGuard};
use rstest::rstest;

use super::*;
use crate::cli::VmCreate;
use crate::pve::tests::client_of;
use crate::pve::types::{Node, Vmid};
use crate::say::vm;
use crate::ui::progress::{Progress, Verbosity};
use crate::wait::Budget;
use crate::wait::tests::JumpingClock;

const UPID: &str = "UPID:pve1:000001E0:0001ECB8:6B03EE51:qmclone:9000:root@pam!cli:";
const STATUS: &str = "/api2/json/nodes/pve1/tasks/\
    UPID%3Apve1%3A000001E0%3A0001ECB8%3A6B03EE51%3Aqmclone%3A9000%3Aroot%40pam%21cli%3A/status";

struct Seen {
    ended: Result<Existing, Failure>,
    pauses: Vec<Duration>,
}

/// Runs `vm create web-1 debian-12` with the default time limit and poll interval.
fn create_at(server: &ServerGuard) -> Seen {
    let arguments = VmCreate::from_args(&["create"], &["web-1", "debian-12"]).unwrap();
    let clock = JumpingClock::default();
    let ended = create(&Run {
        spec: CreateSpec::of(arguments.vm_name.as_str(), &arguments.template_name),
        server: crate::wait::server::Server {
            pve: &client_of(server),
            budget: Budget {
                clock: &clock,
                total: arguments.timeout.0,
                interval: arguments.poll_interval.0,
            },
            progress: &Progress::new(Verbosity::Quiet),
        },
        hosts: vec!["pve.lan:8006".into()],
        // No ledger can be there, and a run without --ensure needs none.
        state: Path::new("/dev/null/state"),
        preview_only: false,
        warnings: std::cell::RefCell::default(),
    });
    Seen {
        ended,
        pauses: clock.pauses.into_inner(),
    }
}

/// A server that has the template and answers `status` for the clone's task. It refuses one of the four
/// requests if `refused` is its number; then the mocks expect no later request.
fn server_with(status: &str, refused: Option<usize>) -> (ServerGuard, Vec<Mock>) {
    let template = r#"[{"vmid":9000,"type":"qemu","node":"pve1","name":"debian-12","template":1}]"#;
    let upid = format!(r#""{UPID}""#);
    let answers = [
        ("GET", "/api2/json/cluster/resources?type=vm", template),
        ("GET", "/api2/json/cluster/nextid", r#""100""#),
        ("POST", "/api2/json/nodes/pve1/qemu/9000/clone", &upid),
        ("GET", STATUS, status),
    ];
    let mut server = Server::new();
    let mocks = answers
        .into_iter()
        .enumerate()
        .map(|(index, (method, path, data))| {
            let mock = server.mock(method, path);
            match refused {
                Some(refused) if refused == index => mock
                    .with_status(403)
                    .with_body(r#"{"data":null,"message":"Permission check failed\n"}"#),
                Some(refused) if refused < index => mock.expect(0),
                _ => mock.with_body(format!(r#"{{"data":{data}}}"#)),
            }
            .create()
        });
    let mocks = mocks.collect();
    (server, mocks)
}

fn assert_all(mocks: &[Mock]) {
    for mock in mocks {
        mock.assert();
    }
}

#[test]
fn a_task_that_has_ended_is_polled_once_without_a_pause() {
    let (server, mocks) = server_with(r#"{"status":"stopped","exitstatus":"OK"}"#, None);
    let run = create_at(&server);
    assert_all(&mocks);
    let vm = vm::Vm {
        vmid: Vmid(100),
        name: "web-1".parse().unwrap(),
        node: Node("pve1".into()),
    };
    let existing = Existing {
        created: true,
        upid: Some(UPID.parse().unwrap()),
        ..Existing::found(vm, None)
    };
    assert_eq!(run.ended.unwrap(), existing);
    assert_eq!(run.pauses, [Duration::ZERO; 0]);
}

#[test]
fn a_task_that_never_ends_is_polled_every_2_s_for_300_s() {
    let (server, mut mocks) = server_with(r#"{"status":"running"}"#, None);
    let polls = mocks.pop().unwrap().expect(151);
    let run = create_at(&server);
    polls.assert();
    let (last, others) = run.pauses.split_last().unwrap();
    assert_eq!(others, [Duration::from_secs(2); 149]);
    // The last poll is half a second before the time limit.
    assert_eq!(*last, Duration::from_millis(1500));
    assert_eq!(
        run.ended.unwrap_err().to_string(),
        "Timed out after 300 s; the clone to VM 100 'web-1' on node 'pve1' is still running"
    );
}

#[rstest]
#[case::warnings("WARNINGS: 1", None)]
#[case::failure(
    "clone failed: no space",
    Some("Task failed: clone failed: no space; cannot tell whether it left a VM behind")
)]
fn warnings_are_a_success_and_failures_are_reported(
    #[case] exit_status: &str,
    #[case] failure: Option<&str>,
) {
    let status = format!(r#"{{"status":"stopped","exitstatus":"{exit_status}"}}"#);
    let (server, _mocks) = server_with(&status, None);
    let message = create_at(&server)
        .ended
        .err()
        .map(|error| error.to_string());
    assert_eq!(message.as_deref(), failure);
}

#[rstest]
#[case::template(0, "cannot list the guests")]
#[case::vmid(1, "cannot get a free VMID")]
#[case::clone(2, "cannot clone template 9000 to VM 100")]
#[case::wait(
    3,
    "cannot poll the clone to VM 100 'web-1' on node 'pve1', which may still be running"
)]
fn a_refusal_ends_the_run(#[case] refused: usize, #[case] beginning: &str) {
    let (server, mocks) = server_with("{}", Some(refused));
    let run = create_at(&server);
    assert_all(&mocks);
    let failure = run.ended.unwrap_err();
    let whole = format!("{beginning}: Permission check failed");
    assert_eq!((failure.message, run.pauses), (whole, vec![]));
}
