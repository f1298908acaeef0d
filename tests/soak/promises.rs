//! What must hold at the end of a run that changes VMs which exist.
//!
//! - A delete that reports success has left no VM with that identity. One that reports a failure says
//!   whether the VM still exists.
//! - A VM is in the state that a run reports, unless others have changed it after the run last read it.
//! - A run that says that it has started nothing never has an effect.

use std::collections::BTreeSet;

use serde_json::{Value, from_value, json};

use super::director::{Director, Run};
use super::schedule::{Kind, Order, Target, Verb};
use super::verdict::IN_TIME;
use crate::chaos::report::Failure;
use crate::fake_pve::{Cluster, Did, Guest, Stamp};
use crate::homelab::{Seen, Signal};

/// What a failed delete says about the VM.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Claim {
    Exists,
    Gone,
    Unknown,
}

impl Order {
    /// Whether its configuration permits that it is about this guest.
    pub(super) fn means(&self, guest: &Guest) -> bool {
        match self.verb {
            Verb::Create => return guest.is_vm_named(self.name),
            Verb::Template => {
                return guest.is_vm_named(self.name) || guest.is_template_named(self.name);
            }
            _ => {}
        }
        self.targets.iter().any(|target| match target {
            Target::Name(name) => guest.is_vm_named(name),
            Target::Vmid(vmid) => {
                let is_vm = guest.name().is_some_and(|name| guest.is_vm_named(name));
                guest.vmid == *vmid && is_vm
            }
        })
    }
}

impl Run {
    /// The reported results, in the order of the VMs; one error may be about all of them.
    fn results(&self) -> Result<Vec<Value>, String> {
        let Some(seen) = self.ended.as_ref().map(|ended| &ended.seen) else {
            return Ok(Vec::new());
        };
        let Seen { exit, stdout, .. } = seen;
        let whole: Value = serde_json::from_str(stdout)
            .map_err(|error| format!("exit {exit:?}, no JSON on stdout: {error}"))?;
        let results = match whole {
            Value::Array(results) if self.order.targets.len() > 1 => results,
            whole => vec![whole],
        };
        let failed = results.iter().any(|result| result.get("error").is_some());
        match exit {
            Some(0) if !failed => Ok(results),
            Some(1 | 2 | 130 | 143) if failed => Ok(results),
            exit => Err(format!("exit {exit:?} with {results:?}")),
        }
    }

    fn failures(&self) -> Vec<Failure> {
        let results = self.results().unwrap_or_default().into_iter();
        let failures = results.filter_map(|result| from_value(result.get("error")?.clone()).ok());
        failures.collect()
    }
}

pub(super) fn is_timeout(run: &Run) -> bool {
    run.failures().iter().any(|error| error.kind == "timeout")
}

/// What is wrong at the end of a run.
pub(super) fn of_run(director: &Director, cluster: &Cluster, number: usize) -> Vec<String> {
    let run = &director.runs[number];
    let Some(seen) = run.ended.as_ref().map(|ended| &ended.seen) else {
        return Vec::new();
    };
    if run.ended_by == Some(Signal::KILL) && seen.exit.is_none() {
        return Vec::new();
    }
    let results = match run.results() {
        Ok(results) => results,
        Err(why) => return vec![why],
    };
    if run.ended_by.is_some() && !matches!(seen.exit, Some(130 | 143)) {
        return vec![format!("was not ended by its signal {IN_TIME}")];
    }
    let mut wrong = Vec::new();
    if run.order.verb != Verb::Cancel && ![1, run.order.targets.len()].contains(&results.len()) {
        wrong.push(format!("{} results", results.len()));
    }
    for result in results {
        match result.get("error") {
            Some(error) => match from_value(error.clone()) {
                Ok(error) => wrong.extend(wrong_in_failure(director, cluster, number, &error)),
                Err(why) => wrong.push(format!("unexpected JSON: {why}: {error}")),
            },
            None if run.order.verb == Verb::Cancel => {
                wrong.extend(wrong_in_cancel(cluster, &result));
            }
            None => wrong.extend(wrong_in_success(director, cluster, number, &result)),
        }
    }
    wrong
}

/// A VM that was in the list, and that another user has deleted since, needs no deletion.
fn unread_vm(run: &Run, vmid: u32, result: &Value) -> Vec<String> {
    let is_deletion = matches!(run.order.verb, Verb::Delete { .. });
    let is_untouched = !run.changes.iter().any(|it| it.vmid == vmid);
    if is_deletion && is_untouched && result["deleted"] == json!(false) {
        return Vec::new();
    }
    vec![format!("succeeds with VM {vmid} without reading it")]
}

