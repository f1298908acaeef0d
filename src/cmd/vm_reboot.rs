//! `vm reboot`

use super::change::{self, guest_timeout, power_outcome};
use super::{Session, Success};
use crate::cli::VmReboot;
use crate::say::failure::Failure;
use crate::say::stage::Step;
use crate::steps::address::AwaitAddress;
use crate::steps::power::Reboot;
use crate::steps::side_by_side::Steps;

/// Restarts VMs, and waits until they run again.
pub fn run(session: &Session, arguments: &VmReboot) -> Result<Success, Failure> {
    let guest_timeout = guest_timeout(arguments.guest_timeout, arguments.timeout)?;
    let steps = || {
        let mut steps: Steps = [(Step::Reboot, Box::new(Reboot::new(guest_timeout)) as _)].into();
        if let Some(from) = change::address(arguments.wait_ip, &arguments.ip_from) {
            steps.push_back((Step::Address, Box::new(AwaitAddress::new(from))));
        }
        steps
    };
    change::run(session, arguments.targets(), steps, |existing| {
        power_outcome(existing, "Rebooted", "was restarted meanwhile", "running")
    })
}
