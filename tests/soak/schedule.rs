//! A schedule: a cluster, the runs, and the faults and events at certain requests of them. It depends only
//! on its seed.

use std::fmt;

use fastrand::Rng;
use serde_json::{Value, json};

use super::{life, templates};

pub(super) const TEMPLATE: u32 = 9000;
const TEMPLATES: [&str; 2] = ["debian-12", "debian-13"];
pub(super) const SETTINGS: [&str; 11] = [
    "cores=2",
    "cores=4",
    "memory=1024",
    "memory=2048",
    "ciuser=ops",
    "tags=web",
    "tags=b,a",
    "ipconfig0=ip=dhcp",
    "ipconfig0=ip=10.0.0.5/24,gw=10.0.0.1",
    "cipassword=first",
    "description=created",
];
pub(super) const NAMES: [&str; 2] = ["web", "db"];

#[derive(Clone, Debug)]
pub(super) struct Schedule {
    pub(super) seed: u64,
    /// The fake's setup.
    pub(super) cluster: Value,
    pub(super) runs: Vec<Order>,
    pub(super) events: Vec<Event>,
    /// Whether all tasks and late requests finish before the clean runs.
    pub(super) settles: bool,
}

/// What a run does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Verb {
    #[default]
    Create,
    /// Creates a template from an image.
    Template,
    Delete {
        stop: bool,
        if_exists: bool,
    },
    Start,
    Shutdown {
        force: bool,
    },
    Stop,
    Reboot,
    /// Cancels the task of the last clone, whichever run has requested it.
    Cancel,
}

/// What a run calls a VM that it changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Target {
    Name(&'static str),
    Vmid(u32),
}

/// The image of a template.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct ImageOrder {
    /// A URL or a volume.
    pub(super) source: &'static str,
    /// The SHA-256 of its content.
    pub(super) checksum: Option<&'static str>,
    /// The volume that it is, or is downloaded to.
    pub(super) volume: &'static str,
}

/// One run of the program.
#[derive(Clone, Debug, Default)]
pub(super) struct Order {
    pub(super) verb: Verb,
    /// The name that it creates, or that strangers use who act while it runs.
    pub(super) name: &'static str,
    /// The VMs that it changes.
    pub(super) targets: Vec<Target>,
    /// The task that it cancels, once that is known.
    pub(super) upid: Option<String>,
    pub(super) template: &'static str,
    /// The image from which it creates a template.
    pub(super) image: Option<ImageOrder>,
    pub(super) ensure: bool,
    pub(super) vmid: Option<u32>,
    /// Other options of the clone or import, each with its value, if any.
    pub(super) clone: Vec<&'static str>,
    pub(super) set: Vec<&'static str>,
    pub(super) resize: Option<&'static str>,
    /// `--start` or `--wait-ip`.
    pub(super) start: Option<&'static str>,
    /// The maximum length of a ledger, as on a full disk.
    pub(super) disk: Option<u64>,
    pub(super) timeout: f64,
    /// The request of the previous run at which it begins; otherwise after all previous runs.
    pub(super) begins_at: Option<usize>,
}

/// What happens when a run sends a request.
#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) run: usize,
    pub(super) at: Kind,
    /// Which request of this kind, counted from 1.
    pub(super) nth: usize,
    pub(super) what: What,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Any,
    List,
    Clone,
    Task,
    Config,
    Status,
    /// The list of nodes.
    Nodes,
    Set,
    Resize,
    Start,
    Stop,
    Shutdown,
    Reboot,
    Destroy,
    /// Cancels a task.
    Cancel,
    /// The list of images.
    Images,
    Download,
    Import,
    /// To a template.
    Convert,
}

#[derive(Clone, Debug)]
pub(super) enum What {
    /// As in a story file.
    Fault(Value),
    /// `kill -9`; whether the request is executed.
    Kill { acted: bool },
    /// SIGTERM or SIGINT.
    Interrupt { acted: bool, term: bool },
    /// Acts of other users at a VMID before the request is executed, in order; the last one this many
    /// requests later.
    Others(At, Vec<Act>, Option<usize>),
}

