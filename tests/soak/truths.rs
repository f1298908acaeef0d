//! What must hold at the end of a run that creates a template.
//!
//! - A template that it reports has its name, converted disks and all that was requested; a warning names what is
//!   missing in one that existed.
//! - What it says about VMs, images and downloads is so, unless others have changed it after it last read it.
//! - In the end each VM that it has created is the template, or a message or the ledger names it.

use std::borrow::Cow;

use serde_json::Value;

use super::director::{Director, Run};
use super::schedule::{Order, Verb, token};
use super::templates::SHA256;
use super::verdict::{came_too_late, missing};
use crate::chaos::report::{Failure, Ready};
use crate::fake_pve::{Cluster, Did, Guest};
use crate::homelab::Seen;

/// The output without the image, which only this command reports.
pub(super) fn without_image(seen: &Seen) -> Seen {
    let mut stdout = Cow::Borrowed(&seen.stdout);
    if let Ok(Value::Object(mut document)) = serde_json::from_str(&seen.stdout)
        && document.remove("image").is_some()
    {
        stdout = Cow::Owned(Value::Object(document).to_string());
    }
    Seen {
        exit: seen.exit,
        stdout: stdout.into_owned(),
        stderr: seen.stderr.clone(),
    }
}

impl Director {
    /// Whether a run that creates a template of this name has created the guest.
    fn is_made_for(&self, name: &str, guest: &Guest) -> bool {
        let mut runs = self.runs.iter().enumerate();
        runs.any(|(number, it)| {
            let creates = it.order.verb == Verb::Template && it.order.name == name;
            creates && guest.maker == Some(token(number))
        })
    }

    /// The request count at which anybody but this run last did anything.
    fn anybody_acted(&self, run: usize) -> usize {
        let touched = self.touched.values().copied();
        let effects = self.effects.iter().filter(|it| it.run != Some(run));
        let created = self.created.values().filter(|it| it.run != run);
        let all = touched
            .chain(effects.map(|it| it.at))
            .chain(created.map(|it| it.at));
        all.max().unwrap_or(0).max(self.quorum_lost)
    }
}

/// A VM or a template.
fn has_name(guest: &Guest, name: &str) -> bool {
    guest.is_vm_named(name) || guest.is_template_named(name)
}

/// Whether its disk is the base of linked clones, as that of a template must be.
fn has_base(guest: &Guest) -> bool {
    let disk = guest.config.get("scsi0").and_then(Value::as_str);
    disk.is_some_and(|disk| disk.contains("base-"))
}

pub(super) fn wrong_in_success(
    director: &Director,
    cluster: &Cluster,
    number: usize,
    ready: &Ready,
) -> Vec<String> {
    let run = &director.runs[number];
    let (vmid, name, order) = (ready.vmid, &ready.name, &run.order);
    let read_at = run.reads.get(&vmid).copied().unwrap_or(0);
    if name != order.name || order.vmid.is_some_and(|requested| requested != vmid) {
        return vec![format!("succeeds with template {vmid} '{name}'")];
    }
    if director.others_acted(vmid, number) > read_at {
        return Vec::new();
    }
    let Some(guest) = cluster.guests.get(&vmid) else {
        return vec![format!(
            "succeeds with template {vmid}, which does not exist"
        )];
    };
    let mut wrong = Vec::new();
    // Nobody but its maker can complete the conversion of another user's.
    let is_whole = has_base(guest) || !director.is_made_for(order.name, guest);
    let is_being_created = matches!(guest.lock(), Some("clone" | "create"));
    if !guest.is_template_named(order.name) || is_being_created || !is_whole {
        let config = &guest.config;
        wrong.push(format!(
            "succeeds with template {vmid}, which is {config:?}"
        ));
    }
    if ready.node != guest.node {
        wrong.push(format!(
            "says that template {vmid} is on node {}",
            ready.node
        ));
    }
    if ready.created && !director.is_made_for(order.name, guest) {
        wrong.push(format!("says that it has created template {vmid}"));
    }
    // Another run for the same name may have started by now.
    let is_last = director.runs.iter().enumerate().all(|(other, it)| {
        let is_other = other == number || !it.order.concerns(order.name, vmid);
        is_other || it.last_request <= run.last_request
    });
    if is_last {
        let ended = run.ended.as_ref();
        let mut lines = ended.map_or("", |it| &it.seen.stderr).lines();
        let warning = lines.find_map(|line| line.split_once(" is not changed; it has "));
        let warning = warning.map_or("", |(_, requested)| requested);
        let is_said = |what: &String| {
            order.requests().any(|(option, shown)| {
                what.contains(&format!("without {option}")) && warning.contains(shown)
            })
        };
        let missing = missing(order, guest);
        wrong.extend(missing.into_iter().filter(|what| !is_said(what)));
    }
    wrong
}

