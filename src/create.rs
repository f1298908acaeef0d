//! Creates a VM from a template: one command creates one VM, whatever fails in between.
//!
//! - The run locks the ledger of the VM's name. Then, in a loop, it reads the relevant state and the
//!   ledger's record, picks an action from one table, and performs it.
//! - It records each clone before requesting it. A request without a usable answer may still be carried
//!   out at any time. So no other VMID is requested until this one is known to belong to another guest,
//!   or stays free for long while another VM has the name. Repeating the request for the same VMID is
//!   safe: only one VM can have it.
//! - A killed run leaves its record; the next run resumes at the table row for that record.
//! - Once the VM exists, its settings, disks, start and address follow, each only if still missing.

mod act;
mod attempt;
mod decide;
mod failure;
mod fit;
mod half_made;
mod journal;
mod observe;
mod preview;
mod set_up;
mod spec;

pub use self::preview::{Origin, PlannedDisk, Preview};
pub use self::spec::{CreateSpec, Run};

use self::attempt::Attempt;
use self::decide::{Action, Pause, Policy, decide};
use self::fit::warn_of_exposed_password;
use self::journal::Journal;
use self::set_up::set_up;
use crate::pve::types::{Guest, Vmid};
use crate::say::failure::Failure;
use crate::say::vm::Existing;

/// Returns the requested VM: created by this run or by an earlier one, or, with `--ensure`, by another user.
pub fn create(run: &Run) -> Result<Existing, Failure> {
    let spec = &run.spec;
    run.progress().note(&format!(
        "Creating VM '{}' from template '{}'...",
        spec.name, spec.template
    ));
    warn_of_exposed_password(run);
    let mut attempt = Attempt::new(run, Journal::open(run)?);
    let existing = find_or_clone(&mut attempt);
    let existing = existing.map_err(|failure| attempt.without_vm(failure))?;
    set_up(run, existing, attempt)
}

/// Returns what [`create`] would do, and changes nothing: neither on the server nor in the ledger, if this is a
/// dry run. Fails where `create` would before its first change.
pub fn preview(run: &Run) -> Result<Preview, Failure> {
    let spec = &run.spec;
    run.progress().note(&format!(
        "Checking how VM '{}' would be created from template '{}' (dry run)...",
        spec.name, spec.template
    ));
    warn_of_exposed_password(run);
    let mut attempt = Attempt::new(run, Journal::open(run)?);
    let preview = next(&mut attempt).and_then(|next| match next {
        Next::Clone(template, vmid) => Preview::of_clone(&mut attempt, template, vmid),
        Next::Use(existing) => Preview::of_vm(&attempt, *existing),
    });
    preview.map_err(|failure| attempt.without_vm(failure))
}

fn find_or_clone(attempt: &mut Attempt) -> Result<Existing, Failure> {
    loop {
        match next(attempt)? {
            Next::Clone(template, vmid) => attempt.request_clone(&template, vmid)?,
            Next::Use(existing) => return Ok(*existing),
        }
    }
}

/// How a run gets its VM.
enum Next {
    /// It requests a clone of this template to this VMID.
    Clone(Guest, Vmid),
    /// The VM exists.
    Use(Box<Existing>),
}

/// Observes and waits until it is certain what comes next. Requests no change.
fn next(attempt: &mut Attempt) -> Result<Next, Failure> {
    let policy = Policy {
        ensure: attempt.run.spec.ensure,
        vmid: attempt.run.spec.vmid,
    };
    loop {
        attempt.observe()?;
        match decide(policy, attempt.journal.record(), &attempt.observed()) {
            Action::Clone => {
                let (template, vmid) = attempt.plan_clone()?;
                return Ok(Next::Clone(template, vmid));
            }
            Action::CloneAgain(vmid) => {
                return Ok(Next::Clone(attempt.plan_clone_again()?, vmid));
            }
            Action::Wait(pause) => attempt.wait(pause)?,
            Action::Forget(vmid) => attempt.forget(vmid),
            Action::UseVm => match attempt.use_vm() {
                Some(existing) => return Ok(Next::Use(Box::new(existing))),
                None => attempt.wait(Pause::Interval)?,
            },
            Action::Stop(reason) => return Err(attempt.stop_failure(reason)),
        }
    }
}

#[cfg(test)]
mod tests;
