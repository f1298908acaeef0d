//! `POST /nodes/{node}/qemu/{vmid}/template`, which makes the disks of a VM the bases of linked clones.
//!
//! - The worker first sets the option `template`, and then renames one disk after the other. If it ends in
//!   between, the VM is a template by its option alone, and cannot be converted again.
//! - Without quorum the task fails before anything is changed.

use serde_json::json;

use super::actions::{Done, Work};
use super::cluster::Cluster;
use super::copies::drives_of;
use super::deeds::Did;
use super::guests::Guest;
use super::http::Answer;
use super::params::Params;
use super::processes::ends_well;
use super::replies::{failure, proxied};
use super::tasks::Task;
use super::values::Kind;
use super::vm_paths::cannot_write;

pub(super) fn convert(
    cluster: &mut Cluster,
    token: &str,
    node: &str,
    vmid: &str,
    params: &Params,
) -> Result<Answer, Answer> {
    let acl = cluster.acl_of(token);
    acl.check(&format!("/vms/{vmid}"), "VM.Allocate")?;
    cluster.reach(node)?;
    let vmid = params.check_for(vmid, &[], &[("disk", Kind::Drive)])?;
    let disk = params.get("disk").map(str::to_owned);
    let early = cluster.check_convert(node, vmid, disk.as_deref());
    early.map_err(|why| failure(500, &why))?;
    let upid = cluster.begin_action(token, node, vmid, Work::Convert { disk });
    Ok(proxied(&json!(upid)))
}

impl Cluster {
    /// The work of the task.
    pub(super) fn convert(
        &mut self,
        owner: &str,
        node: &str,
        vmid: u32,
        disk: Option<&str>,
    ) -> Done {
        if let Err(exit) = self.check_convert(node, vmid, disk) {
            return Done::failed(exit);
        }
        if !self.has_quorum() {
            return Done::failed(cannot_write(node, vmid));
        }
        let exit = self.setup.template_exit.next();
        self.change_config(vmid, |config| {
            config.insert("template".to_owned(), json!(1));
        });
        if ends_well(&exit) {
            self.make_bases(vmid, disk);
            self.record(owner, vmid, Did::Convert);
        }
        Done::failed(exit)
    }

    /// What is checked both before the answer and with the lock.
    fn check_convert(&self, node: &str, vmid: u32, disk: Option<&str>) -> Result<(), String> {
        let vm = self.unlocked_vm(node, vmid, None)?;
        let refusal = if vm.has_snapshots() {
            "unable to create template, because VM contains snapshots"
        } else if vm.is_template() && disk.is_none() {
            "you can't convert a template to a template"
        } else if vm.status == "running" {
            "you can't convert a VM to template if VM is running"
        } else {
            return Ok(());
        };
        Err(refusal.to_owned())
    }

    /// Another user converts a VM. Returns whether it could be converted.
    pub(crate) fn convert_as_stranger(&mut self, vmid: u32) -> bool {
        self.finish_work_on(vmid);
        let node = self.guests.get(&vmid).map(|guest| guest.node.clone());
        let may_be = node.is_some_and(|node| self.check_convert(&node, vmid, None).is_ok());
        if may_be {
            self.change_config(vmid, |config| {
                config.insert("template".to_owned(), json!(1));
            });
            self.make_bases(vmid, None);
        }
        may_be
    }

    /// Another user deletes a template. As on a real server, that fails while it has linked clones; it also does
    /// while it is being cloned.
    pub(crate) fn delete_template_as_stranger(&mut self, vmid: u32) -> bool {
        self.finish_work_on(vmid);
        let is_cloned = |task: &Task| {
            let is_running = task.is_forked() || task.is_copying();
            is_running && task.order.source == vmid
        };
        let base = format!("base-{vmid}-disk-");
        let has_base = |guest: &Guest| {
            let mut drives = drives_of(&guest.config).into_iter();
            guest.vmid != vmid && drives.any(|(_, drive)| drive.file.contains(&base))
        };
        let may_go = self.guests.get(&vmid).is_some_and(Guest::is_template)
            && !self.tasks.iter().any(is_cloned)
            && !self.guests.values().any(has_base);
        if may_go {
            self.remove(vmid);
        }
        may_go
    }

    /// Another user makes a template. Nothing happens if the VMID is taken.
    pub(crate) fn make_template_as_stranger(&mut self, vmid: u32, node: usize, name: &str) -> bool {
        self.add_stranger(vmid, node, name, false, false) && self.convert_as_stranger(vmid)
    }

    /// Renames the disks, or only this one. Storages without linked clones have no bases.
    fn make_bases(&mut self, vmid: u32, only: Option<&str>) {
        let drives = drives_of(&self.guests[&vmid].config).into_iter();
        let bases = drives.filter_map(|(option, mut drive)| {
            let is_meant = only.is_none_or(|only| only == option) && !drive.is_cdrom();
            let storage = drive.storage().filter(|_| is_meant)?;
            let kind = self.setup.storage(storage).ok()?.kind;
            drive.file = base_of(&drive.file).filter(|_| kind.has_linked_clones())?;
            Some((option.to_owned(), json!(drive.to_string())))
        });
        let bases: Vec<_> = bases.collect();
        self.change_config(vmid, |config| config.extend(bases));
    }
}

/// `data:101/base-101-disk-0.raw` for `data:101/vm-101-disk-0.raw`. `None` if it is not the volume of a VM.
fn base_of(volume: &str) -> Option<String> {
    let name_at = volume.rfind(['/', ':'])? + 1;
    let (place, name) = volume.split_at(name_at);
    Some(format!("{place}base-{}", name.strip_prefix("vm-")?))
}
