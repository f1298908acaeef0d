//! A VM's configuration, which is authoritative: lists lag behind it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

use crate::pve::interfaces::Card;
use crate::pve::property::{bare_value, flag, is_drive, is_net, mac, parts, value_of};
use crate::pve::size::Size;
use crate::pve::types::{Guest, GuestDetails, GuestKind, Node, Vmid};

/// A VM's configuration, including changes that are pending until its next start.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(from = "BTreeMap<String, Value>")]
pub struct VmConfig {
    /// Absent until a clone's first disk has been copied.
    pub name: Option<String>,
    /// Whether it is a template.
    pub template: bool,
    /// The operation that locked it: `clone`, `backup`, `migrate` …
    pub lock: Option<String>,
    /// All options under their Proxmox VE names, numbers as text.
    options: BTreeMap<String, String>,
}

/// As the server writes it.
impl From<BTreeMap<String, Value>> for VmConfig {
    fn from(options: BTreeMap<String, Value>) -> VmConfig {
        let options = options.into_iter();
        VmConfig::of(options.filter_map(|(key, value)| Some((key, option_text(value)?))))
    }
}

/// The value of an option as text.
pub fn option_text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(u8::from(flag).to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Distinguishes a VM from every other one that had or will have the same VMID and name. Each clone gets
/// a new identity.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    /// The `uuid` of `smbios1`.
    uuid: Option<String>,
    /// `vmgenid`, which a rollback to a snapshot changes.
    generation: Option<String>,
}

impl Identity {
    /// The identity of a VM that was given this `uuid`, and of which nothing else is known.
    pub fn of_uuid(uuid: &str) -> Identity {
        Identity {
            uuid: Some(uuid.to_owned()),
            generation: None,
        }
    }

    /// Whether both may belong to the same VM. A user may have changed one half, but hardly both.
    pub fn may_match(&self, other: &Identity) -> bool {
        let halves = [
            (&self.uuid, &other.uuid),
            (&self.generation, &other.generation),
        ];
        let known: Vec<bool> = halves
            .iter()
            .filter(|(one, other)| one.is_some() && other.is_some())
            .map(|(one, other)| one == other)
            .collect();
        known.is_empty() || known.contains(&true)
    }
}

impl VmConfig {
    /// Distinguishes this VM from others that get the same VMID and name later.
    pub fn identity(&self) -> Identity {
        Identity {
            uuid: self.uuid().map(str::to_owned),
            generation: self.option("vmgenid").map(str::to_owned),
        }
    }

    /// The `uuid` of `smbios1`.
    pub fn uuid(&self) -> Option<&str> {
        value_of(self.option("smbios1")?, "uuid")
    }

    /// A configuration with these options.
    pub fn of(options: impl IntoIterator<Item = (String, String)>) -> VmConfig {
        let options: BTreeMap<String, String> = options.into_iter().collect();
        let text = |key: &str| options.get(key).filter(|value| !value.is_empty()).cloned();
        VmConfig {
            name: text("name"),
            template: text("template").is_some_and(|flag| flag != "0"),
            lock: text("lock"),
            options,
        }
    }

    /// Whether a task is creating it, or left it incomplete. All other locks belong to operations on
    /// complete VMs.
    pub fn is_being_created(&self) -> bool {
        matches!(self.lock.as_deref(), Some("clone" | "create"))
    }

    /// Its name. A VM without one is called `VM 101`, as Proxmox VE does.
    pub fn shown_name(&self, vmid: Vmid) -> String {
        let name = self.name.clone();
        name.unwrap_or_else(|| format!("VM {vmid}"))
    }

    /// Whether the server refuses to delete it.
    pub fn is_protected(&self) -> bool {
        self.option("protection").and_then(flag).unwrap_or(false)
    }

    /// The guest that has this configuration.
    pub fn into_guest(self, vmid: Vmid, node: Node) -> Guest {
        Guest {
            vmid,
            kind: GuestKind::Qemu,
            name: self.name,
            node,
            status: "unknown".to_owned(),
            template: self.template,
            lock: self.lock,
            details: GuestDetails::default(),
        }
    }

    /// The value of an option as the server writes it.
    pub fn option(&self, key: &str) -> Option<&str> {
        self.options.get(key).map(String::as_str)
    }

    /// A hash of the configuration; the server refuses a change that carries an outdated one.
    pub fn digest(&self) -> Option<String> {
        self.option("digest").map(str::to_owned)
    }

    /// The keys of its disks: `scsi0`, `efidisk0` … CD drives, including cloud-init's, are not disks: they
    /// may be added and removed at any time.
    pub fn disks(&self) -> BTreeSet<String> {
        self.disk_drives().map(|(key, _)| key.to_owned()).collect()
    }

