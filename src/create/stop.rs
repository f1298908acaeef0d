//! Why a run stops without a VM, and the failure that it reports.

use super::attempt::Attempt;
use super::decide::{Owner, RequestOutcome, StopReason};
use super::failure::{
    ambiguous, busy, created_unchecked, exists, hidden, name_may_be_taken, refused, task_failed,
    timed_out, vmid_taken, with_other_templates,
};
use super::half_made::half_made;
use super::pending::other_request_pending;
use crate::guests::local_drives::local_drives;
use crate::guests::owner::VmidState;
use crate::ledger::{Event, Intent, Record, Source};
use crate::pve;
use crate::say::failure::{Failure, Started};
use crate::say::hint::refusal::{LocalDrive, RefusedClone, blames_local_storage};
use crate::say::hint::{hint_for_clone, hint_for_import};
use crate::say::stage::Stage;
use crate::say::vm::Vm;

impl Attempt<'_> {
    /// The failure for this reason to stop.
    pub fn stop_failure(&mut self, reason: StopReason) -> Failure {
        let spec = &self.run.spec;
        match reason {
            StopReason::NameMayBeTaken => name_may_be_taken(spec, &self.unread()),
            StopReason::Ambiguous => ambiguous(spec, &self.holders),
            StopReason::Exists => {
                if let (Some(VmidState::Ours(vm, config)), true) =
                    (&self.view.state, self.holders.is_empty())
                {
                    let guest = config.clone().into_guest(vm.vmid, vm.node.clone());
                    self.holders.push(guest);
                }
                exists(spec, &self.holders)
            }
            StopReason::VmidTaken(vmid) => {
                let row = self.guests.as_ref().and_then(|it| it.with_vmid(vmid));
                match &self.view.state {
                    Some(VmidState::Another(guest)) => vmid_taken(vmid, Ok(guest)),
                    Some(state) => vmid_taken(vmid, row.ok_or(state)),
                    None => vmid_taken(vmid, row.ok_or(&VmidState::Appeared)),
                }
            }
            StopReason::OtherRequest(intent) => {
                let requested = self.differences(&intent).join(", ");
                let started = match self.journal.record() {
                    Record::Created(_) => Started::Yes,
                    _ => Started::Unknown,
                };
                let (vm, facts) = (self.vm_of(&intent), self.facts_of(&intent, started));
                other_request_pending(spec, &vm, &intent, &requested, facts, self.journal.path())
            }
            StopReason::Hidden(intent) => {
                let was_created = !matches!(self.journal.record(), Record::Requested(..));
                hidden(self.run, &self.vm_of(&intent), was_created)
            }
            StopReason::HalfMade(intent) => self.half_made(&self.vm_of(&intent)),
            StopReason::CreationFailed(intent) => self.creation_failed(&intent),
        }
    }

    /// The failure of the request for the VM, with what is known of its outcome.
    fn creation_failed(&mut self, intent: &Intent) -> Failure {
        let vm = self.vm_of(intent);
        let undecided = self.creation.undecided;
        let outcome = std::mem::take(&mut self.creation.outcome);
        let is_visible = matches!(
            self.observed().owner,
            Owner::NotChecked | Owner::Free | Owner::Another
        );
        let is_over = match outcome {
            RequestOutcome::Unknown | RequestOutcome::Due | RequestOutcome::Done => false,
            RequestOutcome::Failed(_) => is_visible,
            RequestOutcome::Taken(_)
            | RequestOutcome::LeftOver(_)
            | RequestOutcome::Temporary(_)
            | RequestOutcome::NoQuorum
            | RequestOutcome::Refused(_) => true,
        };
        if is_over && !undecided {
            let stage = self.stage_unless_given_up(Stage::NothingStarted);
            self.journal.write(Event::Failed(vm.vmid), stage);
        }
        let failure = match outcome {
            RequestOutcome::Refused(source) => {
                let hint = self.hint_for_refused(intent, &source);
                refused(&intent.source, &vm, undecided, source, hint)
            }
            RequestOutcome::Failed(failed) => task_failed(&vm, undecided, is_visible, failed),
            RequestOutcome::Taken(message) | RequestOutcome::Temporary(message) if !undecided => {
                return busy(
                    &intent.source,
                    &vm,
                    &message,
                    self.run.server.budget.seconds(),
                );
            }
            _ => return self.timed_out_at(&Stage::Undecided(vm)),
        };
        with_other_templates(failure, &self.other_templates)
    }

    fn hint_for_refused(&self, intent: &Intent, refused: &pve::Error) -> Option<String> {
        let from = match &intent.source {
            Source::Template(from) => from,
            Source::Image(_) => return hint_for_import(refused),
        };
        let local_drives = self.local_drives_if_blamed(refused);
        let clone = RefusedClone {
            template: from.template,
            node: self.template.as_ref().map_or(&intent.node, |it| &it.node),
            newid: intent.vmid,
            pool: from.pool.as_ref(),
            local_drives: &local_drives,
        };
        hint_for_clone(refused, &clone)
    }

    /// The template's drives on storages of its node, if the server refused the clone because of them.
    fn local_drives_if_blamed(&self, refused: &pve::Error) -> Vec<LocalDrive> {
        let is_blamed = blames_local_storage(&refused.to_string());
        let template = self.template.as_ref().filter(|_| is_blamed);
        let drives = template.map(|template| local_drives(self.run.server.pve, template));
        // Without them, the server's message is still reported.
        drives.and_then(Result::ok).unwrap_or_default()
    }

    fn half_made(&self, vm: &Vm) -> Failure {
        let failed = match &self.creation.outcome {
            RequestOutcome::Failed(failed) => Some(failed.clone()),
            _ => None,
        };
        let is_ours = matches!(self.journal.record(), Record::Requested(..));
        let state = self.view.state.as_ref().unwrap_or(&VmidState::Appeared);
        let doubt = self.creation.doubt.as_ref();
        half_made(
            self.run.spec.request_noun(),
            vm,
            state,
            is_ours,
            failed,
            doubt,
            self.journal.path(),
        )
    }

    fn timed_out_at(&self, stage: &Stage) -> Failure {
        let seconds = self.run.server.budget.seconds();
        let doubt = self.creation.doubt.as_ref();
        timed_out(seconds, stage, self.view.last_error.as_deref(), doubt)
    }

    /// The time limit was reached before it was clear whether the VM exists.
    pub fn timed_out(&mut self) -> Failure {
        let seconds = self.run.server.budget.seconds();
        match (&self.view.state, &self.view.running, &self.view.vm) {
            (Some(VmidState::BeingCreated { .. } | VmidState::Appeared), None, Some(vm))
                if !self.view.has_just_ended =>
            {
                return self.half_made(vm);
            }
            (Some(VmidState::BeingCreated { is_named: true, .. }), Some(upid), Some(vm)) => {
                let stage = Stage::Creating(vm.clone(), upid.clone());
                return timed_out(seconds, &stage, None, None);
            }
            _ => {}
        }
        let error = self.view.last_error.as_deref();
        match (self.journal.record().clone(), &self.view.vm) {
            (Record::Requested(intent, _), _) => self.creation_failed(&intent),
            (Record::None, Some(vm)) => self.timed_out_at(&Stage::Inspecting(vm.clone())),
            (_, Some(vm)) => created_unchecked(vm, Some(seconds), error),
            (_, None) => self.timed_out_at(&Stage::NothingStarted),
        }
    }
}
