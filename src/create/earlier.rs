//! What other runs on this host do, have done, and have left undone.

use std::fmt;

use snafu::ResultExt;

use super::attempt::{Attempt, Made, Next, Outcome};
use super::error::{Error, LookForTemplateSnafu};
use super::fit::check_template;
use super::run::{Ready, Run};
use super::sight::Settled;
use super::there::{exists, settled_as_made, settled_by_itself};
use super::wanted::TemplateSizes;
use crate::guests::template::NotFound;
use crate::ledger::{self, Claim, Intent, LeftBehind, Mode, Taken};
use crate::pve::types::{CloneMode, CloneOptions, Guest, Storage, Vmid};
use crate::say::failure::{Kind, Report};
use crate::say::stage::{Stage, Step, Vm};
use crate::wait::{Forgiven, GaveUp, Look};

/// The claim on the VM's name. To be had before the first request, so that what is read afterwards
/// is newer than what the run before has done.
pub fn claim(run: &Run) -> Result<Claim, Error> {
    let name = &run.plan.name;
    let (mut holder, mut is_second_look) = (None, false);
    let taken = run.server.budget.look_until_done(
        |_| Forgiven::Not,
        || match Claim::take(run.state, name) {
            Ok(Taken::Ours(claim, written)) => Ok(Look::Done((claim, written))),
            Ok(Taken::HeldBy(process)) if run.plan.ensure => {
                if holder.is_none() {
                    run.progress
                        .note("Waiting for another run that makes the same VM...");
                }
                holder = Some(process);
                run.progress.at(Stage::BehindAnotherRun(process));
                Ok(Look::NotYet)
            }
            // It is just about to say who it is.
            Ok(Taken::HeldBy(None)) if !is_second_look => {
                is_second_look = true;
                Ok(Look::NotYet)
            }
            Ok(Taken::HeldBy(holder)) => {
                let name = name.clone();
                Err(Error::Claimed { name, holder })
            }
            Err(ledger::Error::Damaged { path, source }) => {
                Err(Error::DamagedClaim { path, source })
            }
            Err(source) => Ok(Look::Done((Claim::without_file(), Err(source)))),
        },
    );
    let (claim, written) = taken.map_err(|gave_up| match gave_up {
        GaveUp::Failed(error) => error,
        GaveUp::TimeIsUp(_) => Error::StillClaimed {
            seconds: run.server.budget.total.as_secs_f64(),
            name: name.clone(),
            holder: holder.flatten(),
        },
    })?;
    run.progress.at(Stage::NothingStarted);
    match claim.left_behind() {
        LeftBehind::Open(begun, _) if !run.is_of_this_cluster(begun) => {
            return Err(Error::BegunElsewhere {
                name: name.clone(),
                begun: begun.clone(),
                path: claim.path().to_owned(),
            });
        }
        LeftBehind::Open(begun, _) => {
            let vm = run.vm(begun.vmid, &begun.node);
            run.progress.at(Stage::Undecided(vm));
            // It is clear which VMID is meant, so nothing need be written down about it.
            run.remember(written);
        }
        _ => written.or_else(|error| go_without_word(run, error))?,
    }
    Ok(claim)
}

/// `--ensure` promises something about the runs before and after this one, which takes word of them
/// or a VMID to look at. Without it the user has less, and is told.
pub fn go_without_word(run: &Run, source: ledger::Error) -> Result<(), Error> {
    if run.plan.ensure && run.plan.vmid.is_none() {
        return Err(Error::Claim { source });
    }
    let why = Report::of(Kind::Failed, &source).message;
    run.progress.warning(&format!(
        "other runs on this host will not know of this one: {why}"
    ));
    Ok(())
}

/// A VM that an earlier run has made, if it is there still and not another's now. Where that run was
/// not at its end the rest is this one's work, however else it asks for the VM; but who names another
/// VMID does not mean that VM.
pub fn what_an_earlier_run_made(run: &Run, claim: &mut Claim) -> Result<Option<Ready>, Error> {
    let is_meant = |made: &Intent| run.plan.vmid.is_none_or(|vmid| vmid == made.vmid);
    let (made_then, is_finished) = match claim.left_behind().clone() {
        LeftBehind::Created(made) if is_meant(&made) => (made, false),
        LeftBehind::Finished(made) => (made, true),
        _ => return Ok(None),
    };
    if !run.is_of_this_cluster(&made_then) {
        return Ok(None);
    }
    let vm = run.vm(made_then.vmid, &made_then.node);
    match settled_as_made(run, &vm, is_finished)? {
        Settled::Ours(node) if is_finished => exists(run, Vm { node, ..vm }).map(Some),
        Settled::Ours(node) => {
            let ready = made(&vm, Made::at(node));
            let vm = run.vm(ready.vmid, &ready.node);
            run.progress.at(run.stage_of(vm, None));
            Ok(Some(ready))
        }
        Settled::Hidden => Err(Error::MadeUnseen {
            vm,
            token: run.token(),
        }),
        Settled::Free | Settled::Anothers(_) => {
            run.progress.at(Stage::NothingStarted);
            run.remember(claim.failed(vm.vmid));
            Ok(None)
        }
    }
}

