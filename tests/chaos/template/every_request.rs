//! Each request of a run suffers each kind of mishap. What the run reports is so, and the same command, run
//! again with `--ensure`, succeeds.

use serde_json::json;

use super::orders::{self, Order, is_change};
use super::testbed::Testbed;
use crate::chaos::mishaps::{self, Mishap};
use crate::chaos::testbed::try_all;
use crate::fake_pve::Fault;

struct Case<'a> {
    order: &'a Order,
    request: usize,
    line: String,
    mishap: Mishap,
    between: Between,
}

/// What happens between the two runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Between {
    /// All tasks end.
    AllEnds,
    /// The daemon wakes up and executes what it has kept.
    DaemonWakes,
    /// Everything is still running.
    Nothing,
}

/// The mishaps of requests that change nothing. It does not matter whether these were executed.
const OF_READS: [&str; 8] = [
    "refused",
    "cut in the body",
    "answer lost",
    "401",
    "500",
    "595",
    "silence, done",
    "null, done",
];

#[test]
fn one_template_whatever_happens_to_any_request() {
    let orders = orders::all();
    let mut cases = Vec::new();
    for order in &orders {
        for (request, line) in order.own_requests() {
            for mishap in mishaps::all() {
                for between in betweens(&line, &mishap) {
                    cases.push(Case {
                        order,
                        request,
                        line: line.clone(),
                        mishap: mishap.clone(),
                        between,
                    });
                }
            }
        }
    }
    let describe = |case: &Case| {
        let (order, line, mishap) = (case.order.name, &case.line, case.mishap.name);
        let (request, between) = (case.request, case.between);
        format!("{order}: request {request} '{line}' {mishap}; then {between:?}")
    };
    try_all("mishaps of templates", &cases, describe, |case| {
        let fault = Fault::at_request(case.request, case.mishap.fault.clone());
        let testbed = Testbed::new(case.order, &json!({}), [fault]);
        two_runs(&testbed, case).map_err(|why| format!("{why}\n{}", testbed.details()))
    });
}

fn betweens(line: &str, mishap: &Mishap) -> Vec<Between> {
    let is_read = !is_change(line);
    match (is_read, mishap.is_kept) {
        (true, _) if OF_READS.contains(&mishap.name) => vec![Between::Nothing],
        (true, _) => vec![],
        (false, true) => vec![Between::AllEnds, Between::DaemonWakes, Between::Nothing],
        (false, false) => vec![Between::AllEnds, Between::Nothing],
    }
}

fn two_runs(testbed: &Testbed, case: &Case) -> Result<(), String> {
    let patience = mishaps::patience(case.mishap.is_silence);
    let line = format!("{} {patience}", case.order.line);
    let seen = testbed.run(line.trim());
    let has_succeeded = testbed.judge(&seen)?;
    // On a busy machine, one that takes time may be followed by another one.
    let is_short = !case.mishap.is_silence && case.mishap.name != "refused";
    let is_temporary = case.request > 1 && case.mishap.name != "null, done";
    let is_survived = !is_change(&case.line) && is_temporary && is_short;
    if is_survived && !has_succeeded {
        return Err("one read failed, and the run gave up".to_owned());
    }
    testbed.fake.wait_until_it_accepts();
    match case.between {
        Between::AllEnds => testbed.finish_all(),
        Between::DaemonWakes => testbed.fake.wake(),
        Between::Nothing => {}
    }
    // What was kept may have been executed by now.
    testbed.judge(&seen)?;
    if has_succeeded && !is_change(&case.line) {
        return testbed.expect_created(&seen).map(drop);
    }
    let ready = testbed.expect_ensured()?;
    if has_succeeded && ready.created {
        return Err("both runs claim to have created it".to_owned());
    }
    Ok(())
}
