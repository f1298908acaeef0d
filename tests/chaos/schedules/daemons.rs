//! A daemon hangs, and carries out what it was asked for when nobody expects it any more.

use serde_json::json;

use super::{FIRST, cluster, every_post_is_kept, must};
use crate::chaos::ground::{Ground, NAME};
use crate::chaos::situations::slow_clones;

fn hanging() -> Ground {
    let setup = cluster(json!({"clone_steps": slow_clones()}));
    Ground::new(setup, [every_post_is_kept()])
}

/// After a run that could only end with its budget, and had asked at least once.
fn after_a_timeout() -> Ground {
    let ground = hanging();
    let seen = ground.run("--timeout 1.2");
    let failure = must(&ground, ground.expect_failure(&seen));
    let told = (failure.vmid, failure.started.as_str());
    assert_eq!(told, (Some(FIRST), "unknown"), "{}", ground.account());
    ground
}

/// After a run that was killed while it looked what had become of its clone.
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

/// Without `--ensure` the same request takes the clone over, too.
#[test]
fn it_wakes_up_and_the_same_command_is_typed_again() {
    let ground = after_a_timeout();
    ground.fake.wake();
    let seen = ground.run("");
    let ready = must(&ground, ground.expect_ready(&seen));
    assert_eq!((ready.vmid, ready.created), (FIRST, true));
}

#[test]
fn it_wakes_up_while_the_second_run_looks() {
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

/// Nothing is carried out at all, as if the daemon had been killed instead.
#[test]
fn it_never_wakes_up_and_another_one_is_started() {
    let ground = after_a_kill();
    ground.fake.cluster().forget_kept();
    ground.fake.wake();
    let ready = must(&ground, ground.expect_ensured(""));
    assert_eq!((ready.vmid, ready.created), (FIRST, true));
}

/// Asked for another template, or another VMID, while the first clone may still come.
#[test]
fn something_else_is_refused_until_the_first_clone_is_seen_to_its_end() {
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