/// A clone of another template was not made for this command, but it is there. Where there is none of
/// the name that was asked for it may be of that one, if its own is gone too.
pub fn of_that_template<'g>(
    run: &Run,
    ready: Ready,
    template: Result<&'g Guest, NotFound>,
    claim: &Claim,
) -> Result<(Ready, Result<&'g Guest, NotFound>), Error> {
    let LeftBehind::Created(made) = claim.left_behind() else {
        return Ok((ready, template));
    };
    match template {
        Ok(template) if template.vmid != made.template => {
            let ready = exists(run, run.vm(ready.vmid, &ready.node))?;
            Ok((ready, Ok(template)))
        }
        Err(source) => match is_gone(run, made.template) {
            Ok(true) => Ok((ready, Err(source))),
            Ok(false) => Err(not_clear(run, &ready, Error::NoTemplate { source })),
            Err(error) => Err(not_clear(run, &ready, error)),
        },
        template => Ok((ready, template)),
    }
}

/// A clone that a run before has asked for and not seen to its end may come at any time, so no
/// other one is begun until it has come or cannot come any more. `template` is what this run asks
/// for, if there is such a template.
pub fn what_an_earlier_run_began(
    run: &Run,
    template: Option<&Guest>,
    claim: &mut Claim,
) -> Result<Option<Ready>, Error> {
    let LeftBehind::Open(begun, upid) = claim.left_behind().clone() else {
        return Ok(None);
    };
    let vm = run.vm(begun.vmid, &begun.node);
    if let Some(asked) = another_clone(run, &begun) {
        return Err(begun_otherwise(run, begun, asked, claim));
    }
    let template = match template {
        Some(template) if template.vmid == begun.template => {
            check_before_it_is_asked_for_again(run, template, claim)?;
            template
        }
        other
            if is_gone(run, begun.template)
                .map_err(|error| not_seen_again(run, claim, error))? =>
        {
            let became = what_became_of_it(run, claim, vm.clone())?;
            let is_open = matches!(claim.left_behind(), LeftBehind::Open(..));
            let Some(template) = other.filter(|_| is_open && became.is_none()) else {
                return Ok(became);
            };
            // The same VMID: a template that is built anew there would bring the old request back
            // to life.
            let sizes = check_before_it_is_asked_for_again(run, template, claim)?;
            intend(run, &vm, template, &sizes, claim)?;
            template
        }
        Some(another) => return Err(begun_otherwise(run, begun, another.to_string(), claim)),
        None => return Ok(None),
    };
    run.progress.note(&format!(
        "An earlier run has begun to make VM {}; seeing that to its end...",
        begun.vmid
    ));
    let first = upid.map_or(Next::Look, Next::Watch);
    let attempt = Attempt::new(run, claim, template, vm.clone()).taken_over();
    match attempt.see_to_its_end(first)? {
        Outcome::Created(it) => Ok(Some(made(&vm, it))),
        Outcome::Lost(_) => Ok(None),
    }
}

fn check_before_it_is_asked_for_again(
    run: &Run,
    template: &Guest,
    claim: &Claim,
) -> Result<TemplateSizes, Error> {
    let checked = check_template(run, template);
    checked.map_err(|error| not_seen_again(run, claim, error))
}

/// A request that nobody has announced could never be found again.
pub fn intend(
    run: &Run,
    vm: &Vm,
    template: &Guest,
    sizes: &TemplateSizes,
    claim: &mut Claim,
) -> Result<(), Error> {
    let options = &run.plan.options;
    let (mode, storage) = mode_and_storage(options);
    let intent = Intent {
        vmid: vm.vmid,
        node: vm.node.clone(),
        template: template.vmid,
        mode,
        storage,
        pool: options.pool.clone(),
        target: options.target.clone(),
        hosts: run.hosts.clone(),
    };
    claim
        .intend(&intent)
        .or_else(|error| go_without_word(run, error))?;
    note_sizes(run, vm.vmid, sizes, claim);
    Ok(())
}

/// The sizes that count for a VM's disks from now on. What was noted before the clone stands, and all
/// of it.
pub fn note_sizes(
    run: &Run,
    vmid: Vmid,
    sizes: &TemplateSizes,
    claim: &mut Claim,
) -> TemplateSizes {
    let mut note = run.noted(claim, vmid);
    let known = note.sizes.len();
    for (disk, size) in sizes {
        note.sizes.entry(disk.clone()).or_insert(*size);
    }
    let sizes = note.sizes.clone();
    if sizes.len() > known {
        run.remember(claim.note(note));
    }
    sizes
}

