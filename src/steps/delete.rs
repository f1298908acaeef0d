//! Deleting a VM with its disks.
//!
//! - The server deletes whatever has the VMID when its task begins. So the request is sent only while the VM is
//!   complete, unlocked, unprotected, off and not being cloned, and right after a change that changes nothing:
//!   it fails if the VM was changed since it was read, or if the cluster has no quorum. (Without quorum the
//!   server would remove the disks and keep the VM.)
//! - After a lost answer the VMID decides: the VM is deleted if the VMID is free or another VM has it.

use crate::pve::types::Vmid;
use crate::pve::{VmConfig, is_no_quorum};
use crate::say::hint::refusal::NO_QUORUM;
use crate::say::stage::Step;
use crate::say::vm::Vm;
use crate::steps::power::{not_by_ha, power_off};
use crate::steps::{ActiveStep, AfterRefusal, Cause, Next, Operation, Stop};
use crate::ui::progress::Activity;

/// Deletes a VM. One that is gone is a success if it was seen before.
#[derive(Default)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "two options, and what is known so far"
)]
pub struct Delete {
    stop: bool,
    keep_jobs: bool,
    /// Whether its absence means that it was deleted: it was there, or may be absent.
    was_seen: bool,
    /// Whether its deletion was requested.
    is_requested: bool,
    /// Whether the VM had time to stop since it was last powered off.
    has_waited: bool,
}

impl Delete {
    /// `stop` powers a running VM off first; otherwise it is an error. `keep_jobs` keeps its entries in backup
    /// jobs, replication jobs and HA. `if_exists` accepts that the VM of that name does not exist.
    pub fn new(stop: bool, keep_jobs: bool, if_exists: bool) -> Delete {
        Delete {
            stop,
            keep_jobs,
            was_seen: if_exists,
            ..Delete::default()
        }
    }
}

impl<'q> Operation<'q> for Delete {
    fn next(&mut self, active: &mut ActiveStep) -> Result<Next<'q>, Stop> {
        active.set_step(Step::Delete);
        match self.next_change(active) {
            // It was in the list, so a free VMID means that somebody has deleted it since.
            Err(Stop::Failed(Cause::Gone { vmid_has })) if self.was_seen || vmid_has.is_none() => {
                // This command may have powered it off, but somebody else has deleted it.
                active.has_requested = self.is_requested;
                Ok(Next::Done)
            }
            next => next,
        }
    }

    /// A task that has ended well has deleted it, even if there was no time to see that.
    fn at_time_limit(&mut self, active: &mut ActiveStep, cause: Cause) -> Result<(), Cause> {
        let is_destroy = active.upid().is_some_and(|upid| upid.kind() == "qmdestroy");
        if active.was_carried_out() && is_destroy {
            return Ok(());
        }
        Err(not_by_ha(active, cause))
    }

    fn after_refusal(&mut self, message: &str, vm: &Vm) -> AfterRefusal {
        if message.contains("used in HA resources and purge") {
            return AfterRefusal::FailBecause(Cause::State {
                message: "it is managed by HA".to_owned(),
                hint: format!(
                    "omit --keep-jobs, or first, on a node: ha-manager remove vm:{}",
                    vm.vmid
                ),
            });
        }
        if self.is_requested && is_no_quorum(message) {
            return AfterRefusal::FailBecause(Cause::State {
                message:
                    "the cluster lost its quorum during the deletion: the VM still exists, but its \
                          disks may already be gone"
                        .to_owned(),
                hint: format!("{NO_QUORUM}; then run the same command again"),
            });
        }
        // Somebody has started or protected it since it was read.
        let has_changed =
            message.contains("is running - destroy failed") || message.contains("protection mode");
        if has_changed {
            AfterRefusal::CheckAgain
        } else {
            AfterRefusal::Fail
        }
    }
}

impl Delete {
    fn next_change<'q>(&mut self, active: &mut ActiveStep) -> Result<Next<'q>, Stop> {
        if self.is_requested && active.read(|pve, vm| pve.is_free(vm.vmid))? {
            return Ok(Next::Done);
        }
        let config = active.config()?;
        self.was_seen = true;
        if let Some(cause) = why_kept(&config, active.vm()) {
            return Err(cause.into());
        }
        let status = active.status()?;
        if status.is_running() {
            if !self.stop {
                // The status does not show whose it is.
                active.read_config_again()?;
                return Err(is_running(active.vm().vmid).into());
            }
            // Under HA the VM is stopped some time after its task.
            if active.was_carried_out() && (status.ha.managed || !self.has_waited) {
                self.has_waited = true;
                return Ok(Next::Wait);
            }
            self.has_waited = false;
            check_not_cloned(active)?;
            active.read_config_again()?;
            active.announce(&Activity::PoweringOff);
            active.set_step(Step::Stop);
            return Ok(power_off(&status));
        }
        check_not_cloned(active)?;
        active.confirm_unchanged()?;
        active.announce(&Activity::Deleting);
        self.is_requested = true;
        let purge = !self.keep_jobs;
        Ok(Next::Then(Box::new(move |pve, vm| {
            pve.destroy_vm(&vm.node, vm.vmid, purge).map(Some)
        })))
    }
}

/// The server would wait for the clone, and then delete the VM.
fn check_not_cloned(active: &mut ActiveStep) -> Result<(), Stop> {
    let clones = active.read(|pve, vm| pve.running_tasks("qmclone", Some(vm.vmid), &vm.node))?;
    if let Some(clone) = clones.first() {
        return Err(Stop::Failed(Cause::State {
            message: format!("it is being cloned by the task {}", clone.as_str()),
            hint: "run the same command again once the clone is done".to_owned(),
        }));
    }
    Ok(())
}

/// Why a VM with this configuration is not deleted.
fn why_kept(config: &VmConfig, Vm { vmid, node, .. }: &Vm) -> Option<Cause> {
    if let Some(lock) = &config.lock {
        return Some(Cause::State {
            message: format!("it is locked ({lock})"),
            hint: format!(
                "run the same command again once that operation is done; if none is running, on node '{node}', \
                 as root: qm unlock {vmid}"
            ),
        });
    }
    config.is_protected().then(|| Cause::State {
        message: "it is protected".to_owned(),
        hint: format!(
            "to delete it nevertheless, on node '{node}': qm set {vmid} --protection 0; then run the same \
             command again"
        ),
    })
}

fn is_running(vmid: Vmid) -> Cause {
    Cause::State {
        message: "it is running".to_owned(),
        hint: format!(
            "--stop powers it off first; to shut it down instead: homelab proxmox vm shutdown {vmid}"
        ),
    }
}
