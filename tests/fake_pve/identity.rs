//! The values that distinguish a VM from others, even from a former one with its VMID: `smbios1`,
//! `vmgenid`, MACs, `digest`. They are not random, so that every run of a test sees the same.

use serde_json::{Value, json};

use super::cluster::Cluster;
use super::guests::Guest;
use super::nets::{Net, first_mac};

impl Cluster {
    /// How many guests have had this VMID before; counts one more.
    pub(super) fn count_birth(&mut self, vmid: u32) -> u32 {
        let births = self.births.entry(vmid).or_default();
        *births += 1;
        *births - 1
    }
}

impl Guest {
    /// Sets a new identity, as for a clone: a generation ID only if its template has one.
    pub(super) fn set_identity(&mut self) {
        let (vmid, births) = (self.vmid, self.births);
        let smbios = self.config.get("smbios1").and_then(Value::as_str);
        let others = smbios.unwrap_or_default().split(',');
        let others = others.filter(|part| !part.is_empty() && !part.starts_with("uuid="));
        let uuid = self.own_uuid();
        let parts: Vec<&str> = [&*uuid].into_iter().chain(others).collect();
        let smbios = json!(parts.join(","));
        self.config.insert("smbios1".to_owned(), smbios);
        if let Some(generation) = self.config.get_mut("vmgenid") {
            *generation = json!(generation_of(vmid, births));
        }
        for number in 0..32 {
            if let Some(Value::String(net)) = self.config.get_mut(&format!("net{number}")) {
                let mut device = Net::parse(net);
                device.mac = Some(first_mac(vmid, number, births));
                *net = device.to_string();
            }
        }
    }

    /// Adds what a new VM gets unless it was requested otherwise.
    pub(super) fn add_identity(&mut self) {
        let (vmid, births, uuid) = (self.vmid, self.births, self.own_uuid());
        let config = &mut self.config;
        config.entry("smbios1").or_insert_with(|| json!(uuid));
        let generation = || json!(generation_of(vmid, births));
        config.entry("vmgenid").or_insert_with(generation);
    }

    fn own_uuid(&self) -> String {
        let node = 0x4d40_4bd9_d787 + u64::from(self.births);
        format!("uuid={:08x}-3eb0-4ed2-a0c8-{node:012x}", self.vmid)
    }

    /// Every write changes the digest.
    pub(super) fn set_digest(&mut self, stage: Stage) {
        let (vmid, births, stage) = (self.vmid, self.births, stage as u32);
        let digest = json!(format!("{stage:x}{births:07x}{vmid:032x}"));
        self.config.insert("digest".to_owned(), digest);
    }
}

fn generation_of(vmid: u32, births: u32) -> String {
    let first = 0x779d + births;
    format!("{vmid:08x}-{first:04x}-4385-88a6-d5b3a21537ec")
}

/// The state of a configuration that no client has changed yet.
#[derive(Clone, Copy)]
pub(super) enum Stage {
    Whole = 0,
    Locked = 0xc,
    Named = 0xd,
}
