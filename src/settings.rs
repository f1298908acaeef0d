//! Options of a VM: `--set` and `--ssh-key`, and whether they are set already.

mod check;
pub mod cloud_init;
mod compare;
mod error;
pub mod ip_from;
mod options;
mod public_keys;
pub mod resize;
pub mod setup;
mod tags;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use snafu::{OptionExt, ResultExt, ensure};

use self::check::check;
use self::compare::{asks_for_new_volume, is_same, to_send};
pub use self::error::Error;
use self::error::{
    GivenTwiceSnafu, NoValueSnafu, NotAnAssignmentSnafu, NotForSetSnafu, PrivateKeySnafu, ReadSnafu,
};
use self::options::{PASSWORD, SSH_KEYS};
use self::public_keys::{is_private_key, public_keys};
use self::tags::{TAGS, with_tags_of};
use crate::config::small_file::SmallFile;
use crate::pve::secret::Secret;
use crate::pve::{VmConfig, property};

/// The options to set, in the order in which they were given.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Settings(Vec<Setting>);

/// An option to set.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Setting {
    /// Its name in Proxmox VE.
    pub key: String,
    value: Secret,
    is_from_file: bool,
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
                is_from_file: true,
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

    /// The names of the options in Proxmox VE.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|setting| setting.key.as_str())
    }

    /// The wanted value of an option, if it is to be set.
    pub fn value_of(&self, key: &str) -> Option<&str> {
        let setting = self.0.iter().find(|setting| setting.key == key)?;
        Some(setting.value.expose())
    }

    /// Whether a network card is to be set.
    pub fn sets_card(&self) -> bool {
        self.0.iter().any(|it| property::is_net(&it.key))
    }

    /// The drives to set, each with its wanted value.
    pub fn drives(&self) -> impl Iterator<Item = (&str, &str)> {
        let drives = self.0.iter().filter(|it| property::is_drive(&it.key));
        drives.map(|drive| (drive.key.as_str(), drive.value.expose()))
    }

    /// Whether the password is among the program's arguments, which every user of the machine can see.
    pub fn exposes_password(&self) -> bool {
        let mut settings = self.0.iter();
        settings.any(|it| it.key == PASSWORD && !it.is_from_file)
    }

    /// The options whose current value is not the wanted one. A value that cannot be read counts as
    /// wanted if its option is in `known`, the ones that are known to have been set. In a VM that is not
    /// `new`, other users may have added tags, which are kept.
    pub fn changes(&self, current: &VmConfig, known: &BTreeSet<String>, new: bool) -> Vec<Change> {
        let changes = self.0.iter().filter_map(|setting| {
            let (key, wanted) = (setting.key.as_str(), setting.value.expose());
            let value = current.option(key);
            let wanted = match value {
                Some(value) if key == TAGS && !new => &with_tags_of(wanted, value),
                _ => wanted,
            };
            let is_set = match value {
                Some(value) if is_hidden(value) => known.contains(key),
                Some(value) => is_same(key, wanted, value),
                None => false,
            };
            (!is_set).then(|| setting.change(wanted, value))
        });
        changes.collect()
    }

    /// The options that cannot be read back after they were set, with their wanted values: the password,
    /// and those that the current configuration hides.
    pub fn unreadable<'s>(
        &'s self,
        current: &'s VmConfig,
    ) -> impl Iterator<Item = (&'s str, &'s Secret)> {
        let settings = self.0.iter().map(|it| (it.key.as_str(), &it.value));
        settings.filter(|(key, _)| *key == PASSWORD || current.option(key).is_some_and(is_hidden))
    }

    /// A text of the server without the values that may be secrets.
    pub fn masked_in(&self, words: String) -> String {
        let secrets = self.0.iter().filter(|setting| !setting.is_shown());
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
        // The server would remove the option.
        ensure!(!text.trim().is_empty(), NoValueSnafu { key });
        let origin = format!("--set {key}");
        ensure!(!is_private_key(&text), PrivateKeySnafu { origin });
        check(key, &text)?;
        Ok(Setting {
            key: key.to_owned(),
            value: Secret::new(text),
            is_from_file,
        })
    }

    /// Whether messages may show the value. A value from a file may be a secret.
    fn is_shown(&self) -> bool {
        !self.is_from_file && ![SSH_KEYS, PASSWORD].contains(&self.key.as_str())
    }

    fn change(&self, value: &str, current: Option<&str>) -> Change {
        let key = &self.key;
        let is_short = |text: &str| text.chars().count() <= 60 && !text.contains('\n');
        let shown = match current {
            _ if !self.is_shown() || !is_short(value) => key.clone(),
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
        "vmid" => "use --vmid",
        "node" => "use --node",
        "template" => "to make a template of a VM, on its node: qm template VMID",
        "lock" | "digest" | "skiplock" | "force" | "background_delay" => {
            "this is not an option of a VM"
        }
        "delete" | "revert" => "to remove an option, on the VM's node: qm set VMID --delete OPTION",
        "meta" | "vmgenid" | "vmstate" | "parent" | "snaptime" | "runningmachine" => {
            "only the server sets this"
        }
        // It would read back as ide2.
        "cdrom" => "use ide2, with media=cdrom",
        _ if property::is_numbered(key, &["unused"]) => "this is a disk that was detached",
        _ => return None,
    })
}

/// Whether Proxmox VE 9 has a VM option of that name.
pub fn is_option(name: &str) -> bool {
    options::kind_of(name).is_some()
}

/// The names of all VM options; of a numbered one only the first: `net0`.
pub fn option_names() -> impl Iterator<Item = String> {
    options::names()
}

#[cfg(test)]
mod tests;
