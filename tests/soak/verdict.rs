//! What must hold at the end of each run, of the clean runs, and of everything.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;

use super::director::{Created, Director, Ended, Run};
use super::schedule::{Order, Verb, token};
use super::templates::NAMES_OF_TEMPLATES;
use super::{promises, truths};
use crate::chaos::report::{Failure, Ready, Report, read};
use crate::fake_pve::{Cluster, Guest};
use crate::homelab::Signal;

/// Part of the violations that a busy machine may cause.
pub(super) const IN_TIME: &str = "in time";

/// For how long a run waits for a late clone request: 15 poll intervals.
const A_RESTART: Duration = Duration::from_millis(300);

/// For each name, the last order, with `--ensure`.
pub(super) fn clean_orders(runs: &[Order]) -> Vec<Order> {
    let has_template = |name: &str| {
        let mut templates = runs.iter().filter(|order| order.verb == Verb::Template);
        templates.any(|order| order.name == name)
    };
    let orders = runs.iter().filter(|order| {
        let is_of_template = order.verb == Verb::Template || !has_template(order.name);
        order.verb != Verb::Cancel && is_of_template
    });
    let by_name: BTreeMap<&str, &Order> = orders.map(|order| (order.name, order)).collect();
    let clean = |order: &Order| Order {
        ensure: order.creates(),
        verb: match order.verb {
            Verb::Delete { stop, .. } => Verb::Delete {
                stop,
                if_exists: true,
            },
            verb => verb,
        },
        begins_at: None,
        disk: None,
        ..order.clone()
    };
    by_name.into_values().map(clean).collect()
}

impl Run {
    pub(super) fn is_running(&self) -> bool {
        self.started.is_some() && self.ended.is_none()
    }

    fn report(&self) -> Option<Result<Report, String>> {
        let ended = self.ended.as_ref()?;
        Some(if self.order.verb == Verb::Template {
            read(&truths::without_image(&ended.seen))
        } else {
            read(&ended.seen)
        })
    }

    pub(super) fn failure(&self) -> Option<Failure> {
        match self.report()? {
            Ok(Report::Failed { error }) => Some(error),
            _ => None,
        }
    }
}

pub(super) fn is_timeout(director: &Director, run: usize) -> bool {
    if !director.runs[run].order.creates() {
        return promises::is_timeout(&director.runs[run]);
    }
    let failure = director.runs[run].failure();
    failure.is_some_and(|error| error.kind == "timeout")
}

/// A run prints one JSON document that matches the exit code and is true.
pub(super) fn of_run(director: &mut Director, cluster: &Cluster, number: usize) {
    let run = &director.runs[number];
    let Some(Ended { seen, after, .. }) = &run.ended else {
        return;
    };
    let mut wrong = Vec::new();
    let limit = Duration::from_secs_f64(run.order.timeout + 0.3) + Duration::from_secs(2);
    if run.overdue > 1 || *after > limit {
        let count = run.overdue;
        wrong.push(format!(
            "did not end {IN_TIME}: {after:?}, {count} requests too late"
        ));
    }
    let Some(report) = run.report() else { return };
    if !run.order.creates() {
        wrong.extend(promises::of_run(director, cluster, number));
        for what in wrong {
            director.violate(format!("run {number}: {what}"));
        }
        return;
    }
    match (run.ended_by, report) {
        (Some(Signal::KILL), _) if seen.exit.is_none() => {}
        (Some(_), Ok(_)) if !matches!(seen.exit, Some(130 | 143)) => {
            wrong.push(format!("was not ended by its signal {IN_TIME}"));
        }
        (_, Err(why)) => wrong.push(why),
        (Some(signal), Ok(Report::Failed { error })) => {
            let code = if signal == Signal::TERM { 143 } else { 130 };
            if seen.exit != Some(code) || error.kind != "interrupted" {
                wrong.push(format!("was interrupted, and says {error:?}"));
            }
            wrong.extend(wrong_in_failure(director, cluster, number, &error));
        }
        (None, Ok(Report::Failed { error })) => {
            if seen.exit != Some(1) || error.kind == "interrupted" {
                wrong.push(format!("was not interrupted, and says {error:?}"));
            }
            wrong.extend(wrong_in_failure(director, cluster, number, &error));
            wrong.extend(ended_too_early(run, *after, &error));
        }
        (_, Ok(Report::Ready(ready))) => {
            wrong.extend(if run.order.verb == Verb::Template {
                truths::wrong_in_success(director, cluster, number, &ready)
            } else {
                wrong_in_success(director, cluster, number, &ready)
            });
        }
    }
    for what in wrong {
        director.violate(format!("run {number}: {what}"));
    }
}

/// "Nothing was started" must be true.
fn wrong_in_failure(
    director: &Director,
    cluster: &Cluster,
    run: usize,
    error: &Failure,
) -> Vec<String> {
    let is_its = |guest: &&Guest| guest.maker == Some(token(run));
    let vm = cluster.guests.values().find(is_its);
    let vm = vm.filter(|_| denies_a_start(error));
    let denied = vm.map(|vm| format!("says that nothing was started, and VM {} is its", vm.vmid));
    let mut wrong: Vec<String> = denied.into_iter().collect();
    if director.runs[run].order.verb == Verb::Template {
        wrong.extend(truths::wrong_in_failure(director, cluster, run, error));
    }
    wrong
}

