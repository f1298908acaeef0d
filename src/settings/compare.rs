//! Compares the value of an option in a VM's configuration with the requested one, and decides what to send
//! if they differ.
//!
//! The server changes the notation of some values and adds MAC addresses, volumes and sizes, and users add
//! other parts. So a property string counts as equal if it contains every part of the requested one.

use std::collections::BTreeSet;

use percent_encoding::percent_decode_str;

use super::options::{Kind, SSH_KEYS, Schema, kind_of, number, without_key};
use super::tags::{TAGS, is_same_tags};
use crate::pve::property::{bare_value, is_drive, is_net, mac, parts, value_of};
use crate::pve::{Size, escaped, is_cloud_init};

/// The keys that the server needs to create a volume and does not store.
const NOT_KEPT: [&str; 4] = ["file", "import-from", "format", "size"];

/// Whether the current value equals the requested one.
pub(super) fn is_same(key: &str, requested: &str, current: &str) -> bool {
    match (key, kind_of(key)) {
        // The server stores the percent-encoding that it was sent, which is not unique.
        (SSH_KEYS, _) => {
            let current: Vec<u8> = percent_decode_str(current).collect();
            current.trim_ascii_end() == requested.trim_end().as_bytes()
        }
        (TAGS, _) => is_same_tags(requested, current),
        ("description", _) => requested.trim_end() == current.trim_end(),
        (_, Some(Kind::Properties(schema))) => {
            let mut requested_parts = named_parts(&schema, requested);
            if is_drive(key) {
                requested_parts.retain(|(key, _)| !NOT_KEPT.contains(key));
            }
            let has_volume = !is_drive(key) || has_volume(requested, current);
            has_volume && requested_parts.is_subset(&named_parts(&schema, current))
        }
        (_, Some(Kind::Integer(..) | Kind::Number(_) | Kind::Mebibytes(_))) => {
            let [requested, current] = [requested, current].map(without_key);
            requested == current || number(requested).is_some_and(|it| number(current) == Some(it))
        }
        // The server trims white space.
        _ => requested.trim() == current.trim(),
    }
}

/// The value to send to get the requested one, given the current one.
pub(super) fn to_send(key: &str, requested: &str, current: Option<&str>) -> String {
    let current = current.unwrap_or_default();
    match key {
        // The value itself is percent-encoded; encoding the form does that a second time.
        SSH_KEYS => escaped(requested).to_string(),
        _ if is_net(key) => with_mac_of(requested, current),
        _ if is_drive(key) => with_volume_of(requested, current),
        _ => requested.to_owned(),
    }
}

/// The parts of a property string, each in a canonical notation.
fn named_parts<'t>(schema: &Schema, text: &'t str) -> BTreeSet<(&'t str, String)> {
    let mac = mac(text);
    let named = parts(text).map(|(key, value)| match key {
        // `virtio=MAC` is short for `model=virtio,macaddr=MAC`.
        Some(model) if mac == Some(value) && model != "macaddr" => ("model", model.to_owned()),
        key => schema.canonical(key.unwrap_or(schema.default), value),
    });
    let mac = mac.map(|mac| schema.canonical("macaddr", mac));
    named.chain(mac).collect()
}

/// A network card with its current MAC address. Without it the server would generate a new one, and the
/// guest would get another IP address from DHCP.
fn with_mac_of(requested: &str, current: &str) -> String {
    match (mac(requested), mac(current), bare_value(requested)) {
        (None, Some(mac), Some(model)) => {
            let with_mac = format!("{model}={mac}");
            let parts = requested.split(',');
            let parts = parts.map(|part| if part == model { &with_mac } else { part });
            parts.collect::<Vec<_>>().join(",")
        }
        (None, Some(mac), None) => format!("{requested},macaddr={mac}"),
        _ => requested.to_owned(),
    }
}

