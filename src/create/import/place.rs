//! The node of a new template, and the storages for the image and for the disks.

use crate::create::failure::not_read;
use crate::create::import::RequestedPlace;
use crate::pve::types::{Node, Storage, TokenId};
use crate::pve::{NodeStatus, Pve, StorageStatus};
use crate::say::failure::{Failure, Kind};
use crate::say::grant::{Role, grant};
use crate::say::hint::refusal::NO_IMPORT;
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
pub fn find_place(server: Server, requested: &RequestedPlace) -> Result<Place, Failure> {
    let nodes = match requested.node {
        Some(node) => vec![node.clone()],
        None => online_nodes(server)?,
    };
    let mut first_misfit = None;
    for node in nodes {
        let storages = server.ask(|pve| pve.storages(&node));
        let storages = storages.map_err(|source| {
            not_read(format!("cannot list the storages of node '{node}'"), source)
        });
        let storages = match storages {
            Ok(storages) => storages,
            // Another node may answer.
            Err(failure) if requested.node.is_none() => {
                first_misfit = first_misfit.or(Some(failure));
                continue;
            }
            Err(failure) => return Err(failure),
        };
        match place_on(&node, &storages, requested, server.pve.token()) {
            Ok(place) => return Ok(place),
            Err(Misfit::Ambiguous(failure)) => return Err(failure),
            Err(Misfit::NotThere(failure)) => first_misfit = first_misfit.or(Some(failure)),
        }
    }
    let Some(misfit) = first_misfit else {
        return Err(Failure::new(Kind::Failed, "no node is online"));
    };
    // Older servers have no storages for images, and could not import from them.
    Err(match server.ask(Pve::version) {
        Ok(version) if !version.imports_images() => misfit.with_hint(NO_IMPORT.to_owned()),
        _ => misfit,
    })
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
    requested: &RequestedPlace,
    token: &TokenId,
) -> Result<Place, Misfit> {
    if storages.is_empty() {
        let message = format!("this token can see no storage of node '{node}'");
        let hint = how_to_see("ID", token);
        let failure = Failure::new(Kind::Forbidden, message).with_hint(hint);
        return Err(Misfit::NotThere(failure));
    }
    let visible = Visible {
        node,
        storages,
        token,
    };
    Ok(Place {
        node: node.clone(),
        image_storage: visible.choose(requested.image_storage, &IMAGES)?,
        storage: visible.choose(requested.storage, &DISKS)?,
    })
}

/// The storages of a node that the token can see.
struct Visible<'n> {
    node: &'n Node,
    storages: &'n [StorageStatus],
    token: &'n TokenId,
}

impl Visible<'_> {
    fn choose(&self, requested: Option<&Storage>, use_: &Use) -> Result<Storage, Misfit> {
        match requested {
            Some(Storage(name)) => self.requested(name, use_),
            None => self.only(use_),
        }
    }

    /// The only storage for this use.
    fn only(&self, use_: &Use) -> Result<Storage, Misfit> {
        let Visible { node, storages, .. } = self;
        let Use {
            what,
            content,
            option,
        } = use_;
        let candidates = storages.iter().filter(|it| use_.is_possible_on(it));
        let candidates: Vec<&StorageStatus> = candidates.collect();
        match candidates[..] {
            [only] => Ok(Storage(only.name.clone())),
            [] => {
                let all = names(*storages);
                let message = format!(
                    "no storage of node '{node}' accepts {what} (content type '{content}'); it has: {all}"
                );
                let usable = storages.iter().filter(|it| it.enabled && it.active);
                // The server lists them in any order; 'local' is for such files.
                let first = usable
                    .filter(|it| it.is_for_files())
                    .min_by_key(|it| (it.name != "local", &it.name));
                let allow = first.map(|first| how_to_allow(node, first, content));
                let see = how_to_see("ID", self.token);
                let hint = match allow {
                    Some(allow) => {
                        format!("{allow}; or, for a storage that the token cannot see: {see}")
                    }
                    None => format!("for a storage that the token cannot see: {see}"),
                };
                not_there(message, hint)
            }
            _ => {
                let all = names(candidates);
                let message = format!("several storages of node '{node}' accept {what}: {all}");
                let hint = format!("choose one with {option}");
                Err(Misfit::Ambiguous(
                    Failure::new(Kind::Failed, message).with_hint(hint),
                ))
            }
        }
    }

    /// The storage of this name, if it is one for this use.
    fn requested(&self, name: &str, use_: &Use) -> Result<Storage, Misfit> {
        let Visible { node, storages, .. } = self;
        let Use {
            what,
            content,
            option,
        } = use_;
        match storages.iter().find(|it| it.name == name) {
            Some(it) if use_.is_possible_on(it) => Ok(Storage(name.to_owned())),
            Some(it) if it.accepts(content) => not_there(
                format!("storage '{name}' is not active on node '{node}'"),
                format!("'pvesm status' on node '{node}' shows its state"),
            ),
            Some(it) => {
                let mut others = storages.iter().filter(|it| use_.is_possible_on(it));
                let hint = match others.next() {
                    _ if it.is_for_files() => how_to_allow(node, it, content),
                    Some(other) => format!("storage '{}' does: {option} {0}", other.name),
                    None => format!("choose another storage with {option}"),
                };
                let message =
                    format!("storage '{name}' does not accept {what} (content type '{content}')");
                not_there(message, hint)
            }
            None => not_there(
                format!("node '{node}' has no storage '{name}' that this token can see"),
                format!(
                    "it can see: {}; for a storage that the token cannot see: {}",
                    names(*storages),
                    how_to_see(name, self.token)
                ),
            ),
        }
    }
}

impl Use {
    fn is_possible_on(&self, storage: &StorageStatus) -> bool {
        storage.enabled && storage.active && storage.accepts(self.content)
    }
}

fn names<'s>(storages: impl IntoIterator<Item = &'s StorageStatus>) -> String {
    let mut names: Vec<&str> = storages.into_iter().map(|it| it.name.as_str()).collect();
    names.sort_unstable();
    names.join(", ")
}

fn not_there(message: String, hint: String) -> Result<Storage, Misfit> {
    let failure = Failure::new(Kind::Failed, message).with_hint(hint);
    Err(Misfit::NotThere(failure))
}

/// How to let the token see a storage and use its space.
fn how_to_see(storage: &str, token: &TokenId) -> String {
    grant(Role::DATASTORE_USER, &format!("/storage/{storage}"), token)
}

/// How to let a storage accept a content type.
fn how_to_allow(node: &Node, storage: &StorageStatus, content: &str) -> String {
    let name = word(&storage.name);
    let contents = format!("{},{content}", storage.content);
    let contents = contents.trim_start_matches(',');
    format!("as root on node '{node}', for example: pvesm set {name} --content {contents}")
}