fn mode_and_storage(options: &CloneOptions) -> (Mode, Option<Storage>) {
    match &options.mode {
        CloneMode::Full { storage } => (Mode::Full, storage.clone()),
        CloneMode::Linked => (Mode::Linked, None),
    }
}

/// Where this run asks for something else than what was begun, its template aside.
fn another_clone(run: &Run, begun: &Intent) -> Option<String> {
    let CloneOptions { pool, target, .. } = &run.plan.options;
    let (mode, storage) = mode_and_storage(&run.plan.options);
    let another = run.plan.vmid.filter(|vmid| *vmid != begun.vmid);
    let vmid = another.map(|vmid| format!("VMID {vmid}"));
    let mode = (mode != begun.mode).then(|| match mode {
        Mode::Full => "a full clone, not a linked one".to_owned(),
        Mode::Linked => "a linked clone, not a full one".to_owned(),
    });
    let places = [
        another_place("storage", storage.as_ref(), begun.storage.as_ref()),
        another_place("pool", pool.as_ref(), begun.pool.as_ref()),
        another_place("node", target.as_ref(), begun.target.as_ref()),
    ];
    let differences: Vec<String> = [vmid, mode].into_iter().chain(places).flatten().collect();
    (!differences.is_empty()).then(|| differences.join(", "))
}

/// `storage 'fast', not 'slow'`
fn another_place<T: PartialEq + fmt::Display>(
    what: &str,
    asked: Option<&T>,
    begun: Option<&T>,
) -> Option<String> {
    match (asked, begun) {
        (asked, begun) if asked == begun => None,
        (Some(asked), Some(begun)) => Some(format!("{what} '{asked}', not '{begun}'")),
        (Some(asked), None) => Some(format!("{what} '{asked}', where none was asked for")),
        (None, Some(begun)) => Some(format!("no {what}, where '{begun}' was asked for")),
        (None, None) => None,
    }
}

fn begun_otherwise(run: &Run, begun: Intent, asked: String, claim: &Claim) -> Error {
    Error::BegunOtherwise {
        name: run.plan.name.clone(),
        begun,
        asked,
        path: claim.path().to_owned(),
    }
}

/// Whether the template of an intent is no more, so that nobody can ask for that clone again.
fn is_gone(run: &Run, template: Vmid) -> Result<bool, Error> {
    let is_free = run.server.ask(|pve| pve.is_free(template));
    is_free.context(LookForTemplateSnafu { vmid: template })
}

/// Of a clone that nobody can ask for again. While its request may still be carried out, that nothing
/// is there settles nothing.
fn what_became_of_it(run: &Run, claim: &mut Claim, vm: Vm) -> Result<Option<Ready>, Error> {
    match settled_by_itself(run, &vm, claim)? {
        Settled::Ours(node) => {
            run.remember(claim.created(vm.vmid));
            Ok(Some(made(&vm, Made::at(node))))
        }
        Settled::Hidden => {
            let token = run.token();
            Err(Error::CannotSee { vm, token })
        }
        Settled::Free => Ok(None),
        Settled::Anothers(_) => {
            run.progress.at(Stage::NothingStarted);
            run.remember(claim.failed(vm.vmid));
            Ok(None)
        }
    }
}

/// An error before it is clear what became of an earlier run's clone must not sound as if there was
/// none.
pub fn not_seen_again(run: &Run, claim: &Claim, error: Error) -> Error {
    match claim.left_behind() {
        LeftBehind::Open(begun, _) => Error::NotSeenAgain {
            vm: run.vm(begun.vmid, &begun.node),
            source: Box::new(error),
        },
        _ => error,
    }
}

/// What is to be known about the rest, the template for instance, cannot be known now. The VM is there
/// all the same.
pub fn not_clear(run: &Run, ready: &Ready, error: Error) -> Error {
    let is_late = run.server.budget.left().is_zero() && error.is_without_answer();
    Error::NotClear {
        unfinished: run.unfinished(ready, Step::Configure),
        seconds: is_late.then_some(run.server.budget.total.as_secs_f64()),
        why: Box::new(error),
    }
}

/// A VM that was made by this run, or for it.
pub fn made(vm: &Vm, made: Made) -> Ready {
    Ready {
        vmid: vm.vmid,
        node: made.node,
        created: true,
        upid: made.upid,
        ip: None,
        warnings: made.warnings,
    }
}

/// Nothing is left to do for a VM that this run, or one before, has made.
pub fn finish(run: &Run, claim: &mut Claim, ready: &Ready) {
    let is_made =
        matches!(claim.left_behind(), LeftBehind::Created(made) if made.vmid == ready.vmid);
    if is_made {
        run.remember(claim.finished(ready.vmid));
    }
}
