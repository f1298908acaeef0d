//! The actions of a run, and why it stops.

use super::attempt::{Attempt, Creation, View};
use super::decide::{Namesake, Owner, Pause, RequestOutcome, StopReason};
use super::download::fetch;
use super::failure::{
    Doubt, ambiguous, busy, created_unchecked, exists, hidden, name_may_be_taken, not_read, noun,
    other_request_pending, refused, task_failed, timed_out, vmid_taken, with_other_templates,
};
use super::fit::{FittingTemplate, check_template, note_ignored_places};
use super::half_made::half_made;
use super::image::{ImageSpec, find_place};
use super::spec::Method;
use crate::guests::local_drives::local_drives;
use crate::guests::owner::VmidState;
use crate::guests::{Guests, listed};
use crate::ledger::{ClonedFrom, Event, ImportedFrom, Intent, Mode, Record, Source};
use crate::pve::types::{CloneOptions, Guest, Node, Vmid};
use crate::pve::{self, Delivery, Pve};
use crate::say::failure::{Failure, Kind, Started};
use crate::say::hint::refusal::{LocalDrive, RefusedClone, blames_local_storage};
use crate::say::hint::{hint_for_clone, hint_for_import};
use crate::say::stage::Stage;
use crate::say::vm::{Existing, Vm};

/// A VM to be requested.
pub struct Planned<'r> {
    /// Its VMID.
    pub vmid: Vmid,
    /// The request.
    pub request: Request<'r>,
}

