//! A run is ended at each of its requests. The same command, run again, succeeds.

use serde_json::{Value, json};

use super::testbed::Testbed;
use super::verbs::{self, Goal, Verb, is_change};
use crate::chaos::testbed::{signal_at, try_all};
use crate::fake_pve::Fault;
use crate::homelab::Running;

struct Case<'a> {
    verb: &'a Verb,
    request: usize,
    line: String,
    /// Whether the server executed the request before the run ended.
    acted: bool,
    /// Whether everything ends before the second run.
    is_settled: bool,
}

fn for_each_case(
    what: &str,
    attempt: impl Fn(&Case, &Testbed, Running) -> Result<(), String> + Sync,
) {
    let verbs = verbs::all();
    let mut cases = Vec::new();
    for verb in &verbs {
        for (request, line) in (1..).zip(verb.requests()) {
            let all = [(true, true), (true, false), (false, false)];
            // Whether a read was executed does not matter.
            let ways = if is_change(&line) {
                &all[..]
            } else {
                &all[..1]
            };
            for &(acted, is_settled) in ways {
                let line = line.clone();
                cases.push(Case {
                    verb,
                    request,
                    line,
                    acted,
                    is_settled,
                });
            }
        }
    }
    let describe = |case: &Case| {
        let (verb, line) = (case.verb.name, &case.line);
        let (acted, is_settled) = (case.acted, case.is_settled);
        format!("{verb}: ended at '{line}'; acted: {acted}, settled: {is_settled}")
    };
    try_all(what, &cases, describe, |case| {
        let hang = if case.acted {
            json!("after")
        } else {
            Value::from(true)
        };
        let fault = Fault::at_request(case.request, json!({"hang": hang}));
        let testbed = Testbed::new(case.verb, &json!({}), [fault]);
        let running = testbed.start(&case.verb.line);
        testbed.fake.wait_for_requests(case.request);
        let went = attempt(case, &testbed, running).and_then(|()| second_run(case, &testbed));
        went.map_err(|why| format!("{why}\n{}", testbed.details()))
    });
}

fn second_run(case: &Case, testbed: &Testbed) -> Result<(), String> {
    let Verb { line, again, .. } = case.verb;
    if case.is_settled {
        testbed.finish_all();
    }
    if !testbed.judge(&testbed.run(&format!("{line}{again}")))? {
        return Err("the second run failed".to_owned());
    }
    testbed.finish_all();
    if !testbed.has_reached_goal() {
        return Err("in the end, the state is another one".to_owned());
    }
    testbed.expect_no_other_deeds()
}

#[test]
fn the_same_command_succeeds_after_a_kill_at_any_request() {
    for_each_case("kills of changes", |_, testbed, running| {
        testbed.remember("killed", &running.kill());
        Ok(())
    });
}

#[test]
fn the_report_is_true_after_a_signal_at_any_request() {
    for_each_case("signals to changes", |case, testbed, running| {
        let (signal, exit) = signal_at(case.request);
        running.signal(signal);
        let seen = running.wait();
        testbed.remember("interrupted", &seen);
        if seen.exit != Some(exit) {
            return Err(format!("exit {:?}", seen.exit));
        }
        testbed.judge(&seen)?;
        let document: Value = serde_json::from_str(&seen.stdout).expect("judged before");
        let error = &document["error"];
        let message = error["message"].as_str().unwrap_or_default();
        let is_unknown = message.contains(" may or may not have been ");
        if is_change(&case.line) && !is_unknown {
            return Err("the outcome of the last request is unknown".to_owned());
        }
        if seen.stderr.matches("interrupted").count() != 1 || error["kind"] != "interrupted" {
            return Err("not exactly one message".to_owned());
        }
        if case.is_settled {
            // What is still being done is done in the end, and what was not, is not.
            testbed.finish_all();
            let is_done = testbed.has_reached_goal();
            let says = |words: &str| message.contains(words);
            let is_false = (says(" is still being ") && !says("powered off") && !is_done)
                || (says(" was not ") && is_done && case.verb.goal != Goal::TaskEnded)
                || (says("nothing was started") && !testbed.deeds().is_empty());
            if is_false {
                return Err(format!("in the end, done: {is_done}; reported: {message}"));
            }
        }
        Ok(())
    });
}
