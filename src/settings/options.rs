//! The VM options that `--set` accepts, with their types: data from qemu-server 9.2.6 (Proxmox VE 9).

use self::Kind::{Boolean, Integer, Mebibytes, Number, OneOf, Properties, Text};
use crate::pve::property::flag;

/// The option with cloud-init's public keys.
pub(super) const SSH_KEYS: &str = "sshkeys";

/// The option with the password of cloud-init's user, which the server never returns.
pub(super) const PASSWORD: &str = "cipassword";

/// The type of an option.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// Any text, or one that only the server can check.
    Text,
    /// `0` or `1`. Unlike flags in property strings, the server refuses `yes`.
    Boolean,
    /// A whole number, with its minimum and maximum.
    Integer(u32, u32),
    /// A number from 0 to this maximum.
    Number(u32),
    /// A whole number of MiB of at least this value, with or without `current=` before it.
    Mebibytes(u32),
    /// One of these words.
    OneOf(&'static str),
    /// Several values: `virtio,bridge=vmbr0`.
    Properties(Schema),
}

/// The keys of a property string; each field is a list separated by spaces.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schema {
    /// The key that may be omitted; empty if there is none.
    pub default: &'static str,
    /// Keys with values like `0`, `1`, `no` or `yes`.
    pub flags: &'static str,
    /// Keys with numbers as values.
    pub numbers: &'static str,
    /// The known values of the default key, which are keys too: `virtio=MAC`.
    pub values: &'static str,
    /// All other keys.
    pub others: &'static str,
}

/// No limit.
pub(super) const ANY: u32 = u32::MAX;

/// The type of an option; `None` if Proxmox VE 9 does not have it.
pub(super) fn kind_of(key: &str) -> Option<Kind> {
    let single = SINGLE.iter().find(|(name, _)| *name == key);
    single.map(|(_, kind)| *kind).or_else(|| {
        let (stem, number) = split_number(key)?;
        let mut numbered = NUMBERED.iter();
        let found = numbered.find(|(name, last, _)| *name == stem && number <= *last);
        let found = found.filter(|_| format!("{stem}{number}") == key);
        found.map(|(.., kind)| *kind)
    })
}

/// The names of all options; of a numbered one only the first: `net0`.
pub(super) fn names() -> impl Iterator<Item = String> {
    let single = SINGLE.iter().map(|(name, _)| (*name).to_owned());
    let numbered = NUMBERED.iter().map(|(stem, ..)| format!("{stem}0"));
    single.chain(numbered)
}

/// Parses a number in any notation that the server accepts.
pub(super) fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

/// The value of `memory`, which may be written `current=512`.
pub(super) fn without_key(memory: &str) -> &str {
    memory.strip_prefix("current=").unwrap_or(memory)
}

/// The words of a list.
pub(super) fn words_of(list: &str) -> impl Iterator<Item = &str> {
    let words = list.split(|c: char| c == ';' || c == ',' || c.is_whitespace());
    words.filter(|word| !word.is_empty())
}

/// Splits `net0` into `net` and 0.
pub(super) fn split_number(key: &str) -> Option<(&str, u32)> {
    let stem = stem(key);
    Some((stem, key[stem.len()..].parse().ok()?))
}

/// A word without the number at its end.
pub(super) fn stem(word: &str) -> &str {
    word.trim_end_matches(|c: char| c.is_ascii_digit())
}

impl Schema {
    /// A part of a property string in a canonical notation, for comparison.
    pub fn canonical<'t>(&self, key: &'t str, value: &str) -> (&'t str, String) {
        let stored_as = STORED_AS.iter().find(|(name, _)| *name == key);
        let key = stored_as.map_or(key, |(_, stored_as)| *stored_as);
        let flag = flag(value).filter(|_| self.is_flag(key));
        let number = number(value).filter(|_| self.is_number(key));
        let value = match (flag, number) {
            (Some(flag), _) => u8::from(flag).to_string(),
            (_, Some(number)) => number.to_string(),
            _ if key == "macaddr" => value.to_ascii_lowercase(),
            // A list of boot devices.
            _ if key == "order" => words_of(value).collect::<Vec<_>>().join(";"),
            _ => value.to_owned(),
        };
        (key, value)
    }

    /// Its keys.
    pub fn keys(&self) -> impl Iterator<Item = &'static str> {
        let all = [
            self.default,
            self.flags,
            self.numbers,
            self.values,
            self.others,
        ];
        all.into_iter().flat_map(str::split_whitespace)
    }

    /// Whether the value of this key is `0`, `1`, `no`, `yes` or the like.
    pub fn is_flag(&self, key: &str) -> bool {
        self.flags.split_whitespace().any(|flag| flag == key)
    }

    /// Whether the value of this key is a number.
    pub fn is_number(&self, key: &str) -> bool {
        self.numbers.split_whitespace().any(|number| number == key)
    }
}