#[derive(Clone, Debug)]
pub(super) enum Act {
    Create(Stranger),
    /// Their clone finishes.
    Finish,
    Delete,
    Move,
    Rename(Whose),
    /// Changes an option that no run uses.
    Edit,
    Lock,
    Unlock,
    /// The node with this index becomes unreachable.
    Hide(usize),
    Show(usize),
    Protect,
    /// A VM is started, or powered off.
    Switch {
        on: bool,
    },
    /// The contacted node loses most of the others, and with them the quorum.
    LoseQuorum,
    RegainQuorum,
    /// Makes a VM a template.
    Convert,
    /// Deletes a template that has no clones.
    DeleteTemplate,
    /// Puts an image with this content there, instead of one that is there.
    PutImage {
        volume: &'static str,
        content: &'static str,
    },
    RemoveImage(&'static str),
}

/// A guest of another user.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stranger {
    pub(super) name: Whose,
    pub(super) node: usize,
    pub(super) is_being_created: bool,
    pub(super) is_container: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum At {
    /// The VMID of the request, or the one requested last.
    Requested,
    /// The first free VMID.
    Next,
    Vmid(u32),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Whose {
    /// The name of the VM that the run creates.
    Ours,
    Another,
}

impl Act {
    /// Whether it is about a certain VM; otherwise, about nodes or images.
    pub(super) fn is_about_vm(&self) -> bool {
        !matches!(
            self,
            Act::Hide(_)
                | Act::Show(_)
                | Act::LoseQuorum
                | Act::RegainQuorum
                | Act::PutImage { .. }
                | Act::RemoveImage(_)
        )
    }
}

impl Order {
    pub(super) fn command_line(&self) -> String {
        let mut arguments = vec![self.verb.words().to_owned()];
        arguments.extend(self.upid.clone());
        arguments.extend(self.targets.iter().map(ToString::to_string));
        if self.verb == Verb::Create {
            arguments.push(format!("{} {}", self.name, self.template));
        }
        if let Some(image) = &self.image {
            let ImageOrder {
                source, checksum, ..
            } = image;
            arguments.push(format!("{} --image {source} --storage data", self.name));
            arguments.extend(checksum.map(|sum| format!("--checksum sha256:{sum}")));
        }
        if self.verb != Verb::Cancel {
            arguments.extend(self.vmid.map(|vmid| format!("--vmid {vmid}")));
        }
        arguments.push(format!(
            "--json --poll-interval 0.02 --request-timeout 0.3 --timeout {}",
            self.timeout
        ));
        arguments.extend(self.ensure.then(|| "--ensure".to_owned()));
        arguments.extend(self.clone.iter().map(ToString::to_string));
        arguments.extend(self.set.iter().map(|set| format!("--set {set}")));
        arguments.extend(self.resize.map(|size| format!("--resize {size}")));
        arguments.extend(self.start.map(str::to_owned));
        arguments.join(" ")
    }

    /// Whether it may change a guest with this name or VMID.
    pub(super) fn concerns(&self, name: &str, vmid: u32) -> bool {
        match self.verb {
            Verb::Create | Verb::Template => self.name == name,
            Verb::Cancel => true,
            _ => self.targets.iter().any(|target| match target {
                Target::Name(known) => *known == name,
                Target::Vmid(known) => *known == vmid,
            }),
        }
    }

    /// Whether both request the same clone, or the same import.
    pub(super) fn clones_like(&self, other: &Order) -> bool {
        let what = |it: &Order| (it.verb, it.template, it.image, it.vmid);
        what(self) == what(other) && self.clone == other.clone
    }

    /// Whether it creates a VM or a template.
    pub(super) fn creates(&self) -> bool {
        matches!(self.verb, Verb::Create | Verb::Template)
    }
}

impl Schedule {
    pub(super) fn of(seed: u64) -> Schedule {
        // Otherwise adjacent seeds would begin alike.
        let mut rng = Rng::with_seed(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let rng = &mut rng;
        if seed % 4 == 3 {
            return templates::schedule(seed, rng);
        }
        if rng.bool() {
            return life::schedule(seed, rng);
        }
        let nodes = *pick(rng, &[1, 1, 2, 3]);
        let cluster = cluster(rng, nodes);
        let count = *pick(rng, &[1, 1, 1, 2, 2, 2, 2, 3, 3, 4]);
        let mut runs = vec![Order::random(rng, nodes)];
        for _ in 1..count {
            let next = runs[rng.usize(..runs.len())].varied(rng, nodes);
            runs.push(next);
        }
        let mut events: Vec<Event> = Vec::new();
        match rng.u32(..4) {
            0 | 1 => lose_a_clone(rng, count, nodes, &mut events),
            2 => change_a_vm(rng, count, nodes, &mut events),
            _ => {}
        }
        for run in 0..count {
            let more = *pick(rng, &[0, 0, 1, 1, 2, 3]);
            events.extend((0..more).map(|_| event(rng, run, nodes)));
        }
        Schedule {
            seed,
            cluster,
            runs,
            events,
            settles: rng.bool(),
        }
    }
}

pub(super) fn pick<'a, T>(rng: &mut Rng, items: &'a [T]) -> &'a T {
    &items[rng.usize(..items.len())]
}

pub(super) fn one_in(rng: &mut Rng, count: u32) -> bool {
    rng.u32(..count) == 0
}

/// The exit statuses of clones that fail or warn.
const CLONES_END: [&str; 7] = [
    "unexpected status",
    "clone failed: copy failed: exit code 1",
    "clone failed: can't lock file '/var/lock/pve-manager/pve-storage-data' - got timeout",
    "clone failed: cfs-lock 'storage-data' error: got lock request timeout",
    "can't lock file '/var/lock/qemu-server/lock-9000.conf' - got timeout",
    "can't lock file '/var/lock/qemu-server/lock-{newid}.conf' - got timeout",
    "WARNINGS: 1",
];

/// The exit statuses of resizes and starts that fail; the last one only for starts.
const STEPS_END: [&str; 3] = [
    "got timeout",
    "unexpected status",
    "start failed: QEMU exited with code 1",
];

pub(super) fn cluster(rng: &mut Rng, nodes: usize) -> Value {
    let nodes: Vec<String> = (1..=nodes).map(|number| format!("pve{number}")).collect();
    let mut guests = vec![
        json!({"vmid": 100, "name": "router", "status": "running", "node": pick(rng, &nodes)}),
        json!({"vmid": TEMPLATE, "name": TEMPLATES[0], "template": true}),
        json!({"vmid": 9001, "name": TEMPLATES[1], "template": true}),
    ];
    if one_in(rng, 6) {
        let vmid = *pick(rng, &[101, 102, 300]);
        let node = pick(rng, &nodes);
        let mut namesake = json!({"vmid": vmid, "name": pick(rng, &NAMES), "node": node});
        if one_in(rng, 3) {
            namesake["row"] = json!("nameless");
        }
        guests.push(namesake);
    }
    if one_in(rng, 10) {
        let row = json!({"name": pick(rng, &NAMES)});
        guests.push(json!({"vmid": 200, "name": "mail", "node": pick(rng, &nodes), "row": row}));
    }
    let mut dead_rows = json!({});
    if one_in(rng, 8) {
        let name = *pick(rng, &["web", "db", "debian-12", "gone"]);
        dead_rows["101"] = json!({"name": name, "template": name == "debian-12"});
    }
    let (appears, named, done) = (
        *pick(rng, &[0, 0, 1, 2, 4, 8, 13, 14]),
        *pick(rng, &[0, 0, 1, 2, 3, 8, 20]),
        rng.u32(..6),
    );
    let steps =
        json!({"appears": appears, "named": appears + named, "done": appears + named + done});
    let volumes = [
        "data:101/vm-101-disk-0.raw",
        "data:102/vm-102-cloudinit.qcow2",
    ];
    let leftovers: Vec<&str> = volumes.into_iter().filter(|_| one_in(rng, 15)).collect();
    json!({
        "leftovers": leftovers,
        "nodes": nodes,
        "shared_storage": true,
        "guests": guests,
        "dead_rows": dead_rows,
        "clone_polls": rng.u32(..3),
        "clone_steps": if one_in(rng, 4) { Value::Null } else { steps },
        "clone_exit": exits(rng, 5, &CLONES_END),
        "start_exit": exits(rng, 4, &STEPS_END),
        "resize_exit": exits(rng, 4, &STEPS_END[..2]),
        "task_polls": rng.u32(..3),
        "rows": *pick(rng, &[json!("never"), json!("at_once"), json!({"every_ms": 60})]),
        "tokens": (0..12).map(|run| (token(run), json!("all"))).collect::<serde_json::Map<_, _>>(),
    })
}

/// One time in `rarely`, a bad one comes first or second.
pub(super) fn exits(rng: &mut Rng, rarely: u32, bad: &[&str]) -> Value {
    if !one_in(rng, rarely) {
        return json!("OK");
    }
    let bad = *pick(rng, bad);
    if rng.bool() {
        json!([bad, "OK"])
    } else {
        json!(["OK", bad, "OK"])
    }
}

/// Each run has its own token, which distinguishes its requests.
pub(super) fn token(run: usize) -> String {
    format!("root@pam!run{run}")
}

impl Order {
    pub(super) fn random(rng: &mut Rng, nodes: usize) -> Order {
        let mut clone = Vec::new();
        if one_in(rng, 6) {
            clone.push(*pick(
                rng,
                &["--linked", "--storage small", "--storage data"],
            ));
        }
        if one_in(rng, 8) {
            clone.push("--pool clients");
        }
        if nodes > 1 && one_in(rng, 5) {
            clone.push(*pick(rng, &["--node pve1", "--node pve2"]));
        }
        let mut set: Vec<&str> = Vec::new();
        for _ in 0..*pick(rng, &[0, 0, 1, 1, 2, 3]) {
            let option = *pick(rng, &SETTINGS);
            let key = option.split('=').next();
            if set.iter().all(|known| known.split('=').next() != key) {
                set.push(option);
            }
        }
        let sizes = ["scsi0=10G", "scsi0=+8G", "scsi0=4G"];
        Order {
            name: if one_in(rng, 5) { NAMES[1] } else { NAMES[0] },
            template: if one_in(rng, 10) {
                TEMPLATES[1]
            } else {
                TEMPLATES[0]
            },
            ensure: rng.bool(),
            vmid: one_in(rng, 5).then(|| *pick(rng, &[101, 150])),
            clone,
            set,
            resize: one_in(rng, 3).then(|| *pick(rng, &sizes)),
            start: one_in(rng, 3).then(|| *pick(rng, &["--start", "--start", "--wait-ip"])),
            disk: one_in(rng, 25).then(|| rng.u64(..600)),
            timeout: *pick(rng, &[0.5, 0.9, 1.4]),
            ..Order::default()
        }
    }