fn wrong_in_success(
    director: &Director,
    cluster: &Cluster,
    number: usize,
    result: &Value,
) -> Vec<String> {
    let run = &director.runs[number];
    let (verb, name) = (run.order.verb, result["name"].as_str().unwrap_or_default());
    let vmid = result["vmid"].as_u64();
    let text = vmid.map_or_else(|| name.to_owned(), |vmid| vmid.to_string());
    let Some(vmid) = vmid.filter(|_| !result["node"].is_null()) else {
        return wrong_absence(director, cluster, number, &text);
    };
    let vmid = u32::try_from(vmid).expect("a VMID");
    let is_asked = run.order.targets.iter().any(|target| match target {
        Target::Name(asked) => *asked == name,
        Target::Vmid(asked) => *asked == vmid,
    });
    if !is_asked || run.order.vmid.is_some_and(|asked| asked != vmid) {
        return vec![format!("succeeds with VM {vmid} '{name}'")];
    }
    let Some(&stamp) = run.first_seen.get(&vmid) else {
        return unread_vm(run, vmid, result);
    };
    let guest = cluster.guests.get(&vmid).filter(|it| it.stamp() == stamp);
    let status_read = run.statuses.get(&vmid).copied().unwrap_or(0);
    let others = director.others_acted(vmid, number) > status_read;
    let is_status = |status: &str| guest.is_some_and(|guest| guest.status == status);
    let has_requested = run.changes.iter().any(|it| it.vmid == vmid);
    let did = |did: fn(&Did) -> bool| {
        let mut effects = director.effects.iter();
        effects.any(|it| it.vm == stamp && it.run == Some(number) && did(&it.did))
    };
    let mut wrong = Vec::new();
    if let Verb::Delete { .. } = verb {
        if guest.is_some() {
            wrong.push(format!("reports that VM {vmid} is deleted, and it exists"));
        }
        let is_deleted = result["deleted"] == json!(true);
        if is_deleted && !has_requested || !is_deleted && did(|did| matches!(did, Did::Destroy(_)))
        {
            wrong.push(format!(
                "says who deleted VM {vmid}, and is wrong: {result}"
            ));
        }
        return wrong;
    }
    let changed = result["changed"] == json!(true);
    if changed && !has_requested || !changed && did(|_| true) {
        wrong.push(format!(
            "says who changed VM {vmid}, and is wrong: {result}"
        ));
    }
    let runs = matches!(verb, Verb::Start | Verb::Reboot);
    let is_so = is_status(if runs { "running" } else { "stopped" });
    if !is_so && !others {
        let status = guest.map(|guest| &guest.status);
        wrong.push(format!("succeeds with VM {vmid}, which is {status:?}"));
    }
    if verb == Verb::Reboot && !was_restarted(director, run, stamp) {
        wrong.push(format!("succeeds with VM {vmid}, which was not restarted"));
    }
    wrong
}

/// Whether a VM was started, or touched by others, after this run had first changed it.
fn was_restarted(director: &Director, run: &Run, stamp: Stamp) -> bool {
    let Some(first) = run.changes.iter().find(|it| it.vmid == stamp.0) else {
        return false;
    };
    let touched = director.touched.get(&stamp.0).copied().unwrap_or(0);
    let mut effects = director.effects.iter();
    let is_start = effects.any(|it| it.vm == stamp && it.did == Did::Start && it.at >= first.at);
    is_start || touched >= first.at
}

/// A delete that reports that there is no such VM.
fn wrong_absence(director: &Director, cluster: &Cluster, number: usize, name: &str) -> Vec<String> {
    let run = &director.runs[number];
    if !matches!(
        run.order.verb,
        Verb::Delete {
            if_exists: true,
            ..
        }
    ) {
        return vec!["succeeds without a VM".to_owned()];
    }
    let Some(list) = run.list else {
        return vec![format!(
            "reports that '{name}' does not exist without a list"
        )];
    };
    let by_vmid = name.parse().ok().and_then(|vmid| {
        let is_new = director.others_acted(vmid, number) > list;
        cluster
            .guests
            .get(&vmid)
            .filter(|_| !is_new)
            .map(|it| it.vmid)
    });
    let namesake = director.known_namesake(cluster, number, name, list, |_| false);
    let found = namesake.or(by_vmid);
    let wrong = found.map(|vmid| format!("reports that '{name}' does not exist: VM {vmid}"));
    wrong.into_iter().collect()
}

