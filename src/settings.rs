//! VM options from `--set`, its other names and `--ssh-key`, and which of them a VM already has.

mod check;
pub mod cloud_init;
mod compare;
mod error;
pub mod image;
pub mod ip_from;
pub mod named;
mod options;
pub mod privileges;
mod public_keys;
pub mod resize;
pub mod setup;
mod tags;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use snafu::{OptionExt, ResultExt, ensure};

use self::check::{check, check_case};
use self::compare::{asks_for_new_volume, is_same, requested_disk, to_send};
pub use self::error::Error;
use self::error::{
    GivenBothWaysSnafu, GivenTwiceSnafu, NoFileNameSnafu, NoValueSnafu, NotAnAssignmentSnafu,
    NotForSetSnafu, PrivateKeySnafu, ReadSnafu,
};
use self::options::{PASSWORD, SSH_KEYS};
use self::privileges::{AnyOf, needed_for};
use self::public_keys::{is_private_key, public_keys};
use self::tags::{TAGS, with_tags_of};
use crate::config::small_file::SmallFile;
use crate::pve::secret::Secret;
use crate::pve::{Size, VmConfig, property};

/// The options to set, in the order of the arguments.
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

/// An option whose current value differs from the requested one.
#[derive(Debug)]
pub struct Change {
    /// Its name in Proxmox VE.
    pub key: String,
    /// The value to send.
    pub value: Secret,
    /// The text that messages show: `cores=4 (was 1)`, or only the name.
    pub shown: String,
    /// The current value, if it is set and may be shown.
    pub from: Option<String>,
    /// The requested value, if it may be shown.
    pub to: Option<String>,
}

impl Change {
    /// The privileges on the VM that the change requires; all of them.
    pub fn privileges(&self) -> Vec<AnyOf> {
        needed_for(&self.key, self.value.expose())
    }

    /// Whether the server refuses the change to every API token.
    pub fn is_for_root(&self) -> bool {
        self.privileges().iter().any(|any_of| any_of.is_empty())
    }
}

impl Settings {
    /// Parses `--set` and `--ssh-key` and reads the files that they name. Sends no request.
    pub fn gather(set: &[String], ssh_keys: &[PathBuf]) -> Result<Settings, Error> {
        let numbers = (1..).map(|number| (set.len() > 1).then_some(number));
        let settings = set.iter().zip(numbers);
        let settings: Result<Vec<Setting>, _> = settings
            .map(|(text, number)| Setting::parse(text, number))
            .collect();
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

    /// Adds the options with these keys and values, which have been given as `--cores 4` and the like.
    pub fn with_named(mut self, named: &[(&str, Option<&str>)]) -> Result<Settings, Error> {
        for &(key, value) in named {
            let Some(value) = value else { continue };
            ensure!(self.value_of(key).is_none(), GivenBothWaysSnafu { key });
            let origin = format!("--{key}");
            ensure!(!is_private_key(value), PrivateKeySnafu { origin });
            self.0.push(Setting {
                key: key.to_owned(),
                value: Secret::new(value.to_owned()),
                is_from_file: false,
            });
        }
        Ok(self)
    }

    /// Whether there is nothing to set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names of the options in Proxmox VE.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|setting| setting.key.as_str())
    }

    /// The requested value of an option, if it is to be set.
    pub fn value_of(&self, key: &str) -> Option<&str> {
        let setting = self.0.iter().find(|setting| setting.key == key)?;
        Some(setting.value.expose())
    }

    /// Whether a network card is to be set.
    pub fn sets_card(&self) -> bool {
        self.0.iter().any(|it| property::is_net(&it.key))
    }

    /// The drives to set, each with its requested value.
    pub fn drives(&self) -> impl Iterator<Item = (&str, &str)> {
        let drives = self.0.iter().filter(|it| property::is_drive(&it.key));
        drives.map(|drive| (drive.key.as_str(), drive.value.expose()))
    }

