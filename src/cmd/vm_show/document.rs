//! What `vm show` shows: one JSON document, or lines of `Key: value`.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;
use serde::Serialize;

use crate::pve::property::{is_net, is_numbered, mac, parts, value_of};
use crate::pve::types::{Guest, Node, Pool, Vmid, tags};
use crate::pve::{
    Addresses, Ha, PendingChange, PendingConfig, Size, VmConfig, VmStatus, is_cloud_init,
};
use crate::ui::units::duration;

/// The option with the password of cloud-init's user, which is never shown.
const PASSWORD: &str = "cipassword";

/// A VM with everything that is known about it.
#[derive(Serialize)]
pub struct Document<'s> {
    vmid: Vmid,
    name: Option<&'s str>,
    node: &'s Node,
    status: &'s str,
    /// QEMU's own status, `paused` for example.
    qmpstatus: Option<&'s str>,
    /// In seconds.
    uptime: Option<u64>,
    lock: Option<&'s str>,
    /// Absent if the VM is no HA resource.
    ha: Option<HaResource<'s>>,
    pool: Option<&'s Pool>,
    tags: Vec<&'s str>,
    description: Option<&'s str>,
    cores: Option<u64>,
    /// In bytes.
    memory: Option<u64>,
    drives: Vec<Drive<'s>>,
    cards: Vec<NetworkCard<'s>>,
    agent: Agent,
    #[serde(flatten)]
    addresses: Addresses,
    cloud_init: CloudInit<'s>,
    pending: Vec<ChangedOption<'s>>,
}

#[derive(Serialize)]
struct HaResource<'s> {
    state: Option<&'s str>,
}

/// A disk, a CD drive, or a disk that is not attached.
#[derive(Serialize)]
struct Drive<'s> {
    key: &'s str,
    /// Absent if it is not on a storage.
    storage: Option<&'s str>,
    /// The volume on the storage, a path on the node, `none` or `cdrom`.
    volume: &'s str,
    /// In bytes.
    size: Option<u64>,
    is_cdrom: bool,
}

#[derive(Serialize)]
struct NetworkCard<'s> {
    key: &'s str,
    mac: Option<&'s str>,
    bridge: Option<&'s str>,
    vlan: Option<&'s str>,
}

/// The guest agent.
#[derive(Serialize)]
pub struct Agent {
    /// Whether the configuration enables it.
    pub enabled: bool,
    /// Why it did not report addresses, if it was asked.
    pub error: Option<String>,
}

#[derive(Serialize)]
struct CloudInit<'s> {
    /// The drive that passes the settings to the guest; without it they have no effect.
    drive: Option<&'s str>,
    ciuser: Option<&'s str>,
    /// Whether there is one.
    cipassword: bool,
    /// The comments of the SSH keys, or their types where a key has none.
    sshkeys: Vec<String>,
    /// By option: `ipconfig0`.
    ipconfig: BTreeMap<&'s str, &'s str>,
    nameserver: Option<&'s str>,
    searchdomain: Option<&'s str>,
    cicustom: Option<&'s str>,
}

/// A change that waits for the next start.
#[derive(Serialize)]
struct ChangedOption<'s> {
    key: &'s str,
    value: Option<&'s str>,
    /// Absent if the option is removed.
    pending: Option<&'s str>,
    delete: bool,
}

