//! Parses the text of single settings. Errors are the reason alone, without the setting's name.

use snafu::ResultExt;

use super::error::{Error, FingerprintSnafu};
use crate::pve::secret::Secret;
use crate::pve::{Host, Trust};

/// The hosts, and the text from which they were parsed.
#[derive(Clone, Default)]
pub(super) struct Servers {
    pub(super) hosts: Vec<Host>,
    pub(super) text: String,
}

impl PartialEq for Servers {
    fn eq(&self, other: &Servers) -> bool {
        self.hosts == other.hosts
    }
}

/// The hosts, and the port if there is only one host. In a list, each port belongs to its host.
pub(super) fn split_port(mut hosts: Vec<Host>, text: &str) -> (Servers, Option<u16>) {
    let port = match &mut hosts[..] {
        [only] => only.port.take(),
        _ => None,
    };
    let text = text.to_owned();
    (Servers { hosts, text }, port)
}

/// `root` or `root@pam`: a user name with or without a realm.
pub(super) fn parse_user(text: &str) -> Result<(String, Option<String>), String> {
    if text.contains('!') {
        return Err(format!(
            "'{text}' is not a user such as root@pam: the part after '!' is a token ID and belongs in \
             PROXMOX_TOKEN_KEY"
        ));
    }
    let (user, realm) = match text.rsplit_once('@') {
        Some((user, realm)) => (user, Some(parse_realm(realm)?)),
        None => (text, None),
    };
    let is_allowed = |c: char| c.is_ascii_graphic() && !"!:/=".contains(c);
    let is_user = !user.is_empty() && user.chars().all(is_allowed);
    let user = checked(user, is_user, "a user such as root@pam")?;
    Ok((user, realm))
}

pub(super) fn parse_realm(text: &str) -> Result<String, String> {
    checked(text, is_word(text), "a realm such as pam")
}

pub(super) fn parse_token_key(text: &str) -> Result<String, String> {
    let what = if text.contains('!') {
        "a token ID: only the part after '!' is"
    } else {
        "a token ID"
    };
    checked(text, is_word(text), what)
}

fn is_word(text: &str) -> bool {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
    text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.chars().all(is_allowed)
}

pub(super) fn parse_secret(text: &str) -> Result<Secret, &'static str> {
    Secret::of_token(text)
        .ok_or("not a token's secret, which is a UUID: pveum printed it when the token was created")
}

fn checked(text: &str, is_valid: bool, what: &str) -> Result<String, String> {
    let valid = is_valid.then(|| text.to_owned());
    valid.ok_or_else(|| format!("'{text}' is not {what}"))
}

pub(super) fn parse_boolean(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" => Ok(true),
        "false" | "0" | "no" => Ok(false),
        _ => Err(format!("'{text}' is neither true nor false")),
    }
}

/// One fingerprint for each host, separated by commas.
pub(super) fn parse_pins(text: &str, origin: &str) -> Result<Vec<Trust>, Error> {
    let entries: Vec<&str> = text.split(',').map(str::trim).collect();
    let parsed = entries.iter().enumerate().map(|(index, entry)| {
        let origin = match entries[..] {
            [_] => origin.to_owned(),
            _ => format!("{origin}, number {}", index + 1),
        };
        let pin = entry.parse().map(Trust::Pin);
        pin.context(FingerprintSnafu { origin })
    });
    parsed.collect()
}
