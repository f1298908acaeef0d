//! From a template to a VM: one command, one VM, whatever happens in between.

mod attempt;
mod error;
mod refusal;
mod sight;
mod vmid;

use std::path::Path;

use snafu::{OptionExt, ResultExt};

pub use self::error::Error;

use self::attempt::{Attempt, Made, Outcome, Step, Tools};
use self::error::{
    AlreadyExistsSnafu, AmbiguousSnafu, AskForVmidSnafu, ListGuestsSnafu, LookAtVmSnafu,
    NameMayBeTakenSnafu, NoFreeVmidSnafu, NoTemplateSnafu, VmidTakenSnafu,
};
use self::sight::{Settled, Sought, Unclear};
use self::vmid::Choice;
use crate::api::Pve;
use crate::api::types::{Guest, Node, Upid, VmConfig, VmName, Vmid};
use crate::claim::{self, Claim, Intent, LeftBehind, Mode, Taken};
use crate::guests::Guests;
use crate::progress::Progress;
use crate::report::{Kind, Report};
use crate::server::Server;
use crate::stage::{Stage, Vm};
use crate::template::find_template;
use crate::wait::{Forgiven, GaveUp, Look};

/// What the user asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// The name that the new VM gets.
    pub name: VmName,
    /// The template's name, or its VMID if no template has that name.
    pub template: String,
    /// The only VMID to take, if the user named one.
    pub vmid: Option<Vmid>,
    /// Whether a VM that is there already is what the user wants.
    pub ensure: bool,
}

/// The VM that is there.
#[derive(Debug, PartialEq, Eq)]
pub struct Ready {
    /// Its VMID.
    pub vmid: Vmid,
    /// The node it is on.
    pub node: Node,
    /// Whether this run has made it, or seen to its end what an earlier one had begun.
    pub created: bool,
    /// The task that made it, where that is known.
    pub upid: Option<Upid>,
    /// What that task warned of.
    pub warnings: Vec<String>,
}

/// What a run works with.
pub struct Cloning<'a> {
    /// The server, and the time there is.
    pub server: Server<'a>,
    /// How the configuration names the servers.
    pub hosts: Vec<String>,
    /// Where runs on this host leave word for each other.
    pub state: &'a Path,
    /// Who hears of it.
    pub progress: &'a dyn Progress,
    /// What spreads runs that want the same.
    pub random: fastrand::Rng,
}

impl<'a> Cloning<'a> {
    /// One command, one VM.
    pub fn create(&mut self, plan: &Plan) -> Result<Ready, Error> {
        self.progress.creating(&plan.name, &plan.template);
        self.create_in_time(plan).map_err(|error| {
            if self.server.budget.left().is_zero() && error.is_without_answer() {
                let seconds = self.server.budget.total.as_secs_f64();
                let source = Box::new(error);
                return Error::NothingStarted { seconds, source };
            }
            error
        })
    }

    fn create_in_time(&mut self, plan: &Plan) -> Result<Ready, Error> {
        let mut claim = self.claim(plan)?;
        self.refuse_what_began_elsewhere(plan, &claim)?;
        if let Some(there) = self.what_an_earlier_run_made(plan, &mut claim)? {
            return Ok(there);
        }
        let guests = Guests::read(self.server).context(ListGuestsSnafu)?;
        let template = find_template(&guests, &plan.template, &plan.name, self.progress)
            .context(NoTemplateSnafu)?
            .clone();
        if let Some(created) = self.what_an_earlier_run_began(plan, &template, &mut claim)? {
            return Ok(created);
        }
        if let Some(there) = self.vm_of_that_name(plan, &guests, &template)? {
            return Ok(there);
        }
        self.clone_to_a_free_vmid(plan, guests, &template, &mut claim)
    }

    /// Before the first request, so that what is read afterwards is newer than what the run before
    /// has done.
    fn claim(&self, plan: &Plan) -> Result<Claim, Error> {
        let (name, mut holder) = (&plan.name, None);
        let claim = self.server.budget.look_until_done(
            |_| Forgiven::Not,
            || match Claim::take(self.state, name) {
                Ok(Taken::Ours(claim)) => Ok(Look::Done(claim)),
                Ok(Taken::HeldBy(process)) if plan.ensure => {
                    if holder.is_none() {
                        self.progress
                            .note("Waiting for another run that makes the same VM...");
                    }
                    holder = Some(process);
                    Ok(Look::NotYet)
                }
                Ok(Taken::HeldBy(holder)) => {
                    let name = name.clone();
                    Err(Error::Claimed { name, holder })
                }
                Err(source) => self.without_claim(plan, source).map(Look::Done),
            },
        );
        claim.map_err(|gave_up| match gave_up {
            GaveUp::Failed(error) => error,
            GaveUp::TimeIsUp(_) => Error::StillClaimed {
                seconds: self.server.budget.total.as_secs_f64(),
                name: name.clone(),
                holder: holder.flatten(),
            },
        })
    }