    /// A later run: usually the same command again.
    pub(super) fn varied(&self, rng: &mut Rng, nodes: usize) -> Order {
        let mut next = if one_in(rng, 4) {
            Order::random(rng, nodes)
        } else {
            self.clone()
        };
        if rng.bool() {
            next.ensure = true;
        }
        next.begins_at = one_in(rng, 3).then(|| rng.usize(1..12));
        next
    }
}

fn event(rng: &mut Rng, run: usize, nodes: usize) -> Event {
    use Kind::{Any, Clone, Config, List, Resize, Set, Start, Task};
    let what = match rng.u32(..20) {
        0..=7 => What::Fault(fault(rng)),
        8..=10 => What::Kill { acted: rng.bool() },
        11 => What::Interrupt {
            acted: rng.bool(),
            term: rng.bool(),
        },
        _ => others(rng, nodes),
    };
    let (at, nth) = match rng.u32(..10) {
        0..=2 => (Any, rng.usize(1..16)),
        3..=5 => (Clone, *pick(rng, &[1, 1, 1, 2])),
        6 => (Task, rng.usize(1..4)),
        7 => (Config, rng.usize(1..5)),
        8 => (*pick(rng, &[Set, Resize, Start]), *pick(rng, &[1, 1, 2])),
        _ => (List, rng.usize(1..4)),
    };
    Event { run, at, nth, what }
}

/// The outcome of the first clone is unknown, and other users act while the runs find out.
fn lose_a_clone(rng: &mut Rng, count: usize, nodes: usize, events: &mut Vec<Event>) {
    let what = match rng.u32(..7) {
        0 => What::Fault(json!({"close": "lost"})),
        1 => What::Fault(answer(502, "Bad Gateway", false)),
        2 | 3 => What::Fault(late(rng)),
        4 => What::Interrupt {
            acted: rng.bool(),
            term: rng.bool(),
        },
        _ => What::Kill { acted: rng.bool() },
    };
    events.push(Event {
        run: 0,
        at: Kind::Clone,
        nth: 1,
        what,
    });
    for _ in 0..rng.usize(..3) {
        let (run, nth) = (rng.usize(..count), rng.usize(1..30));
        let what = others(rng, nodes);
        let at = *pick(rng, &[Kind::Any, Kind::Any, Kind::Config, Kind::Clone]);
        let nth = match at {
            Kind::Any => nth,
            Kind::Clone => 1 + nth % 2,
            _ => 1 + nth % 12,
        };
        events.push(Event { run, at, nth, what });
    }
}

/// Other users act while a VM is being set up.
fn change_a_vm(rng: &mut Rng, count: usize, nodes: usize, events: &mut Vec<Event>) {
    use Kind::{Any, Config, Resize, Set, Start, Task};
    let run = rng.usize(..count);
    let (at, nth) = *pick(
        rng,
        &[
            (Task, 1),
            (Task, 2),
            (Config, 2),
            (Set, 1),
            (Resize, 1),
            (Start, 1),
            (Any, 6),
            (Any, 9),
        ],
    );
    let acts = match rng.u32(..4) {
        0 => vec![Act::Rename(Whose::Another)],
        1 => vec![Act::Edit],
        _ => vec![Act::Delete, Act::Create(stranger(rng, nodes))],
    };
    events.push(Event {
        run,
        at,
        nth,
        what: What::Others(At::Requested, acts, None),
    });
}

pub(super) fn late(rng: &mut Rng) -> Value {
    let after = *pick(
        rng,
        &[
            Some(1),
            Some(2),
            Some(3),
            Some(6),
            Some(10),
            Some(13),
            Some(25),
            None,
        ],
    );
    let each = one_in(rng, 3).then(|| rng.usize(1..4));
    json!({"late": {"status": 596, "reason": "Connection timed out", "after": after, "each": each}})
}

pub(super) fn fault(rng: &mut Rng) -> Value {
    let messages = [
        "internal error",
        "VM is locked (backup)",
        "can't lock file '/var/lock/qemu-server/lock-9000.conf' - got timeout",
        "cluster not ready - no quorum?",
        "got timeout",
    ];
    match rng.u32(..15) {
        0..=3 => json!({"close": "lost"}),
        4 => json!({"close": *pick(rng, &["before", "reset"])}),
        5..=7 => late(rng),
        8 => answer(595, "Connection refused", false),
        9 => answer(502, "Bad Gateway", rng.bool()),
        10 => {
            let message = *pick(rng, &messages);
            let body = json!({"data": null, "message": message}).to_string();
            json!({"answer": {"status": 500, "reason": message, "body": body}})
        }
        11 => answer(*pick(rng, &[401, 403]), "Permission check failed", false),
        12 => json!({"truncate": 5}),
        13 => json!({"hang": *pick(rng, &[json!(true), json!("after")])}),
        _ => json!({"slow_ms": 60}),
    }
}

pub(super) fn answer(status: u16, reason: &str, acted: bool) -> Value {
    let body = (status == 403).then(|| json!({"data": null, "message": reason}).to_string());
    json!({"answer": {"status": status, "reason": reason, "body": body, "acted": acted}})
}

pub(super) fn stranger(rng: &mut Rng, nodes: usize) -> Stranger {
    Stranger {
        name: *pick(rng, &[Whose::Ours, Whose::Another]),
        node: rng.usize(..nodes),
        is_being_created: false,
        is_container: one_in(rng, 10),
    }
}

fn others(rng: &mut Rng, nodes: usize) -> What {
    use Act::{Create, Delete, Edit, Finish, Hide, Lock, Move, Rename, Show, Unlock};
    let stranger = stranger(rng, nodes);
    let (create, node) = (Create(stranger), stranger.node);
    let incomplete = Create(Stranger {
        is_being_created: true,
        is_container: false,
        ..stranger
    });
    let later = Some(rng.usize(1..15));
    let free = *pick(rng, &[At::Next, At::Vmid(300)]);
    let template = At::Vmid(TEMPLATE);
    match rng.u32(..20) {
        0..=2 => What::Others(At::Requested, vec![create], None),
        3..=5 => What::Others(free, vec![create], None),
        6 => What::Others(At::Requested, vec![Delete], None),
        7..=9 => What::Others(At::Requested, vec![Delete, create], None),
        10 => What::Others(At::Requested, vec![Move], None),
        11 => What::Others(At::Requested, vec![Rename(Whose::Another)], None),
        12 => What::Others(At::Vmid(100), vec![Rename(Whose::Ours)], None),
        13 => What::Others(At::Requested, vec![Edit], None),
        14 => What::Others(
            *pick(rng, &[At::Requested, free]),
            vec![create, Delete],
            later,
        ),
        15 => What::Others(
            *pick(rng, &[At::Requested, free]),
            vec![incomplete, Finish],
            later,
        ),
        16 => What::Others(
            *pick(rng, &[At::Requested, free]),
            vec![incomplete, Delete],
            later,
        ),
        17 => What::Others(
            *pick(rng, &[At::Requested, template]),
            vec![Lock, Unlock],
            later,
        ),
        18 if node > 0 => What::Others(At::Requested, vec![Hide(node), Show(node)], later),
        _ => What::Others(
            *pick(rng, &[At::Requested, At::Requested, template]),
            vec![Move],
            None,
        ),
    }
}

impl Verb {
    /// The command, and the options that belong to it.
    fn words(self) -> &'static str {
        match self {
            Verb::Create => "proxmox vm create",
            Verb::Template => "proxmox template create",
            Verb::Delete { stop, if_exists } => match (stop, if_exists) {
                (false, false) => "proxmox vm delete --yes",
                (false, true) => "proxmox vm delete --yes --if-exists",
                (true, false) => "proxmox vm delete --yes --stop",
                (true, true) => "proxmox vm delete --yes --stop --if-exists",
            },
            Verb::Start => "proxmox vm start",
            Verb::Shutdown { force: false } => "proxmox vm shutdown",
            Verb::Shutdown { force: true } => "proxmox vm shutdown --force",
            Verb::Stop => "proxmox vm stop",
            Verb::Reboot => "proxmox vm reboot",
            Verb::Cancel => "proxmox task cancel",
        }
    }