fn wrong_in_cancel(cluster: &Cluster, result: &Value) -> Vec<String> {
    let upid = result["upid"].as_str().unwrap_or_default();
    let task = cluster.tasks.iter().find(|task| task.upid == upid);
    match task {
        None => vec![format!("succeeds with an unknown task: {result}")],
        Some(task) if result["cancelled"] == json!(true) && task.exit == "OK" => {
            vec![format!(
                "says that it has cancelled {upid}, which has ended well"
            )]
        }
        Some(_) => Vec::new(),
    }
}

fn wrong_in_failure(
    director: &Director,
    cluster: &Cluster,
    number: usize,
    error: &Failure,
) -> Vec<String> {
    let run = &director.runs[number];
    let mut wrong = Vec::new();
    let is_interrupted = error.kind == "interrupted";
    if is_interrupted != run.ended_by.is_some() {
        wrong.push(format!(
            "was ended by {:?}, and says {error:?}",
            run.ended_by
        ));
    }
    if run.order.verb == Verb::Cancel {
        return wrong;
    }
    let is_about = |vmid: u32| error.vmid == Some(vmid) || error.vmid.is_none();
    let is_one = run.order.targets.len() == 1 || is_interrupted;
    let effects = effects_of(director, number);
    let vms: Vec<Stamp> = effects.map(|(vm, _)| vm).collect();
    if denies_an_effect(error)
        && let Some((vmid, _)) = vms.iter().find(|(vmid, _)| is_about(*vmid))
        && (is_one || error.vmid.is_some())
    {
        wrong.push(format!(
            "says that nothing was started, and has changed VM {vmid}: {error:?}"
        ));
    }
    if let Verb::Delete { .. } = run.order.verb {
        wrong.extend(wrong_about_the_vm(director, cluster, number, error));
    }
    wrong
}

/// A failed delete that says nothing about the VM, or something wrong.
fn wrong_about_the_vm(
    director: &Director,
    cluster: &Cluster,
    number: usize,
    error: &Failure,
) -> Option<String> {
    let run = &director.runs[number];
    let has_requested = |vmid: u32| {
        let mut changes = run.changes.iter();
        changes.any(|it| it.vmid == vmid && it.kind == Kind::Destroy)
    };
    let Some(vmid) = error.vmid else {
        let requested = run.changes.iter().any(|it| it.kind == Kind::Destroy);
        let is_one = run.order.targets.len() == 1;
        return (requested && is_one)
            .then(|| format!("does not name the VM that it was to delete: {error:?}"));
    };
    let claim = claim(error);
    if claim.is_none() && has_requested(vmid) {
        return Some(format!(
            "does not say whether VM {vmid} still exists: {error:?}"
        ));
    }
    let stamp = *run.first_seen.get(&vmid)?;
    let guest = cluster.guests.get(&vmid).filter(|it| it.stamp() == stamp);
    // Only the configuration identifies a VM. The time limit may have cut off the last answer.
    let read = run.reads.get(&vmid).copied().unwrap_or(0);
    let last_known = read.saturating_sub(usize::from(error.kind == "timeout"));
    let others = director.others_acted(vmid, number) > last_known;
    // Its VMID may belong to another VM that the run is to delete.
    let is_its_name = guest.and_then(Guest::name).is_some_and(|name| {
        let vm = format!("VM {vmid} '{name}'");
        error.message.contains(&format!("Failed to delete {vm}"))
    });
    match (claim?, guest.is_some()) {
        (Claim::Exists, false) if !others => Some(format!(
            "says that VM {vmid} still exists, and it is gone: {error:?}"
        )),
        (Claim::Gone, true) if is_its_name => Some(format!(
            "says that VM {vmid} is gone, and it exists: {error:?}"
        )),
        _ => None,
    }
}

/// How a failure says that the VM exists.
const EXISTS: [&str; 9] = [
    "still exists",
    "so nothing more was changed",
    "was not deleted",
    ": it is locked",
    ": it is protected",
    ": it is running",
    ": it is being c",
    ": it is a template",
    ": it is managed by HA",
];

fn claim(error: &Failure) -> Option<Claim> {
    let says = |text: &str| error.message.contains(text);
    if says("may or may not have been deleted") || says("still being deleted") {
        Some(Claim::Unknown)
    } else if error.kind == "vm_not_found" {
        Some(Claim::Gone)
    } else if error.started == "no" || EXISTS.iter().any(|text| says(text)) {
        Some(Claim::Exists)
    } else {
        None
    }
}

