//! What other users may do between any two requests of a run. No VM of theirs is touched, and what the run
//! reports is so.
//!
//! Not promised: the server acts on whichever VM has the VMID when a request arrives. So a VM that is replaced
//! after the last check and before that request is excluded here.

use serde_json::{Value, json};

use super::testbed::{Testbed, VM, VMID};
use super::verbs::{self, Goal, Verb, is_change};
use crate::chaos::testbed::try_all;
use crate::fake_pve::{Did, Stamp};

/// Something that happens right before a request.
struct Act {
    name: &'static str,
    planned: Value,
    replaces: Replaces,
}

/// Whether another guest has the VMID afterwards.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Replaces {
    No,
    /// And it is not what the user means.
    ByAnother,
    /// The user means it if the run has not read the configuration of the first one before.
    BySameName,
}

struct Case<'a> {
    verb: &'a Verb,
    act: &'a Act,
    /// The request right before which it happens.
    request: usize,
    /// Whether the run has read the VM's configuration before.
    is_seen: bool,
    /// Whether the run has looked for running clones before.
    has_looked_for_clones: bool,
}

impl Act {
    /// A VM that is in the requested state already is left alone anyway. A stop and a shutdown differ in nothing
    /// that matters here.
    fn matters_to(&self, verb: &Verb) -> bool {
        let is_running = self.planned["replace"]["status"] == "running";
        let is_stopped = matches!(self.name, "replaced" | "replaced by a VM of its name");
        match verb.name {
            "shutdown" => false,
            "start" => !is_running && self.name != "powered off" && self.name != "paused",
            "delete" => true,
            "delete --stop" => !is_stopped,
            _ => !is_stopped && self.name != "started",
        }
    }
}

fn acts() -> Vec<Act> {
    let act = |(name, planned, replaces)| Act {
        name,
        planned,
        replaces,
    };
    let another = json!({"destroy": VMID});
    let another = [("destroyed", another, Replaces::ByAnother)].into_iter();
    let all = another.chain(replacements()).chain(changes());
    all.map(act).collect()
}

/// The VM is destroyed, and another guest gets its VMID.
fn replacements() -> impl Iterator<Item = (&'static str, Value, Replaces)> {
    use Replaces::{ByAnother, BySameName};

    let all = [
        ("replaced", json!({"name": "db-1"}), ByAnother),
        (
            "replaced by a running VM",
            json!({"name": "db-1", "status": "running"}),
            ByAnother,
        ),
        ("replaced by a VM of its name", json!({}), BySameName),
        (
            "replaced by a running VM of its name",
            json!({"status": "running"}),
            BySameName,
        ),
        (
            "replaced on another node",
            json!({"node": "pve2"}),
            BySameName,
        ),
        ("replaced by a container", json!({"type": "lxc"}), ByAnother),
        (
            "replaced by a template",
            json!({"template": true}),
            ByAnother,
        ),
        (
            "replaced by an unfinished clone",
            json!({"lock": "clone"}),
            ByAnother,
        ),
    ];
    all.into_iter().map(|(name, mut guest, replaces)| {
        guest["vmid"] = VMID.into();
        if guest["name"].is_null() {
            guest["name"] = "web-1".into();
        }
        (name, json!({"replace": guest}), replaces)
    })
}

/// The VM remains.
fn changes() -> impl Iterator<Item = (&'static str, Value, Replaces)> {
    let ask = |line: &str| json!({"ask": line});
    let all = [
        ("moved", json!({"move": {"vmid": VMID, "node": "pve2"}})),
        ("renamed", json!({"rename": {"vmid": VMID, "name": "db-1"}})),
        ("started", json!({"start": VMID})),
        ("powered off", json!({"power_off": VMID})),
        ("paused", json!({"pause": VMID})),
        ("locked", json!({"lock": {"vmid": VMID, "lock": "backup"}})),
        (
            "protected",
            ask("PUT /nodes/pve1/qemu/101/config protection=1"),
        ),
        (
            "cloned",
            ask("POST /nodes/pve1/qemu/101/clone newid=160&name=copy"),
        ),
        (
            "destroyed by a task",
            ask("DELETE /nodes/pve1/qemu/101?purge=1"),
        ),
        (
            "shut down by a task",
            ask("POST /nodes/pve1/qemu/101/status/shutdown"),
        ),
        ("without quorum", json!({"quorum": false})),
    ];
    let all = all.into_iter();
    all.map(|(name, planned)| (name, planned, Replaces::No))
}

