//! Watches every request under the lock of the fake: executes the schedule, and checks what can only be
//! checked at that moment.
//!
//! - No request creates a second VM with a name while the run could know that the name is taken.
//! - No request changes a guest that is not the VM of the run, unless another user has put it there after
//!   the run last read it.
//! - What is checked when a run changes a VM that exists is in `changes`, and what is when it creates a
//!   template in `imports`.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use rustix::process::{Signal, pidfd_send_signal};
use serde_json::{Value, json};

use super::changes::{Change, Effect};
use super::schedule::{
    Act, At, Event, Kind, Order, Schedule, Stranger, TEMPLATE, Target, Verb, What, Whose, token,
};
use crate::fake_pve::{Cluster, Fault, Guest, Seen as Request, Stamp, Watcher};
use crate::homelab::Seen;

#[derive(Default)]
pub(super) struct Director {
    pub(super) runs: Vec<Run>,
    events: Vec<Event>,
    /// Later acts of other users, with the request count at which they are due.
    pending: Vec<(usize, Act, u32)>,
    /// The number of requests received so far.
    pub(super) now: usize,
    pub(super) log: Vec<String>,
    pub(super) violations: Vec<String>,
    /// The request count at which another user last touched this VMID.
    pub(super) touched: BTreeMap<u32, usize>,
    /// The request count since which the guest with this stamp has its name.
    named_since: BTreeMap<(Stamp, String), usize>,
    /// The state of guests that no run has created, by VMID.
    strangers: BTreeMap<u32, Fingerprint>,
    /// All names that guests of other users have had.
    pub(super) names_of_others: BTreeSet<String>,
    /// The VMs that runs have created.
    pub(super) created: BTreeMap<Stamp, Created>,
    /// VMIDs of requests that are executed late and cannot be withdrawn.
    late: BTreeSet<u32>,
    /// What happened to VMs, by run.
    pub(super) effects: Vec<Effect>,
    /// The request count at which the cluster last lost its quorum.
    pub(super) quorum_lost: usize,
    /// The guests that runs may change, by stamp.
    pub(super) may_change: BTreeSet<Stamp>,
    /// The request count at which another user last put or removed an image.
    pub(super) images_touched: usize,
    /// How many of the deeds about images were checked.
    pub(super) image_deeds: usize,
    /// The last record of each name.
    pub(super) records: BTreeMap<&'static str, String>,
    current: Option<Current>,
    names_given: usize,
}

/// A run, and its knowledge.
#[derive(Default)]
pub(super) struct Run {
    pub(super) order: Order,
    /// Refers to this process even if its ID is reused.
    pub(super) process: Option<OwnedFd>,
    pub(super) started: Option<Instant>,
    pub(super) ended: Option<Ended>,
    /// The signal that ended it early.
    pub(super) ended_by: Option<Signal>,
    /// Its requests so far.
    requests: Vec<Kind>,
    /// The request count of its last answered read of each kind; lists that are read only to locate a
    /// certain guest do not count.
    pub(super) list: Option<usize>,
    is_locating: bool,
    pub(super) reads: BTreeMap<u32, usize>,
    /// How many requests it had sent when it last read the configuration with this VMID.
    pub(super) sent_at_read: BTreeMap<u32, usize>,
    pub(super) statuses: BTreeMap<u32, usize>,
    node_lists: BTreeMap<String, usize>,
    /// The request count of its last answered list of images.
    pub(super) images: Option<usize>,
    /// The list of nodes, with which of them are online.
    pub(super) nodes: Option<usize>,
    /// The request count of its last change that changed nothing and was accepted, by VMID.
    pub(super) confirmed: BTreeMap<u32, usize>,
    /// Its requests to change VMs that exist.
    pub(super) changes: Vec<Change>,
    pub(super) last_change: usize,
    pub(super) last_request: usize,
    /// The request counts at which it requested downloads.
    pub(super) downloads: Vec<usize>,
    /// The guest that it first found complete at a VMID, with the right name.
    pub(super) first_seen: BTreeMap<u32, Stamp>,
    pub(super) posts: Vec<Post>,
    /// The number of requests after its time limit.
    pub(super) overdue: usize,
}

