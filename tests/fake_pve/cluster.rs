//! The state of the cluster: guests, clones, tasks.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::actions::Action;
use super::creations::Creation;
use super::deeds::{Deed, ImageDeed};
use super::delayed_requests::DelayedRequest;
use super::file_tasks::FileTask;
use super::guests::{CachedRow, Guest};
use super::ha::Filed;
use super::images::{Image, ImagePlace};
use super::other_users::Strangers;
use super::prebuilt::Prebuilt;
use super::processes::START;
use super::quorum::Here;
use super::setup::{GuestType, Refresh, Setup};
use super::shutdown::Later;
use super::slow_updates::SlowUpdate;
use super::tasks::Task;

pub(crate) struct Cluster {
    /// A VMID belongs to at most one guest in the whole cluster.
    pub(crate) guests: BTreeMap<u32, Guest>,
    /// Images that VMs can be imported from.
    pub(super) images: BTreeMap<ImagePlace, Image>,
    /// Clones.
    pub(crate) tasks: Vec<Task>,
    /// VMs that were created from nothing or from images.
    pub(crate) creations: Vec<Creation>,
    /// Other tasks.
    pub(crate) actions: Vec<Action>,
    /// Tasks about files on storages.
    pub(crate) file_tasks: Vec<FileTask>,
    /// What happened to VMs, and for whom.
    pub(crate) deeds: Vec<Deed>,
    /// What happened to images, and for whom.
    pub(crate) image_deeds: Vec<ImageDeed>,
    /// The setup of the test; may be changed while it runs.
    pub(crate) setup: Setup,
    /// The number of requests received so far.
    pub(super) requests: usize,
    /// The node that received the request being answered.
    pub(super) here: Here,
    pub(super) delayed_requests: Vec<DelayedRequest>,
    pub(super) filed: Vec<Filed>,
    pub(super) later: Vec<Later>,
    pub(super) slow_updates: Vec<SlowUpdate>,
    /// How many requests apart the options of the next change are written.
    pub(super) slowly: Option<usize>,
    pub(super) strangers: Strangers,
    pub(super) storage_refusals: u32,
    /// How many guests have had each VMID.
    pub(super) births: BTreeMap<u32, u32>,
    /// The last rows of deleted guests; the next guest with the VMID gets its row.
    pub(super) dead_rows: BTreeMap<u32, CachedRow>,
    /// How often each of the four ways of a taken VMID occurred.
    pub(crate) races: [usize; 4],
    /// How often a configuration was changed, and how many MACs were assigned.
    pub(super) changes: u32,
    pub(super) macs_given: u32,
    /// The answer to every request for the guests of the cluster, if set.
    pub(crate) prebuilt: Option<Prebuilt>,
    last_refresh: Instant,
}

/// Why the contacted node cannot forward a request.
pub(super) enum Unreachable {
    Unknown(String),
    Offline,
}

impl Cluster {
    pub(super) fn new(setup: Setup) -> Self {
        let mut guests = BTreeMap::new();
        for guest in &setup.guests {
            let guest = Guest::from_setup(guest, &setup.nodes[0]);
            guests.insert(guest.vmid, guest);
        }
        for vmid in 100_000..100_000 + setup.pad_guests {
            let mut guest = Guest::new(vmid, 0, &setup.nodes[0], Some(&format!("pad-{vmid}")));
            guest.add_system_disk();
            guest.refresh_row();
            guests.insert(vmid, guest);
        }
        if let Some(steps) = setup.clone_steps {
            let in_order = steps.appears <= steps.named && steps.named <= steps.done;
            assert!(in_order, "the steps of a clone must be in order");
        }
        let births = guests.keys().map(|vmid| (*vmid, 1)).collect();
        let dead_rows = setup.dead_rows.iter();
        let images = setup.images.clone();
        let mut cluster = Self {
            guests,
            images: BTreeMap::new(),
            births,
            tasks: Vec::new(),
            creations: Vec::new(),
            actions: Vec::new(),
            file_tasks: Vec::new(),
            deeds: Vec::new(),
            image_deeds: Vec::new(),
            dead_rows: dead_rows.map(|(vmid, row)| (*vmid, row.into())).collect(),
            here: Here {
                node: setup.nodes[0].clone(),
                is_cut_off: false,
            },
            setup,
            requests: 0,
            delayed_requests: Vec::new(),
            filed: Vec::new(),
            later: Vec::new(),
            slow_updates: Vec::new(),
            slowly: None,
            strangers: Strangers::default(),
            storage_refusals: 0,
            races: [0; 4],
            changes: 0,
            macs_given: 0,
            prebuilt: None,
            last_refresh: Instant::now(),
        };
        for image in &images {
            cluster.put_image_of(image);
        }
        cluster
    }

