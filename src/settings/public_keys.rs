//! Public keys for those who shall be able to log in.

use std::path::PathBuf;

use snafu::{ResultExt, ensure};

use super::error::{Error, NoPublicKeySnafu, NoPublicKeysSnafu, PrivateKeySnafu, ReadSnafu};
use crate::config::small_file::SmallFile;

/// All keys of several files, each line as it is there.
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

/// The keys of a text, each line as it is there, without the lines that are comments: the server
/// hands line by line to ssh-keygen, which takes such a line for a broken key.
pub(super) fn in_text(text: &str, origin: &str) -> Result<String, Error> {
    ensure!(!is_private_key(text), PrivateKeySnafu { origin });
    let is_comment = |line: &str| line.trim_start().starts_with('#');
    let mut has_key = false;
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        if line.trim().is_empty() || is_comment(line) {
            continue;
        }
        ensure!(is_public_key(line), NoPublicKeySnafu { origin, number });
        has_key = true;
    }
    ensure!(has_key, NoPublicKeysSnafu { origin });
    let lines = text.split_inclusive('\n');
    Ok(lines.filter(|line| !is_comment(line)).collect())
}

/// Which nobody wants to hand on.
pub(super) fn is_private_key(text: &str) -> bool {
    text.contains("PRIVATE KEY-----")
}

/// Options, where there are any, type, key, comment. The key begins with the length of its type, and
/// so in base64 with AAAA.
fn is_public_key(line: &str) -> bool {
    let words: Vec<&str> = line.split_whitespace().collect();
    words.windows(2).any(|pair| {
        let is_type = ["ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-sha2-"]
            .iter()
            .any(|start| pair[0].starts_with(start));
        is_type && pair[1].starts_with("AAAA")
    })
}
