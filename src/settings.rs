//! Options of a VM: `--set` and `--ssh-key`, and whether they are set already.

mod compare;
mod error;
pub mod ip_from;
mod public_keys;
pub mod resize;
pub mod setup;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use snafu::{OptionExt, ResultExt, ensure};

use self::compare::asks_for_new_volume;
pub use self::error::Error;

use self::compare::{SSH_KEYS, is_same, to_send};
use self::error::{
    GivenTwiceSnafu, NoValueSnafu, NotAnAssignmentSnafu, NotForSetSnafu, PrivateKeySnafu, ReadSnafu,
};
use self::public_keys::{is_private_key, public_keys};
use crate::config::small_file::SmallFile;
use crate::pve::secret::Secret;
use crate::pve::{VmConfig, property};

/// The password of cloud-init's user, which the server does not show.
const PASSWORD: &str = "cipassword";

/// The options to set, in the order in which they were given.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Settings(Vec<Setting>);

/// An option to set.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Setting {
    /// Its name in Proxmox VE.
    pub key: String,
    value: Secret,
    /// Whether messages may show the value. A value from a file may be a secret.
    is_shown: bool,
}

/// An option whose current value is not the wanted one.
#[derive(Debug)]
pub struct Change {
    /// Its name in Proxmox VE.
    pub key: String,
    /// The value to send.
    pub value: Secret,
    /// How to show it: `cores=4 (was 1)`, or only the name.
    pub shown: String,
}

impl Settings {
    /// The options that `--set` and `--ssh-key` ask for, with the files that they name. Sends no
    /// request.
    pub fn gather(set: &[String], ssh_keys: &[PathBuf]) -> Result<Settings, Error> {
        let settings: Result<Vec<Setting>, _> = set.iter().map(|it| Setting::parse(it)).collect();
        let mut settings = settings?;
        if !ssh_keys.is_empty() {
            settings.push(Setting {
                key: SSH_KEYS.to_owned(),
                value: Secret::new(public_keys(ssh_keys)?),
                is_shown: false,
            });
        }
        let mut keys = BTreeSet::new();
        for Setting { key, .. } in &settings {
            ensure!(keys.insert(key), GivenTwiceSnafu { key });
        }
        Ok(Settings(settings))
    }

    /// Whether there is nothing to set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The wanted value of an option, if it is to be set.
    pub fn value_of(&self, key: &str) -> Option<&str> {
        let setting = self.0.iter().find(|setting| setting.key == key)?;
        Some(setting.value.expose())
    }

    /// The drives to set, each with its wanted value.
    pub fn drives(&self) -> impl Iterator<Item = (&str, &str)> {
        let drives = self.0.iter().filter(|it| property::is_drive(&it.key));
        drives.map(|drive| (drive.key.as_str(), drive.value.expose()))
    }

    /// The options that reach the guest only through a cloud-init drive.
    pub fn for_cloud_init(&self) -> Vec<&str> {
        const KEYS: [&str; 5] = [SSH_KEYS, PASSWORD, "ciuser", "nameserver", "searchdomain"];
        let is_meant = |key: &&str| KEYS.contains(key) || property::is_numbered(key, &["ipconfig"]);
        let keys = self.0.iter().map(|setting| setting.key.as_str());
        keys.filter(is_meant).collect()
    }

    /// The options whose current value is not the wanted one. A value that cannot be read counts as
    /// wanted if its option is in `known`, the ones that are known to have been set.
    pub fn changes(&self, current: &VmConfig, known: &BTreeSet<String>) -> Vec<Change> {
        let changes = self.0.iter().filter_map(|setting| {
            let value = current.option(&setting.key);
            let is_set = match value {
                Some(value) if is_hidden(value) => known.contains(&setting.key),
                Some(value) => is_same(&setting.key, setting.value.expose(), value),
                None => false,
            };
            (!is_set).then(|| setting.change(value))
        });
        changes.collect()
    }

