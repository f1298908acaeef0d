//! What is checked when a run changes a VM that exists, and when that takes effect.
//!
//! - It is the VM that the run read first, unless another user has replaced it after the run last read it:
//!   no request names an identity, so nobody can prevent that.
//! - Nothing is requested again before the VM was read again.
//! - A request that a daemon carries out late, or a cluster that loses its quorum after that was checked, is
//!   beyond a run.

use super::director::{Director, Run};
use super::schedule::{Kind, Target, Verb};
use crate::fake_pve::{Cluster, Did, Guest, Seen as Request, Stamp};

/// The most requests of a run after it has read a VM and until it changes it: its status, the clones of it, the
/// change that changes nothing, the list of nodes, and the change.
const REQUESTS_PER_TURN: usize = 5;

/// A request of a run to change a VM.
pub(super) struct Change {
    /// The request count.
    pub(super) at: usize,
    pub(super) kind: Kind,
    pub(super) vmid: u32,
    /// The VM that had the VMID when the request was received.
    pub(super) stamp: Option<Stamp>,
    /// Whether a fault delays it.
    pub(super) is_late: bool,
    /// When the run last found that the cluster has quorum, since its request before.
    pub(super) checked_at: Option<usize>,
}

/// Something that happened to a VM.
pub(super) struct Effect {
    pub(super) at: usize,
    /// The run that requested it; nobody for the start that completes a reboot.
    pub(super) run: Option<usize>,
    pub(super) vm: Stamp,
    pub(super) did: Did,
}

impl Verb {
    fn may_request(self, kind: Kind) -> bool {
        match kind {
            Kind::Set => matches!(self, Verb::Delete { .. } | Verb::Reboot),
            Kind::Stop => matches!(self, Verb::Delete { stop: true, .. } | Verb::Stop),
            kind => kind == self.kind(),
        }
    }
}

impl Kind {
    fn may_do(self, did: &Did) -> bool {
        match did {
            Did::Start => self == Kind::Start,
            Did::Stop => matches!(self, Kind::Stop | Kind::Shutdown | Kind::Reboot),
            Did::Destroy(_) | Did::RemoveDisks(_) => self == Kind::Destroy,
            Did::Create(_) => self == Kind::Import,
            Did::Convert => self == Kind::Convert,
        }
    }
}

impl Run {
    /// The request count of its last request to change the VM with this VMID.
    fn last_change_of(&self, vmid: u32) -> usize {
        let last = self.changes.iter().rev().find(|it| it.vmid == vmid);
        last.map_or(0, |change| change.at)
    }
}

impl Director {
    /// The request count at which anybody but this run last changed the guest with this VMID.
    pub(super) fn others_acted(&self, vmid: u32, run: usize) -> usize {
        let effects = self.effects.iter().rev();
        let mut others = effects.filter(|it| it.vm.0 == vmid && it.run != Some(run));
        let effect = others.next().map_or(0, |effect| effect.at);
        effect.max(self.touched.get(&vmid).copied().unwrap_or(0))
    }

    /// Checks a request to change a VM that exists, given what its run knows.
    pub(super) fn check_verb(
        &mut self,
        cluster: &Cluster,
        run: usize,
        mut change: Change,
        is_answered: bool,
        request: &Request,
    ) {
        let Change { kind, vmid, .. } = change;
        let known = &self.runs[run];
        let order = &known.order;
        if !order.verb.may_request(kind) {
            return self.violate(format!("run {run} requested {kind:?}, unlike its command"));
        }
        if kind == Kind::Cancel {
            let is_it = order
                .upid
                .as_ref()
                .is_some_and(|upid| request.line.contains(upid.as_str()));
            if !is_it {
                self.violate(format!("run {run} cancels another task"));
            }
            return;
        }
        if kind == Kind::Set {
            return self.check_confirmation(cluster, run, &change, is_answered, request);
        }
        let last = known.last_change_of(vmid);
        let confirmed = known.confirmed.get(&vmid).copied();
        change.checked_at = confirmed.max(known.nodes).filter(|at| *at > last);
        let wrong = self.wrong_in_change(cluster, run, kind, vmid);
        change.stamp = cluster.guests.get(&vmid).map(Guest::stamp);
        self.may_change.extend(change.stamp);
        self.runs[run].changes.push(change);
        for what in wrong {
            self.violate(format!("run {run} requested {what}"));
        }
    }

