//! `DELETE /nodes/{node}/qemu/{vmid}`, which no digest or name protects: it destroys whichever VM has the
//! VMID when its worker gets the lock.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::actions::{Done, Work};
use super::cluster::Cluster;
use super::copies::drives_of;
use super::deeds::Did;
use super::drives::Drive;
use super::guests::Guest;
use super::http::Answer;
use super::params::{Params, Schema};
use super::processes::{ends_well, was_killed};
use super::replies::{failure, proxied};
use super::setup::Rights;
use super::values::Kind;
use super::vm_paths::cannot_write;

const PARAMETERS: &Schema = &[
    ("skiplock", Kind::Boolean),
    ("purge", Kind::Boolean),
    ("destroy-unreferenced-disks", Kind::Boolean),
];

pub(super) fn destroy(
    cluster: &mut Cluster,
    token: &str,
    node: &str,
    vmid: &str,
    params: &Params,
) -> Result<Answer, Answer> {
    let acl = cluster.acl_of(token);
    acl.check(&format!("/vms/{vmid}"), "VM.Allocate")?;
    cluster.reach(node)?;
    let vmid = params.check_for(vmid, &[], PARAMETERS)?;
    params.leave_to_root("skiplock")?;
    let is_set = |name| params.get(name) == Some("1");
    let purge = is_set("purge");
    let early = cluster.check_destroy(node, vmid, purge);
    early.map_err(|why| failure(500, &why))?;
    let work = Work::Destroy {
        purge,
        unreferenced: is_set("destroy-unreferenced-disks"),
    };
    let upid = cluster.begin_action(token, node, vmid, work);
    Ok(proxied(&json!(upid)))
}

impl Cluster {
    /// The work of the task. The quorum is missed only once the disks are gone.
    pub(super) fn destroy(
        &mut self,
        owner: &str,
        node: &str,
        vmid: u32,
        purge: bool,
        unreferenced: bool,
    ) -> Done {
        let early = self.check_destroy(node, vmid, purge);
        if let Err(exit) = early.and_then(|()| self.check_disks(node, vmid)) {
            return Done::failed(exit);
        }
        let exit = self.setup.destroy_exit.next();
        if !ends_well(&exit) && !was_killed(&exit) {
            return Done::failed(exit);
        }
        let vm = &self.guests[&vmid];
        let is_under_ha = vm.ha.is_some();
        let (mut removed, kept, mut log) = self.removable_volumes(vm);
        if unreferenced {
            removed.extend(self.take_unreferenced(vmid));
        }
        if !self.has_quorum() {
            self.lose_disks(owner, vmid, removed);
            let exit = cannot_write(node, vmid);
            return Done { log, exit };
        }
        if was_killed(&exit) {
            self.lose_disks(owner, vmid, removed);
            self.change_config(vmid, |config| {
                *config = Map::from_iter([("lock".to_owned(), json!("destroyed"))]);
            });
            return Done::failed(exit);
        }
        if purge {
            log.push(format!("purging VM {vmid} from related configurations.."));
            if is_under_ha {
                log.push(format!(
                    "NOTE: removed VM {vmid} from HA resource configuration."
                ));
            }
        }
        self.record(owner, vmid, Did::Destroy(removed));
        self.setup.leftovers.extend(kept);
        self.remove(vmid);
        self.forget_privileges_on(vmid);
        let warnings = log.iter().filter(|line| line.starts_with("WARN: ")).count();
        let exit = match warnings {
            0 => "OK".to_owned(),
            warnings => format!("WARNINGS: {warnings}"),
        };
        Done { log, exit }
    }

    /// Whether a worker is about to destroy this VM.
    pub(super) fn is_being_destroyed(&self, vmid: u32) -> bool {
        let mut actions = self.actions.iter();
        actions.any(|action| {
            let process = &action.process;
            action.exit.is_none() && process.kind == "qmdestroy" && action.vmid == vmid
        })
    }

    /// What is checked both before the answer and with the lock.
    fn check_destroy(&self, node: &str, vmid: u32, purge: bool) -> Result<(), String> {
        let vm = self.existing_vm(node, vmid)?;
        let is_protected = vm.config.get("protection");
        if is_protected.is_some_and(|protection| *protection == 1 || *protection == "1") {
            return Err(format!("can't remove VM {vmid} - protection mode enabled"));
        }
        if vm.ha.is_some() && !purge {
            return Err(format!(
                "unable to remove VM {vmid} - used in HA resources and purge parameter not set."
            ));
        }
        if vm.status == "running" {
            return Err(format!("VM {vmid} is running - destroy failed"));
        }
        Ok(())
    }

