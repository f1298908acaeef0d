//! From a template to a VM: one command, one VM, whatever happens in between.
//!
//! - The run locks the ledger of the VM's name, then takes turns: it looks at what the ledger's record
//!   and the order depend on, decides by one table, and acts once.
//! - Before it asks for a clone to a VMID it records that. A request that gets no usable answer may be
//!   carried out at any time, so no other VMID is asked for until this one is proved another's, or until
//!   it stays free for long while another VM has the name. Asking again for the same one is safe: it can
//!   become a VM only once.
//! - A run that is killed leaves its record; the next one finds itself in another row of the table.
//! - Once the VM exists, its settings, disks, start and address follow, each as far as it is missing.

mod act;
mod address;
mod attempt;
mod decide;
mod failure;
mod fit;
mod half_made;
mod journal;
mod observe;
mod order;
mod set_up;

pub use self::order::{Order, Run};

use self::attempt::Attempt;
use self::decide::{Action, Pause, Policy, decide};
use self::fit::warn_of_exposed_password;
use self::journal::Journal;
use self::set_up::set_up;
use crate::say::failure::Failure;
use crate::say::vm::Existing;

/// The VM that was asked for: created by this run or by an earlier one of this command, or there before
/// if that will do.
pub fn create(run: &Run) -> Result<Existing, Failure> {
    let order = &run.order;
    run.progress().note(&format!(
        "Creating VM '{}' from template '{}'...",
        order.name, order.template
    ));
    warn_of_exposed_password(run);
    let mut attempt = Attempt::new(run, Journal::open(run)?);
    let existing = find_or_clone(&mut attempt);
    let existing = existing.map_err(|failure| attempt.before_the_vm(failure))?;
    set_up(run, existing, attempt)
}

fn find_or_clone(attempt: &mut Attempt) -> Result<Existing, Failure> {
    let policy = Policy {
        ensure: attempt.run.order.ensure,
        vmid: attempt.run.order.vmid,
    };
    loop {
        attempt.observe()?;
        match decide(policy, attempt.journal.record(), &attempt.seen()) {
            Action::Clone => attempt.clone_new()?,
            Action::CloneAgain(vmid) => attempt.clone_again(vmid)?,
            Action::Wait(pause) => attempt.wait(pause)?,
            Action::Forget(vmid) => attempt.forget(vmid),
            Action::Take => match attempt.take() {
                Some(existing) => return Ok(existing),
                None => attempt.wait(Pause::Interval)?,
            },
            Action::Refuse(refusal) => return Err(attempt.refuse(refusal)),
        }
    }
}

#[cfg(test)]
mod tests;
