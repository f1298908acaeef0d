//! Which privileges on the VM the server requires to set an option: data from qemu-server 9.

use super::options::split_number;
use crate::pve::is_cloud_init;
use crate::pve::property::{is_drive, value_of};

/// What is required to set an option: one of these privileges. If there are none, no API token may set it.
pub type AnyOf = &'static [&'static str];

const CPU: AnyOf = &["VM.Config.CPU"];
const MEMORY: AnyOf = &["VM.Config.Memory"];
const HARDWARE: AnyOf = &["VM.Config.HWType"];
const GENERAL: AnyOf = &["VM.Config.Options"];
const DISK: AnyOf = &["VM.Config.Disk"];
const CD_ROM: AnyOf = &["VM.Config.CDROM"];
const NETWORK: AnyOf = &["VM.Config.Network"];
const CLOUD_INIT: AnyOf = &["VM.Config.Cloudinit", "VM.Config.Network"];
const CLOUD_INIT_DRIVE: AnyOf = &["VM.Config.Cloudinit"];
const POWER: AnyOf = &["VM.PowerMgmt"];
const ROOT: AnyOf = &[];

/// What is required to set this option to this value; all of it. Nothing for an option that this version does
/// not know.
pub fn needed_for(key: &str, value: &str) -> Vec<AnyOf> {
    if is_drive(key) {
        return match (is_cloud_init(value), value_of(value, "media")) {
            (true, _) => vec![CLOUD_INIT_DRIVE, CD_ROM],
            (_, Some("cdrom")) => vec![CD_ROM],
            _ => vec![DISK],
        };
    }
    let stem = split_number(key).map_or(key, |(stem, _)| stem);
    let needed = match stem {
        "cores" | "cpu" | "cpulimit" | "cpuunits" | "numa" | "smp" | "sockets" | "vcpus" => CPU,
        "allow-ksm" | "balloon" | "memory" | "shares" => MEMORY,
        "acpi" | "audio" | "hotplug" | "kvm" | "machine" | "rng" | "scsihw" | "smbios"
        | "tablet" | "vga" | "watchdog" | "usb" | "hostpci" => HARDWARE,
        "serial" if value == "socket" => HARDWARE,
        "agent" | "autostart" | "bios" | "description" | "keyboard" | "localtime"
        | "migrate_downtime" | "migrate_speed" | "onboot" | "ostype" | "protection" | "reboot"
        | "startdate" | "startup" | "tags" | "tdf" => GENERAL,
        "boot" | "bootdisk" | "virtiofs" | "vmstatestorage" => DISK,
        "net" => NETWORK,
        "cicustom" | "cipassword" | "citype" | "ciupgrade" | "ciuser" | "ipconfig"
        | "nameserver" | "searchdomain" | "sshkeys" => CLOUD_INIT,
        "freeze" => POWER,
        "affinity" | "amd-sev" | "arch" | "args" | "hookscript" | "hugepages" | "intel-tdx"
        | "ivshmem" | "keephugepages" | "parallel" | "serial" | "spice_enhancements" => ROOT,
        _ => return Vec::new(),
    };
    vec![needed]
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::cores("cores", "4", &[CPU])]
    #[case::numa_node("numa0", "cpus=0", &[CPU])]
    #[case::smbios("smbios1", "uuid=x", &[HARDWARE])]
    #[case::card("net0", "virtio", &[NETWORK])]
    #[case::address("ipconfig0", "ip=dhcp", &[CLOUD_INIT])]
    #[case::disk("scsi1", "data:32", &[DISK])]
    #[case::cd("ide2", "none,media=cdrom", &[CD_ROM])]
    #[case::cloud_init_drive("ide2", "data:cloudinit", &[CLOUD_INIT_DRIVE, CD_ROM])]
    #[case::serial_socket("serial0", "socket", &[HARDWARE])]
    #[case::serial_device("serial0", "/dev/ttyS0", &[ROOT])]
    #[case::root("args", "-x", &[ROOT])]
    #[case::option_of_a_later_version("quantum", "1", &[])]
    fn an_option_requires_privileges(
        #[case] key: &str,
        #[case] value: &str,
        #[case] expected: &[AnyOf],
    ) {
        assert_eq!(needed_for(key, value), expected);
    }
}
