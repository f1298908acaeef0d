//! `__complete`: what a shell's completion script asks for.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use super::configuration;
use crate::cli::Proxmox;
use crate::cli::completion::{Candidate, Names, Offer, read};
use crate::pve::Pve;
use crate::pve::types::Guest;
use crate::ui::text::clean;

/// A user is waiting at the prompt.
const TIME_LIMIT: Duration = Duration::from_secs(1);

/// The candidates for the last word, one per line. Empty if the server cannot be reached or is too slow.
pub fn candidates(passed: &[&str]) -> String {
    let Some((cursor_word, offer)) = read(passed) else {
        return String::new();
    };
    match offer {
        Offer::Files => ":files\n".to_owned(),
        Offer::Known(candidates) => cursor_word.shown(&candidates),
        Offer::FromServer(names, connection) => {
            let (sender, receiver) = mpsc::channel();
            // Looking up a host's name has no time limit of its own.
            thread::spawn(move || sender.send(ask(names, &connection)));
            let answered = receiver.recv_timeout(TIME_LIMIT).ok().flatten();
            let mut names = answered.unwrap_or_default();
            // The shell runs what is typed: a name that would have to be quoted is not offered.
            let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
            names.retain(|(name, _)| name.chars().all(is_plain));
            cursor_word.shown(&names)
        }
    }
}

fn ask(names: Names, connection: &Proxmox) -> Option<Vec<Candidate>> {
    let access = configuration(connection).ok()?.access;
    let pve = Pve::new(&access, Some(Instant::now() + TIME_LIMIT)).ok()?;
    let without_description = |name: String| (name, String::new());
    Some(match names {
        Names::Templates => described(pve.guests(&Guest::is_vm_template).ok()?.guests),
        Names::Vms => described(pve.guests(&Guest::is_vm).ok()?.guests),
        Names::Storages => {
            let nodes = pve.nodes().ok()?;
            let online = nodes.iter().find(|node| node.is_online)?;
            let storages = pve.storages(&online.node).ok()?.into_iter();
            storages
                .map(|storage| without_description(storage.name))
                .collect()
        }
        Names::Pools => pve
            .pools()
            .ok()?
            .into_iter()
            .map(|pool| without_description(pool.0))
            .collect(),
        Names::Nodes => pve
            .nodes()
            .ok()?
            .into_iter()
            .map(|node| without_description(node.node.0))
            .collect(),
    })
}

fn described(guests: Vec<Guest>) -> Vec<Candidate> {
    let describe = |guest: Guest| {
        let description = format!("VMID {} on {}", guest.vmid, guest.node);
        guest
            .name
            .map(|name| (name, clean(&description).into_owned()))
    };
    guests.into_iter().filter_map(describe).collect()
}
