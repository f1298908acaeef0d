//! What other users may do between any two requests of a run. Nothing of theirs is changed, what the run reports
//! is so, and in the end there is one template of ours, or the error names what is in the way.
//!
//! Not promised: the server converts whichever VM has the VMID when a request arrives, and imports whichever
//! file has the name of the image. So a VM or an image that is replaced after the last check and before that
//! request is excluded here.

use serde_json::{Value, json};

use super::orders::{self, NAME, Order, VMID, VOLUME};
use super::testbed::Testbed;
use crate::chaos::report::{Report, read};
use crate::chaos::testbed::try_all;

/// Something that happens right before a request.
struct Act {
    name: &'static str,
    planned: Value,
    to: To,
}

/// What it happens to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum To {
    /// Our VM, which remains.
    OurVm,
    /// Our VM, whose VMID another guest gets.
    OurVmid,
    Others,
}

struct Case<'a> {
    order: &'a Order,
    act: &'a Act,
    /// The request right before which it happens.
    request: usize,
    line: String,
    /// Whether the download was requested before.
    has_downloaded: bool,
}

const IMAGE_REPLACED: &str = "image replaced";
/// It is back two requests later.
const QUORUM_RETURNS: &str = "without quorum for a moment";

fn acts() -> Vec<Act> {
    let act = |(name, planned, to)| Act { name, planned, to };
    let all = newcomers().chain(replacements()).chain(changes());
    all.chain(surroundings()).map(act).collect()
}

/// Another guest appears.
fn newcomers() -> impl Iterator<Item = (&'static str, Value, To)> {
    let all = [
        ("a VM of the name", json!({"vmid": 150, "name": NAME})),
        (
            "a template of the name",
            json!({"vmid": 150, "name": NAME, "template": true}),
        ),
        (
            "a container of the name",
            json!({"vmid": 150, "name": NAME, "type": "lxc"}),
        ),
        (
            "another VM at the VMID",
            json!({"vmid": VMID, "name": "db-1"}),
        ),
        (
            "a VM of the name at the VMID",
            json!({"vmid": VMID, "name": NAME}),
        ),
        (
            "a template of the name at the VMID",
            json!({"vmid": VMID, "name": NAME, "template": true}),
        ),
        (
            "a container at the VMID",
            json!({"vmid": VMID, "name": "db-1", "type": "lxc", "node": "pve2"}),
        ),
    ];
    let all = all.into_iter();
    all.map(|(name, guest)| (name, json!({"create": guest}), To::Others))
}

/// The VM with our VMID is destroyed, and another guest gets its VMID.
fn replacements() -> impl Iterator<Item = (&'static str, Value, To)> {
    let all = [
        ("replaced", json!({"name": "db-1"})),
        ("replaced by a VM of its name", json!({"name": NAME})),
        (
            "replaced by a VM of its name on another node",
            json!({"name": NAME, "node": "pve2"}),
        ),
        (
            "replaced by a template of its name",
            json!({"name": NAME, "template": true}),
        ),
        (
            "replaced by a container",
            json!({"name": NAME, "type": "lxc"}),
        ),
    ];
    all.into_iter().map(|(name, mut guest)| {
        guest["vmid"] = VMID.into();
        (name, json!({"replace": guest}), To::OurVmid)
    })
}

/// No other guest gets the VMID.
fn changes() -> impl Iterator<Item = (&'static str, Value, To)> {
    let all = [
        ("destroyed", json!({"destroy": VMID})),
        ("renamed", json!({"rename": {"vmid": VMID, "name": "db-1"}})),
        ("moved", json!({"move": {"vmid": VMID, "node": "pve2"}})),
        ("locked", json!({"lock": {"vmid": VMID, "lock": "backup"}})),
        ("started", json!({"start": VMID})),
        ("converted", json!({"convert": VMID})),
        (
            "made a template by its option alone",
            json!({"ask": format!("PUT /nodes/pve1/qemu/{VMID}/config template=1")}),
        ),
        (
            "destroyed by a task",
            json!({"ask": format!("DELETE /nodes/pve1/qemu/{VMID}")}),
        ),
    ];
    let all = all.into_iter();
    all.map(|(name, planned)| (name, planned, To::OurVm))
}

