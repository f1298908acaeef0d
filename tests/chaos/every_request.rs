//! Each kind of fault happens at each request of a run. Then a second run must succeed.

use serde_json::{Value, json};

use super::mishaps::{self, Mishap};
use super::schedules::{number_of_post, post_in};
use super::situations::{self, Situation, cluster};
use super::testbed::{Testbed, try_all};
use crate::fake_pve::Fault;

struct Case<'a> {
    situation: &'a Situation,
    /// The faults and their requests.
    mishaps: Vec<(usize, Mishap)>,
    between: Between,
    /// Whether the run must succeed: a single failed poll does not end a clone that was accepted.
    is_survived: bool,
}

/// What happens between the two runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Between {
    /// All clones end.
    AllEnds,
    /// The daemon wakes up and carries out the requests that it has kept, while the second run is polling.
    DaemonWakes,
    /// Everything continues while the second run is polling.
    Nothing,
}

#[test]
fn one_vm_after_any_fault_at_any_request() {
    let situations = situations::all();
    let mut cases = Vec::new();
    for situation in &situations {
        let journal = requests_without_mishap(situation);
        let post = post_in(&journal);
        for request in 1..=journal.len() {
            for mishap in mishaps::all() {
                add_cases(&mut cases, situation, &[(request, mishap)], request > post);
            }
        }
    }
    try_them(&cases);
}

/// The outcome of the clone request is unknown, and polls for it fail as well.
#[test]
fn one_vm_after_two_faults() {
    let situations = situations::all();
    let slow = situations.iter().find(|one| one.name == "slow clones");
    let slow = slow.expect("that situation");
    let post = post_in(&requests_without_mishap(slow));
    let mut cases = Vec::new();
    for first in mishaps::doubtful() {
        for request in post + 1..=post + 3 {
            for second in mishaps::all() {
                let both = [(post, first.clone()), (request, second)];
                add_cases(&mut cases, slow, &both, false);
            }
        }
    }
    try_them(&cases);
}

/// The first run is killed during the clone request, the second one has a fault of its own, and the third one
/// must succeed.
#[test]
fn one_vm_when_the_second_run_has_a_fault_too() {
    let setup = cluster(json!({"clone_steps": {"appears": 2, "named": 5, "done": 7}}));
    let post = number_of_post(&setup);
    let mut cases = Vec::new();
    for acted in [json!(true), json!("after")] {
        for request in post + 1..=post + 8 {
            for mishap in mishaps::all() {
                cases.push((acted.clone(), request, mishap));
            }
        }
    }
    let describe = |(acted, request, mishap): &(Value, usize, Mishap)| {
        format!(
            "POST hangs: {acted}; then request {request} {}",
            mishap.name
        )
    };
    try_all(
        "second runs",
        &cases,
        describe,
        |(acted, request, mishap)| {
            let killed = Fault::at_request(post, json!({"hang": acted}));
            let second = Fault::at_request(*request, mishap.fault.clone());
            let testbed = Testbed::new(setup.clone(), [killed, second]);
            let running = testbed.start("");
            testbed.fake.wait_for_requests(post);
            testbed.remember("killed", &running.kill());
            let result = testbed
                .expect_at_most_one_so_far(mishaps::patience(mishap.is_silence))
                .and_then(|()| {
                    testbed.fake.wait_until_it_accepts();
                    testbed.expect_ensured("").map(|_| ())
                });
            result.map_err(|why| format!("{why}\n{}", testbed.account()))
        },
    );
}

fn add_cases<'a>(
    cases: &mut Vec<Case<'a>>,
    situation: &'a Situation,
    mishaps: &[(usize, Mishap)],
    is_survived: bool,
) {
    for between in [Between::AllEnds, Between::DaemonWakes, Between::Nothing] {
        let keeps = mishaps.iter().any(|(_, mishap)| mishap.is_kept);
        if keeps || between != Between::DaemonWakes {
            cases.push(Case {
                situation,
                mishaps: mishaps.to_vec(),
                between,
                is_survived,
            });
        }
    }
}

fn requests_without_mishap(situation: &Situation) -> Vec<String> {
    let testbed = Testbed::new(situation.setup.clone(), []);
    let seen = testbed.run(situation.words);
    let ready = testbed.expect_ready(&seen);
    ready.unwrap_or_else(|why| panic!("{}: {why}\n{}", situation.name, testbed.account()));
    testbed.fake.journal()
}

fn try_them(cases: &[Case]) {
    let describe = |case: &Case| {
        let mishaps = case.mishaps.iter();
        let mishaps = mishaps.map(|(request, mishap)| format!("request {request} {}", mishap.name));
        let mishaps: Vec<_> = mishaps.collect();
        let (situation, between) = (case.situation.name, case.between);
        format!("{situation}: {}; then {between:?}", mishaps.join(", "))
    };
    try_all("combinations of mishaps", cases, describe, befall);
}

fn befall(case: &Case) -> Result<(), String> {
    let faults = case.mishaps.iter();
    let faults = faults.map(|(request, mishap)| Fault::at_request(*request, mishap.fault.clone()));
    let testbed = Testbed::new(case.situation.setup.clone(), faults);
    let result = two_runs(&testbed, case);
    result.map_err(|why| format!("{why}\n{}", testbed.account()))
}

fn two_runs(testbed: &Testbed, case: &Case) -> Result<(), String> {
    let words = case.situation.words;
    let is_silent = case.mishaps.iter().any(|(_, mishap)| mishap.is_silence);
    let patience = mishaps::patience(is_silent);
    let seen = testbed.run(format!("{patience} {words}").trim());
    let has_succeeded = testbed.expect_ready_or_failure(&seen)?;
    if case.is_survived && !has_succeeded {
        return Err("one poll failed, and the run gave up".to_owned());
    }

    testbed.fake.wait_until_it_accepts();
    match case.between {
        Between::AllEnds => testbed.fake.finish_all(),
        Between::DaemonWakes => testbed.fake.wake(),
        Between::Nothing => {}
    }
    if !case.situation.sees {
        return testbed.expect_at_most_one(words);
    }
    let ready = testbed.expect_ensured(words)?;
    if has_succeeded && ready.created {
        return Err("both runs report that they created it".to_owned());
    }
    Ok(())
}
