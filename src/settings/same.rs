//! Whether an option is already as it shall be, and how the server takes it if it is not.
//!
//! A value comes back otherwise than it was sent: with hardware addresses, volumes and sizes that the
//! server has added, and with what others have set since. What is wanted is there if each of its parts
//! is.

use std::collections::BTreeSet;

use percent_encoding::percent_decode_str;

use crate::pve::property::{bare_value, is_drive, is_numbered, mac, parts, value_of};
use crate::pve::{escaped, is_cloud_init};

/// Where cloud-init's public keys stand in a VM's configuration.
pub(super) const SSH_KEYS: &str = "sshkeys";

/// Whether what is there is what is wanted.
pub(super) fn is_same(key: &str, wanted: &str, there: &str) -> bool {
    match key {
        // Encoded once, in whichever of the ways that come to the same.
        SSH_KEYS => {
            let there: Vec<u8> = percent_decode_str(there).collect();
            there.trim_ascii_end() == wanted.trim_end().as_bytes()
        }
        "tags" => tags(wanted) == tags(there),
        "description" => wanted.trim_end() == there.trim_end(),
        _ if is_net(key) => parts_of_net(wanted).is_subset(&parts_of_net(there)),
        _ if is_drive(key) => is_same_drive(wanted, there),
        _ => {
            let kind = key.trim_end_matches(|c: char| c.is_ascii_digit());
            let mut known = PROPERTY_STRINGS.iter();
            match known.find(|(name, _)| *name == kind) {
                Some((_, unnamed)) => {
                    named_parts(wanted, unnamed).is_subset(&named_parts(there, unnamed))
                }
                None => wanted == there,
            }
        }
    }
}

/// The value as the server takes it in the place of what is there.
pub(super) fn to_send(key: &str, wanted: &str, there: Option<&str>) -> String {
    match key {
        // For itself; as a value of the form it is encoded once more.
        SSH_KEYS => escaped(wanted).to_string(),
        _ if is_net(key) => with_mac_of(wanted, there.unwrap_or_default()),
        _ if is_drive(key) => with_volume_of(wanted, there.unwrap_or_default()),
        _ => wanted.to_owned(),
    }
}

/// Options that hold several values, without the number behind them, and the name of the value that
/// may stand without one. Whatever is not here is one text, and compared as such: then nothing is
/// thought to be there that is not.
const PROPERTY_STRINGS: [(&str, &str); 18] = [
    ("agent", "enabled"),
    ("amd-sev", "type"),
    ("audio", "device"),
    ("boot", "legacy"),
    ("cpu", "cputype"),
    ("hostpci", "host"),
    ("ipconfig", ""),
    ("ivshmem", ""),
    ("machine", "type"),
    ("numa", "cpus"),
    ("rng", "source"),
    ("smbios", ""),
    ("spice_enhancements", ""),
    ("startup", "order"),
    ("usb", "host"),
    ("vga", "type"),
    ("virtiofs", "dirid"),
    ("watchdog", "model"),
];

fn is_net(key: &str) -> bool {
    is_numbered(key, &["net"])
}

fn tags(text: &str) -> BTreeSet<String> {
    let tags = text.split(|c: char| c == ';' || c == ',' || c.is_whitespace());
    let tags = tags.filter(|tag| !tag.is_empty());
    tags.map(str::to_lowercase).collect()
}

fn named_parts<'t>(text: &'t str, unnamed: &'t str) -> BTreeSet<(&'t str, &'t str)> {
    parts(text)
        .map(|(key, value)| (key.unwrap_or(unnamed), value))
        .collect()
}

/// With model and hardware address under names of their own, as Proxmox also understands them.
fn parts_of_net(net: &str) -> BTreeSet<(String, String)> {
    let mac = mac(net);
    let named = parts(net).flat_map(|(key, value)| match key {
        None => vec![("model", value.to_owned())],
        Some("macaddr") => vec![("macaddr", value.to_ascii_lowercase())],
        Some(model) if Some(value) == mac => {
            let mac = value.to_ascii_lowercase();
            vec![("model", model.to_owned()), ("macaddr", mac)]
        }
        Some(key) => vec![(key, value.to_owned())],
    });
    named.map(|(key, value)| (key.to_owned(), value)).collect()
}

/// A card that is sent without its hardware address gets a new one each time, and with it another
/// address from DHCP.
fn with_mac_of(wanted: &str, there: &str) -> String {
    match (mac(wanted), mac(there), bare_value(wanted)) {
        (None, Some(mac), Some(model)) => {
            let parts = wanted.split(',').map(|part| {
                if part == model {
                    format!("{model}={mac}")
                } else {
                    part.to_owned()
                }
            });
            parts.collect::<Vec<_>>().join(",")
        }
        (None, Some(mac), None) => format!("{wanted},macaddr={mac}"),
        _ => wanted.to_owned(),
    }
}