/// The end of a run.
pub(super) struct Ended {
    pub(super) seen: Seen,
    pub(super) at: usize,
    pub(super) after: Duration,
}

pub(super) struct Post {
    pub(super) at: usize,
    pub(super) when: Instant,
    pub(super) vmid: u32,
}

/// When a VM was created, and for which run.
pub(super) struct Created {
    pub(super) at: usize,
    pub(super) when: Instant,
    pub(super) vmid: u32,
    pub(super) run: usize,
}

type Fingerprint = (Stamp, String, Value);

struct Current {
    run: usize,
    kind: Kind,
    vmid: Option<u32>,
    node: Option<String>,
    is_answered: bool,
}

/// The director as a watcher of the fake.
pub(super) struct DirectorWatcher(pub(super) Arc<Mutex<Director>>);

impl Watcher for DirectorWatcher {
    fn before(&mut self, cluster: &mut Cluster, request: &Request) -> Option<Fault> {
        lock(&self.0).before(cluster, request)
    }

    fn after(&mut self, cluster: &mut Cluster) {
        lock(&self.0).after(cluster);
    }
}

pub(super) fn lock(director: &Mutex<Director>) -> MutexGuard<'_, Director> {
    director.lock().expect("no thread panicked over it")
}

impl Run {
    pub(super) fn of(order: Order) -> Run {
        Run {
            order,
            ..Run::default()
        }
    }

    /// The number of requests it has sent.
    pub(super) fn sent(&self) -> usize {
        self.requests.len()
    }
}

impl Director {
    pub(super) fn of(schedule: &Schedule, cluster: &Cluster) -> Director {
        let mut director = Director {
            runs: schedule.runs.iter().cloned().map(Run::of).collect(),
            events: schedule.events.clone(),
            ..Director::default()
        };
        director.record_state(cluster);
        director
    }

    fn before(&mut self, cluster: &mut Cluster, request: &Request) -> Option<Fault> {
        self.now += 1;
        let run = self.run_of(request);
        let (kind, vmid, node) = classify(request);
        let now = self.now;
        let it = &mut self.runs[run];
        it.requests.push(kind);
        it.last_request = now;
        let late = Duration::from_secs_f64(it.order.timeout) + Duration::from_millis(500);
        it.overdue += usize::from(it.started.is_some_and(|started| started.elapsed() > late));
        let (sent, line) = (it.sent(), &request.line);
        self.log.push(format!("{now:>4} run {run} #{sent}: {line}"));
        let due = self.take_due_events(run);
        self.others_act_as_planned(cluster);
        let requested = vmid.filter(|vmid| *vmid < TEMPLATE);
        let requested = requested.or_else(|| self.target_of(cluster, run));
        let mut fault = None;
        for event in due {
            fault = fault.or(self.happen(cluster, run, requested, event));
        }
        self.record_state(cluster);
        if let Some(fault) = &fault {
            self.log.push(format!("       {fault}"));
        }
        let has = |field| {
            fault
                .as_ref()
                .is_some_and(|fault: &Value| fault.get(field).is_some())
        };
        let is_answered = fault.is_none() || has("slow_ms");
        if !request.line.starts_with("GET ") {
            let change = Change {
                at: now,
                kind,
                vmid: vmid.unwrap_or_default(),
                stamp: None,
                is_late: has("late"),
                checked_at: None,
            };
            self.late.extend(vmid.filter(|_| change.is_late));
            match self.runs[run].order.verb {
                Verb::Create => self.check_change(cluster, run, kind, vmid, request),
                Verb::Template => self.check_import(cluster, run, change, is_answered, request),
                _ => self.check_verb(cluster, run, change, is_answered, request),
            }
            self.runs[run].last_change = now;
        }
        self.current = Some(Current {
            run,
            kind,
            vmid,
            node,
            is_answered,
        });
        fault.map(|fields| Fault::at_request(0, fields))
    }

