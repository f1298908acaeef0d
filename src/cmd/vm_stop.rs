//! `vm stop`

use super::change::{self, power_outcome};
use super::{Session, Success};
use crate::cli::VmStop;
use crate::say::failure::Failure;
use crate::say::stage::Step;
use crate::steps::power::PowerOff;
use crate::steps::side_by_side::Steps;

/// Powers VMs off.
pub fn run(session: &Session, arguments: &VmStop) -> Result<Success, Failure> {
    let steps = || -> Steps { [(Step::Stop, Box::new(PowerOff) as _)].into() };
    change::run(session, arguments.targets(), steps, |existing| {
        power_outcome(existing, "Powered off", "is already stopped", "stopped")
    })
}
