//! What the server's words for "no" mean, in its answer to a request or as the exit status of a task.

use crate::pve::types::Vmid;

/// What a clone that was refused or failed means for the next attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// Another guest has the VMID, or is being created with it.
    VmidTaken,
    /// No guest has the VMID, but a volume of an earlier one is left on a storage.
    LeftOver,
    /// Something is locked or slow for a moment. The server has cleaned up.
    Passes,
    /// Asking again does not help.
    Final,
}

impl Refusal {
    /// Lock files of VMs differ in their number only. Whoever holds the new VMID's lock is creating another
    /// guest with it; any other lock, the template's for example, is released after a moment.
    pub fn of(words: &str, newid: Vmid) -> Refusal {
        let of_taken_vmid = [
            format!("unable to create VM {newid}: config file already exists"),
            format!("/{newid}.conf' failed: File exists"),
            format!("can't lock file '/var/lock/qemu-server/lock-{newid}.conf' - got timeout"),
        ];
        let says = |text: &str| words.contains(text);
        if of_taken_vmid.iter().any(|text| says(text)) {
            Refusal::VmidTaken
        } else if says(&format!("vm-{newid}-")) && (says("already exists") || says("File exists")) {
            Refusal::LeftOver
        } else if passes_by_itself(words) {
            Refusal::Passes
        } else {
            Refusal::Final
        }
    }
}

/// Whether something is locked, or a storage or QEMU is slow, for a moment: the same request may work
/// later.
pub fn passes_by_itself(words: &str) -> bool {
    let says = |text: &str| words.contains(text);
    says("got timeout") || says("got lock request timeout") || says("VM is locked (")
}

/// Whether the configuration has changed since it was read, perhaps by a request of ours whose answer was
/// lost. Older servers spell it with two s.
pub fn is_outdated(words: &str) -> bool {
    [
        "checksum mismatch",
        "checksum missmatch",
        "detected modified configuration",
    ]
    .iter()
    .any(|text| words.contains(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::refused_or_lost_to_a_quick_one(
        "unable to create VM 101: config file already exists",
        Refusal::VmidTaken
    )]
    #[case::lost_to_one_that_copies(
        "can't lock file '/var/lock/qemu-server/lock-101.conf' - got timeout",
        Refusal::VmidTaken
    )]
    #[case::on_another_node_or_a_container(
        "close (rename) atomic file '/etc/pve/nodes/pve1/qemu-server/101.conf' failed: File exists",
        Refusal::VmidTaken
    )]
    #[case::template_is_locked(
        "can't lock file '/var/lock/qemu-server/lock-9000.conf' - got timeout",
        Refusal::Passes
    )]
    #[case::template_in_a_backup("VM is locked (backup)", Refusal::Passes)]
    #[case::storage_is_locked(
        "clone failed: can't lock file '/var/lock/pve-manager/pve-storage-data' - got timeout",
        Refusal::Passes
    )]
    #[case::storage_is_locked_in_the_cluster(
        "clone failed: cfs-lock 'storage-data' error: got lock request timeout",
        Refusal::Passes
    )]
    #[case::another_vmid("unable to create VM 1010: config file already exists", Refusal::Final)]
    #[case::lock_of_another_vm(
        "can't lock file '/var/lock/qemu-server/lock-1101.conf' - got timeout",
        Refusal::Passes
    )]
    #[case::slow_storage(
        "command '/usr/bin/qemu-img resize -f raw /srv/101.raw 34359738368' failed: got timeout",
        Refusal::Passes
    )]
    #[case::volume_left_in_a_directory(
        "clone failed: disk image '/srv/images/101/vm-101-cloudinit.qcow2' already exists",
        Refusal::LeftOver
    )]
    #[case::volume_left_in_lvm(
        "clone failed: lvcreate 'pve/vm-101-cloudinit' error:   Logical Volume \"vm-101-cloudinit\" already \
         exists in volume group \"pve\"",
        Refusal::LeftOver
    )]
    #[case::volume_left_in_zfs(
        "clone failed: zfs error: cannot create 'rpool/data/vm-101-cloudinit': dataset already exists",
        Refusal::LeftOver
    )]
    #[case::volume_left_in_ceph(
        "clone failed: rbd create 'vm-101-cloudinit' error: rbd: create error: (17) File exists",
        Refusal::LeftOver
    )]
    #[case::volume_of_another_vmid(
        "clone failed: disk image '/srv/images/1101/vm-1101-cloudinit.qcow2' already exists",
        Refusal::Final
    )]
    #[case::no_quorum("cluster not ready - no quorum?", Refusal::Final)]
    #[case::disk_full("clone failed: copy failed: exit code 1", Refusal::Final)]
    fn the_servers_words_decide(#[case] words: &str, #[case] expected: Refusal) {
        assert_eq!(Refusal::of(words, Vmid(101)), expected);
    }

    #[rstest]
    #[case::this_server("checksum mismatch (file change by other user?)", true)]
    #[case::older_servers("checksum missmatch (file change by other user?)", true)]
    #[case::resize(
        "detected modified configuration - file changed by other user? Try again.",
        true
    )]
    #[case::another_failure("unable to open file", false)]
    fn a_configuration_that_was_changed_since_is_read_again(
        #[case] words: &str,
        #[case] expected: bool,
    ) {
        assert_eq!(is_outdated(words), expected);
    }
}
