//! Files with disk images on storages, and their checksums.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use snafu::{OptionExt, Snafu, ensure};

use crate::pve::types::Storage;

/// An image file on a storage, `local:import/debian-12.qcow2`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageVolume {
    /// The storage.
    pub storage: Storage,
    /// The name of the file.
    pub file: String,
}

impl FromStr for ImageVolume {
    type Err = Error;

    fn from_str(text: &str) -> Result<ImageVolume, Error> {
        let (storage, file) = text.split_once(":import/").context(NotAVolumeSnafu)?;
        let is_file = !file.is_empty() && !file.contains('/');
        ensure!(!storage.is_empty() && is_file, NotAVolumeSnafu);
        Ok(ImageVolume {
            storage: Storage(storage.to_owned()),
            file: file.to_owned(),
        })
    }
}

impl TryFrom<String> for ImageVolume {
    type Error = Error;

    fn try_from(text: String) -> Result<ImageVolume, Error> {
        text.parse()
    }
}

impl From<ImageVolume> for String {
    fn from(volume: ImageVolume) -> String {
        volume.to_string()
    }
}

impl fmt::Display for ImageVolume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:import/{}", self.storage, self.file)
    }
}

/// A checksum of a file, `sha256:…` or `sha512:…`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Checksum {
    /// As the server names it: `sha256` or `sha512`.
    pub algorithm: &'static str,
    /// In lower case.
    pub hex: String,
}

impl FromStr for Checksum {
    type Err = Error;

    fn from_str(text: &str) -> Result<Checksum, Error> {
        let (name, hex) = text.split_once(':').context(NotAChecksumSnafu)?;
        let algorithms = [("sha256", 64), ("sha512", 128)];
        let mut known = algorithms.into_iter();
        let known = known.find(|(algorithm, _)| name.eq_ignore_ascii_case(algorithm));
        let (algorithm, length) = known.context(NotAChecksumSnafu)?;
        let hex = hex.trim().to_ascii_lowercase();
        let is_hex = hex.chars().all(|c| c.is_ascii_hexdigit());
        ensure!(
            is_hex && hex.len() == length,
            WrongLengthSnafu { algorithm, length }
        );
        Ok(Checksum { algorithm, hex })
    }
}

/// Why a text names no volume or checksum.
#[derive(Debug, Snafu)]
#[allow(missing_docs)]
pub enum Error {
    #[snafu(display("expected a volume like local:import/debian-12.qcow2"))]
    NotAVolume,

    #[snafu(display("expected sha256:HEX or sha512:HEX"))]
    NotAChecksum,

    #[snafu(display("expected {length} hexadecimal digits after {algorithm}:"))]
    WrongLength {
        algorithm: &'static str,
        length: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const SHA256: &str = "932F4A242C80E2872D9A8916F907EA27B86FDF913F692C26065BCE97C3A4B766";

    #[rstest]
    #[case::no_algorithm(SHA256, Some("expected sha256:HEX or sha512:HEX"))]
    #[case::weak(&format!("md5:{SHA256}"), Some("expected sha256:HEX or sha512:HEX"))]
    #[case::short("sha256:932f", Some("expected 64 hexadecimal digits after sha256:"))]
    #[case::wrong_algorithm(&format!("sha512:{SHA256}"), Some("expected 128 hexadecimal digits after sha512:"))]
    #[case::good(&format!("sha256:{SHA256}"), None)]
    fn a_checksum_has_its_algorithm_and_length(#[case] text: &str, #[case] expected: Option<&str>) {
        let error = text
            .parse::<Checksum>()
            .err()
            .map(|error| error.to_string());
        assert_eq!(error.as_deref(), expected);
    }
}
