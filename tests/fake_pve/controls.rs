//! Actions of a test on a running fake.

use super::FakePve;
use super::setup::GuestType;

impl FakePve {
    /// Wakes the daemon: it executes the delayed requests in their order, and answers again.
    pub(crate) fn wake(&self) {
        drop(self.shared.wake());
    }

    /// Finishes everything: the daemon wakes up, and every task ends.
    pub(crate) fn finish_all(&self) {
        let mut cluster = self.shared.wake();
        cluster.finish_clones();
        cluster.finish_creations();
        cluster.finish_actions();
        cluster.finish_file_tasks();
    }

    /// Waits until the fake has received `count` requests in all. They are executed by the time `cluster()`
    /// returns, unless a fault prevents it.
    pub(crate) fn wait_for_requests(&self, count: usize) {
        self.shared.wait_for_requests(count);
    }

    /// The VMs with this name, including incomplete ones; no templates.
    pub(crate) fn vms_named(&self, name: &str) -> Vec<u32> {
        let cluster = self.cluster();
        let vms = cluster.guests.values().filter(|guest| {
            guest.kind == GuestType::Qemu && !guest.is_template() && guest.name() == Some(name)
        });
        vms.map(|vm| vm.vmid).collect()
    }

    /// The VM templates with this name, including those by their option alone.
    pub(crate) fn templates_named(&self, name: &str) -> Vec<u32> {
        let cluster = self.cluster();
        let templates = cluster.guests.values().filter(|guest| {
            guest.kind == GuestType::Qemu && guest.is_template() && guest.name() == Some(name)
        });
        templates.map(|vm| vm.vmid).collect()
    }

    /// Closes the port and all connections. Requests already received are executed, but not answered.
    pub(crate) fn refuse_connections(&self) {
        self.shared.listener.close(None);
    }

    pub(crate) fn accept_again(&self) {
        self.shared.listener.open(&self.shared);
    }

    /// Waits until a pause caused by a fault is over.
    pub(crate) fn wait_until_it_accepts(&self) {
        self.shared.listener.wait_until_open();
    }
}
