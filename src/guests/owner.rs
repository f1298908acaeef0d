//! Who has a VMID: the one question that no list, no task and no log can answer.

use crate::pve::types::{Guest, Node, TaskStatus, Upid, Vmid};
use crate::pve::{self, Pve, VmConfig};
use crate::say::vm::Vm;
use crate::wait::server::is_no_such_task;

/// What one look at a VMID finds, for whom a VM of some name is ours.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum VmidState {
    /// No guest at all.
    Free,
    /// Our VM, whole, where it is now, with its configuration.
    Ours(Vm, VmConfig),
    /// Another guest.
    Another(Guest),
    /// A VM that a clone works on, or has left so. Without a name it may become anybody's.
    BeingCreated {
        /// Whether it has our name already.
        is_named: bool,
    },
    /// It has our name and no such lock, and lacks these disks of the template: `scsi0, scsi1`.
    Incomplete(String),
    /// It has just appeared, or has just moved.
    Appeared,
    /// A guest that this token may not see.
    Hidden,
}

impl VmidState {
    /// One look. `template` is given for a VM that this program has asked for: it must have that
    /// template's disks. A row is never believed: a reused VMID has the dead guest's name there. But it
    /// tells where a VM is now that was moved, be it from a node that does not answer any more.
    pub fn of(pve: &Pve, vm: &Vm, template: Option<&Guest>) -> Result<VmidState, pve::Error> {
        let judge = |config, node: &Node| VmidState::of_config(pve, vm, template, config, node);
        let failure = match pve.vm_config(&vm.node, vm.vmid) {
            Ok(Some(config)) => return judge(config, &vm.node),
            Ok(None) => None,
            Err(error) => Some(error),
        };
        if pve.is_free(vm.vmid)? {
            return Ok(VmidState::Free);
        }
        let may_not_see = matches!(failure, Some(pve::Error::Refused { status: 403, .. }));
        let guest = pve.guests(&|guest| guest.vmid == vm.vmid)?.guests.pop();
        match (guest, failure) {
            (Some(guest), _) if guest.is_container() => Ok(VmidState::Another(guest)),
            (Some(guest), _) if guest.node != vm.node => {
                match pve.vm_config(&guest.node, vm.vmid)? {
                    Some(config) => judge(config, &guest.node),
                    None => Ok(VmidState::Appeared),
                }
            }
            (None, failure) if may_not_see || failure.is_none() => Ok(VmidState::Hidden),
            (_, Some(failure)) if !may_not_see => Err(failure),
            _ => Ok(VmidState::Appeared),
        }
    }

    fn of_config(
        pve: &Pve,
        vm: &Vm,
        template: Option<&Guest>,
        config: VmConfig,
        node: &Node,
    ) -> Result<VmidState, pve::Error> {
        let is_named = config.name.as_deref() == Some(vm.name.as_str());
        // What is being made may fail and be gone, and then the VMID is not another's for good.
        if config.is_being_created() {
            return Ok(VmidState::BeingCreated { is_named });
        }
        if config.template || !is_named {
            let guest = config.into_guest(vm.vmid, node.clone());
            return Ok(VmidState::Another(guest));
        }
        let template = match template {
            Some(Guest { vmid, node, .. }) => pve.vm_config(node, *vmid)?,
            None => None,
        };
        let missing = template.map_or_else(String::new, |template| {
            let (disks, there) = (template.disks(), config.disks());
            let missing: Vec<&str> = disks.difference(&there).map(String::as_str).collect();
            missing.join(", ")
        });
        Ok(if missing.is_empty() {
            let vm = Vm {
                node: node.clone(),
                ..vm.clone()
            };
            VmidState::Ours(vm, config)
        } else {
            VmidState::Incomplete(missing)
        })
    }
}

/// A running clone of this template to this VMID, if this token may see one: a reason to wait, and no
/// proof of whose VM it will be, for losers of a race begin their logs alike.
pub fn running_clone(pve: &Pve, template: &Guest, vmid: Vmid) -> Result<Option<Upid>, pve::Error> {
    for upid in pve.running_clones_of(template.vmid, &template.node)? {
        let log = match pve.task_log(&upid, 0) {
            // A task that the server does not know, or no more, is not running.
            Err(error) if is_no_such_task(&error) => continue,
            log => log?,
        };
        if log.iter().any(|line| is_about(line, vmid)) {
            return Ok(Some(upid));
        }
    }
    Ok(None)
}

/// Whether a clone is not known to have ended.
pub fn may_run(pve: &Pve, clone: &Upid) -> bool {
    !matches!(pve.task_status(clone), Ok(TaskStatus::Stopped(_)))
}

/// `creating a clone of VM 9000 with ID 101`; before qemu-server 9.1.6 only the volumes tell.
fn is_about(line: &str, vmid: Vmid) -> bool {
    line.ends_with(&format!(" with ID {vmid}")) || line.contains(&format!("vm-{vmid}-"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::ours("creating a clone of VM 9000 with ID 101", true)]
    #[case::anothers("creating a clone of VM 9000 with ID 1010", false)]
    #[case::volume("allocated target volume 'data:101/vm-101-disk-0.raw'", true)]
    #[case::volume_of_another("allocated target volume 'data:1/vm-1101-disk-0.raw'", false)]
    fn a_log_tells_which_vmid_it_is_about(#[case] line: &str, #[case] expected: bool) {
        assert_eq!(is_about(line, Vmid(101)), expected);
    }
}