    /// The events at the last request of this run.
    fn take_due_events(&mut self, run: usize) -> Vec<Event> {
        let requests = &self.runs[run].requests;
        let is_due = |event: &Event| {
            let matches = |kind: &Kind| [Kind::Any, *kind].contains(&event.at);
            let count = requests.iter().filter(|kind| matches(kind)).count();
            event.run == run && requests.last().is_some_and(matches) && event.nth == count
        };
        let events = std::mem::take(&mut self.events).into_iter();
        let (due, left): (Vec<Event>, _) = events.partition(is_due);
        self.events = left;
        due
    }

    fn after(&mut self, cluster: &mut Cluster) {
        self.record_new_vms(cluster);
        self.check_deeds(cluster);
        self.check_image_deeds(cluster);
        self.check_strangers(cluster);
        self.record_state(cluster);
        let Some(current) = self.current.take().filter(|it| it.is_answered) else {
            return;
        };
        let run = &mut self.runs[current.run];
        let was_locating = std::mem::take(&mut run.is_locating);
        match (current.kind, current.vmid, current.node) {
            (Kind::List, ..) if was_locating => {}
            (Kind::List, ..) => run.list = Some(self.now),
            (Kind::Any, Some(vmid), None) => run.is_locating = cluster.guests.contains_key(&vmid),
            (Kind::Any, None, Some(node)) => drop(run.node_lists.insert(node, self.now)),
            (Kind::Nodes, ..) => run.nodes = Some(self.now),
            (Kind::Images, ..) => run.images = Some(self.now),
            (Kind::Status, Some(vmid), _) => drop(run.statuses.insert(vmid, self.now)),
            (Kind::Config, Some(vmid), Some(node)) => {
                let guest = cluster.guests.get(&vmid).filter(|it| it.node == node);
                run.reads.extend(guest.map(|_| (vmid, self.now)));
                let sent = run.requests.len();
                run.sent_at_read.extend(guest.map(|_| (vmid, sent)));
                let is_whole = |it: &&Guest| run.order.means(it) && it.lock() != Some("clone");
                if let Some(guest) = guest.filter(is_whole) {
                    run.first_seen.entry(vmid).or_insert(guest.stamp());
                }
            }
            _ => {}
        }
    }

    /// The VMID that a run has requested last, or of the first VM that it is to change.
    fn target_of(&self, cluster: &Cluster, run: usize) -> Option<u32> {
        if let Some(post) = self.runs[run].posts.last() {
            return Some(post.vmid);
        }
        match *self.runs[run].order.targets.first()? {
            Target::Vmid(vmid) => Some(vmid).filter(|vmid| *vmid < TEMPLATE),
            Target::Name(name) => {
                let mut guests = cluster.guests.values();
                Some(guests.find(|guest| guest.is_vm_named(name))?.vmid)
            }
        }
    }

    fn run_of(&self, request: &Request) -> usize {
        let token = request.header("Authorization").unwrap_or_default();
        let is_its = |run: &usize| token.contains(&format!("={}=", super::schedule::token(*run)));
        (0..self.runs.len()).find(is_its).expect("a token of a run")
    }

    fn others_act_as_planned(&mut self, cluster: &mut Cluster) {
        let now = self.now;
        let pending = std::mem::take(&mut self.pending).into_iter();
        let (due, left) = pending.partition(|(due, ..)| *due <= now);
        self.pending = left;
        for (_, act, vmid) in due {
            self.act(cluster, &act, vmid, "");
        }
    }

    /// Executes the planned acts of other users now.
    pub(super) fn end_faults(&mut self, cluster: &mut Cluster) {
        self.events.clear();
        for (_, act, vmid) in std::mem::take(&mut self.pending) {
            self.act(cluster, &act, vmid, "");
        }
        cluster.end_faults();
        self.record_state(cluster);
    }

