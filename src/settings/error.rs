//! Errors in `--set` and `--ssh-key`.

use std::io;
use std::path::PathBuf;

use snafu::Snafu;

use super::compare::SSH_KEYS;
use crate::config::small_file::OpenToOthers;

/// An error in `--set` or `--ssh-key`. No request has been sent. Messages do not contain values, which
/// may be secrets.
#[derive(Debug, Snafu)]
#[snafu(visibility(pub(super)))]
pub enum Error {
    #[snafu(display("--set …: this is not KEY=VALUE"))]
    NotAnAssignment,

    #[snafu(display("--set {key}: {instead}"))]
    NotForSet { key: String, instead: &'static str },

    #[snafu(display("--set {key}: the value is empty"))]
    NoValue { key: String },

    #[snafu(display("{key} is set twice"))]
    GivenTwice { key: String },

    #[snafu(display("{what}: cannot read '{}'", path.display()))]
    Read {
        what: String,
        path: PathBuf,
        source: io::Error,
    },

    #[snafu(transparent)]
    OpenToOthers { source: OpenToOthers },

    #[snafu(display("{origin}: it holds a private key"))]
    PrivateKey { origin: String },

    #[snafu(display("{origin}: line {number} is no public key"))]
    NoPublicKey { origin: String, number: usize },

    #[snafu(display("{origin}: there is no public key in it"))]
    NoPublicKeys { origin: String },
}

impl Error {
    /// How to fix it.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Error::NotAnAssignment => {
                "--set cores=4, in the names of 'qm config'; --set cipassword=@FILE takes what stands \
                 in a file"
            }
            Error::GivenTwice { key } if key == SSH_KEYS => {
                "--ssh-key FILE may be given several times, and then takes the place of --set sshkeys"
            }
            Error::NoValue { .. } => "an option that is not set keeps what the template has",
            Error::OpenToOthers { source } => return Some(source.hint()),
            Error::PrivateKey { .. } => {
                "keep that to yourself; the public key stands beside it, in a file whose name ends in \
                 .pub"
            }
            Error::NoPublicKey { .. } | Error::NoPublicKeys { .. } => {
                "a public key is one line, like 'ssh-ed25519 AAAA… me@host'; ssh-keygen -l -f FILE \
                 shows what a file holds"
            }
            Error::NotForSet { .. } | Error::GivenTwice { .. } | Error::Read { .. } => return None,
        };
        Some(hint.to_owned())
    }
}
