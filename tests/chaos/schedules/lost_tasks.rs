//! The task of an accepted clone cannot be followed to its end: its worker died, its node went down, or it
//! was forgotten. Then only the VMID shows the outcome.

use rstest::rstest;
use serde_json::{Value, json};

use super::{FIRST, cluster, must};
use crate::chaos::testbed::Testbed;
use crate::fake_pve::Fault;

fn no_such_task() -> Value {
    let errors = r#"{"data":null,"errors":{"upid":"no such task"},"message":"Parameter verification failed.\n"}"#;
    json!({"answer": {"status": 400, "reason": "Parameter verification failed.", "body": errors}})
}

fn worker_died() -> Value {
    json!({"json": {"data": {"status": "stopped", "exitstatus": "unexpected status"}}})
}

/// The answer to every poll of the task's status.
fn polls_return(mut found: Value) -> Fault {
    found["on"] = json!("GET /nodes/pve1/tasks/UPID");
    serde_json::from_value(found).expect("a fault")
}

#[rstest]
fn the_clone_continues_and_is_ours(
    #[values(no_such_task(), worker_died())] found: Value,
    #[values(0, 2, 40)] done: u32,
) {
    let testbed = Testbed::new(
        cluster(json!({"clone_steps": {"appears": 0, "named": done / 2, "done": done}})),
        [polls_return(found)],
    );
    let seen = testbed.run("");
    let ready = must(&testbed, testbed.expect_ready(&seen));
    assert_eq!((ready.vmid, ready.created), (FIRST, true));
    must(&testbed, testbed.expect_ensured(""));
}

/// The server has removed what existed of it.
#[rstest]
fn nothing_is_left_and_the_same_vmid_is_requested_again(
    #[values(no_such_task(), worker_died())] found: Value,
) {
    let testbed = Testbed::new(
        cluster(json!({
            "clone_exit": ["clone failed: interrupted by signal", "OK"],
            "clone_steps": {"appears": 0, "named": 1, "done": 2},
        })),
        [polls_return(found)],
    );
    let seen = testbed.run("");
    let ready = must(&testbed, testbed.expect_ready(&seen));
    assert_eq!((ready.vmid, ready.created), (FIRST, true));
    must(&testbed, testbed.expect_ensured(""));
}
