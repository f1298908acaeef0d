//! Schedules in which runs create templates from images, create VMs from these templates, and delete the VMs
//! that are to become templates.

use fastrand::Rng;
use serde_json::{Value, json};

use super::schedule::{
    Act, At, Event, ImageOrder, Kind, Order, SETTINGS, Schedule, Stranger, Target, Verb, What,
    Whose, answer, cluster, exits, fault, late, one_in, pick, stranger,
};

/// The names of the new templates. The first one comes before all names of VMs, so that its clean run does too.
pub(super) const NAMES_OF_TEMPLATES: [&str; 2] = ["alpine", "bsd"];

const URL: &str = "https://images.example/debian-12-amd64.img";
/// The checksum of what is at the URL.
pub(super) const SHA256: &str = "cae66afe3057e4eb553d161dd813fb8e53fc3493d0b0804fdc40214a589247de";
/// The checksum of something else.
const OTHER_SHA256: &str = "d121be3103007b41edf96f8262925f8c7d61894afe9a041843b631f69445bc57";
/// The contents with these checksums.
const CONTENTS: [&str; 2] = ["debian-12", "tampered"];

const IMAGES: [ImageOrder; 4] = [
    ImageOrder {
        source: URL,
        checksum: Some(SHA256),
        volume: "local:import/debian-12-amd64-cae66afe.qcow2",
    },
    ImageOrder {
        source: URL,
        checksum: None,
        volume: "local:import/debian-12-amd64.qcow2",
    },
    ImageOrder {
        source: "local:import/there.qcow2",
        checksum: None,
        volume: "local:import/there.qcow2",
    },
    ImageOrder {
        source: URL,
        checksum: Some(OTHER_SHA256),
        volume: "local:import/debian-12-amd64-d121be31.qcow2",
    },
];

/// The exit statuses of downloads, imports and conversions that fail.
const DOWNLOADS_END: [&str; 3] = [
    "unexpected status",
    "download failed: exit code 4",
    "can't lock file '/var/lock/pve-manager/pve-storage-local' - got timeout",
];
const IMPORTS_END: [&str; 6] = [
    "unexpected status",
    "unexpected status",
    "unable to create VM {vmid} - cannot import from 'local:import/there.qcow2' - copy failed: exit code 1",
    "unable to create VM {vmid} - can't lock file '/var/lock/pve-manager/pve-storage-data' - got timeout",
    "unable to create VM {vmid} - cfs-lock 'storage-data' error: got lock request timeout",
    "WARNINGS: 1",
];
const CONVERSIONS_END: [&str; 3] = [
    "unexpected status",
    "unexpected status",
    "can't lock file '/var/lock/pve-manager/pve-storage-data' - got timeout",
];

