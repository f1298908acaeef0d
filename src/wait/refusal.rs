//! What the server's words for "no" mean, in its answer to a clone or as the exit status of the task.

use crate::pve::types::Vmid;

/// What a clone that was refused or failed means for the next attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// Another guest has the VMID, or is being created with it.
    VmidTaken,
    /// Something is locked for a moment. The server has cleaned up.
    Passes,
    /// Asking again does not help.
    Final,
}

impl Refusal {
    /// Two lock files differ in their number only: whoever holds the new VMID's is creating another guest
    /// with it; the template's is free again in a moment.
    pub fn of(words: &str, template: Vmid, newid: Vmid) -> Refusal {
        let of_taken_vmid = [
            format!("unable to create VM {newid}: config file already exists"),
            format!("/{newid}.conf' failed: File exists"),
            waited_for_lock_of(newid),
        ];
        if of_taken_vmid.iter().any(|text| words.contains(text)) {
            Refusal::VmidTaken
        } else if passes_by_itself(words, template) {
            Refusal::Passes
        } else {
            Refusal::Final
        }
    }
}

/// Whether something that work on this VM needs is locked for a moment.
pub fn passes_by_itself(words: &str, vmid: Vmid) -> bool {
    let says = |text: &str| words.contains(text);
    says(&waited_for_lock_of(vmid))
        || says("can't lock file '/var/lock/pve-manager/pve-storage-") && says("got timeout")
        || says("cfs-lock '") && says("got lock request timeout")
        || words.starts_with("VM is locked (")
}

fn waited_for_lock_of(vmid: Vmid) -> String {
    format!("can't lock file '/var/lock/qemu-server/lock-{vmid}.conf' - got timeout")
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
    #[case::lock_of_a_stranger(
        "can't lock file '/var/lock/qemu-server/lock-1101.conf' - got timeout",
        Refusal::Final
    )]
    #[case::no_quorum("cluster not ready - no quorum?", Refusal::Final)]
    #[case::disk_full("clone failed: copy failed: exit code 1", Refusal::Final)]
    fn the_servers_words_decide(#[case] words: &str, #[case] expected: Refusal) {
        assert_eq!(Refusal::of(words, Vmid(9000), Vmid(101)), expected);
    }
}
