//! The options of a VM configuration, and the privileges needed to set them.

use super::drives::rank_of_drive;
use super::values::{
    Kind, Properties, addresses, boot_devices, dns_name, ipv4, ipv4_config, ipv6, ipv6_config, mac,
    tags, urlencoded,
};

/// What a token needs to set or delete an option.
#[derive(Clone, Copy)]
pub(super) enum Needs {
    One(&'static str),
    Either(&'static [&'static str]),
    /// Depends on the value, and is checked last.
    ByValue,
    /// Not allowed for any token.
    Root,
}

pub(super) const BY_VALUE: Needs = Needs::ByValue;
const CPU: Needs = Needs::One("VM.Config.CPU");
const MEMORY: Needs = Needs::One("VM.Config.Memory");
const HARDWARE: Needs = Needs::One("VM.Config.HWType");
const GENERAL: Needs = Needs::One("VM.Config.Options");
const DISK: Needs = Needs::One("VM.Config.Disk");
const NETWORK: Needs = Needs::One("VM.Config.Network");
const CLOUDINIT: Needs = Needs::Either(&["VM.Config.Cloudinit", "VM.Config.Network"]);

const ANY: i64 = i64::MAX;

/// Options that exist once.
const SINGLE: &[(&str, Kind, Needs)] = &[
    ("acpi", Kind::Boolean, HARDWARE),
    ("affinity", Kind::Text, Needs::Root),
    ("agent", Kind::Properties(&AGENT), GENERAL),
    ("allow-ksm", Kind::Boolean, MEMORY),
    ("amd-sev", Kind::Text, Needs::Root),
    ("arch", Kind::OneOf(&["x86_64", "aarch64"]), Needs::Root),
    ("args", Kind::Text, Needs::Root),
    ("audio0", Kind::Text, HARDWARE),
    ("autostart", Kind::Boolean, GENERAL),
    ("balloon", Kind::Integer(0, ANY), MEMORY),
    ("bios", Kind::OneOf(&["seabios", "ovmf"]), GENERAL),
    ("boot", Kind::Properties(&BOOT), DISK),
    ("bootdisk", Kind::Drive, DISK),
    ("cicustom", Kind::Text, CLOUDINIT),
    ("cipassword", Kind::Text, CLOUDINIT),
    (
        "citype",
        Kind::OneOf(&["configdrive2", "nocloud", "opennebula"]),
        CLOUDINIT,
    ),
    ("ciupgrade", Kind::Boolean, CLOUDINIT),
    ("ciuser", Kind::Text, CLOUDINIT),
    ("cores", Kind::Integer(1, ANY), CPU),
    ("cpu", Kind::Text, CPU),
    ("cpulimit", Kind::Number, CPU),
    ("cpuunits", Kind::Integer(1, 262_144), CPU),
    ("description", Kind::Text, GENERAL),
    ("freeze", Kind::Boolean, Needs::One("VM.PowerMgmt")),
    ("hookscript", Kind::Text, Needs::Root),
    ("hotplug", Kind::Text, HARDWARE),
    ("hugepages", Kind::OneOf(&["any", "2", "1024"]), Needs::Root),
    ("intel-tdx", Kind::Text, Needs::Root),
    ("ivshmem", Kind::Text, Needs::Root),
    ("keephugepages", Kind::Boolean, Needs::Root),
    ("keyboard", Kind::Text, GENERAL),
    ("kvm", Kind::Boolean, HARDWARE),
    ("localtime", Kind::Boolean, GENERAL),
    ("lock", Kind::Text, Needs::Root),
    ("machine", Kind::Text, HARDWARE),
    ("memory", Kind::Properties(&MEMORY_SIZE), MEMORY),
    ("migrate_downtime", Kind::Number, GENERAL),
    ("migrate_speed", Kind::Integer(0, ANY), GENERAL),
    ("name", Kind::Checked(dns_name), GENERAL),
    ("nameserver", Kind::Checked(addresses), CLOUDINIT),
    ("numa", Kind::Boolean, CPU),
    ("onboot", Kind::Boolean, GENERAL),
    ("ostype", Kind::OneOf(&OS_TYPES), GENERAL),
    ("protection", Kind::Boolean, GENERAL),
    ("reboot", Kind::Boolean, GENERAL),
    ("rng0", Kind::Text, HARDWARE),
    ("scsihw", Kind::OneOf(&SCSI_CONTROLLERS), HARDWARE),
    ("searchdomain", Kind::Text, CLOUDINIT),
    ("shares", Kind::Integer(0, 50_000), MEMORY),
    ("smbios1", Kind::Text, HARDWARE),
    ("smp", Kind::Integer(1, ANY), CPU),
    ("sockets", Kind::Integer(1, ANY), CPU),
    ("spice_enhancements", Kind::Text, Needs::Root),
    ("sshkeys", Kind::Checked(urlencoded), CLOUDINIT),
    ("startdate", Kind::Text, GENERAL),
    ("startup", Kind::Text, GENERAL),
    ("tablet", Kind::Boolean, HARDWARE),
    ("tags", Kind::Checked(tags), BY_VALUE),
    ("tdf", Kind::Boolean, GENERAL),
    ("template", Kind::Boolean, GENERAL),
    ("vcpus", Kind::Integer(1, ANY), CPU),
    ("vga", Kind::Text, HARDWARE),
    ("vmgenid", Kind::Text, Needs::Root),
    ("vmstatestorage", Kind::Text, DISK),
    ("watchdog", Kind::Text, HARDWARE),
];

