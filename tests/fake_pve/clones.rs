//! The life of a clone, from the accepted POST to the end of its task.

use serde_json::json;

use super::cluster::Cluster;
use super::copies::{Copied, exit_if_interrupted};
use super::guests::Guest;
use super::identity::Stage;
use super::setup::{CloneSteps, GuestType, Refresh};
use super::tasks::{CloneOrder, Ending, Pace, Task};

/// The ways in which a VMID turns out to be taken, and the index of their counters.
#[derive(Clone, Copy)]
pub(super) enum Race {
    /// The POST was refused.
    Refused,
    /// The worker could not get the lock that the worker of another clone holds.
    LockHeld,
    /// The worker found a complete VM on its node.
    FileThere,
    /// The worker found a guest on another node, or a container, with the VMID.
    TakenElsewhere,
}

impl Cluster {
    /// Forks the worker. Whether it gets its VMID is decided when it begins.
    pub(super) fn begin_clone(&mut self, order: CloneOrder) -> String {
        let pace = match self.setup.clone_steps {
            None => Pace::Polls(self.setup.clone_polls),
            Some(steps) => Pace::Requests {
                before: self.requests,
                steps,
            },
        };
        let number = self.tasks.len();
        let task = Task::forked(self.next_process(), order, pace);
        let upid = task.upid.clone();
        self.tasks.push(task);
        self.advance(number);
        upid
    }

    /// Advances every clone by the steps that are due, the oldest clone first.
    pub(super) fn advance_clones(&mut self) {
        for number in 0..self.tasks.len() {
            self.advance(number);
        }
    }

    fn advance(&mut self, number: usize) {
        let (pace, requests) = (self.tasks[number].pace, self.requests);
        if pace.is_due(|steps| steps.appears, requests) {
            self.begin_worker(number);
        }
        if pace.is_due(|steps| steps.named, requests) {
            self.name_copy(number);
        }
        if matches!(pace, Pace::Requests { .. }) && pace.is_due(|steps| steps.done, requests) {
            self.end_clone(number);
        }
    }

    fn begin_worker(&mut self, number: usize) {
        if !self.tasks[number].is_forked() {
            return;
        }
        let order = self.tasks[number].order.clone();
        if self.is_being_destroyed(order.source) {
            self.tasks[number].fail_to_lock(order.source);
        } else if self.is_vmid_busy(order.newid) {
            self.tasks[number].fail_to_lock(order.newid);
        } else if let Some(race) = self.who_has(&order) {
            self.lose(number, race);
        } else if let Some(exit) = self.storage_is_busy() {
            let task = &mut self.tasks[number];
            task.fail(Some(task.creating_line()), exit);
        } else {
            self.copy_or_fail(number, &order);
        }
    }

    fn copy_or_fail(&mut self, number: usize, order: &CloneOrder) {
        let source = self.source_of(order);
        let copied = self.copied_drives(&source, order);
        if let Some((drive, why)) = self.obstacle(&copied) {
            self.tasks[number].fail_at(drive, &why);
            return;
        }
        let no_space = self.out_of_space(&copied);
        let exit = no_space.unwrap_or_else(|| self.setup.clone_exit.next());
        let exit = exit.replace("{newid}", &order.newid.to_string());
        self.start_copying(number, &source, order, &copied, exit);
    }

    /// The source, or a default one if somebody has destroyed it since.
    pub(super) fn source_of(&self, order: &CloneOrder) -> Guest {
        let usual = || Guest::usual_template(order.source, &order.node);
        let source = self.guests.get(&order.source).cloned();
        source.unwrap_or_else(usual)
    }

    /// Whether somebody else holds the lock of a VMID without a guest, for instance of one that is being
    /// destroyed.
    pub(super) fn is_vmid_busy(&mut self, vmid: u32) -> bool {
        let left = self.setup.busy_vmids.get_mut(&vmid);
        let Some(left) = left.filter(|left| **left > 0) else {
            return false;
        };
        *left -= 1;
        true
    }

    /// The exit status of a worker that waited too long for its storage, and has removed what it had
    /// created.
    fn storage_is_busy(&mut self) -> Option<String> {
        let most = self.setup.copying_at_once?;
        let copying = self.tasks.iter().filter(|task| task.is_copying()).count();
        if copying < most {
            return None;
        }
        self.storage_refusals += 1;
        let reason = if self.storage_refusals % 2 == 1 {
            "can't lock file '/var/lock/pve-manager/pve-storage-data' - got timeout"
        } else {
            "cfs-lock 'storage-data' error: got lock request timeout"
        };
        Some(format!("clone failed: {reason}"))
    }

