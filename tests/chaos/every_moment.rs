//! A run is ended at each of its requests; a second run recovers.

use serde_json::{Value, json};

use super::situations::{self, Situation};
use super::testbed::{Testbed, try_all};
use crate::fake_pve::Fault;
use crate::homelab::{Running, Signal};

struct Case<'a> {
    situation: &'a Situation,
    request: usize,
    /// Whether the server executed the request before the run ended.
    acted: bool,
    /// Whether the clones in progress finish before the second run starts.
    settled: bool,
}

fn for_each_case(
    what: &str,
    attempt: impl Fn(&Case, &Testbed, Running) -> Result<(), String> + Sync,
) {
    let situations = situations::all();
    let mut cases = Vec::new();
    for situation in &situations {
        let testbed = Testbed::new(situation.setup.clone(), []);
        testbed.run(situation.arguments);
        for request in 1..=testbed.fake.journal().len() {
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
        let testbed = Testbed::new(case.situation.setup.clone(), [fault]);
        let running = testbed.start(case.situation.arguments);
        testbed.fake.wait_for_requests(case.request);
        let went = attempt(case, &testbed, running).and_then(|()| second_run(case, &testbed));
        went.map_err(|why| format!("{why}\n{}", testbed.details()))
    });
}

fn second_run(case: &Case, testbed: &Testbed) -> Result<(), String> {
    if case.settled {
        testbed.fake.finish_all();
    }
    let arguments = case.situation.arguments;
    if case.situation.sees {
        testbed.expect_ensured(arguments).map(|_| ())
    } else {
        testbed.expect_at_most_one(arguments)
    }
}

#[test]
fn one_vm_after_a_kill_at_any_request() {
    for_each_case("kills", |_, testbed, running| {
        testbed.remember("killed", &running.kill());
        Ok(())
    });
}

#[test]
fn one_vm_and_an_error_message_after_a_signal_at_any_request() {
    for_each_case("signals", |_, testbed, running| {
        running.signal(Signal::TERM);
        let seen = running.wait();
        testbed.remember("terminated", &seen);
        let failure = testbed.expect_failure(&seen)?;
        if (seen.exit, failure.kind.as_str()) != (Some(143), "interrupted") {
            return Err(format!("exit {:?}, {}", seen.exit, failure.kind));
        }
        Ok(())
    });
}

/// Without `--ensure`, as typed by a user who does not know how far the first run got.
#[test]
fn one_vm_when_the_same_command_is_run_again_after_a_kill_at_any_request() {
    for_each_case("kills and second tries", |case, testbed, running| {
        testbed.remember("killed", &running.kill());
        let seen = testbed.run(case.situation.arguments);
        if testbed.expect_ready_or_failure(&seen)? || !case.situation.sees {
            return Ok(());
        }
        match testbed.expect_failure(&seen)?.kind.as_str() {
            "already_exists" => Ok(()),
            kind => Err(format!("the second run failed with: {kind}")),
        }
    });
}