/// A VM that is gone is reported as not found, whatever was started before.
fn denies_an_effect(error: &Failure) -> bool {
    error.started == "no" && error.kind != "vm_not_found"
}

fn effects_of(director: &Director, number: usize) -> impl Iterator<Item = (Stamp, &Did)> {
    let effects = director.effects.iter();
    let effects = effects.filter(move |effect| effect.run == Some(number));
    effects.map(|effect| (effect.vm, &effect.did))
}

/// Checks after everything has ended.
pub(super) fn at_the_end(director: &Director) -> Vec<String> {
    let mut wrong = Vec::new();
    for (number, run) in director.runs.iter().enumerate() {
        let is_late = |vmid: u32| {
            let mut changes = run.changes.iter();
            changes.any(|it| it.vmid == vmid && it.is_late)
        };
        if run.order.creates() || run.order.verb == Verb::Cancel {
            continue;
        }
        let effects = director.effects.iter();
        let ended = run.ended.as_ref().map_or(usize::MAX, |ended| ended.at);
        let later = effects.filter(|it| it.run == Some(number) && it.at > ended);
        for effect in later {
            let vmid = effect.vm.0;
            let deletes = matches!(effect.did, Did::Destroy(_));
            for error in run.failures() {
                let is_wrong = denies_an_effect(&error)
                    || deletes && claim(&error) == Some(Claim::Exists) && !is_late(vmid);
                if error.vmid == Some(vmid) && is_wrong {
                    let did = &effect.did;
                    wrong.push(format!("run {number} ends with {error:?}; then {did:?}"));
                }
            }
        }
    }
    wrong
}

/// A clean run succeeds, unless a person must decide something.
pub(super) fn of_clean_run(director: &Director, cluster: &Cluster, number: usize) -> Vec<String> {
    let run = &director.runs[number];
    let guests = || cluster.guests.values();
    let names: BTreeSet<&str> = run
        .order
        .targets
        .iter()
        .filter_map(|target| match target {
            Target::Name(name) => Some(*name),
            Target::Vmid(_) => None,
        })
        .collect();
    let is_held = |count: usize| {
        let has = |name: &&str| guests().filter(|it| it.is_vm_named(name)).count() >= count;
        names.iter().any(has)
    };
    let is_any = |what: &dyn Fn(&Guest) -> bool| guests().any(what);
    let mut wrong = Vec::new();
    for error in run.failures() {
        let says = |text: &str| error.message.contains(text);
        let guest = error.vmid.and_then(|vmid| cluster.guests.get(&vmid));
        let is = |what: &dyn Fn(&Guest) -> bool| guest.is_some_and(what);
        let is_running = |guest: &Guest| guest.status == "running";
        let must_decide = match error.kind.as_str() {
            "usage" => says("are the same VM"),
            // It may have deleted one of them, by its VMID.
            "ambiguous" => is_held(2) || run.order.targets.len() > 1,
            "vm_not_found" => guest.is_none_or(|guest| !run.order.means(guest)),
            // A clone that an earlier run has requested may still be carried out.
            "in_progress" => says("may still be being created"),
            "failed" if says("does not have VMID") => is_held(1),
            "failed" if says("is not a VM but") => {
                is_any(&|it| it.name().is_some_and(|name| !it.is_vm_named(name)))
            }
            "failed" if says("it is locked") => is(&|it| it.lock().is_some()),
            "failed" if says("it is being created") => is(&|it| it.lock().is_some()),
            "failed" if says("it is protected") => is(&|it| it.config.contains_key("protection")),
            "failed" if says("it is paused") => is(&|it| it.is_paused),
            "failed" if says("it is running") => {
                run.order.verb
                    == (Verb::Delete {
                        stop: false,
                        if_exists: true,
                    })
                    && is(&is_running)
            }
            "failed" if says("it is not running") => {
                run.order.verb == Verb::Reboot && is(&|it| !is_running(it))
            }
            "failed" if says("has not started again") => lost_disks(director, guest),
            "task_failed" => lost_disks(director, guest),
            _ => false,
        };
        let has_hint = error.hint.is_some() || error.kind == "usage";
        if !must_decide || !has_hint {
            wrong.push(format!("fails: {error:?}"));
        }
    }
    wrong
}

/// Whether disks of this VM were removed.
pub(super) fn lost_disks(director: &Director, guest: Option<&Guest>) -> bool {
    let mut effects = director.effects.iter();
    guest.is_some_and(|guest| {
        effects.any(|it| it.vm == guest.stamp() && matches!(it.did, Did::RemoveDisks(_)))
    })
}
