//! What a single setting may be.

use std::path::Path;

use snafu::{ResultExt, ensure};

use super::error::{Error, FingerprintSnafu, InvalidSnafu, OpenToOthersSnafu};
use crate::config::small_file::read;
use crate::pve::Fingerprint;
use crate::pve::secret::Secret;

pub(super) fn checked_user(text: &str, origin: &str) -> Result<String, Error> {
    let is_fine = !text.is_empty()
        && text
            .chars()
            .all(|c| c.is_ascii_graphic() && !matches!(c, '!' | ':' | '/' | '='));
    let reason = format!("'{text}' is not a user, like root or root@pam");
    ensure!(is_fine, InvalidSnafu { origin, reason });
    Ok(text.to_owned())
}

pub(super) fn checked_realm(text: &str, origin: &str) -> Result<String, Error> {
    let reason = format!("'{text}' is not a realm, like pam or pve");
    ensure!(is_word(text), InvalidSnafu { origin, reason });
    Ok(text.to_owned())
}

pub(super) fn checked_key(text: &str, origin: &str) -> Result<String, Error> {
    let reason = if text.contains('!') {
        format!("'{text}' is not a token id: only what stands behind the '!' is")
    } else {
        format!("'{text}' is not a token id")
    };
    ensure!(is_word(text), InvalidSnafu { origin, reason });
    Ok(text.to_owned())
}

fn is_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
}

pub(super) fn parse_boolean(text: &str, origin: &str) -> Result<bool, Error> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" => Ok(true),
        "false" | "0" | "no" => Ok(false),
        _ => Err(Error::invalid(
            origin,
            &format!("'{text}' is neither true nor false"),
        )),
    }
}

/// One for each host, separated by commas.
pub(super) fn parse_fingerprints(text: &str, origin: &str) -> Result<Vec<Fingerprint>, Error> {
    let entries: Vec<&str> = text.split(',').map(str::trim).collect();
    let parsed = entries.iter().enumerate().map(|(index, entry)| {
        let origin = match entries[..] {
            [_] => origin.to_owned(),
            _ => format!("{origin}, number {}", index + 1),
        };
        entry.parse().context(FingerprintSnafu { origin })
    });
    parsed.collect()
}

/// The secret that is all that a file holds.
pub(super) fn read_secret_file(path: &Path, origin: &str) -> Result<Secret, Error> {
    let (text, others_can) = read(path).map_err(|error| {
        let reason = format!("cannot read '{}': {error}", path.display());
        Error::invalid(origin, &reason)
    })?;
    not_open_to_others(others_can, path, origin)?;
    Secret::of_token(text.trim()).ok_or_else(|| {
        let reason = "the file holds no token's secret, which is a UUID and nothing else";
        Error::invalid(origin, reason)
    })
}

/// Whoever can read a secret has it, and whoever can change the file that it stands in has it sent
/// wherever he likes.
pub(super) fn not_open_to_others(
    others_can: Option<&'static str>,
    path: &Path,
    origin: &str,
) -> Result<(), Error> {
    match others_can {
        Some(access) => OpenToOthersSnafu {
            origin,
            path,
            access,
        }
        .fail(),
        None => Ok(()),
    }
}