/// Whether a drive has the requested volume. `data:32` requests a new volume of 32 GiB on that storage,
/// `data:cloudinit` one for cloud-init. Any existing volume, on any storage, counts as the new one: sending
/// the option again would replace it with an empty disk.
fn has_volume(requested: &str, current: &str) -> bool {
    match new_volume(requested) {
        Some("cloudinit") => is_cloud_init(current),
        Some(_) => is_disk(current),
        None => volume(requested) == volume(current),
    }
}

/// The volume of a drive, in a request or in a configuration.
pub(super) fn volume(drive: &str) -> Option<&str> {
    let volume = value_of(drive, "file").or_else(|| value_of(drive, "volume"));
    volume.or_else(|| bare_value(drive))
}

/// Whether a drive requests a new volume: `data:32`.
pub fn asks_for_new_volume(drive: &str) -> bool {
    new_volume(drive).is_some()
}

/// The storage of the disk that a drive requests, and its size if it is a new volume. `None` for a CD and for a
/// device of the node.
pub(super) fn requested_disk(drive: &str) -> Option<(&str, Option<Size>)> {
    if !is_disk(drive) || is_cloud_init(drive) {
        return None;
    }
    let (storage, what) = volume(drive)?.split_once(':')?;
    let size = format!("{what}G").parse().ok();
    // A disk that is imported has the size of its source; its own is given as 0.
    let size = size.filter(|size| *size > Size(0));
    (!storage.starts_with('/')).then_some((storage, size))
}

/// The size in GiB, or `cloudinit`, if a drive requests a new volume.
fn new_volume(drive: &str) -> Option<&str> {
    let (_, what) = volume(drive)?.split_once(':')?;
    let is_size = what.parse::<f64>().is_ok();
    (is_size || what == "cloudinit").then_some(what)
}

/// Whether a drive has a volume that may contain data.
fn is_disk(drive: &str) -> bool {
    let is_volume = volume(drive).is_some_and(|volume| volume.contains(':'));
    is_volume && value_of(drive, "media") != Some("cdrom")
}

