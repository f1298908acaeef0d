//! How a run observes the state on the server.

use super::attempt::{Attempt, View};
use super::decide::{Age, Namesake, Owner, RequestOutcome};
use super::failure::{created_unchecked, is_out_of_time, no_template, not_read, outcome_unseen};
use super::spec::Method;
use crate::guests::owner::{Expected, VmidState, may_run, running_clone};
use crate::guests::template::{Found, find_template, just_converted};
use crate::guests::{Guests, Unread};
use crate::ledger::{Intent, Record, Source};
use crate::pve;
use crate::pve::types::{CloneOptions, Guest, Node, Upid, Vmid};
use crate::say::failure::Failure;
use crate::say::stage::Stage;
use crate::say::vm::Vm;
use crate::wait::server::Judged;

impl<'r> Attempt<'r> {
    /// Reads the state that the decision of this turn depends on.
    pub fn observe(&mut self) -> Result<(), Failure> {
        match self.journal.record().clone() {
            Record::None => match self.observe_name() {
                // The time limit cut it short: the state observed before still holds.
                Err(failure) if self.view.state.is_some() && is_out_of_time(self.run, &failure) => {
                    self.view.failed(None);
                    Ok(())
                }
                observed => observed,
            },
            Record::Requested(intent, _) => self.observe_requested_vm(&intent),
            Record::Created(intent) => self.observe_created_vm(&intent, false),
            Record::Finished(intent) => self.observe_created_vm(&intent, true),
        }
    }

    /// Reads the guests, finds the VMs that have the name, and checks the VMID of `--vmid`.
    fn observe_name(&mut self) -> Result<(), Failure> {
        self.read_guests()?;
        if let Method::Clone { template, options } = &self.run.spec.method {
            self.find_template(template, options)?;
        }
        let mut found = self.find_holders(None)?;
        // A VM with the name of a new template matters only if there is no such template.
        let is_ours = |state: &VmidState| Owner::of(state) != Owner::Another;
        if found.iter().any(|(.., state)| is_ours(state)) {
            found.retain(|(.., state)| is_ours(state));
        } else {
            // One VM stands for all.
            found.truncate(1);
        }
        let vmid = self.run.spec.vmid;
        let mut candidates = found
            .iter()
            .filter(|(guest, ..)| vmid.is_none_or(|vmid| vmid == guest.vmid));
        let (namesake, observed) = match (candidates.next(), candidates.next()) {
            (Some((_, vm, state)), None) => (Namesake::One, Some((vm.clone(), state.clone()))),
            (Some(_), Some(_)) => (Namesake::Several, None),
            (None, _) if !found.is_empty() => (Namesake::Elsewhere, None),
            (None, _) => {
                let chosen = vmid.map(|vmid| self.observe_chosen_vmid(vmid));
                (self.no_visible_namesake(), chosen.transpose()?)
            }
        };
        self.namesake = namesake;
        self.holders = found.into_iter().map(|(guest, ..)| guest).collect();
        let Some((vm, state)) = observed else {
            self.view = View::default();
            return Ok(());
        };
        if self.run.spec.ensure && Owner::of(&state) == Owner::BeingCreated {
            let inspecting = self.stage_unless_given_up(Stage::Inspecting(vm.clone()));
            self.run.progress().set_stage(inspecting);
            let running = self.running_task(&state, &vm, self.template.as_ref());
            let running =
                running.map_err(|source| not_read("cannot list the running tasks", source))?;
            self.view.found_running(running);
            if self.is_first_note("namesake") {
                let note = format!(
                    "Waiting for another run or user to finish creating VM {}...",
                    vm.vmid
                );
                self.run.progress().note(&note);
            }
        }
        self.view.vm = Some(vm);
        let now = self.run.server.budget.clock.elapsed();
        self.view.succeeded(Some(state), now);
        Ok(())
    }

