//! Starting, shutting down, powering off and rebooting a VM.
//!
//! - Each operation ends when `status/current` shows its effect: a task ends before it is certain that a VM
//!   stays running, and under HA a task only files the request.
//! - Then the VM is read once more: another user may have replaced it right before the request.
//! - A VM that is in the requested state already is left alone.

use std::time::Duration;

use crate::pve::types::Upid;
use crate::pve::{self, VmStatus};
use crate::say::shell::word;
use crate::say::vm::Vm;
use crate::steps::{ActiveStep, AfterRefusal, Cause, Next, Operation, Stop};
use crate::ui::progress::Activity;
use crate::wait::refusal::is_guest_timeout;
use crate::wait::task::how_to_read_log;

/// Starts a VM and waits until it runs. Under HA that may be much later than the end of the task.
#[derive(Default)]
pub struct Start {
    /// Until when the VM may not be running although it was started.
    settled_at: Option<Duration>,
}

impl<'q> Operation<'q> for Start {
    fn next(&mut self, active: &mut ActiveStep) -> Result<Next<'q>, Stop> {
        if active.was_carried_out() {
            return self.has_started(active);
        }
        let status = active.status_of_same_vm()?;
        if status.is_running() {
            check_not_paused(active, &status)?;
            return Ok(Next::Done);
        }
        active.announce(&Activity::Starting);
        Ok(Next::Then(Box::new(|pve, vm| {
            pve.start_vm(&vm.node, vm.vmid).map(Some)
        })))
    }

    fn at_time_limit(&mut self, active: &mut ActiveStep, cause: Cause) -> Result<(), Cause> {
        Err(not_by_ha(active, cause))
    }
}

impl Start {
    fn has_started<'q>(&mut self, active: &mut ActiveStep) -> Result<Next<'q>, Stop> {
        let is_under_ha = active.upid().is_some_and(|upid| upid.kind() == "hastart");
        let budget = active.budget();
        let now = budget.clock.elapsed();
        let settled_at = *self.settled_at.get_or_insert(now + budget.settling_time());
        if active.status()?.is_running() {
            active.check_same_vm()?;
            return Ok(Next::Done);
        }
        if budget.clock.elapsed() < settled_at || is_under_ha {
            return Ok(Next::Wait);
        }
        let resume = active.existing().resume();
        let cause = Cause::State {
            message: "it is not running although it was started".to_owned(),
            hint: match active.upid() {
                Some(upid) => format!("{}; {resume}", how_to_read_log(&upid)),
                None => check_console(resume),
            },
        };
        // The VM may have been replaced.
        Err(active.gone_or(cause))
    }
}

/// What to do about a VM that does not stay running.
pub fn check_console(resume: &str) -> String {
    format!("check its console to see why it stopped; {resume}")
}

/// Powers a VM off.
pub struct PowerOff;

impl<'q> Operation<'q> for PowerOff {
    fn next(&mut self, active: &mut ActiveStep) -> Result<Next<'q>, Stop> {
        if active.was_carried_out() {
            return wait_until_stopped(active);
        }
        let status = active.status_of_same_vm()?;
        if !status.is_running() && !is_being_started(active)? {
            return Ok(Next::Done);
        }
        active.announce(&Activity::PoweringOff);
        Ok(power_off(&status))
    }

    fn at_time_limit(&mut self, active: &mut ActiveStep, cause: Cause) -> Result<(), Cause> {
        Err(not_by_ha(active, cause))
    }
}

/// Requests to power a VM off, and to end a running shutdown first if the server can do that. For a VM under HA it
/// refuses to.
pub(super) fn power_off<'q>(status: &VmStatus) -> Next<'q> {
    let can_overrule = !status.ha.managed;
    Next::Then(Box::new(move |pve, vm| {
        let stopped = pve.stop_vm(&vm.node, vm.vmid, can_overrule);
        let stopped = match stopped {
            Err(pve::Error::Refused { message, .. }) if message.contains("overrule-shutdown") => {
                pve.stop_vm(&vm.node, vm.vmid, false)
            }
            stopped => stopped,
        };
        stopped.map(Some)
    }))
}

