//! The node of a new template, and the storages for the image and for the disks.

use crate::create::failure::not_read;
use crate::create::import::ImageSpec;
use crate::create::spec::Run;
use crate::pve::types::{Node, Storage};
use crate::pve::{ImageSource, NodeStatus, Pve, StorageStatus};
use crate::say::failure::{Failure, Kind};
use crate::say::grant::{Role, grant};
use crate::say::shell::word;
use crate::wait::server::Server;

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
