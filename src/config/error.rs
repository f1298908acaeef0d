//! Errors in the configuration.

use std::io::{self, ErrorKind};
use std::path::PathBuf;

use snafu::Snafu;

use super::small_file::OpenToOthers;
use crate::pve::NotAFingerprint;
use crate::pve::secret::Masked;
use crate::say::hint::SHOW_FINGERPRINT;

/// A configuration file with the required settings.
const EXAMPLE: &str = r#"{"proxmox": {"host": "pve.lan", "user": "homelab@pve", "token_key": "cli", "token_secret": "…"}}"#;

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

    #[snafu(display("{origin}: {pins} for {hosts}; give one for each host, in the same order",
        pins = counted(*pins, "fingerprint"), hosts = counted(*hosts, "host")))]
    PinsAndHosts {
        origin: String,
        pins: usize,
        hosts: usize,
    },

    #[snafu(display("missing settings: {names}"))]
    Missing {
        names: String,
        /// Variables of other tools that are set without effect, each with what to use instead.
        ignored: Vec<String>,
    },

    #[snafu(display("cannot read the configuration file '{}'", Masked::from(path.to_string_lossy())))]
    Read { path: PathBuf, source: io::Error },

    #[snafu(transparent)]
    OpenToOthers { source: OpenToOthers },

    /// Without serde's message, which may quote the file.
    #[snafu(display("'{}'{place}: {reason}", path.display()))]
    NotJson {
        path: PathBuf,
        /// `, line 2, column 1`, or empty.
        place: String,
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
            Error::Missing { ignored, .. } => {
                let set = format!(
                    "set them in the environment, or in the configuration file \
                     (~/.config/homelab/config.json by default), which looks like {EXAMPLE}; see 'homelab help config'"
                );
                let hints = ignored.iter().chain([&set]).map(String::as_str);
                Some(hints.collect::<Vec<_>>().join("; "))
            }
            Error::NotJson { .. } => Some(format!("a configuration file looks like {EXAMPLE}")),
            Error::Disagree { .. } => Some("remove one of them".to_owned()),
            Error::Read { source, .. } if source.kind() != ErrorKind::Other => Some(
                "--config or HOMELAB_CONFIG names the file to read; under sudo, HOME may be another \
                 user's"
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
