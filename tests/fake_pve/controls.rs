//! What a test does to a fake while it runs.

use super::FakePve;
use super::setup::GuestType;

impl FakePve {
    /// A daemon that hung goes on: what it has kept is carried out in the order in which it
    /// came, and it answers again.
    pub(crate) fn wake(&self) {
        drop(self.shared.wake());
    }

    /// Whatever may still become of anything happens now: the daemon wakes up, and every task
    /// is carried to its end.
    pub(crate) fn finish_all(&self) {
        let mut cluster = self.shared.wake();
        cluster.finish_clones();
        cluster.finish_actions();
    }

    /// Blocks until so many requests have come in all. What they ask for is then done as soon
    /// as `cluster()` can be had, unless a fault is against it.
    pub(crate) fn wait_for_requests(&self, count: usize) {
        self.shared.wait_for_requests(count);
    }

    /// The VMs of this name, half-made ones too; no templates.
    pub(crate) fn vms_named(&self, name: &str) -> Vec<u32> {
        let cluster = self.cluster();
        let vms = cluster.guests.values().filter(|guest| {
            guest.kind == GuestType::Qemu && !guest.is_template() && guest.name() == Some(name)
        });
        vms.map(|vm| vm.vmid).collect()
    }

    /// Closes the port and all connections. Requests that have come are acted upon, but nobody
    /// gets their answers.
    pub(crate) fn refuse_connections(&self) {
        self.shared.door.close(None);
    }

    pub(crate) fn accept_again(&self) {
        self.shared.door.open(&self.shared);
    }

    /// Until a pause that a fault has made is over.
    pub(crate) fn wait_until_it_accepts(&self) {
        self.shared.door.wait_until_open();
    }
}
