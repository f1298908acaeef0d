//! Changes of a configuration: option by option, each written before the next one is checked.

use serde_json::{Map, Value, json};

use super::acl::Acl;
use super::cluster::Cluster;
use super::copies::drives_of;
use super::devices::check_device;
use super::drives::{Drive, format_size, free_disk_name, rank_of_drive};
use super::guests::Guest;
use super::http::Answer;
use super::nets::{Net, next_mac};
use super::replies::failure;
use super::stored_values::read_back;
use super::values::items_of;

/// A change with valid values; whether they fit the VM is checked later.
#[derive(Clone)]
pub(super) struct Change {
    pub(super) vmid: u32,
    pub(super) node: String,
    pub(super) token: String,
    pub(super) set: Vec<(String, String)>,
    pub(super) delete: Vec<String>,
    /// Deleted drives are destroyed too.
    pub(super) force: bool,
}

impl Change {
    fn drives(&self) -> impl Iterator<Item = (&str, Drive)> {
        let drives = self
            .set
            .iter()
            .filter(|(option, _)| rank_of_drive(option).is_some());
        drives.map(|(option, value)| (&**option, Drive::parse(value)))
    }

    /// Whether disks may be allocated on their storages: the only check of disks before anything is
    /// written.
    pub(super) fn check_storages(&self, cluster: &Cluster, acl: &Acl) -> Result<(), Answer> {
        for (_, drive) in self.drives() {
            let storage = drive.storage().unwrap_or_default();
            if drive.size_to_allocate().is_some() {
                acl.check(&format!("/storage/{storage}"), "Datastore.AllocateSpace")?;
                cluster.setup.storage(storage)?.check_images(storage)?;
            }
        }
        Ok(())
    }

    /// The balloon is checked in advance too.
    pub(super) fn check_balloon(&self, vm: &Guest) -> Result<(), Answer> {
        let number = |option: &str| {
            let given = self.set.iter().find(|(known, _)| known == option);
            let kept = vm.config.get(option).map(ToString::to_string);
            let text = given.map(|(_, value)| value.clone()).or(kept)?;
            let digits = text.trim_matches('"').trim_start_matches("current=");
            digits.parse::<u64>().ok()
        };
        let is_touched =
            |(option, _): &(String, String)| ["memory", "balloon"].contains(&&**option);
        let fits = number("balloon") <= number("memory");
        if fits || !self.set.iter().any(is_touched) {
            return Ok(());
        }
        let refusal = "balloon value too large (must be smaller than assigned memory)";
        Err(failure(500, refusal))
    }

    /// One step per option: first deletions, then settings in the order of a Perl hash, which is arbitrary
    /// but here the same each time.
    pub(super) fn steps(self) -> Vec<Step> {
        let Self { set, delete, .. } = &self;
        let mut set: Vec<_> = set.clone();
        set.sort_by_key(|(option, _)| scattered(option));
        let delete = delete.iter().map(|option| (option.clone(), None));
        let set = set.into_iter().map(|(option, value)| (option, Some(value)));
        let steps = delete.chain(set);
        steps
            .map(|(option, value)| Step {
                change: self.clone(),
                option,
                value,
            })
            .collect()
    }
}

