//! What a clone takes over from its template.

use serde_json::{Map, Value, json};

use super::drives::{Drive, free_disk_name, rank_of_drive, volume_on};
use super::guests::Guest;
use super::identity::Stage;
use super::tasks::CloneOrder;

/// A drive that the worker makes anew; other cdroms are merely mentioned in both configurations.
pub(super) struct Copied {
    pub(super) option: String,
    pub(super) original: Drive,
    pub(super) copy: Drive,
    pub(super) is_linked: bool,
}

impl Guest {
    /// The configuration at the start: locked, and without name and disks.
    pub(super) fn copy_of(
        source: &Guest,
        order: &CloneOrder,
        copied: &[Copied],
        births: u32,
    ) -> Self {
        let mut copy = Self::new(order.newid, births, &order.node, None);
        copy.config.clone_from(&source.config);
        copy.config.retain(|option, _| {
            !["lock", "name", "template"].contains(&&**option) && !option.starts_with("unused")
        });
        copy.set_identity();
        copy.set_digest(Stage::Locked);
        for Copied {
            option,
            copy: drive,
            ..
        } in copied
        {
            let drive_is_there = drive.is_cloudinit();
            if drive_is_there {
                copy.config.insert(option.clone(), json!(drive.to_string()));
            } else {
                copy.config.remove(option);
                let drive = json!(drive.to_string());
                copy.disks_to_come.insert(option.clone(), drive);
            }
        }
        if let Some(description) = &order.description {
            let description = json!(description.trim_end());
            copy.config.insert("description".to_owned(), description);
        }
        copy.config.insert("lock".to_owned(), json!("clone"));
        copy
    }
}

/// In the order in which Proxmox copies them.
pub(super) fn copied_drives(source: &Guest, order: &CloneOrder) -> Vec<Copied> {
    let mut volumes = Vec::new();
    let mut copied = Vec::new();
    for (option, drive) in drives_of(&source.config) {
        if drive.is_cdrom() && !drive.is_cloudinit() {
            continue;
        }
        let is_linked = !order.full && !drive.is_cloudinit();
        let own = drive.storage().unwrap_or_default();
        let storage = order.storage.as_deref().unwrap_or(own);
        let format = order.format.as_deref();
        let format = format.unwrap_or_else(|| format_of(&drive.file));
        let mut copy = drive.clone();
        let newid = order.newid;
        let name = free_disk_name(storage, newid, &volumes);
        copy.file = if drive.is_cloudinit() {
            volume_on(storage, newid, &format!("vm-{newid}-cloudinit"), "qcow2")
        } else if is_linked {
            let on_top = volume_on(own, newid, &name, "qcow2");
            let (_, on_top) = on_top.split_once(':').expect("STORAGE:VOLUME");
            format!("{}/{on_top}", drive.file)
        } else {
            volume_on(storage, newid, &name, format)
        };
        volumes.push(copy.file.clone());
        copied.push(Copied {
            option: option.to_owned(),
            original: drive,
            copy,
            is_linked,
        });
    }
    copied
}

/// In Proxmox's order.
pub(super) fn drives_of(config: &Map<String, Value>) -> Vec<(&str, Drive)> {
    let drives = config.iter().filter_map(|(option, value)| {
        let rank = rank_of_drive(option)?;
        Some((rank, &**option, Drive::parse(value.as_str()?)))
    });
    let mut drives: Vec<_> = drives.collect();
    drives.sort_by_key(|(rank, ..)| *rank);
    drives
        .into_iter()
        .map(|(_, name, drive)| (name, drive))
        .collect()
}

fn format_of(file: &str) -> &str {
    let name = file.rsplit('/').next().unwrap_or(file);
    name.rsplit_once('.').map_or("raw", |(_, format)| format)
}
