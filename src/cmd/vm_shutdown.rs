//! `vm shutdown`

use super::change::{self, Targets, guest_timeout, power_outcome};
use super::{Session, Success};
use crate::cli::VmShutdown;
use crate::say::failure::Failure;
use crate::say::stage::Step;
use crate::steps::power::ShutDown;
use crate::steps::side_by_side::Steps;

/// Asks the guests of VMs to shut down, and waits until they have.
pub fn run(session: &Session, arguments: &VmShutdown) -> Result<Success, Failure> {
    let targets = Targets {
        vm: &arguments.vm,
        more: &arguments.more,
        vmid: None,
        ignore_offline: arguments.ignore_offline,
        timeout: arguments.timeout,
        poll_interval: arguments.poll_interval,
    };
    let guest_timeout = guest_timeout(arguments.guest_timeout, arguments.timeout)?;
    let steps = || -> Steps {
        let shut_down = ShutDown::new(guest_timeout, arguments.force);
        [(Step::ShutDown, Box::new(shut_down) as _)].into()
    };
    change::run(session, targets, steps, |finished| {
        power_outcome(finished, "Shut down", "is already stopped", "stopped")
    })
}