    /// Executes an event; returns its fault for the request, if any.
    fn happen(
        &mut self,
        cluster: &mut Cluster,
        run: usize,
        requested: Option<u32>,
        event: Event,
    ) -> Option<Value> {
        let name = self.runs[run].order.name;
        let hang = |acted: bool| json!({"hang": if acted { json!("after") } else { json!(true) }});
        match event.what {
            What::Fault(fault) => Some(fault),
            What::Kill { .. } | What::Interrupt { .. } if self.runs[run].ended_by.is_some() => None,
            What::Kill { acted } => self.end(run, Signal::KILL).then(|| hang(acted)),
            What::Interrupt { acted, term } => {
                let signal = if term { Signal::TERM } else { Signal::INT };
                self.end(run, signal).then(|| hang(acted))
            }
            What::Others(at, mut acts, later) => {
                let vmid = match at {
                    At::Requested => requested?,
                    At::Next => (100..=999).find(|vmid| !cluster.guests.contains_key(vmid))?,
                    At::Vmid(vmid) => vmid,
                };
                let last = later.and_then(|later| Some((self.now + later, acts.pop()?, vmid)));
                let has_acted = acts.iter().all(|act| self.act(cluster, act, vmid, name));
                self.pending.extend(last.filter(|_| has_acted));
                None
            }
        }
    }

    /// Sends a signal to a run, unless it has ended.
    pub(super) fn end(&mut self, run: usize, signal: Signal) -> bool {
        let run = &mut self.runs[run];
        let process = run.process.as_ref();
        let is_sent = process.is_some_and(|it| pidfd_send_signal(it, signal).is_ok());
        if is_sent {
            run.ended_by = Some(signal);
            self.log.push(format!("       signal {}", signal.as_raw()));
        }
        is_sent
    }

    /// Another user acts. Returns whether that changed anything.
    fn act(&mut self, cluster: &mut Cluster, act: &Act, vmid: u32, ours: &str) -> bool {
        let others = format!("other-{}", self.names_given);
        let name_for = |whose: Whose| match whose {
            Whose::Ours => ours,
            Whose::Another => &others,
        };
        self.names_given += 1;
        let set = |cluster: &mut Cluster, key: &str, value: Option<&str>| {
            cluster.edit(vmid, |config| {
                config.remove(key);
                config.extend(value.map(|value| (key.to_owned(), json!(value))));
            })
        };
        let guest = cluster.guests.get(&vmid);
        let lock = guest.and_then(Guest::lock).map(str::to_owned);
        let (is_free, is_backup) = (lock.is_none(), lock.as_deref() == Some("backup"));
        let is_their_clone = guest.is_some_and(Guest::is_strangers_clone);
        let has_acted = match act {
            Act::Create(Stranger {
                name,
                node,
                is_being_created,
                is_container,
            }) => {
                let name = name_for(*name);
                cluster.add_stranger(vmid, *node, name, *is_being_created, *is_container)
            }
            Act::Finish => is_their_clone && set(cluster, "lock", None),
            Act::Rename(whose) => {
                is_free && vmid < TEMPLATE && set(cluster, "name", Some(name_for(*whose)))
            }
            Act::Edit => is_free && set(cluster, "hookscript", Some(&others)),
            Act::Lock => is_free && set(cluster, "lock", Some("backup")),
            Act::Unlock => is_backup && set(cluster, "lock", None),
            Act::Protect => cluster.edit(vmid, |config| {
                config.insert("protection".to_owned(), json!(1));
            }),
            Act::Delete | Act::Move | Act::Switch { .. } | Act::Convert | Act::DeleteTemplate => {
                act_on_vm(cluster, act, vmid)
            }
            Act::PutImage { .. } | Act::RemoveImage(_) => self.act_on_images(cluster, act),
            Act::Hide(_) | Act::Show(_) | Act::LoseQuorum | Act::RegainQuorum => {
                self.act_on_nodes(cluster, act)
            }
        };
        if has_acted {
            self.log.push(format!("       others, at {vmid}: {act:?}"));
            if act.is_about_vm() {
                self.touched.insert(vmid, self.now);
            }
            self.record_new_vms(cluster);
            self.record_state(cluster);
        }
        has_acted
    }

