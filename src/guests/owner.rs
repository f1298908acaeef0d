//! Which guest has a VMID. Only its configuration decides: lists lag behind, and tasks and logs may be
//! about another guest.

use crate::pve::types::{Guest, Node, TaskStatus, Upid, Vmid};
use crate::pve::{self, Pve, VmConfig};
use crate::say::vm::Vm;
use crate::wait::server::is_no_such_task;

/// The state of a VMID, for a command whose VM ("ours") has a certain name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum VmidState {
    /// No guest has it.
    Free,
    /// Our VM, complete, with its current node and its configuration.
    Ours(Vm, VmConfig),
    /// Another guest has it.
    Another(Guest),
    /// A VM locked by a clone or an import that is running or was left unfinished. As long as it has no name,
    /// it may be anyone's.
    BeingCreated {
        /// Whether it already has our name.
        is_named: bool,
        /// Whether an import is creating it, and not a clone.
        by_import: bool,
    },
    /// A VM that has our name and no clone lock, but lacks these disks of the template: `scsi0, scsi1`.
    Incomplete(String),
    /// A guest that has just appeared or moved.
    Appeared,
    /// A guest that this token may not see.
    Hidden,
}

/// Which VMs with our name are ours.
#[derive(Clone, Copy, Debug)]
pub enum Expected<'t> {
    /// Any VM that is not a template, no matter who created it.
    AnyVm,
    /// Any template, no matter who created it.
    AnyTemplate,
    /// A VM that this program requested as a clone of this template: it must have the template's disks.
    CloneOf(&'t Guest),
    /// The VM to which this program gave this `uuid`, whether it is a template yet or not.
    WithUuid(&'t str),
}

impl VmidState {
    /// Reads the state. The cluster's list serves only to find a VM that was moved, even if its old node
    /// does not answer; its names are not used, because a reused VMID still has the deleted guest's name
    /// there.
    pub fn of(pve: &Pve, vm: &Vm, expected: Expected) -> Result<VmidState, pve::Error> {
        let judge = |config, node: &Node| VmidState::of_config(pve, vm, expected, config, node);
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
        expected: Expected,
        config: VmConfig,
        node: &Node,
    ) -> Result<VmidState, pve::Error> {
        let is_named = config.shown_name(vm.vmid) == vm.name.as_str();
        // A clone that is running may fail and remove its VM, so the VMID is not lost yet.
        if config.is_being_created() {
            let by_import = config.lock.as_deref() == Some("create");
            return Ok(VmidState::BeingCreated {
                is_named,
                by_import,
            });
        }
        let is_expected = match expected {
            Expected::AnyVm | Expected::CloneOf(_) => !config.template,
            Expected::AnyTemplate => config.template,
            Expected::WithUuid(uuid) => config.uuid() == Some(uuid),
        };
        if !is_named || !is_expected {
            let guest = config.into_guest(vm.vmid, node.clone());
            return Ok(VmidState::Another(guest));
        }
        let template = match expected {
            Expected::CloneOf(Guest { vmid, node, .. }) => pve.vm_config(node, *vmid)?,
            _ => None,
        };
        let missing = template.map_or_else(String::new, |template| {
            let (disks, present) = (template.disks(), config.disks());
            let missing: Vec<&str> = disks.difference(&present).map(String::as_str).collect();
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

/// A running clone of this template to this VMID, if this token may see one. It is a reason to wait, but
/// does not prove whose VM it will be: a clone that is about to lose the VMID to another one begins its log
/// the same way.
pub fn running_clone(pve: &Pve, template: &Guest, vmid: Vmid) -> Result<Option<Upid>, pve::Error> {
    for upid in pve.running_tasks("qmclone", Some(template.vmid), &template.node)? {
        let log = match pve.task_log(&upid, 0) {
            // A task that the server does not know, or no longer knows, is not running.
            Err(error) if is_no_such_task(&error) => continue,
            log => log?,
        };
        if log.iter().any(|line| is_about(line, vmid)) {
            return Ok(Some(upid));
        }
    }
    Ok(None)
}

/// Whether this clone may still be running.
pub fn may_run(pve: &Pve, clone: &Upid) -> bool {
    !matches!(pve.task_status(clone), Ok(TaskStatus::Stopped(_)))
}

/// `creating a clone of VM 9000 with ID 101`; before qemu-server 9.1.6 only names of volumes contain the
/// VMID.
fn is_about(line: &str, vmid: Vmid) -> bool {
    line.ends_with(&format!(" with ID {vmid}")) || line.contains(&format!("vm-{vmid}-"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::ours("creating a clone of VM 9000 with ID 101", true)]
    #[case::another("creating a clone of VM 9000 with ID 1010", false)]
    #[case::volume("allocated target volume 'data:101/vm-101-disk-0.raw'", true)]
    #[case::volume_of_another("allocated target volume 'data:1/vm-1101-disk-0.raw'", false)]
    fn a_log_line_is_matched_by_its_vmid(#[case] line: &str, #[case] expected: bool) {
        assert_eq!(is_about(line, Vmid(101)), expected);
    }
}
