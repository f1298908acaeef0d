//! `PUT /nodes/{node}/qemu/{vmid}/resize`. Everything but its parameters is checked in the task; before PVE
//! 8 there was no task, and the answer came after the resize.

use serde_json::json;

use super::actions::{Done, Work};
use super::cluster::Cluster;
use super::drives::{Drive, format_size, parse_size};
use super::http::Answer;
use super::params::{Params, Schema};
use super::privileges::major;
use super::processes::ends_well;
use super::replies::{failure, proxied};
use super::values::Kind;

const PARAMETERS: &Schema = &[
    ("disk", Kind::Drive),
    ("size", Kind::Matching(is_size)),
    ("digest", Kind::Text),
    ("skiplock", Kind::Boolean),
];

/// The requested size of a disk.
#[derive(Clone)]
pub(crate) struct Growth {
    pub(crate) disk: String,
    /// `32G`, or `+8G` to add to the current size.
    pub(crate) size: String,
    digest: Option<String>,
}

pub(super) fn resize(
    cluster: &mut Cluster,
    token: &str,
    node: &str,
    vmid: &str,
    params: &Params,
) -> Result<Answer, Answer> {
    let acl = cluster.acl_of(token);
    acl.check(&format!("/vms/{vmid}"), "VM.Config.Disk")?;
    cluster.reach(node)?;
    let vmid = params.check_for(vmid, &["disk", "size"], PARAMETERS)?;
    params.leave_to_root("skiplock")?;
    let text = |name| params.get(name).map(str::to_owned);
    let growth = Growth {
        disk: text("disk").unwrap_or_default(),
        size: text("size").unwrap_or_default(),
        digest: text("digest"),
    };
    if major(&cluster.setup.version) < 8 {
        cluster.lock_or_time_out(vmid)?;
        return match cluster.grow(token, node, vmid, &growth) {
            Ok(_) => Ok(proxied(&json!(null))),
            Err(why) => Err(why
                .strip_prefix("403 ")
                .map_or_else(|| failure(500, &why), |forbidden| failure(403, forbidden))),
        };
    }
    let upid = cluster.begin_action(token, node, vmid, Work::Resize(growth));
    Ok(proxied(&json!(upid)))
}

fn is_size(size: &str) -> bool {
    parse_size(size.strip_prefix('+').unwrap_or(size)).is_some()
}

impl Cluster {
    pub(super) fn resize(&mut self, owner: &str, node: &str, vmid: u32, growth: &Growth) -> Done {
        match self.grow(owner, node, vmid, growth) {
            Ok(log) => {
                let exit = "OK".to_owned();
                Done { log, exit }
            }
            Err(exit) => Done::failed(exit),
        }
    }

    fn grow(
        &mut self,
        owner: &str,
        node: &str,
        vmid: u32,
        growth: &Growth,
    ) -> Result<Vec<String>, String> {
        let disk = &growth.disk;
        let vm = self.unlocked_vm(node, vmid, growth.digest.as_deref())?;
        let option = vm.config.get(disk).and_then(|drive| drive.as_str());
        let option = option.ok_or_else(|| format!("disk '{disk}' does not exist"))?;
        let mut drive = Drive::parse(option);
        if drive.is_cdrom() {
            return Err("you can't resize a cdrom".to_owned());
        }
        let storage = drive.storage().unwrap_or_default();
        let (path, privilege) = (format!("/storage/{storage}"), "Datastore.AllocateSpace");
        if !self.acl_of(owner).grants(&path, privilege) {
            return Err(format!("403 Permission check failed ({path}, {privilege})"));
        }
        let volume = &drive.file;
        let unknown = || format!("Could not determine current size of volume '{volume}'");
        let size = drive.size().ok_or_else(unknown)?;
        let (more, text) = match growth.size.strip_prefix('+') {
            Some(text) => (size, text),
            None => (0, &*growth.size),
        };
        let target = more + parse_size(text).expect("checked with the other parameters");
        if target < size {
            return Err("shrinking disks is not supported".to_owned());
        }
        if target == size {
            return Ok(Vec::new());
        }
        if !self.has_quorum() {
            return Err(super::vm_paths::cannot_write(node, vmid));
        }
        let exit = self.setup.resize_exit.next();
        if !ends_well(&exit) {
            return Err(exit);
        }
        drive.set("size", &format_size(target));
        self.change_config(vmid, |config| {
            config.insert(disk.clone(), json!(drive.to_string()));
        });
        Ok(vec!["Image resized.".to_owned()])
    }
}
