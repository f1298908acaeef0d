//! `__complete`: what a shell's completion script asks for.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use super::configuration;
use crate::cli::Proxmox;
use crate::cli::completion::{Candidate, Names, Offer, read};
use crate::pve::Pve;
use crate::pve::types::Guest;

/// Somebody waits at a prompt.
const TIME_LIMIT: Duration = Duration::from_secs(1);

/// What can stand in place of the last word, a line for each. Nothing if the server cannot be asked or
/// does not answer in time.
pub fn candidates(passed: &[&str]) -> String {
    let Some((unfinished, offer)) = read(passed) else {
        return String::new();
    };
    match offer {
        Offer::Files => ":files\n".to_owned(),
        Offer::Known(candidates) => unfinished.shown(&candidates),
        Offer::OfServer(names, connection) => {
            let (sender, receiver) = mpsc::channel();
            // Looking up a host's name has no time limit of its own.
            thread::spawn(move || sender.send(ask(names, &connection)));
            let answered = receiver.recv_timeout(TIME_LIMIT).ok().flatten();
            unfinished.shown(&answered.unwrap_or_default())
        }
    }
}

fn ask(names: Names, connection: &Proxmox) -> Option<Vec<Candidate>> {
    let access = configuration(connection).ok()?.access;
    let pve = Pve::new(&access, Some(Instant::now() + TIME_LIMIT)).ok()?;
    let without_description = |name: String| (name, String::new());
    Some(match names {
        Names::Templates => {
            let templates = pve.guests(&Guest::is_vm_template).ok()?.guests.into_iter();
            let described = |guest: Guest| {
                let described = format!("VMID {} on {}", guest.vmid, guest.node);
                guest.name.map(|name| (name, described))
            };
            templates.filter_map(described).collect()
        }
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