const fn keys(default: &'static str, others: &'static str) -> Schema {
    Schema {
        default,
        flags: "",
        numbers: "",
        values: "",
        others,
    }
}

/// Options by name, except the numbered ones, which are in [`NUMBERED`].
pub(super) const SINGLE: &[(&str, Kind)] = &[
    ("acpi", Boolean),
    ("affinity", Text),
    ("agent", Properties(AGENT)),
    ("allow-ksm", Boolean),
    ("amd-sev", Properties(AMD_SEV)),
    ("arch", OneOf("x86_64 aarch64")),
    ("args", Text),
    ("audio0", Properties(keys("device", "driver"))),
    ("autostart", Boolean),
    ("balloon", Mebibytes(0)),
    ("bios", OneOf("seabios ovmf")),
    ("boot", Properties(keys("legacy", "order"))),
    ("bootdisk", Text),
    ("cicustom", Properties(keys("", "meta network user vendor"))),
    ("cipassword", Text),
    ("citype", OneOf("configdrive2 nocloud opennebula")),
    ("ciupgrade", Boolean),
    ("ciuser", Text),
    ("cores", Integer(1, ANY)),
    ("cpu", Properties(CPU)),
    ("cpulimit", Number(128)),
    ("cpuunits", Integer(1, 262_144)),
    ("description", Text),
    ("efidisk0", Properties(EFI_DISK)),
    ("freeze", Boolean),
    ("hookscript", Text),
    ("hotplug", Text),
    ("hugepages", OneOf("any 2 1024")),
    ("intel-tdx", Properties(INTEL_TDX)),
    ("ivshmem", Properties(IVSHMEM)),
    ("keephugepages", Boolean),
    ("keyboard", OneOf(KEYBOARDS)),
    ("kvm", Boolean),
    ("localtime", Boolean),
    ("machine", Properties(MACHINE)),
    ("memory", Mebibytes(16)),
    ("migrate_downtime", Number(ANY)),
    ("migrate_speed", Integer(0, ANY)),
    ("nameserver", Text),
    ("numa", Boolean),
    ("onboot", Boolean),
    ("ostype", OneOf(OS_TYPES)),
    ("protection", Boolean),
    ("reboot", Boolean),
    ("rng0", Properties(RNG)),
    ("scsihw", OneOf(SCSI_CONTROLLERS)),
    ("searchdomain", Text),
    ("shares", Integer(0, 50_000)),
    ("smbios1", Properties(SMBIOS)),
    ("smp", Integer(1, ANY)),
    ("sockets", Integer(1, ANY)),
    ("spice_enhancements", Properties(SPICE)),
    ("sshkeys", Text),
    ("startdate", Text),
    ("startup", Properties(STARTUP)),
    ("tablet", Boolean),
    ("tags", Text),
    ("tdf", Boolean),
    (
        "tpmstate0",
        Properties(keys("file", "format size version volume")),
    ),
    ("vcpus", Integer(1, ANY)),
    ("vga", Properties(VGA)),
    ("vmstatestorage", Text),
    ("watchdog", Properties(keys("model", "action"))),
];

/// Numbered options: name without the number, highest number, type.
pub(super) const NUMBERED: &[(&str, u32, Kind)] = &[
    ("hostpci", 15, Properties(HOST_PCI)),
    ("ide", 3, Properties(DRIVE)),
    ("ipconfig", 31, Properties(keys("", "gw gw6 ip ip6"))),
    ("net", 31, Properties(NET)),
    ("numa", 7, Properties(NUMA)),
    ("parallel", 2, Text),
    ("sata", 5, Properties(DRIVE)),
    ("scsi", 30, Properties(DRIVE)),
    ("serial", 3, Text),
    ("usb", 13, Properties(USB)),
    ("virtio", 15, Properties(DRIVE)),
    ("virtiofs", 9, Properties(VIRTIOFS)),
];

