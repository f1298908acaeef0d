//! The work of a start.

use super::actions::Done;
use super::cluster::Cluster;
use super::deeds::Did;
use super::drives::Drive;
use super::guests::Guest;
use super::processes::{ends_well, was_killed};
use super::setup::Refresh;

impl Cluster {
    pub(super) fn start(&mut self, owner: &str, node: &str, vmid: u32) -> Done {
        if self.is_in_a_backup(node, vmid) {
            // It is running for the backup, and is resumed.
            return Done::ok();
        }
        if let Err(exit) = self.check_start(node, vmid) {
            return Done::failed(exit);
        }
        let exit = match self.missing_disk(vmid) {
            Some(volume) => format!("volume '{volume}' does not exist"),
            None => self.setup.start_exit.next(),
        };
        let (dies, rows) = (self.setup.dies_after_start, self.setup.rows);
        let has_started = ends_well(&exit);
        let requests = self.requests;
        let vm = self.guests.get_mut(&vmid).expect("found a moment before");
        let mut log = vm.generate_cloudinit();
        if was_killed(&exit) {
            log.clear();
        }
        if has_started && !dies {
            vm.runs_from(requests);
            if matches!(rows, Refresh::AtOnce) {
                vm.refresh_row();
            }
        }
        if has_started {
            self.record(owner, vmid, Did::Start);
        }
        Done { log, exit }
    }

    fn is_in_a_backup(&self, node: &str, vmid: u32) -> bool {
        let vm = self.vm(node, vmid);
        vm.is_some_and(|vm| vm.status == "running" && vm.lock() == Some("backup"))
    }

    fn check_start(&self, node: &str, vmid: u32) -> Result<(), String> {
        let vm = self.existing_vm(node, vmid)?;
        if vm.is_template() {
            return Err("you can't start a vm if it's a template".to_owned());
        }
        self.unlocked_vm(node, vmid, None)?;
        if vm.status == "running" {
            return Err(format!("VM {vmid} already running"));
        }
        let known = &self.setup.bridges;
        let mut bridges = vm.bridges();
        match bridges.find(|bridge| !known.iter().any(|known| known == bridge)) {
            Some(bridge) => Err(format!("bridge '{bridge}' does not exist")),
            None => Ok(()),
        }
    }
}

impl Guest {
    /// The log of that. A drive that is missing is made again.
    fn generate_cloudinit(&mut self) -> Vec<String> {
        let drives = self.config.values().filter_map(|value| value.as_str());
        let mut drives = drives.map(Drive::parse);
        let Some(drive) = drives.find(Drive::is_cloudinit) else {
            return Vec::new();
        };
        let path = drive.path();
        let is_missing = self.missing.remove(&drive.file);
        let again = is_missing.then(|| {
            let how = "fmt=qcow2 cluster_size=65536 extended_l2=off preallocation=metadata \
                       compression_type=zlib size=4194304 lazy_refcounts=off refcount_bits=16";
            [
                format!("failed to stat '{path}'"),
                format!("Formatting '{path}', {how}"),
            ]
        });
        let lines = again.into_iter().flatten();
        lines
            .chain(["generating cloud-init ISO".to_owned()])
            .collect()
    }
}