impl<'s> Document<'s> {
    /// The document of a VM.
    pub fn new(
        guest: &'s Guest,
        config: &'s PendingConfig,
        details: &'s VmStatus,
        agent: Agent,
        addresses: Addresses,
    ) -> Document<'s> {
        let current = &config.current;
        let Ha { managed, state } = &details.ha;
        Document {
            vmid: guest.vmid,
            name: current.name.as_deref().or(guest.name.as_deref()),
            node: &guest.node,
            status: details.status.as_deref().unwrap_or("unknown"),
            qmpstatus: details.qmpstatus.as_deref(),
            uptime: details.uptime,
            lock: current.lock.as_deref(),
            ha: managed.then_some(HaResource {
                state: state.as_deref(),
            }),
            pool: guest.details.pool.as_ref(),
            tags: tags(current.option("tags").unwrap_or_default()).collect(),
            description: current.option("description"),
            cores: details.cores,
            memory: details.memory,
            drives: drives(current),
            cards: cards(current),
            agent,
            addresses,
            cloud_init: CloudInit::of(current),
            pending: config.changes.iter().map(ChangedOption::from).collect(),
        }
    }

    /// The lines, in the order in which they are shown.
    pub fn fields(&self) -> Vec<(String, String)> {
        let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
        let number = |value: Option<u64>| value.map(|it| it.to_string()).unwrap_or_default();
        let memory = self.memory.map(|bytes| Size(bytes).to_string());
        let mut fields = vec![
            ("Name".to_owned(), text(self.name)),
            ("VMID".to_owned(), self.vmid.to_string()),
            ("Node".to_owned(), self.node.to_string()),
            ("Status".to_owned(), self.shown_status()),
            ("Lock".to_owned(), text(self.lock)),
            ("HA".to_owned(), self.shown_ha()),
            (
                "Pool".to_owned(),
                text(self.pool.map(|Pool(it)| it.as_str())),
            ),
            ("Tags".to_owned(), self.tags.join(", ")),
            ("Description".to_owned(), text(self.description)),
            ("Cores".to_owned(), number(self.cores)),
            ("Memory".to_owned(), memory.unwrap_or_default()),
        ];
        let drives = self.drives.iter();
        fields.extend(drives.map(|drive| (format!("Drive {}", drive.key), drive.shown())));
        let cards = self.cards.iter();
        fields.extend(cards.map(|card| (format!("Card {}", card.key), card.shown())));
        fields.push(("Guest agent".to_owned(), self.agent.shown()));
        fields.extend(self.shown_addresses());
        fields.extend(self.cloud_init.fields());
        if self.pending.is_empty() {
            fields.push(("Pending changes".to_owned(), String::new()));
        }
        let pending = self.pending.iter();
        fields.extend(pending.map(|it| (format!("Pending {}", it.key), it.shown())));
        fields
    }

    fn shown_status(&self) -> String {
        let paused = match self.qmpstatus {
            Some(other) if other != self.status => format!(" ({other})"),
            _ => String::new(),
        };
        let since = self.uptime.filter(|_| self.status == "running");
        let since = since.map(|seconds| format!(" for {}", duration(seconds)));
        format!("{}{paused}{}", self.status, since.unwrap_or_default())
    }

    fn shown_ha(&self) -> String {
        match &self.ha {
            None => String::new(),
            Some(HaResource { state: None }) => "managed".to_owned(),
            Some(HaResource { state: Some(state) }) => format!("managed, state '{state}'"),
        }
    }

    /// The addresses, one line for each card and each interface of the guest.
    fn shown_addresses(&self) -> Vec<(String, String)> {
        let ip = self.addresses.ip.map(|ip| ip.to_string());
        let mut fields = vec![("IP".to_owned(), ip.unwrap_or_default())];
        for address in &self.addresses.ips {
            let place = address.card.as_ref().or(address.interface.as_ref());
            let key = format!("IP {}", place.map_or("?", String::as_str));
            match fields.iter_mut().find(|(other, _)| *other == key) {
                Some((_, value)) => value.extend([", ", &address.ip.to_string()]),
                None => fields.push((key, address.ip.to_string())),
            }
        }
        fields
    }
}

/// Disks and CD drives in the order of their keys, then disks that are not attached.
fn drives(config: &VmConfig) -> Vec<Drive<'_>> {
    let is_unused = |key: &str| is_numbered(key, &["unused"]);
    let attached = config.drives();
    let unused = config.options_where(is_unused);
    let drives = attached.chain(unused);
    let mut drives: Vec<Drive> = drives.map(|(key, value)| Drive::of(key, value)).collect();
    // `scsi2` before `scsi10`
    drives.sort_by_key(|Drive { key, .. }| {
        let kind = key.trim_end_matches(|c: char| c.is_ascii_digit());
        (kind, key.len(), *key)
    });
    drives
}

fn cards(config: &VmConfig) -> Vec<NetworkCard<'_>> {
    let mut nets: Vec<(&str, &str)> = config.options_where(is_net).collect();
    nets.sort_by_key(|(key, _)| (key.len(), *key));
    let card = |(key, net)| NetworkCard {
        key,
        mac: mac(net),
        bridge: value_of(net, "bridge"),
        vlan: value_of(net, "tag"),
    };
    nets.into_iter().map(card).collect()
}

impl<'s> Drive<'s> {
    fn of(key: &'s str, value: &'s str) -> Drive<'s> {
        // `data:101/vm-101-disk-0.raw,size=2G`, or with its key: `file=…`
        let volume = parts(value).next().map_or("", |(_, volume)| volume);
        let size = value_of(value, "size").and_then(|size| size.parse().ok());
        Drive {
            key,
            storage: volume.split_once(':').map(|(storage, _)| storage),
            volume,
            size: size.map(|Size(bytes)| bytes),
            is_cdrom: value_of(value, "media") == Some("cdrom"),
        }
    }

    fn shown(&self) -> String {
        let size = self.size.map(|bytes| Size(bytes).to_string());
        let kind = match self.is_cdrom {
            _ if is_cloud_init(self.volume) => Some("cloud-init".to_owned()),
            true => Some("CD".to_owned()),
            false => None,
        };
        let volume = Some(self.volume.to_owned());
        let parts: Vec<String> = [kind, size, volume].into_iter().flatten().collect();
        parts.join(", ")
    }
}

impl NetworkCard<'_> {
    fn shown(&self) -> String {
        let mac = self.mac.map(str::to_owned);
        let bridge = self.bridge.map(|bridge| format!("bridge {bridge}"));
        let vlan = self.vlan.map(|vlan| format!("VLAN {vlan}"));
        let parts: Vec<String> = [mac, bridge, vlan].into_iter().flatten().collect();
        parts.join(", ")
    }
}

