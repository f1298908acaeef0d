//! Disk images in files, from which VMs can be imported, and what is known about their content.

use ring::digest::{Algorithm, SHA256, SHA512, digest};
use serde::Deserialize;

use super::cluster::Cluster;

/// An image that a storage lists with the content type `import`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Image {
    /// `local:import/x.qcow2`
    pub(crate) volid: String,
    /// `qcow2`, `raw`, `vmdk` or `ova`; from the name of the file.
    pub(crate) format: String,
    /// Bytes of the file.
    pub(crate) size: u64,
    /// Bytes of the disk in it.
    pub(crate) virtual_size: u64,
    /// When it was written, in seconds since 1970.
    pub(crate) ctime: u64,
    pub(crate) sha256: String,
    pub(crate) sha512: String,
}

/// The node that has the file, nobody for a shared storage, and the volume.
pub(super) type ImagePlace = (Option<String>, String);

/// An image as written in a story.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ImageSetup {
    /// `local:import/x.qcow2`
    pub(crate) volid: String,
    /// The first node of the cluster if absent. Does not matter on a shared storage.
    #[serde(default)]
    pub(crate) node: Option<String>,
    #[serde(default)]
    pub(crate) file: FileSetup,
}

/// A file on a storage or in the internet, as written in a story.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct FileSetup {
    /// Files with the same content have the same checksums, which are those of this text.
    pub(crate) content: String,
    pub(crate) kind: FileKind,
    /// Bytes of the file.
    pub(crate) size: u64,
    /// Bytes of the disk in it.
    pub(crate) virtual_size: u64,
    /// Instead of the checksums of the content.
    pub(crate) sha256: Option<String>,
    pub(crate) sha512: Option<String>,
}

impl Default for FileSetup {
    fn default() -> Self {
        Self {
            content: "debian-12".to_owned(),
            kind: FileKind::Qcow2,
            size: 330 << 20,
            virtual_size: 3 << 30,
            sha256: None,
            sha512: None,
        }
    }
}

/// What a file really is, whatever its name.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FileKind {
    Qcow2,
    Vmdk,
    /// In no format that is recognized: a raw disk, or no disk at all.
    Raw,
    /// A qcow2 file that stores only the differences to another file.
    BackingFile,
}

impl FileSetup {
    pub(super) fn sha256(&self) -> String {
        self.checksum(self.sha256.as_ref(), &SHA256)
    }

    pub(super) fn sha512(&self) -> String {
        self.checksum(self.sha512.as_ref(), &SHA512)
    }

    fn checksum(&self, given: Option<&String>, algorithm: &'static Algorithm) -> String {
        given.cloned().unwrap_or_else(|| {
            let sum = digest(algorithm, self.content.as_bytes());
            let bytes: Vec<_> = sum.as_ref().iter().map(|b| format!("{b:02x}")).collect();
            bytes.concat()
        })
    }
}

/// Whether a file with this name can be an image. The extensions `img` and `qcow2.xz` are not among them.
pub(super) fn has_image_extension(filename: &str) -> bool {
    let known = ["ova", "qcow2", "raw", "vmdk"];
    let parts = filename.rsplit_once('.');
    parts.is_some_and(|(name, extension)| !name.is_empty() && known.contains(&extension))
}

impl Image {
    pub(super) fn of(volid: &str, file: &FileSetup, ctime: u64) -> Self {
        let (_, format) = volid.rsplit_once('.').expect("an image has an extension");
        Self {
            volid: volid.to_owned(),
            format: format.to_owned(),
            size: file.size,
            // A raw disk is its file.
            virtual_size: if format == "raw" {
                file.size
            } else {
                file.virtual_size
            },
            ctime,
            sha256: file.sha256(),
            sha512: file.sha512(),
        }
    }
}

impl Cluster {
    /// The image with this volume ID as this node sees it.
    pub(crate) fn image(&self, node: &str, volid: &str) -> Option<&Image> {
        self.images.get(&self.image_place(node, volid).ok()?)
    }

    /// The images on a storage as this node sees them, sorted by volume ID.
    pub(crate) fn images_on<'a>(
        &'a self,
        node: &'a str,
        storage: &'a str,
    ) -> impl Iterator<Item = &'a Image> {
        let all = self.images.iter().filter_map(|(place, image)| {
            let is_here = self.image_place(node, &image.volid).ok().as_ref() == Some(place);
            is_here.then_some(image)
        });
        all.filter(move |image| storage_of(&image.volid) == storage)
    }

    /// Puts an image where it replaces one with its volume ID, which is returned.
    pub(crate) fn put_image(&mut self, node: &str, image: Image) -> Option<Image> {
        let place = self.image_place(node, &image.volid);
        let place = place.unwrap_or_else(|why| panic!("{}: {why}", image.volid));
        self.images.insert(place, image)
    }

    /// Somebody who may do everything puts an image as written in a story.
    pub(crate) fn put_image_of(&mut self, setup: &ImageSetup) -> Option<Image> {
        let ctime = self.now();
        let node = setup.node.as_ref().unwrap_or(&self.setup.nodes[0]).clone();
        self.put_image(&node, Image::of(&setup.volid, &setup.file, ctime))
    }

    pub(crate) fn remove_image(&mut self, node: &str, volid: &str) -> Option<Image> {
        let place = self.image_place(node, volid).ok()?;
        self.images.remove(&place)
    }

    fn image_place(&self, node: &str, volid: &str) -> Result<ImagePlace, String> {
        let storage = self.setup.storage_on(storage_of(volid), node)?;
        let node = (!storage.shared).then(|| node.to_owned());
        Ok((node, volid.to_owned()))
    }
}

pub(super) fn storage_of(volid: &str) -> &str {
    volid.split(':').next().unwrap_or(volid)
}