/// Asks the guest of a VM to shut down, and waits until the VM is off.
pub struct ShutDown {
    /// How long the guest may take.
    guest_timeout: Duration,
    /// Whether to power the VM off after that.
    force: bool,
}

impl ShutDown {
    /// Waits that long for the guest, and then fails, or with `force` powers the VM off.
    pub fn new(guest_timeout: Duration, force: bool) -> ShutDown {
        ShutDown {
            guest_timeout,
            force,
        }
    }
}

impl<'q> Operation<'q> for ShutDown {
    fn next(&mut self, active: &mut ActiveStep) -> Result<Next<'q>, Stop> {
        if active.was_carried_out() {
            return wait_until_stopped(active);
        }
        let status = active.status_of_same_vm()?;
        if !status.is_running() && !is_being_started(active)? {
            return Ok(Next::Done);
        }
        if !self.force {
            check_not_paused(active, &status)?;
        }
        active.announce(&Activity::ShuttingDown);
        let (guest_timeout, force) = (self.guest_timeout, self.force);
        Ok(Next::Then(Box::new(move |pve, vm| {
            pve.shut_down_vm(&vm.node, vm.vmid, guest_timeout, force)
                .map(Some)
        })))
    }

    fn after_refusal(&mut self, message: &str, vm: &Vm) -> AfterRefusal {
        if is_guest_timeout(message) {
            return AfterRefusal::FailBecause(guest_did_not_react(self.guest_timeout, vm));
        }
        AfterRefusal::Fail
    }

    fn at_time_limit(&mut self, active: &mut ActiveStep, cause: Cause) -> Result<(), Cause> {
        Err(not_by_ha(active, cause))
    }
}

/// Restarts a running VM, and waits until it has another QEMU process.
pub struct Reboot {
    guest_timeout: Duration,
    /// The process before the reboot.
    first: Option<u64>,
    was_running: bool,
    /// Since when the VM has been off. Another command may have begun to restart it.
    off_since: Option<Duration>,
    /// Since when the outcome of a request has been unknown.
    undecided_since: Option<Duration>,
}

impl Reboot {
    /// Waits that long for the guest to shut down, and then fails.
    pub fn new(guest_timeout: Duration) -> Reboot {
        Reboot {
            guest_timeout,
            first: None,
            was_running: false,
            off_since: None,
            undecided_since: None,
        }
    }
}

impl<'q> Operation<'q> for Reboot {
    fn next(&mut self, active: &mut ActiveStep) -> Result<Next<'q>, Stop> {
        if !active.was_carried_out() {
            active.config()?;
        }
        let status = active.status()?;
        let budget = active.budget();
        let now = budget.clock.elapsed();
        if !status.is_running() {
            if !active.has_requested && !self.was_running {
                return Err(not_running(active.vm()).into());
            }
            // Another task starts it again, and nobody reports if that fails.
            let off_since = *self.off_since.get_or_insert(now);
            if now < off_since + budget.restart_time() {
                return Ok(Next::Wait);
            }
            return Err(active.gone_or(stayed_off(active.vm())));
        }
        self.off_since = None;
        let is_another = self.first.is_some() && status.pid.is_some() && self.first != status.pid;
        if is_another {
            active.check_same_vm()?;
            return Ok(Next::Done);
        }
        if active.was_carried_out() {
            active.check_same_vm()?;
            return Ok(Next::Wait);
        }
        (self.first, self.was_running) = (self.first.or(status.pid), true);
        check_not_paused(active, &status)?;
        if active.is_undecided() {
            // Two requests may restart it twice.
            let since = *self.undecided_since.get_or_insert(now);
            if now < since + budget.settling_time() {
                return Ok(Next::Wait);
            }
            self.undecided_since = None;
        }
        active.confirm_unchanged()?;
        active.announce(&Activity::Rebooting);
        let guest_timeout = self.guest_timeout;
        Ok(Next::Then(Box::new(move |pve, vm| {
            pve.reboot_vm(&vm.node, vm.vmid, guest_timeout).map(Some)
        })))
    }

    fn at_time_limit(&mut self, active: &mut ActiveStep, cause: Cause) -> Result<(), Cause> {
        match self.off_since {
            Some(_) => Err(stayed_off(active.vm())),
            None => Err(cause),
        }
    }

    fn after_refusal(&mut self, message: &str, vm: &Vm) -> AfterRefusal {
        if is_guest_timeout(message) {
            AfterRefusal::FailBecause(guest_did_not_react(self.guest_timeout, vm))
        } else if message.contains(&format!("VM {} not running", vm.vmid)) {
            AfterRefusal::CheckAgain
        } else {
            AfterRefusal::Fail
        }
    }
}

