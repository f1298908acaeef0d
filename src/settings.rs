//! What a VM's configuration shall say: `--set` and `--ssh-key`.

mod error;
mod public_keys;
pub mod resize;
mod same;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use snafu::{OptionExt, ResultExt, ensure};

pub use self::error::Error;
pub use self::same::asks_for_new_volume;

use self::error::{
    GivenTwiceSnafu, NoValueSnafu, NotAnAssignmentSnafu, NotForSetSnafu, PrivateKeySnafu, ReadSnafu,
};
use self::public_keys::{is_private_key, public_keys};
use self::same::{SSH_KEYS, is_same, to_send};
use crate::config::small_file::SmallFile;
use crate::pve::secret::Secret;
use crate::pve::{VmConfig, property};

/// The password of cloud-init's user, which nobody may read.
const PASSWORD: &str = "cipassword";

/// Options of a VM, in the order in which they were given.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Settings(Vec<Setting>);

/// One option of a VM.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Setting {
    /// Proxmox's name for it.
    pub key: String,
    value: Secret,
    /// What came from a file may be a secret, and is not said.
    is_from_file: bool,
}

/// An option that is not yet as it shall be.
#[derive(Debug)]
pub struct Change {
    /// Proxmox's name for it.
    pub key: String,
    /// Its value as the server takes it.
    pub value: Secret,
    /// What can be said of it: `cores=4 (was 1)`, or only the name.
    pub shown: String,
}

impl Settings {
    /// What `--set` and `--ssh-key` were given, with what stands in files. Nothing is asked of any
    /// server.
    pub fn gather(set: &[String], ssh_keys: &[PathBuf]) -> Result<Settings, Error> {
        let mut settings = Vec::new();
        for words in set {
            settings.push(Setting::parse(words)?);
        }
        if !ssh_keys.is_empty() {
            settings.push(Setting {
                key: SSH_KEYS.to_owned(),
                value: Secret::new(public_keys(ssh_keys)?),
                is_from_file: true,
            });
        }
        for (index, setting) in settings.iter().enumerate() {
            let key = &setting.key;
            let is_new = settings[..index].iter().all(|before| before.key != *key);
            ensure!(is_new, GivenTwiceSnafu { key });
        }
        Ok(Settings(settings))
    }

    /// Whether nothing is to be set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What an option shall be, if that was said.
    pub fn value_of(&self, key: &str) -> Option<&str> {
        let setting = self.0.iter().find(|setting| setting.key == key)?;
        Some(setting.value.expose())
    }

    /// The drives that shall be set.
    pub fn drives(&self) -> impl Iterator<Item = (&str, &str)> {
        let drives = self.0.iter().filter(|it| property::is_drive(&it.key));
        drives.map(|drive| (drive.key.as_str(), drive.value.expose()))
    }

    /// The options that are of use to a guest only by way of a drive for cloud-init.
    pub fn for_cloud_init(&self) -> Vec<&str> {
        const KEYS: [&str; 5] = [SSH_KEYS, PASSWORD, "ciuser", "nameserver", "searchdomain"];
        let is_meant = |key: &&str| KEYS.contains(key) || property::is_numbered(key, &["ipconfig"]);
        let keys = self.0.iter().map(|setting| setting.key.as_str());
        keys.filter(is_meant).collect()
    }

    /// What is not so yet. What cannot be read back counts as not so, unless it is among those that
    /// are known to be set.
    pub fn changes(&self, there: &VmConfig, known: &BTreeSet<String>) -> Vec<Change> {
        let is_so = |setting: &&Setting| match there.option(&setting.key) {
            Some(there) if is_hidden(there) => known.contains(&setting.key),
            Some(there) => is_same(&setting.key, setting.value.expose(), there),
            None => false,
        };
        let settings = self.0.iter().filter(|setting| !is_so(setting));
        settings
            .map(|setting| setting.change(there.option(&setting.key)))
            .collect()
    }

    /// The options that cannot be read back once they are set, as far as is known without that, or by
    /// this configuration.
    pub fn unreadable<'s>(&'s self, there: &'s VmConfig) -> impl Iterator<Item = &'s str> {
        let is_unreadable =
            |key: &&str| *key == PASSWORD || there.option(key).is_some_and(is_hidden);
        let keys = self.0.iter().map(|setting| setting.key.as_str());
        keys.filter(is_unreadable)
    }

    /// Words from elsewhere without the values that may be secrets.
    pub fn masked_in(&self, words: String) -> String {
        let secrets = self.0.iter().filter(|setting| !setting.may_be_shown());
        secrets.fold(words, |words, secret| secret.value.masked_in(words))
    }
}

impl Setting {
    fn parse(words: &str) -> Result<Setting, Error> {
        // Without `=` it may be a value that has lost its key.
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
            is_from_file,
        })
    }

    fn may_be_shown(&self) -> bool {
        const HIDDEN: [&str; 2] = [SSH_KEYS, PASSWORD];
        !self.is_from_file && !HIDDEN.contains(&self.key.as_str())
    }

    fn change(&self, there: Option<&str>) -> Change {
        let (key, value) = (&self.key, self.value.expose());
        let is_short = |text: &str| text.chars().count() <= 60 && !text.contains('\n');
        let shown = match there {
            _ if !self.may_be_shown() || !is_short(value) => key.clone(),
            // A text may have come from a file the last time, and be a secret.
            Some(there) if is_short(there) && !is_free_text(key) => {
                format!("{key}={value} (was {there})")
            }
            _ => format!("{key}={value}"),
        };
        Change {
            key: key.clone(),
            value: Secret::new(to_send(key, value, there)),
            shown,
        }
    }
}

/// What a file holds, without the end of its last line, which editors put there.
fn value_in_file(key: &str, path: &Path) -> Result<String, Error> {
    let what = format!("--set {key}");
    let file = SmallFile::read(path).context(ReadSnafu { what, path })?;
    if key == PASSWORD {
        file.ensure_private(key)?;
    }
    let text = file.text.strip_suffix('\n').unwrap_or(&file.text);
    Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
}

/// Proxmox's answer where a value is not for everybody to read.
fn is_hidden(value: &str) -> bool {
    !value.is_empty() && value.bytes().all(|byte| byte == b'*')
}

/// What the server takes for no more than a text.
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

/// Parameters of the request that are no options of a VM, and options that are this program's own
/// affair.
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