impl Order {
    /// What it requests of its VM, and how a warning shows it.
    fn requests(&self) -> impl Iterator<Item = (&str, &str)> {
        let keys = self.set.iter().filter_map(|set| set.split('=').next());
        let resize = self.resize.map(|_| ("--resize", "scsi0"));
        keys.map(|key| (key, key)).chain(resize)
    }
}

pub(super) fn wrong_in_failure(
    director: &Director,
    cluster: &Cluster,
    number: usize,
    error: &Failure,
) -> Vec<String> {
    let run = &director.runs[number];
    let is_so = match error.kind.as_str() {
        "already_exists" | "ambiguous" | "vmid_taken" => is_named_guest_so(run, cluster, error),
        "half_made" => is_half_made(cluster, error),
        _ => is_own_vm_so(director, cluster, run, error),
    };
    let read = error.vmid.and_then(|vmid| run.reads.get(&vmid)).copied();
    // The VM, or the list in which it was found. A signal, or the time limit, may prevent a run from acting on
    // what it has just read.
    let known = match error.kind.as_str() {
        "interrupted" | "timeout" => run.last_change,
        _ => read.max(run.list).unwrap_or(0),
    };
    let is_excused = director.anybody_acted(number) >= known;
    let mut wrong = Vec::new();
    if !is_so && !is_excused {
        let guest = error.vmid.and_then(|vmid| cluster.guests.get(&vmid));
        let guest = guest.map(|guest| &guest.config);
        wrong.push(format!("is wrong about {guest:?}: {error:?}"));
    }
    wrong.extend(wrong_about_files(director, cluster, number, error));
    wrong
}

/// The guest that prevents the template.
/// Whether it is about a VM with the name of the template, which may also be locked.
fn is_about_vm(error: &Failure) -> bool {
    error.message.starts_with("VM ")
}

fn is_named_guest_so(run: &Run, cluster: &Cluster, error: &Failure) -> bool {
    let guest = error.vmid.and_then(|vmid| cluster.guests.get(&vmid));
    let name = run.order.name;
    guest.is_some_and(|guest| match error.kind.as_str() {
        "vmid_taken" => true,
        "ambiguous" => guest.is_template_named(name),
        _ if is_about_vm(error) => guest.is_vm_named(name),
        _ => guest.is_template_named(name),
    })
}

fn is_half_made(cluster: &Cluster, error: &Failure) -> bool {
    let guest = error.vmid.and_then(|vmid| cluster.guests.get(&vmid));
    guest.is_some_and(|guest| matches!(guest.lock(), Some("create" | "clone")))
}

/// What a failure after the creation says about the VM.
fn is_own_vm_so(director: &Director, cluster: &Cluster, run: &Run, error: &Failure) -> bool {
    let says = |text: &str| error.message.contains(text);
    let guest = error.vmid.and_then(|vmid| cluster.guests.get(&vmid));
    let own = guest.filter(|guest| director.is_made_for(run.order.name, guest));
    if !says(" was created on node ") {
        return true;
    }
    if says("it was deleted") || says("it was renamed or deleted") {
        return own.is_none_or(|own| !has_name(own, run.order.name));
    }
    let is_converted = |own: &Guest| own.is_template() && has_base(own);
    own.is_some_and(|own| !says("it was not converted") || !is_converted(own))
}

fn wrong_about_files(
    director: &Director,
    cluster: &Cluster,
    number: usize,
    error: &Failure,
) -> Vec<String> {
    let run = &director.runs[number];
    let says = |text: &str| error.message.contains(text);
    let mut wrong = Vec::new();
    let volume = run.order.image.map_or("", |image| image.volume);
    let node = error.message.split("not found on node '").nth(1);
    let node = node.and_then(|rest| rest.split('\'').next());
    let image = node.and_then(|node| cluster.image(node, volume));
    if image.is_some() && director.images_touched <= run.images.unwrap_or(0) {
        wrong.push(format!("says that an image does not exist: {error:?}"));
    }
    let owner = format!(":{}:", token(number));
    let mut tasks = cluster.file_tasks.iter();
    let is_running = tasks.any(|it| it.upid.contains(&owner) && it.exit.is_none());
    // A request without an answer may be carried out after the next one.
    let is_one = run.downloads.len() == 1;
    if is_running && is_one && (says("nothing is left") || says("nothing was started")) {
        wrong.push(format!("leaves its download running: {error:?}"));
    }
    wrong
}