    /// `--ensure` promises something about runs before and beside this one, which takes a claim or
    /// a VMID to look at. Without it the user has less, and is told.
    fn without_claim(&self, plan: &Plan, source: claim::Error) -> Result<Claim, Error> {
        let is_damaged = matches!(source, claim::Error::Damaged { .. });
        if is_damaged || (plan.ensure && plan.vmid.is_none()) {
            return Err(Error::Claim { source });
        }
        let why = Report::of(Kind::Failed, &source).message;
        self.progress.warning(&format!(
            "other runs on this host are not kept from making the same VM: {why}"
        ));
        Ok(Claim::without_file())
    }

    fn refuse_what_began_elsewhere(&self, plan: &Plan, claim: &Claim) -> Result<(), Error> {
        match claim.left_behind() {
            LeftBehind::Open(begun, _) if !self.is_of_this_cluster(begun) => {
                Err(Error::BegunElsewhere {
                    name: plan.name.clone(),
                    begun: begun.clone(),
                    path: claim.path().to_owned(),
                })
            }
            _ => Ok(()),
        }
    }

    /// A VM that was there when an earlier run ended may be another's now, or gone.
    fn what_an_earlier_run_made(
        &self,
        plan: &Plan,
        claim: &mut Claim,
    ) -> Result<Option<Ready>, Error> {
        let (made, is_finished) = match claim.left_behind().clone() {
            LeftBehind::Created(made) => (made, false),
            LeftBehind::Finished(made) => (made, true),
            LeftBehind::Open(..) | LeftBehind::Nothing => return Ok(None),
        };
        if !self.is_of_this_cluster(&made) {
            return Ok(None);
        }
        let vm = vm(plan, made.vmid, &made.node);
        match self.settled(&vm, None)? {
            Settled::Free | Settled::Anothers(_) => {
                self.remember(claim.failed(vm.vmid));
                Ok(None)
            }
            Settled::Hidden => Err(Error::MadeUnseen { vm }),
            Settled::Ours(node) if is_finished => exists(plan, Vm { node, ..vm }).map(Some),
            Settled::Ours(node) => {
                let made = Made {
                    node,
                    upid: None,
                    warnings: Vec::new(),
                };
                Ok(Some(self.finish(claim, &vm, made)))
            }
        }
    }

    /// A clone that a run before has asked for and not seen to its end may come at any time, so no
    /// other one is begun until it has come or cannot come any more.
    fn what_an_earlier_run_began(
        &mut self,
        plan: &Plan,
        template: &Guest,
        claim: &mut Claim,
    ) -> Result<Option<Ready>, Error> {
        let LeftBehind::Open(begun, upid) = claim.left_behind().clone() else {
            return Ok(None);
        };
        let asked = match plan.vmid {
            Some(vmid) if vmid != begun.vmid => format!("VMID {vmid}"),
            _ if template.vmid != begun.template => template.to_string(),
            _ => String::new(),
        };
        if !asked.is_empty() {
            let name = plan.name.clone();
            return Err(Error::BegunOtherwise { name, begun, asked });
        }
        self.progress.note(&format!(
            "An earlier run has begun to make VM {}; seeing that to its end...",
            begun.vmid
        ));
        let vm = vm(plan, begun.vmid, &begun.node);
        let first = upid.map_or(Step::Look, Step::Watch);
        let attempt = Attempt::taken_over(self.tools(claim), template, vm.clone());
        match attempt.see_to_its_end(first)? {
            Outcome::Created(made) => Ok(Some(self.finish(claim, &vm, made))),
            Outcome::Lost(_) => {
                self.lost(claim, &vm);
                Ok(None)
            }
        }
    }

