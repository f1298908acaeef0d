//! The disks of a VM that is being created: empty, imported from images, or for cloud-init.

use serde_json::json;

use super::changes::check_only_cloudinit;
use super::cluster::Cluster;
use super::copies::convert_command;
use super::creations::CreateOrder;
use super::drives::{Drive, format_size, free_disk_name};
use super::images::{Image, storage_of};
use super::setup::CloneLog;
use super::storages::{StorageKind, folder};
use super::task_log::{formatting, transferred};

/// The number of progress steps of an import, as on the real server for 256 MiB.
const STEPS: u64 = 24;
/// How many of them are logged at once: as many as the real server logged before its storage was full.
const FIRST_STEPS: usize = 20;
const CLOUDINIT_SIZE: u64 = 4 << 20;

/// What a worker has made, or will have made at its end.
#[derive(Default)]
pub(super) struct Made {
    /// Its log.
    pub(super) lines: Vec<String>,
    /// The first image that is copied, if any.
    pub(super) copy: Option<FirstCopy>,
    pub(super) images: Vec<Image>,
    /// Why it cannot make a disk.
    pub(super) failure: Option<String>,
}

pub(super) struct FirstCopy {
    /// The number of log lines that are written at once.
    pub(super) lines_at_once: usize,
    pub(super) exit_if_interrupted: String,
}

impl Cluster {
    /// Makes the disks up to the first one that fails.
    pub(super) fn make_disks(&mut self, order: &CreateOrder) -> Made {
        let mut made = Made::default();
        for (option, drive) in order.drives() {
            let disk = match drive.get("import-from").map(str::to_owned) {
                Some(source) => self.import(order, option, drive, &source, &mut made),
                None => self.make_disk(order, option, &drive, &mut made),
            };
            match disk {
                Ok(drive) => {
                    let vm = self.guests.get_mut(&order.vmid);
                    let vm = vm.expect("a configuration since the answer");
                    let drive = json!(drive.to_string());
                    vm.disks_to_come.insert(option.to_owned(), drive);
                }
                Err(why) => {
                    made.failure = Some(why);
                    break;
                }
            }
        }
        made
    }

    fn make_disk(
        &self,
        order: &CreateOrder,
        option: &str,
        requested: &Drive,
        made: &mut Made,
    ) -> Result<Drive, String> {
        let is_new = requested.volume() == "cloudinit" || requested.size_to_allocate().is_some();
        if requested.is_cloudinit() {
            let others = &self.guests[&order.vmid].disks_to_come;
            check_only_cloudinit(others, option).map_err(|refusal| refusal.reason)?;
        }
        let kind = match requested.storage().filter(|_| is_new) {
            Some(storage) => Some(self.kind_of_target(storage, &order.node)?),
            None => None,
        };
        let drive = self.drive_to_write(order.vmid, option, &requested.to_string());
        let mut drive = drive.map_err(|refusal| refusal.reason)?;
        let size = drive.size().unwrap_or_default();
        // Its size is written when its content is generated.
        if drive.is_cloudinit() {
            drive.remove("size");
        }
        if let Some(kind) = kind {
            made.lines.extend(line_about_file(kind, &drive, size));
            made.lines.push(created(option, &drive));
        }
        Ok(drive)
    }

    fn import(
        &self,
        order: &CreateOrder,
        option: &str,
        mut drive: Drive,
        source: &str,
        made: &mut Made,
    ) -> Result<Drive, String> {
        let path = format!("{}/{}", folder(storage_of(source)), volume_of(source));
        let image = self.image(&order.node, source);
        let image = image.ok_or_else(|| format!("failed to stat '{path}'"))?;
        let failed = |why: String| format!("cannot import from '{source}' - {why}");
        let storage = drive.storage().unwrap_or_default().to_owned();
        let kind = self.kind_of_target(&storage, &order.node);
        let kind = kind.map_err(failed)?;
        let format = drive.get("format").unwrap_or(&image.format);
        let format = kind.format(Some(format), "raw");
        let volumes: Vec<String> = self.volumes().collect();
        let name = free_disk_name(&storage, order.vmid, &volumes);
        drive.file = kind.volume(&storage, order.vmid, &name, &format);
        drive.remove("format");
        drive.remove("import-from");
        drive.tidy(option);

        let size = image.virtual_size;
        let command = convert_command((Some(&image.format), &path), &drive);
        let copy_failed =
            |how: &str| failed(format!("copy failed: command '{command}' failed: {how}"));
        made.lines
            .push(format!("create full clone of drive ({source})"));
        made.lines.extend(line_about_file(kind, &drive, size));
        made.lines
            .push(format!("allocated target volume '{}'", drive.file));
        let first_steps = match self.setup.clone_log {
            CloneLog::Whole => FIRST_STEPS,
            CloneLog::Growing => 1,
        };
        made.copy.get_or_insert_with(|| FirstCopy {
            lines_at_once: made.lines.len() + first_steps,
            exit_if_interrupted: copy_failed("received interrupt"),
        });
        // The last line always comes twice.
        let steps = (0..=STEPS).chain([STEPS]);
        made.lines
            .extend(steps.map(|step| transferred(size, step, STEPS)));
        made.images.push(image.clone());
        if self.setup.storage(&storage)?.full {
            return Err(copy_failed("exit code 1"));
        }
        drive.set("size", &format_size(size));
        made.lines.push(created(option, &drive));
        Ok(drive)
    }

    fn kind_of_target(&self, storage: &str, node: &str) -> Result<StorageKind, String> {
        let found = self.setup.storage_on(storage, node)?;
        found.check_enabled(storage)?;
        Ok(found.kind)
    }
}

fn line_about_file(kind: StorageKind, drive: &Drive, size: u64) -> Option<String> {
    let is_file = kind == StorageKind::Dir;
    let size = if drive.is_cloudinit() {
        CLOUDINIT_SIZE
    } else {
        size
    };
    is_file.then(|| formatting(drive, size))
}

fn created(option: &str, drive: &Drive) -> String {
    format!("{option}: successfully created disk '{drive}'")
}

fn volume_of(volid: &str) -> &str {
    volid.split_once(':').map_or(volid, |(_, volume)| volume)
}