    /// Images come and go.
    fn act_on_images(&mut self, cluster: &mut Cluster, act: &Act) -> bool {
        let node = cluster.setup.nodes[0].clone();
        let has_acted = match act {
            Act::RemoveImage(volume) => cluster.remove_image(&node, volume).is_some(),
            Act::PutImage { volume, content } => {
                let file = json!({"content": content, "virtual_size": 2_u64 << 30});
                let image = json!({"volid": volume, "file": file});
                let image = serde_json::from_value(image).expect("an image");
                cluster.put_image_of(&image);
                true
            }
            _ => false,
        };
        if has_acted {
            self.images_touched = self.now;
        }
        has_acted
    }

    /// Nodes, or the quorum, come and go.
    fn act_on_nodes(&mut self, cluster: &mut Cluster, act: &Act) -> bool {
        let setup = &mut cluster.setup;
        match act {
            Act::Hide(node) | Act::Show(node) => {
                let node = setup.nodes[*node].clone();
                setup.offline.retain(|known| *known != node);
                let is_hidden = matches!(act, Act::Hide(_));
                setup.offline.extend(is_hidden.then_some(node));
                true
            }
            Act::LoseQuorum => {
                // A node alone always has quorum.
                setup.offline = setup.nodes[1..].to_vec();
                setup.no_quorum = !setup.offline.is_empty();
                self.quorum_lost = self.now;
                setup.no_quorum
            }
            _ => {
                setup.no_quorum = false;
                setup.offline.clear();
                true
            }
        }
    }

    /// Checks whether a request for a change is allowed, given what its run knows.
    fn check_change(
        &mut self,
        cluster: &Cluster,
        run: usize,
        kind: Kind,
        vmid: Option<u32>,
        request: &Request,
    ) {
        if let (Kind::Clone, Some(newid)) = (kind, vmid) {
            self.check_clone(cluster, run, newid, request);
            let (at, when) = (self.now, Instant::now());
            self.runs[run].first_seen.remove(&newid);
            self.runs[run].posts.push(Post {
                at,
                when,
                vmid: newid,
            });
            return;
        }
        let (true, Some(vmid)) = (matches!(kind, Kind::Set | Kind::Resize | Kind::Start), vmid)
        else {
            return self.violate(format!("run {run} requested a change that is not its own"));
        };
        let Some(guest) = cluster.guests.get(&vmid) else {
            return;
        };
        let digest = guest.config.get("digest").and_then(Value::as_str);
        if request
            .param("digest")
            .is_some_and(|seen| Some(seen) != digest)
        {
            return;
        }
        let known = &self.runs[run];
        let order = &known.order;
        let is_first = known
            .first_seen
            .get(&vmid)
            .is_none_or(|stamp| *stamp == guest.stamp());
        // The run may have read another guest there before its own request was executed.
        let created = self.created.get(&guest.stamp());
        let is_own = created.is_some_and(|created| created.run == run);
        let is_ours = guest.is_vm_named(order.name) && (is_first || is_own);
        let was_requested = self.runs.iter().any(|other| {
            other.order.name == order.name && other.posts.iter().any(|post| post.vmid == vmid)
        });
        let read = known.reads.get(&vmid).copied().unwrap_or(0);
        let touched = self.touched.get(&vmid).copied().unwrap_or(0);
        let is_excused = read > known.last_change && touched > read && kind != Kind::Set;
        if !(is_ours && (order.ensure || was_requested) || is_excused) {
            let name = guest.name().unwrap_or("(no name)");
            self.violate(format!(
                "run {run} requested {kind:?} of VM {vmid} '{name}', not its own"
            ));
        }
        self.may_change.insert(guest.stamp());
    }

