//! The drives that tie a template to its node.

use crate::pve::property::value_of;
use crate::pve::types::Guest;
use crate::pve::{self, Pve, is_cloud_init};
use crate::say::hint::refusal::{DriveKind, LocalDrive};

/// The template's drives on storages that are known not to be shared. The token may not see all storages.
pub fn local_drives(pve: &Pve, template: &Guest) -> Result<Vec<LocalDrive>, pve::Error> {
    let Guest { vmid, node, .. } = template;
    let config = pve.vm_config(node, *vmid)?.unwrap_or_default();
    let storages = pve.storages(node)?;
    let is_local = |name: &str| storages.iter().any(|it| !it.shared && it.name == name);
    let drives = config.volumes().filter(|(.., storage)| is_local(storage));
    let drives = drives.map(|(key, drive, storage)| LocalDrive {
        key: key.to_owned(),
        storage: storage.to_owned(),
        kind: kind_of(drive),
    });
    Ok(drives.collect())
}

fn kind_of(drive: &str) -> DriveKind {
    if is_cloud_init(drive) {
        DriveKind::CloudInit
    } else if value_of(drive, "media") == Some("cdrom") {
        DriveKind::Cd
    } else {
        DriveKind::Disk
    }
}
