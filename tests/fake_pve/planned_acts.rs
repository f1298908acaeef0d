//! Acts of other users between two requests, as written in stories.

use serde::Deserialize;
use serde_json::json;

use super::cluster::Cluster;
use super::guests::Guest;
use super::images::ImageSetup;
use super::setup::{GuestSetup, Refresh};

/// An act, and the request right before which it happens.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PlannedAct {
    /// The k-th request of all.
    request: Option<usize>,
    /// Instead: the nth request whose journal line begins with this; the first one if absent.
    before: Option<String>,
    #[serde(default = "first")]
    nth: usize,
    #[serde(rename = "do")]
    act: Act,
}

fn first() -> usize {
    1
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Act {
    /// Also a template: `{"vmid": 9001, "name": "debian-13", "template": true}`.
    Create(Box<GuestSetup>),
    /// Even a running or protected one.
    Destroy(u32),
    /// Destroys the guest with this VMID, and creates another one.
    Replace(Box<GuestSetup>),
    Start(u32),
    PowerOff(u32),
    Pause(u32),
    Lock {
        vmid: u32,
        lock: String,
    },
    Unlock(u32),
    Rename {
        vmid: u32,
        name: String,
    },
    Move {
        vmid: u32,
        node: String,
    },
    /// To a template. Nothing happens if the server would refuse that.
    Convert(u32),
    /// The cluster loses its quorum, or has it again.
    Quorum(bool),
    /// The contacted node loses another one, or reaches it again.
    Lose(String),
    Reach(String),
    /// Puts an image on a storage, possibly in place of another one.
    PutImage(Box<ImageSetup>),
    /// What is being downloaded is complete.
    FinishDownloads,
    /// Removes the image with this volume ID, as the first node sees it.
    RemoveImage(String),
    /// A request, as in the journal, of a stranger whose token the story lists.
    Ask(String),
}

const STRANGER: &str = "stranger@pve!cli";

impl Cluster {
    /// Executes what is planned before this request. Called before the request is counted.
    pub(super) fn act_as_planned(&mut self, line: &str) {
        let request = self.requests + 1;
        let mut due = Vec::new();
        self.setup.others.retain_mut(|planned| {
            let is_match = match (&planned.before, planned.request) {
                (Some(before), _) => line.starts_with(before),
                (None, number) => number == Some(request),
            };
            planned.nth -= usize::from(is_match);
            if planned.nth == 0 {
                due.push(planned.act.clone());
            }
            planned.nth > 0
        });
        for act in due {
            self.act(act);
        }
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Create(guest) => self.create(&guest),
            Act::Destroy(vmid) => {
                self.finish_work_on(vmid);
                self.remove(vmid);
            }
            Act::Replace(guest) => {
                self.finish_work_on(guest.vmid);
                self.remove(guest.vmid);
                self.create(&guest);
            }
            Act::Start(vmid) => {
                let requests = self.requests;
                self.change(vmid, |guest| guest.runs_from(requests));
            }
            Act::PowerOff(vmid) => self.change(vmid, Guest::turn_off),
            Act::Pause(vmid) => self.change(vmid, |guest| guest.is_paused = true),
            Act::Lock { vmid, lock } => {
                self.edit(vmid, |config| {
                    config.insert("lock".to_owned(), json!(lock));
                });
            }
            Act::Unlock(vmid) => {
                self.edit(vmid, |config| drop(config.remove("lock")));
            }
            Act::Rename { vmid, name } => {
                self.edit(vmid, |config| {
                    config.insert("name".to_owned(), json!(name));
                });
            }
            Act::Move { vmid, node } => self.change(vmid, |guest| guest.node = node),
            Act::Convert(vmid) => drop(self.convert_as_stranger(vmid)),
            Act::Quorum(has_quorum) => self.setup.no_quorum = !has_quorum,
            Act::Lose(node) => self.setup.offline.push(node),
            Act::PutImage(image) => drop(self.put_image_of(&image)),
            Act::FinishDownloads => self.finish_file_tasks(),
            Act::RemoveImage(volid) => {
                let node = self.setup.nodes[0].clone();
                self.remove_image(&node, &volid);
            }
            Act::Ask(line) => {
                let (status, _) = self.ask_as(STRANGER, &line);
                // The VM may be gone by then.
                assert!([200, 500].contains(&status), "{line}: {status}");
            }
            Act::Reach(node) => self.setup.offline.retain(|lost| *lost != node),
        }
    }

    /// With an identity of its own. Nothing happens if the VMID is taken.
    fn create(&mut self, setup: &GuestSetup) {
        let vmid = setup.vmid;
        self.wait_for_lock(vmid);
        if self.guests.contains_key(&vmid) {
            return;
        }
        let births = self.count_birth(vmid);
        let first_node = self.setup.nodes[0].clone();
        let mut guest = Guest::from_setup(setup, &first_node);
        guest.births = births;
        guest.set_identity();
        guest.set_digest(super::identity::Stage::Whole);
        if !matches!(self.setup.rows, Refresh::AtOnce) {
            guest.row = self.dead_rows.remove(&vmid);
        }
        self.guests.insert(vmid, guest);
    }

    fn change(&mut self, vmid: u32, change: impl FnOnce(&mut Guest)) {
        self.wait_for_lock(vmid);
        let at_once = matches!(self.setup.rows, Refresh::AtOnce);
        if let Some(guest) = self.guests.get_mut(&vmid) {
            change(guest);
            if at_once {
                guest.refresh_row();
            }
        }
    }
}
