//! Small files that the user names: the configuration, secrets, public keys, option values.

use std::fs::File;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use snafu::Snafu;

use crate::pve::small_file;
use crate::say::shell::word;

/// The contents of a small file.
pub struct SmallFile {
    pub path: PathBuf,
    pub text: String,
    /// What all users of this machine can do with it: `read`, `change`, or both.
    others_can: Option<&'static str>,
}

impl SmallFile {
    /// Reads a file and its permissions from one handle, so that both belong to the same file even if the
    /// path is replaced meanwhile.
    pub fn read(path: &Path) -> io::Result<SmallFile> {
        let mut file = File::open(path)?;
        let text = String::from_utf8(small_file::read(&mut file)?)
            .map_err(|_| io::Error::other("not UTF-8"))?;
        let metadata = file.metadata()?;
        let others_can = match metadata.permissions().mode() & 0o006 {
            _ if !metadata.is_file() => None,
            0 => None,
            0o004 => Some("read"),
            0o002 => Some("change"),
            _ => Some("read and change"),
        };
        Ok(SmallFile {
            path: path.to_owned(),
            text,
            others_can,
        })
    }

    /// Fails if others can read the `secret` in this file, or change the file, for example the server to
    /// which the secret is sent.
    pub fn ensure_private(&self, secret: &str) -> Result<(), OpenToOthers> {
        let Some(access) = self.others_can else {
            return Ok(());
        };
        Err(OpenToOthers {
            secret: secret.to_owned(),
            path: self.path.clone(),
            access,
        })
    }
}

/// A file with a secret is accessible to all users of this machine.
#[derive(Debug, Snafu)]
#[snafu(display(
    "'{}' contains a secret ({secret}), and all users of this machine can {access} it",
    path.display()
))]
pub struct OpenToOthers {
    secret: String,
    path: PathBuf,
    access: &'static str,
}

impl OpenToOthers {
    /// Covers secrets that are mounted into containers read-only, where `chmod` fails.
    pub fn hint(&self) -> String {
        let path = self.path.to_string_lossy();
        let path = word(&path);
        format!(
            "chmod o= {path}; if it is mounted read-only, set its mode in the mount (0440; Kubernetes: \
             defaultMode), or use a private copy: install -m 600 {path} COPY"
        )
    }
}
