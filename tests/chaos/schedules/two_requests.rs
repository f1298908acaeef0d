//! Two POSTs of ours are on their way to one VMID, and either may win.

use serde_json::json;

use super::{FIRST, cluster, number_of_post};
use crate::chaos::ground::{Ground, try_all};
use crate::fake_pve::Fault;

/// The first one's answer is lost, and it is carried out around the time of the second.
#[test]
fn whichever_of_our_two_requests_wins() {
    let mut cases = Vec::new();
    for appears in [0, 1, 3] {
        for copying in [0, 6] {
            for after in 1..16 {
                cases.push((appears, copying, after));
            }
        }
    }
    let describe = |(appears, copying, after): &(u32, u32, usize)| {
        format!("begins after {appears}, copies for {copying}, first one kept for {after} requests")
    };
    try_all(
        "races with ourselves",
        &cases,
        describe,
        |&(appears, copying, after)| {
            let setup = cluster(json!({
                "clone_steps": {
                    "appears": appears,
                    "named": appears + copying / 2,
                    "done": appears + copying,
                },
            }));
            let late = json!({"status": 596, "reason": "Connection timed out", "after": after});
            let fault = Fault::at_request(number_of_post(&setup), json!({"late": late}));
            let ground = Ground::new(setup, [fault]);
            let seen = ground.run("");
            let ready = ground.expect_ready(&seen);
            let ready = ready.and_then(|ready| {
                ground.expect_ensured("")?;
                Ok(ready)
            });
            match ready {
                Ok(ready) if ready.vmid == FIRST && ready.created => Ok(()),
                Ok(ready) => Err(format!("{ready:?}\n{}", ground.account())),
                Err(why) => Err(format!("{why}\n{}", ground.account())),
            }
        },
    );
}

/// Neither run gets an answer, and what both have asked for is carried out at once.
#[test]
fn the_requests_of_two_runs_are_carried_out_together() {
    let ground = Ground::new(
        cluster(json!({"clone_steps": {"appears": 2, "named": 4, "done": 8}})),
        [super::every_post_is_kept()],
    );
    for words in ["--timeout 1.2", "--timeout 1.2 --ensure"] {
        let seen = ground.run(words);
        super::must(&ground, ground.expect_failure(&seen));
    }
    ground.fake.wake();
    let ready = super::must(&ground, ground.expect_ensured(""));
    assert_eq!(ready.vmid, FIRST);
    let posts = ground.fake.journal();
    let posts = posts.iter().filter(|line| line.starts_with("POST"));
    assert!(posts.into_iter().all(|line| line.contains("newid=101&")));
}