/// Whether a person must decide something, so that the clean run cannot succeed.
pub(super) fn must_decide(
    director: &Director,
    cluster: &Cluster,
    number: usize,
    error: &Failure,
) -> bool {
    let order = &director.runs[number].order;
    let says = |text: &str| error.message.contains(text);
    let guest = error.vmid.and_then(|vmid| cluster.guests.get(&vmid));
    let is = |what: &dyn Fn(&Guest) -> bool| guest.is_some_and(what);
    let templates = || {
        let guests = cluster.guests.values();
        guests.filter(|guest| guest.is_template_named(order.name))
    };
    let image = order.image.expect("an image");
    let file = || {
        let mut nodes = cluster.setup.nodes.iter();
        nodes.find_map(|node| cluster.image(node, image.volume))
    };
    match error.kind.as_str() {
        "ambiguous" => order.vmid.is_none() && templates().count() > 1,
        "already_exists" if is_about_vm(error) => {
            is(&|it| it.is_vm_named(order.name) && !is_resumable(director, order.name, it))
        }
        "already_exists" => order
            .vmid
            .is_some_and(|vmid| templates().any(|it| it.vmid != vmid)),
        "vmid_taken" => order.vmid.is_some_and(|vmid| {
            let guest = cluster.guests.get(&vmid);
            guest.is_some_and(|it| !it.is_template_named(order.name))
        }),
        "in_progress" => director.runs[..number].iter().any(|before| {
            let is_same = before.order.name == order.name;
            is_same && !before.posts.is_empty() && !before.order.clones_like(order)
        }),
        "half_made" => is_half_made(cluster, error),
        "failed" if says("not found on node") => image.source == image.volume,
        "failed" if says("but it is running") => is(&|it| it.status == "running"),
        // A task of an earlier run was still deleting it.
        "failed" if says("does not exist") || says("it was deleted") => guest.is_none(),
        "task_failed" if says("already exists") => {
            let hint = error.hint.as_deref().unwrap_or_default();
            order.vmid.is_some() && hint.contains("'pvesm free VOLUME' removes it")
        }
        "task_failed" if says("checksum mismatch") => {
            let is_wrong = image.checksum.is_some_and(|sum| sum != SHA256);
            is_wrong || file().is_some_and(|it| Some(it.sha256.as_str()) != image.checksum)
        }
        _ => false,
    }
}

/// Whether the ledger must know this VM.
fn is_resumable(director: &Director, name: &str, guest: &Guest) -> bool {
    let has_ledger = director.runs.iter().all(|run| run.order.disk.is_none());
    let is_late = || {
        let created = director.created.get(&guest.stamp());
        created.is_some_and(|created| came_too_late(director, created))
    };
    has_ledger && director.is_made_for(name, guest) && !is_late()
}

/// Checks after everything has ended.
pub(super) fn at_the_end(director: &Director, cluster: &Cluster) -> Vec<String> {
    let mut wrong = Vec::new();
    for (number, run) in director.runs.iter().enumerate() {
        if run.order.verb != Verb::Template {
            continue;
        }
        let failure = run.failure();
        let ended = run.ended.as_ref().map_or(usize::MAX, |ended| ended.at);
        let mut effects = director.effects.iter();
        let is_later = effects
            .any(|it| it.run == Some(number) && it.at > ended && matches!(it.did, Did::Convert));
        if let Some(error) = failure.filter(|it| it.message.contains("it was not converted"))
            && is_later
        {
            wrong.push(format!(
                "run {number} says {:?}; then the VM was converted",
                error.message
            ));
        }
    }
    for guest in cluster.guests.values() {
        wrong.extend(wrong_in_orphan(director, guest));
    }
    wrong
}

/// A VM that was to become a template, and that nothing names.
fn wrong_in_orphan(director: &Director, guest: &Guest) -> Option<String> {
    let mut runs = director.runs.iter().enumerate();
    let (_, maker) = runs.find(|(number, _)| guest.maker == Some(token(*number)))?;
    let name = maker.order.name;
    let is_renamed = guest.name().is_some_and(|it| it != name);
    let is_done = guest.is_template_named(name) && has_base(guest);
    let vmid = guest.vmid.to_string();
    let in_ledger = director
        .records
        .get(name)
        .is_some_and(|record| record.contains(&format!("\"vmid\":{vmid},")));
    let is_named = || {
        let mut ends = director.runs.iter().filter_map(|run| run.ended.as_ref());
        ends.any(|ended| ended.seen.stdout.contains(&vmid))
    };
    // A run that cannot write a ledger says so.
    let is_fine = maker.order.verb != Verb::Template
        || maker.order.disk.is_some()
        || is_renamed
        || is_done
        || in_ledger
        || is_named();
    (!is_fine).then(|| format!("VM {vmid} was created for '{name}', and nothing names it"))
}