    /// Checks which guest has the VMID of `--vmid`. The list alone does not prove that it is free.
    fn observe_chosen_vmid(&mut self, vmid: Vmid) -> Result<(Vm, VmidState), Failure> {
        let row = self.guests.as_ref().and_then(|it| it.with_vmid(vmid));
        let node = row.map(|row| row.node.clone());
        let is_listed = node.is_some();
        let node = match node {
            Some(node) => node,
            None => self.node_of_creation()?,
        };
        let (vm, expected) = (self.run.vm(vmid, &node), self.expected());
        let state = self.run.server.ask(|pve| {
            if !is_listed && pve.is_free(vmid)? {
                return Ok(VmidState::Free);
            }
            VmidState::of(pve, &vm, expected)
        });
        let state = state.map_err(|source| {
            not_read(format!("cannot tell which guest has VMID {vmid}"), source)
        })?;
        Ok((vm, state))
    }

    /// The node on which the VM would be created.
    fn node_of_creation(&mut self) -> Result<Node, Failure> {
        match &self.run.spec.method {
            Method::Import(image) => Ok(self.place(image)?.node),
            Method::Clone { template, options } => Ok(self.find_template(template, options)?.node),
        }
    }

    /// Checks the task, then which guest has the VMID, then whether the name is taken, each only if it matters.
    fn observe_requested_vm(&mut self, intent: &Intent) -> Result<(), Failure> {
        let vm = self.vm_of(intent);
        if self.creation.is_from_earlier_run && self.guests.is_none() {
            let read = self.read_guests().map(drop);
            let found = read.and_then(|()| self.find_template_of(intent));
            found.map_err(|error| self.before_resuming(error))?;
            if self.differences(intent).is_empty() {
                let what = if self.run.preview_only {
                    "checking"
                } else {
                    "resuming"
                };
                self.run.progress().note(&format!(
                    "An earlier run began creating VM {}; {what} it...",
                    vm.vmid
                ));
            }
        }
        self.requests_other =
            self.creation.is_from_earlier_run && !self.differences(intent).is_empty();
        if let Some(upid) = self.creation.upid.clone()
            && !self.creation.is_polled
            && !self.requests_other
        {
            self.poll_task(&vm, upid)?;
        }
        self.namesake = Namesake::NotChecked;
        if matches!(self.creation.outcome, RequestOutcome::Due) {
            // The list was read before the pause that waited for a lock.
            self.find_namesakes(vm.vmid);
        }
        let must_observe = match self.creation.outcome {
            RequestOutcome::Unknown | RequestOutcome::Failed(_) => true,
            RequestOutcome::Done => self.creation.is_from_earlier_run,
            RequestOutcome::Taken(_) => self.creation.undecided || self.run.spec.vmid.is_some(),
            RequestOutcome::Due
            | RequestOutcome::LeftOver(_)
            | RequestOutcome::Temporary(_)
            | RequestOutcome::NoQuorum
            | RequestOutcome::Refused(_) => false,
        };
        if !must_observe {
            let now = self.run.server.budget.clock.elapsed();
            self.view.succeeded(None, now);
            return Ok(());
        }
        self.run.progress().set_stage(Stage::Undecided(vm.clone()));
        let template = self.template.clone();
        let expected = Attempt::expected_of(intent, template.as_ref());
        self.observe_vmid(&vm, expected, true)
            .map_err(|source| outcome_unseen(&Stage::Undecided(vm.clone()), &source))?;
        let now = self.observed();
        if now.owner == Owner::Free && now.age >= Age::Settled {
            self.find_namesakes(vm.vmid);
        }
        Ok(())
    }

    /// Checks whether a VM that an earlier run created still exists.
    fn observe_created_vm(&mut self, intent: &Intent, is_finished: bool) -> Result<(), Failure> {
        let vm = self.vm_of(intent);
        self.run.progress().set_stage(Stage::Inspecting(vm.clone()));
        self.observe_vmid(&vm, Attempt::expected_of(intent, None), false)
            .map_err(|source| created_unchecked(&vm, None, Some(&source)))?;
        if is_finished {
            self.set_other_kind_aside()?;
        } else if matches!(self.view.state, Some(VmidState::Ours(..))) {
            let read = self.read_guests().map(drop);
            let found = read.and_then(|()| self.find_template_of(intent));
            found.map_err(|error| self.before_resuming(error))?;
            self.requests_other = !self.differences(intent).is_empty();
        }
        Ok(())
    }

    /// The other command may have created what a finished record is about, or another user may have converted it
    /// since then. A template is no VM of the name, and a VM is not converted: then the record says nothing about
    /// what is requested.
    fn set_other_kind_aside(&mut self) -> Result<(), Failure> {
        match &self.view.state {
            Some(VmidState::Ours(_, config))
                if config.template != self.run.spec.image().is_some() =>
            {
                self.journal.set_aside();
                self.view = View::default();
                self.observe_name()
            }
            _ => Ok(()),
        }
    }