    /// A change that is to change nothing.
    fn check_confirmation(
        &mut self,
        cluster: &Cluster,
        run: usize,
        change: &Change,
        is_answered: bool,
        request: &Request,
    ) {
        let vmid = change.vmid;
        let guest = cluster.guests.get(&vmid);
        let text = |key: &str| guest.and_then(|guest| guest.config.get(key)?.as_str());
        let has = |key: &str| request.param(key).is_some_and(|it| Some(it) == text(key));
        if !has("digest") {
            return;
        }
        if !has("name") || request.params.len() != 2 {
            self.violate(format!("run {run} changes an option of VM {vmid}"));
        } else if is_answered && !cluster.setup.no_quorum {
            self.runs[run].confirmed.insert(vmid, change.at);
        }
    }

    fn wrong_in_change(&self, cluster: &Cluster, run: usize, kind: Kind, vmid: u32) -> Vec<String> {
        let known = &self.runs[run];
        let order = &known.order;
        let last = known.last_change_of(vmid);
        let read = known.reads.get(&vmid).copied().unwrap_or(0);
        let mut wrong = Vec::new();
        if read <= last {
            wrong.push(format!("{kind:?} of VM {vmid} again without reading it"));
        }
        let Some(guest) = cluster.guests.get(&vmid) else {
            return wrong;
        };
        let name = guest.name().unwrap_or("(no name)");
        if known.first_seen.get(&vmid) != Some(&guest.stamp()) {
            let last_known = read.max(known.confirmed.get(&vmid).copied().unwrap_or(0));
            // Of several VMs each has its turn in between.
            let sent_since = known.sent() - known.sent_at_read.get(&vmid).copied().unwrap_or(0);
            let is_recent = sent_since <= REQUESTS_PER_TURN || order.targets.len() > 1;
            let was_replaced = self.others_acted(vmid, run) > last_known;
            if read <= last || !is_recent || !was_replaced {
                wrong.push(format!(
                    "{kind:?} of VM {vmid} '{name}', which is not the VM that it read first"
                ));
            }
            return wrong;
        }
        let is_by_vmid = order.vmid.is_some() || order.targets.contains(&Target::Vmid(vmid));
        let is_it = |other: &Guest| other.stamp() == guest.stamp();
        let list_read = known.list.filter(|_| !is_by_vmid);
        let namesake = list_read.and_then(|at| self.known_namesake(cluster, run, name, at, is_it));
        wrong.extend(namesake.map(|namesake| {
            format!("{kind:?} of VM {vmid} '{name}' while VM {namesake} has that name too")
        }));
        wrong
    }

    /// Checks what has happened to VMs since the last call.
    pub(super) fn check_deeds(&mut self, cluster: &Cluster) {
        for deed in cluster.deeds.iter().skip(self.effects.len()) {
            let is_its = |run: &usize| super::schedule::token(*run) == deed.owner;
            let run = (0..self.runs.len()).find(is_its);
            let effect = Effect {
                at: self.now,
                run,
                vm: deed.vm,
                did: deed.did.clone(),
            };
            let wrong = run.and_then(|run| self.wrong_in_effect(cluster, run, &effect));
            let (did, vm) = (&effect.did, effect.vm);
            self.log
                .push(format!("       {did:?} of {vm:?} by {run:?}"));
            self.effects.push(effect);
            if let (Some(run), Some(what)) = (run, wrong) {
                self.violate(format!("run {run}: {what}"));
            }
        }
    }

    fn wrong_in_effect(&self, cluster: &Cluster, run: usize, effect: &Effect) -> Option<String> {
        let it = &self.runs[run];
        if it.order.verb == Verb::Create {
            return None;
        }
        if let Did::Create(images) = &effect.did {
            return self.wrong_in_new_vm(run, images);
        }
        let (vmid, did) = (effect.vm.0, &effect.did);
        let touched = self.touched.get(&vmid).copied().unwrap_or(0);
        let changes = it.changes.iter();
        let changes = changes.filter(|it| it.vmid == vmid && it.kind.may_do(did));
        let created = self.created.get(&effect.vm).map_or(0, |created| created.at);
        let may_be = |it: &&Change| {
            let is_meant = it.stamp == Some(effect.vm);
            // The VMID was reused before a hanging daemon carried the request out.
            is_meant || it.is_late && touched.max(created) > it.at
        };
        let Some(change) = changes.rev().find(may_be) else {
            return Some(format!("{did:?} of VM {:?}, not its own", effect.vm));
        };
        // The worker died.
        let is_killed = || cluster.guests[&vmid].lock() == Some("destroyed");
        let quorum_lost_later = || change.checked_at.is_some_and(|at| self.quorum_lost > at);
        let lost_disks = matches!(did, Did::RemoveDisks(_));
        (lost_disks && !change.is_late && !quorum_lost_later() && !is_killed())
            .then(|| format!("the disks of VM {vmid} are gone, and the VM stays"))
    }
}
