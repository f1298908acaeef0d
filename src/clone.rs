//! From a template to a VM: one command, one VM, whatever happens in between.

mod attempt;
mod earlier;
mod error;
mod fit;
mod refusal;
mod report;
mod run;
mod sight;
mod steps;
mod there;
mod unfinished;
mod vmid;
mod wanted;
mod work;

use snafu::{OptionExt, ResultExt};

pub use self::error::Error;
pub use self::run::{Plan, Ready, Run};
pub use self::wanted::Wanted;

use self::attempt::{Attempt, Next, Outcome};
use self::earlier::{
    claim, finish, intend, made, not_seen_again, what_an_earlier_run_began,
    what_an_earlier_run_finished,
};
use self::error::{AskForVmidSnafu, ListGuestsSnafu, NoFreeVmidSnafu, VmidTakenSnafu};
use self::fit::check;
use self::steps::Steps;
use self::there::{vm_of_that_name, vm_of_that_vmid};
use self::unfinished::Cause;
use self::vmid::Choice;
use self::wanted::DiskSize;
use crate::api::types::{Guest, Vmid};
use crate::api::{self, Pve};
use crate::claim::Claim;
use crate::guests::Guests;
use crate::stage::Step;
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
    let finished = what_an_earlier_run_finished(run, &mut claim)?;
    let is_set_up = finished.is_some();
    let (ready, sizes) = match (finished, run.plan.wanted.sizes()) {
        (Some(ready), Some(sizes)) => (ready, sizes),
        (finished, _) => find_or_make(run, finished, &mut claim)?,
    };
    let steps = Steps {
        run,
        sizes: &sizes,
        is_set_up,
    };
    let ready = steps.take(ready)?;
    finish(run, &mut claim, &ready);
    Ok(ready)
}

/// The VM, and the sizes that its disks are to get, which may depend on its template.
fn find_or_make<'r>(
    run: &'r Run,
    finished: Option<Ready>,
    claim: &mut Claim,
) -> Result<(Ready, Vec<DiskSize<'r>>), Error> {
    let guests = read_guests(run)
        .context(ListGuestsSnafu)
        .map_err(|error| not_seen_again(run, claim, error))?;
    let plan = &run.plan;
    let found = find_template(&guests, &plan.template, Some(&plan.name));
    let template = found.map(|Found { template, warning }| {
        if let Some(warning) = &warning {
            run.progress.warning(warning);
        }
        template
    });
    let sizes = match &template {
        Ok(template) => {
            let sizes = check(run, template);
            Some(sizes.map_err(|error| not_seen_again(run, claim, error))?)
        }
        Err(_) => plan.wanted.sizes(),
    };
    let there = match finished {
        Some(ready) => Some(ready),
        None => what_an_earlier_run_began(run, template.as_ref().ok().copied(), claim)?,
    };
    match (there, sizes, template) {
        (Some(ready), sizes, Ok(_)) => Ok((ready, sizes.unwrap_or_default())),
        (Some(ready), Some(sizes), Err(_)) => Ok((ready, sizes)),
        (Some(ready), None, Err(source)) => {
            let cause = Box::new(Cause::NoTemplate { source });
            let unfinished = run.unfinished(&ready, Step::Configure);
            Err(Error::Unfinished { unfinished, cause })
        }
        (None, _, Err(source)) => {
            let error = Error::NoTemplate { source };
            Err(not_seen_again(run, claim, error))
        }
        (None, sizes, Ok(template)) => {
            let ready = match vm_of_that_name(run, &guests, template)? {
                Some(ready) => ready,
                None => clone_to_a_free_vmid(run, &guests, template, claim)?,
            };
            Ok((ready, sizes.unwrap_or_default()))
        }
    }
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
        let vm = run.vm(vmid, run.node_for(template));
        intend(run, &vm, template, claim)?;
        let attempt = Attempt::new(run, claim, template, vm.clone());
        let rival = match attempt.see_to_its_end(Next::Ask)? {
            Outcome::Created(it) => return Ok(made(&vm, it)),
            Outcome::Lost(rival) => rival,
        };
        choice.lost(vmid);
        let guests = newer.insert(read_guests(run).context(ListGuestsSnafu)?);
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

/// All templates, and whatever may have the name or the VMID that is asked for.
fn read_guests<'r>(run: &'r Run) -> Result<Guests<'r>, api::Error> {
    let plan = &run.plan;
    let wanted: Option<Vmid> = plan.template.parse().ok();
    Guests::read(run.server, &|guest| {
        guest.is_vm_template()
            || guest.is_named(plan.name.as_str())
            || guest.is_named(&plan.template)
            || [plan.vmid, wanted].contains(&Some(guest.vmid))
    })
}

fn free_vmid(run: &Run, guests: &Guests, choice: &Choice) -> Result<Vmid, Error> {
    let next = run.server.ask(Pve::next_vmid).context(AskForVmidSnafu)?;
    choice
        .next(|vmid| guests.is_taken(vmid), next)
        .context(NoFreeVmidSnafu)
}

#[cfg(test)]
mod tests;
