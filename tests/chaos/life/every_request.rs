//! Each request of a run suffers each kind of mishap. What the run reports is so, and the same command, run
//! again, succeeds.

use serde_json::json;

use super::testbed::Testbed;
use super::verbs::{self, Verb, is_change};
use crate::chaos::mishaps::{self, Mishap};
use crate::chaos::testbed::try_all;
use crate::fake_pve::Fault;

struct Case<'a> {
    verb: &'a Verb,
    request: usize,
    mishap: Mishap,
    /// Whether the request changes more than nothing.
    is_change: bool,
    /// Whether everything ends before the second run, even what a daemon has kept.
    is_settled: bool,
}

/// The mishaps of requests that change nothing. It does not matter whether these were executed.
const OF_READS: [&str; 9] = [
    "refused",
    "cut in the body",
    "answer lost",
    "401",
    "500",
    "502, not done",
    "595",
    "silence, done",
    "null, done",
];

#[test]
fn the_report_is_true_whatever_happens_to_any_request() {
    let verbs = verbs::all();
    let mut cases = Vec::new();
    for verb in &verbs {
        for (number, line) in (1..).zip(verb.requests()) {
            for mishap in mishaps::all() {
                let both: &[bool] = match is_change(&line) {
                    true => &[true, false],
                    false if OF_READS.contains(&mishap.name) => &[false],
                    false => &[],
                };
                cases.extend(both.iter().map(|is_settled| Case {
                    verb,
                    request: number,
                    mishap: mishap.clone(),
                    is_change: is_change(&line),
                    is_settled: *is_settled,
                }));
            }
        }
    }
    let describe = |case: &Case| {
        let (verb, mishap) = (case.verb.name, case.mishap.name);
        let (request, is_settled) = (case.request, case.is_settled);
        format!("{verb}: request {request} {mishap}; settled: {is_settled}")
    };
    try_all("mishaps of changes", &cases, describe, |case| {
        let fault = Fault::at_request(case.request, case.mishap.fault.clone());
        let testbed = Testbed::new(case.verb, &json!({}), [fault]);
        two_runs(&testbed, case).map_err(|why| format!("{why}\n{}", testbed.details()))
    });
}

fn two_runs(testbed: &Testbed, case: &Case) -> Result<(), String> {
    let Verb { line, again, .. } = case.verb;
    let patience = mishaps::patience(case.mishap.is_silence);
    let seen = testbed.run(format!("{line} {patience}").trim());
    let has_succeeded = testbed.judge(&seen)?;
    testbed.expect_no_other_deeds()?;
    testbed.fake.wait_until_it_accepts();
    if case.is_settled {
        testbed.finish_all();
        if !has_succeeded {
            // What was kept has been executed by now.
            testbed.judge(&seen)?;
        }
    }
    let is_over = has_succeeded && !case.is_change;
    if !is_over && !testbed.judge(&testbed.run(&format!("{line}{again}")))? {
        return Err("the second run failed".to_owned());
    }
    testbed.finish_all();
    if !testbed.has_reached_goal() {
        return Err("in the end, the state is another one".to_owned());
    }
    testbed.expect_no_other_deeds()
}
