//! What the cluster holds, and what passes in it: guests, clones, tasks.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::guests::Guest;
use super::setup::{Exits, GuestType, Refresh, Rights, Setup, TOKEN};
use super::tasks::{CloneRequest, Ending, Task};

pub(crate) struct Cluster {
    /// At most one guest has a VMID, in the whole cluster.
    pub(crate) guests: BTreeMap<u32, Guest>,
    pub(crate) tasks: Vec<Task>,
    /// What the test asked for; may be changed while it runs.
    pub(crate) setup: Setup,
    last_refresh: Instant,
}

/// Why the node we talk to cannot hand a request on.
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
            let mut guest = Guest::new(vmid, &setup.nodes[0], Some(&format!("pad-{vmid}")));
            guest.add_system_disk();
            guest.refresh_row();
            guests.insert(vmid, guest);
        }
        Self {
            guests,
            tasks: Vec::new(),
            setup,
            last_refresh: Instant::now(),
        }
    }

    fn is_offline(&self, node: &str) -> bool {
        self.setup.offline.iter().any(|offline| offline == node)
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

    pub(super) fn rights_of(&self, token: &str) -> Option<Rights> {
        if token == TOKEN {
            return Some(Rights::All);
        }
        self.setup.tokens.get(token).copied()
    }

    pub(super) fn first_free_vmid(&self) -> Option<u32> {
        (self.setup.nextid_from..=999_999_999).find(|vmid| !self.guests.contains_key(vmid))
    }

    /// The VM whose configuration lies on this node.
    pub(super) fn vm(&self, node: &str, vmid: u32) -> Option<&Guest> {
        let guest = self.guests.get(&vmid)?;
        (guest.kind == GuestType::Qemu && guest.node == node).then_some(guest)
    }

    /// The rows of `/cluster/resources`, sorted by VMID as text.
    pub(super) fn rows(&mut self) -> Vec<Value> {
        self.refresh_when_due();
        let by_text: BTreeSet<_> = self
            .guests
            .keys()
            .map(|vmid| (vmid.to_string(), *vmid))
            .collect();
        by_text
            .into_iter()
            .map(|(_, vmid)| {
                let guest = &self.guests[&vmid];
                guest.resources_row(self.is_offline(&guest.node))
            })
            .collect()
    }

    fn refresh_when_due(&mut self) {
        if let Refresh::EveryMs(period) = self.setup.rows
            && self.last_refresh.elapsed() >= Duration::from_millis(period)
        {
            self.last_refresh = Instant::now();
            for guest in self.guests.values_mut() {
                guest.refresh_row();
            }
        }
    }

    /// The VMs of a node as their configurations have them.
    pub(super) fn vms_of(&self, node: &str) -> Vec<Value> {
        self.guests
            .values()
            .filter(|guest| guest.kind == GuestType::Qemu && guest.node == node)
            .map(Guest::node_entry)
            .collect()
    }

    /// Forks the worker: from here on the new VMID is taken, or the task has failed because
    /// it already was, on another node or by a container.
    pub(super) fn begin_clone(&mut self, request: &CloneRequest) -> String {
        let earlier = self.tasks.len();
        let task = if self.guests.contains_key(&request.newid) {
            Task::lost_newid(earlier, request)
        } else {
            self.add_half_made(request);
            let exit = self.exit_of_next_clone();
            Task::copying(earlier, request, self.setup.clone_looks, exit)
        };
        let upid = task.upid.clone();
        self.tasks.push(task);
        upid
    }

    fn exit_of_next_clone(&mut self) -> String {
        match &mut self.setup.clone_exit {
            Exits::Always(exit) => exit.clone(),
            Exits::InTurn(exits) if exits.len() > 1 => exits.remove(0),
            Exits::InTurn(exits) => exits.first().expect("at least one exit status").clone(),
        }
    }

    /// A VM in the making has a name and a lock, but no system disk yet.
    fn add_half_made(&mut self, request: &CloneRequest) {
        let mut vm = Guest::new(request.newid, request.node, Some(request.name));
        vm.config.insert("lock".to_owned(), json!("clone"));
        if matches!(self.setup.rows, Refresh::AtOnce) {
            vm.refresh_row();
        }
        self.guests.insert(request.newid, vm);
    }

    /// The task of this UPID, of which only its own node knows.
    pub(super) fn task(&self, node: &str, upid: &str) -> Option<&Task> {
        self.tasks.iter().find(|task| task.is(node, upid))
    }

    /// A look at a task's status, which is what makes it go on.
    pub(super) fn look_at_task(&mut self, node: &str, upid: &str) -> Option<Value> {
        let task = self.tasks.iter_mut().find(|task| task.is(node, upid))?;
        let ending = task.look();
        let (newid, status) = (task.newid, task.status());
        match ending {
            Some(Ending::Complete) => self.complete(newid),
            Some(Ending::CleanUp) => {
                self.guests.remove(&newid);
            }
            Some(Ending::LeaveAlone) | None => {}
        }
        Some(status)
    }

    fn complete(&mut self, newid: u32) {
        let at_once = matches!(self.setup.rows, Refresh::AtOnce);
        if let Some(vm) = self.guests.get_mut(&newid) {
            vm.config.remove("lock");
            vm.add_system_disk();
            if at_once {
                vm.refresh_row();
            }
        }
    }
}
