//! `--image`: where the disk of a new VM comes from, and as which file a storage keeps it.

use std::fmt;
use std::str::FromStr;

use ring::digest::{SHA256, digest};
use snafu::{Snafu, ensure};

use crate::pve::{Checksum, ImageVolume};

/// The disk image of a new VM.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ImageSource {
    /// An http or https URL, from which the server downloads it.
    Url(String),
    /// A file that is on a storage.
    Volume(ImageVolume),
}

impl FromStr for ImageSource {
    type Err = Error;

    fn from_str(text: &str) -> Result<ImageSource, Error> {
        if !text.contains("://") {
            let volume = text.parse().map(ImageSource::Volume);
            return volume.map_err(|_| Error::NotAnImage);
        }
        let mut schemes = ["http://", "https://"].iter();
        let rest = schemes.find_map(|scheme| text.strip_prefix(scheme));
        let rest = rest.filter(|rest| !rest.is_empty() && !rest.starts_with('/'));
        ensure!(rest.is_some(), NotAnImageSnafu);
        let authority = rest.and_then(|rest| rest.split('/').next());
        ensure!(!authority.is_some_and(|it| it.contains('@')), PasswordSnafu);
        let name = file_name_in(text).to_ascii_lowercase();
        let ending = REFUSED.iter().find(|ending| name.ends_with(**ending));
        if let Some(ending) = ending {
            return RefusedSnafu { ending: *ending }.fail();
        }
        Ok(ImageSource::Url(text.to_owned()))
    }
}

impl ImageSource {
    /// A short name: of a URL the file, of a volume all.
    pub fn name(&self) -> String {
        match self {
            ImageSource::Url(url) if !file_name_in(url).is_empty() => file_name_in(url).to_owned(),
            source => source.to_string(),
        }
    }
}

impl fmt::Display for ImageSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ImageSource::Url(url) => f.write_str(url),
            ImageSource::Volume(volume) => volume.fmt(f),
        }
    }
}

/// The endings of files from which the server cannot import a disk: it would have to unpack or convert them.
const REFUSED: [&str; 12] = [
    ".xz", ".gz", ".bz2", ".zst", ".zip", ".7z", ".tar", ".ova", ".iso", ".vhd", ".vhdx", ".vdi",
];

/// The endings of images in URLs, and those of their files, as a storage requires them. `.img` is usually in
/// qcow2 format.
const ENDINGS: [(&str, &str); 4] = [
    (".qcow2", ".qcow2"),
    (".raw", ".raw"),
    (".vmdk", ".vmdk"),
    (".img", ".qcow2"),
];

/// The name under which a storage keeps the image from a URL: `x.img` becomes `x.qcow2`. With a checksum, its
/// first digits are part of the name, because many URLs lead to a new image each week, and a file is never
/// replaced.
pub fn file_name(url: &str, checksum: Option<&Checksum>) -> String {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let name = file_name_in(url).chars();
    let name: String = name.map(|c| if is_allowed(c) { c } else { '_' }).collect();
    let lower = name.to_ascii_lowercase();
    let known = ENDINGS.iter().find(|(ending, _)| lower.ends_with(ending));
    let (stem, ending) = known.map_or((&name[..], ".qcow2"), |(ending, of_file)| {
        (&name[..name.len() - ending.len()], *of_file)
    });
    let stem = if stem.trim_matches('.').is_empty() {
        "image"
    } else {
        stem.trim_start_matches('.')
    };
    let version = match checksum {
        Some(checksum) => format!("-{}", &checksum.hex[..8]),
        // The name alone does not tell such images apart.
        None if known.is_none() || url.contains('?') => format!("-{}", hash(url)),
        None => String::new(),
    };
    format!("{stem}{version}{ending}")
}

/// The first digits of a text's SHA-256.
fn hash(text: &str) -> String {
    let digest = digest(&SHA256, text.as_bytes());
    let bytes: Vec<String> = digest.as_ref()[..4]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    bytes.concat()
}

