//! Storages: their nodes, their features, and their volumes.

use serde::Deserialize;

use super::cluster::Cluster;
use super::drives::Drive;
use super::http::Answer;
use super::replies::{failure, parameter_error};
use super::setup::Setup;

/// A storage as written in a story. Every fake has `data` and `small` for disks, and `local` for everything
/// else, as the installer of Proxmox VE 9 configures it. Storages of older installations lack `import`.
#[expect(
    clippy::struct_excessive_bools,
    reason = "a story sets each by its name, and they are independent"
)]
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct StorageSetup {
    #[serde(rename = "type")]
    pub(super) kind: StorageKind,
    /// All nodes share its volumes.
    pub(super) shared: bool,
    /// If absent, all nodes have it.
    pub(super) nodes: Option<Vec<String>>,
    /// What it accepts: `images`, `import`, `iso`, ….
    pub(super) content: Vec<String>,
    /// Free bytes, which do not change.
    pub(super) avail: u64,
    /// Nothing can be written there, whatever `avail` says.
    pub(super) full: bool,
    pub(super) disabled: bool,
    /// Enabled, but it cannot be reached.
    pub(super) inactive: bool,
}

impl Default for StorageSetup {
    fn default() -> Self {
        Self {
            kind: StorageKind::Dir,
            shared: false,
            nodes: None,
            content: texts(&["images", "rootdir"]),
            avail: 78_744_174_592,
            full: false,
            disabled: false,
            inactive: false,
        }
    }
}

/// One of these is enough to see a storage and what is on it.
pub(super) const TO_SEE_STORAGES: &[&str] = &["Datastore.Audit", "Datastore.AllocateSpace"];

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum StorageKind {
    Dir,
    /// Without thin provisioning: no linked clones.
    Lvm,
    LvmThin,
    Rbd,
    ZfsPool,
}

impl StorageKind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Dir => "dir",
            Self::Lvm => "lvm",
            Self::LvmThin => "lvmthin",
            Self::Rbd => "rbd",
            Self::ZfsPool => "zfspool",
        }
    }

    pub(super) fn has_linked_clones(self) -> bool {
        self != Self::Lvm
    }

    /// The format of a volume, depending on what the client requests.
    pub(super) fn format(self, requested: Option<&str>, usual: &'static str) -> String {
        match self {
            Self::Dir => requested.unwrap_or(usual).to_owned(),
            _ => "raw".to_owned(),
        }
    }

    /// In a directory, a volume has the folder of its VM and an extension.
    pub(super) fn volume(self, storage: &str, vmid: u32, name: &str, format: &str) -> String {
        match self {
            Self::Dir => format!("{storage}:{vmid}/{name}.{format}"),
            _ => format!("{storage}:{name}"),
        }
    }

    /// A volume that stores the differences to its base. LVM does not name the base.
    pub(super) fn linked_volume(self, base: &str, vmid: u32, name: &str) -> String {
        let (storage, _) = base.split_once(':').unwrap_or((base, ""));
        match self {
            Self::Dir => format!("{base}/{vmid}/{name}.qcow2"),
            Self::LvmThin | Self::Lvm => format!("{storage}:{name}"),
            Self::Rbd | Self::ZfsPool => format!("{base}/{name}"),
        }
    }

    /// The error if this volume already exists.
    fn already_there(self, volume: &str) -> String {
        let (storage, path) = volume.split_once(':').unwrap_or(("", volume));
        match self {
            Self::Dir => {
                let folder = folder(storage);
                format!("disk image '{folder}/images/{path}' already exists")
            }
            Self::Lvm | Self::LvmThin => format!(
                "lvcreate 'pve/{path}' error:   Logical Volume \"{path}\" already exists in volume \
                 group \"pve\""
            ),
            Self::Rbd => format!("rbd create '{path}' error: rbd: create error: (17) File exists"),
            Self::ZfsPool => {
                format!("zfs error: cannot create 'rpool/data/{path}': dataset already exists")
            }
        }
    }
}

pub(super) fn folder(storage: &str) -> String {
    match storage {
        "data" | "local" => "/var/lib/vz".to_owned(),
        "small" => "/mnt/small".to_owned(),
        storage => format!("/srv/{storage}"),
    }
}

impl Setup {
    pub(super) fn storage(&self, name: &str) -> Result<StorageSetup, String> {
        if let Some(storage) = self.storages.get(name) {
            return Ok(storage.clone());
        }
        match name {
            "data" | "small" => Ok(StorageSetup {
                shared: self.shared_storage,
                ..StorageSetup::default()
            }),
            "local" => Ok(StorageSetup {
                content: texts(&["backup", "import", "iso", "vztmpl"]),
                ..StorageSetup::default()
            }),
            _ => Err(format!("storage '{name}' does not exist")),
        }
    }

    /// A storage that this node has.
    pub(super) fn storage_on(&self, name: &str, node: &str) -> Result<StorageSetup, String> {
        let storage = self.storage(name)?;
        let has = |nodes: &Vec<String>| nodes.iter().any(|known| known == node);
        if storage.nodes.as_ref().is_none_or(has) {
            return Ok(storage);
        }
        Err(format!(
            "storage '{name}' is not available on node '{node}'"
        ))
    }
}

impl StorageSetup {
    pub(super) fn check_enabled(&self, name: &str) -> Result<(), String> {
        if self.disabled {
            return Err(format!("storage '{name}' is disabled"));
        }
        Ok(())
    }

    /// The error is that of a network storage. It was read in the source, not seen.
    pub(super) fn check_active(&self, name: &str) -> Result<(), String> {
        self.check_enabled(name)?;
        if self.inactive {
            return Err(format!("storage '{name}' is not online"));
        }
        Ok(())
    }

    pub(super) fn accepts(&self, content: &str) -> bool {
        self.content.iter().any(|accepted| accepted == content)
    }

    pub(super) fn check_images(&self, name: &str) -> Result<(), Answer> {
        if self.accepts("images") {
            return Ok(());
        }
        let why = format!("storage '{name}' does not support vm images");
        Err(parameter_error("storage", &why))
    }
}

impl Cluster {
    /// Checks that a volume can be created: no guest has it, and it is not left over.
    pub(super) fn check_volume_is_new(
        &self,
        kind: StorageKind,
        volume: &str,
    ) -> Result<(), String> {
        if self.volumes().any(|known| known == volume) {
            return Err(kind.already_there(volume));
        }
        Ok(())
    }

    /// The volumes of all guests, and leftover ones.
    pub(super) fn volumes(&self) -> impl Iterator<Item = String> {
        let used = self.guests.values().flat_map(|guest| {
            let options = guest.config.values().chain(guest.disks_to_come.values());
            let files = options.filter_map(|value| Some(Drive::parse(value.as_str()?).file));
            files.filter(|file| !guest.missing.contains(file))
        });
        used.chain(self.setup.leftovers.iter().cloned())
    }
}

impl From<String> for Answer {
    /// The answer of a handler that fails.
    fn from(message: String) -> Self {
        failure(500, &message)
    }
}
