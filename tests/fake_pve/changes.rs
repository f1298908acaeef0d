//! What is changed in a configuration, and how it is written down.

use serde_json::{Map, Value, json};

use super::acl::Acl;
use super::cluster::Cluster;
use super::copies::drives_of;
use super::drives::{Drive, STORAGES, format_size, free_disk_name, rank_of_drive, volume_on};
use super::guests::Guest;
use super::http::Answer;
use super::nets::{Net, next_mac};
use super::options::find;
use super::replies::{failure, parameter_error};
use super::values::{Kind, words_of};

/// With good values; whether they fit the VM is another question.
pub(super) struct Change {
    pub(super) set: Vec<(String, String)>,
    pub(super) delete: Vec<String>,
    /// What is deleted is destroyed, too.
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

    /// Whether disks may be made where they shall be.
    pub(super) fn check_storages(&self, acl: &Acl) -> Result<(), Answer> {
        for (_, drive) in self.drives() {
            let storage = drive.storage().unwrap_or_default();
            let is_new = drive.size_to_allocate().is_some();
            if is_new {
                acl.check(&format!("/storage/{storage}"), "Datastore.AllocateSpace")?;
            }
            if !is_new && drive.volume() != "cloudinit" {
                continue;
            }
            if storage == "local" {
                let why = format!("storage '{storage}' does not support vm images");
                return Err(parameter_error("storage", &why));
            }
            if !STORAGES.contains(&storage) {
                return Err(failure(500, &format!("storage '{storage}' does not exist")));
            }
        }
        Ok(())
    }

    /// What the VM's own options have to do with it.
    pub(super) fn check_against(&self, acl: &Acl, path: &str, vm: &Guest) -> Result<(), Answer> {
        let set = self
            .set
            .iter()
            .map(|(option, value)| (option, Some(&**value)));
        let delete = self.delete.iter().map(|option| (option, None));
        for (option, value) in delete.chain(set) {
            let old = vm.config.get(option).and_then(Value::as_str);
            for value in [old, value].into_iter().flatten() {
                check_value(acl, path, option, value)?;
            }
        }
        for (option, drive) in self.drives() {
            let others = drives_of(&vm.config).into_iter();
            let other = others.filter(|(other, _)| *other != option);
            let mut other = other.filter(|(_, other)| other.is_cloudinit());
            if let (true, Some((key, _))) = (drive.is_cloudinit(), other.next()) {
                let why = format!("{option} - cloud-init drive is already attached at '{key}'");
                return Err(failure(500, &why));
            }
        }
        let order = self.set.iter().find(|(option, _)| option == "boot");
        let order = order.and_then(|(_, boot)| boot.strip_prefix("order="));
        for device in words_of(order.unwrap_or_default()) {
            let is_set = self.set.iter().any(|(option, _)| option == device);
            let is_there =
                vm.config.contains_key(device) && !self.delete.iter().any(|gone| gone == device);
            if !is_set && !is_there {
                let why = format!("invalid bootorder: device '{device}' does not exist'");
                return Err(failure(500, &why));
            }
        }
        Ok(())
    }
}

/// Where it depends on the value, be it the old or the new one.
fn check_value(acl: &Acl, path: &str, option: &str, value: &str) -> Result<(), Answer> {
    let name = option.trim_end_matches(|c: char| c.is_ascii_digit());
    let only_root = |what| {
        Err(failure(
            500,
            &format!("only root can set '{option}' config for {what}"),
        ))
    };
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
        "unused" => acl.check(path, "VM.Config.Disk"),
        "serial" if value != "socket" => only_root("real devices"),
        "usb" if value != "spice" && value != "host=spice" => only_root("real devices"),
        "hostpci" if !value.contains("mapping=") => only_root("non-mapped devices"),
        "serial" | "usb" | "hostpci" => acl.check(path, "VM.Config.HWType"),
        _ => Ok(()),
    }
}

impl Cluster {
    pub(super) fn apply(&mut self, vmid: u32, change: Change) {
        let given = &mut self.macs_given;
        let vm = self.guests.get_mut(&vmid).expect("found before");
        let mut config = vm.config.clone();
        for option in &change.delete {
            let old = config.remove(option);
            vm.secrets.remove(option);
            leave_boot_order(&mut config, option);
            let is_disk = rank_of_drive(option).is_some() && !change.force;
            keep_unused(&mut config, vmid, old.as_ref().filter(|_| is_disk));
        }
        for (option, value) in change.set {
            if option == "cipassword" {
                vm.secrets.insert(option.clone(), value.clone());
            }
            let old = config.get(&option).cloned();
            let written = written(&config, vmid, &option, &value, given);
            let is_disk = rank_of_drive(&option).is_some();
            let is_other = old.as_ref().map(file_of) != Some(file_of(&written));
            config.insert(option, written);
            let replaced = old.as_ref().filter(|_| is_disk && is_other);
            keep_unused(&mut config, vmid, replaced);
        }
        self.change_config(vmid, |known| *known = config);
    }
}

