//! The actions of a run, and why it stops.

use super::attempt::{Attempt, Cloning, View};
use super::decide::{CloneOutcome, Namesake, Owner, Pause, StopReason};
use super::failure::{
    Doubt, ambiguous, busy, clone_refused, created_unchecked, exists, hidden, name_may_be_taken,
    not_read, other_clone_pending, task_failed, timed_out, vmid_taken, with_other_templates,
};
use super::fit::{FittingTemplate, check_template, note_ignored_places};
use super::half_made::half_made;
use crate::guests::local_drives::local_drives;
use crate::guests::owner::VmidState;
use crate::guests::{Guests, listed};
use crate::ledger::{Event, Intent, Record};
use crate::pve::types::{Guest, Vmid};
use crate::pve::{self, Delivery, Pve};
use crate::say::failure::{Failure, Kind, Started};
use crate::say::hint::refusal::{LocalDrive, RefusedClone, blames_local_storage};
use crate::say::stage::Stage;
use crate::say::vm::{Existing, Vm};

impl Attempt<'_> {
    /// Finds the template and the VMID for a clone to `--vmid` or to a free VMID.
    pub fn plan_clone(&mut self) -> Result<(Guest, Vmid), Failure> {
        let may_exist = matches!(
            self.namesake,
            Namesake::MayBeOffline | Namesake::MayBeHidden
        );
        if may_exist && self.is_first_note("hidden namesake") {
            // With --vmid, another VM of the name is accepted.
            let (name, unread) = (&self.run.spec.name, self.unread());
            let warning = format!("another VM may be named '{name}': {unread}");
            self.run.warn(&warning);
        }
        let template = self.find_template()?;
        self.check_template(&template)?;
        let vmid = match self.run.spec.vmid {
            Some(vmid) => vmid,
            None => self.free_vmid()?,
        };
        self.cloning = Cloning::default();
        self.view = View::default();
        Ok((template, vmid))
    }

    /// Finds the template for another request for the clone to the VMID of the record.
    pub fn plan_clone_again(&mut self) -> Result<Guest, Failure> {
        let found = self.find_template().and_then(|template| {
            self.check_template(&template)?;
            Ok(template)
        });
        found.map_err(|error| self.before_resuming(error))
    }

    /// Requests a clone.
    pub fn request_clone(&mut self, template: &Guest, vmid: Vmid) -> Result<(), Failure> {
        let run = self.run;
        let vm = run.vm(vmid, run.node_for(template));
        let (mode, storage) = run.spec.mode();
        let options = &run.spec.options;
        let intent = Intent {
            vmid,
            node: vm.node.clone(),
            template: template.vmid,
            template_name: template.name.clone(),
            mode,
            storage,
            pool: options.pool.clone(),
            target: options.target.clone(),
            hosts: run.hosts.clone(),
            growth: self.growth.clone().unwrap_or_default(),
        };
        self.journal.write_intent(intent)?;
        self.cloning.upid = None;
        self.cloning.warnings.clear();
        let result = run.server.ask_for_change(|pve| {
            let (node, template) = (&template.node, template.vmid);
            pve.clone_vm(node, template, vmid, &vm.name, options)
        });
        // The time for which the VMID has been free starts now, not before the request.
        self.view = View::default();
        let error = match result {
            Ok(upid) => {
                let stage = Stage::Cloning(vm, upid.clone());
                self.journal.write(Event::Upid(upid.clone()), stage);
                self.cloning.upid = Some(upid);
                self.cloning.is_polled = false;
                self.cloning.is_from_earlier_run = false;
                self.cloning.outcome = CloneOutcome::Unknown;
                return Ok(());
            }
            Err(error) => error,
        };
        self.clone_not_accepted(&vm, error);
        Ok(())
    }

    fn clone_not_accepted(&mut self, vm: &Vm, error: pve::Error) {
        self.cloning.outcome = match &error {
            _ if error.delivery() == Delivery::Unknown => {
                let vmid = vm.vmid;
                if self.is_first_note(format!("lost answer {vmid}")) {
                    self.run.progress().note(&format!(
                        "No answer to the clone request ({error}); checking VM {vmid}..."
                    ));
                }
                self.cloning.undecided = true;
                self.cloning.doubt = Some(Doubt::Lost {
                    why: Box::new(error),
                });
                CloneOutcome::Unknown
            }
            pve::Error::Refused { message, .. } => {
                let outcome = self.outcome_of(message);
                outcome.unwrap_or_else(|| CloneOutcome::Refused(Box::new(error)))
            }
            pve::Error::NoQuorum {
                is_another_left: false,
                ..
            } => CloneOutcome::Refused(Box::new(error)),
            _ if self.cloning.undecided => CloneOutcome::Unknown,
            pve::Error::NoQuorum { .. } => {
                self.template = None;
                self.growth = None;
                CloneOutcome::NoQuorum
            }
            _ => CloneOutcome::Refused(Box::new(error)),
        };
    }

    /// Checks the template and resolves relative sizes, unless that was done before.
    fn check_template(&mut self, template: &Guest) -> Result<(), Failure> {
        if self.growth.is_none() {
            let FittingTemplate { growth, config } = check_template(self.run, template)?;
            (self.growth, self.template_config) = (Some(growth), config);
        }
        Ok(())
    }

    fn free_vmid(&self) -> Result<Vmid, Failure> {
        let next = self.run.server.ask(Pve::next_vmid);
        let next = next.map_err(|source| not_read("cannot get a free VMID", source))?;
        let is_taken = |vmid| self.guests.as_ref().is_some_and(|it| it.is_taken(vmid));
        let vmid = self.picker.next(is_taken, next);
        vmid.ok_or_else(|| Failure::new(Kind::Failed, "no VMID is free"))
    }

    /// What may hide a VM of the name, as a list.
    pub fn unread(&self) -> String {
        let unread = self.guests.as_ref().map(Guests::unread);
        listed(&unread.unwrap_or_default())
    }

    /// Pauses before the next turn. An error if no time is left for one.
    pub fn wait(&mut self, pause: Pause) -> Result<(), Failure> {
        let is_time_left = match pause {
            Pause::Interval => self.pauses.pause(self.run.server.budget.interval),
            Pause::BackOff => {
                let is_first_note = self.is_first_note("lock");
                if let CloneOutcome::Taken(message) | CloneOutcome::Temporary(message) =
                    &self.cloning.outcome
                    && is_first_note
                {
                    let note = format!("Temporary failure ({message}); retrying...");
                    self.run.progress().note(&note);
                }
                self.back_off.pause()
            }
        };
        if !is_time_left {
            return Err(self.timed_out());
        }
        if pause == Pause::BackOff {
            self.cloning.outcome = if self.cloning.undecided {
                CloneOutcome::Unknown
            } else {
                CloneOutcome::Due
            };
        }
        Ok(())
    }

    /// Records that the VMID of the record has no VM of ours, and that none is expected.
    pub fn forget(&mut self, vmid: Vmid) {
        let vm = match self.journal.record() {
            Record::Requested(intent, _) => Some(self.vm_of(intent)),
            _ => None,
        };
        let may_be_created =
            self.cloning.undecided && !matches!(self.cloning.outcome, CloneOutcome::LeftOver(_));
        if may_be_created {
            self.given_up.clone_from(&vm);
        }
        let stage = self.stage_unless_given_up(Stage::NothingStarted);
        self.journal.write(Event::Failed(vmid), stage);
        let lost = match (&self.view.state, &self.cloning.outcome) {
            _ if vm.is_none() => None,
            (Some(VmidState::Another(_)), _) => {
                Some(format!("Another guest has taken VMID {vmid}"))
            }
            (_, CloneOutcome::Taken(_)) if self.cloning.undecided => None,
            (_, CloneOutcome::Taken(message) | CloneOutcome::LeftOver(message)) => {
                Some(format!("VMID {vmid} cannot be used ({message})"))
            }
            _ => None,
        };
        let is_lost = lost.is_some();
        if let Some(lost) = lost
            && self.is_first_note(format!("lost {vmid}"))
        {
            let more = match self.run.spec.vmid {
                None => "; trying another VMID...",
                Some(_) => "",
            };
            self.run.progress().note(&format!("{lost}{more}"));
        }
        if is_lost && !self.cloning.is_from_earlier_run {
            self.picker.exclude(vmid);
        }
        if may_be_created && !is_lost {
            let warning =
                format!("VM {vmid} may still be created: its clone request got no answer");
            self.run.warn(&warning);
        }
        self.cloning = Cloning::default();
        self.view = View::default();
        self.requests_other = false;
    }

    /// The existing VM; `None` if it is neither observed nor recorded.
    pub fn use_vm(&mut self) -> Option<Existing> {
        let record = self.journal.record().clone();
        let (vm, config) = match (self.view.state.take(), record.intent()) {
            (Some(VmidState::Ours(vm, config)), _) => (vm, Some(config)),
            (_, Some(intent)) => (self.vm_of(intent), None),
            (_, None) => return None,
        };
        note_ignored_places(self.run, &vm, &record);
        self.note_if_from_another_template(&vm, &record);
        Some(match record {
            Record::None | Record::Finished(_) => Existing::found(vm, config),
            Record::Created(_) => {
                if !self.run.preview_only {
                    let note = format!("Resuming VM {}, which an earlier run created...", vm.vmid);
                    self.run.progress().note(&note);
                }
                self.existing(vm, config)
            }
            Record::Requested(..) => {
                let existing = self.existing(vm, config);
                let stage = self.run.stage_of(existing.clone());
                self.journal.write(Event::Created(existing.vm.vmid), stage);
                existing
            }
        })
    }

    /// A VM that exists is not cloned again, even if another template is requested. If the VM is not finished,
    /// that was refused before.
    fn note_if_from_another_template(&mut self, vm: &Vm, record: &Record) {
        let Record::Finished(Intent {
            template,
            template_name: Some(name),
            ..
        }) = record
        else {
            return;
        };
        let requested = self.run.spec.template.clone();
        let is_same = requested == *name
            || requested == template.to_string()
            // It may have been renamed.
            || self.find_template().is_ok_and(|found| found.vmid == *template);
        if !is_same {
            self.run.progress().note(&format!(
                "{vm} was created from template {template} '{name}'; it is not re-created from '{requested}'"
            ));
        }
    }

    /// The failure for this reason to stop.
    pub fn stop_failure(&mut self, reason: StopReason) -> Failure {
        let spec = &self.run.spec;
        match reason {
            StopReason::NameMayBeTaken => name_may_be_taken(&spec.name, &self.unread()),
            StopReason::Ambiguous => ambiguous(&spec.name, &self.holders),
            StopReason::Exists => {
                if let (Some(VmidState::Ours(vm, config)), true) =
                    (&self.view.state, self.holders.is_empty())
                {
                    let guest = config.clone().into_guest(vm.vmid, vm.node.clone());
                    self.holders.push(guest);
                }
                exists(&spec.name, &self.holders, spec.ensure)
            }
            StopReason::VmidTaken(vmid) => {
                let row = self.guests.as_ref().and_then(|it| it.with_vmid(vmid));
                match &self.view.state {
                    Some(VmidState::Another(guest)) => vmid_taken(vmid, Ok(guest)),
                    Some(state) => vmid_taken(vmid, row.ok_or(state)),
                    None => vmid_taken(vmid, row.ok_or(&VmidState::Appeared)),
                }
            }
            StopReason::OtherClone(intent) => {
                let requested = self.differences(&intent).join(", ");
                let started = match self.journal.record() {
                    Record::Created(_) => Started::Yes,
                    _ => Started::Unknown,
                };
                let (vm, facts) = (self.vm_of(&intent), self.facts_of(&intent, started));
                other_clone_pending(spec, &vm, &intent, &requested, facts, self.journal.path())
            }
            StopReason::Hidden(intent) => {
                let was_created = !matches!(self.journal.record(), Record::Requested(..));
                hidden(self.run, &self.vm_of(&intent), was_created)
            }
            StopReason::HalfMade(intent) => self.half_made(&self.vm_of(&intent)),
            StopReason::CloneFailed(intent) => self.clone_failed(&intent),
        }
    }

    /// The failure of the clone, with what is known of its outcome.
    fn clone_failed(&mut self, intent: &Intent) -> Failure {
        let vm = self.vm_of(intent);
        let (template, undecided) = (intent.template, self.cloning.undecided);
        let outcome = std::mem::take(&mut self.cloning.outcome);
        let is_visible = matches!(
            self.observed().owner,
            Owner::NotChecked | Owner::Free | Owner::Another
        );
        let is_over = match outcome {
            CloneOutcome::Unknown | CloneOutcome::Due | CloneOutcome::Done => false,
            CloneOutcome::Failed(_) => is_visible,
            CloneOutcome::Taken(_)
            | CloneOutcome::LeftOver(_)
            | CloneOutcome::Temporary(_)
            | CloneOutcome::NoQuorum
            | CloneOutcome::Refused(_) => true,
        };
        if is_over && !undecided {
            let stage = self.stage_unless_given_up(Stage::NothingStarted);
            self.journal.write(Event::Failed(vm.vmid), stage);
        }
        let failure = match outcome {
            CloneOutcome::Refused(source) => {
                let local_drives = self.local_drives_if_blamed(&source);
                let clone = RefusedClone {
                    template,
                    node: self.template.as_ref().map_or(&intent.node, |it| &it.node),
                    newid: intent.vmid,
                    pool: intent.pool.as_ref(),
                    local_drives: &local_drives,
                };
                clone_refused(&clone, &vm, undecided, source)
            }
            CloneOutcome::Failed(failed) => task_failed(&vm, undecided, is_visible, failed),
            CloneOutcome::Taken(message) | CloneOutcome::Temporary(message) if !undecided => {
                return busy(template, &vm, &message, self.run.server.budget.seconds());
            }
            _ => return self.timed_out_at(&Stage::Undecided(vm)),
        };
        with_other_templates(failure, &self.other_templates)
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
        let failed = match &self.cloning.outcome {
            CloneOutcome::Failed(failed) => Some(failed.clone()),
            _ => None,
        };
        let is_ours = matches!(self.journal.record(), Record::Requested(..));
        let state = self.view.state.as_ref().unwrap_or(&VmidState::Appeared);
        let doubt = self.cloning.doubt.as_ref();
        half_made(vm, state, is_ours, failed, doubt, self.journal.path())
    }

    fn timed_out_at(&self, stage: &Stage) -> Failure {
        let seconds = self.run.server.budget.seconds();
        let doubt = self.cloning.doubt.as_ref();
        timed_out(seconds, stage, self.view.last_error.as_deref(), doubt)
    }

    /// The time limit was reached before it was clear whether the VM exists.
    pub fn timed_out(&mut self) -> Failure {
        let seconds = self.run.server.budget.seconds();
        match (&self.view.state, &self.view.running, &self.view.vm) {
            (Some(VmidState::BeingCreated { .. } | VmidState::Appeared), None, Some(vm)) => {
                return self.half_made(vm);
            }
            (Some(VmidState::BeingCreated { is_named: true }), Some(upid), Some(vm)) => {
                let stage = Stage::Cloning(vm.clone(), upid.clone());
                return timed_out(seconds, &stage, None, None);
            }
            _ => {}
        }
        let error = self.view.last_error.as_deref();
        match (self.journal.record().clone(), &self.view.vm) {
            (Record::Requested(intent, _), _) => self.clone_failed(&intent),
            (Record::None, Some(vm)) => self.timed_out_at(&Stage::Inspecting(vm.clone())),
            (_, Some(vm)) => created_unchecked(vm, Some(seconds), error),
            (_, None) => self.timed_out_at(&Stage::NothingStarted),
        }
    }
}