#[test]
fn no_other_vm_is_touched_whatever_others_do_between_two_requests() {
    let (verbs, acts) = (verbs::of_a_vm(), acts());
    let mut cases = Vec::new();
    for verb in &verbs {
        let journal = verb.requests();
        let config = |line: &String| line == "GET /nodes/pve1/qemu/101/config";
        let first_read = journal.iter().position(config).expect("it is read") + 1;
        let clones = |line: &String| line.starts_with("GET /nodes/pve1/tasks?");
        let clones = journal.iter().position(clones);
        for act in acts.iter().filter(|act| act.matters_to(verb)) {
            for (request, line) in (1..).zip(&journal) {
                let is_excluded = is_change(line) && act.replaces != Replaces::No;
                if !is_excluded {
                    cases.push(Case {
                        verb,
                        act,
                        request,
                        is_seen: request > first_read,
                        has_looked_for_clones: clones.is_none_or(|clones| request > clones + 1),
                    });
                }
            }
        }
    }
    let describe = |case: &Case| {
        let (verb, act, request) = (case.verb.name, case.act.name, case.request);
        format!("{verb}: {act} before request {request}")
    };
    try_all("acts of others", &cases, describe, |case| {
        let planned = json!({"request": case.request, "do": case.act.planned});
        let more = json!({
            "others": [planned],
            "clone_polls": 3,
            "shutdown_polls": 2,
        });
        let testbed = Testbed::new(case.verb, &more, []);
        let went = one_run(case, &testbed);
        went.map_err(|why| format!("{why}\n{}", testbed.details()))
    });
}

fn one_run(case: &Case, testbed: &Testbed) -> Result<(), String> {
    // Nobody starts it again, and no task unlocks it.
    let seen = testbed.run(&format!("{} --timeout 1.5", case.verb.line));
    let stamps = testbed.deeds().into_iter().map(|deed| deed.vm);
    // By its name, the user may mean the second one.
    let may_mean_second = case.act.replaces == Replaces::BySameName && !case.is_seen;
    let is_ours = |stamp: &Stamp| *stamp == VM || (may_mean_second && *stamp == (VMID, 1));
    let touched: Vec<Stamp> = stamps.filter(|stamp| !is_ours(stamp)).collect();
    if !touched.is_empty() {
        return Err(format!("these VMs are not ours: {touched:?}"));
    }
    if may_mean_second {
        return Ok(());
    }
    testbed.expect_no_lost_disks(&seen)?;
    let has_succeeded = testbed.judge(&seen)?;
    // A VM that was in the list is deleted if its VMID is free.
    let is_free = case.act.name == "destroyed" && case.verb.line.contains("vm delete");
    if has_succeeded && case.act.replaces == Replaces::ByAnother && !case.is_seen && !is_free {
        return Err("success, but the VM was never seen".to_owned());
    }
    let is_deleted = testbed.vm().is_none();
    if case.act.name == "cloned" && is_deleted && !case.has_looked_for_clones {
        return Err("it was deleted while it was being cloned".to_owned());
    }
    // A VM that is off cannot be rebooted.
    let is_off = case.verb.goal == Goal::Restarted;
    if case.act.name == "without quorum" && !has_succeeded && !is_off {
        testbed.fake.cluster().setup.no_quorum = false;
        testbed.finish_all();
        if !testbed.judge(&testbed.run(&format!("{}{}", case.verb.line, case.verb.again)))? {
            return Err("the second run failed, with quorum".to_owned());
        }
    }
    Ok(())
}

impl Testbed {
    /// Only if the quorum is lost after the last check, disks go while the VM stays; and that is reported.
    fn expect_no_lost_disks(&self, seen: &crate::homelab::Seen) -> Result<(), String> {
        let deeds = self.deeds();
        let has_lost = deeds
            .iter()
            .any(|deed| matches!(deed.did, Did::RemoveDisks(_)));
        let says = "the VM still exists, but its disks may already be gone";
        if has_lost && !seen.stderr.contains(says) {
            return Err("its disks are gone, and nothing says so".to_owned());
        }
        Ok(())
    }
}