    /// The storages of its disks.
    pub fn storages(&self) -> BTreeSet<String> {
        // `data:9000/base-9000-disk-0.raw,size=2G`
        let storage = |(_, drive): (&str, &str)| Some(drive.split_once(':')?.0.to_owned());
        self.disk_drives().filter_map(storage).collect()
    }

    /// The size of a disk, if the configuration contains it.
    pub fn size_of(&self, disk: &str) -> Option<Size> {
        value_of(self.option(disk)?, "size")?.parse().ok()
    }

    /// Whether there is a drive that passes the cloud-init settings to the VM.
    pub fn has_cloud_init_drive(&self) -> bool {
        let mut drives = self.options_where(is_drive);
        drives.any(|(_, drive)| is_cloud_init(drive))
    }

    /// Whether the configuration enables the guest agent. It may still not be running in the guest, which
    /// the server reports only after 3 s.
    pub fn has_agent(&self) -> bool {
        self.option("agent").is_some_and(is_agent_on)
    }

    /// The bridges of its network cards, with the VLAN tag if there is one: `vmbr0`, `vmbr0/20`.
    pub fn bridges(&self) -> BTreeSet<String> {
        let nets = self.options_where(is_net);
        nets.filter_map(|(_, net)| bridge(net)).collect()
    }

    /// Its network cards, `net0` first.
    pub fn cards(&self) -> Vec<Card> {
        let mut nets: Vec<(&str, &str)> = self.options_where(is_net).collect();
        nets.sort_by_key(|(key, _)| (key.len(), *key));
        let card = |(key, net): (&str, &str)| {
            let ipconfig = self.option(&key.replace("net", "ipconfig"));
            Some(Card {
                key: key.to_owned(),
                mac: mac(net)?.to_ascii_lowercase(),
                ipconfig: ipconfig
                    .filter(|_| self.is_network_configured())
                    .unwrap_or_default()
                    .to_owned(),
            })
        };
        nets.into_iter().filter_map(card).collect()
    }

    /// Whether the guest gets the `ipconfigN` options: through a cloud-init drive, unless `cicustom`
    /// replaces the network configuration.
    fn is_network_configured(&self) -> bool {
        let cicustom = self.option("cicustom").unwrap_or_default();
        self.has_cloud_init_drive() && value_of(cicustom, "network").is_none()
    }

    /// The key, value and storage of each drive that holds a volume on a storage: disks, CD images and the
    /// cloud-init drive.
    pub fn volumes(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        let drives = self.options_where(is_drive);
        drives.filter_map(|(key, drive)| {
            let (storage, _) = drive.split(',').next()?.split_once(':')?;
            Some((key, drive, storage))
        })
    }

    /// The key of a drive that is the node's physical CD drive, if there is one.
    pub fn node_cd_drive(&self) -> Option<&str> {
        let mut drives = self.options_where(is_drive);
        let (key, _) = drives.find(|(_, drive)| drive.split(',').next() == Some("cdrom"))?;
        Some(key)
    }

    /// Its drives, with their keys: disks and CD drives, whether or not something is in them.
    pub fn drives(&self) -> impl Iterator<Item = (&str, &str)> {
        self.options_where(is_drive)
    }

    fn disk_drives(&self) -> impl Iterator<Item = (&str, &str)> {
        let is_cdrom = |drive| value_of(drive, "media") == Some("cdrom");
        let drives = self.options_where(is_drive);
        drives.filter(move |(_, drive)| !is_cdrom(drive))
    }

    /// The options whose keys satisfy `matches`, with their values.
    pub fn options_where(&self, matches: fn(&str) -> bool) -> impl Iterator<Item = (&str, &str)> {
        let options = self.options.iter();
        options
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .filter(move |(key, _)| matches(key))
    }
}

/// Whether this value of `agent` enables it: `1`, `enabled=1,fstrim_cloned_disks=1` …
pub fn is_agent_on(agent: &str) -> bool {
    let enabled = value_of(agent, "enabled").or_else(|| bare_value(agent));
    enabled.and_then(flag).unwrap_or(false)
}

/// Whether a drive is a cloud-init drive: `data:101/vm-101-cloudinit.qcow2,media=cdrom`, or
/// `data:cloudinit` in a request for a new one.
pub fn is_cloud_init(drive: &str) -> bool {
    let mut parts = parts(drive);
    parts
        .next()
        .is_some_and(|(_, volume)| volume.contains("cloudinit"))
}

