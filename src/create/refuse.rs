//! The failure of each refusal, with what was seen.

use super::attempt::{Answer, Attempt};
use super::decide::Refusal;
use super::failure::{
    Error, Failed, Half, ambiguous, begun_otherwise, created_unseen, exists, half_made, hidden,
    still_unclear, task_failed, timed_out, vmid_taken,
};
use super::owner::Sight;
use crate::ledger::{Event, Intent, Record};
use crate::pve::types::Guest;
use crate::say::failure::Started;
use crate::say::stage::Stage;
use crate::say::vm::Vm;

impl Attempt<'_> {
    /// Why no VM can be had.
    pub fn refuse(&mut self, refusal: Refusal) -> Error {
        let order = &self.run.order;
        match refusal {
            Refusal::NameMayBeTaken => Error::name_may_be_taken(&order.name, &self.doubts()),
            Refusal::Ambiguous => ambiguous(&order.name, &self.holders).into(),
            Refusal::Exists => exists(&order.name, &self.holders(), order.ensure).into(),
            Refusal::VmidTaken(vmid) => {
                let row = self.guests.as_ref().and_then(|it| it.with_vmid(vmid));
                let guest = match &self.view.sight {
                    Some(Sight::Anothers(guest)) => Some(guest),
                    _ => row,
                };
                vmid_taken(vmid, guest).into()
            }
            Refusal::AskedOtherwise(begun) => {
                let asked = self.differences(&begun).join(", ");
                let started = match self.journal.record() {
                    Record::Created(_) => Started::Yes,
                    _ => Started::Unknown,
                };
                begun_otherwise(&order.name, &begun, &asked, started, self.journal.path()).into()
            }
            Refusal::Hidden(begun) => {
                let was_created = !matches!(self.journal.record(), Record::Asked(..));
                hidden(self.run, &self.vm_of(&begun), was_created).into()
            }
            Refusal::HalfMade(begun) => {
                let half = match &self.view.sight {
                    Some(Sight::Incomplete(disks)) => Half::Lacks(disks.clone()),
                    Some(Sight::InTheMaking { is_named: true }) => Half::Locked,
                    _ => Half::Nameless,
                };
                self.half_made(&self.vm_of(&begun), &half)
            }
            Refusal::CloneFailed(begun) => self.clone_failed(&begun),
        }
    }

    /// The VMs that have the name; the one that was looked at if the list does not show it.
    fn holders(&self) -> Vec<Guest> {
        match &self.view.sight {
            Some(Sight::Ours(vm, config)) if self.holders.is_empty() => {
                vec![config.clone().into_guest(vm.vmid, vm.node.clone())]
            }
            _ => self.holders.clone(),
        }
    }

    /// What the request has ended in, as far as that is known.
    fn clone_failed(&mut self, begun: &Intent) -> Error {
        let vm = self.vm_of(begun);
        let (template, undecided) = (begun.template, self.clone.undecided);
        let answer = std::mem::replace(&mut self.clone.answer, Answer::None);
        if !undecided && !matches!(answer, Answer::None | Answer::Due | Answer::Done) {
            let failed = Event::Failed(vm.vmid);
            self.journal.tell(failed, Stage::NothingStarted);
        }
        match answer {
            Answer::Refused(source) => Error::clone_refused(template, &vm, undecided, source),
            Answer::Failed(failed) => task_failed(vm, undecided, failed).into(),
            Answer::Taken(words) | Answer::Passes(words) if !undecided => {
                Error::busy(template, &vm, &words, self.run.server.budget.seconds())
            }
            _ => self.timed_out(&Stage::Undecided(vm)),
        }
    }

    fn half_made(&self, vm: &Vm, half: &Half) -> Error {
        let failed: Option<Failed> = match &self.clone.answer {
            Answer::Failed(failed) => Some(failed.clone()),
            _ => None,
        };
        let is_ours = matches!(self.journal.record(), Record::Asked(..));
        half_made(vm, half, is_ours, failed, self.journal.path()).into()
    }

    fn timed_out(&mut self, stage: &Stage) -> Error {
        let seconds = self.run.server.budget.seconds();
        let doubt = self.clone.doubt.take();
        timed_out(seconds, stage, self.view.unseen.as_ref(), doubt).into()
    }

    /// The budget has ended before it was clear what there is.
    pub fn time_is_up(&mut self) -> Error {
        let seconds = self.run.server.budget.seconds();
        let half = match &self.view.sight {
            Some(Sight::InTheMaking { is_named: true }) => Some(Half::Locked),
            Some(Sight::InTheMaking { is_named: false } | Sight::Appeared) => Some(Half::Nameless),
            _ => None,
        };
        if let (Some(half), Some(vm)) = (half, self.view.vm.clone()) {
            match (self.view.running.clone(), half) {
                (None, half) => return self.half_made(&vm, &half),
                (Some(upid), Half::Locked) => {
                    let stage = Stage::Cloning(vm, upid);
                    return timed_out(seconds, &stage, None, None).into();
                }
                _ => {}
            }
        }
        let unseen = self.view.unseen.as_ref();
        match (self.journal.record().clone(), &self.view.vm) {
            (Record::Asked(begun, _), _) => self.clone_failed(&begun),
            (Record::None, Some(vm)) => still_unclear(seconds, vm, unseen).into(),
            (record, Some(vm)) => {
                let is_finished = matches!(record, Record::Finished(_));
                created_unseen(vm, is_finished, Some(seconds), unseen).into()
            }
            (_, None) => self.timed_out(&Stage::NothingStarted),
        }
    }
}