/// FNV-1a.
fn scattered(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

/// One option to set, or to delete if it has no value.
pub(super) struct Step {
    pub(super) change: Change,
    option: String,
    value: Option<String>,
}

impl Step {
    /// Checks that depend on the old or the new value.
    fn check(&self, acl: &Acl, vm: &Guest) -> Result<(), Answer> {
        let old = vm.config.get(&self.option).and_then(Value::as_str);
        let path = format!("/vms/{}", vm.vmid);
        for value in [old, self.value.as_deref()].into_iter().flatten() {
            check_value(acl, &path, &self.option, value)?;
        }
        if self.option == "boot" {
            self.check_boot_order(vm)?;
        }
        Ok(())
    }

    fn check_boot_order(&self, vm: &Guest) -> Result<(), Answer> {
        let Change { set, delete, .. } = &self.change;
        let boot = self.value.as_deref().unwrap_or_default();
        let order = boot.strip_prefix("order=").unwrap_or_default();
        for device in items_of(order) {
            let is_set = set.iter().any(|(option, _)| option == device);
            let exists = vm.config.contains_key(device);
            if delete.iter().any(|gone| gone == device) || !(is_set || exists) {
                let why = format!("invalid bootorder: device '{device}' does not exist'");
                return Err(failure(500, &why));
            }
        }
        Ok(())
    }
}

pub(super) fn check_value(acl: &Acl, path: &str, option: &str, value: &str) -> Result<(), Answer> {
    let name = option.trim_end_matches(|c: char| c.is_ascii_digit());
    if rank_of_drive(option).is_some() {
        let drive = Drive::parse(value);
        if drive.is_cloudinit() {
            acl.check(path, "VM.Config.Cloudinit")?;
        }
        let kind = if drive.is_cdrom() { "CDROM" } else { "Disk" };
        return acl.check(path, &format!("VM.Config.{kind}"));
    }
    match name {
        "tags" => acl.check(path, "VM.Config.Options"),
        "unused" | "virtiofs" => acl.check(path, "VM.Config.Disk"),
        "serial" if value == "socket" => acl.check(path, "VM.Config.HWType"),
        "serial" => {
            let refusal = format!("only root can modify '{option}' config for real devices");
            Err(failure(500, &refusal))
        }
        "usb" => {
            acl.check(path, "VM.Config.HWType")?;
            check_device(acl, option, value)
        }
        "hostpci" => {
            check_device(acl, option, value)?;
            acl.check(path, "VM.Config.HWType")
        }
        _ => Ok(()),
    }
}

impl Cluster {
    /// Writes one option. Options written before remain, even if this one is refused.
    pub(super) fn take_step(&mut self, step: &Step) -> Result<(), Answer> {
        let Change {
            vmid, node, token, ..
        } = &step.change;
        let vm = self.existing_vm(node, *vmid)?;
        step.check(&self.acl_of(token), vm)?;
        if !self.has_quorum() {
            return Err(failure(500, &super::vm_paths::cannot_write(node, *vmid)));
        }
        match &step.value {
            None => self.delete_option(*vmid, &step.option, step.change.force),
            Some(value) => self.set_option(*vmid, &step.option, value)?,
        }
        Ok(())
    }

    fn delete_option(&mut self, vmid: u32, option: &str, force: bool) {
        self.guests
            .get_mut(&vmid)
            .expect("found before")
            .secrets
            .remove(option);
        self.change_config(vmid, |config| {
            let Some(old) = config.remove(option) else {
                return;
            };
            leave_boot_order(config, option);
            if rank_of_drive(option).is_some() && !force {
                keep_unused(config, vmid, &old);
            }
        });
    }

    fn set_option(&mut self, vmid: u32, option: &str, value: &str) -> Result<(), Answer> {
        if rank_of_drive(option).is_some() {
            let drive = self.drive_to_write(vmid, option, value)?;
            self.change_config(vmid, |config| write_drive(config, vmid, option, &drive));
            return Ok(());
        }
        if option == "cipassword" {
            let vm = self.guests.get_mut(&vmid).expect("found before");
            vm.secrets.insert(option.to_owned(), value.to_owned());
        }
        let is_net = option.starts_with("net") && option != "net";
        let written = if is_net {
            Some(json!(self.net_to_write(option, value)))
        } else {
            read_back(option, value).map_err(|why| failure(500, &why))?
        };
        self.change_config(vmid, |config| {
            config.remove(option);
            if let Some(written) = written {
                config.insert(option.to_owned(), written);
            }
        });
        Ok(())
    }

    /// Without a MAC, it gets a new one each time.
    fn net_to_write(&mut self, option: &str, value: &str) -> String {
        let mut net = Net::parse(value);
        net.tidy(option);
        if net.mac.is_none() {
            self.macs_given += 1;
            net.mac = Some(next_mac(self.macs_given));
        }
        net.to_string()
    }

    /// `STORAGE:N` allocates a new disk of N GiB each time, whatever the option was before.
    pub(super) fn drive_to_write(
        &self,
        vmid: u32,
        option: &str,
        value: &str,
    ) -> Result<Drive, Answer> {
        let config = &self.guests[&vmid].config;
        let mut drive = Drive::parse(value);
        drive.tidy(option);
        let Some(storage) = drive.storage().map(str::to_owned) else {
            drive.remove("size");
            return Ok(drive);
        };
        let requested = drive.get("format").map(str::to_owned);
        if drive.volume() == "cloudinit" {
            check_only_cloudinit(config, option)?;
            let kind = self.setup.storage(&storage)?.kind;
            let format = kind.format(requested.as_deref(), "qcow2");
            let volume = kind.volume(&storage, vmid, &format!("vm-{vmid}-cloudinit"), &format);
            self.check_volume_is_new(kind, &volume)?;
            drive.file = volume;
            drive.set("media", "cdrom");
            drive.set("size", "4M");
        } else if let Some(size) = drive.size_to_allocate() {
            let size = match option {
                "efidisk0" => 528 << 10,
                "tpmstate0" => 4 << 20,
                _ => size,
            };
            let found = self.setup.storage(&storage)?;
            let volumes: Vec<String> = self.volumes().collect();
            let name = free_disk_name(&storage, vmid, &volumes);
            let format = found.kind.format(requested.as_deref(), "raw");
            drive.file = found.kind.volume(&storage, vmid, &name, &format);
            // A raw file can have any size until something is written to it.
            if found.full && format == "qcow2" {
                let path = drive.path();
                let why = format!(
                    "unable to create image: qemu-img: {path}: Could not resize image: Allocating \
                     clusters failed: No space left on device"
                );
                return Err(failure(500, &why));
            }
            drive.set("size", &format_size(size));
        } else if let Some(size) = size_of(config, &drive.file) {
            drive.set("size", &size);
        }
        drive.remove("format");
        Ok(drive)
    }
}

/// A VM has at most one cloud-init drive.
pub(super) fn check_only_cloudinit(
    config: &Map<String, Value>,
    option: &str,
) -> Result<(), Answer> {
    let drives = drives_of(config).into_iter();
    let mut others = drives.filter(|(key, drive)| *key != option && drive.is_cloudinit());
    match others.next() {
        None => Ok(()),
        Some((key, _)) => {
            let why = format!("{option} - cloud-init drive is already attached at '{key}'");
            Err(failure(500, &why))
        }
    }
}

fn write_drive(config: &mut Map<String, Value>, vmid: u32, option: &str, drive: &Drive) {
    let old = config.insert(option.to_owned(), json!(drive.to_string()));
    let file_of = |value: &Value| value.as_str().map(|text| Drive::parse(text).file);
    if let Some(old) = old.filter(|old| file_of(old).as_ref() != Some(&drive.file)) {
        keep_unused(config, vmid, &old);
    }
    // A volume that is used again is no longer unused.
    config.retain(|key, value| !key.starts_with("unused") || *value != drive.file);
    // A new CD is added to the boot order.
    let boot = config.get("boot").and_then(Value::as_str);
    let order = boot.and_then(|boot| boot.strip_prefix("order="));
    let is_cd = drive.is_cdrom() && !drive.is_cloudinit();
    let is_new = |order: &&str| items_of(order).all(|device| device != option);
    if let Some(order) = order.filter(is_new).filter(|_| is_cd) {
        let order = format!("order={order};{option}");
        config.insert("boot".to_owned(), json!(order));
    }
}

/// The size of a volume that the VM already has, whatever the client sends.
fn size_of(config: &Map<String, Value>, file: &str) -> Option<String> {
    let drives = drives_of(config).into_iter();
    let mut known = drives.filter(|(_, drive)| drive.file == file);
    let (_, known) = known.next()?;
    known.get("size").map(str::to_owned)
}

/// A disk of the VM remains as unused when its option is removed.
fn keep_unused(config: &mut Map<String, Value>, vmid: u32, drive: &Value) {
    let drive = Drive::parse(drive.as_str().unwrap_or_default());
    let is_own = drive.volume().contains(&format!("-{vmid}-disk-"));
    if !drive.is_cdrom() && is_own {
        let mut free = (0..).map(|number| format!("unused{number}"));
        let free = free.find(|option| !config.contains_key(option));
        config.insert(free.expect("enough numbers"), json!(drive.file));
    }
}

fn leave_boot_order(config: &mut Map<String, Value>, option: &str) {
    let boot = config
        .get("boot")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if let Some(order) = boot.strip_prefix("order=") {
        let left: Vec<&str> = items_of(order).filter(|device| *device != option).collect();
        let left = if left.is_empty() {
            super::stored_values::EMPTY.to_owned()
        } else {
            format!("order={}", left.join(";"))
        };
        config.insert("boot".to_owned(), json!(left));
    }
}