    /// Checks a VMID once. Fails if the check must not be repeated.
    fn observe_vmid(
        &mut self,
        vm: &Vm,
        expected: Expected,
        is_ongoing: bool,
    ) -> Result<(), pve::Error> {
        let server = self.run.server;
        self.view.vm = Some(vm.clone());
        let template = match expected {
            Expected::CloneOf(template) => Some(template),
            _ => None,
        };
        let result = VmidState::of(server.pve, vm, expected).and_then(|state| {
            let running = self.running_task(&state, vm, template)?;
            Ok((state, running))
        });
        match server.judge(is_ongoing, &mut self.view.grace, result)? {
            Judged::Answered((state, running)) => {
                // While a task that creates a hidden VM runs, the state may still change.
                if state == VmidState::Hidden && running.is_some() {
                    self.view.since = None;
                }
                self.view.found_running(running);
                self.view
                    .succeeded(Some(state), server.budget.clock.elapsed());
            }
            // An earlier state or error says more than "no time was left".
            Judged::CutShort(_) if self.view.state.is_some() || self.view.last_error.is_some() => {
                self.view.failed(None);
            }
            Judged::Failed(error) | Judged::CutShort(error) => {
                self.view.failed(Some(Box::new(error)));
            }
        }
        Ok(())
    }