    /// Proxmox would make a second VM of the same name without a word.
    fn vm_of_that_name(
        &self,
        plan: &Plan,
        guests: &Guests,
        template: &Guest,
    ) -> Result<Option<Ready>, Error> {
        let name = &plan.name;
        let mut holders = self.holders(guests.vms_with_row_named(name.as_str()), name)?;
        if holders.is_empty() {
            holders = self.holders(guests.vms_behind_rows_named(name.as_str()), name)?;
        }
        if holders.is_empty() {
            return self.refuse_if_in_doubt(plan, guests).map(|()| None);
        }
        let is_meant = |holder: &&Guest| plan.vmid.is_none_or(|vmid| vmid == holder.vmid);
        let meant: Vec<&Guest> = holders.iter().filter(is_meant).collect();
        let name = name.clone();
        match meant[..] {
            [holder] if plan.ensure => {
                let vm = vm(plan, holder.vmid, &holder.node);
                match self.settled(&vm, Some(template))? {
                    Settled::Ours(node) => exists(plan, Vm { node, ..vm }).map(Some),
                    Settled::Free | Settled::Anothers(_) => Ok(None),
                    Settled::Hidden => Err(Error::CannotSee { vm }),
                }
            }
            [_, _, ..] if plan.ensure => AmbiguousSnafu { name, holders }.fail(),
            _ => AlreadyExistsSnafu { name, holders }.fail(),
        }
    }

    fn refuse_if_in_doubt(&self, plan: &Plan, guests: &Guests) -> Result<(), Error> {
        let name = plan.name.clone();
        let doubts = guests.doubts().join("; ");
        if doubts.is_empty() {
            return Ok(());
        }
        if plan.vmid.is_none() {
            return NameMayBeTakenSnafu { name, doubts }.fail();
        }
        // Whoever names the VMID knows which VM is meant, even if another one bears its name.
        self.progress
            .warning(&format!("another VM may be named '{name}': {doubts}"));
        Ok(())
    }

