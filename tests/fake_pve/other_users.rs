//! Other users who clone at the same time and take a VMID just before.

use serde_json::json;

use super::clones::Race;
use super::cluster::Cluster;
use super::guests::Guest;
use super::setup::{CloneSteps, GuestType, Refresh};
use super::tasks::{CloneOrder, Pace, Task};

/// Counters of clone POSTs and strangers.
#[derive(Default)]
pub(super) struct Strangers {
    posts: u32,
    due: u32,
    come: u32,
}

/// Long enough to be still copying when the losing worker begins.
const REQUESTS_MORE: u32 = 10;

impl Cluster {
    /// Called for each valid clone POST: the way in which it loses, if it is its turn. A VMID that is
    /// already taken gets no stranger.
    pub(super) fn who_is_faster(&mut self, newid: u32) -> Option<Race> {
        let every = self.setup.strangers_every?;
        let at_most = self.setup.strangers_at_most;
        let strangers = &mut self.strangers;
        strangers.posts += 1;
        if strangers.posts.is_multiple_of(every) {
            strangers.due += 1;
        }
        let are_over = strangers.come >= at_most;
        if strangers.due == 0 || are_over || self.guests.contains_key(&newid) {
            return None;
        }
        strangers.due -= 1;
        strangers.come += 1;
        Some(match strangers.come % 4 {
            1 => Race::Refused,
            2 => Race::LockHeld,
            3 => Race::FileThere,
            _ => Race::TakenElsewhere,
        })
    }

    /// Lets a stranger take the VMID so that the race is lost in this way.
    pub(super) fn give_to_stranger(&mut self, race: Race, order: &CloneOrder) {
        let name = format!("stranger-{}", self.strangers.come);
        if matches!(race, Race::LockHeld) {
            return self.clone_for_stranger(name, order);
        }
        let mut node = &order.node;
        if matches!(race, Race::TakenElsewhere) {
            let others = self.setup.nodes.iter();
            node = others.rev().find(|other| *other != node).unwrap_or(node);
        }
        let node = node.clone();
        let births = self.count_birth(order.newid);
        let mut guest = Guest::new(order.newid, births, &node, Some(&name));
        if matches!(race, Race::TakenElsewhere) {
            guest.kind = GuestType::Lxc;
        }
        guest.add_system_disk();
        guest.row = self.dead_rows.remove(&order.newid);
        if matches!(self.setup.rows, Refresh::AtOnce) {
            guest.refresh_row();
        }
        self.guests.insert(order.newid, guest);
    }

    /// A stranger's clone that has its name and never finishes.
    pub(crate) fn add_half_made_stranger(&mut self, vmid: u32) {
        let births = self.count_birth(vmid);
        let mut guest = Guest::new(vmid, births, &self.setup.nodes[0], Some("stranger"));
        guest.config.insert("lock".to_owned(), json!("clone"));
        self.guests.insert(vmid, guest);
    }

    fn clone_for_stranger(&mut self, name: String, order: &CloneOrder) {
        let steps = self.setup.clone_steps.unwrap_or_default();
        let pace = Pace::Requests {
            before: self.requests,
            steps: CloneSteps {
                appears: 0,
                named: 0,
                done: steps.appears + REQUESTS_MORE,
            },
        };
        let order = CloneOrder {
            name,
            owner: "stranger@pve!clone".to_owned(),
            ..order.clone()
        };
        let number = self.tasks.len();
        let task = Task::forked(self.next_process(), order.clone(), pace);
        self.tasks.push(task);
        let source = self.source_of(&order);
        let copied = self.copied_drives(&source, &order);
        self.start_copying(number, &source, &order, &copied, "OK".to_owned());
        self.name_copy(number);
    }
}
