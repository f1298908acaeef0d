//! Faults of the server: workers die, storages are full, the quorum is lost in mid-task. What the run reports is
//! so; and once the cause is removed, and what the hint tells root was done, the same command succeeds.

use serde_json::{Value, json};

use super::orders::{self, Order};
use super::testbed::Testbed;
use crate::chaos::report::{Report, read};
use crate::chaos::testbed::try_all;
use crate::fake_pve::Fault;

/// What goes wrong with a task of this type.
struct Trouble {
    name: &'static str,
    task: &'static str,
    setup: Value,
}

struct Case<'a> {
    order: &'a Order,
    trouble: &'a Trouble,
    /// Whether the first run is killed while it waits for the first task of that type.
    is_killed: bool,
}

const DIED: &str = "unexpected status";
const ALL: [&str; 4] = ["download", "qmcreate", "resize", "qmtemplate"];

fn troubles() -> Vec<Trouble> {
    let full = |content: &str| json!({"content": [content], "full": true});
    let others = [
        (
            "no space",
            "download",
            json!({"storages": {"local": full("import")}}),
        ),
        (
            "no space",
            "qmcreate",
            json!({"storages": {"data": full("images")}}),
        ),
        (
            "aborted workers are killed",
            "download",
            json!({"abort_kills": true}),
        ),
    ];
    // They are the first tasks of their runs, each in this order.
    let quorum = ALL.map(|task| ("the quorum is lost", task, json!({"others": []})));
    let all = exits().into_iter().chain(others).chain(quorum);
    all.map(|(name, task, setup)| Trouble { name, task, setup })
        .collect()
}

/// Tasks end badly: the first one, or all.
fn exits() -> Vec<(&'static str, &'static str, Value)> {
    let exits = [
        ("download", "download_exit", "download failed: exit code 4"),
        (
            "qmcreate",
            "create_exit",
            "unable to create VM {vmid} - interrupted by signal",
        ),
        ("resize", "resize_exit", "no"),
        (
            "qmtemplate",
            "template_exit",
            "unable to create base volume",
        ),
    ];
    let of_task = |(task, field, failure): (&'static str, &str, &str)| {
        [
            ("the worker dies", task, json!({field: [DIED, "OK"]})),
            ("each worker dies", task, json!({field: DIED})),
            ("a lock", task, json!({field: ["got timeout", "OK"]})),
            ("it fails", task, json!({field: [failure, "OK"]})),
            ("it always fails", task, json!({field: failure})),
        ]
    };
    exits.into_iter().flat_map(of_task).collect()
}

#[test]
fn one_template_after_any_fault_of_the_server() {
    let (url, volume) = (orders::from_url_with_checksum(), orders::from_volume());
    let troubles = troubles();
    let cases = troubles.iter().flat_map(|trouble| {
        let is_resize = trouble.task == "resize";
        let order = if is_resize { &volume } else { &url };
        [false, true].map(|is_killed| Case {
            order,
            trouble,
            is_killed,
        })
    });
    let cases: Vec<Case> = cases.collect();
    let describe = |case: &Case| {
        let Trouble { name, task, setup } = case.trouble;
        format!("{task}: {name} ({setup}); killed: {}", case.is_killed)
    };
    try_all("faults of the server", &cases, describe, |case| {
        let poll = case.number_of_poll();
        let mut setup = case.trouble.setup.clone();
        if setup.get("others").is_some() {
            let lost = json!({"request": poll, "do": {"quorum": false}});
            setup["others"] = json!([lost]);
        }
        let hang = case
            .is_killed
            .then(|| Fault::at_request(poll, json!({"hang": "after"})));
        let testbed = Testbed::new(case.order, &setup, hang);
        let went = runs(&testbed, case, poll);
        went.map_err(|why| format!("{why}\n{}", testbed.details()))
    });
}

fn runs(testbed: &Testbed, case: &Case, poll: usize) -> Result<(), String> {
    // Nothing passes by itself.
    let line = format!("{} --timeout 2", case.order.line);
    if case.is_killed {
        let running = testbed.start(&case.order.line);
        testbed.fake.wait_for_requests(poll);
        testbed.remember("killed", &running.kill());
        testbed.finish_all();
    }
    let seen = testbed.run(&format!("{line} --ensure"));
    let has_succeeded = testbed.judge(&seen)?;
    testbed.expect_no_trespass()?;
    testbed.finish_all();
    {
        let mut cluster = testbed.fake.cluster();
        cluster.end_faults();
        cluster.setup.storages.clear();
    }
    if !has_succeeded {
        testbed.judge(&seen)?;
        if let Report::Failed { error } = read(&seen)? {
            testbed.obey(&error.hint.unwrap_or_default());
        }
    }
    let ready = testbed.expect_ensured()?;
    testbed.expect_all_named(Some(ready.vmid))?;
    let leftovers = testbed.fake.cluster().setup.leftovers.clone();
    if leftovers.is_empty() {
        return Ok(());
    }
    Err(format!("left behind: {leftovers:?}"))
}

impl Case<'_> {
    /// The number of the first poll of a task of that type, up to which nothing goes wrong.
    fn number_of_poll(&self) -> usize {
        let task = format!(":{}:", self.trouble.task);
        let is_poll = |line: &String| line.ends_with("/status") && line.contains(&task);
        let journal = self.order.requests();
        journal.iter().position(is_poll).expect("a poll") + 1
    }
}