/// `data:32` asks for a new volume of 32 GiB on that storage, and `data:cloudinit` for one for
/// cloud-init. Once there is one, wherever it was moved since, it is not asked for again: a blank disk
/// would take its place.
fn is_same_drive(wanted: &str, there: &str) -> bool {
    // What is of use only while a volume is made is not kept.
    const PASSING: [&str; 4] = ["file", "import-from", "format", "size"];
    let rest = |drive| -> BTreeSet<(&str, &str)> {
        let named = named_parts(drive, "file").into_iter();
        named.filter(|(key, _)| !PASSING.contains(key)).collect()
    };
    let is_volume_there = match new_volume(wanted) {
        Some("cloudinit") => is_cloud_init(there),
        Some(_) => is_disk(there),
        None => volume(wanted) == volume(there),
    };
    is_volume_there && rest(wanted).is_subset(&rest(there))
}

fn volume(drive: &str) -> Option<&str> {
    value_of(drive, "file").or_else(|| bare_value(drive))
}

/// Whether a drive is asked for that does not exist yet: `data:32`.
pub fn asks_for_new_volume(drive: &str) -> bool {
    new_volume(drive).is_some()
}

/// Size in GiB, or `cloudinit`, of the volume that a drive asks for, if it asks for one that is not
/// there yet.
fn new_volume(drive: &str) -> Option<&str> {
    let (_, what) = volume(drive)?.split_once(':')?;
    let is_size = what.parse::<f64>().is_ok();
    (is_size || what == "cloudinit").then_some(what)
}

/// A volume that may hold something that nobody wants to lose.
fn is_disk(drive: &str) -> bool {
    let is_volume = volume(drive).is_some_and(|volume| volume.contains(':'));
    is_volume && value_of(drive, "media") != Some("cdrom")
}