    /// Counts a request from any client.
    pub(super) fn count_request(&mut self) {
        self.requests += 1;
        self.act_on_due();
        self.continue_writing();
        self.act_on_filed();
        self.act_on_later();
        self.advance_clones();
        self.advance_creations();
        self.advance_downloads();
    }

    /// Seconds since 1970. Time advances with the number of workers, not by itself.
    pub(super) fn now(&self) -> u64 {
        START + self.next_process() as u64
    }

    /// The number of the worker that is forked next.
    pub(super) fn next_process(&self) -> usize {
        self.tasks.len() + self.creations.len() + self.actions.len() + self.file_tasks.len() + 1
    }

    /// Destroys a guest; its row remains.
    pub(crate) fn remove(&mut self, vmid: u32) {
        self.wait_for_lock(vmid);
        let row = self.guests.remove(&vmid).and_then(|guest| guest.row);
        self.dead_rows.extend(row.map(|row| (vmid, row)));
    }

    pub(super) fn reach(&self, node: &str) -> Result<(), Unreachable> {
        if !self.knows(node) {
            return Err(Unreachable::Unknown(node.to_owned()));
        }
        if self.is_offline(node) {
            return Err(Unreachable::Offline);
        }
        Ok(())
    }

    pub(super) fn knows(&self, node: &str) -> bool {
        self.setup.nodes.iter().any(|known| known == node)
    }

    pub(super) fn first_free_vmid(&self) -> Option<u32> {
        (self.setup.nextid_from..=999_999_999).find(|vmid| !self.guests.contains_key(vmid))
    }

    /// The VM whose configuration is on this node.
    pub(super) fn vm(&self, node: &str, vmid: u32) -> Option<&Guest> {
        let guest = self.guests.get(&vmid)?;
        (guest.kind == GuestType::Qemu && guest.is_on(node)).then_some(guest)
    }

    /// The rows of `/cluster/resources`, sorted by VMID as text.
    pub(super) fn rows(&mut self, token: &str) -> Vec<Value> {
        self.refresh_when_due();
        let acl = self.acl_of(token);
        let by_text: BTreeSet<_> = self
            .guests
            .keys()
            .filter(|vmid| acl.shows(**vmid))
            .map(|vmid| (vmid.to_string(), *vmid))
            .collect();
        by_text
            .into_iter()
            .map(|(_, vmid)| {
                let guest = &self.guests[&vmid];
                guest.resources_row(self.is_offline(&guest.node), self.requests, &acl)
            })
            .collect()
    }

    /// A request to this node was answered.
    pub(super) fn count_poll_of(&mut self, node: &str) {
        for guest in self.guests.values_mut().filter(|guest| guest.node == node) {
            guest.arrival_polls = guest.arrival_polls.saturating_sub(1);
        }
    }

    fn refresh_when_due(&mut self) {
        if let Refresh::EveryMs(period) = self.setup.rows
            && self.last_refresh.elapsed() >= Duration::from_millis(period)
        {
            self.last_refresh = Instant::now();
            self.dead_rows.clear();
            for guest in self.guests.values_mut() {
                guest.refresh_row();
            }
        }
    }

    /// The VMs of a node according to their configurations.
    pub(super) fn vms_of(&self, node: &str, token: &str) -> Vec<Value> {
        let acl = self.acl_of(token);
        self.guests
            .values()
            .filter(|guest| guest.kind == GuestType::Qemu && guest.is_on(node))
            .filter(|vm| acl.shows(vm.vmid))
            .map(|vm| vm.node_entry(self.requests))
            .collect()
    }
}
