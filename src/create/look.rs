//! The looks by which a run learns what there is.

use super::attempt::{Answer, Attempt, View};
use super::decide::{Lasting, Namesake, Owner, Request, Seen};
use super::failure::{Doubt, Error, Failed, created_unseen, lost_sight, timed_out};
use super::order::Run;
use super::owner::{Sight, may_run, running_clone};
use crate::guests::Guests;
use crate::guests::template::{Found, find_template};
use crate::ledger::{Intent, Record};
use crate::pve;
use crate::pve::types::{ExitStatus, Guest, Node, Upid, Vmid};
use crate::say::stage::Stage;
use crate::say::vm::Vm;
use crate::wait::GaveUp;
use crate::wait::refusal::Refusal;
use crate::wait::server::{Glance, is_no_such_task};
use crate::wait::task::{self, Ended};

impl Attempt<'_> {
    /// Looks at whatever the decision of this turn depends on.
    pub fn look(&mut self) -> Result<Seen, Error> {
        match self.journal.record().clone() {
            Record::None => self.look_for_the_name(),
            Record::Asked(begun, _) => self.look_at_what_was_asked(&begun),
            Record::Created(begun) => self.look_at_what_was_created(&begun, false),
            Record::Finished(begun) => self.look_at_what_was_created(&begun, true),
        }
    }

    /// The list, the VMs that have the name, and who has the VMID of `--vmid`.
    fn look_for_the_name(&mut self) -> Result<Seen, Error> {
        self.read_guests()
            .map_err(|source| Error::request("cannot list the guests", source))?;
        self.find_template()?;
        let found = self.find_holders(None).map_err(|(vmid, source)| {
            let name = &self.run.order.name;
            let what = format!("cannot tell whether VM {vmid} is named '{name}'");
            Error::request(what, source).about(vmid)
        })?;
        let vmid = self.run.order.vmid;
        let mut meant = found
            .iter()
            .filter(|(holder, _)| vmid.is_none_or(|vmid| vmid == holder.vmid));
        let (namesake, looked) = match (meant.next(), meant.next()) {
            (Some((holder, sight)), None) => {
                let vm = self.run.vm(holder.vmid, &holder.node);
                (Namesake::One, Some((vm, sight.clone())))
            }
            (Some(_), Some(_)) => (Namesake::Several, None),
            (None, _) if !found.is_empty() => (Namesake::Elsewhere, None),
            (None, _) => (self.unseen_namesake(), self.look_at_choice()?),
        };
        self.holders = found.into_iter().map(|(holder, _)| holder).collect();
        let Some((vm, sight)) = looked else {
            self.view = View::default();
            return Ok(self.seen(false, namesake));
        };
        if self.run.order.ensure && sight.owner() == Owner::InTheMaking {
            self.run.progress.at(Stage::Inspecting(vm.clone()));
            let template = self.template()?;
            let template = (template.vmid, template.node);
            let running = self.running_clone(&sight, Some(&template), vm.vmid);
            self.view.running =
                running.map_err(|source| Error::request("cannot list the clones", source))?;
            self.tell_once(
                "namesake",
                &format!("Waiting for whoever is making VM {}...", vm.vmid),
            );
        }
        self.view.vm = Some(vm);
        self.view.saw(Some(sight), self.now());
        Ok(self.seen(false, namesake))
    }

    /// Who has the VMID of `--vmid`: a list that does not show it says nothing.
    fn look_at_choice(&self) -> Result<Option<(Vm, Sight)>, Error> {
        let Some(vmid) = self.run.order.vmid else {
            return Ok(None);
        };
        let failed = |source| Error::request(format!("cannot tell who has VMID {vmid}"), source);
        let row = self
            .guests
            .as_ref()
            .and_then(|guests| guests.with_vmid(vmid));
        let node = match row {
            Some(row) => row.node.clone(),
            None => self.template()?.node,
        };
        let vm = self.run.vm(vmid, &node);
        let is_free = row.is_none()
            && self
                .run
                .server
                .ask(|pve| pve.is_free(vmid))
                .map_err(failed)?;
        let sight = if is_free {
            Sight::Free
        } else {
            let looked = self.run.server.ask(|pve| Sight::of(pve, &vm, None));
            looked.map_err(failed)?
        };
        Ok(Some((vm, sight)))
    }

    /// The task, then who has the VMID, then whether the name is taken, as far as each matters.
    fn look_at_what_was_asked(&mut self, begun: &Intent) -> Result<Seen, Error> {
        let vm = self.vm_of(begun);
        if self.clone.is_taken_over && self.template.is_none() {
            self.read_guests()
                .map_err(|source| Error::request("cannot list the guests", source))
                .map_err(|error| self.before_seen_again(error))?;
            self.find_template_of(begun)
                .map_err(|error| self.before_seen_again(error))?;
            if self.differences(begun).is_empty() {
                self.run.progress.note(&format!(
                    "An earlier run has begun to make VM {}; seeing that to its end...",
                    vm.vmid
                ));
            }
        }
        let asks_otherwise = self.clone.is_taken_over && !self.differences(begun).is_empty();
        if let (Some(upid), false, false) = (
            self.clone.upid.clone(),
            self.clone.is_watched,
            asks_otherwise,
        ) {
            self.watch_task(&vm, upid)?;
        }
        let must_look = match self.clone.request() {
            Request::Unknown | Request::Failed => true,
            Request::Done => self.clone.is_taken_over,
            Request::Taken => self.clone.undecided || self.run.order.vmid.is_some(),
            Request::Due | Request::Passes | Request::Refused => false,
        };
        if !must_look {
            self.view.saw(None, self.now());
            return Ok(self.seen(asks_otherwise, Namesake::None));
        }
        if self.clone.request() != Request::Done {
            self.run.progress.at(Stage::Undecided(vm.clone()));
        }
        let template = self.template_of(begun);
        self.look_at(&vm, template.as_ref(), true)
            .map_err(|source| lost_sight(&Stage::Undecided(vm.clone()), &source))?;
        let mut namesake = Namesake::None;
        let seen = self.seen(asks_otherwise, namesake);
        if seen.owner == Owner::Free && seen.lasting >= Lasting::AWhile {
            namesake = self.look_for_namesakes(vm.vmid)?;
        }
        Ok(Seen { namesake, ..seen })
    }

    /// Whether a VM that an earlier run has created is still there.
    fn look_at_what_was_created(
        &mut self,
        begun: &Intent,
        is_finished: bool,
    ) -> Result<Seen, Error> {
        let vm = self.vm_of(begun);
        self.run.progress.at(Stage::Inspecting(vm.clone()));
        self.look_at(&vm, None, false)
            .map_err(|source| created_unseen(&vm, is_finished, None, Some(&source)))?;
        let mut asks_otherwise = false;
        if !is_finished && matches!(self.view.sight, Some(Sight::Ours(..))) {
            // Without the list it does not show; the VM is there all the same.
            if self.read_guests().is_ok() {
                self.find_template_of(begun)?;
            }
            asks_otherwise = !self.differences(begun).is_empty();
        }
        Ok(self.seen(asks_otherwise, Namesake::None))
    }

    fn seen(&self, asks_otherwise: bool, namesake: Namesake) -> Seen {
        Seen {
            asks_otherwise,
            request: self.clone.request(),
            undecided: self.clone.undecided,
            owner: match &self.view.sight {
                _ if self.view.is_blind => Owner::Unknown,
                Some(sight) => sight.owner(),
                None => Owner::NotLooked,
            },
            lasting: self.lasting(),
            clone_runs: self.view.running.is_some(),
            namesake,
        }
    }

    /// Polls the clone's task until it has ended.
    fn watch_task(&mut self, vm: &Vm, upid: Upid) -> Result<(), Error> {
        let Run {
            server, progress, ..
        } = *self.run;
        let stage = Stage::Cloning(vm.clone(), upid.clone());
        progress.at(stage.clone());
        progress.cloning(|| self.count_disks());
        let waited = if self.clone.is_taken_over {
            task::wait_while_visible(server, &upid, progress)
        } else {
            task::wait(server, &upid, progress)
        };
        self.clone.is_watched = true;
        let Ended {
            status,
            before_first_look,
        } = match waited {
            Ok(ended) => ended,
            Err(GaveUp::TimeIsUp(unseen)) => {
                let seconds = server.budget.seconds();
                return Err(timed_out(seconds, &stage, unseen.as_ref(), None).into());
            }
            // The task may be another token's, or of a node that is down, gone or set up anew.
            Err(GaveUp::Failed(error)) if self.clone.is_taken_over || is_no_such_task(&error) => {
                Ended {
                    status: ExitStatus::Unexpected,
                    before_first_look: true,
                }
            }
            Err(GaveUp::Failed(source)) => return Err(lost_sight(&stage, &source).into()),
        };
        let is_fresh = !self.clone.is_taken_over || !before_first_look;
        match status {
            ExitStatus::Ok | ExitStatus::Warnings(_) => {
                self.clone.answer = Answer::Done;
                if is_fresh {
                    // Its VM cannot have been destroyed since.
                    self.clone.is_taken_over = false;
                    let existing = self.existing(vm.clone(), None);
                    progress.at(self.run.stage_of(existing));
                }
                // Read before it is recorded as created: if this run is killed, the next one reads them.
                if let ExitStatus::Warnings(_) = status {
                    self.clone.warnings = task::warnings(server, &upid);
                }
            }
            ExitStatus::Unexpected => {
                self.clone.answer = Answer::None;
                self.clone.undecided = true;
                if is_fresh {
                    progress.note(&format!(
                        "The worker of the clone died, or its node went down ({upid}); looking what \
                         becomes of VM {}...",
                        vm.vmid
                    ));
                    self.clone.doubt = Some(Doubt::WorkerDied(upid));
                }
            }
            ExitStatus::Failed(words) => {
                progress.at(Stage::Undecided(vm.clone()));
                self.task_failed(vm.vmid, upid, words);
            }
        }
        Ok(())
    }

    fn task_failed(&mut self, vmid: Vmid, upid: Upid, words: String) {
        self.clone.answer = match self.meaning_of(&words, vmid) {
            Refusal::VmidTaken => Answer::Taken(words),
            Refusal::Passes => Answer::Passes(words),
            // How an earlier run's task has failed does not say what this one would do.
            Refusal::Final if self.clone.is_taken_over => Answer::None,
            Refusal::Final => {
                let log = task::last_lines(self.run.server, &upid);
                Answer::Failed(Failed { upid, words, log })
            }
        };
    }

    /// How many disks are copied, if that can be known.
    fn count_disks(&self) -> Option<usize> {
        let Guest { vmid, node, .. } = self.template.as_ref()?.as_ref().ok()?;
        let config = self.run.server.pve.vm_config(node, *vmid);
        config.ok().flatten().map(|config| config.disks().len())
    }

    /// One look at a VMID. An error if looking again is no use.
    fn look_at(
        &mut self,
        vm: &Vm,
        template: Option<&(Vmid, Node)>,
        goes_on: bool,
    ) -> Result<(), pve::Error> {
        let server = self.run.server;
        self.view.vm = Some(vm.clone());
        let looked = Sight::of(server.pve, vm, template).and_then(|sight| {
            let running = self.running_clone(&sight, template, vm.vmid)?;
            Ok((sight, running))
        });
        match server.glance(goes_on, &mut self.view.patience, looked)? {
            Glance::Saw((sight, running)) => {
                // While a clone to a hidden VMID runs, nothing is settled.
                if sight == Sight::Hidden && running.is_some() {
                    self.view.since = None;
                }
                self.view.running = running;
                self.view.saw(Some(sight), self.now());
            }
            Glance::Failed(error) => {
                self.view.is_blind = true;
                self.view.unseen = Some(error);
            }
            Glance::CutShort(error) => {
                self.view.is_blind = true;
                if self.view.sight.is_none() {
                    self.view.unseen.get_or_insert(error);
                }
            }
        }
        Ok(())
    }

    /// All templates, and whatever may have the name or the VMID that is asked for.
    fn read_guests(&mut self) -> Result<(), pve::Error> {
        let order = &self.run.order;
        let template: Option<Vmid> = order.template.parse().ok();
        let guests = Guests::read(self.run.server, &|guest| {
            guest.is_vm_template()
                || guest.is_named(order.name.as_str())
                || guest.is_named(&order.template)
                || [order.vmid, template].contains(&Some(guest.vmid))
        })?;
        self.guests = Some(guests);
        Ok(())
    }

    fn find_template(&mut self) -> Result<(), Error> {
        if let (Some(guests), None | Some(Err(_))) = (&self.guests, &self.template) {
            let order = &self.run.order;
            let found = find_template(guests, &order.template, Some(&order.name));
            self.template = Some(found.map(|Found { template, warning }| {
                if let Some(warning) = &warning {
                    self.run.progress.warning(warning);
                }
                template.clone()
            }));
        }
        self.template().map(drop)
    }

    /// The template of the order. None is no error where that of the record is gone: its VM may be there
    /// all the same.
    fn find_template_of(&mut self, begun: &Intent) -> Result<(), Error> {
        let found = self.find_template();
        let guests = self.guests.as_ref();
        let recorded = guests.and_then(|guests| guests.with_vmid(begun.template));
        match recorded {
            Some(recorded) if recorded.is_vm_template() => found,
            _ => Ok(()),
        }
    }

    /// The VMs that have the name indeed, another VMID than `except`: a reused VMID keeps the dead
    /// guest's name in its row for seconds, and only the VM's configuration is the truth.
    fn find_holders(
        &self,
        except: Option<Vmid>,
    ) -> Result<Vec<(Guest, Sight)>, (Vmid, pve::Error)> {
        let Some(guests) = &self.guests else {
            return Ok(Vec::new());
        };
        let name = self.run.order.name.as_str();
        let holders = |vms: &mut dyn Iterator<Item = &Guest>| {
            let mut holders = Vec::new();
            for guest in vms.filter(|guest| Some(guest.vmid) != except) {
                let vm = self.run.vm(guest.vmid, &guest.node);
                let sight = self.run.server.ask(|pve| Sight::of(pve, &vm, None));
                let sight = sight.map_err(|error| (guest.vmid, error))?;
                let has_name = matches!(
                    sight,
                    Sight::Ours(..) | Sight::InTheMaking { is_named: true } | Sight::Appeared
                );
                if has_name {
                    holders.push((guest.clone(), sight));
                }
            }
            Ok(holders)
        };
        let found = holders(&mut guests.vms_with_row_named(name))?;
        if found.is_empty() {
            return holders(&mut guests.vms_behind_rows_named(name));
        }
        Ok(found)
    }

    /// Whether another VM than the one at this VMID has the name by now. Where that cannot be found out
    /// this time, the look counts as failed.
    fn look_for_namesakes(&mut self, except: Vmid) -> Result<Namesake, Error> {
        let mut found = self.read_guests();
        let mut holders = Vec::new();
        if found.is_ok() {
            found = self
                .find_holders(Some(except))
                .map(|found| holders = found)
                .map_err(|(_, error)| error);
        }
        let server = self.run.server;
        match server.glance(true, &mut self.view.patience, found) {
            Ok(Glance::Saw(())) if holders.is_empty() => Ok(self.unseen_namesake()),
            Ok(Glance::Saw(())) => Ok(Namesake::Elsewhere),
            Ok(Glance::Failed(error) | Glance::CutShort(error)) => {
                self.view.unseen = Some(error);
                Ok(Namesake::Elsewhere)
            }
            Err(source) => {
                Err(self.before_seen_again(Error::request("cannot list the guests", source)))
            }
        }
    }

    fn unseen_namesake(&self) -> Namesake {
        let doubts = self.guests.as_ref().map(Guests::doubts);
        if doubts.is_none_or(|doubts| doubts.is_empty()) {
            Namesake::None
        } else {
            Namesake::MayBeHidden
        }
    }

    /// The clone that works on what was seen at a VMID, if this token may see it: the one that ran when
    /// the VM was first seen to be in the making, as long as it runs.
    fn running_clone(
        &self,
        sight: &Sight,
        template: Option<&(Vmid, Node)>,
        vmid: Vmid,
    ) -> Result<Option<Upid>, pve::Error> {
        let pve = self.run.server.pve;
        let before = self.view.since.map(|(owner, _)| owner);
        match (sight.owner(), before, template) {
            (Owner::InTheMaking, Some(Owner::InTheMaking), _) => {
                let running = self.view.running.clone();
                Ok(running.filter(|upid| may_run(pve, upid)))
            }
            (Owner::InTheMaking | Owner::Hidden, _, Some(template)) => {
                running_clone(pve, template, vmid)
            }
            _ => Ok(None),
        }
    }
}