const AGENT: Schema = Schema {
    flags: "enabled freeze-fs freeze-fs-on-backup fstrim_cloned_disks guest-fsfreeze",
    ..keys("enabled", "type")
};

const AMD_SEV: Schema = Schema {
    flags: "allow-smt kernel-hashes no-debug no-key-sharing",
    ..keys("type", "")
};

const CPU: Schema = Schema {
    flags: "hidden",
    numbers: "guest-phys-bits",
    ..keys("cputype", "flags hv-vendor-id phys-bits reported-model")
};

/// The keys of all kinds of drives; not every kind has each of them.
const DRIVE: Schema = Schema {
    flags: "backup detect_zeroes iothread replicate ro scsiblock shared snapshot ssd",
    numbers: "bps bps_max_length bps_rd bps_rd_length bps_rd_max_length bps_wr bps_wr_length \
              bps_wr_max_length iops iops_max iops_max_length iops_rd iops_rd_length iops_rd_max \
              iops_rd_max_length iops_wr iops_wr_length iops_wr_max iops_wr_max_length mbps mbps_max \
              mbps_rd mbps_rd_max mbps_wr mbps_wr_max queues",
    ..keys(
        "file",
        "aio cache discard format import-from media model product rerror serial size vendor volume \
         werror wwn",
    )
};

const EFI_DISK: Schema = Schema {
    flags: "pre-enrolled-keys",
    ..keys("file", "efitype format import-from ms-cert size volume")
};

const HOST_PCI: Schema = Schema {
    flags: "legacy-igd pcie rombar x-vga",
    ..keys(
        "host",
        "device-id driver mapping mdev romfile sub-device-id sub-vendor-id vendor-id",
    )
};

const INTEL_TDX: Schema = Schema {
    flags: "attestation",
    numbers: "vsock-cid vsock-port",
    ..keys("type", "")
};

const IVSHMEM: Schema = Schema {
    numbers: "size",
    ..keys("", "name")
};

const MACHINE: Schema = Schema {
    flags: "enable-s3 enable-s4",
    numbers: "aw-bits",
    ..keys("type", "viommu")
};

const NET: Schema = Schema {
    flags: "firewall link_down",
    numbers: "mtu queues rate tag",
    values: "e1000 e1000-82540em e1000-82544gc e1000-82545em e1000e i82551 i82557b i82559er ne2k_isa \
             ne2k_pci pcnet rtl8139 virtio vmxnet3",
    ..keys("model", "bridge host-tunnel macaddr trunks")
};

const NUMA: Schema = Schema {
    numbers: "memory",
    ..keys("cpus", "hostnodes policy")
};

const RNG: Schema = Schema {
    numbers: "max_bytes period",
    ..keys("source", "")
};

const SMBIOS: Schema = Schema {
    flags: "base64",
    ..keys("", "family manufacturer product serial sku uuid version")
};

const SPICE: Schema = Schema {
    flags: "foldersharing",
    ..keys("", "videostreaming")
};

const STARTUP: Schema = Schema {
    numbers: "order up down",
    ..keys("order", "")
};

const USB: Schema = Schema {
    flags: "usb3",
    ..keys("host", "mapping")
};

const VGA: Schema = Schema {
    numbers: "memory",
    ..keys("type", "clipboard")
};

const VIRTIOFS: Schema = Schema {
    flags: "direct-io expose-acl expose-xattr",
    ..keys("dirid", "cache")
};

/// Keys of property strings that the server stores under another name.
pub(super) const STORED_AS: &[(&str, &str)] = &[
    ("bps_rd_length", "bps_rd_max_length"),
    ("bps_wr_length", "bps_wr_max_length"),
    ("iops_rd_length", "iops_rd_max_length"),
    ("iops_wr_length", "iops_wr_max_length"),
    ("volume", "file"),
];

const KEYBOARDS: &str = "de de-ch da en-gb en-us es fi fr fr-be fr-ca fr-ch hu is it ja lt mk nl no pl \
                         pt pt-br sv sl tr";
const OS_TYPES: &str = "other wxp w2k w2k3 w2k8 wvista win7 win8 win10 win11 l24 l26 solaris";
const SCSI_CONTROLLERS: &str = "lsi lsi53c810 virtio-scsi-pci virtio-scsi-single megasas pvscsi";