/// A temporary failure must not end a step before the time limit, and reaching the limit must be reported.
fn ended_too_early(run: &Run, after: Duration, error: &Failure) -> Option<String> {
    let passing = [
        "checksum mismatch",
        "got timeout",
        "lock request timeout",
        "VM is locked",
    ];
    let is_of_template = error.message.contains("lock-9000.conf");
    let passes = !is_of_template && passing.iter().any(|text| error.message.contains(text));
    let is_of_step = error.message.starts_with("VM ") && error.message.contains(", but it");
    let used = after.as_secs_f64() / run.order.timeout;
    let is_early = is_of_step && passes && used < 0.7;
    let is_unnamed = used >= 1.0 && error.kind == "unreachable";
    // A busy machine may delay the end of a run that gave up before the time limit.
    let when = if is_early { "early" } else { IN_TIME };
    (is_early || is_unnamed).then(|| format!("ends {when}, after {after:?}, with {error:?}"))
}

fn denies_a_start(error: &Failure) -> bool {
    let texts = ["nothing was started", "nothing was created"];
    error.started == "no" || texts.iter().any(|text| error.message.contains(text))
}

/// A complete VM with the name and everything requested, unless others have changed it since the run last
/// read it.
fn wrong_in_success(
    director: &Director,
    cluster: &Cluster,
    number: usize,
    ready: &Ready,
) -> Vec<String> {
    let run = &director.runs[number];
    let vmid = ready.vmid;
    let read_at = run.reads.get(&vmid).copied().unwrap_or(0);
    let touched = director.others_acted(vmid, number);
    let (name, order) = (&ready.name, &run.order);
    if name != order.name || order.vmid.is_some_and(|requested| requested != vmid) {
        return vec![format!("succeeds with VM {vmid} '{name}'")];
    }
    if touched > read_at {
        return Vec::new();
    }
    let Some(guest) = cluster.guests.get(&vmid) else {
        return vec![format!("succeeds with VM {vmid}, which does not exist")];
    };
    let mut wrong = Vec::new();
    let lacks_disk = guest.maker.is_some() && !guest.config.contains_key("scsi0");
    let is_being_created = matches!(guest.lock(), Some("clone" | "create"));
    if is_being_created || lacks_disk || !guest.is_vm_named(order.name) {
        wrong.push(format!(
            "succeeds with VM {vmid}, which is {:?}",
            guest.config
        ));
    }
    if ready.node != guest.node {
        wrong.push(format!("says that VM {vmid} is on node {}", ready.node));
    }
    // Another run for the same name may have started by now.
    let is_last = director.runs.iter().enumerate().all(|(other, it)| {
        let is_other = other == number || !it.order.concerns(order.name, vmid);
        is_other || it.last_request <= run.last_request
    });
    if is_last {
        wrong.extend(missing(order, guest));
    }
    wrong
}

/// The requested settings that the VM does not have.
pub(super) fn missing(order: &Order, guest: &Guest) -> Vec<String> {
    let text = |key: &str| match guest.config.get(key) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    };
    let tags = |text: &str| {
        text.split([';', ','])
            .map(str::to_owned)
            .collect::<BTreeSet<_>>()
    };
    let mut missing = Vec::new();
    for set in &order.set {
        let (key, value) = set.split_once('=').expect("KEY=VALUE");
        let is_set = match key {
            "tags" => tags(value).is_subset(&tags(&text(key))),
            "cipassword" => !text(key).is_empty(),
            _ => text(key) == value,
        };
        if !is_set {
            missing.push(format!("succeeds without {set}: it is {}", text(key)));
        }
    }
    if let Some(resize) = order.resize {
        let drive = text("scsi0");
        let size = drive
            .split("size=")
            .nth(1)
            .and_then(|size| size.strip_suffix('G'));
        let size: Option<u32> = size.and_then(|size| size.parse().ok());
        let least = match resize {
            "scsi0=4G" => 4,
            _ => 10,
        };
        // No order requests more.
        if size.is_none_or(|size| size < least || size > 10) {
            missing.push(format!("succeeds without --resize {resize}: it is {drive}"));
        }
    }
    if let Some(start) = order.start.filter(|_| guest.status != "running") {
        missing.push(format!("succeeds without {start}"));
    }
    missing
}

/// A clean run succeeds, unless a person must decide something.
pub(super) fn of_clean_run(director: &mut Director, cluster: &Cluster, number: usize) {
    if !director.runs[number].order.creates() {
        for what in promises::of_clean_run(director, cluster, number) {
            director.violate(format!("run {number}, the clean one, {what}"));
        }
        return;
    }
    let run = &director.runs[number];
    let order = &run.order;
    let Some(error) = run.failure() else { return };
    let must_decide = if order.verb == Verb::Template {
        truths::must_decide(director, cluster, number, &error)
    } else {
        must_decide(director, cluster, number, &error)
    };
    if !must_decide || error.hint.is_none() {
        director.violate(format!("run {number}, the clean one, fails: {error:?}"));
    }
}

