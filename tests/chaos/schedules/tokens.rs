//! Tokens that may clone but not see their VMs, and lose the answer to their clone request.

use serde_json::{Value, json};

use super::{FIRST, cluster, must, number_of_post};
use crate::chaos::testbed::{NAME, Testbed};
use crate::fake_pve::Fault;

fn answer_lost(rights: &str, steps: &Value) -> Testbed {
    let setup = cluster(json!({
        "tokens": {"cloner@pve!cli": rights},
        "clone_steps": steps,
    }));
    let lost = Fault::at_request(number_of_post(&setup), json!({"close": "lost"}));
    Testbed::new(setup, [lost])
}

fn steps() -> [Value; 3] {
    [
        json!({"appears": 0, "named": 0, "done": 0}),
        json!({"appears": 3, "named": 5, "done": 9}),
        json!({"appears": 1, "named": 60, "done": 120}),
    ]
}

#[test]
fn a_token_that_sees_its_vm_late_waits_for_it() {
    for steps in steps() {
        let testbed = answer_lost("late", &steps);
        let seen = testbed.run("");
        let ready = must(&testbed, testbed.expect_ready(&seen));
        assert_eq!((ready.vmid, ready.created), (FIRST, true));
        must(&testbed, testbed.expect_ensured(""));
    }
}

/// It cannot know whose VM that is, reports that, and uses no other VMID, however often it is run.
#[test]
fn a_token_that_never_sees_it_reports_that_and_creates_no_other() {
    for steps in steps() {
        let testbed = answer_lost("blind", &steps);
        for arguments in ["", "", "--ensure", "--ensure"] {
            let seen = testbed.run(arguments);
            let failure = must(&testbed, testbed.expect_failure(&seen));
            assert_eq!(
                (failure.kind.as_str(), failure.vmid),
                ("outcome_unknown", Some(FIRST)),
                "{}",
                testbed.details()
            );
        }
        testbed.fake.finish_all();
        assert_eq!(
            testbed.fake.vms_named(NAME),
            [FIRST],
            "{}",
            testbed.details()
        );
    }
}

/// No answer is lost: the task shows everything it needs.
#[test]
fn a_token_that_never_sees_it_succeeds_if_it_gets_its_answer() {
    let testbed = Testbed::new(
        cluster(json!({
            "tokens": {"cloner@pve!cli": "blind"},
            "clone_steps": {"appears": 1, "named": 4, "done": 8},
        })),
        [],
    );
    let seen = testbed.run("");
    let ready = must(&testbed, testbed.expect_ready(&seen));
    assert_eq!((ready.vmid, ready.created), (FIRST, true));
}

/// The first run is killed while it polls its task: the next run knows the task, which is enough.
#[test]
fn a_token_that_never_sees_it_resumes_the_task_of_a_killed_run() {
    let setup = cluster(json!({
        "tokens": {"cloner@pve!cli": "blind"},
        "clone_steps": {"appears": 1, "named": 4, "done": 8},
    }));
    let poll = number_of_post(&setup) + 1;
    let hang = Fault::at_request(poll, json!({"hang": true}));
    let testbed = Testbed::new(setup, [hang]);
    let running = testbed.start("");
    testbed.fake.wait_for_requests(poll);
    testbed.remember("killed", &running.kill());
    let ready = must(&testbed, testbed.expect_ensured(""));
    assert_eq!((ready.vmid, ready.created), (FIRST, true));
}
