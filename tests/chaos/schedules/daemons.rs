//! A daemon hangs, and carries out requests when nobody expects it any more.

use serde_json::json;

use super::{FIRST, cluster, every_post_is_kept, must};
use crate::chaos::ground::{Ground, NAME};
use crate::chaos::situations::slow_clones;

fn hanging() -> Ground {
    let setup = cluster(json!({"clone_steps": slow_clones()}));
    Ground::new(setup, [every_post_is_kept()])
}

/// After a run that requested a clone and ended at its time limit.
fn after_a_timeout() -> Ground {
    let ground = hanging();
    let seen = ground.run("--timeout 1.2");
    let failure = must(&ground, ground.expect_failure(&seen));
    let told = (failure.vmid, failure.started.as_str());
    assert_eq!(told, (Some(FIRST), "unknown"), "{}", ground.account());
    ground
}

/// After a run that was killed while it checked the outcome of its clone.
fn after_a_kill() -> Ground {
    let ground = hanging();
    let running = ground.start("");
    let mut requests = 0;
    while ground.posts() == 0 {
        requests += 1;
        ground.fake.wait_for_requests(requests);
    }
    ground.fake.wait_for_requests(requests + 1);
    ground.remember("killed", &running.kill());
    ground
}

#[test]
fn it_wakes_up_between_two_runs() {
    let ground = after_a_timeout();
    ground.fake.wake();
    let ready = must(&ground, ground.expect_ensured(""));
    assert_eq!((ready.vmid, ready.created), (FIRST, true));
}

#[test]
fn it_wakes_up_between_two_runs_and_is_done() {
    let ground = after_a_kill();
    ground.fake.finish_all();
    let ready = must(&ground, ground.expect_ensured(""));
    assert_eq!((ready.vmid, ready.created), (FIRST, true));
}

/// Without `--ensure`, the same command resumes as well.
#[test]
fn it_wakes_up_and_the_command_is_repeated() {
    let ground = after_a_timeout();
    ground.fake.wake();
    let seen = ground.run("");
    let ready = must(&ground, ground.expect_ready(&seen));
    assert_eq!((ready.vmid, ready.created), (FIRST, true));
}

#[test]
fn it_wakes_up_while_the_second_run_polls() {
    for requests in 1..12 {
        let ground = after_a_kill();
        let before = ground.fake.journal().len();
        let running = ground.start("--ensure");
        ground.fake.wait_for_requests(before + requests);
        ground.fake.wake();
        let seen = running.wait();
        ground.remember("--ensure", &seen);
        let ready = must(&ground, ground.expect_ready(&seen));
        assert_eq!((ready.vmid, ready.created), (FIRST, true));
        ground.fake.finish_all();
        assert_eq!(ground.fake.vms_named(NAME), [FIRST]);
    }
}

/// Nothing is carried out, as if the daemon had been killed.
#[test]
fn it_never_wakes_up_and_another_one_is_started() {
    let ground = after_a_kill();
    ground.fake.cluster().forget_kept();
    ground.fake.wake();
    let ready = must(&ground, ground.expect_ensured(""));
    assert_eq!((ready.vmid, ready.created), (FIRST, true));
}

/// Another template or VMID is requested while the first clone may still be created.
#[test]
fn another_order_is_refused_until_the_first_clone_is_finished() {
    let ground = Ground::new(
        cluster(json!({
            "guests": [
                {"vmid": 9000, "name": "debian-12", "template": true},
                {"vmid": 9001, "name": "ubuntu-24.04", "template": true},
            ],
        })),
        [every_post_is_kept()],
    );
    let seen = ground.run("--timeout 1.2");
    must(&ground, ground.expect_failure(&seen));
    ground.fake.wake();
    for words in ["", "--ensure"] {
        let seen = ground.run_from("ubuntu-24.04", words);
        let failure = must(&ground, ground.expect_failure(&seen));
        assert_eq!(failure.kind, "in_progress", "{}", ground.account());
        let seen = ground.run(format!("--vmid 150 {words}").trim_end());
        let failure = must(&ground, ground.expect_failure(&seen));
        assert_eq!(failure.kind, "in_progress", "{}", ground.account());
    }
    must(&ground, ground.expect_ensured(""));
    let cluster = ground.fake.cluster();
    let sources = cluster.tasks.iter().map(|task| task.order.source);
    assert!(sources.into_iter().all(|source| source == 9000));
}
