//! Faults of the server: workers die, storages are full, the quorum is lost in mid-task. What the run reports is
//! so; and once the cause is removed, and what the hint tells root was done, the same command succeeds.

use serde_json::{Value, json};

use super::orders::{self, Order};
use super::testbed::Testbed;
use crate::chaos::report::{Report, read};
use crate::chaos::testbed::try_all;
use crate::fake_pve::Fault;

struct Case<'a> {
    order: &'a Order,
    name: &'static str,
    setup: Value,
    /// The run is killed when it sends the first request that begins with this, which is executed.
    killed_at: Option<&'static str>,
}

const DIED: &str = "unexpected status";

fn faults() -> Vec<(&'static str, Value)> {
    let full = |content: &str| json!({"content": [content], "full": true});
    let quorum_lost_in_task = |number: u32| {
        let poll = format!("GET /nodes/pve1/tasks/UPID:pve1:{number:08X}");
        json!({"others": [{"before": poll, "do": {"quorum": false}}]})
    };
    let others = [
        (
            "no space for the image",
            json!({"storages": {"local": full("import")}}),
        ),
        (
            "no space for the disk",
            json!({"storages": {"data": full("images")}}),
        ),
        ("the quorum is lost in the download", quorum_lost_in_task(1)),
        ("the quorum is lost in the import", quorum_lost_in_task(2)),
        (
            "the quorum is lost in the conversion",
            quorum_lost_in_task(3),
        ),
        ("aborted workers are killed", json!({"abort_kills": true})),
    ];
    let exits = exits().into_iter();
    exits.chain(others).collect()
}

/// Tasks end badly: the first one, or all.
fn exits() -> Vec<(&'static str, Value)> {
    let once = |what: &str, exit: &str| json!({what: [exit, "OK"]});
    let always = |what: &str, exit: &str| json!({what: exit});
    let cut = "download failed: exit code 4";
    let signal = "unable to create VM {vmid} - interrupted by signal";
    let failed = "unable to create base volume";
    vec![
        ("the download's worker dies", once("download_exit", DIED)),
        (
            "every download's worker dies",
            always("download_exit", DIED),
        ),
        ("the download fails", once("download_exit", cut)),
        ("the import's worker dies", once("create_exit", DIED)),
        ("the import fails", once("create_exit", signal)),
        ("the disk cannot be grown", once("resize_exit", "no")),
        ("the disk is locked", once("resize_exit", "got timeout")),
        ("the resize's worker dies", once("resize_exit", DIED)),
        ("the conversion's worker dies", once("template_exit", DIED)),
        (
            "every conversion's worker dies",
            always("template_exit", DIED),
        ),
        ("the conversion fails", once("template_exit", failed)),
        ("every conversion fails", always("template_exit", failed)),
    ]
}

/// The moments at which the first run is killed: while it waits for each task.
const KILLS: [&str; 3] = [
    "GET /nodes/pve1/tasks/UPID:pve1:00000001",
    "GET /nodes/pve1/tasks/UPID:pve1:00000002",
    "GET /nodes/pve1/tasks/UPID:pve1:00000003",
];

#[test]
fn one_template_after_any_fault_of_the_server() {
    let orders = [orders::from_url_with_checksum(), orders::from_volume()];
    let mut cases = Vec::new();
    for order in &orders {
        for (name, setup) in faults() {
            for killed_at in [None].into_iter().chain(KILLS.map(Some)) {
                let setup = setup.clone();
                cases.push(Case {
                    order,
                    name,
                    setup,
                    killed_at,
                });
            }
        }
    }
    let describe = |case: &Case| {
        let (order, name, killed_at) = (case.order.name, case.name, case.killed_at);
        format!("{order}: {name}; killed at {killed_at:?}")
    };
    try_all("faults of the server", &cases, describe, |case| {
        let number = case.number_of_kill();
        let hang = number.map(|number| Fault::at_request(number, json!({"hang": "after"})));
        let testbed = Testbed::new(case.order, &case.setup, hang);
        let went = runs(&testbed, case, number);
        went.map_err(|why| format!("{why}\n{}", testbed.details()))
    });
}

fn runs(testbed: &Testbed, case: &Case, number: Option<usize>) -> Result<(), String> {
    let line = case.line();
    if let Some(number) = number {
        let running = testbed.start(&line);
        testbed.fake.wait_for_requests(number);
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
    /// Nothing passes by itself.
    fn line(&self) -> String {
        format!("{} --timeout 2", self.order.line)
    }

    /// The number of the request with which the first run is killed.
    fn number_of_kill(&self) -> Option<usize> {
        let before = self.killed_at?;
        let testbed = Testbed::new(self.order, &self.setup, []);
        testbed.run(&self.line());
        let journal = testbed.fake.journal();
        let at = journal.iter().position(|line| line.starts_with(before));
        at.map(|at| at + 1)
    }
}