/// How an option reads back.
fn written(
    config: &Map<String, Value>,
    vmid: u32,
    option: &str,
    value: &str,
    macs_given: &mut u32,
) -> Value {
    if rank_of_drive(option).is_some() {
        return json!(written_drive(config, vmid, option, value));
    }
    let name = option.trim_end_matches(|c: char| c.is_ascii_digit());
    match (name, find(option).map(|(kind, _)| kind)) {
        (_, Some(Kind::Integer(..) | Kind::Boolean)) => {
            json!(value.parse::<i64>().expect("checked before"))
        }
        ("net", _) => {
            let mut net = Net::parse(value);
            if net.mac.is_none() {
                *macs_given += 1;
                net.mac = Some(next_mac(*macs_given));
            }
            json!(net.to_string())
        }
        ("cipassword", _) => json!("**********"),
        ("description", _) => json!(value.trim_end()),
        ("memory", _) => json!(value.trim_start_matches("current=")),
        ("tags", _) => {
            let mut tags: Vec<String> = Vec::new();
            for tag in words_of(value).map(str::to_lowercase) {
                if !tags.contains(&tag) {
                    tags.push(tag);
                }
            }
            tags.sort();
            json!(tags.join(";"))
        }
        _ => json!(value),
    }
}

/// `STORAGE:N` makes a disk of N GiB each time it is said, whatever was there before.
fn written_drive(config: &Map<String, Value>, vmid: u32, option: &str, value: &str) -> String {
    let mut drive = Drive::parse(value);
    let Some(storage) = drive.storage().map(str::to_owned) else {
        return drive.to_string();
    };
    if drive.volume() == "cloudinit" {
        let format = drive.get("format").unwrap_or("qcow2").to_owned();
        drive.file = volume_on(&storage, vmid, &format!("vm-{vmid}-cloudinit"), &format);
        drive.set("media", "cdrom");
        drive.set("size", "4M");
    } else if let Some(size) = drive.size_to_allocate() {
        let size = match option {
            "efidisk0" => 528 << 10,
            "tpmstate0" => 4 << 20,
            _ => size,
        };
        let texts = config.values().filter_map(Value::as_str);
        let volumes: Vec<String> = texts.map(|text| Drive::parse(text).file).collect();
        let name = free_disk_name(&storage, vmid, &volumes);
        let format = drive.get("format").unwrap_or("raw").to_owned();
        drive.file = volume_on(&storage, vmid, &name, &format);
        drive.set("size", &format_size(size));
    } else if let Some(size) = size_of(config, &drive.file) {
        drive.set("size", &size);
    }
    drive.remove("format");
    drive.to_string()
}

/// Of a volume that the VM has already, whatever a client says.
fn size_of(config: &Map<String, Value>, file: &str) -> Option<String> {
    let drives = drives_of(config).into_iter();
    let mut known = drives.filter(|(_, drive)| drive.file == file);
    let (_, known) = known.next()?;
    known.get("size").map(str::to_owned)
}

fn file_of(drive: &Value) -> Option<String> {
    Some(Drive::parse(drive.as_str()?).file)
}

/// A VM's own disk does not vanish with its option.
fn keep_unused(config: &mut Map<String, Value>, vmid: u32, drive: Option<&Value>) {
    let Some(drive) = drive.and_then(Value::as_str).map(Drive::parse) else {
        return;
    };
    let is_own = drive.volume().contains(&format!("-{vmid}-disk-"));
    if !drive.is_cdrom() && is_own {
        let mut free = (0..).map(|number| format!("unused{number}"));
        let free = free.find(|option| !config.contains_key(option));
        config.insert(free.expect("numbers enough"), json!(drive.file));
    }
}

fn leave_boot_order(config: &mut Map<String, Value>, option: &str) {
    let boot = config
        .get("boot")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if let Some(order) = boot.strip_prefix("order=") {
        let left: Vec<&str> = words_of(order).filter(|device| *device != option).collect();
        let left = format!("order={}", left.join(";"));
        config.insert("boot".to_owned(), json!(left));
    }
}
