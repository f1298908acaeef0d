//! A run is ended at each of its requests. The same command, run again with `--ensure`, succeeds.

use serde_json::{Value, json};

use super::orders::{self, Order, is_change};
use super::testbed::Testbed;
use crate::chaos::report::{Report, read};
use crate::chaos::testbed::{signal_at, try_all};
use crate::fake_pve::Fault;
use crate::homelab::{Running, Seen};

struct Case<'a> {
    order: &'a Order,
    request: usize,
    line: String,
    /// Whether the server executed the request before the run ended.
    acted: bool,
    /// Whether all tasks end before the second run.
    is_settled: bool,
}

fn for_each_case(
    what: &str,
    attempt: impl Fn(&Case, &Testbed, Running) -> Result<(), String> + Sync,
) {
    let orders = orders::all();
    let mut cases = Vec::new();
    for order in &orders {
        for (request, line) in order.own_requests() {
            let all = [(true, true), (true, false), (false, false)];
            // Whether a read was executed does not matter.
            let ways = if is_change(&line) {
                &all[..]
            } else {
                &all[..2]
            };
            for &(acted, is_settled) in ways {
                let line = line.clone();
                cases.push(Case {
                    order,
                    request,
                    line,
                    acted,
                    is_settled,
                });
            }
        }
    }
    let describe = |case: &Case| {
        let (order, request, line) = (case.order.name, case.request, &case.line);
        let (acted, is_settled) = (case.acted, case.is_settled);
        format!(
            "{order}: ended at request {request} '{line}'; acted: {acted}, settled: {is_settled}"
        )
    };
    try_all(what, &cases, describe, |case| {
        let hang = if case.acted {
            json!("after")
        } else {
            Value::from(true)
        };
        let fault = Fault::at_request(case.request, json!({"hang": hang}));
        let testbed = Testbed::new(case.order, &json!({}), [fault]);
        let running = testbed.start(&case.order.line);
        testbed.fake.wait_for_requests(case.request);
        let went = attempt(case, &testbed, running).and_then(|()| {
            if case.is_settled {
                testbed.finish_all();
            }
            testbed.expect_ensured().map(drop)
        });
        went.map_err(|why| format!("{why}\n{}", testbed.details()))
    });
}

#[test]
fn one_template_after_a_kill_at_any_request() {
    for_each_case("kills of imports", |_, testbed, running| {
        testbed.remember("killed", &running.kill());
        Ok(())
    });
}

#[test]
fn the_message_is_true_after_a_signal_at_any_request() {
    for_each_case("signals to imports", |case, testbed, running| {
        let (signal, exit) = signal_at(case.request);
        running.signal(signal);
        let seen = running.wait();
        testbed.remember("interrupted", &seen);
        if seen.exit != Some(exit) || seen.stderr.matches("interrupted").count() != 1 {
            return Err(format!("exit {:?}, or not exactly one message", seen.exit));
        }
        testbed.judge(&seen)?;
        check_message(case, testbed, &seen)
    });
}

/// What an interrupted run says about the request that was being answered, and about what is running.
fn check_message(case: &Case, testbed: &Testbed, seen: &Seen) -> Result<(), String> {
    let Report::Failed { error } = read(seen)? else {
        return Err("it was interrupted, and reports a success".to_owned());
    };
    let says = |words: &str| error.message.contains(words);
    let is_doubtful = says(" may or may not ") || says(" is still being ");
    if is_change(&case.line) && !is_doubtful {
        return Err("the outcome of the last request is unknown".to_owned());
    }
    let is_template = testbed
        .ours()
        .iter()
        .any(crate::fake_pve::Guest::is_template);
    let has_begun = !testbed.ours().is_empty()
        || !testbed.running_downloads().is_empty()
        || testbed.has_image() && case.order.volume != orders::VOLUME;
    let is_false = (says("nothing was started") && has_begun)
        || (says(" is still running") && !has_begun)
        || (says("nothing is left to do") && !is_template);
    let hint = error.hint.unwrap_or_default();
    if is_false || (hint == "nothing is left to do" && !is_template) {
        return Err(format!(
            "begun: {has_begun}, template: {is_template}; reported: {}; {hint}",
            error.message
        ));
    }
    Ok(())
}