pub(super) fn schedule(seed: u64, rng: &mut Rng) -> Schedule {
    let nodes = *pick(rng, &[1, 1, 2, 3]);
    let cluster = cluster(rng, nodes);
    let cluster = with_images(rng, cluster, nodes);
    let count = *pick(rng, &[1, 1, 2, 2, 2, 3, 3, 4]);
    let mut runs = vec![order(rng, nodes)];
    for _ in 1..count {
        let mut next = match rng.u32(..14) {
            0..=6 => Order {
                ensure: rng.bool(),
                ..runs[0].clone()
            },
            7 | 8 => order(rng, nodes),
            // Another template from the same image.
            9 => Order {
                name: NAMES_OF_TEMPLATES[1],
                vmid: None,
                ..runs[0].clone()
            },
            10..=12 => clone_of(rng, nodes, runs[0].name),
            _ => deletion(rng, runs[0].name),
        };
        next.begins_at = one_in(rng, 3).then(|| rng.usize(1..16));
        runs.push(next);
    }
    let mut events = Vec::new();
    for (number, run) in runs.iter().enumerate() {
        match rng.u32(..5) {
            0 | 1 => lose_a_request(rng, number, run, &mut events),
            2 | 3 => interfere(rng, number, run, nodes, &mut events),
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

/// Images, a server for them, others who have the names, and servers that fail.
fn with_images(rng: &mut Rng, mut cluster: Value, nodes: usize) -> Value {
    let mut images = Vec::new();
    let is_there = [one_in(rng, 6), one_in(rng, 6), !one_in(rng, 12), false];
    for (image, is_there) in IMAGES.iter().zip(is_there) {
        let content = *pick(rng, &[CONTENTS[0], CONTENTS[0], CONTENTS[0], CONTENTS[1]]);
        if is_there {
            images.push(json!({"volid": image.volume, "file": file(content)}));
        }
    }
    cluster["images"] = json!(images);
    let site = if one_in(rng, 8) {
        json!({"cut": {"file": file(CONTENTS[0]), "at": 100_000_000}})
    } else {
        json!({"file": file(CONTENTS[0])})
    };
    cluster["internet"] = json!({URL: site});
    let guests = cluster["guests"].as_array_mut().expect("guests");
    if one_in(rng, 6) {
        let vmid = *pick(rng, &[103, 150, 300]);
        let node = format!("pve{}", rng.usize(1..=nodes));
        let mut namesake = json!({
            "vmid": vmid, "name": NAMES_OF_TEMPLATES[0], "node": node, "template": rng.bool(),
        });
        match rng.u32(..4) {
            0 => namesake["row"] = json!("nameless"),
            1 => namesake["row"] = json!({"name": "gone", "template": rng.bool()}),
            _ => {}
        }
        guests.push(namesake);
    }
    if one_in(rng, 8) {
        let row = json!({"name": NAMES_OF_TEMPLATES[0], "template": rng.bool()});
        cluster["dead_rows"]["101"] = row;
    }
    if one_in(rng, 12) {
        let cloud_init = json!("data:101/vm-101-cloudinit.qcow2");
        let leftovers = cluster["leftovers"].as_array_mut().expect("leftovers");
        leftovers.push(cloud_init);
    }
    if one_in(rng, 12) {
        cluster["busy_vmids"] = json!({"101": rng.u32(1..3)});
    }
    let is_by_requests = one_in(rng, 3);
    if is_by_requests {
        cluster["create_requests"] = json!(*pick(rng, &[0, 1, 3, 8, 14, 30]));
        cluster["download_requests"] = json!(*pick(rng, &[0, 1, 3, 8, 14, 30]));
    }
    cluster["create_polls"] = json!(rng.u32(..4));
    cluster["download_polls"] = json!(rng.u32(..4));
    cluster["lock_polls"] = json!(rng.u32(..5));
    cluster["abort_kills"] = json!(one_in(rng, 6));
    cluster["storages"] = json!({"local": {
        "shared": rng.bool(),
        "content": ["backup", "import", "iso", "vztmpl"],
    }});
    cluster["download_exit"] = exits(rng, 6, &DOWNLOADS_END);
    cluster["create_exit"] = exits(rng, 4, &IMPORTS_END);
    cluster["template_exit"] = exits(rng, 4, &CONVERSIONS_END);
    cluster
}

/// Small enough for every size that a run requests.
fn file(content: &str) -> Value {
    json!({"content": content, "virtual_size": 2_u64 << 30})
}

fn order(rng: &mut Rng, nodes: usize) -> Order {
    let mut set: Vec<&str> = Vec::new();
    for _ in 0..*pick(rng, &[0, 0, 1, 1, 2, 3]) {
        let option = *pick(rng, &SETTINGS);
        let key = option.split('=').next();
        if set.iter().all(|known| known.split('=').next() != key) {
            set.push(option);
        }
    }
    let image = match rng.u32(..16) {
        0..=6 => IMAGES[0],
        7..=10 => IMAGES[1],
        11..=14 => IMAGES[2],
        _ => IMAGES[3],
    };
    let mut options = Vec::new();
    if nodes > 1 && one_in(rng, 6) {
        options.push(*pick(rng, &["--node pve1", "--node pve2"]));
    }
    Order {
        verb: Verb::Template,
        name: NAMES_OF_TEMPLATES[usize::from(one_in(rng, 8))],
        image: Some(image),
        ensure: rng.bool(),
        vmid: one_in(rng, 5).then(|| *pick(rng, &[101, 150])),
        clone: options,
        set,
        resize: one_in(rng, 3).then(|| *pick(rng, &["scsi0=10G", "scsi0=4G"])),
        disk: one_in(rng, 30).then(|| rng.u64(..800)),
        timeout: *pick(rng, &[0.5, 0.9, 1.4]),
        ..Order::default()
    }
}

/// A VM that is created from the new template.
fn clone_of(rng: &mut Rng, nodes: usize, template: &'static str) -> Order {
    Order {
        template,
        // The size of the template is not known beforehand.
        resize: None,
        vmid: None,
        ..Order::random(rng, nodes)
    }
}

/// A run that deletes the VM before it becomes the template.
fn deletion(rng: &mut Rng, name: &'static str) -> Order {
    let verb = Verb::Delete {
        stop: rng.bool(),
        if_exists: rng.bool(),
    };
    let target = if one_in(rng, 4) {
        Target::Vmid(*pick(rng, &[101, 102]))
    } else {
        Target::Name(name)
    };
    Order {
        verb,
        name,
        targets: vec![target],
        timeout: *pick(rng, &[0.5, 0.9]),
        ..Order::default()
    }
}

/// One of the requests for which a run exists. For an import, the later ones are more likely to matter.
fn main_request(rng: &mut Rng, order: &Order) -> Kind {
    use Kind::{Convert, Download, Import, Resize, Set};
    match order.verb {
        Verb::Template => *pick(
            rng,
            &[Download, Import, Import, Convert, Convert, Set, Resize],
        ),
        verb => verb.kind(),
    }
}

/// The outcome of a main request of a run is unknown.
fn lose_a_request(rng: &mut Rng, run: usize, order: &Order, events: &mut Vec<Event>) {
    let what = match rng.u32(..9) {
        0 | 1 => What::Fault(json!({"close": "lost"})),
        2 => What::Fault(answer(502, "Bad Gateway", rng.bool())),
        3 | 4 => What::Fault(late(rng)),
        5 => What::Fault(json!({"hang": *pick(rng, &[json!(true), json!("after")])})),
        6 => What::Interrupt {
            acted: rng.bool(),
            term: rng.bool(),
        },
        _ => What::Kill { acted: rng.bool() },
    };
    let (at, nth) = (main_request(rng, order), 1);
    events.push(Event { run, at, nth, what });
    if at == Kind::Import && rng.bool() {
        // Before it is known whether it was carried out, another VM or template gets the name.
        let mut acts = vec![namesake(stranger(rng, 1))];
        acts.extend(rng.bool().then_some(Act::Convert));
        let what = What::Others(At::Vmid(300), acts, None);
        let (at, nth) = (Kind::Config, rng.usize(1..5));
        events.push(Event { run, at, nth, what });
    }
    for _ in 0..rng.usize(..3) {
        let (at, nth) = (Kind::Any, rng.usize(4..30));
        let what = others(rng, order, 1);
        events.push(Event { run, at, nth, what });
    }
}

fn namesake(guest: Stranger) -> Act {
    Act::Create(Stranger {
        name: Whose::Ours,
        is_being_created: false,
        is_container: false,
        ..guest
    })
}

/// Other users act between two requests of a run, often right before the one that matters.
fn interfere(rng: &mut Rng, run: usize, order: &Order, nodes: usize, events: &mut Vec<Event>) {
    let (at, nth) = match rng.u32(..7) {
        0 | 1 => (main_request(rng, order), *pick(rng, &[1, 1, 2])),
        2 => (Kind::Set, *pick(rng, &[1, 1, 2])),
        3 => (Kind::Config, rng.usize(1..6)),
        4 => (Kind::Task, rng.usize(1..6)),
        _ => (Kind::Any, rng.usize(1..24)),
    };
    let what = match rng.u32(..6) {
        0 => {
            let later = Some(rng.usize(3..25));
            let acts = vec![Act::LoseQuorum, Act::RegainQuorum];
            What::Others(At::Vmid(100), acts, later)
        }
        1 | 2 => replace(rng, nodes),
        _ => others(rng, order, nodes),
    };
    events.push(Event { run, at, nth, what });
}

/// Another user deletes the VM, and creates one with its VMID and its name.
fn replace(rng: &mut Rng, nodes: usize) -> What {
    let mut acts = vec![Act::Delete, namesake(stranger(rng, nodes))];
    acts.extend(one_in(rng, 4).then_some(Act::Convert));
    What::Others(At::Requested, acts, None)
}

fn event(rng: &mut Rng, run: usize, order: &Order, nodes: usize) -> Event {
    let what = match rng.u32(..10) {
        0..=4 => What::Fault(fault(rng)),
        5 | 6 => What::Kill { acted: rng.bool() },
        7 => What::Interrupt {
            acted: rng.bool(),
            term: rng.bool(),
        },
        _ => others(rng, order, nodes),
    };
    let (at, nth) = match rng.u32(..7) {
        0 | 1 => (main_request(rng, order), 1),
        2 => (Kind::Set, rng.usize(1..3)),
        3 => (Kind::Task, rng.usize(1..6)),
        4 => (*pick(rng, &[Kind::Images, Kind::Cancel]), 1),
        _ => (Kind::Any, rng.usize(1..24)),
    };
    Event { run, at, nth, what }
}

fn others(rng: &mut Rng, order: &Order, nodes: usize) -> What {
    let image = order.image.unwrap_or(IMAGES[0]);
    let guest = stranger(rng, nodes);
    let (create, namesake) = (Act::Create(guest), namesake(guest));
    let incomplete = Act::Create(Stranger {
        is_being_created: true,
        is_container: false,
        ..guest
    });
    let (node, later) = (guest.node, Some(rng.usize(1..15)));
    let free = *pick(rng, &[At::Next, At::Vmid(300), At::Requested]);
    let (at, acts, later) = match rng.u32(..27) {
        0 => (free, vec![create], None),
        1 => (free, vec![namesake], None),
        2 | 3 => (free, vec![namesake, Act::Convert], None),
        4 => (At::Requested, vec![Act::Delete], None),
        5 => (At::Requested, vec![Act::Delete, create], None),
        6..=9 => return replace(rng, nodes),
        10 | 11 => (At::Requested, vec![Act::Convert], None),
        12 => (At::Requested, vec![Act::DeleteTemplate], None),
        13 => (At::Requested, vec![Act::DeleteTemplate, namesake], None),
        14 => (At::Requested, vec![Act::Move], None),
        15 => (At::Requested, vec![Act::Rename(Whose::Another)], None),
        16 => (At::Vmid(100), vec![Act::Rename(Whose::Ours)], None),
        17 | 18 => (At::Requested, vec![Act::Switch { on: true }], None),
        19 => (At::Requested, vec![Act::Edit], None),
        20 => (At::Requested, vec![Act::Lock, Act::Unlock], later),
        21 => (free, vec![incomplete, Act::Finish], later),
        22 => (free, vec![incomplete, Act::Delete], later),
        23 => (free, vec![namesake, Act::Delete], later),
        24 if node > 0 => (At::Requested, vec![Act::Hide(node), Act::Show(node)], later),
        25 => {
            let acts = vec![Act::RemoveImage(image.volume)];
            (At::Vmid(100), acts, None)
        }
        _ => {
            let (volume, content) = (image.volume, *pick(rng, &CONTENTS));
            let acts = vec![Act::PutImage { volume, content }];
            (At::Vmid(100), acts, None)
        }
    };
    What::Others(at, acts, later)
}