impl Agent {
    fn shown(&self) -> String {
        match (self.enabled, &self.error) {
            (false, _) => "disabled".to_owned(),
            (true, None) => "enabled".to_owned(),
            (true, Some(error)) => format!("enabled, but {error}"),
        }
    }
}

impl<'s> CloudInit<'s> {
    fn of(config: &'s VmConfig) -> CloudInit<'s> {
        let mut drives = config.drives();
        let drive = drives.find(|(_, drive)| is_cloud_init(drive));
        let is_ipconfig = |key: &str| is_numbered(key, &["ipconfig"]);
        let ipconfig = config.options_where(is_ipconfig);
        CloudInit {
            drive: drive.map(|(key, _)| key),
            ciuser: config.option("ciuser"),
            cipassword: config.option(PASSWORD).is_some(),
            sshkeys: config.option("sshkeys").map(keys).unwrap_or_default(),
            ipconfig: ipconfig.collect(),
            nameserver: config.option("nameserver"),
            searchdomain: config.option("searchdomain"),
            cicustom: config.option("cicustom"),
        }
    }

    fn fields(&self) -> Vec<(String, String)> {
        let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
        let count = match self.sshkeys.len() {
            0 => String::new(),
            count => format!("{count}: {}", self.sshkeys.join(", ")),
        };
        let drive = self.drive.map(|drive| format!("drive {drive}"));
        let mut fields = vec![
            ("Cloud-init".to_owned(), drive.unwrap_or_default()),
            ("ciuser".to_owned(), text(self.ciuser)),
            (
                PASSWORD.to_owned(),
                text(self.cipassword.then_some("set, not shown")),
            ),
            ("sshkeys".to_owned(), count),
        ];
        let ipconfig = self.ipconfig.iter();
        fields.extend(ipconfig.map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        fields.extend([
            ("nameserver".to_owned(), text(self.nameserver)),
            ("searchdomain".to_owned(), text(self.searchdomain)),
            ("cicustom".to_owned(), text(self.cicustom)),
        ]);
        fields
    }
}

/// The comments of keys, one for each line, or their types.
fn keys(encoded: &str) -> Vec<String> {
    let text = percent_decode_str(encoded).decode_utf8_lossy();
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    lines.map(key).collect()
}

/// `me@host` in `ssh-ed25519 AAAA… me@host`. Options before the type may contain spaces.
fn key(line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    let body = words.iter().position(|word| word.starts_with("AAAA"));
    let body = body.unwrap_or(1).min(words.len());
    let comment = words.get(body + 1..).unwrap_or_default().join(" ");
    if !comment.is_empty() {
        return comment;
    }
    let kind = body.checked_sub(1).and_then(|index| words.get(index));
    kind.map_or_else(String::new, |kind| (*kind).to_owned())
}

impl<'s> From<&'s PendingChange> for ChangedOption<'s> {
    fn from(change: &'s PendingChange) -> ChangedOption<'s> {
        const HIDDEN: &str = "**********";

        let shown = |value: &'s Option<String>| match value.as_deref() {
            Some(_) if change.key == PASSWORD => Some(HIDDEN),
            value => value,
        };
        ChangedOption {
            key: &change.key,
            value: shown(&change.current),
            pending: shown(&change.new),
            delete: change.new.is_none(),
        }
    }
}

impl ChangedOption<'_> {
    fn shown(&self) -> String {
        let value = self.value.unwrap_or("(not set)");
        let pending = self.pending.unwrap_or("(removed)");
        format!("{value} -> {pending}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::comment("ssh-ed25519%20AAAAC3Nz%20me%40host", &["me@host"])]
    #[case::long_comment("ssh-ed25519%20AAAAC3Nz%20me%20at%20work%0A", &["me at work"])]
    #[case::no_comment("ssh-rsa%20AAAAB3Nz", &["ssh-rsa"])]
    #[case::options("from%3D%2210.0.0.1%2C%20x%22%20ssh-rsa%20AAAAB3Nz%20me", &["me"])]
    #[case::two("ssh-rsa%20AAAAB3Nz%20a%0A%0Assh-rsa%20AAAAB3Nz%20b", &["a", "b"])]
    #[case::not_a_key("x", &["x"])]
    #[case::none("", &[])]
    fn keys_are_named_by_their_comments(#[case] encoded: &str, #[case] expected: &[&str]) {
        assert_eq!(keys(encoded), expected);
    }

    #[rstest]
    #[case::password("cipassword", "$5$old", "$5$new", "********** -> **********")]
    #[case::other("cores", "1", "2", "1 -> 2")]
    fn a_password_that_is_pending_is_hidden(
        #[case] key: &str,
        #[case] current: &str,
        #[case] new: &str,
        #[case] expected: &str,
    ) {
        let change = PendingChange {
            key: key.to_owned(),
            current: Some(current.to_owned()),
            new: Some(new.to_owned()),
        };
        assert_eq!(ChangedOption::from(&change).shown(), expected);
    }
}