fn surroundings() -> impl Iterator<Item = (&'static str, Value, To)> {
    let image = json!({"volid": VOLUME, "file": {"content": "other"}});
    let all = [
        ("image removed", json!({"remove_image": VOLUME})),
        (IMAGE_REPLACED, json!({"put_image": image})),
        ("without quorum", json!({"quorum": false})),
        (QUORUM_RETURNS, json!({"quorum": false})),
    ];
    let all = all.into_iter();
    all.map(|(name, planned)| (name, planned, To::Others))
}

impl Act {
    /// With the image of this order.
    fn planned_for(&self, order: &Order) -> Value {
        let text = self.planned.to_string().replace(VOLUME, order.volume);
        serde_json::from_str(&text).expect("as before")
    }
}

#[test]
fn nothing_of_others_is_changed_whatever_they_do_between_two_requests() {
    let (orders, acts) = (orders::all(), acts());
    let mut cases = Vec::new();
    for order in &orders {
        let journal = order.requests();
        let is_creation = |line: &String| line.starts_with("POST /nodes/pve1/qemu ");
        let created = journal.iter().position(is_creation).expect("an import") + 1;
        let is_download = |line: &String| line.contains("/download-url ");
        let downloaded = journal.iter().position(is_download).map_or(0, |at| at + 1);
        for act in &acts {
            for (request, line) in (1..).zip(&journal) {
                let is_conversion = line.ends_with("/template");
                let is_excluded = is_conversion && act.to == To::OurVmid;
                let is_possible = request > created || act.to == To::Others;
                // In the rest, the orders do not differ.
                let is_special = match order.name {
                    "URL" => act.name.starts_with("image"),
                    "volume" => request >= created,
                    _ => true,
                };
                if is_possible && is_special && !is_excluded {
                    cases.push(Case {
                        order,
                        act,
                        request,
                        line: line.clone(),
                        has_downloaded: request > downloaded,
                    });
                }
            }
        }
    }
    let describe = |case: &Case| {
        let (order, act, line) = (case.order.name, case.act.name, &case.line);
        format!("{order}: {act} before request {} '{line}'", case.request)
    };
    try_all("acts of others on imports", &cases, describe, |case| {
        let planned = case.act.planned_for(case.order);
        let mut others = vec![json!({"request": case.request, "do": planned})];
        if case.act.name == QUORUM_RETURNS {
            others.push(json!({"request": case.request + 2, "do": {"quorum": true}}));
        }
        let more = json!({"others": others});
        let mut testbed = Testbed::new(case.order, &more, []);
        testbed.is_image_replaced = case.act.name == IMAGE_REPLACED && case.has_downloaded;
        let went = two_runs(&testbed);
        went.map_err(|why| format!("{why}\n{}", testbed.details()))
    });
}

fn two_runs(testbed: &Testbed) -> Result<(), String> {
    let line = &testbed.order.line;
    // Nobody unlocks it.
    let seen = testbed.run(&format!("{line} --timeout 1.5"));
    let has_succeeded = testbed.judge(&seen)?;
    testbed.expect_no_trespass()?;
    testbed.finish_all();
    if !has_succeeded {
        testbed.judge(&seen)?;
    }
    {
        let mut cluster = testbed.fake.cluster();
        cluster.setup.no_quorum = false;
        if let Some(vm) = cluster.guests.get_mut(&VMID) {
            vm.config
                .retain(|key, value| key != "lock" || value != "backup");
        }
    }
    let again = testbed.run(&format!("{line} --ensure"));
    let except = match read(&again)? {
        Report::Ready(ready) => {
            testbed.judge(&again)?;
            Some(ready.vmid)
        }
        Report::Failed { error } => {
            testbed.judge(&again)?;
            let hint = error.hint.unwrap_or_default();
            if hint.is_empty() {
                return Err("what is to be typed is not said".to_owned());
            }
            None
        }
    };
    testbed.finish_all();
    testbed.expect_no_trespass()?;
    let ours = testbed.ours();
    let named: Vec<u32> = ours
        .iter()
        .filter(|guest| guest.name() == Some(NAME))
        .map(|guest| guest.vmid)
        .collect();
    if named.len() > 1 {
        return Err(format!("we have created {named:?}"));
    }
    testbed.expect_all_named(except)
}
