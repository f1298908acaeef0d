//! What is checked when a run creates a template: its requests, and what becomes of them.
//!
//! - It requests no VM while it can know that another VM or template has the name.
//! - It changes and converts only VMs that it, or an earlier run for the name, has created. Right before the
//!   conversion it checks that; nobody can prevent that the VM is replaced after that check.
//! - It cancels only downloads that it has requested itself.
//! - It neither removes an image nor replaces one by another.
//! - With a checksum, the disk has the content with that checksum, unless others have replaced the image.

use std::time::Instant;

use super::changes::Change;
use super::director::{Director, Post};
use super::schedule::{Kind, Verb, token};
use crate::fake_pve::{Cluster, Guest, ImageDid, Seen as Request};

impl Director {
    /// Checks a request for a change of a run that creates a template, given what it knows.
    pub(super) fn check_import(
        &mut self,
        cluster: &Cluster,
        run: usize,
        mut change: Change,
        is_answered: bool,
        request: &Request,
    ) {
        let Change { kind, vmid, at, .. } = change;
        match kind {
            Kind::Import => {
                self.check_clone(cluster, run, vmid, request);
                self.runs[run].first_seen.remove(&vmid);
                let when = Instant::now();
                self.runs[run].posts.push(Post { at, when, vmid });
                return;
            }
            Kind::Download => return self.check_download(run, at, request),
            Kind::Cancel => return self.check_cancel(run, request),
            Kind::Set | Kind::Resize | Kind::Convert => {}
            _ => return self.violate(format!("run {run} requested {kind:?}, unlike its command")),
        }
        let Some(guest) = cluster.guests.get(&vmid) else {
            return;
        };
        change.stamp = Some(guest.stamp());
        let digest = guest.config.get("digest").and_then(|it| it.as_str());
        let is_outdated = request.param("digest").is_some_and(|it| Some(it) != digest);
        if kind == Kind::Set && !is_outdated && is_confirmation(guest, request) {
            let has_quorum = !cluster.setup.no_quorum;
            if is_answered && has_quorum && guest.lock().is_none() {
                self.runs[run].confirmed.insert(vmid, at);
            }
        }
        if !is_outdated {
            self.check_identity(run, &change, guest);
        }
        self.runs[run].changes.push(change);
    }

    /// Whether this run, or another one for its name, has created the guest.
    fn is_of_name(&self, run: usize, guest: &Guest) -> bool {
        let name = self.runs[run].order.name;
        let mut runs = self.runs.iter().enumerate();
        runs.any(|(number, it)| {
            let creates = it.order.verb == Verb::Template && it.order.name == name;
            creates && guest.maker == Some(token(number))
        })
    }

    fn check_identity(&mut self, run: usize, change: &Change, guest: &Guest) {
        let Change { kind, vmid, .. } = *change;
        let known = &self.runs[run];
        let last = known.last_change;
        let confirmed = known.confirmed.get(&vmid).copied();
        let read = known.reads.get(&vmid).copied();
        // A server that refuses the confirmation is asked for its nodes, and the VM is read again.
        let otherwise = known.nodes.zip(read).map(|(nodes, read)| nodes.min(read));
        let checked = confirmed.max(otherwise.filter(|at| *at > last));
        let touched = self.touched.get(&vmid).copied().unwrap_or(0);
        let name = guest.name().unwrap_or("(no name)");
        if kind == Kind::Convert && checked.is_none_or(|at| at < last) {
            self.violate(format!(
                "run {run} converts VM {vmid} without checking it right before"
            ));
        } else if !self.is_of_name(run, guest) {
            let is_excused = kind == Kind::Convert && checked.is_some_and(|at| touched > at);
            if is_excused {
                self.may_change.insert(guest.stamp());
            } else {
                self.violate(format!(
                    "run {run} requested {kind:?} of VM {vmid} '{name}', not its own"
                ));
            }
        }
    }

    fn check_download(&mut self, run: usize, at: usize, request: &Request) {
        let image = self.runs[run].order.image.expect("an image");
        let file = image.volume.rsplit('/').next();
        let (url, sum) = (request.param("url"), request.param("checksum"));
        if url != Some(image.source) || sum != image.checksum || request.param("filename") != file {
            self.violate(format!("run {run} downloads something else"));
        }
        self.runs[run].downloads.push(at);
    }

    fn check_cancel(&mut self, run: usize, request: &Request) {
        let owner = format!(":{}:", token(run));
        let line = &request.line;
        if !line.contains(":download:") || !line.contains(&owner) {
            self.violate(format!(
                "run {run} cancels a task that it has not requested"
            ));
        }
    }

    /// What is wrong with the content of a new VM.
    pub(super) fn wrong_in_new_vm(&self, run: usize, images: &[String]) -> Option<String> {
        let it = &self.runs[run];
        let sum = it.order.image?.checksum?;
        let last = it.downloads.last().copied().unwrap_or(0);
        let is_excused = self.images_touched > last;
        (!is_excused && images != [sum]).then(|| format!("the content of its VM is {images:?}"))
    }

    /// Checks what has happened to images since the last call.
    pub(super) fn check_image_deeds(&mut self, cluster: &Cluster) {
        for deed in cluster.image_deeds.iter().skip(self.image_deeds) {
            self.image_deeds += 1;
            let volume = &deed.image.volid;
            self.log
                .push(format!("       image {volume}: {:?}", deed.did));
            let is_its = |run: &usize| token(*run) == deed.owner;
            let Some(run) = (0..self.runs.len()).find(is_its) else {
                continue;
            };
            let first = self.runs[run].downloads.first().copied().unwrap_or(0);
            let wrong = match &deed.did {
                ImageDid::Remove => true,
                ImageDid::Download { replaced, .. } => {
                    let is_another = |it: &crate::fake_pve::Image| it.sha256 != deed.image.sha256;
                    // Others have put it there after the request.
                    let is_excused = self.images_touched > first;
                    replaced.as_ref().is_some_and(is_another) && !is_excused
                }
            };
            if wrong {
                self.violate(format!("run {run}: {:?} of image {volume}", deed.did));
            }
        }
    }
}

/// Whether a change changes nothing.
fn is_confirmation(guest: &Guest, request: &Request) -> bool {
    let text = |key: &str| guest.config.get(key).and_then(|it| it.as_str());
    let has = |key: &str| request.param(key).is_some_and(|it| Some(it) == text(key));
    has("name") && has("digest") && request.params.len() == 2
}