/// The last part of a URL's path.
fn file_name_in(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = rest.split(['?', '#']).next().unwrap_or_default();
    let file = path.split_once('/').map_or("", |(_, path)| path);
    file.rsplit('/').next().unwrap_or_default()
}

/// Why a text names no image.
#[derive(Debug, Snafu)]
#[allow(missing_docs)]
pub enum Error {
    #[snafu(display(
        "expected an http or https URL, or a volume like local:import/debian-12.qcow2"
    ))]
    NotAnImage,

    #[snafu(display(
        "the server cannot import {ending} files; give the URL of a .qcow2, .img, .raw or .vmdk file"
    ))]
    Refused { ending: &'static str },

    #[snafu(display("it must not contain a user or a password: the server writes it to its logs"))]
    Password,
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const SHA256: &str = "932F4A242C80E2872D9A8916F907EA27B86FDF913F692C26065BCE97C3A4B766";

    #[rstest]
    #[case::qcow2("https://example.com/a/debian-12.qcow2", "debian-12.qcow2")]
    #[case::img(
        "https://example.com/noble-server-cloudimg-amd64.img",
        "noble-server-cloudimg-amd64.qcow2"
    )]
    #[case::raw("http://example.com/x.raw", "x.raw")]
    #[case::vmdk("http://example.com/x.vmdk", "x.vmdk")]
    #[case::upper_case("http://example.com/X.QCOW2", "X.qcow2")]
    #[case::query("http://example.com/x.img?a=b/c.raw#d", "x-8544f8eb.qcow2")]
    #[case::no_ending("http://example.com/download", "download-7b544315.qcow2")]
    #[case::other_characters("http://example.com/o%20t her~.qcow2", "o_20t_her_.qcow2")]
    #[case::no_file("http://example.com/", "image-2a1b4024.qcow2")]
    #[case::no_path("http://example.com", "image-f0e6a6a9.qcow2")]
    #[case::hidden_file("http://example.com/.qcow2", "image.qcow2")]
    #[case::letters_of_several_bytes("http://example.com/é.img", "_.qcow2")]
    fn an_image_is_kept_as(#[case] url: &str, #[case] expected: &str) {
        assert_eq!(file_name(url, None), expected);
    }

    #[test]
    fn a_checksum_tells_versions_of_an_image_apart() {
        let checksum: Checksum = format!("SHA256:{SHA256}").parse().unwrap();
        let name = file_name("https://example.com/latest/x.img", Some(&checksum));
        assert_eq!(name, "x-932f4a24.qcow2");
    }

    #[rstest]
    #[case::url("https://example.com/x.img", None)]
    #[case::volume("local:import/x.qcow2", None)]
    #[case::other_volume(
        "local:iso/x.iso",
        Some("expected an http or https URL, or a volume like local:import/debian-12.qcow2")
    )]
    #[case::path(
        "/srv/x.qcow2",
        Some("expected an http or https URL, or a volume like local:import/debian-12.qcow2")
    )]
    #[case::other_scheme(
        "ftp://example.com/x.img",
        Some("expected an http or https URL, or a volume like local:import/debian-12.qcow2")
    )]
    #[case::no_host(
        "https:///x.img",
        Some("expected an http or https URL, or a volume like local:import/debian-12.qcow2")
    )]
    #[case::below_a_directory(
        "local:import/a/b.qcow2",
        Some("expected an http or https URL, or a volume like local:import/debian-12.qcow2")
    )]
    #[case::with_a_password(
        "https://me:secret@example.com/x.img",
        Some("it must not contain a user or a password: the server writes it to its logs")
    )]
    #[case::packed(
        "https://example.com/x.raw.xz?y",
        Some(
            "the server cannot import .xz files; give the URL of a .qcow2, .img, .raw or .vmdk file"
        )
    )]
    fn an_image_is_a_url_or_a_volume(#[case] text: &str, #[case] expected: Option<&str>) {
        let parsed: Result<ImageSource, Error> = text.parse();
        let error = parsed.as_ref().err().map(ToString::to_string);
        assert_eq!(error.as_deref(), expected);
        if let Ok(image) = parsed {
            assert_eq!(image.to_string(), text);
        }
    }
}