    /// Those that have the name indeed: a reused VMID keeps the dead guest's name in its row for
    /// seconds, and only the VM's configuration is the truth.
    fn holders<'g>(
        &self,
        vms: impl Iterator<Item = &'g Guest>,
        name: &VmName,
    ) -> Result<Vec<Guest>, Error> {
        let is_holder =
            |config: VmConfig| !config.template && config.name.as_deref() == Some(name.as_str());
        let mut holders = Vec::new();
        for vm in vms {
            let config = self.server.ask(|pve| pve.vm_config(&vm.node, vm.vmid));
            let config = config.with_context(|_| LookAtVmSnafu {
                vmid: vm.vmid,
                name: name.clone(),
            })?;
            if config.is_some_and(is_holder) {
                holders.push(vm.clone());
            }
        }
        Ok(holders)
    }

    fn clone_to_a_free_vmid(
        &mut self,
        plan: &Plan,
        mut guests: Guests<'a>,
        template: &Guest,
        claim: &mut Claim,
    ) -> Result<Ready, Error> {
        let mut choice = Choice::default();
        if let Some(guest) = plan.vmid.and_then(|vmid| guests.with_vmid(vmid))
            && let Some(there) = self.vm_of_that_vmid(plan, Some(guest), guest.vmid, template)?
        {
            return Ok(there);
        }
        loop {
            let vmid = match plan.vmid {
                Some(vmid) => vmid,
                None => self.free_vmid(&guests, &choice)?,
            };
            let vm = vm(plan, vmid, &template.node);
            self.intend(plan, &vm, template, claim)?;
            let attempt = Attempt::fresh(self.tools(claim), template, vm.clone());
            let rival = match attempt.see_to_its_end(Step::Ask)? {
                Outcome::Created(made) => return Ok(self.finish(claim, &vm, made)),
                Outcome::Lost(rival) => rival,
            };
            self.lost(claim, &vm);
            choice.lost(vmid);
            guests = Guests::read(self.server).context(ListGuestsSnafu)?;
            if plan.vmid.is_some() {
                let rival = rival.as_ref().or_else(|| guests.with_vmid(vmid));
                if let Some(there) = self.vm_of_that_vmid(plan, rival, vmid, template)? {
                    return Ok(there);
                }
            }
        }
    }

    /// Who has the only VMID that will do, once nothing is in the making there. `None` if it has
    /// become free.
    fn vm_of_that_vmid(
        &self,
        plan: &Plan,
        rival: Option<&Guest>,
        vmid: Vmid,
        template: &Guest,
    ) -> Result<Option<Ready>, Error> {
        if !plan.ensure {
            let guest = rival.cloned();
            return VmidTakenSnafu { vmid, guest }.fail();
        }
        let node = rival.map_or(&template.node, |rival| &rival.node);
        let vm = vm(plan, vmid, node);
        match self.settled(&vm, Some(template))? {
            Settled::Free => Ok(None),
            Settled::Ours(node) => exists(plan, Vm { node, ..vm }).map(Some),
            Settled::Anothers(guest) => VmidTakenSnafu { vmid, guest }.fail(),
            Settled::Hidden => VmidTakenSnafu { vmid, guest: None }.fail(),
        }
    }

    fn free_vmid(&mut self, guests: &Guests, choice: &Choice) -> Result<Vmid, Error> {
        let next = self.server.ask(Pve::next_vmid).context(AskForVmidSnafu)?;
        let vmid = choice.next(&guests.vmids(), next, &mut self.random);
        vmid.context(NoFreeVmidSnafu)
    }

    fn intend(
        &self,
        plan: &Plan,
        vm: &Vm,
        template: &Guest,
        claim: &mut Claim,
    ) -> Result<(), Error> {
        let intent = Intent {
            vmid: vm.vmid,
            node: vm.node.clone(),
            template: template.vmid,
            mode: Mode::Full,
            hosts: self.hosts.clone(),
        };
        if let Err(error) = claim.intend(&intent) {
            *claim = self.without_claim(plan, error)?;
        }
        Ok(())
    }

    /// What there is at a VMID that is not ours to clone to.
    fn settled(&self, vm: &Vm, template: Option<&Guest>) -> Result<Settled, Error> {
        let sought = Sought {
            vm: vm.clone(),
            template: template.map(|template| (template.vmid, template.node.clone())),
            is_begun: false,
        };
        let budget = self.server.budget;
        let vm = vm.clone();
        match sought.settled(self.server, budget.clock.elapsed()) {
            Ok(settled) => Ok(settled),
            Err(Unclear::HalfMade(missing)) => Err(Error::HalfMade {
                vm,
                missing,
                failure: None,
            }),
            Err(Unclear::BeingCloned(upid)) => Err(Error::Timeout {
                seconds: budget.total.as_secs_f64(),
                stage: Stage::Cloning(vm, upid),
                unseen: None,
            }),
            Err(Unclear::TimeIsUp(unseen)) => Err(Error::StillUnclear {
                seconds: budget.total.as_secs_f64(),
                vm,
                unseen: unseen.map(|error| error.to_string()),
            }),
            Err(Unclear::Failed(source)) => Err(Error::LookAtVm {
                vmid: vm.vmid,
                name: vm.name,
                source: Box::new(source),
            }),
        }
    }

    fn finish(&self, claim: &mut Claim, vm: &Vm, made: Made) -> Ready {
        self.remember(claim.finished(vm.vmid));
        Ready {
            vmid: vm.vmid,
            node: made.node,
            created: true,
            upid: made.upid,
            warnings: made.warnings,
        }
    }

    fn lost(&self, claim: &mut Claim, vm: &Vm) {
        self.progress.at(Stage::NothingStarted);
        self.progress.note(&format!(
            "VMID {} went to another guest in the same moment",
            vm.vmid
        ));
        self.remember(claim.failed(vm.vmid));
    }

    /// What cannot be written down any more changes nothing at the server.
    fn remember(&self, written: Result<(), claim::Error>) {
        if let Err(error) = written {
            let why = Report::of(Kind::Failed, &error).message;
            self.progress.warning(&why);
        }
    }

    fn is_of_this_cluster(&self, intent: &Intent) -> bool {
        intent.hosts.iter().any(|host| self.hosts.contains(host))
    }

    fn tools<'t>(&'t mut self, claim: &'t mut Claim) -> Tools<'t> {
        Tools {
            server: self.server,
            progress: self.progress,
            random: &mut self.random,
            claim,
        }
    }
}

/// It was there before, which is what the user wants or the very thing to be told.
fn exists(plan: &Plan, vm: Vm) -> Result<Ready, Error> {
    if !plan.ensure || plan.vmid.is_some_and(|vmid| vmid != vm.vmid) {
        return Err(Error::Exists { vm });
    }
    Ok(Ready {
        vmid: vm.vmid,
        node: vm.node,
        created: false,
        upid: None,
        warnings: Vec::new(),
    })
}

fn vm(plan: &Plan, vmid: Vmid, node: &Node) -> Vm {
    Vm {
        vmid,
        name: plan.name.clone(),
        node: node.clone(),
    }
}

#[cfg(test)]
mod tests;
