//! Creates a VM from a template, or a template from an image: one command creates one, whatever fails in
//! between.
//!
//! - The run locks the ledger of the VM's name. Then, in a loop, it reads the relevant state and the
//!   ledger's record, picks an action from one table, and performs it.
//! - It records each clone or import before requesting it. A request without a usable answer may still be carried
//!   out at any time. So no other VMID is requested until this one is known to belong to another guest,
//!   or stays free for long while another VM has the name. Repeating the request for the same VMID is
//!   safe: only one VM can have it.
//! - A killed run leaves its record; the next run resumes at the table row for that record.
//! - Once the VM exists, its settings, disks, start and address follow, each only if still missing; finally
//!   the conversion to a template.
//! - An import gives its VM a UUID of this program, which proves later whose VM it is.

mod act;
mod attempt;
mod decide;
mod failure;
mod fit;
mod half_made;
mod import;
mod journal;
mod observe;
mod pending;
mod plan;
mod preview;
mod set_up;
mod spec;
mod stop;
mod task;

pub use self::import::place::find_place;
pub use self::import::{DEFAULT_BRIDGE, ImageSpec, RequestedPlace, needed_for_default_options};
pub use self::preview::{Origin, PlannedDisk, Preview};
pub use self::spec::{CreateSpec, Method, Run};

use self::attempt::Attempt;
use self::decide::{Action, Pause, Policy, decide};
use self::fit::warn_of_exposed_password;
use self::journal::Journal;
use self::plan::{Planned, Request};
use self::set_up::set_up;
use crate::pve::ImageVolume;
use crate::say::failure::{Failure, Kind};
use crate::say::vm::Existing;

/// Returns the requested VM or template: created by this run or by an earlier one, or, with `--ensure`, by
/// another user.
pub fn create(run: &Run) -> Result<Existing, Failure> {
    let name = &run.spec.name;
    run.progress().note(&match &run.spec.method {
        Method::Clone { template, .. } => {
            format!("Creating VM '{name}' from template '{template}'...")
        }
        Method::Import(image) => {
            format!("Creating template '{name}' from {}...", image.source.name())
        }
    });
    warn_of_exposed_password(run);
    let mut attempt = Attempt::new(run, Journal::open(run)?);
    let existing = find_or_request(&mut attempt);
    let image = attempt.downloaded();
    let with_image = |failure| naming_image(image.as_ref(), failure);
    let existing = existing.map_err(|failure| with_image(attempt.without_vm(failure)))?;
    set_up(run, existing, attempt).map_err(with_image)
}

/// A failure after the download of an image, which stays on its storage.
fn naming_image(image: Option<&ImageVolume>, mut failure: Failure) -> Failure {
    if let Some(image) = image {
        failure.message = format!("{failure}; the image is kept: '{image}'");
    }
    failure
}

/// Returns what [`create`] would do, and changes nothing: neither on the server nor in the ledger, if this is a
/// dry run. Fails where `create` would before its first change.
pub fn preview(run: &Run) -> Result<Preview, Failure> {
    if let Method::Clone { template, .. } = &run.spec.method {
        run.progress().note(&format!(
            "Checking how VM '{}' would be created from template '{template}' (dry run)...",
            run.spec.name
        ));
    }
    warn_of_exposed_password(run);
    let mut attempt = Attempt::new(run, Journal::open(run)?);
    let preview = next(&mut attempt).and_then(|next| match next {
        Next::Request(planned) => match planned.request {
            Request::Clone(template, _) => Preview::of_clone(&mut attempt, template, planned.vmid),
            Request::Import(..) => Err(Failure::new(Kind::Usage, "an import has no dry run")),
        },
        Next::Use(existing) => Preview::of_vm(&attempt, *existing),
    });
    preview.map_err(|failure| attempt.without_vm(failure))
}

fn find_or_request(attempt: &mut Attempt) -> Result<Existing, Failure> {
    loop {
        match next(attempt)? {
            Next::Request(planned) => attempt.request(&planned)?,
            Next::Use(existing) => return Ok(*existing),
        }
    }
}

/// How a run gets its VM.
enum Next<'r> {
    /// It requests this one.
    Request(Box<Planned<'r>>),
    /// The VM exists.
    Use(Box<Existing>),
}

/// Observes and waits until it is certain what comes next. Requests no change.
fn next<'r>(attempt: &mut Attempt<'r>) -> Result<Next<'r>, Failure> {
    let policy = Policy {
        ensure: attempt.run.spec.ensure,
        vmid: attempt.run.spec.vmid,
    };
    loop {
        attempt.observe()?;
        match decide(policy, attempt.journal.record(), &attempt.observed()) {
            Action::Request => {
                if let Some(planned) = attempt.plan()? {
                    return Ok(Next::Request(Box::new(planned)));
                }
            }
            Action::RequestAgain(intent) => {
                if let Some(planned) = attempt.plan_again(intent)? {
                    return Ok(Next::Request(Box::new(planned)));
                }
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