/// A drive with its current volume, if it has one, in place of a new one.
fn with_volume_of(requested: &str, current: &str) -> String {
    let (Some(_), Some(volume), true) = (new_volume(requested), volume(current), is_disk(current))
    else {
        return requested.to_owned();
    };
    let kept = parts(requested).filter_map(|(key, value)| match key {
        None | Some("file" | "volume") => Some(volume.to_owned()),
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
    #[case::number_with_zeros("cores", "02", "2", true)]
    #[case::number_that_keeps_its_zeros("memory", "512", "0512", true)]
    #[case::number_with_its_key("memory", "current=512", "512", true)]
    #[case::fraction_with_zeros("cpulimit", "1.50", "1.5", true)]
    #[case::text_in_place_of_a_number("cores", "x", "y", false)]
    #[case::zeros_in_a_text("ciuser", "007", "7", false)]
    #[case::text_in_blanks("ciuser", " bob ", "bob", true)]
    #[case::blanks_before_a_description("description", " web", "web", false)]
    #[case::text("ciuser", "admin", "admin", true)]
    #[case::text_with_a_comma("ciuser", "a", "a,b", false)]
    #[case::description_ends_in_a_line("description", "web\nfront", "web\nfront\n", true)]
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
    #[case::boot_order_with_spaces("boot", "order=scsi0 net0", "order=scsi0;net0", true)]
    #[case::flag_as_a_word("agent", "1", "yes", true)]
    #[case::flag_that_is_off("agent", "off", "1", false)]
    #[case::number_in_a_part("startup", "order=1,up=30", "order=01,up=030", true)]
    #[case::boot_order_is_a_text("boot", "order=1", "order=01", false)]
    #[case::net_with_a_flag_as_a_word("net0", "virtio,bridge=vmbr0,firewall=yes", NET, true)]
    #[case::net_with_a_flag_off("net0", "virtio,bridge=vmbr0,firewall=no", NET, false)]
    #[case::net_without_mac("net0", "virtio,bridge=vmbr0", NET, true)]
    #[case::net_with_its_mac("net0", "virtio=bc:24:11:c6:8e:7f,bridge=vmbr0", NET, true)]
    #[case::net_with_long_keys(
        "net0",
        "model=virtio,bridge=vmbr0,macaddr=BC:24:11:C6:8E:7F",
        NET,
        true
    )]
    #[case::net_with_another_mac("net0", "virtio=BC:24:11:00:00:01,bridge=vmbr0", NET, false)]
    #[case::net_of_another_model("net0", "e1000,bridge=vmbr0", NET, false)]
    #[case::net_on_another_bridge("net0", "virtio,bridge=vmbr1", NET, false)]
    #[case::net_with_more("net0", "virtio,bridge=vmbr0,tag=20", NET, false)]
    #[case::new_volume_exists("scsi1", "data:32", DISK, true)]
    #[case::new_volume_of_another_size("scsi1", "data:64", DISK, true)]
    #[case::new_volume_with_its_options("scsi1", "data:32,discard=on,format=raw", DISK, true)]
    #[case::new_volume_with_more("scsi1", "data:32,ssd=1", DISK, false)]
    #[case::new_volume_with_a_flag_as_a_word(
        "scsi1",
        "data:32,iothread=yes",
        "data:101/vm-101-disk-1.raw,iothread=1,size=32G",
        true
    )]
    #[case::serial_number_is_a_text(
        "scsi1",
        "data:32,serial=07",
        "data:101/vm-101-disk-1.raw,serial=7,size=32G",
        false
    )]
    #[case::alias("scsi1", "data:8,bps_rd_length=5", "data:x,bps_rd_max_length=5", true)]
    #[case::new_volume_that_was_moved_later("scsi1", "fast:32", DISK, true)]
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
    #[case::keys_with_lower_case_encoding("sshkeys", "a+b", "a%2bb", true)]
    #[case::other_keys("sshkeys", "a", "b", false)]
    #[case::invalid_encoding("sshkeys", "100%", "100%", true)]
    fn an_option_that_is_already_set_is_recognized(
        #[case] key: &str,
        #[case] requested: &str,
        #[case] current: &str,
        #[case] expected: bool,
    ) {
        assert_eq!(is_same(key, requested, current), expected);
    }

    #[rstest]
    #[case::new_disk("data:32", Some(("data", "32G")))]
    #[case::fraction("data:0.5,ssd=1", Some(("data", "512M")))]
    #[case::imported("data:0,import-from=data:import/x.raw", Some(("data", "-")))]
    #[case::existing_volume("data:101/vm-101-disk-1.raw,size=8G", Some(("data", "-")))]
    #[case::device("/dev/disk/by-id/ata-x:0", None)]
    #[case::cd("none,media=cdrom", None)]
    #[case::cd_image("data:iso/x.iso,media=cdrom", None)]
    #[case::cloud_init_drive("data:cloudinit", None)]
    fn the_storage_and_size_of_a_requested_disk_are_known(
        #[case] drive: &str,
        #[case] expected: Option<(&str, &str)>,
    ) {
        let disk = requested_disk(drive).map(|(storage, size)| {
            let size = size.map_or("-".to_owned(), |size| size.to_string());
            (storage, size)
        });
        let disk = disk
            .as_ref()
            .map(|(storage, size)| (*storage, size.as_str()));
        assert_eq!(disk, expected);
    }

    #[rstest]
    #[case::card(
        "net0",
        "virtio,bridge=vmbr1",
        Some(NET),
        "virtio=BC:24:11:C6:8E:7F,bridge=vmbr1"
    )]
    #[case::card_with_long_keys(
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
    #[case::existing_disk(
        "scsi1",
        "data:64,ssd=1",
        Some(DISK),
        "data:101/vm-101-disk-1.raw,ssd=1"
    )]
    #[case::existing_disk_with_long_keys(
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
    fn the_value_to_send_keeps_mac_addresses_and_volumes(
        #[case] key: &str,
        #[case] requested: &str,
        #[case] current: Option<&str>,
        #[case] sent: &str,
    ) {
        assert_eq!(to_send(key, requested, current), sent);
    }
}
