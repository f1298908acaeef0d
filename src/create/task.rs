//! The task that creates the VM: waiting for its end, and what that means.

use super::attempt::Attempt;
use super::decide::RequestOutcome;
use super::failure::{Doubt, Failed, outcome_unseen, timed_out};
use crate::pve::types::{ExitStatus, Guest, Upid};
use crate::say::failure::Failure;
use crate::say::stage::{Stage, creation};
use crate::say::vm::Vm;
use crate::ui::progress::Activity;
use crate::wait::GaveUp;
use crate::wait::server::is_no_such_task;
use crate::wait::task::{self, Ended};

impl Attempt<'_> {
    /// Polls the task that creates the VM until it has ended.
    pub fn poll_task(&mut self, vm: &Vm, upid: Upid) -> Result<(), Failure> {
        let (server, progress) = (self.run.server, self.run.progress());
        let stage = Stage::Creating(vm.clone(), upid.clone());
        progress.set_stage(stage.clone());
        if creation(&upid) == "import" {
            let announcement = format!("Importing the image to VM {}...", vm.vmid);
            let is_new = self.is_first_note(announcement.clone());
            let is_ours = !self.creation.is_from_earlier_run;
            let announcement = Some(announcement).filter(|_| is_new && is_ours);
            progress.begin(&Activity::Importing, announcement.as_deref());
        } else {
            progress.cloning(|| self.count_disks());
        }
        let waited = task::wait(server, &upid, !self.creation.is_from_earlier_run);
        self.creation.is_polled = true;
        let Ended {
            status,
            before_first_poll,
        } = match waited {
            Ok(ended) => ended,
            Err(GaveUp::TimedOut(error)) => {
                let seconds = server.budget.seconds();
                return Err(timed_out(seconds, &stage, error.as_ref(), None));
            }
            // The task may be another token's, or its node may be down, removed or reinstalled.
            Err(GaveUp::Failed(error))
                if self.creation.is_from_earlier_run || is_no_such_task(&error) =>
            {
                if !self.creation.is_from_earlier_run {
                    progress.note(&format!(
                        "The server no longer knows the {}'s task ({upid}); checking VM {}...",
                        creation(&upid),
                        vm.vmid
                    ));
                }
                self.creation.undecided = true;
                self.creation.outcome = RequestOutcome::Unknown;
                return Ok(());
            }
            Err(GaveUp::Failed(source)) => return Err(outcome_unseen(&stage, &source)),
        };
        if !before_first_poll {
            // It has only just ended, so its VM has not been destroyed since.
            self.creation.is_from_earlier_run = false;
        }
        self.task_ended(vm, upid, status);
        Ok(())
    }

    fn task_ended(&mut self, vm: &Vm, upid: Upid, status: ExitStatus) {
        let (server, progress) = (self.run.server, self.run.progress());
        let is_from_earlier_run = self.creation.is_from_earlier_run;
        self.creation.outcome = match status {
            ExitStatus::Ok | ExitStatus::Warnings(_) => {
                if !is_from_earlier_run {
                    let existing = self.existing(vm.clone(), None);
                    progress.set_stage(self.run.stage_of(existing));
                }
                // Read before the VM is recorded as created, so that the next run reads them if this one is
                // killed.
                if let ExitStatus::Warnings(_) = status {
                    self.creation.warnings = task::warnings(server, &upid);
                }
                RequestOutcome::Done
            }
            ExitStatus::Unexpected => {
                let is_import = creation(&upid) == "import";
                // The server takes the VMID for an import before it answers, and nobody else can since then.
                self.creation.undecided |= !is_import;
                if !is_from_earlier_run || is_import {
                    progress.note(&format!(
                        "The {}'s worker died or its node went down ({upid}); checking VM {}...",
                        creation(&upid),
                        vm.vmid
                    ));
                    self.creation.doubt = Some(Doubt::WorkerDied { upid });
                }
                RequestOutcome::Unknown
            }
            ExitStatus::Failed(status) => {
                progress.set_stage(Stage::Undecided(vm.clone()));
                match self.outcome_of(&status) {
                    Some(outcome) => outcome,
                    // A new task need not fail because an earlier run's did.
                    None if is_from_earlier_run => RequestOutcome::Unknown,
                    None => {
                        let log = task::last_lines(server, &upid);
                        RequestOutcome::Failed(Failed { upid, status, log })
                    }
                }
            }
        };
    }

    /// The number of disks that are copied, if it can be read.
    fn count_disks(&self) -> Option<usize> {
        let Guest { vmid, node, .. } = self.template.as_ref()?;
        let config = self.run.server.pve.vm_config(node, *vmid);
        config.ok().flatten().map(|config| config.disks().len())
    }
}
