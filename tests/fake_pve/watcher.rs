//! A watcher, called before and after each request, and the acts of other users in between.

use serde_json::{Map, Value, json};

use super::FakePve;
use super::cluster::Cluster;
use super::faults::Fault;
use super::guests::Guest;
use super::setup::{Exits, GuestType, Refresh};
use super::shared::Seen;
use super::shutdown::Reaction;

/// A VMID, and how many guests have had it before.
pub(crate) type Stamp = (u32, u32);

pub(crate) trait Watcher: Send {
    /// Called before a request is executed. Returns a fault for it, if any.
    fn before(&mut self, cluster: &mut Cluster, request: &Seen) -> Option<Fault>;
    /// Called after the request was executed, or was not because of a fault.
    fn after(&mut self, cluster: &mut Cluster);
}

impl FakePve {
    /// Calls this watcher for each request from now on.
    pub(crate) fn watch(&self, watcher: impl Watcher + 'static) {
        let mut slot = self.shared.watcher.lock().expect("no watcher panicked");
        *slot = Some(Box::new(watcher));
    }
}

impl Cluster {
    /// Another user creates a guest, with an identity of its own. Nothing happens if the VMID is taken.
    pub(crate) fn add_stranger(
        &mut self,
        vmid: u32,
        node: usize,
        name: &str,
        is_being_created: bool,
        is_container: bool,
    ) -> bool {
        self.wait_for_lock(vmid);
        if self.guests.contains_key(&vmid) {
            return false;
        }
        let births = self.count_birth(vmid);
        let node = self.setup.nodes[node].clone();
        let mut guest = Guest::new(vmid, births, &node, Some(name));
        guest.add_system_disk();
        if is_being_created {
            guest.config.insert("lock".to_owned(), json!("clone"));
        }
        if is_container {
            guest.kind = GuestType::Lxc;
        }
        guest.row = self.dead_rows.remove(&vmid);
        if matches!(self.setup.rows, Refresh::AtOnce) {
            guest.refresh_row();
        }
        self.guests.insert(vmid, guest);
        true
    }

    /// Another user deletes a VM. As on a real server, this waits for the clone and the tasks that hold the
    /// lock of the VM. Templates remain.
    pub(crate) fn delete_as_stranger(&mut self, vmid: u32) -> bool {
        self.finish_work_on(vmid);
        let may_go = self.guests.get(&vmid).is_some_and(|it| !it.is_template());
        if may_go {
            self.remove(vmid);
        }
        may_go
    }

    /// Another user destroys a VM, and creates one with the same VMID on the same node.
    pub(crate) fn replace_as_stranger(&mut self, vmid: u32, name: &str) -> bool {
        let node = self.guests.get(&vmid).map(|guest| &guest.node);
        let node = self
            .setup
            .nodes
            .iter()
            .position(|known| Some(known) == node);
        let Some(node) = node.filter(|_| self.delete_as_stranger(vmid)) else {
            return false;
        };
        self.add_stranger(vmid, node, name, false, false)
    }

    /// Another user starts a VM, or powers it off.
    pub(crate) fn switch_as_stranger(&mut self, vmid: u32, on: bool) -> bool {
        self.finish_work_on(vmid);
        let requests = self.requests;
        let at_once = matches!(self.setup.rows, Refresh::AtOnce);
        let Some(guest) = self.guests.get_mut(&vmid) else {
            return false;
        };
        let is_on = guest.status == "running";
        if guest.kind == GuestType::Lxc
            || guest.is_template()
            || guest.lock().is_some()
            || on == is_on
        {
            return false;
        }
        if on {
            guest.runs_from(requests);
        } else {
            guest.turn_off();
        }
        if at_once {
            guest.refresh_row();
        }
        true
    }

    /// Another user moves a VM to the next node.
    pub(crate) fn move_as_stranger(&mut self, vmid: u32) -> bool {
        self.finish_work_on(vmid);
        let nodes = self.setup.nodes.clone();
        let Some(guest) = self.guests.get_mut(&vmid).filter(|it| it.lock().is_none()) else {
            return false;
        };
        let at = nodes.iter().position(|node| *node == guest.node);
        let next = &nodes[(at.unwrap_or(0) + 1) % nodes.len()];
        guest.node.clone_from(next);
        nodes.len() > 1
    }

    /// Another user, who may do everything, changes a configuration.
    pub(crate) fn edit(&mut self, vmid: u32, change: impl FnOnce(&mut Map<String, Value>)) -> bool {
        self.wait_for_lock(vmid);
        let exists = self.guests.contains_key(&vmid);
        if exists {
            self.change_config(vmid, change);
        }
        exists
    }

    /// From now on nothing fails: every node is up, the cluster has quorum, guests react, only locks of
    /// clones and of creations remain, and rows are up to date.
    pub(crate) fn end_faults(&mut self) {
        self.setup.offline.clear();
        self.setup.others.clear();
        self.setup.no_quorum = false;
        self.setup.abort_kills = false;
        for exits in [
            &mut self.setup.clone_exit,
            &mut self.setup.create_exit,
            &mut self.setup.start_exit,
            &mut self.setup.destroy_exit,
            &mut self.setup.template_exit,
            &mut self.setup.resize_exit,
            &mut self.setup.download_exit,
        ] {
            *exits = Exits::Always("OK".to_owned());
        }
        for task in self.tasks.iter_mut().filter(|task| task.is_copying()) {
            "OK".clone_into(&mut task.exit);
        }
        for creation in self.creations.iter_mut().filter(|it| it.is_running()) {
            "OK".clone_into(&mut creation.exit);
        }
        self.end_faults_of_downloads();
        let is_kept_nameless = matches!(self.setup.rows, Refresh::Never);
        self.dead_rows.clear();
        for guest in self.guests.values_mut() {
            guest.reaction = Reaction::Prompt;
            if guest.lock() == Some("backup") || guest.is_strangers_clone() {
                guest.config.remove("lock");
            }
            if guest.row.is_some() || !is_kept_nameless {
                guest.refresh_row();
            }
        }
    }

    pub(super) fn finish_work_on(&mut self, vmid: u32) {
        self.wait_for_lock(vmid);
        let of_vmid = |task: &super::tasks::Task| task.order.newid == vmid && task.is_copying();
        while let Some(number) = self.tasks.iter().position(of_vmid) {
            self.end_clone(number);
        }
        let of_vmid = |it: &super::creations::Creation| it.is_running_for(vmid);
        while let Some(number) = self.creations.iter().position(of_vmid) {
            self.end_creation(number);
        }
    }
}

impl Guest {
    /// Unique to this guest, even among those with its VMID.
    pub(crate) fn stamp(&self) -> Stamp {
        (self.vmid, self.births)
    }

    /// An unfinished clone of another user.
    pub(crate) fn is_strangers_clone(&self) -> bool {
        self.maker.is_none() && self.lock() == Some("clone")
    }

    pub(crate) fn is_vm_named(&self, name: &str) -> bool {
        self.kind == GuestType::Qemu && !self.is_template() && self.name() == Some(name)
    }

    /// Also a template by its option alone.
    pub(crate) fn is_template_named(&self, name: &str) -> bool {
        self.kind == GuestType::Qemu && self.is_template() && self.name() == Some(name)
    }
}