    /// The way in which a worker has lost its VMID, if it has.
    fn who_has(&self, order: &CloneOrder) -> Option<Race> {
        let guest = self.guests.get(&order.newid)?;
        let is_copied_to = |task: &&Task| task.is_copying() && task.order.newid == order.newid;
        let is_being_created = || {
            let mut creations = self.creations.iter();
            creations.any(|creation| creation.is_running_for(order.newid))
        };
        Some(
            if guest.kind == GuestType::Lxc || guest.node != order.node {
                Race::TakenElsewhere
            } else if self.tasks.iter().any(|task| is_copied_to(&task)) || is_being_created() {
                Race::LockHeld
            } else {
                Race::FileThere
            },
        )
    }

    /// A worker that lost its VMID has created nothing to remove.
    fn lose(&mut self, number: usize, race: Race) {
        self.races[race as usize] += 1;
        let task = &mut self.tasks[number];
        let (node, newid) = (&task.order.node, task.order.newid);
        let (first_line, exit) = match race {
            Race::LockHeld => return task.fail_to_lock(newid),
            Race::Refused | Race::FileThere => (None, file_exists(newid)),
            Race::TakenElsewhere => {
                let file = format!("/etc/pve/nodes/{node}/qemu-server/{newid}.conf");
                let exit = format!("close (rename) atomic file '{file}' failed: File exists");
                (Some(task.creating_line()), exit)
            }
        };
        task.fail(first_line, exit);
    }

    pub(super) fn start_copying(
        &mut self,
        number: usize,
        source: &Guest,
        order: &CloneOrder,
        copied: &[Copied],
        exit: String,
    ) {
        let births = self.count_birth(order.newid);
        let mut vm = Guest::copy_of(source, order, copied, births);
        vm.row = self.dead_rows.remove(&order.newid);
        vm.maker = Some(order.owner.clone());
        self.guests.insert(order.newid, vm);
        let task = &mut self.tasks[number];
        task.copy(exit);
        task.exit_if_interrupted = exit_if_interrupted(copied);
        task.log_copying(copied, self.setup.clone_log);
    }

    /// The configuration is written a second time, with its name, once the first disk exists.
    pub(super) fn name_copy(&mut self, number: usize) {
        let task = &mut self.tasks[number];
        if !task.is_copying() || task.named {
            return;
        }
        task.named = true;
        let (newid, name) = (task.order.newid, json!(task.order.name));
        let at_once = matches!(self.setup.rows, Refresh::AtOnce);
        if let Some(vm) = self.guests.get_mut(&newid) {
            vm.config.insert("name".to_owned(), name);
            vm.set_digest(Stage::Named);
            if at_once {
                vm.refresh_row();
            }
        }
    }

    pub(super) fn end_clone(&mut self, number: usize) {
        if !self.tasks[number].is_copying() {
            return;
        }
        self.name_copy(number);
        let order = self.tasks[number].order.clone();
        match self.tasks[number].end() {
            Ending::Complete => self.complete(order),
            Ending::CleanUp => self.remove(order.newid),
            Ending::LeaveHalf => {}
        }
    }

    fn complete(&mut self, order: CloneOrder) {
        let at_once = matches!(self.setup.rows, Refresh::AtOnce);
        let arrival_polls = self.setup.arrival_polls;
        if let Some(vm) = self.guests.get_mut(&order.newid) {
            vm.config.remove("lock");
            vm.config.append(&mut vm.disks_to_come);
            vm.set_digest(Stage::Whole);
            vm.cloned_by = Some(order.owner);
            vm.pool = order.pool;
            if let Some(target) = order.target.filter(|target| *target != order.node) {
                vm.node = target;
                vm.arrival_polls = arrival_polls;
            }
            if at_once {
                vm.refresh_row();
            }
        }
    }

    /// A poll of the status of a clone, which advances it unless requests do.
    pub(super) fn poll_clone(&mut self, number: usize) {
        let task = &mut self.tasks[number];
        if !task.is_copying() {
            return;
        }
        if task.pace.is_over_after_poll() {
            self.end_clone(number);
        } else {
            task.log_more();
        }
    }

    /// Finishes every clone, whatever it waits for.
    pub(super) fn finish_clones(&mut self) {
        for number in 0..self.tasks.len() {
            self.begin_worker(number);
            self.end_clone(number);
        }
    }
}

pub(super) fn file_exists(newid: u32) -> String {
    format!("unable to create VM {newid}: config file already exists")
}