/// Numbered options except drives, with their maximum count.
const NUMBERED: &[(&str, u32, Kind, Needs)] = &[
    ("hostpci", 16, Kind::Text, BY_VALUE),
    ("ipconfig", 32, Kind::Properties(&IP_CONFIG), CLOUDINIT),
    ("net", 32, Kind::Properties(&NET), NETWORK),
    ("numa", 8, Kind::Text, CPU),
    ("parallel", 3, Kind::Text, Needs::Root),
    ("serial", 4, Kind::Text, BY_VALUE),
    ("unused", 256, Kind::Text, BY_VALUE),
    ("usb", 14, Kind::Text, BY_VALUE),
    ("virtiofs", 10, Kind::Text, BY_VALUE),
];

/// Kind and required privileges; `None` if there is no such option.
pub(super) fn find(option: &str) -> Option<(Kind, Needs)> {
    if rank_of_drive(option).is_some() {
        return Some((Kind::Properties(&DRIVE), BY_VALUE));
    }
    let single = SINGLE.iter().find(|(name, ..)| *name == option);
    let single = single.map(|(_, kind, needs)| (*kind, *needs));
    single.or_else(|| {
        let mut numbered = NUMBERED.iter();
        numbered.find_map(|(name, count, kind, needs)| {
            let number: u32 = option.strip_prefix(name)?.parse().ok()?;
            (number < *count).then_some((*kind, *needs))
        })
    })
}

const OS_TYPES: [&str; 13] = [
    "other", "wxp", "w2k", "w2k3", "w2k8", "wvista", "win7", "win8", "win10", "win11", "l24",
    "l26", "solaris",
];
const SCSI_CONTROLLERS: [&str; 6] = [
    "lsi",
    "lsi53c810",
    "virtio-scsi-pci",
    "virtio-scsi-single",
    "megasas",
    "pvscsi",
];

static AGENT: Properties = Properties {
    first: Some("enabled"),
    keys: &[
        ("enabled", Kind::Boolean),
        ("freeze-fs", Kind::Boolean),
        ("freeze-fs-on-backup", Kind::Boolean),
        ("fstrim_cloned_disks", Kind::Boolean),
        ("guest-fsfreeze", Kind::Boolean),
        ("type", Kind::OneOf(&["virtio", "isa"])),
    ],
    required: &["enabled"],
    ..Properties::NONE
};

static BOOT: Properties = Properties {
    first: Some("legacy"),
    keys: &[
        ("legacy", Kind::Text),
        ("order", Kind::Checked(boot_devices)),
    ],
    ..Properties::NONE
};

static MEMORY_SIZE: Properties = Properties {
    first: Some("current"),
    keys: &[("current", Kind::Integer(16, ANY))],
    required: &["current"],
    ..Properties::NONE
};

