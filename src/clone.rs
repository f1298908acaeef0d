//! From a template to a VM: one command, one VM, whatever happens in between.

mod attempt;
mod earlier;
mod error;
mod refusal;
mod report;
mod run;
mod sight;
mod there;
mod vmid;

use snafu::{OptionExt, ResultExt};

pub use self::error::Error;
pub use self::run::{Plan, Ready, Run};

use self::attempt::{Attempt, Outcome, Step};
use self::earlier::{
    claim, finish, intend, not_seen_again, what_an_earlier_run_began, what_an_earlier_run_finished,
};
use self::error::{
    AskForVmidSnafu, ListGuestsSnafu, NoFreeVmidSnafu, NoTemplateSnafu, VmidTakenSnafu,
};
use self::there::{vm_of_that_name, vm_of_that_vmid};
use self::vmid::Choice;
use crate::api::Pve;
use crate::api::types::{Guest, Vmid};
use crate::claim::Claim;
use crate::guests::Guests;
use crate::template::{Found, find_template};
use crate::wait::BackOff;

/// One command, one VM: made by this run, seen to its end for an earlier one, or there before if
/// that will do.
pub fn create(run: &Run) -> Result<Ready, Error> {
    let plan = &run.plan;
    run.progress.creating(&plan.name, &plan.template);
    create_in_time(run).map_err(|error| {
        if run.server.budget.left().is_zero() && error.is_without_answer() {
            let seconds = run.server.budget.total.as_secs_f64();
            let source = Box::new(error);
            return Error::NothingStarted { seconds, source };
        }
        error
    })
}

fn create_in_time(run: &Run) -> Result<Ready, Error> {
    let mut claim = claim(run)?;
    if let Some(there) = what_an_earlier_run_finished(run, &mut claim)? {
        return Ok(there);
    }
    let guests = Guests::read(run.server)
        .context(ListGuestsSnafu)
        .map_err(|error| not_seen_again(run, &claim, error))?;
    let plan = &run.plan;
    let found = find_template(&guests, &plan.template, Some(&plan.name)).context(NoTemplateSnafu);
    let template = found.map(|Found { template, warning }| {
        if let Some(warning) = &warning {
            run.progress.warning(warning);
        }
        template
    });
    if let Some(made) = what_an_earlier_run_began(run, template.as_ref().ok().copied(), &mut claim)?
    {
        return Ok(made);
    }
    let template = template.map_err(|error| not_seen_again(run, &claim, error))?;
    if let Some(there) = vm_of_that_name(run, &guests, template)? {
        return Ok(there);
    }
    clone_to_a_free_vmid(run, &guests, template, &mut claim)
}

fn clone_to_a_free_vmid(
    run: &Run,
    guests: &Guests,
    template: &Guest,
    claim: &mut Claim,
) -> Result<Ready, Error> {
    if let Some(guest) = run.plan.vmid.and_then(|vmid| guests.with_vmid(vmid))
        && let Some(there) = vm_of_that_vmid(run, Some(guest), guest.vmid, template)?
    {
        return Ok(there);
    }
    let mut choice = Choice::default();
    let mut newer = None;
    let mut back_off = BackOff::new(&run.server.budget);
    loop {
        let vmid = match run.plan.vmid {
            Some(vmid) => vmid,
            None => free_vmid(run, newer.as_ref().unwrap_or(guests), &choice)?,
        };
        let vm = run.vm(vmid, &template.node);
        intend(run, &vm, template, claim)?;
        let attempt = Attempt::new(run, claim, template, vm.clone());
        let rival = match attempt.see_to_its_end(Step::Ask)? {
            Outcome::Created(made) => return Ok(finish(run, claim, &vm, made)),
            Outcome::Lost(rival) => rival,
        };
        choice.lost(vmid);
        let guests = newer.insert(Guests::read(run.server).context(ListGuestsSnafu)?);
        if run.plan.vmid.is_some() {
            let rival = rival.as_ref().or_else(|| guests.with_vmid(vmid));
            if let Some(there) = vm_of_that_vmid(run, rival, vmid, template)? {
                return Ok(there);
            }
            // Lost, and free again: whoever it was may be about to take it once more.
            if !back_off.pause() {
                let guest = rival.cloned();
                return VmidTakenSnafu { vmid, guest }.fail();
            }
        }
    }
}

fn free_vmid(run: &Run, guests: &Guests, choice: &Choice) -> Result<Vmid, Error> {
    let next = run.server.ask(Pve::next_vmid).context(AskForVmidSnafu)?;
    choice.next(&guests.vmids(), next).context(NoFreeVmidSnafu)
}

#[cfg(test)]
mod tests;