    /// Reads the list of guests: the templates, and those that may have the requested name or VMID.
    fn read_guests(&mut self) -> Result<&Guests<'r>, Failure> {
        let spec = &self.run.spec;
        let template = match &spec.method {
            Method::Clone { template, .. } => Some(template.as_str()),
            Method::Import(_) => None,
        };
        let template_vmid: Option<Vmid> = template.and_then(|it| it.parse().ok());
        let guests = Guests::read(self.run.server, &|guest| {
            guest.is_vm_template()
                || guest.is_named(spec.name.as_str())
                || template.is_some_and(|template| guest.is_named(template))
                || [spec.vmid, template_vmid].contains(&Some(guest.vmid))
        });
        let guests = guests.map_err(|source| not_read("cannot list the guests", source))?;
        let guests = guests.ignoring_offline_nodes(spec.ignore_offline);
        Ok(self.guests.insert(guests))
    }

    /// Finds the requested template, once in a run.
    pub fn find_template(
        &mut self,
        template: &str,
        options: &CloneOptions,
    ) -> Result<Guest, Failure> {
        if let Some(template) = &self.template {
            return Ok(template.clone());
        }
        let (spec, server) = (&self.run.spec, self.run.server);
        let guests = match self.guests {
            Some(ref guests) => guests,
            None => self.read_guests()?,
        };
        let target = options.target.as_ref();
        let found = find_template(guests, template, Some(&spec.name), target);
        let Found {
            template,
            others,
            warning,
        } = match found {
            Ok(found) => found,
            Err(error) => {
                let converted = just_converted(server, guests, template);
                let what = format!("cannot tell whether '{template}' is a template");
                let converted = converted.map_err(|source| not_read(what, source))?;
                let converted = converted.ok_or_else(|| no_template(&error))?;
                return Ok(self.template.insert(converted).clone());
            }
        };
        let template = template.clone();
        self.other_templates = others;
        if let Some(warning) = &warning {
            self.run.warn(warning);
        }
        self.template = Some(template.clone());
        Ok(template)
    }

    /// Finds the requested template. It may be missing if the recorded one is too: the VM may exist anyway.
    fn find_template_of(&mut self, intent: &Intent) -> Result<(), Failure> {
        let Method::Clone { template, options } = &self.run.spec.method else {
            return Ok(());
        };
        // Otherwise it is another request, whether or not there is such a template.
        let Source::Template(from) = &intent.source else {
            return Ok(());
        };
        let found = self.find_template(template, options).map(drop);
        let guests = self.guests.as_ref();
        let recorded = guests.and_then(|guests| guests.with_vmid(from.template));
        match recorded {
            Some(recorded) if recorded.is_vm_template() => found,
            _ => Ok(()),
        }
    }

    /// The VMs that have the name, without the one with VMID `except`. Their configurations decide: for some
    /// seconds the list shows a reused VMID with the name of the removed guest.
    fn find_holders(&self, except: Option<Vmid>) -> Result<Vec<(Guest, Vm, VmidState)>, Failure> {
        let name = &self.run.spec.name;
        let templates = self.run.spec.image().is_some();
        let holder = |guest: &Guest| {
            let vm = self.run.vm(guest.vmid, &guest.node);
            let state = self.run.server.ask(|pve| {
                let state = VmidState::of(pve, &vm, self.expected())?;
                if state == VmidState::Appeared {
                    // If its configuration still cannot be read, that is the failure.
                    pve.vm_config(&vm.node, vm.vmid)?;
                }
                Ok(state)
            });
            let state = state.map_err(|source| {
                let what = format!("cannot tell whether VM {} is named '{name}'", vm.vmid);
                let mut failure = not_read(what, source);
                failure.facts.vmid = Some(vm.vmid);
                failure
            })?;
            let has_name = match &state {
                VmidState::Ours(..) | VmidState::Appeared => true,
                VmidState::BeingCreated { is_named, .. } => *is_named,
                // A VM with the name of the template.
                VmidState::Another(another) if templates => {
                    !another.is_container() && another.is_named(name.as_str())
                }
                _ => false,
            };
            // The list may still show a template as a VM.
            let guest = match &state {
                VmidState::Ours(vm, config) => config.clone().into_guest(vm.vmid, vm.node.clone()),
                VmidState::Another(another) => another.clone(),
                _ => guest.clone(),
            };
            Ok(has_name.then_some((guest, vm, state)))
        };
        let holders = |vms: &mut dyn Iterator<Item = &Guest>| {
            let vms = vms.filter(|guest| Some(guest.vmid) != except);
            vms.filter_map(|guest| holder(guest).transpose()).collect()
        };
        let Some(guests) = &self.guests else {
            return Ok(Vec::new());
        };
        let found: Vec<_> = holders(&mut guests.named_in_rows(name.as_str(), templates))?;
        if found.is_empty() {
            return holders(&mut guests.named_on_nodes(name.as_str(), templates));
        }
        Ok(found)
    }

    /// Checks whether another VM than the one with VMID `except` has the name now. If that cannot be read,
    /// the check of this turn counts as failed.
    fn find_namesakes(&mut self, except: Vmid) {
        let read = self.read_guests().map(drop);
        let found = read.and_then(|()| self.find_holders(Some(except)));
        match found {
            Ok(found) if found.is_empty() => self.namesake = self.no_visible_namesake(),
            Ok(_) => self.namesake = Namesake::Elsewhere,
            Err(error) => self.view.failed(error.request),
        }
    }

    fn no_visible_namesake(&self) -> Namesake {
        let unread = self.guests.as_ref().map(Guests::unread);
        let unread = unread.unwrap_or_default();
        let is_offline = |it: &Unread| matches!(it, Unread::Offline(_));
        match unread.iter().all(is_offline) {
            _ if unread.is_empty() => Namesake::None,
            true => Namesake::MayBeOffline,
            false => Namesake::MayBeHidden,
        }
    }

    /// The running task that may create this VM, if this token may see it: the one that was running when the VM
    /// was first observed as being created, as long as it runs.
    fn running_task(
        &self,
        state: &VmidState,
        vm: &Vm,
        template: Option<&Guest>,
    ) -> Result<Option<Upid>, pve::Error> {
        let pve = self.run.server.pve;
        let before = self.view.since.map(|(owner, _)| owner);
        let owner = Owner::of(state);
        match (owner, before, &self.run.spec.method, template) {
            (Owner::BeingCreated, Some(Owner::BeingCreated), ..) => {
                let running = self.view.running.clone();
                Ok(running.filter(|upid| may_run(pve, upid)))
            }
            (Owner::BeingCreated | Owner::Hidden, _, Method::Import(_), _) => {
                let imports = pve.running_tasks("qmcreate", Some(vm.vmid), &vm.node)?;
                Ok(imports.into_iter().next())
            }
            (Owner::BeingCreated | Owner::Hidden, _, _, Some(template)) => {
                running_clone(pve, template, vm.vmid)
            }
            _ => Ok(None),
        }
    }
}
