//! What a run does once it is decided.

use std::collections::BTreeMap;

use super::attempt::{Answer, Attempt, Clone, View};
use super::decide::{Namesake, Owner, Pause, Request, Seen};
use super::failure::{Doubt, Error};
use super::fit::{check_template, tell_if_elsewhere};
use super::owner::Sight;
use crate::guests::Guests;
use crate::ledger::{Event, Growth, Intent, Record};
use crate::pve::types::{Guest, Vmid};
use crate::pve::{self, Delivery, Pve};
use crate::say::failure::{Failure, Kind};
use crate::say::stage::Stage;
use crate::say::vm::{Existing, Vm};
use crate::wait::refusal::Refusal;

impl Attempt<'_> {
    /// Asks for a clone to `--vmid` or to a free VMID.
    pub fn clone_anew(&mut self, seen: &Seen) -> Result<(), Error> {
        if seen.namesake == Namesake::MayBeHidden {
            // Who names the VMID knows which VM is meant, even if another one has its name.
            let doubts = self.doubts();
            let name = &self.run.order.name;
            self.run
                .progress
                .warning(&format!("another VM may be named '{name}': {doubts}"));
        }
        let template = self.template()?;
        let growth = self.check_template(&template)?;
        let vmid = match self.run.order.vmid {
            Some(vmid) => vmid,
            None => self.free_vmid()?,
        };
        self.clone = Clone::new();
        self.view = View::default();
        self.ask(&template, vmid, growth)
    }

    /// Asks once more for the clone to the VMID of the record.
    pub fn clone_again(&mut self, vmid: Vmid) -> Result<(), Error> {
        let template = self.template();
        let checked = template.and_then(|template| {
            let growth = self.check_template(&template)?;
            Ok((template, growth))
        });
        let (template, growth) = checked.map_err(|error| self.before_seen_again(error))?;
        self.ask(&template, vmid, growth)
    }

    fn ask(
        &mut self,
        template: &Guest,
        vmid: Vmid,
        growth: BTreeMap<String, Growth>,
    ) -> Result<(), Error> {
        let run = self.run;
        let vm = run.vm(vmid, run.node_for(template));
        let (mode, storage) = run.order.mode();
        let options = &run.order.options;
        let intent = Intent {
            vmid,
            node: vm.node.clone(),
            template: template.vmid,
            mode,
            storage,
            pool: options.pool.clone(),
            target: options.target.clone(),
            hosts: run.hosts.clone(),
            growth,
        };
        if self.journal.record().intent() != Some(&intent) {
            self.journal.announce(intent)?;
        }
        run.progress.at(Stage::Undecided(vm.clone()));
        let asked = run.server.ask_for_change(|pve| {
            let (node, template) = (&template.node, template.vmid);
            pve.clone_vm(node, template, vmid, &vm.name, options)
        });
        // From now on it counts how long the VMID is free.
        self.view = View::default();
        let error = match asked {
            Ok(upid) => {
                let stage = Stage::Cloning(vm, upid.clone());
                self.journal.tell(Event::Upid(upid.clone()), stage);
                self.clone.upid = Some(upid);
                self.clone.is_watched = false;
                self.clone.is_taken_over = false;
                self.clone.answer = Answer::None;
                return Ok(());
            }
            Err(error) => error,
        };
        self.not_begun(&vm, error);
        Ok(())
    }

    fn not_begun(&mut self, vm: &Vm, error: pve::Error) {
        self.clone.answer = match &error {
            _ if error.delivery() == Delivery::Unknown => {
                let vmid = vm.vmid;
                let note = format!(
                    "No answer to the clone ({error}); looking what becomes of VM {vmid}..."
                );
                self.tell_once("lost answer", &note);
                self.clone.undecided = true;
                self.clone.doubt = Some(Doubt::Lost(Box::new(error)));
                Answer::None
            }
            pve::Error::Refused { words, .. } => match self.meaning_of(words, vm.vmid) {
                Refusal::VmidTaken => Answer::Taken(words.clone()),
                Refusal::Passes => Answer::Passes(words.clone()),
                Refusal::Final => Answer::Refused(Box::new(error)),
            },
            _ if self.clone.undecided => Answer::None,
            _ => Answer::Refused(Box::new(error)),
        };
    }

    /// What the template's disks come to, once the template was found fit.
    fn check_template(&mut self, template: &Guest) -> Result<BTreeMap<String, Growth>, Error> {
        if let Some(growth) = &self.growth {
            return Ok(growth.clone());
        }
        let growth = check_template(self.run, template)?;
        self.growth = Some(growth.clone());
        Ok(growth)
    }

    fn free_vmid(&self) -> Result<Vmid, Error> {
        let next = self.run.server.ask(Pve::next_vmid);
        let next = next.map_err(|source| Error::request("cannot get a free VMID", source))?;
        let is_taken = |vmid| self.guests.as_ref().is_some_and(|it| it.is_taken(vmid));
        let vmid = self.choice.next(is_taken, next);
        vmid.ok_or_else(|| Failure::new(Kind::Failed, "there is no free VMID left").into())
    }

    /// What may hide a VM of the name.
    pub fn doubts(&self) -> String {
        let doubts = self.guests.as_ref().map(Guests::doubts);
        doubts.map_or_else(String::new, |doubts| doubts.join("; "))
    }

    /// Pauses before the next look. An error if there is no time left for one.
    pub fn wait(&mut self, pause: Pause) -> Result<(), Error> {
        let is_time_left = match pause {
            Pause::Interval => self.pauses.pause(self.run.server.budget.interval),
            Pause::BackOff => {
                if let Answer::Taken(words) | Answer::Passes(words) = &self.clone.answer {
                    let note = format!("Trying again until this passes: {words}");
                    self.tell_once("lock", &note);
                }
                self.back_off.pause()
            }
        };
        if !is_time_left {
            return Err(self.time_is_up());
        }
        if pause == Pause::BackOff {
            self.clone.answer = if self.clone.undecided {
                Answer::None
            } else {
                Answer::Due
            };
        }
        Ok(())
    }

    /// Records that there is no VM of ours at the VMID of the record, and none will come.
    pub fn forget(&mut self, vmid: Vmid, seen: &Seen) {
        let was_asked = matches!(self.journal.record(), Record::Asked(..));
        self.journal
            .tell(Event::Failed(vmid), Stage::NothingStarted);
        let is_lost = seen.owner == Owner::Anothers || seen.request == Request::Taken;
        if was_asked && is_lost {
            if !self.clone.is_taken_over {
                self.choice.lost(vmid);
            }
            let more = match self.run.order.vmid {
                None => "; trying another one...",
                Some(_) => "",
            };
            self.run
                .progress
                .note(&format!("VMID {vmid} went to another guest{more}"));
        }
        self.clone = Clone::new();
        self.view = View::default();
    }

    /// The VM that exists; none if nothing was seen of it after all.
    pub fn take(&mut self) -> Option<Existing> {
        let record = self.journal.record().clone();
        let (vm, config) = match (self.view.sight.take(), record.intent()) {
            (Some(Sight::Ours(vm, config)), _) => (vm, Some(config)),
            (_, Some(intent)) => (self.vm_of(intent), None),
            (_, None) => return None,
        };
        if config.is_some() {
            tell_if_elsewhere(self.run, &vm);
        }
        Some(match record {
            Record::None | Record::Finished(_) => Existing::found(vm, config),
            Record::Created(_) => self.existing(vm, config),
            Record::Asked(..) => {
                let existing = self.existing(vm, config);
                let stage = self.run.stage_of(existing.clone());
                self.journal.tell(Event::Created(existing.vm.vmid), stage);
                existing
            }
        })
    }
}