/// `vmbr0/20` in `virtio=BC:24:11:00:00:01,bridge=vmbr0,tag=20`.
fn bridge(net: &str) -> Option<String> {
    let bridge = value_of(net, "bridge")?;
    let tag = value_of(net, "tag").map_or_else(String::new, |tag| format!("/{tag}"));
    Some(format!("{bridge}{tag}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn config(json: &str) -> VmConfig {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn numbers_and_strings_are_interchangeable() {
        let config = config(r#"{"name":123,"template":"1","cores":4,"lock":"","meta":null}"#);
        assert_eq!(
            (
                config.name.as_deref(),
                config.template,
                config.lock.as_deref()
            ),
            (Some("123"), true, None)
        );
        assert_eq!(config.option("cores"), Some("4"));
    }

    #[rstest]
    #[case::short("1", true)]
    #[case::with_its_key("enabled=1,fstrim_cloned_disks=1", true)]
    #[case::with_more("1,type=virtio", true)]
    #[case::off("0", false)]
    #[case::off_with_its_key("enabled=0", false)]
    #[case::on_as_a_word("yes", true)]
    #[case::off_as_a_word("enabled=No", false)]
    #[case::only_more("type=virtio", false)]
    fn the_agent_option_says_whether_the_agent_is_enabled(
        #[case] agent: &str,
        #[case] expected: bool,
    ) {
        let config = VmConfig::of([("agent".to_owned(), agent.to_owned())]);
        assert_eq!(config.has_agent(), expected);
    }

    #[test]
    fn the_agent_is_disabled_by_default() {
        assert!(!config("{}").has_agent());
    }

    #[test]
    fn cards_are_in_the_order_of_their_numbers() {
        let config = config(
            r#"{"net10":"virtio=BC:24:11:00:00:0A,bridge=vmbr0","ide2":"data:cloudinit,media=cdrom",
                "net2":"e1000=BC:24:11:00:00:02,bridge=vmbr0","net0":"virtio=BC:24:11:00:00:00",
                "ipconfig0":"ip=dhcp","ipconfig10":"ip=10.0.0.5/24"}"#,
        );
        let card = |key: &str, mac: &str, ipconfig: &str| Card {
            key: key.to_owned(),
            mac: mac.to_owned(),
            ipconfig: ipconfig.to_owned(),
        };
        assert_eq!(
            config.cards(),
            [
                card("net0", "bc:24:11:00:00:00", "ip=dhcp"),
                card("net2", "bc:24:11:00:00:02", ""),
                card("net10", "bc:24:11:00:00:0a", "ip=10.0.0.5/24")
            ]
        );
    }

    #[rstest]
    #[case::through_the_drive("data:cloudinit,media=cdrom", "", "ip=10.0.0.5/24")]
    #[case::without_a_drive("none,media=cdrom", "", "")]
    #[case::replaced("data:cloudinit,media=cdrom", "network=local:snippets/net.yaml", "")]
    #[case::another_part_replaced(
        "data:cloudinit,media=cdrom",
        "user=local:snippets/u.yaml",
        "ip=10.0.0.5/24"
    )]
    fn a_card_is_configured_only_if_the_guest_gets_ipconfig(
        #[case] drive: &str,
        #[case] cicustom: &str,
        #[case] expected: &str,
    ) {
        let options = [
            ("net0", "virtio=BC:24:11:00:00:00,bridge=vmbr0"),
            ("ipconfig0", "ip=10.0.0.5/24"),
            ("ide2", drive),
            ("cicustom", cicustom),
        ];
        let config = VmConfig::of(options.map(|(key, value)| (key.to_owned(), value.to_owned())));
        let ipconfigs: Vec<String> = config.cards().into_iter().map(|it| it.ipconfig).collect();
        assert_eq!(ipconfigs, [expected]);
    }

    #[test]
    fn cd_drives_are_not_disks() {
        let config = config(
            r#"{"scsi0":"data:101/vm-101-disk-0.raw,size=2252M","ide2":"none,media=cdrom",
                "ide0":"data:101/vm-101-cloudinit.qcow2,media=cdrom,size=4M","scsihw":"virtio-scsi-single",
                "efidisk0":"local-lvm:vm-101-disk-1,efitype=4m,size=528K"}"#,
        );
        let disks: Vec<String> = config.disks().into_iter().collect();
        assert_eq!(disks, ["efidisk0", "scsi0"]);
        let storages: Vec<String> = config.storages().into_iter().collect();
        assert_eq!(storages, ["data", "local-lvm"]);
        assert_eq!(config.size_of("scsi0"), Some(Size(2252 << 20)));
        assert!(config.has_cloud_init_drive());
    }

    #[rstest]
    #[case::same("A", "1", true)]
    #[case::rolled_back("A", "2", true)]
    #[case::uuid_was_set("B", "1", true)]
    #[case::another_clone("B", "2", false)]
    fn a_vm_is_distinguished_from_a_later_one(
        #[case] uuid: &str,
        #[case] generation: &str,
        #[case] expected: bool,
    ) {
        let identity = |uuid: &str, generation: &str| {
            let options = [
                ("smbios1", format!("uuid={uuid}")),
                ("vmgenid", generation.to_owned()),
            ];
            VmConfig::of(options.map(|(key, value)| (key.to_owned(), value))).identity()
        };
        let first = identity("A", "1");
        assert_eq!(first.may_match(&identity(uuid, generation)), expected);
        assert!(first.may_match(&config("{}").identity()));
    }
}
