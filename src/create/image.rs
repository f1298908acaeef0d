//! The image of a new template, the VM that is created from it, and the node and the storages for both.

use super::failure::not_read;
use super::spec::Run;
use crate::ledger::ImportedFrom;
use crate::pve::types::{Node, Storage};
use crate::pve::{Checksum, ImageSource, ImageVolume, NodeStatus, Pve, StorageStatus, file_name};
use crate::say::failure::{Failure, Kind};
use crate::say::grant::{Role, grant};
use crate::say::shell::word;
use crate::settings::Settings;
use crate::wait::server::Server;

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
    /// The bridge of the network card.
    pub bridge: String,
}

/// The node of a new template, and its storages.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    /// The node.
    pub node: Node,
    /// The storage that keeps the image.
    pub image_storage: Storage,
    /// The storage for the disks.
    pub storage: Storage,
}

impl ImageSpec {
    /// Whether a VM that was recorded as imported from this has the requested image.
    pub fn is_from(&self, recorded: &ImportedFrom) -> bool {
        match &self.source {
            ImageSource::Volume(volume) => *volume == recorded.volume,
            ImageSource::Url(url) => {
                recorded.url.as_ref() == Some(url)
                    && recorded.volume.file == file_name(url, self.checksum.as_ref())
            }
        }
    }

    /// The file that the image is, or will be.
    pub fn volume(&self, place: &Place) -> ImageVolume {
        match &self.source {
            ImageSource::Volume(volume) => volume.clone(),
            ImageSource::Url(url) => ImageVolume {
                storage: place.image_storage.clone(),
                file: file_name(url, self.checksum.as_ref()),
            },
        }
    }