    /// Checks that no clone or import is requested while the run can know that another VM has the name.
    pub(super) fn check_clone(
        &mut self,
        cluster: &Cluster,
        run: usize,
        newid: u32,
        request: &Request,
    ) {
        let known = &self.runs[run];
        let name = known.order.name;
        let matches = request.param("name") == Some(name);
        if !matches || known.order.vmid.is_some_and(|vmid| vmid != newid) {
            self.violate(format!("run {run} requested another VM than in its order"));
            return;
        }
        let last_post = known.posts.last().map_or(0, |post| post.at);
        // What the run knew, or would know if it had read the list since its last clone request.
        let last_read = known
            .list
            .filter(|at| *at > last_post)
            .unwrap_or(self.now - 1);
        let namesake = self.known_namesake(cluster, run, name, last_read, |it| it.vmid == newid);
        if let Some(namesake) = namesake {
            self.violate(format!(
                "run {run} requested VM {newid} while VM {namesake} had the name"
            ));
        }
    }

    /// A VM with this name of which the run knew when it read its list.
    pub(super) fn known_namesake(
        &self,
        cluster: &Cluster,
        run: usize,
        name: &str,
        last_read: usize,
        is_excepted: impl Fn(&Guest) -> bool,
    ) -> Option<u32> {
        let known = &self.runs[run];
        // A run that creates a template looks for templates too.
        let templates = known.order.verb == Verb::Template;
        let namesake = cluster.guests.values().find(|guest| {
            let since = self.named_since.get(&(guest.stamp(), name.to_owned()));
            let row = guest.row.as_ref();
            let is_listed = known
                .node_lists
                .get(&guest.node)
                .is_some_and(|at| *at >= last_read);
            let shows_name =
                is_listed || row.is_none_or(|row| row.name == name && (templates || !row.template));
            let is_offline = cluster.setup.offline.contains(&guest.node);
            let is_known = since.is_some_and(|since| *since < last_read);
            let has_name = guest.is_vm_named(name) || templates && guest.is_template_named(name);
            has_name && !is_excepted(guest) && is_known && shows_name && !is_offline
        });
        Some(namesake?.vmid)
    }

    /// Checks that no run changed a guest that no run has created.
    pub(super) fn check_strangers(&mut self, cluster: &Cluster) {
        let is_changed = |vmid: &u32, before: &Fingerprint| {
            let may_change = self.may_change.contains(&before.0) || self.late.contains(vmid);
            !may_change && cluster.guests.get(vmid).map(fingerprint).as_ref() != Some(before)
        };
        let strangers = self.strangers.iter();
        let changed = strangers.filter(|(vmid, before)| is_changed(vmid, before));
        let changed: Vec<u32> = changed.map(|(vmid, _)| *vmid).collect();
        for vmid in changed {
            self.violate(format!(
                "the guest at {vmid} was changed, and no run may do that"
            ));
        }
    }

    pub(super) fn record_new_vms(&mut self, cluster: &Cluster) {
        for guest in cluster.guests.values() {
            let is_makers = |run: &usize| guest.maker == Some(token(*run));
            if let Some(run) = (0..self.runs.len()).find(is_makers)
                && !self.created.contains_key(&guest.stamp())
            {
                let (at, when, vmid) = (self.now, Instant::now(), guest.vmid);
                self.log
                    .push(format!("       VM {vmid} begins, for run {run}"));
                self.created.insert(
                    guest.stamp(),
                    Created {
                        at,
                        when,
                        vmid,
                        run,
                    },
                );
            }
        }
    }

    pub(super) fn record_state(&mut self, cluster: &Cluster) {
        let guests = || cluster.guests.values();
        let names: BTreeSet<_> = guests()
            .filter_map(|guest| Some((guest.stamp(), guest.name()?.to_owned())))
            .collect();
        self.named_since.retain(|known, _| names.contains(known));
        for name in names {
            self.named_since.entry(name).or_insert(self.now);
        }
        let strangers = || guests().filter(|guest| guest.maker.is_none());
        let names = strangers().filter_map(|guest| guest.name().map(str::to_owned));
        self.names_of_others.extend(names);
        self.strangers = strangers()
            .map(|guest| (guest.vmid, fingerprint(guest)))
            .collect();
    }