    /// What is checked only with the lock.
    fn check_disks(&self, node: &str, vmid: u32) -> Result<(), String> {
        let vm = self.unlocked_vm(node, vmid, None)?;
        if !vm.is_template() {
            return Ok(());
        }
        let volumes: Vec<String> = self.volumes().collect();
        // LVM does not record the base of a volume.
        let is_base_of = |base: &str, volume: &String| volume.starts_with(&format!("{base}/"));
        let mut bases = drives_of(&vm.config)
            .into_iter()
            .map(|(_, drive)| drive.file);
        match bases.find(|base| volumes.iter().any(|volume| is_base_of(base, volume))) {
            Some(base) => Err(format!(
                "base volume '{base}' is still in use by linked cloned"
            )),
            None => Ok(()),
        }
    }

    /// The volumes in its configuration that can be removed, those that cannot, and log lines about both.
    fn removable_volumes(&self, vm: &Guest) -> (Vec<String>, Vec<String>, Vec<String>) {
        let (mut removed, mut kept, mut log) = (Vec::new(), Vec::new(), Vec::new());
        for drive in own_volumes(vm) {
            let (volume, storage) = (&drive.file, drive.storage().unwrap_or_default());
            if vm.missing.contains(volume) {
                log.push(format!("disk image '{}' does not exist", drive.path()));
                continue;
            }
            let found = self.setup.storage(storage);
            let is_enabled = found.as_ref().map(|found| found.check_enabled(storage));
            let line = match is_enabled {
                Ok(Ok(())) => {
                    removed.push(volume.clone());
                    continue;
                }
                Ok(Err(why)) => format!("Could not remove disk '{volume}', check manually: {why}"),
                Err(why) => format!("failed to get path and owner of volume '{volume}': {why}"),
            };
            log.push(format!("WARN: {line}"));
            kept.push(volume.clone());
        }
        (removed, kept, log)
    }

    /// Removes all other volumes whose name contains the VMID, on every storage that is enabled.
    fn take_unreferenced(&mut self, vmid: u32) -> Vec<String> {
        let setup = &mut self.setup;
        let leftovers = std::mem::take(&mut setup.leftovers);
        let is_found = |volume: &String| {
            let storage = volume.split(':').next().unwrap_or_default();
            let storage = setup.storage(storage);
            let is_searched = storage.is_ok_and(|storage| !storage.disabled);
            is_searched && owner_of(volume) == Some(vmid)
        };
        let (taken, left) = leftovers.into_iter().partition(is_found);
        setup.leftovers = left;
        taken
    }

    /// The disks are gone, and the VM remains.
    fn lose_disks(&mut self, owner: &str, vmid: u32, removed: Vec<String>) {
        let vm = self.guests.get_mut(&vmid).expect("found before");
        vm.missing.extend(removed.iter().cloned());
        self.record(owner, vmid, Did::RemoveDisks(removed));
    }

    /// The lists of the path of the VM are removed with it.
    fn forget_privileges_on(&mut self, vmid: u32) {
        for rights in self.setup.tokens.values_mut() {
            if let Rights::Listed(acl) = rights {
                acl.forget(&format!("/vms/{vmid}"));
            }
        }
    }

    /// The first disk in the configuration of a VM that does not exist.
    pub(super) fn missing_disk(&self, vmid: u32) -> Option<String> {
        let vm = self.guests.get(&vmid)?;
        let volumes = own_volumes(vm).into_iter();
        // A start makes the cloud-init drive again.
        let mut disks = volumes.filter(|drive| !drive.is_cloudinit());
        let missing = disks.find(|drive| vm.missing.contains(&drive.file))?;
        Some(missing.file)
    }
}

/// The drives of a VM that are removed with it, unused disks included.
fn own_volumes(vm: &Guest) -> Vec<Drive> {
    let drives = drives_of(&vm.config).into_iter().map(|(_, drive)| drive);
    let unused = vm
        .config
        .iter()
        .filter(|(option, _)| option.starts_with("unused"));
    let unused = unused.filter_map(|(_, value)| Some(Drive::parse(value.as_str()?)));
    let is_own = |drive: &Drive| owner_of(&drive.file) == Some(vm.vmid);
    let mut known = BTreeSet::new();
    let all = drives.chain(unused).filter(is_own);
    all.filter(|drive| known.insert(drive.file.clone()))
        .collect()
}

/// The VMID in the name of a volume: `vm-101-disk-0.raw`, `base-9000-disk-0`, `vm-101-cloudinit`.
fn owner_of(volume: &str) -> Option<u32> {
    let name = volume.rsplit(['/', ':']).next()?;
    let rest = name
        .strip_prefix("vm-")
        .or_else(|| name.strip_prefix("base-"))?;
    rest.split('-').next()?.parse().ok()
}
