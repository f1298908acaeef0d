//! A run is ended at each of its requests. Then a second run must succeed.

use serde_json::{Value, json};

use super::ground::{Ground, try_all};
use super::situations::{self, Situation};
use crate::fake_pve::Fault;
use crate::homelab::{Running, Signal};

struct Case<'a> {
    situation: &'a Situation,
    request: usize,
    /// Whether the server carried out the request before the run ended.
    acted: bool,
    /// Whether started clones have ended before the second run begins.
    settled: bool,
}

fn for_each_case(
    what: &str,
    attempt: impl Fn(&Case, &Ground, Running) -> Result<(), String> + Sync,
) {
    let situations = situations::all();
    let mut cases = Vec::new();
    for situation in &situations {
        let ground = Ground::new(situation.setup.clone(), []);
        ground.run(situation.words);
        for request in 1..=ground.fake.journal().len() {
            for (acted, settled) in [(false, true), (false, false), (true, true), (true, false)] {
                cases.push(Case {
                    situation,
                    request,
                    acted,
                    settled,
                });
            }
        }
    }
    let describe = |case: &Case| {
        let &Case {
            situation,
            request,
            acted,
            settled,
        } = case;
        let situation = situation.name;
        format!("{situation}: ended at request {request}; acted: {acted}, settled: {settled}")
    };
    try_all(what, &cases, describe, |case| {
        let hang = if case.acted {
            json!("after")
        } else {
            Value::from(true)
        };
        let fault = Fault::at_request(case.request, json!({"hang": hang}));
        let ground = Ground::new(case.situation.setup.clone(), [fault]);
        let running = ground.start(case.situation.words);
        ground.fake.wait_for_requests(case.request);
        let result = attempt(case, &ground, running).and_then(|()| second_run(case, &ground));
        result.map_err(|why| format!("{why}\n{}", ground.account()))
    });
}

fn second_run(case: &Case, ground: &Ground) -> Result<(), String> {
    if case.settled {
        ground.fake.finish_all();
    }
    let words = case.situation.words;
    if case.situation.sees {
        ground.expect_ensured(words).map(|_| ())
    } else {
        ground.expect_at_most_one(words)
    }
}

#[test]
fn one_vm_after_a_kill_at_any_request() {
    for_each_case("kills", |_, ground, running| {
        ground.remember("killed", &running.kill());
        Ok(())
    });
}

#[test]
fn one_vm_after_a_signal_at_any_request_which_is_reported() {
    for_each_case("signals", |_, ground, running| {
        running.signal(Signal::TERM);
        let seen = running.wait();
        ground.remember("terminated", &seen);
        let failure = ground.expect_failure(&seen)?;
        if (seen.exit, failure.kind.as_str()) != (Some(143), "interrupted") {
            return Err(format!("exit {:?}, {}", seen.exit, failure.kind));
        }
        Ok(())
    });
}

/// Without `--ensure`, as if the user did not know how far the first run got.
#[test]
fn one_vm_when_the_command_is_repeated_after_a_kill_at_any_request() {
    for_each_case("kills and repeated commands", |case, ground, running| {
        ground.remember("killed", &running.kill());
        let seen = ground.run(case.situation.words);
        if ground.expect_ready_or_failure(&seen)? || !case.situation.sees {
            return Ok(());
        }
        match ground.expect_failure(&seen)?.kind.as_str() {
            "already_exists" => Ok(()),
            kind => Err(format!("repeated, it reported: {kind}")),
        }
    });
}