static IP_CONFIG: Properties = Properties {
    keys: &[
        ("gw", Kind::Checked(ipv4)),
        ("gw6", Kind::Checked(ipv6)),
        ("ip", Kind::Checked(ipv4_config)),
        ("ip6", Kind::Checked(ipv6_config)),
    ],
    requires: &[("gw", "ip"), ("gw6", "ip6")],
    ..Properties::NONE
};

static NET: Properties = Properties {
    first: Some("model"),
    keys: &[
        ("bridge", Kind::Text),
        ("e1000", Kind::Checked(mac)),
        ("e1000-82540em", Kind::Checked(mac)),
        ("e1000-82544gc", Kind::Checked(mac)),
        ("e1000-82545em", Kind::Checked(mac)),
        ("e1000e", Kind::Checked(mac)),
        ("firewall", Kind::Boolean),
        ("host-tunnel", Kind::Boolean),
        ("i82551", Kind::Checked(mac)),
        ("i82557b", Kind::Checked(mac)),
        ("i82559er", Kind::Checked(mac)),
        ("link_down", Kind::Boolean),
        ("macaddr", Kind::Checked(mac)),
        ("model", Kind::OneOf(&super::nets::MODELS)),
        ("mtu", Kind::Integer(1, 65_520)),
        ("ne2k_isa", Kind::Checked(mac)),
        ("ne2k_pci", Kind::Checked(mac)),
        ("pcnet", Kind::Checked(mac)),
        ("queues", Kind::Integer(0, 64)),
        ("rate", Kind::Number),
        ("rtl8139", Kind::Checked(mac)),
        ("tag", Kind::Integer(1, 4094)),
        ("trunks", Kind::Text),
        ("virtio", Kind::Checked(mac)),
        ("vmxnet3", Kind::Checked(mac)),
    ],
    ..Properties::NONE
};

/// The properties of all kinds of drives together.
static DRIVE: Properties = Properties {
    first: Some("file"),
    keys: &[
        ("aio", Kind::OneOf(&["native", "threads", "io_uring"])),
        ("backup", Kind::Boolean),
        ("bps", Kind::Integer(0, ANY)),
        ("cache", Kind::OneOf(&CACHES)),
        ("detect_zeroes", Kind::Boolean),
        ("discard", Kind::OneOf(&["ignore", "on"])),
        ("efitype", Kind::OneOf(&["2m", "4m"])),
        ("file", Kind::Text),
        ("format", Kind::OneOf(&["raw", "qcow2", "vmdk"])),
        ("import-from", Kind::Text),
        ("iops", Kind::Integer(0, ANY)),
        ("iops_max", Kind::Integer(0, ANY)),
        ("iops_rd", Kind::Integer(0, ANY)),
        ("iops_rd_max", Kind::Integer(0, ANY)),
        ("iops_wr", Kind::Integer(0, ANY)),
        ("iops_wr_max", Kind::Integer(0, ANY)),
        ("iothread", Kind::Boolean),
        ("mbps", Kind::Number),
        ("mbps_max", Kind::Number),
        ("mbps_rd", Kind::Number),
        ("mbps_rd_max", Kind::Number),
        ("mbps_wr", Kind::Number),
        ("mbps_wr_max", Kind::Number),
        ("media", Kind::OneOf(&["cdrom", "disk"])),
        ("model", Kind::Text),
        ("ms-cert", Kind::Text),
        ("pre-enrolled-keys", Kind::Boolean),
        ("product", Kind::Text),
        ("queues", Kind::Integer(2, ANY)),
        ("replicate", Kind::Boolean),
        ("rerror", Kind::OneOf(&["ignore", "report", "stop"])),
        ("ro", Kind::Boolean),
        ("scsiblock", Kind::Boolean),
        ("serial", Kind::Text),
        ("shared", Kind::Boolean),
        ("size", Kind::Text),
        ("snapshot", Kind::Boolean),
        ("ssd", Kind::Boolean),
        ("vendor", Kind::Text),
        ("version", Kind::OneOf(&["v1.2", "v2.0"])),
        (
            "werror",
            Kind::OneOf(&["enospc", "ignore", "report", "stop"]),
        ),
        ("wwn", Kind::Text),
    ],
    required: &["file"],
    ..Properties::NONE
};

const CACHES: [&str; 5] = ["none", "writethrough", "writeback", "unsafe", "directsync"];
