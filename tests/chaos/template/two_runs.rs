//! A second run while the first one waits for the answer to any of its requests: on the same host, or on another
//! one with a state directory and a token of its own.

use serde_json::{Value, json};

use super::orders::{self, NAME, create, create_named};
use super::testbed::{COLLEAGUE, Testbed};
use crate::chaos::testbed::try_all;
use crate::fake_pve::{Fault, Guest};
use crate::homelab::{Seen, StateDir};

/// What the second run does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Second {
    Ensures,
    CreatesTheSame,
    CreatesAnotherName,
    CreatesVmOfTheName,
    CreatesVmFromIt,
    Deletes,
}

impl Second {
    /// Whether a run on the same host must have ended.
    fn needs_the_name(self) -> bool {
        matches!(
            self,
            Second::CreatesTheSame | Second::CreatesVmOfTheName | Second::Deletes
        )
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Host {
    Same,
    Other,
}

struct Case {
    second: Second,
    host: Host,
    /// An option of both runs.
    option: &'static str,
    /// The request at which the first run waits.
    request: usize,
    line: String,
}

const IMAGE: &str = "--image https://images.example/debian-12-amd64.img";
const OTHER: &str = "debian-12b";

fn combinations() -> Vec<(Second, Host, &'static str)> {
    use Host::{Other, Same};

    let mut all = Vec::new();
    for second in [
        Second::Ensures,
        Second::CreatesTheSame,
        Second::CreatesAnotherName,
        Second::CreatesVmOfTheName,
        Second::CreatesVmFromIt,
        Second::Deletes,
    ] {
        all.extend([(second, Same, ""), (second, Other, "")]);
    }
    all.push((Second::Ensures, Other, " --vmid 150"));
    all.push((Second::CreatesTheSame, Other, " --vmid 150"));
    all
}

#[test]
fn nothing_of_another_run_is_touched() {
    let order = orders::from_url();
    let journal = order.requests();
    let mut cases = Vec::new();
    for (second, host, option) in combinations() {
        // A run that is told that another one is busy depends little on what that one is doing.
        let is_told = host == Host::Same && second.needs_the_name();
        let step = if is_told { 4 } else { 1 };
        for (request, line) in (1..).zip(&journal).step_by(step) {
            cases.push(Case {
                second,
                host,
                option,
                request,
                line: line.clone(),
            });
        }
    }
    let describe = |case: &Case| {
        let Case {
            second,
            host,
            option,
            request,
            line,
        } = case;
        format!("{second:?} on {host:?} host{option}, at request {request} '{line}'")
    };
    try_all("pairs of runs", &cases, describe, |case| {
        let fault = Fault::at_request(case.request, json!({"hang": true}));
        let testbed = Testbed::new(&order, &json!({}), [fault]);
        let went = two_runs(&testbed, case);
        went.map_err(|why| format!("{why}\n{}", testbed.details()))
    });
}

fn two_runs(testbed: &Testbed, case: &Case) -> Result<(), String> {
    let line = format!("{}{}", testbed.order.line, case.option);
    let first = testbed.start(&format!("{line} --request-timeout 0.3"));
    testbed.fake.wait_for_requests(case.request);
    let elsewhere = StateDir::new();
    let its_line = format!("{}{}", line_of(case.second), case.option);
    let second = match case.host {
        Host::Same => testbed.start(&its_line),
        Host::Other => testbed.start_elsewhere(&elsewhere, &its_line),
    };
    let process = first.process();
    let (first, second) = (first.wait(), second.wait());
    testbed.remember("the first one", &first);
    testbed.remember("the second one", &second);

    let may_delete = (case.second, case.host) == (Second::Deletes, Host::Other);
    let check_trespass = || {
        if may_delete {
            testbed.expect_no_deeds_but_ours()
        } else {
            testbed.expect_no_trespass()
        }
    };
    check_trespass()?;
    check_second(testbed, case, process, &second)?;
    // What the second one did may stand in the way of the first one.
    let is_alone = case.host == Host::Same || case.second == Second::CreatesVmFromIt;
    let is_apart = case.second == Second::CreatesAnotherName;
    if !testbed.judge(&first)? && (is_alone || is_apart) {
        return Err("the first run failed".to_owned());
    }
    testbed.finish_all();
    check_trespass()?;
    let [ours, its] = [None, Some(COLLEAGUE)].map(|maker| templates(testbed, maker));
    if case.option.is_empty() && is_alone && ours != [NAME] && !is_apart {
        return Err(format!(
            "there are {ours:?} of ours, {its:?} of the colleague"
        ));
    }
    if !case.option.is_empty() && ours.len() + its.len() != 1 {
        return Err(format!(
            "there are {ours:?} of ours, {its:?} of the colleague"
        ));
    }
    let again = testbed.run(&format!("{line} --ensure"));
    testbed.judge(&again)?;
    check_trespass()?;
    testbed.expect_all_named(None)
}

fn line_of(second: Second) -> String {
    match second {
        Second::Ensures => create(&format!("{IMAGE} --ensure")),
        Second::CreatesTheSame => create(IMAGE),
        Second::CreatesAnotherName => create_named(OTHER, IMAGE),
        Second::CreatesVmOfTheName => format!("vm create {NAME} base"),
        Second::CreatesVmFromIt => format!("vm create web-1 {NAME} --linked"),
        Second::Deletes => format!("vm delete {NAME} --yes"),
    }
}

/// Its outcome where that does not depend on the first run.
fn check_second(testbed: &Testbed, case: &Case, process: u32, seen: &Seen) -> Result<(), String> {
    let document: Value = serde_json::from_str(&seen.stdout).map_err(|error| error.to_string())?;
    let message = document["error"]["message"].as_str().unwrap_or_default();
    let busy = match case.second {
        Second::CreatesTheSame => format!("process {process} is creating template '{NAME}'"),
        Second::CreatesVmOfTheName => format!("process {process} is creating VM '{NAME}'"),
        _ => String::new(),
    };
    if case.host == Host::Same && !busy.is_empty() && message != busy {
        return Err(format!("the second run did not say that {busy}"));
    }
    let must_succeed = matches!(
        (case.second, case.host),
        (Second::Ensures, Host::Same) | (Second::CreatesAnotherName, _)
    );
    if must_succeed && seen.exit != Some(0) {
        return Err("the second run failed".to_owned());
    }
    if case.second == Second::CreatesVmFromIt && seen.exit == Some(0) {
        let cluster = testbed.fake.cluster();
        let vm = cluster
            .guests
            .values()
            .find(|guest| guest.name() == Some("web-1"));
        let disk = vm.and_then(|vm| vm.config.get("scsi0"));
        if disk.is_none() {
            return Err("there is no complete VM".to_owned());
        }
    }
    if (case.second, case.host) == (Second::Deletes, Host::Same) && seen.exit == Some(0) {
        return Err("the VM of the first run was deleted".to_owned());
    }
    Ok(())
}

/// The names of the templates that we, or this user, have made.
fn templates(testbed: &Testbed, maker: Option<&str>) -> Vec<String> {
    let cluster = testbed.fake.cluster();
    let maker = maker.unwrap_or(crate::fake_pve::TOKEN);
    let made = cluster.guests.values().filter(|guest| {
        guest.maker.as_deref() == Some(maker) && super::testbed::is_converted(guest)
    });
    made.filter_map(Guest::name).map(str::to_owned).collect()
}