/// Waits until a VM is off. Its task may have ended before, because HA stops the VM later.
fn wait_until_stopped<'q>(active: &mut ActiveStep) -> Result<Next<'q>, Stop> {
    let is_running = active.status()?.is_running();
    // A request names only the VMID: another VM may have got it right before.
    active.check_same_vm()?;
    Ok(if is_running { Next::Wait } else { Next::Done })
}

/// Whether a start is running, which would take effect later.
fn is_being_started(active: &mut ActiveStep) -> Result<bool, Stop> {
    let starts = active.read(|pve, vm| pve.running_tasks("qmstart", Some(vm.vmid), &vm.node))?;
    Ok(!starts.is_empty())
}

/// A paused VM counts as running, but its guest does not react.
fn check_not_paused(active: &ActiveStep, status: &VmStatus) -> Result<(), Cause> {
    if !status.is_paused() || active.existing().named_by.is_none() {
        return Ok(());
    }
    let Vm { vmid, node, .. } = active.vm();
    Err(Cause::State {
        message: "it is paused".to_owned(),
        hint: format!(
            "to resume it, on node '{node}': qm resume {vmid}; to power it off: homelab proxmox vm stop {vmid}"
        ),
    })
}

fn guest_did_not_react(guest_timeout: Duration, vm: &Vm) -> Cause {
    Cause::TimedOut {
        seconds: guest_timeout.as_secs_f64(),
        last: Some("its guest did not react, and may still shut down later".to_owned()),
        hint: Some(format!(
            "to power it off: homelab proxmox vm stop {}; or allow the guest more time with --guest-timeout",
            vm.vmid
        )),
    }
}

fn not_running(vm: &Vm) -> Cause {
    Cause::State {
        message: "it is not running".to_owned(),
        hint: format!("to start it: homelab proxmox vm start {}", vm.vmid),
    }
}

fn stayed_off(vm: &Vm) -> Cause {
    Cause::State {
        message: "it was shut down, and has not started again".to_owned(),
        hint: format!(
            "to start it: homelab proxmox vm start {}; the failed start is in the task log of node {}",
            vm.vmid,
            word(&vm.node.0)
        ),
    }
}

/// The time limit was reached, perhaps because HA has not acted: its task only files the request.
pub(super) fn not_by_ha(active: &ActiveStep, cause: Cause) -> Cause {
    let task = active.upid();
    let done = match task.as_ref().map(Upid::kind) {
        Some("hastart") => "started",
        Some("hastop") => "stopped",
        _ => return cause,
    };
    match cause {
        Cause::TimedOut {
            seconds,
            last: None,
            hint,
        } => Cause::TimedOut {
            seconds,
            last: Some(format!(
                "HA has not {done} it; 'ha-manager status' on a node shows its HA state"
            )),
            hint,
        },
        cause => cause,
    }
}
