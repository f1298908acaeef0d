//! The drives and options that a clone gets from its template.

use serde_json::{Map, Value, json};

use super::cluster::Cluster;
use super::drives::{Drive, free_disk_name, rank_of_drive};
use super::guests::Guest;
use super::identity::Stage;
use super::tasks::CloneOrder;

/// A drive that the worker creates; other CD drives are only mentioned in both configurations.
pub(super) struct Copied {
    pub(super) option: String,
    pub(super) original: Drive,
    pub(super) copy: Drive,
    pub(super) is_linked: bool,
}

impl Guest {
    /// The configuration at the start: locked, without name and disks.
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
            let drive_exists = drive.is_cloudinit();
            if drive_exists {
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

impl Cluster {
    /// In the order in which Proxmox VE copies them.
    pub(super) fn copied_drives(&self, source: &Guest, order: &CloneOrder) -> Vec<Copied> {
        let mut volumes: Vec<String> = self.volumes().collect();
        let mut copied = Vec::new();
        for (option, drive) in drives_of(&source.config) {
            if drive.is_cdrom() && !drive.is_cloudinit() {
                continue;
            }
            let is_linked = !order.full && !drive.is_cloudinit();
            let own = drive.storage().unwrap_or_default();
            let storage = order.storage.as_deref().unwrap_or(own);
            let kind = self.setup.storage(storage);
            let kind = kind.expect("checked when the clone was requested").kind;
            let newid = order.newid;
            let name = free_disk_name(storage, newid, &volumes);
            let mut copy = drive.clone();
            copy.file = if drive.is_cloudinit() {
                let format = kind.format(None, "qcow2");
                kind.volume(storage, newid, &format!("vm-{newid}-cloudinit"), &format)
            } else if is_linked {
                kind.linked_volume(&drive.file, newid, &name)
            } else {
                let own = format_of(&drive.file);
                let format = kind.format(order.format.as_deref().or(own), "raw");
                kind.volume(storage, newid, &name, &format)
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

    /// The first drive that cannot be created because its name is taken, and the message of the storage. A
    /// disk gets another name instead.
    pub(super) fn obstacle<'a>(&self, copied: &'a [Copied]) -> Option<(&'a Copied, String)> {
        copied.iter().find_map(|drive| {
            let storage = drive.copy.storage().unwrap_or_default();
            let kind = self.setup.storage(storage).ok()?.kind;
            let new = self.check_volume_is_new(kind, &drive.copy.file);
            Some((drive, new.err()?))
        })
    }

    /// The exit status of a worker that copies to a full storage.
    pub(super) fn out_of_space(&self, copied: &[Copied]) -> Option<String> {
        let mut full_copies = copied.iter().filter(|drive| drive.is_full_copy());
        let is_full = |drive: &Drive| Some(self.setup.storage(drive.storage()?).ok()?.full);
        let failed = full_copies.find(|drive| is_full(&drive.copy) == Some(true))?;
        let command = failed.convert_command();
        Some(format!(
            "clone failed: copy failed: command '{command}' failed: exit code 1"
        ))
    }
}

impl Copied {
    fn is_full_copy(&self) -> bool {
        !self.is_linked && !self.original.is_cloudinit()
    }

    fn convert_command(&self) -> String {
        let from = (format_of(&self.original.file), &*self.original.path());
        convert_command(from, &self.copy)
    }
}

/// The command that copies a file of this format to the volume of a drive.
pub(super) fn convert_command((format, path): (Option<&str>, &str), copy: &Drive) -> String {
    let usual = "raw";
    let (format, to) = (format.unwrap_or(usual), copy.path());
    let new_format = format_of(&copy.file).unwrap_or(usual);
    format!("/usr/bin/qemu-img convert -p -n -f {format} -O {new_format} {path} zeroinit:{to}")
}

pub(super) fn exit_if_interrupted(copied: &[Copied]) -> String {
    let mut full_copies = copied.iter().filter(|drive| drive.is_full_copy());
    full_copies.next().map_or_else(
        || "clone failed: received interrupt".to_owned(),
        |drive| {
            let command = drive.convert_command();
            format!("clone failed: copy failed: command '{command}' failed: interrupted by signal")
        },
    )
}

/// In the order of Proxmox VE.
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

/// The format of a file in a directory.
pub(super) fn format_of(file: &str) -> Option<&str> {
    let name = file.rsplit('/').next().unwrap_or(file);
    Some(name.rsplit_once('.')?.1)
}
