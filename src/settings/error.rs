//! Errors in `--set` and `--ssh-key`.

use std::io;
use std::path::PathBuf;

use snafu::Snafu;

use super::options::SSH_KEYS;
use crate::config::small_file::OpenToOthers;

/// An error in `--set` or `--ssh-key`. No request has been sent. Messages do not contain values, which
/// may be secrets.
#[derive(Debug, Snafu)]
#[snafu(visibility(pub(super)))]
pub enum Error {
    #[snafu(display(
        "--set{}: expected KEY=VALUE",
        number.map_or_else(String::new, |number| format!(" number {number}"))
    ))]
    NotAnAssignment {
        /// Which `--set` it is, if there are several.
        number: Option<usize>,
    },

    #[snafu(display("--set {key}: {instead}"))]
    NotForSet { key: String, instead: &'static str },

    #[snafu(display("--set {key}: Proxmox VE has no such option"))]
    MisspelledKey { key: String, suggestion: String },

    #[snafu(display("--set {key}: Proxmox VE has {kind}0 to {kind}{last}"))]
    BeyondLast {
        key: String,
        kind: String,
        last: u32,
    },

    #[snafu(display("--set {key}: unknown key '{part}'"))]
    MisspelledPart {
        key: String,
        part: String,
        suggestion: String,
    },

    #[snafu(display("--set {key}: expected {expected}"))]
    WrongValue {
        key: String,
        expected: String,
        suggestion: Option<String>,
    },

    #[snafu(display("--set {key}: there is no file name after '@'"))]
    NoFileName { key: String },

    #[snafu(display("--set {key}: the value is empty"))]
    NoValue { key: String },

    #[snafu(display("{key} is set twice"))]
    GivenTwice { key: String },

    #[snafu(display("--{key} and --set {key} cannot be used together"))]
    GivenBothWays { key: String },

    #[snafu(display("{what}: cannot read '{}'", path.display()))]
    Read {
        what: String,
        path: PathBuf,
        source: io::Error,
    },

    #[snafu(transparent)]
    OpenToOthers { source: OpenToOthers },

    #[snafu(display("{origin}: this is a private key"))]
    PrivateKey { origin: String },

    #[snafu(display("{origin}: line {number} is not a public key"))]
    NoPublicKey { origin: String, number: usize },

    #[snafu(display("{origin}: contains no public key"))]
    NoPublicKeys { origin: String },
}

impl Error {
    /// How to fix it.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Error::NotAnAssignment { .. } | Error::NoFileName { .. } => {
                "for example --set cores=4, with the option names of 'qm config'; --set cipassword=@FILE \
                 reads the value from a file"
            }
            Error::MisspelledKey { key, suggestion } if key.eq_ignore_ascii_case(suggestion) => {
                return Some(format!("option names are in lower case: {suggestion}"));
            }
            Error::MisspelledKey { suggestion, .. } | Error::MisspelledPart { suggestion, .. } => {
                return Some(format!("did you mean '{suggestion}'?"));
            }
            Error::WrongValue {
                key, suggestion, ..
            } => {
                let suggestion = suggestion.as_ref()?;
                return Some(format!("did you mean {key}={suggestion}?"));
            }
            Error::GivenTwice { key } if key == SSH_KEYS => {
                "use --ssh-key FILE, once for each file, instead of --set sshkeys"
            }
            Error::GivenBothWays { .. } => "omit one of the two: they set the same option",
            Error::NoValue { .. } => "omit it to keep the template's value",
            Error::OpenToOthers { source } => return Some(source.hint()),
            Error::PrivateKey { .. } => {
                "never copy a private key to another machine; use the public key (the file ending in .pub)"
            }
            Error::NoPublicKey { .. } | Error::NoPublicKeys { .. } => {
                "a public key is one line, like 'ssh-ed25519 AAAA… me@host'; 'ssh-keygen -l -f FILE' \
                 shows the keys in a file"
            }
            Error::NotForSet { .. }
            | Error::BeyondLast { .. }
            | Error::GivenTwice { .. }
            | Error::Read { .. } => return None,
        };
        Some(hint.to_owned())
    }
}
