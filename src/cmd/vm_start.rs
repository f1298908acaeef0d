//! `vm start`

use super::change::{self, power_outcome};
use super::{Session, Success};
use crate::cli::VmStart;
use crate::say::failure::Failure;
use crate::say::stage::Step;
use crate::steps::address::AwaitAddress;
use crate::steps::power::Start;
use crate::steps::side_by_side::Steps;

/// Starts VMs, and waits until they run.
pub fn run(session: &Session, arguments: &VmStart) -> Result<Success, Failure> {
    let steps = || {
        let mut steps: Steps = [(Step::Start, Box::new(Start::default()) as _)].into();
        if let Some(from) = change::address(arguments.wait_ip, &arguments.ip_from) {
            steps.push_back((Step::Address, Box::new(AwaitAddress::new(from))));
        }
        steps
    };
    change::run(session, arguments.targets(), steps, |existing| {
        power_outcome(existing, "Started", "is already running", "running")
    })
}
