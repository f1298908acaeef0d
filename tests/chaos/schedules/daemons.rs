//! A daemon hangs, and executes requests long after their clients gave up.

use serde_json::json;

use super::{FIRST, cluster, every_post_is_kept, must};
use crate::chaos::situations::slow_clones;
use crate::chaos::testbed::{NAME, Testbed};

fn hanging() -> Testbed {
    let setup = cluster(json!({"clone_steps": slow_clones()}));
    Testbed::new(setup, [every_post_is_kept()])
}

/// After a run that could only time out, and sent at least one clone request.
fn after_a_timeout() -> Testbed {
    let testbed = hanging();
    let seen = testbed.run("--timeout 1.2");
    let failure = must(&testbed, testbed.expect_failure(&seen));
    let reported = (failure.vmid, failure.started.as_str());
    assert_eq!(reported, (Some(FIRST), "unknown"), "{}", testbed.details());
    testbed
}

/// After a run that was killed while it checked what became of its clone.
fn after_a_kill() -> Testbed {
    let testbed = hanging();
    let running = testbed.start("");
    let mut requests = 0;
    while testbed.posts() == 0 {
        requests += 1;
        testbed.fake.wait_for_requests(requests);
    }
    testbed.fake.wait_for_requests(requests + 1);
    testbed.remember("killed", &running.kill());
    testbed
}

#[test]
fn it_wakes_up_between_two_runs() {
    let testbed = after_a_timeout();
    testbed.fake.wake();
    let ready = must(&testbed, testbed.expect_ensured(""));
    assert_eq!((ready.vmid, ready.created), (FIRST, true));
}

#[test]
fn it_wakes_up_between_two_runs_and_is_done() {
    let testbed = after_a_kill();
    testbed.fake.finish_all();
    let ready = must(&testbed, testbed.expect_ensured(""));
    assert_eq!((ready.vmid, ready.created), (FIRST, true));
}

/// Without `--ensure` the same command resumes the clone too.
#[test]
fn it_wakes_up_and_the_same_command_is_run_again() {
    let testbed = after_a_timeout();
    testbed.fake.wake();
    let seen = testbed.run("");
    let ready = must(&testbed, testbed.expect_ready(&seen));
    assert_eq!((ready.vmid, ready.created), (FIRST, true));
}

#[test]
fn it_wakes_up_while_the_second_run_polls() {
    for requests in 1..12 {
        let testbed = after_a_kill();
        let before = testbed.fake.journal().len();
        let running = testbed.start("--ensure");
        testbed.fake.wait_for_requests(before + requests);
        testbed.fake.wake();
        let seen = running.wait();
        testbed.remember("--ensure", &seen);
        let ready = must(&testbed, testbed.expect_ready(&seen));
        assert_eq!((ready.vmid, ready.created), (FIRST, true));
        testbed.fake.finish_all();
        assert_eq!(testbed.fake.vms_named(NAME), [FIRST]);
    }
}

/// Nothing is executed at all, as if the daemon had been killed instead.
#[test]
fn it_never_wakes_up_and_another_one_is_started() {
    let testbed = after_a_kill();
    testbed.fake.cluster().forget_delayed();
    testbed.fake.wake();
    let ready = must(&testbed, testbed.expect_ensured(""));
    assert_eq!((ready.vmid, ready.created), (FIRST, true));
}

/// Another template, or another VMID, is requested while the first clone may still start.
#[test]
fn another_request_is_refused_until_the_first_clone_has_finished() {
    let testbed = Testbed::new(
        cluster(json!({
            "guests": [
                {"vmid": 9000, "name": "debian-12", "template": true},
                {"vmid": 9001, "name": "ubuntu-24.04", "template": true},
            ],
        })),
        [every_post_is_kept()],
    );
    let seen = testbed.run("--timeout 1.2");
    must(&testbed, testbed.expect_failure(&seen));
    testbed.fake.wake();
    for arguments in ["", "--ensure"] {
        let seen = testbed.run_from("ubuntu-24.04", arguments);
        let failure = must(&testbed, testbed.expect_failure(&seen));
        assert_eq!(failure.kind, "in_progress", "{}", testbed.details());
        let seen = testbed.run(format!("--vmid 150 {arguments}").trim_end());
        let failure = must(&testbed, testbed.expect_failure(&seen));
        assert_eq!(failure.kind, "in_progress", "{}", testbed.details());
    }
    must(&testbed, testbed.expect_ensured(""));
    let cluster = testbed.fake.cluster();
    let sources = cluster.tasks.iter().map(|task| task.order.source);
    assert!(sources.into_iter().all(|source| source == 9000));
}
