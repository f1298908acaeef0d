//! Schedules of the whole life of VMs: besides creating them, runs start, stop, reboot and delete them, and
//! cancel clones.

use fastrand::Rng;
use serde_json::{Value, json};

use super::schedule::{
    Act, At, Event, Kind, NAMES, Order, Schedule, Stranger, Target, Verb, What, Whose, answer,
    cluster, exits, fault, late, one_in, pick,
};

/// The exit statuses of destroys that fail.
const DESTROYS_END: [&str; 3] = [
    "unexpected status",
    "got timeout",
    "can't lock file '/var/lock/pve-manager/pve-storage-data' - got timeout",
];

pub(super) fn schedule(seed: u64, rng: &mut Rng) -> Schedule {
    let nodes = *pick(rng, &[1, 2, 3, 3]);
    let cluster = cluster(rng, nodes);
    let cluster = with_vms(rng, cluster, nodes);
    let count = *pick(rng, &[1, 1, 2, 2, 2, 3, 3, 4]);
    let mut runs = vec![order(rng, nodes, 5)];
    for _ in 1..count {
        let mut next = if one_in(rng, 3) {
            runs[rng.usize(..runs.len())].clone()
        } else {
            order(rng, nodes, 2)
        };
        next.begins_at = one_in(rng, 3).then(|| rng.usize(1..12));
        runs.push(next);
    }
    let mut events = Vec::new();
    for (number, run) in runs.iter().enumerate() {
        match rng.u32(..4) {
            0 => lose_a_change(rng, number, run, &mut events),
            1 | 2 => interfere(rng, number, run, nodes, &mut events),
            _ => {}
        }
        let more = *pick(rng, &[0, 0, 1, 2]);
        events.extend((0..more).map(|_| event(rng, number, run, nodes)));
    }
    Schedule {
        seed,
        cluster,
        runs,
        events,
        settles: rng.bool(),
    }
}

/// VMs with the names of the runs, and servers that fail to do what they are asked.
fn with_vms(rng: &mut Rng, mut cluster: Value, nodes: usize) -> Value {
    let mut vms = Vec::new();
    if !one_in(rng, 5) {
        vms.push((NAMES[0], 101));
    }
    if rng.bool() {
        vms.push((NAMES[1], 103));
    }
    if one_in(rng, 10) {
        vms.push((*pick(rng, &NAMES), 104));
    }
    let guests = cluster["guests"].as_array_mut().expect("guests");
    guests.retain(|guest| vms.iter().all(|(_, vmid)| guest["vmid"] != *vmid));
    for (name, vmid) in vms {
        let reaction = *pick(rng, &["prompt", "prompt", "prompt", "never", "late"]);
        let reaction = match reaction {
            "late" => json!({"late": rng.usize(1..12)}),
            reaction => json!(reaction),
        };
        let mut guest = json!({
            "vmid": vmid,
            "name": name,
            "status": *pick(rng, &["running", "running", "stopped", "stopped", "stopped"]),
            "node": format!("pve{}", rng.usize(1..=nodes)),
            "on_shutdown": reaction,
        });
        match rng.u32(..16) {
            0 => guest["config"] = json!({"protection": 1}),
            1 => guest["lock"] = json!("backup"),
            2 => guest["status"] = json!("paused"),
            _ => {}
        }
        match rng.u32(..8) {
            0 | 1 => guest["row"] = json!("nameless"),
            2 => guest["row"] = json!({"name": *pick(rng, &["web", "db", "gone"])}),
            _ => {}
        }
        guests.push(guest);
    }
    cluster["destroy_exit"] = exits(rng, 6, &DESTROYS_END);
    cluster["reboot_requests"] = json!(rng.u32(..5));
    cluster["shutdown_polls"] = json!(rng.u32(..5));
    cluster["lock_polls"] = json!(rng.u32(..5));
    cluster["abort_kills"] = json!(one_in(rng, 6));
    cluster
}

/// A run that creates a VM in one of `rarely` times.
fn order(rng: &mut Rng, nodes: usize, rarely: u32) -> Order {
    if one_in(rng, rarely + 1) {
        return Order {
            set: Vec::new(),
            ..Order::random(rng, nodes)
        };
    }
    let verb = match rng.u32(..14) {
        0..=5 => Verb::Delete {
            stop: !one_in(rng, 3),
            if_exists: rng.bool(),
        },
        6 | 7 => Verb::Start,
        8 | 9 => Verb::Shutdown { force: rng.bool() },
        10 => Verb::Stop,
        11 | 12 => Verb::Reboot,
        _ => Verb::Cancel,
    };
    let name = if one_in(rng, 4) { NAMES[1] } else { NAMES[0] };
    let mut targets = vec![if one_in(rng, 6) {
        Target::Vmid(*pick(rng, &[101, 102, 103]))
    } else {
        Target::Name(name)
    }];
    if one_in(rng, 4) {
        let others = NAMES.iter().find(|other| **other != name);
        targets.extend(others.map(|other| Target::Name(other)));
        targets.extend(one_in(rng, 3).then_some(Target::Vmid(100)));
    }
    if verb == Verb::Cancel {
        targets.clear();
    }
    let takes_vmid = matches!(
        (verb, &targets[..]),
        (Verb::Delete { .. }, [Target::Name(_)])
    );
    Order {
        verb,
        name,
        targets,
        vmid: (takes_vmid && one_in(rng, 6)).then(|| *pick(rng, &[101, 102])),
        timeout: *pick(rng, &[0.5, 0.9, 1.4]),
        ..Order::default()
    }
}