/// Whether a person must decide something, so that the clean run cannot create its VM.
fn must_decide(director: &Director, cluster: &Cluster, number: usize, error: &Failure) -> bool {
    let order = &director.runs[number].order;
    let named = |guest: &&Guest| guest.is_vm_named(order.name);
    let holders: Vec<u32> = cluster
        .guests
        .values()
        .filter(named)
        .map(|guest| guest.vmid)
        .collect();
    let is_held = |vmid: u32| holders.contains(&vmid);
    let requested = |vmid: &u32| {
        let mut runs = director
            .runs
            .iter()
            .filter(|run| run.order.name == order.name);
        runs.any(|run| run.posts.iter().any(|post| post.vmid == *vmid))
    };
    let guest = error.vmid.and_then(|vmid| cluster.guests.get(&vmid));
    let is_template = |guest: &Guest| guest.is_template_named(order.template);
    match error.kind.as_str() {
        "ambiguous" => holders.len() > 1 && order.vmid.is_none(),
        "already_exists" => order
            .vmid
            .is_some_and(|vmid| holders.iter().any(|it| *it != vmid)),
        "vmid_taken" => order
            .vmid
            .is_some_and(|vmid| cluster.guests.contains_key(&vmid) && !is_held(vmid)),
        "in_progress" => director.runs[..number].iter().any(|before| {
            let is_same = before.order.name == order.name;
            // There may have been another template of the name.
            let is_clone_of_new = NAMES_OF_TEMPLATES.contains(&order.template);
            let is_other = is_clone_of_new || !before.order.clones_like(order);
            is_same && !before.posts.is_empty() && is_other
        }),
        "template_not_found" => !cluster.guests.values().any(is_template),
        // The remains of a clone whose worker died, or a guest that others have put there.
        "half_made" => cluster.guests.values().any(|guest| {
            (requested(&guest.vmid) || order.vmid == Some(guest.vmid))
                && (guest.lock() == Some("clone") || guest.maker.is_none())
        }),
        // A size relative to a template that the VM may not have been cloned from.
        "failed" => order.resize == Some("scsi0=+8G") && error.message.contains("size is unknown"),
        "task_failed" => promises::lost_disks(director, guest),
        // The guest agent of a paused VM does not answer.
        "timeout" => guest.is_some_and(|guest| guest.is_paused),
        _ => false,
    }
}

/// Checks after everything has ended.
pub(super) fn at_the_end(director: &mut Director, cluster: &Cluster) {
    let mut wrong = promises::at_the_end(director);
    wrong.extend(truths::at_the_end(director, cluster));
    // A run that cannot write a ledger warns that other runs will not know the VM.
    let has_ledger = director.runs.iter().all(|run| run.order.disk.is_none());
    let names = director.runs.iter().filter(|_| has_ledger);
    for name in names.map(|run| run.order.name).collect::<BTreeSet<_>>() {
        let has_name = |it: &Guest| it.is_vm_named(name) || it.is_template_named(name);
        let vms: Vec<&Guest> = cluster
            .guests
            .values()
            .filter(|guest| guest.maker.is_some() && has_name(guest))
            .collect();
        let vmids: Vec<u32> = vms.iter().map(|guest| guest.vmid).collect();
        let is_excused = vms
            .iter()
            .any(|guest| came_too_late(director, &director.created[&guest.stamp()]));
        if vms.len() > 1 && !is_excused {
            wrong.push(format!("runs have created several VMs '{name}': {vmids:?}"));
        }
    }
    for (number, run) in director.runs.iter().enumerate() {
        if !run.order.creates() {
            continue;
        }
        let (Some(ended), Some(Ok(Report::Failed { error }))) = (&run.ended, run.report()) else {
            continue;
        };
        let mut created = director.created.values();
        let later = created.find(|created| created.run == number && created.at >= ended.at);
        if let (true, Some(Created { vmid, .. })) = (denies_a_start(&error), later) {
            wrong.push(format!(
                "run {number} reported that nothing was started; then VM {vmid} came"
            ));
        }
    }
    for what in wrong {
        director.violate(what);
    }
}

/// Whether a clone was executed so late that its run had to consider it lost: its VMID belonged to another
/// guest in the meantime, or others had the name for longer than a daemon may take to restart.
pub(super) fn came_too_late(director: &Director, created: &Created) -> bool {
    let run = &director.runs[created.run];
    let mut posts = run.posts.iter().rev();
    let post = posts.find(|post| post.vmid == created.vmid && post.at <= created.at);
    post.is_some_and(|post| {
        let touched = director.touched.get(&created.vmid).copied().unwrap_or(0);
        let had_namesake = director.names_of_others.contains(run.order.name);
        touched > post.at || had_namesake && created.when - post.when > A_RESTART
    })
}
