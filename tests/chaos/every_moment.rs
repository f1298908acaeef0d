//! `kill -9` at each moment of a run. Then a second run puts it right.

use serde_json::{Value, json};

use super::ground::{Ground, NAME, try_all};
use super::situations::{self, Situation};
use crate::fake_pve::Fault;

#[test]
fn one_vm_after_a_kill_at_any_request() {
    let situations = situations::all();
    let mut cases = Vec::new();
    for situation in &situations {
        let ground = Ground::new(situation.setup.clone(), []);
        ground.run(situation.words);
        for request in 1..=ground.fake.journal().len() {
            for hang in [json!(true), json!("after")] {
                cases.push((situation, request, hang.clone(), true));
                cases.push((situation, request, hang, false));
            }
        }
    }
    let describe = |(situation, request, hang, settled): &(&Situation, usize, Value, bool)| {
        let situation = situation.name;
        format!("{situation}; killed at request {request}, hanging: {hang}; settled: {settled}")
    };
    try_all(
        "kills",
        &cases,
        describe,
        |(situation, request, hang, settled)| {
            let fault = Fault::at_request(*request, json!({"hang": hang}));
            let ground = Ground::new(situation.setup.clone(), [fault]);
            let running = ground.start(situation.words);
            ground.fake.wait_for_requests(*request);
            ground.remember("killed", &running.kill());
            if *settled {
                ground.fake.finish_all();
            }
            let went = if situation.sees {
                ground.expect_ensured(situation.words).map(|_| ())
            } else {
                ground.expect_at_most_one(situation.words)
            };
            went.map_err(|why| format!("{why}\n{}", ground.account()))
        },
    );
}

/// The claim's last line is cut at each of its bytes.
#[test]
fn one_vm_after_a_kill_in_any_write_to_the_claim() {
    let setup = || situations::cluster(json!({}));
    let ground = Ground::new(setup(), []);
    let seen = ground.run("");
    ground.expect_ready(&seen).unwrap();
    let size = ground.state.claim(NAME).len() as u64;
    assert!(size > 0, "no claim was written");

    let cases: Vec<u64> = (0..=size).collect();
    let describe = |bytes: &u64| format!("killed when the claim had {bytes} bytes of {size}");
    try_all("cuts", &cases, describe, |bytes| {
        let ground = Ground::new(setup(), []);
        let seen = ground.start_limited(*bytes).wait();
        ground.remember("limited", &seen);
        let written = ground.state.claim(NAME).len() as u64;
        // The time and the process id in it may be shorter this time.
        let was_killed = seen.exit.is_none() && written == *bytes;
        let ensured = if was_killed || written < *bytes || *bytes + 8 > size {
            ground.expect_ensured("").map(|_| ())
        } else {
            Err(format!("was not killed; the claim has {written} bytes"))
        };
        ensured.map_err(|why| format!("{why}\n{}", ground.account()))
    });
}
