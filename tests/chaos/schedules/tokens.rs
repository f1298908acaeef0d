//! Tokens that may clone and not look, and the answer to their clone is lost.

use serde_json::{Value, json};

use super::{FIRST, cluster, must, number_of_post};
use crate::chaos::ground::{Ground, NAME};
use crate::fake_pve::Fault;

fn answer_lost(rights: &str, steps: &Value) -> Ground {
    let setup = cluster(json!({
        "tokens": {"cloner@pve!cli": rights},
        "clone_steps": steps,
    }));
    let lost = Fault::at_request(number_of_post(&setup), json!({"close": "lost"}));
    Ground::new(setup, [lost])
}

fn steps() -> [Value; 3] {
    [
        json!({"appears": 0, "named": 0, "done": 0}),
        json!({"appears": 3, "named": 5, "done": 9}),
        json!({"appears": 1, "named": 60, "done": 120}),
    ]
}

#[test]
fn a_token_that_sees_its_vm_in_the_end_waits_for_it() {
    for steps in steps() {
        let ground = answer_lost("late", &steps);
        let seen = ground.run("");
        let ready = must(&ground, ground.expect_ready(&seen));
        assert_eq!((ready.vmid, ready.created), (FIRST, true));
        must(&ground, ground.expect_ensured(""));
    }
}

/// It cannot know whose VM that is, says so, and takes no other VMID, however often it is asked.
#[test]
fn a_token_that_never_sees_it_says_so_and_clones_no_other() {
    for steps in steps() {
        let ground = answer_lost("blind", &steps);
        for words in ["", "", "--ensure", "--ensure"] {
            let seen = ground.run(words);
            let failure = must(&ground, ground.expect_failure(&seen));
            assert_eq!(
                (failure.kind.as_str(), failure.vmid),
                ("outcome_unknown", Some(FIRST)),
                "{}",
                ground.account()
            );
        }
        ground.fake.finish_all();
        assert_eq!(ground.fake.vms_named(NAME), [FIRST], "{}", ground.account());
    }
}

/// Nothing is lost: the task it has started tells it all it needs.
#[test]
fn a_token_that_never_sees_it_needs_not_when_it_gets_its_answer() {
    let ground = Ground::new(
        cluster(json!({
            "tokens": {"cloner@pve!cli": "blind"},
            "clone_steps": {"appears": 1, "named": 4, "done": 8},
        })),
        [],
    );
    let seen = ground.run("");
    let ready = must(&ground, ground.expect_ready(&seen));
    assert_eq!((ready.vmid, ready.created), (FIRST, true));
}

/// Killed while it looked at its task: the next run knows the task, and needs no more than that.
#[test]
fn a_token_that_never_sees_it_takes_over_the_task_of_a_killed_run() {
    let setup = cluster(json!({
        "tokens": {"cloner@pve!cli": "blind"},
        "clone_steps": {"appears": 1, "named": 4, "done": 8},
    }));
    let look = number_of_post(&setup) + 1;
    let hang = Fault::at_request(look, json!({"hang": true}));
    let ground = Ground::new(setup, [hang]);
    let running = ground.start("");
    ground.fake.wait_for_requests(look);
    ground.remember("killed", &running.kill());
    let ready = must(&ground, ground.expect_ensured(""));
    assert_eq!((ready.vmid, ready.created), (FIRST, true));
}