    /// The options of the new VM: a disk from the image, a drive for cloud-init, a serial console, the guest
    /// agent and a network card, and what `settings` replaces or adds.
    pub fn options(&self, from: &ImportedFrom, settings: &Settings) -> Vec<(String, String)> {
        let ImportedFrom { volume, disks, .. } = from;
        let defaults = [
            ("cores", "2".to_owned()),
            ("memory", "2048".to_owned()),
            ("ostype", "l26".to_owned()),
            ("agent", "1".to_owned()),
            ("scsihw", "virtio-scsi-single".to_owned()),
            (
                "scsi0",
                format!("{disks}:0,import-from={volume},discard=on"),
            ),
            ("ide2", format!("{disks}:cloudinit")),
            ("boot", "order=scsi0".to_owned()),
            ("net0", format!("virtio,bridge={}", self.bridge)),
            ("serial0", "socket".to_owned()),
            ("vga", "serial0".to_owned()),
            ("smbios1", format!("uuid={}", from.uuid)),
        ];
        let defaults = defaults.into_iter();
        let defaults = defaults.filter(|(key, _)| settings.value_of(key).is_none());
        let defaults = defaults.map(|(key, value)| (key.to_owned(), value));
        defaults.chain(settings.readable()).collect()
    }
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

/// Finds the node and the storages: the requested ones, or those that are the only choice.
pub fn find_place(run: &Run, image: &ImageSpec) -> Result<Place, Failure> {
    let nodes = match &image.node {
        Some(node) => vec![node.clone()],
        None => online_nodes(run.server)?,
    };
    let mut first_misfit = None;
    for node in nodes {
        let storages = run.server.ask(|pve| pve.storages(&node));
        let storages = storages.map_err(|source| {
            not_read(format!("cannot list the storages of node '{node}'"), source)
        })?;
        match place_on(&node, &storages, image, run.server.pve) {
            Ok(place) => return Ok(place),
            Err(Misfit::Ambiguous(failure)) => return Err(failure),
            Err(Misfit::NotThere(failure)) => first_misfit = first_misfit.or(Some(failure)),
        }
    }
    Err(first_misfit.unwrap_or_else(|| Failure::new(Kind::Failed, "no node is online")))
}

/// The nodes that are online, the one that answers first, if its certificate tells which one it is.
fn online_nodes(server: Server) -> Result<Vec<Node>, Failure> {
    let nodes = server.ask(Pve::nodes);
    let mut nodes = nodes.map_err(|source| not_read("cannot list the nodes", source))?;
    nodes.retain(|node| node.is_online);
    let answering = server.pve.presented().map(|it| it.fingerprint.to_string());
    nodes.sort_by(|a, b| {
        let is_other = |fingerprint: &Option<String>| *fingerprint != answering;
        let key = |it: &NodeStatus| {
            (
                answering.is_some() && is_other(&it.fingerprint),
                it.node.0.clone(),
            )
        };
        key(a).cmp(&key(b))
    });
    Ok(nodes.into_iter().map(|it| it.node).collect())
}

/// Why a node is not the place.
enum Misfit {
    /// It lacks a storage. Another node may have it.
    NotThere(Failure),
    /// The user has to choose.
    Ambiguous(Failure),
}

/// What a storage is needed for.
struct Use {
    what: &'static str,
    content: &'static str,
    option: &'static str,
}

const IMAGES: Use = Use {
    what: "images",
    content: "import",
    option: "--image-storage",
};
const DISKS: Use = Use {
    what: "disks",
    content: "images",
    option: "--storage",
};

fn place_on(
    node: &Node,
    storages: &[StorageStatus],
    image: &ImageSpec,
    pve: &Pve,
) -> Result<Place, Misfit> {
    if storages.is_empty() {
        let message = format!("this token can see no storage of node '{node}'");
        let grant = grant(Role::DATASTORE_USER, "/storage/ID", pve.token());
        let failure = Failure::new(Kind::Forbidden, message).with_hint(grant);
        return Err(Misfit::NotThere(failure));
    }
    let image_storage = match &image.source {
        ImageSource::Volume(volume) => Some(&volume.storage),
        ImageSource::Url(_) => image.image_storage.as_ref(),
    };
    Ok(Place {
        node: node.clone(),
        image_storage: choose(node, storages, image_storage, &IMAGES)?,
        storage: choose(node, storages, image.storage.as_ref(), &DISKS)?,
    })
}

fn choose(
    node: &Node,
    storages: &[StorageStatus],
    requested: Option<&Storage>,
    use_: &Use,
) -> Result<Storage, Misfit> {
    let Use {
        what,
        content,
        option,
    } = use_;
    let accepts = |it: &&StorageStatus| it.accepts(content);
    let usable = |it: &&StorageStatus| it.enabled && it.active && accepts(it);
    let names = |of: &mut dyn Iterator<Item = &StorageStatus>| {
        let names: Vec<&str> = of.map(|it| it.name.as_str()).collect();
        names.join(", ")
    };
    let not_there = |message: String, hint: String| {
        let failure = Failure::new(Kind::Failed, message).with_hint(hint);
        Err(Misfit::NotThere(failure))
    };
    let Some(Storage(name)) = requested else {
        let candidates: Vec<&StorageStatus> = storages.iter().filter(usable).collect();
        return match candidates[..] {
            [only] => Ok(Storage(only.name.clone())),
            [] => {
                let all = names(&mut storages.iter());
                let message = format!(
                    "no storage of node '{node}' accepts {what} (content type '{content}'); it has: {all}"
                );
                let first = storages.iter().find(|it| it.enabled && it.active);
                let first = first.unwrap_or(&storages[0]);
                not_there(message, how_to_allow(node, first, content))
            }
            _ => {
                let all = names(&mut candidates.into_iter());
                let message = format!("several storages of node '{node}' accept {what}: {all}");
                let hint = format!("choose one with {option}");
                Err(Misfit::Ambiguous(
                    Failure::new(Kind::Failed, message).with_hint(hint),
                ))
            }
        };
    };
    match storages.iter().find(|it| it.name == *name) {
        Some(it) if usable(&it) => Ok(Storage(name.clone())),
        Some(it) if accepts(&it) => not_there(
            format!("storage '{name}' is not active on node '{node}'"),
            format!("'pvesm status' on node '{node}' shows its state"),
        ),
        Some(it) => not_there(
            format!("storage '{name}' does not accept {what} (content type '{content}')"),
            how_to_allow(node, it, content),
        ),
        None => not_there(
            format!("node '{node}' has no storage '{name}' that this token can see"),
            format!("it can see: {}", names(&mut storages.iter())),
        ),
    }
}

/// How to let a storage accept a content type.
fn how_to_allow(node: &Node, storage: &StorageStatus, content: &str) -> String {
    let name = word(&storage.name);
    let before = &storage.content;
    format!("as root on node '{node}', for example: pvesm set {name} --content {before},{content}")
}
