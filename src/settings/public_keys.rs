//! Public SSH keys, which may log in to the VM.

use std::path::PathBuf;

use snafu::{ResultExt, ensure};

use super::error::{Error, NoPublicKeySnafu, NoPublicKeysSnafu, PrivateKeySnafu, ReadSnafu};
use crate::config::small_file::SmallFile;

/// Reads the keys in several files, one per line.
pub(super) fn public_keys(paths: &[PathBuf]) -> Result<String, Error> {
    let mut keys = String::new();
    for path in paths {
        let what = "--ssh-key";
        let file = SmallFile::read(path).context(ReadSnafu { what, path })?;
        if !keys.is_empty() && !keys.ends_with('\n') {
            keys.push('\n');
        }
        let origin = format!("--ssh-key '{}'", path.display());
        keys.push_str(&in_text(&file.text, &origin)?);
    }
    Ok(keys)
}

/// The keys in a text, one per line, without comments: the server passes each line to ssh-keygen, which
/// rejects a comment as an invalid key.
pub(super) fn in_text(text: &str, origin: &str) -> Result<String, Error> {
    ensure!(!is_private_key(text), PrivateKeySnafu { origin });
    let is_comment = |line: &str| line.trim_start().starts_with('#');
    for (number, line) in (1_usize..).zip(text.lines()) {
        let is_valid = is_comment(line) || line.trim().is_empty() || is_public_key(line);
        ensure!(is_valid, NoPublicKeySnafu { origin, number });
    }
    let lines = text.split_inclusive('\n');
    let keys: String = lines.filter(|line| !is_comment(line)).collect();
    ensure!(!keys.trim().is_empty(), NoPublicKeysSnafu { origin });
    Ok(keys)
}

/// Whether a text contains a private key, which must not be copied to a VM.
pub(super) fn is_private_key(text: &str) -> bool {
    text.contains("PRIVATE KEY-----")
}

/// Whether a line has options (optional), a type, a key and a comment. A key begins with AAAA: base64 of the
/// length of its type.
fn is_public_key(line: &str) -> bool {
    const TYPES: [&str; 4] = ["ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-sha2-"];
    let words: Vec<&str> = line.split_whitespace().collect();
    words.windows(2).any(|pair| {
        let is_type = TYPES.iter().any(|start| pair[0].starts_with(start));
        is_type && pair[1].starts_with("AAAA")
    })
}
