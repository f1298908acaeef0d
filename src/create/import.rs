//! The image of a new template, and the VM that is created from it.

pub mod download;
pub mod place;

use crate::ledger::ImportedFrom;
use crate::pve::property::{is_drive, value_of};
use crate::pve::types::{Node, Storage};
use crate::pve::{Checksum, ImageVolume, VmConfig};
use crate::settings::Settings;
use crate::settings::image::{ImageSource, file_name};
use crate::settings::privileges::{AnyOf, needed_for};

/// The image that a template is created from, and where both go.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ImageSpec {
    /// Where the image is.
    pub source: ImageSource,
    /// Its checksum; only for a URL.
    pub checksum: Option<Checksum>,
    /// The storage that keeps the image, if one is requested.
    pub image_storage: Option<Storage>,
    /// The storage for the disks, if one is requested.
    pub storage: Option<Storage>,
    /// The node, if one is requested.
    pub node: Option<Node>,
    /// The bridge of the network card, if one is requested.
    pub bridge: Option<String>,
}

/// What the user requests of the place of a new template.
#[derive(Clone, Copy)]
pub struct RequestedPlace<'r> {
    /// The node.
    pub node: Option<&'r Node>,
    /// The storage that keeps the image.
    pub image_storage: Option<&'r Storage>,
    /// The storage for the disks.
    pub storage: Option<&'r Storage>,
}

impl ImageSpec {
    /// Whether a VM that was recorded as imported from this has the requested image.
    pub fn is_from(&self, recorded: &ImportedFrom) -> bool {
        match &self.source {
            ImageSource::Volume(volume) => *volume == recorded.volume,
            ImageSource::Url(url) => {
                let checksum = self.checksum.as_ref();
                recorded.url.as_ref() == Some(url)
                    && (checksum.is_none() || recorded.volume.file == file_name(url, checksum))
            }
        }
    }

    /// The requested bridge and that of this VM's first network card, if they differ.
    pub fn other_bridge<'b>(&'b self, config: &'b VmConfig) -> Option<(&'b str, &'b str)> {
        let requested = self.bridge.as_deref()?;
        let existing = value_of(config.option("net0")?, "bridge")?;
        (requested != existing).then_some((requested, existing))
    }

    /// The parts of the place that are requested.
    pub fn requested_place(&self) -> RequestedPlace<'_> {
        RequestedPlace {
            node: self.node.as_ref(),
            image_storage: match &self.source {
                ImageSource::Volume(volume) => Some(&volume.storage),
                ImageSource::Url(_) => self.image_storage.as_ref(),
            },
            storage: self.storage.as_ref(),
        }
    }

    /// The file that the image is, or will be on this storage.
    pub fn volume(&self, storage: &Storage) -> ImageVolume {
        match &self.source {
            ImageSource::Volume(volume) => volume.clone(),
            ImageSource::Url(url) => ImageVolume {
                storage: storage.clone(),
                file: file_name(url, self.checksum.as_ref()),
            },
        }
    }

    /// The options of the new VM: a disk from the image, a drive for cloud-init, a serial console, the guest
    /// agent and a network card, and what `settings` replaces or adds.
    pub fn options(&self, from: &ImportedFrom, settings: &Settings) -> Vec<(String, String)> {
        let disk = format!("{}:0,import-from={},discard=on", from.disks, from.volume);
        let cloud_init = format!("{}:cloudinit", from.disks);
        let bridge = self.bridge.as_deref().unwrap_or(DEFAULT_BRIDGE);
        let defaults = default_options(disk, cloud_init, bridge, &from.uuid).into_iter();
        let defaults = defaults.filter(|(key, _)| settings.value_of(key).is_none());
        let defaults = defaults.map(|(key, value)| (key.to_owned(), value));
        defaults.chain(settings.readable()).collect()
    }
}

/// The bridge of the network card, unless another one is requested.
pub const DEFAULT_BRIDGE: &str = "vmbr0";

fn default_options(
    disk: String,
    cloud_init: String,
    bridge: &str,
    uuid: &str,
) -> [(&'static str, String); 12] {
    [
        ("cores", "2".to_owned()),
        ("memory", "2048".to_owned()),
        ("ostype", "l26".to_owned()),
        ("agent", "1".to_owned()),
        ("scsihw", "virtio-scsi-single".to_owned()),
        ("scsi0", disk),
        ("ide2", cloud_init),
        ("boot", "order=scsi0".to_owned()),
        ("net0", format!("virtio,bridge={bridge}")),
        ("serial0", "socket".to_owned()),
        ("vga", "serial0".to_owned()),
        ("smbios1", format!("uuid={uuid}")),
    ]
}

/// The privileges on the new VM that the server requires for its default options; all of them, without
/// repetitions. For the drives of a new VM it requires privileges on their storages only.
pub fn needed_for_default_options() -> Vec<AnyOf> {
    let options = default_options(String::new(), String::new(), DEFAULT_BRIDGE, "");
    let options = options.iter().filter(|(key, _)| !is_drive(key));
    let mut needed = Vec::new();
    for any_of in options.flat_map(|(key, value)| needed_for(key, value)) {
        if !needed.contains(&any_of) {
            needed.push(any_of);
        }
    }
    needed
}

impl ImportedFrom {
    /// A new VM from this file, with its disk on the storage `disks`.
    pub fn new(volume: ImageVolume, image: &ImageSpec, disks: Storage) -> ImportedFrom {
        ImportedFrom {
            volume,
            url: match &image.source {
                ImageSource::Url(url) => Some(url.clone()),
                ImageSource::Volume(_) => None,
            },
            disks,
            uuid: random_uuid(),
        }
    }
}

/// A random UUID, version 4.
fn random_uuid() -> String {
    let random = fastrand::u128(..) & !(0xf << 76) & !(0x3 << 62) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{random:032x}");
    let parts = [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ];
    parts.join("-")
}
