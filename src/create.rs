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
    claim, finish, intend, made, not_clear, not_seen_again, note_sizes, of_that_template,
    what_an_earlier_run_began, what_an_earlier_run_made,
};
use self::error::{
    AskForVmidSnafu, ListGuestsSnafu, NoFreeVmidSnafu, NoTemplateSnafu, VmidTakenSnafu,
};
use self::fit::{check_template, check_vm, sizes_of_template};
use self::steps::Steps;
use self::there::{tell_if_elsewhere, vm_of_that_name, vm_of_that_vmid};
use self::vmid::Choice;
use self::wanted::{DiskSize, TemplateSizes};
use crate::guests::Guests;
use crate::guests::template::{Found, NotFound, find_template};
use crate::ledger::{Claim, LeftBehind};
use crate::pve::types::{Guest, Vmid};
use crate::pve::{self, Pve};
use crate::say::stage::Stage;
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
    let made = what_an_earlier_run_made(run, &mut claim)?;
    let (ready, sizes) = match made {
        Some(ready) => go_on(run, ready, &mut claim)?,
        None => find_or_make(run, &mut claim)?,
    };
    let steps = Steps {
        run,
        sizes: &sizes,
        claim: &mut claim,
    };
    let ready = steps.take(ready)?;
    let vm = run.vm(ready.vmid, &ready.node);
    run.progress.at(if ready.created {
        Stage::Made(vm)
    } else {
        Stage::Exists(vm)
    });
    finish(run, &mut claim, &ready);
    Ok(ready)
}

fn is_finished(claim: &Claim) -> bool {
    matches!(claim.left_behind(), LeftBehind::Finished(_))
}

/// The VM, and the sizes that its disks are to get.
type ToBe<'r> = (Ready, Vec<DiskSize<'r>>);

/// A VM that an earlier run has made. One that is finished needs its template no more, but for sizes
/// that depend on it.
fn go_on<'r>(run: &'r Run, ready: Ready, claim: &mut Claim) -> Result<ToBe<'r>, Error> {
    let noted = run.noted(claim, ready.vmid).sizes;
    let sizes = run.plan.wanted.sizes(&noted);
    if let Some(sizes) = sizes.filter(|_| is_finished(claim)) {
        tell_if_elsewhere(run, &ready);
        check_vm(run, &ready)?;
        return Ok((ready, sizes));
    }
    let guests = read_guests(run).context(ListGuestsSnafu);
    let guests = guests.map_err(|error| not_clear(run, &ready, error))?;
    let template = template_among(run, &guests);
    let (ready, template) = of_that_template(run, ready, template, claim)?;
    as_it_shall_be(run, ready, template, claim)
}

/// A VM that is there, by whomever. What its template is like now matters no more, but for sizes that
/// depend on it.
fn as_it_shall_be<'r>(
    run: &'r Run,
    ready: Ready,
    template: Result<&Guest, NotFound>,
    claim: &mut Claim,
) -> Result<ToBe<'r>, Error> {
    tell_if_elsewhere(run, &ready);
    check_vm(run, &ready)?;
    let wanted = &run.plan.wanted;
    let noted = run.noted(claim, ready.vmid).sizes;
    if let Some(sizes) = wanted.sizes(&noted) {
        return Ok((ready, sizes));
    }
    let template = template.context(NoTemplateSnafu);
    let of_template = template.and_then(|template| sizes_of_template(run, template));
    let of_template = of_template.map_err(|error| not_clear(run, &ready, error))?;
    let noted = note_sizes(run, ready.vmid, &of_template, claim);
    let sizes = wanted.sizes(&noted).unwrap_or_default();
    Ok((ready, sizes))
}

fn find_or_make<'r>(run: &'r Run, claim: &mut Claim) -> Result<ToBe<'r>, Error> {
    let guests = read_guests(run)
        .context(ListGuestsSnafu)
        .map_err(|error| not_seen_again(run, claim, error))?;
    let found = template_among(run, &guests);
    let begun = what_an_earlier_run_began(run, found.as_ref().ok().copied(), claim)?;
    if let Some(ready) = begun {
        return as_it_shall_be(run, ready, found, claim);
    }
    let template = found
        .context(NoTemplateSnafu)
        .map_err(|error| not_seen_again(run, claim, error))?;
    let there = match vm_of_that_name(run, &guests, template)? {
        Some(ready) => Some(ready),
        None => vm_in_its_place(run, &guests, template)?,
    };
    if let Some(ready) = there {
        return as_it_shall_be(run, ready, Ok(template), claim);
    }
    let of_template = check_template(run, template)?;
    let ready = clone_to_a_free_vmid(run, &guests, template, &of_template, claim)?;
    if !ready.created {
        return as_it_shall_be(run, ready, Ok(template), claim);
    }
    let sizes = run.plan.wanted.sizes(&of_template).unwrap_or_default();
    Ok((ready, sizes))
}

fn template_among<'g>(run: &Run, guests: &'g Guests) -> Result<&'g Guest, NotFound> {
    let found = find_template(guests, &run.plan.template, Some(&run.plan.name));
    found.map(|Found { template, warning }| {
        if let Some(warning) = &warning {
            run.progress.warning(warning);
        }
        template
    })
}

/// Who has the VMID that was asked for, if one was and somebody has it.
fn vm_in_its_place(run: &Run, guests: &Guests, template: &Guest) -> Result<Option<Ready>, Error> {
    let guest = run.plan.vmid.and_then(|vmid| guests.with_vmid(vmid));
    match guest {
        Some(guest) => vm_of_that_vmid(run, Some(guest), guest.vmid, template),
        None => Ok(None),
    }
}

/// Made by this run, or with `--vmid` by whoever was faster.
fn clone_to_a_free_vmid(
    run: &Run,
    guests: &Guests,
    template: &Guest,
    sizes: &TemplateSizes,
    claim: &mut Claim,
) -> Result<Ready, Error> {
    let mut choice = Choice::default();
    let mut newer = None;
    let mut back_off = BackOff::new(&run.server.budget);
    loop {
        let vmid = match run.plan.vmid {
            Some(vmid) => vmid,
            None => free_vmid(run, newer.as_ref().unwrap_or(guests), &choice)?,
        };
        let vm = run.vm(vmid, run.node_for(template));
        intend(run, &vm, template, sizes, claim)?;
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
fn read_guests<'r>(run: &Run<'r>) -> Result<Guests<'r>, pve::Error> {
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