/// The drive that is wanted, with the volume that is there in the place of a new one.
fn with_volume_of(wanted: &str, there: &str) -> String {
    let (Some(_), Some(old), true) = (new_volume(wanted), volume(there), is_disk(there)) else {
        return wanted.to_owned();
    };
    let kept = parts(wanted).filter_map(|(key, value)| match key {
        None | Some("file") => Some(old.to_owned()),
        Some("import-from" | "format" | "size") => None,
        Some(key) => Some(format!("{key}={value}")),
    });
    kept.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const NET: &str = "virtio=BC:24:11:C6:8E:7F,bridge=vmbr0,firewall=1";
    const DISK: &str = "data:101/vm-101-disk-1.raw,discard=on,size=32G";

    #[rstest]
    #[case::number("cores", "4", "4", true)]
    #[case::other_number("cores", "4", "2", false)]
    #[case::text("ciuser", "admin", "admin", true)]
    #[case::text_in_parts_is_one_text("ciuser", "a", "a,b", false)]
    #[case::description_ends_in_a_line("description", "web\nfront", "web\nfront\n", true)]
    #[case::tags_are_a_set("tags", "web;prod", "prod;web", true)]
    #[case::tags_with_commas("tags", "web, prod", "prod;web", true)]
    #[case::tags_in_capitals("tags", "Web", "web", true)]
    #[case::one_tag_less("tags", "web", "prod;web", false)]
    #[case::part("ipconfig0", "ip=dhcp", "ip=dhcp,ip6=auto", true)]
    #[case::parts_in_another_order(
        "ipconfig0",
        "gw=10.0.0.1,ip=10.0.0.5/24",
        "ip=10.0.0.5/24,gw=10.0.0.1",
        true
    )]
    #[case::one_part_differs(
        "ipconfig0",
        "ip=10.0.0.6/24,gw=10.0.0.1",
        "ip=10.0.0.5/24,gw=10.0.0.1",
        false
    )]
    #[case::unnamed_part("agent", "1", "enabled=1,fstrim_cloned_disks=1", true)]
    #[case::named_part("agent", "enabled=1", "1", true)]
    #[case::agent_off("agent", "0", "1", false)]
    #[case::cpu("cpu", "host", "cputype=host,flags=+aes", true)]
    #[case::boot_order("boot", "order=scsi0", "order=scsi0;net0", false)]
    #[case::net_without_mac("net0", "virtio,bridge=vmbr0", NET, true)]
    #[case::net_with_its_mac("net0", "virtio=bc:24:11:c6:8e:7f,bridge=vmbr0", NET, true)]
    #[case::net_in_long(
        "net0",
        "model=virtio,bridge=vmbr0,macaddr=BC:24:11:C6:8E:7F",
        NET,
        true
    )]
    #[case::net_with_another_mac("net0", "virtio=BC:24:11:00:00:01,bridge=vmbr0", NET, false)]
    #[case::net_of_another_model("net0", "e1000,bridge=vmbr0", NET, false)]
    #[case::net_at_another_bridge("net0", "virtio,bridge=vmbr1", NET, false)]
    #[case::net_with_more("net0", "virtio,bridge=vmbr0,tag=20", NET, false)]
    #[case::new_volume_is_there("scsi1", "data:32", DISK, true)]
    #[case::new_volume_of_another_size("scsi1", "data:64", DISK, true)]
    #[case::new_volume_with_its_options("scsi1", "data:32,discard=on,format=raw", DISK, true)]
    #[case::new_volume_with_more("scsi1", "data:32,ssd=1", DISK, false)]
    #[case::new_volume_that_was_moved_since("scsi1", "fast:32", DISK, true)]
    #[case::new_volume_in_place_of_a_cd("ide2", "data:32", "none,media=cdrom", false)]
    #[case::imported("scsi1", "data:0,import-from=data:import/x.raw", DISK, true)]
    #[case::volume_itself("scsi1", "data:101/vm-101-disk-1.raw", DISK, true)]
    #[case::another_volume("scsi1", "data:101/vm-101-disk-2.raw", DISK, false)]
    #[case::cloud_init_drive("ide2", "data:cloudinit", "data:vm-101-cloudinit,media=cdrom", true)]
    #[case::cloud_init_drive_on_a_disk("scsi1", "data:cloudinit", DISK, false)]
    #[case::keys(
        "sshkeys",
        "ssh-ed25519 AAAA+b me@h\u{f6}st\n",
        "ssh-ed25519%20AAAA%2Bb%20me%40h%C3%B6st",
        true
    )]
    #[case::keys_in_small_letters("sshkeys", "a+b", "a%2bb", true)]
    #[case::other_keys("sshkeys", "a", "b", false)]
    #[case::strange_encoding("sshkeys", "100%", "100%", true)]
    fn what_is_so_already_is_known(
        #[case] key: &str,
        #[case] wanted: &str,
        #[case] there: &str,
        #[case] expected: bool,
    ) {
        assert_eq!(is_same(key, wanted, there), expected);
    }

    #[rstest]
    #[case::card(
        "net0",
        "virtio,bridge=vmbr1",
        Some(NET),
        "virtio=BC:24:11:C6:8E:7F,bridge=vmbr1"
    )]
    #[case::card_in_long(
        "net0",
        "model=e1000,bridge=vmbr1",
        Some(NET),
        "model=e1000,bridge=vmbr1,macaddr=BC:24:11:C6:8E:7F"
    )]
    #[case::card_that_gets_another_mac(
        "net0",
        "virtio=BC:24:11:00:00:01",
        Some(NET),
        "virtio=BC:24:11:00:00:01"
    )]
    #[case::new_card("net1", "virtio,bridge=vmbr1", None, "virtio,bridge=vmbr1")]
    #[case::keys(
        "sshkeys",
        "ssh-rsa A+/= me@h\n",
        None,
        "ssh-rsa%20A%2B%2F%3D%20me%40h%0A"
    )]
    #[case::disk_that_is_there(
        "scsi1",
        "data:64,ssd=1",
        Some(DISK),
        "data:101/vm-101-disk-1.raw,ssd=1"
    )]
    #[case::disk_that_is_there_in_long(
        "scsi1",
        "file=data:64,format=raw,ssd=1",
        Some(DISK),
        "data:101/vm-101-disk-1.raw,ssd=1"
    )]
    #[case::new_disk("scsi1", "data:64", None, "data:64")]
    #[case::disk_in_place_of_a_cd("ide2", "data:64", Some("none,media=cdrom"), "data:64")]
    #[case::another_volume(
        "scsi1",
        "data:101/vm-101-disk-2.raw",
        Some(DISK),
        "data:101/vm-101-disk-2.raw"
    )]
    #[case::anything_else("ipconfig0", "ip=dhcp", None, "ip=dhcp")]
    fn what_is_sent_keeps_what_must_stay(
        #[case] key: &str,
        #[case] wanted: &str,
        #[case] there: Option<&str>,
        #[case] sent: &str,
    ) {
        assert_eq!(to_send(key, wanted, there), sent);
    }
}