    pub(super) fn violate(&mut self, what: String) {
        self.log.push(format!("       VIOLATION: {what}"));
        self.violations.push(what);
    }
}

/// What is done to a VM as a whole. The templates of the setup stay as they are.
fn act_on_vm(cluster: &mut Cluster, act: &Act, vmid: u32) -> bool {
    match act {
        Act::Delete => cluster.delete_as_stranger(vmid),
        Act::Move => cluster.move_as_stranger(vmid),
        Act::Switch { on } => cluster.switch_as_stranger(vmid, *on),
        Act::Convert => vmid < TEMPLATE && cluster.convert_as_stranger(vmid),
        _ => vmid < TEMPLATE && cluster.delete_template_as_stranger(vmid),
    }
}

fn fingerprint(guest: &Guest) -> Fingerprint {
    (guest.stamp(), guest.status.clone(), json!(guest.config))
}

/// The kind of a request, and the VMID and node in it.
fn classify(request: &Request) -> (Kind, Option<u32>, Option<String>) {
    let mut words = request.line.split(' ');
    let (method, path) = (words.next(), words.next().unwrap_or_default());
    let path = path.split('?').next().unwrap_or_default();
    let steps: Vec<&str> = path.split('/').skip(1).collect();
    let of_param = |name| request.param(name).and_then(number);
    match (method, steps.as_slice()) {
        (Some("GET"), steps) => classify_read(steps, of_param("vmid")),
        (Some("POST"), ["nodes", _, "qemu"]) => (Kind::Import, of_param("vmid"), None),
        (Some("POST"), ["nodes", _, "qemu", _, "clone"]) => (Kind::Clone, of_param("newid"), None),
        (Some("POST"), ["nodes", _, "storage", _, "download-url"]) => (Kind::Download, None, None),
        (Some("DELETE"), ["nodes", _, "tasks", _]) => (Kind::Cancel, None, None),
        (Some(method), ["nodes", _, "qemu", vmid, what @ ..]) => {
            let kind = match (method, what) {
                ("PUT", ["config"]) => Kind::Set,
                ("PUT", ["resize"]) => Kind::Resize,
                ("POST", ["template"]) => Kind::Convert,
                ("POST", ["status", "start"]) => Kind::Start,
                ("POST", ["status", "stop"]) => Kind::Stop,
                ("POST", ["status", "shutdown"]) => Kind::Shutdown,
                ("POST", ["status", "reboot"]) => Kind::Reboot,
                ("DELETE", []) => Kind::Destroy,
                _ => return (Kind::Any, None, None),
            };
            (kind, number(vmid), None)
        }
        _ => (Kind::Any, None, None),
    }
}

fn classify_read(steps: &[&str], param: Option<u32>) -> (Kind, Option<u32>, Option<String>) {
    match steps {
        ["cluster", "resources"] => (Kind::List, None, None),
        ["cluster", "nextid"] => (Kind::Any, param, None),
        ["nodes"] => (Kind::Nodes, None, None),
        ["nodes", node, "qemu"] => (Kind::Any, None, Some((*node).to_owned())),
        ["nodes", node, "qemu", vmid, "config"] => {
            (Kind::Config, number(vmid), Some((*node).to_owned()))
        }
        ["nodes", node, "qemu", vmid, "status", "current"] => {
            (Kind::Status, number(vmid), Some((*node).to_owned()))
        }
        ["nodes", _, "tasks", _, "status"] => (Kind::Task, None, None),
        ["nodes", _, "storage", _, "content"] => (Kind::Images, None, None),
        _ => (Kind::Any, None, None),
    }
}

fn number(text: &str) -> Option<u32> {
    text.parse().ok()
}