    /// The request for which a run with this verb exists.
    pub(super) fn kind(self) -> Kind {
        match self {
            Verb::Create => Kind::Clone,
            Verb::Template => Kind::Import,
            Verb::Delete { .. } => Kind::Destroy,
            Verb::Start => Kind::Start,
            Verb::Shutdown { .. } => Kind::Shutdown,
            Verb::Stop => Kind::Stop,
            Verb::Reboot => Kind::Reboot,
            Verb::Cancel => Kind::Cancel,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Name(name) => f.write_str(name),
            Target::Vmid(vmid) => vmid.fmt(f),
        }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}; settles: {}", self.seed, self.settles)?;
        writeln!(f, "cluster {}", self.cluster)?;
        for (number, run) in self.runs.iter().enumerate() {
            if let Some(bytes) = run.disk {
                writeln!(f, "run {number} has a disk of {bytes} bytes")?;
            }
            match run.begins_at {
                None => writeln!(f, "run {number}: {}", run.command_line())?,
                Some(at) => {
                    writeln!(
                        f,
                        "run {number}, at request {at} of the one before: {}",
                        run.command_line()
                    )?;
                }
            }
        }
        for event in &self.events {
            let Event { run, at, nth, what } = event;
            writeln!(f, "run {run}, request {at:?} {nth}: {what:?}")?;
        }
        Ok(())
    }
}