    /// The options that cannot be read back after they were set: the password, and those that the
    /// current configuration hides.
    pub fn unreadable<'s>(&'s self, current: &'s VmConfig) -> impl Iterator<Item = &'s str> {
        let keys = self.0.iter().map(|setting| setting.key.as_str());
        keys.filter(|key| *key == PASSWORD || current.option(key).is_some_and(is_hidden))
    }

    /// A text of the server without the values that may be secrets.
    pub fn masked_in(&self, words: String) -> String {
        let secrets = self.0.iter().filter(|setting| !setting.is_shown);
        secrets.fold(words, |words, secret| secret.value.masked_in(words))
    }
}

impl Setting {
    fn parse(words: &str) -> Result<Setting, Error> {
        // A text without `=` may be a secret whose key was forgotten.
        let (key, given) = words.split_once('=').context(NotAnAssignmentSnafu)?;
        ensure!(is_key(key), NotAnAssignmentSnafu);
        if let Some(instead) = what_to_take_instead(key) {
            return NotForSetSnafu { key, instead }.fail();
        }
        let (text, is_from_file) = match given.strip_prefix('@') {
            Some(path) => (value_in_file(key, Path::new(path))?, true),
            None => (given.to_owned(), false),
        };
        let text = match key {
            SSH_KEYS => public_keys::in_text(&text, "--set sshkeys")?,
            _ => text,
        };
        ensure!(!text.is_empty(), NoValueSnafu { key });
        let origin = format!("--set {key}");
        ensure!(!is_private_key(&text), PrivateKeySnafu { origin });
        Ok(Setting {
            key: key.to_owned(),
            value: Secret::new(text),
            is_shown: !is_from_file && ![SSH_KEYS, PASSWORD].contains(&key),
        })
    }

    fn change(&self, current: Option<&str>) -> Change {
        let (key, value) = (&self.key, self.value.expose());
        let is_short = |text: &str| text.chars().count() <= 60 && !text.contains('\n');
        let shown = match current {
            _ if !self.is_shown || !is_short(value) => key.clone(),
            // A free text may have come from a file in an earlier run, and be a secret.
            Some(current) if is_short(current) && !is_free_text(key) => {
                format!("{key}={value} (was {current})")
            }
            _ => format!("{key}={value}"),
        };
        Change {
            key: key.clone(),
            value: Secret::new(to_send(key, value, current)),
            shown,
        }
    }
}

/// The contents of a file without the line break at its end, which editors add.
fn value_in_file(key: &str, path: &Path) -> Result<String, Error> {
    let what = format!("--set {key}");
    let file = SmallFile::read(path).context(ReadSnafu { what, path })?;
    if key == PASSWORD {
        file.ensure_private(key)?;
    }
    let text = file.text.strip_suffix('\n').unwrap_or(&file.text);
    Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
}

/// Whether the server answered asterisks instead of the value.
fn is_hidden(value: &str) -> bool {
    !value.is_empty() && value.bytes().all(|byte| byte == b'*')
}

/// Whether any text is a value of this option.
fn is_free_text(key: &str) -> bool {
    matches!(
        key,
        "description" | "args" | "hookscript" | "cicustom" | "ciuser" | "smbios1"
    )
}

fn is_key(text: &str) -> bool {
    let is_fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    text.starts_with(|c: char| c.is_ascii_lowercase()) && text.chars().all(is_fine)
}

/// What to use instead, for parameters of the request that are not options of a VM, and for options
/// that are set in another way.
fn what_to_take_instead(key: &str) -> Option<&'static str> {
    Some(match key {
        "name" => "the VM's name is the first argument",
        "vmid" => "the VMID is --vmid",
        "node" => "the node is --node",
        "template" => "a template is made of a VM that is done: qm template VMID",
        "lock" | "digest" | "skiplock" | "force" | "background_delay" => "it is no option of a VM",
        "delete" | "revert" => "nothing is taken away here; on the node: qm set VMID --delete …",
        "meta" | "vmgenid" | "vmstate" | "parent" | "snaptime" | "runningmachine" => {
            "it is the server's own affair"
        }
        _ if property::is_numbered(key, &["unused"]) => "it is what is left of a disk",
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