/// A request for a VM.
pub enum Request<'r> {
    /// A clone of this template.
    Clone(Guest, &'r CloneOptions),
    /// An import on this node.
    Import(Node, ImportedFrom, &'r ImageSpec),
}

impl<'r> Attempt<'r> {
    /// Finds what the VM is created from, and `--vmid` or a free VMID. `None` if that took time, so that the
    /// state has to be observed again.
    pub fn plan(&mut self) -> Result<Option<Planned<'r>>, Failure> {
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
        let run = self.run;
        let request = match &run.spec.method {
            Method::Clone { template, options } => self.plan_clone(template, options)?,
            Method::Import(image) => {
                let place = match self.place.take() {
                    Some(place) => place,
                    None => find_place(run, image)?,
                };
                let place = self.place.insert(place);
                if self.image.is_none() {
                    let (volume, has_taken_time) = fetch(run, image, place)?;
                    self.image = Some(volume);
                    if has_taken_time {
                        return Ok(None);
                    }
                }
                let Some(volume) = self.image.clone() else {
                    return Ok(None);
                };
                let from = ImportedFrom::new(volume, image, place.storage.clone());
                Request::Import(place.node.clone(), from, image)
            }
        };
        let vmid = match run.spec.vmid {
            Some(vmid) => vmid,
            None => self.free_vmid()?,
        };
        self.creation = Creation::default();
        self.view = View::default();
        Ok(Some(Planned { vmid, request }))
    }

    fn plan_clone(
        &mut self,
        template: &str,
        options: &'r CloneOptions,
    ) -> Result<Request<'r>, Failure> {
        let template = self.find_template(template, options)?;
        self.check_template(&template)?;
        Ok(Request::Clone(template, options))
    }

    /// Prepares another request for the VM of the record. An import repeats the recorded one.
    pub fn plan_again(&mut self, vmid: Vmid) -> Result<Planned<'r>, Failure> {
        let run = self.run;
        let request = match (&run.spec.method, self.journal.record().intent()) {
            (Method::Clone { template, options }, _) => {
                let planned = self.plan_clone(template, options);
                planned.map_err(|error| self.before_resuming(error))?
            }
            (
                Method::Import(image),
                Some(Intent {
                    node,
                    source: Source::Image(from),
                    ..
                }),
            ) => Request::Import(node.clone(), (**from).clone(), image),
            // Another kind of record was refused before.
            (Method::Import(_), _) => return Err(self.timed_out()),
        };
        Ok(Planned { vmid, request })
    }

    /// Requests the VM.
    pub fn request(&mut self, planned: &Planned) -> Result<(), Failure> {
        let run = self.run;
        let Planned { vmid, request } = planned;
        let (node, source) = match request {
            Request::Clone(template, options) => {
                let from = ClonedFrom {
                    template: template.vmid,
                    template_name: template.name.clone(),
                    mode: Mode::of(options),
                    pool: options.pool.clone(),
                };
                (run.node_for(template), Source::Template(from))
            }
            Request::Import(node, from, _) => (node, Source::Image(Box::new(from.clone()))),
        };
        let vm = run.vm(*vmid, node);
        self.journal.write_intent(Intent {
            vmid: *vmid,
            node: node.clone(),
            source,
            storage: run.spec.storage().cloned(),
            target: run.spec.target().cloned(),
            hosts: run.hosts.clone(),
            growth: self.growth.clone().unwrap_or_default(),
        })?;
        self.creation.upid = None;
        self.creation.warnings.clear();
        let result = run.server.ask_for_change(|pve| match request {
            Request::Clone(template, options) => {
                let (node, template) = (&template.node, template.vmid);
                pve.clone_vm(node, template, *vmid, &vm.name, options)
            }
            Request::Import(node, from, image) => {
                let options = image.options(from, &run.spec.setup.settings);
                let options = options.iter().map(|(key, value)| (&key[..], &value[..]));
                pve.create_vm(node, *vmid, &vm.name, &options.collect::<Vec<_>>())
            }
        });
        // The time for which the VMID has been free starts now, not before the request.
        self.view = View::default();
        let error = match result {
            Ok(upid) => {
                let stage = Stage::Creating(vm, upid.clone());
                self.journal.write(Event::Upid(upid.clone()), stage);
                self.creation.upid = Some(upid);
                self.creation.is_polled = false;
                self.creation.is_from_earlier_run = false;
                self.creation.outcome = RequestOutcome::Unknown;
                return Ok(());
            }
            Err(error) => error,
        };
        self.not_accepted(&vm, error);
        Ok(())
    }

    fn not_accepted(&mut self, vm: &Vm, error: pve::Error) {
        self.creation.outcome = match &error {
            _ if error.delivery() == Delivery::Unknown => {
                let vmid = vm.vmid;
                if self.is_first_note(format!("lost answer {vmid}")) {
                    self.run.progress().note(&format!(
                        "No answer to the {} request ({error}); checking VM {vmid}...",
                        self.noun()
                    ));
                }
                self.creation.undecided = true;
                self.creation.doubt = Some(Doubt::Lost {
                    what: self.noun(),
                    why: Box::new(error),
                });
                RequestOutcome::Unknown
            }
            pve::Error::Refused { message, .. } => {
                let outcome = self.outcome_of(message);
                outcome.unwrap_or_else(|| RequestOutcome::Refused(Box::new(error)))
            }
            pve::Error::NoQuorum {
                is_another_left: false,
                ..
            } => RequestOutcome::Refused(Box::new(error)),
            _ if self.creation.undecided => RequestOutcome::Unknown,
            pve::Error::NoQuorum { .. } => {
                self.template = None;
                self.growth = None;
                RequestOutcome::NoQuorum
            }
            _ => RequestOutcome::Refused(Box::new(error)),
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
                if let RequestOutcome::Taken(message) | RequestOutcome::Temporary(message) =
                    &self.creation.outcome
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
            self.creation.outcome = if self.creation.undecided {
                RequestOutcome::Unknown
            } else {
                RequestOutcome::Due
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
        let may_be_created = self.creation.undecided
            && !matches!(self.creation.outcome, RequestOutcome::LeftOver(_));
        if may_be_created {
            self.given_up.clone_from(&vm);
        }
        let stage = self.stage_unless_given_up(Stage::NothingStarted);
        self.journal.write(Event::Failed(vmid), stage);
        let lost = match (&self.view.state, &self.creation.outcome) {
            _ if vm.is_none() => None,
            (Some(VmidState::Another(_)), _) => {
                Some(format!("Another guest has taken VMID {vmid}"))
            }
            (_, RequestOutcome::Taken(_)) if self.creation.undecided => None,
            (_, RequestOutcome::Taken(message) | RequestOutcome::LeftOver(message)) => {
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
        if is_lost && !self.creation.is_from_earlier_run {
            self.picker.exclude(vmid);
        }
        if may_be_created && !is_lost {
            let warning = format!(
                "VM {vmid} may still be created: its {} request got no answer",
                self.noun()
            );
            self.run.warn(&warning);
        }
        self.creation = Creation::default();
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
        self.note_if_from_another_source(&vm, &record);
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

    /// A VM that exists is not created again, even if another template or image is requested. If the VM is not finished,
    /// that was refused before.
    fn note_if_from_another_source(&mut self, vm: &Vm, record: &Record) {
        let Record::Finished(intent) = record else {
            return;
        };
        let was_from = match (&self.run.spec.method, &intent.source) {
            (
                Method::Clone {
                    template: requested,
                    options,
                },
                Source::Template(ClonedFrom {
                    template,
                    template_name: Some(name),
                    ..
                }),
            ) => {
                let is_same = requested == name
                    || *requested == template.to_string()
                    // It may have been renamed.
                    || self.find_template(requested, options).is_ok_and(|found| found.vmid == *template);
                (!is_same).then(|| {
                    format!("template {template} '{name}'; it is not re-created from '{requested}'")
                })
            }
            (Method::Import(image), Source::Image(from)) if !image.is_from(from) => Some(format!(
                "image '{}'; it is not re-created from {}",
                from.volume, image.source
            )),
            _ => None,
        };
        if let Some(was_from) = was_from {
            let note = format!("{vm} was created from {was_from}");
            self.run.progress().note(&note);
        }
    }

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
            Source::Image(from) => {
                return hint_for_import(refused, &intent.node, &from.volume.storage);
            }
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

    /// What the request for the VM of the record is called.
    fn noun(&self) -> &'static str {
        self.journal
            .record()
            .intent()
            .map_or("clone", |intent| noun(&intent.source))
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
            self.noun(),
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
            (Some(VmidState::BeingCreated { .. } | VmidState::Appeared), None, Some(vm)) => {
                return self.half_made(vm);
            }
            (Some(VmidState::BeingCreated { is_named: true }), Some(upid), Some(vm)) => {
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
