//! Converting a VM to a template.
//!
//! - The server converts whatever has the VMID, and accepts the request without quorum. So right before it a
//!   change that changes nothing must succeed: it fails if the VM was changed, or if there is no quorum.
//! - The server sets the template flag before it converts the disks. A VM with the flag whose disks were not
//!   converted is no template that can be cloned: the flag is cleared, and the VM converted again.

use crate::pve::VmConfig;
use crate::pve::types::Vmid;
use crate::say::stage::Step;
use crate::say::vm::Vm;
use crate::steps::{ActiveStep, AfterRefusal, Cause, Next, Operation, Stop};
use crate::ui::progress::Activity;

/// Converts a VM that this command created. One that is a template already is a success.
#[derive(Default)]
pub struct Convert {
    /// Whether the last request was the conversion.
    is_requested: bool,
}

impl Convert {
    /// Whether the server has said that the conversion was carried out.
    fn is_done(&self, active: &ActiveStep) -> bool {
        self.is_requested && active.was_carried_out()
    }
}

impl<'q> Operation<'q> for Convert {
    fn next(&mut self, active: &mut ActiveStep) -> Result<Next<'q>, Stop> {
        active.set_step(Step::Convert);
        let is_done = self.is_done(active);
        let config = match active.config() {
            // The VM is read only to see whether it is still ours: the request names nothing but its VMID.
            Err(Stop::Failed(Cause::Request { .. })) if is_done => return Ok(Next::Done),
            config => config?,
        };
        if config.template {
            if is_done || is_converted(&config, active.vm().vmid) {
                return Ok(Next::Done);
            }
            self.is_requested = false;
            let digest = config.digest();
            return Ok(Next::Then(Box::new(move |pve, vm| {
                let digest = digest.iter().map(|digest| ("digest", digest.as_str()));
                let options: Vec<(&str, &str)> =
                    [("template", "0")].into_iter().chain(digest).collect();
                pve.configure(&vm.node, vm.vmid, &options).map(|()| None)
            })));
        }
        active.confirm_unchanged()?;
        active.announce(&Activity::Converting);
        self.is_requested = true;
        Ok(Next::Then(Box::new(|pve, vm| {
            pve.convert_to_template(&vm.node, vm.vmid).map(Some)
        })))
    }

    fn after_refusal(&mut self, message: &str, vm: &Vm) -> AfterRefusal {
        if message.contains("you can't convert a template to a template") {
            return AfterRefusal::CheckAgain;
        }
        if message.contains("if VM is running") {
            let vmid = vm.vmid;
            return AfterRefusal::FailBecause(Cause::State {
                message: "it is running".to_owned(),
                hint: format!(
                    "homelab proxmox vm stop {vmid}; then run the same command with --ensure to resume"
                ),
            });
        }
        AfterRefusal::Fail
    }

    fn at_time_limit(&mut self, active: &mut ActiveStep, cause: Cause) -> Result<(), Cause> {
        if self.is_done(active) {
            Ok(())
        } else {
            Err(cause)
        }
    }
}

/// Whether this is the configuration of a template that can be cloned: not only the flag is set. The names of its
/// disks begin with `base-`; a VM has `local:9000/vm-9000-disk-0.qcow2`.
pub fn is_converted(config: &VmConfig, vmid: Vmid) -> bool {
    let disks = config.disks();
    let mut volumes = config.volumes();
    let name = format!("vm-{vmid}-disk-");
    let has_disk_of_vm = volumes.any(|(key, volume, _)| {
        let volume = volume.split(',').next().unwrap_or_default();
        disks.contains(key) && volume.contains(&name)
    });
    config.template && !has_disk_of_vm
}
