//! What a refusal or failure means: the server's message to a request, or the exit status of a task.

use crate::pve::types::Vmid;

/// What a clone or an import that was refused or failed means for the next attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CreationError {
    /// Another guest has the VMID, or is being created with it.
    VmidTaken,
    /// No guest has the VMID, but a volume of an earlier one is left on a storage.
    LeftOver,
    /// Something is locked or slow for a moment. The server has cleaned up.
    Temporary,
    /// The same request would be refused again.
    Final,
}

impl CreationError {
    /// The lock files of VMs differ only in the VMID. A lock of the new VMID means that another guest is being
    /// created with it; any other lock, such as the template's, is released after a moment.
    pub fn of(message: &str, newid: Vmid) -> CreationError {
        let of_taken_vmid = [
            format!("unable to create VM {newid}: config file already exists"),
            // An import is refused at once, whichever guest of the cluster has the VMID.
            format!("VM {newid} already exists on node"),
            format!("CT {newid} already exists on node"),
            format!("/{newid}.conf' failed: File exists"),
            format!("can't lock file '/var/lock/qemu-server/lock-{newid}.conf' - got timeout"),
        ];
        let says = |text: &str| message.contains(text);
        if of_taken_vmid.iter().any(|text| says(text)) {
            CreationError::VmidTaken
        } else if says(&format!("vm-{newid}-")) && (says("already exists") || says("File exists")) {
            CreationError::LeftOver
        } else if is_temporary(message) {
            CreationError::Temporary
        } else {
            CreationError::Final
        }
    }
}

/// Whether something is locked, or a storage or QEMU is slow, for a moment. The same request may succeed
/// later.
pub fn is_temporary(message: &str) -> bool {
    let says = |text: &str| message.contains(text);
    says("got timeout") || says("got lock request timeout") || says("VM is locked (")
}

/// Whether a node has no VM with the VMID: it was migrated or deleted.
pub fn is_missing(message: &str) -> bool {
    (message.contains("onfiguration file") && message.contains("does not exist"))
        || message.contains("unable to find configuration file for VM")
}

/// Whether a guest did not shut down in time. Its message may also end in 'got timeout'.
pub fn is_guest_timeout(message: &str) -> bool {
    message.contains("VM quit/powerdown failed")
}

/// Whether the configuration has changed since it was read, perhaps by a request of this program that got no
/// answer. Older servers spell 'mismatch' with two s.
pub fn is_outdated(message: &str) -> bool {
    [
        "checksum mismatch",
        "checksum missmatch",
        "detected modified configuration",
    ]
    .iter()
    .any(|text| message.contains(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::taken_by_a_quick_clone(
        "unable to create VM 101: config file already exists",
        CreationError::VmidTaken
    )]
    #[case::import_to_a_vms_vmid(
        "unable to create VM 101 - VM 101 already exists on node 'pve1'",
        CreationError::VmidTaken
    )]
    #[case::import_to_a_containers_vmid(
        "unable to create VM 101 - CT 101 already exists on node 'pve2'",
        CreationError::VmidTaken
    )]
    #[case::taken_by_a_clone_that_copies(
        "can't lock file '/var/lock/qemu-server/lock-101.conf' - got timeout",
        CreationError::VmidTaken
    )]
    #[case::on_another_node_or_a_container(
        "close (rename) atomic file '/etc/pve/nodes/pve1/qemu-server/101.conf' failed: File exists",
        CreationError::VmidTaken
    )]
    #[case::template_is_locked(
        "can't lock file '/var/lock/qemu-server/lock-9000.conf' - got timeout",
        CreationError::Temporary
    )]
    #[case::template_in_a_backup("VM is locked (backup)", CreationError::Temporary)]
    #[case::storage_is_locked(
        "clone failed: can't lock file '/var/lock/pve-manager/pve-storage-data' - got timeout",
        CreationError::Temporary
    )]
    #[case::storage_is_locked_in_the_cluster(
        "clone failed: cfs-lock 'storage-data' error: got lock request timeout",
        CreationError::Temporary
    )]
    #[case::another_vmid(
        "unable to create VM 1010: config file already exists",
        CreationError::Final
    )]
    #[case::lock_of_another_vm(
        "can't lock file '/var/lock/qemu-server/lock-1101.conf' - got timeout",
        CreationError::Temporary
    )]
    #[case::slow_storage(
        "command '/usr/bin/qemu-img resize -f raw /srv/101.raw 34359738368' failed: got timeout",
        CreationError::Temporary
    )]
    #[case::volume_left_in_a_directory(
        "clone failed: disk image '/srv/images/101/vm-101-cloudinit.qcow2' already exists",
        CreationError::LeftOver
    )]
    #[case::volume_left_in_lvm(
        "clone failed: lvcreate 'pve/vm-101-cloudinit' error:   Logical Volume \"vm-101-cloudinit\" already \
         exists in volume group \"pve\"",
        CreationError::LeftOver
    )]
    #[case::volume_left_in_zfs(
        "clone failed: zfs error: cannot create 'rpool/data/vm-101-cloudinit': dataset already exists",
        CreationError::LeftOver
    )]
    #[case::volume_left_in_ceph(
        "clone failed: rbd create 'vm-101-cloudinit' error: rbd: create error: (17) File exists",
        CreationError::LeftOver
    )]
    #[case::volume_of_another_vmid(
        "clone failed: disk image '/srv/images/1101/vm-1101-cloudinit.qcow2' already exists",
        CreationError::Final
    )]
    #[case::no_quorum("cluster not ready - no quorum?", CreationError::Final)]
    #[case::disk_full("clone failed: copy failed: exit code 1", CreationError::Final)]
    fn a_clone_error_is_classified_by_its_message(
        #[case] message: &str,
        #[case] expected: CreationError,
    ) {
        assert_eq!(CreationError::of(message, Vmid(101)), expected);
    }

    #[rstest]
    #[case::this_server("checksum mismatch (file change by other user?)", true)]
    #[case::older_servers("checksum missmatch (file change by other user?)", true)]
    #[case::resize(
        "detected modified configuration - file changed by other user? Try again.",
        true
    )]
    #[case::another_failure("unable to open file", false)]
    fn a_configuration_that_has_changed_is_read_again(
        #[case] message: &str,
        #[case] expected: bool,
    ) {
        assert_eq!(is_outdated(message), expected);
    }
}
