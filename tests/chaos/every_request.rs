//! Each request of a run suffers each kind of mishap; a second run recovers.

use serde_json::{Value, json};

use super::mishaps::{self, Mishap};
use super::schedules::{number_of_post, post_in};
use super::situations::{self, Situation, cluster};
use super::testbed::{Testbed, try_all};
use crate::fake_pve::Fault;

struct Case<'a> {
    situation: &'a Situation,
    /// The requests that suffer them.
    mishaps: Vec<(usize, Mishap)>,
    between: Between,
    /// An accepted clone continues, whatever happens to a single poll.
    is_survived: bool,
}

/// What happens between the two runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Between {
    /// All clones finish.
    AllEnds,
    /// The daemon wakes up; the requests it has kept start while the second run polls.
    DaemonWakes,
    /// Everything is still running while the second run polls.
    Nothing,
}

#[test]
fn one_vm_whatever_happens_to_any_request() {
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

/// The outcome of a clone request is unknown, and the polls to find out fail too.
#[test]
fn one_vm_after_two_mishaps_in_one_run() {
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

/// The first run is killed during its clone request, the run that resumes it has mishaps of its own, and
/// the third one recovers.
#[test]
fn one_vm_when_the_second_run_has_mishaps_too() {
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
            let went = testbed
                .expect_at_most_one_so_far(mishaps::patience(mishap.is_silence))
                .and_then(|()| {
                    testbed.fake.wait_until_it_accepts();
                    testbed.expect_ensured("").map(|_| ())
                });
            went.map_err(|why| format!("{why}\n{}", testbed.details()))
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
    let seen = testbed.run(situation.arguments);
    let ready = testbed.expect_ready(&seen);
    ready.unwrap_or_else(|why| panic!("{}: {why}\n{}", situation.name, testbed.details()));
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
    try_all("combinations of mishaps", cases, describe, inject);
}

fn inject(case: &Case) -> Result<(), String> {
    let faults = case.mishaps.iter();
    let faults = faults.map(|(request, mishap)| Fault::at_request(*request, mishap.fault.clone()));
    let testbed = Testbed::new(case.situation.setup.clone(), faults);
    let went = two_runs(&testbed, case);
    went.map_err(|why| format!("{why}\n{}", testbed.details()))
}

fn two_runs(testbed: &Testbed, case: &Case) -> Result<(), String> {
    let arguments = case.situation.arguments;
    let is_silent = case.mishaps.iter().any(|(_, mishap)| mishap.is_silence);
    let patience = mishaps::patience(is_silent);
    let seen = testbed.run(format!("{patience} {arguments}").trim());
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
        return testbed.expect_at_most_one(arguments);
    }
    let ready = testbed.expect_ensured(arguments)?;
    if has_succeeded && ready.created {
        return Err("both runs claim to have created it".to_owned());
    }
    Ok(())
}
