//! The actions of a run between its requests.

use super::attempt::{Attempt, Creation, View};
use super::decide::{Pause, RequestOutcome};
use super::fit::note_ignored_places;
use super::spec::Method;
use crate::guests::owner::VmidState;
use crate::guests::{Guests, listed};
use crate::ledger::{ClonedFrom, Event, Record, Source};
use crate::pve::types::Vmid;
use crate::say::failure::Failure;
use crate::say::stage::Stage;
use crate::say::vm::{Existing, Vm};

impl Attempt<'_> {
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
        let record = self.journal.record().clone();
        let vm = match &record {
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
        if let (Record::Created(_), Some(VmidState::Another(guest))) = (&record, &self.view.state) {
            self.run.progress().note(&format!(
                "The VM that an earlier run created was deleted or renamed: its VMID now belongs to {guest}"
            ));
        }
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
                self.run.spec.request_noun()
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

    /// A VM that exists is not created again, even if another template or image is requested. If the VM is not
    /// finished, that was refused before.
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
            let note = format!("{} was created from {was_from}", self.run.called(vm));
            self.run.progress().note(&note);
        }
    }
}
