//! `vm shutdown`

use super::change::{self, guest_timeout, power_outcome};
use super::{Session, Success};
use crate::cli::VmShutdown;
use crate::say::failure::Failure;
use crate::say::stage::Step;
use crate::steps::power::ShutDown;
use crate::steps::side_by_side::Steps;

/// Asks the guests of VMs to shut down, and waits until they have.
pub fn run(session: &Session, arguments: &VmShutdown) -> Result<Success, Failure> {
    let guest_timeout = guest_timeout(arguments.guest_timeout, arguments.timeout)?;
    let steps = || -> Steps {
        let shut_down = ShutDown::new(guest_timeout, arguments.force);
        [(Step::ShutDown, Box::new(shut_down) as _)].into()
    };
    change::run(session, arguments.targets(), steps, |existing| {
        power_outcome(existing, "Shut down", "is already stopped", "stopped")
    })
}