    /// The disks that a VM with this configuration does not have yet: their keys and storages, and the sizes of
    /// new volumes.
    pub fn new_disks<'s>(
        &'s self,
        current: &VmConfig,
    ) -> impl Iterator<Item = (&'s str, &'s str, Option<Size>)> {
        let disks = current.disks();
        let new = self.drives().filter(move |(key, _)| !disks.contains(*key));
        new.filter_map(|(key, drive)| {
            let (storage, size) = requested_disk(drive)?;
            Some((key, storage, size))
        })
    }

    /// Whether the password is a command-line argument, which all users of this machine can see.
    pub fn exposes_password(&self) -> bool {
        let mut settings = self.0.iter();
        settings.any(|it| it.key == PASSWORD && !it.is_from_file)
    }

    /// The options whose current value differs from the requested one. A value that cannot be read counts
    /// as equal if its option is in `known`: the options that are known to have been set. Unless the VM is
    /// `new`, its other tags are kept, because users may have added them.
    pub fn changes(&self, current: &VmConfig, known: &BTreeSet<String>, new: bool) -> Vec<Change> {
        let changes = self.0.iter().filter_map(|setting| {
            let (key, requested) = (setting.key.as_str(), setting.value.expose());
            let value = current.option(key);
            let requested = match value {
                Some(value) if key == TAGS && !new => &with_tags_of(requested, value),
                _ => requested,
            };
            let is_set = match value {
                Some(value) if is_hidden(value) => known.contains(key),
                Some(value) => is_same(key, requested, value),
                None => false,
            };
            (!is_set).then(|| setting.change(requested, value))
        });
        changes.collect()
    }

    /// The options that cannot be read back after they were set, with their requested values: the password,
    /// and those that the current configuration hides.
    pub fn unreadable<'s>(
        &'s self,
        current: &'s VmConfig,
    ) -> impl Iterator<Item = (&'s str, &'s Secret)> {
        let settings = self.0.iter().map(|it| (it.key.as_str(), &it.value));
        settings.filter(|(key, _)| *key == PASSWORD || current.option(key).is_some_and(is_hidden))
    }

    /// The options that can be read back after they were set, with their requested values.
    pub fn readable(&self) -> impl Iterator<Item = (String, String)> {
        let readable = self.0.iter().filter(|it| it.key != PASSWORD);
        readable.map(|it| (it.key.clone(), it.value.expose().to_owned()))
    }

    /// A text from the server with all values that may be secret masked.
    pub fn masked_in(&self, text: String) -> String {
        let secrets = self.0.iter().filter(|setting| !setting.is_shown());
        secrets.fold(text, |text, secret| secret.value.masked_in(text))
    }
}

impl Setting {
    /// `number` is the argument's position if there are several. Errors do not contain an argument without
    /// `=`: it may be a secret whose key was forgotten.
    fn parse(argument: &str, number: Option<usize>) -> Result<Setting, Error> {
        let assignment = argument.split_once('=');
        let (key, given) = assignment.context(NotAnAssignmentSnafu { number })?;
        check_case(key)?;
        ensure!(is_key(key), NotAnAssignmentSnafu { number });
        if let Some(instead) = alternative_to(key) {
            return NotForSetSnafu { key, instead }.fail();
        }
        let (text, is_from_file) = match given.strip_prefix('@') {
            Some("") => return NoFileNameSnafu { key }.fail(),
            Some(path) => (value_in_file(key, Path::new(path))?, true),
            None => (given.to_owned(), false),
        };
        let text = match key {
            SSH_KEYS => public_keys::in_text(&text, "--set sshkeys")?,
            _ => text,
        };
        // The server would remove an option with an empty value.
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
            // A free text may be a secret that an earlier run read from a file.
            Some(current) if is_short(current) && !is_free_text(key) => {
                format!("{key}={value} (was {current})")
            }
            _ => format!("{key}={value}"),
        };
        let to = self.is_shown().then(|| value.to_owned());
        let from = current.filter(|_| self.is_shown() && !is_free_text(key));
        Change {
            key: key.clone(),
            value: Secret::new(to_send(key, value, current)),
            shown,
            from: from.map(str::to_owned),
            to,
        }
    }
}

/// The contents of a file without the final line break, which editors add.
fn value_in_file(key: &str, path: &Path) -> Result<String, Error> {
    let what = format!("--set {key}");
    let file = SmallFile::read(path).context(ReadSnafu { what, path })?;
    if key == PASSWORD {
        file.ensure_private(key)?;
    }
    let text = file.text.strip_suffix('\n').unwrap_or(&file.text);
    Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
}

/// Whether the server returned asterisks instead of the value.
fn is_hidden(value: &str) -> bool {
    !value.is_empty() && value.bytes().all(|byte| byte == b'*')
}

/// Whether the option accepts any text.
fn is_free_text(key: &str) -> bool {
    matches!(
        key,
        "description" | "args" | "hookscript" | "cicustom" | "ciuser" | "smbios1"
    )
}

fn is_key(text: &str) -> bool {
    let is_valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    text.starts_with(|c: char| c.is_ascii_lowercase()) && text.chars().all(is_valid)
}

/// What to use instead of a request parameter that is not a VM option, or of an option that is set in another
/// way.
fn alternative_to(key: &str) -> Option<&'static str> {
    Some(match key {
        "name" => "the VM's name is the first argument",
        "vmid" => "use --vmid",
        "node" => "use --node",
        "template" => "to convert a VM into a template, on its node: qm template VMID",
        "lock" | "digest" | "skiplock" | "force" | "background_delay" => "this is not a VM option",
        "delete" | "revert" => "to remove an option, on the VM's node: qm set VMID --delete OPTION",
        "meta" | "vmgenid" | "vmstate" | "parent" | "snaptime" | "runningmachine" => {
            "only the server sets this"
        }
        // The server stores it as ide2.
        "cdrom" => "use ide2, with media=cdrom",
        _ if property::is_numbered(key, &["unused"]) => "this is a detached disk",
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
