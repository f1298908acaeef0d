//! Errors in the configuration.

use std::io::{self, ErrorKind};
use std::path::PathBuf;

use snafu::Snafu;

use super::small_file::OpenToOthers;
use crate::pve::NotAFingerprint;
use crate::pve::secret::Masked;
use crate::say::hint::SHOW_FINGERPRINT;

/// An error in the configuration. No request has been sent.
#[derive(Debug, Snafu)]
#[snafu(visibility(pub(super)))]
pub enum Error {
    #[snafu(display("{origin}: {reason}"))]
    Invalid { origin: Masked, reason: Masked },

    #[snafu(display("{origin}: {source}"))]
    Fingerprint {
        origin: String,
        source: NotAFingerprint,
    },

    #[snafu(display("{one} and {other} contradict each other: {why}"))]
    Disagree {
        one: String,
        other: String,
        why: Masked,
    },

    #[snafu(display("{origin}: {pins} for {hosts}; it takes one for each host, in the same order",
        pins = counted(*pins, "fingerprint"), hosts = counted(*hosts, "host")))]
    PinsAndHosts {
        origin: String,
        pins: usize,
        hosts: usize,
    },

    #[snafu(display("missing settings: {names}"))]
    Missing { names: String },

    #[snafu(display("cannot read the configuration file '{}'", Masked::from(path.to_string_lossy())))]
    Read { path: PathBuf, source: io::Error },

    #[snafu(transparent)]
    OpenToOthers { source: OpenToOthers },

    /// Without serde's message, which may quote the file.
    #[snafu(display("'{}', line {line}, column {column}: {reason}", path.display()))]
    NotJson {
        path: PathBuf,
        line: usize,
        column: usize,
        reason: &'static str,
    },
}

impl Error {
    pub(super) fn invalid(origin: &str, reason: &str) -> Error {
        InvalidSnafu { origin, reason }.build()
    }

    /// How to fix it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::Missing { .. } => Some(
                "set them in the environment, or in lower case and without PROXMOX_ under \"proxmox\" \
                 in the configuration file (~/.config/homelab/config.json by default)"
                    .to_owned(),
            ),
            Error::Disagree { .. } => Some("remove one of them".to_owned()),
            Error::Read { source, .. } if source.kind() != ErrorKind::Other => Some(
                "--config and HOMELAB_CONFIG name the file to read; under sudo, HOME may be somebody \
                 else's"
                    .to_owned(),
            ),
            Error::OpenToOthers { source } => Some(source.hint()),
            Error::Fingerprint { .. } => Some(format!("on the node, as root: {SHOW_FINGERPRINT}")),
            _ => None,
        }
    }
}

fn counted(count: usize, what: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{count} {what}{s}")
}
