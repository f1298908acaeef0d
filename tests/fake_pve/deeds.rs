//! A record of what happened to the VMs themselves and to images, and for whom: tests check it after a run.

use serde_json::Value;

use super::cluster::Cluster;
use super::guests::Guest;
use super::images::Image;
use super::watcher::Stamp;

/// Something that a request has caused, when it took effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Deed {
    /// The request count.
    pub(crate) at: usize,
    /// Who requested it; nobody for other users.
    pub(crate) owner: String,
    pub(crate) vm: Stamp,
    pub(crate) name: Option<String>,
    /// The UUID in its `smbios1`.
    pub(crate) uuid: Option<String>,
    pub(crate) did: Did,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Did {
    Start,
    /// Powered off, or shut down.
    Stop,
    /// With these volumes, in their order.
    Destroy(Vec<String>),
    /// These volumes were removed, but the VM remains.
    RemoveDisks(Vec<String>),
    /// From images with these SHA-256 checksums.
    Create(Vec<String>),
    /// To a template.
    Convert,
}

/// A file with an image appeared or was removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ImageDeed {
    /// The request count.
    pub(crate) at: usize,
    /// Who requested it.
    pub(crate) owner: String,
    pub(crate) node: String,
    pub(crate) image: Image,
    pub(crate) did: ImageDid,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ImageDid {
    /// From this URL, and instead of a file that appeared while it was received.
    Download {
        url: String,
        replaced: Option<Image>,
    },
    Remove,
}

impl Cluster {
    /// What the requests of this token have caused.
    pub(crate) fn deeds_of(&self, token: &str) -> Vec<Deed> {
        let deeds = self.deeds.iter().filter(|deed| deed.owner == token);
        deeds.cloned().collect()
    }

    pub(super) fn record_image(&mut self, owner: &str, node: &str, image: Image, did: ImageDid) {
        self.image_deeds.push(ImageDeed {
            at: self.requests,
            owner: owner.to_owned(),
            node: node.to_owned(),
            image,
            did,
        });
    }

    pub(super) fn record(&mut self, owner: &str, vmid: u32, did: Did) {
        if let Some(guest) = self.guests.get(&vmid) {
            self.deeds.push(Deed {
                at: self.requests,
                owner: owner.to_owned(),
                vm: guest.stamp(),
                name: guest.name().map(str::to_owned),
                uuid: guest.uuid().map(str::to_owned),
                did,
            });
        }
    }
}

impl Guest {
    /// The UUID in its `smbios1`.
    pub(crate) fn uuid(&self) -> Option<&str> {
        let smbios = self.config.get("smbios1").and_then(Value::as_str)?;
        let mut parts = smbios.split(',');
        parts.find_map(|part| part.strip_prefix("uuid="))
    }
}