/// The outcome of the main request of a run is unknown.
fn lose_a_change(rng: &mut Rng, run: usize, order: &Order, events: &mut Vec<Event>) {
    let what = match rng.u32(..8) {
        0 | 1 => What::Fault(json!({"close": "lost"})),
        2 => What::Fault(answer(502, "Bad Gateway", rng.bool())),
        3 => What::Fault(late(rng)),
        4 => What::Fault(json!({"hang": *pick(rng, &[json!(true), json!("after")])})),
        5 => What::Interrupt {
            acted: rng.bool(),
            term: rng.bool(),
        },
        _ => What::Kill { acted: rng.bool() },
    };
    let (at, nth) = (order.verb.kind(), 1);
    events.push(Event { run, at, nth, what });
    if rng.bool() {
        let (at, nth) = (Kind::Any, rng.usize(4..16));
        let what = replace(rng);
        events.push(Event { run, at, nth, what });
    }
}

/// Other users act between two requests of a run, often right before the one that matters.
fn interfere(rng: &mut Rng, run: usize, order: &Order, nodes: usize, events: &mut Vec<Event>) {
    let (at, nth) = match rng.u32(..6) {
        0 => (order.verb.kind(), *pick(rng, &[1, 1, 2])),
        1 => (Kind::Set, *pick(rng, &[1, 1, 2])),
        2 => (Kind::Status, rng.usize(1..4)),
        3 => (Kind::Config, rng.usize(1..4)),
        _ => (Kind::Any, rng.usize(1..14)),
    };
    let what = match rng.u32(..5) {
        0 | 1 => replace(rng),
        2 => {
            // Early enough for the run to notice it.
            let at = *pick(rng, &[Kind::Config, Kind::Status, Kind::Any]);
            let nth = if at == Kind::Any { rng.usize(2..8) } else { 1 };
            let what = lose_quorum(rng);
            return events.push(Event { run, at, nth, what });
        }
        _ => others(rng, nodes),
    };
    events.push(Event { run, at, nth, what });
}

/// Another user deletes the VM, and creates one with its VMID.
fn replace(rng: &mut Rng) -> What {
    let stranger = Stranger {
        name: *pick(rng, &[Whose::Ours, Whose::Ours, Whose::Another]),
        node: 0,
        is_being_created: false,
        is_container: one_in(rng, 10),
    };
    let mut acts = vec![Act::Delete, Act::Create(stranger)];
    acts.extend(rng.bool().then_some(Act::Switch { on: true }));
    What::Others(At::Requested, acts, None)
}

fn lose_quorum(rng: &mut Rng) -> What {
    let later = Some(rng.usize(3..25));
    let acts = vec![Act::LoseQuorum, Act::RegainQuorum];
    What::Others(At::Vmid(100), acts, later)
}

fn others(rng: &mut Rng, nodes: usize) -> What {
    let node = rng.usize(..nodes);
    let later = Some(rng.usize(1..15));
    let namesake = Act::Create(Stranger {
        name: Whose::Ours,
        node,
        is_being_created: false,
        is_container: false,
    });
    let (acts, later) = match rng.u32(..14) {
        0 | 1 => (vec![Act::Delete], None),
        2 => (vec![Act::Move], None),
        3 => (vec![Act::Rename(Whose::Another)], None),
        4 => (vec![Act::Protect], None),
        5 | 6 => (vec![Act::Switch { on: true }], None),
        7 | 8 => (vec![Act::Switch { on: false }], None),
        9 => (vec![Act::Edit], None),
        10 => (vec![Act::Lock, Act::Unlock], later),
        11 if node > 0 => (vec![Act::Hide(node), Act::Show(node)], later),
        12 => return What::Others(At::Vmid(100), vec![Act::Rename(Whose::Ours)], None),
        _ => return What::Others(At::Next, vec![namesake], None),
    };
    What::Others(At::Requested, acts, later)
}

fn event(rng: &mut Rng, run: usize, order: &Order, nodes: usize) -> Event {
    let what = match rng.u32(..10) {
        0..=4 => What::Fault(fault(rng)),
        5 | 6 => What::Kill { acted: rng.bool() },
        7 => What::Interrupt {
            acted: rng.bool(),
            term: rng.bool(),
        },
        _ => others(rng, nodes),
    };
    let (at, nth) = match rng.u32(..6) {
        0 | 1 => (order.verb.kind(), 1),
        2 => (Kind::Set, 1),
        3 => (Kind::Task, rng.usize(1..4)),
        _ => (Kind::Any, rng.usize(1..16)),
    };
    Event { run, at, nth, what }
}
