//! The configuration file: `{"proxmox": {"host": "pve.lan", …}}`.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::error::Category;
use serde_json::{Map, Value};
use snafu::ResultExt;

use super::error::{Error, ReadSnafu};
use super::layer::{Field, Layer, OWN_NAMES, key_in_file};
use super::small_file::SmallFile;
use crate::say::closest::closest;

/// The file that the user named, or else the first one that exists in the default places.
pub(super) fn find_file(
    flag: Option<&Path>,
    environment: &dyn Fn(&str) -> Option<OsString>,
) -> Result<Option<SmallFile>, Error> {
    let named = flag.map(Path::to_owned);
    if let Some(path) = named.or_else(|| environment("HOMELAB_CONFIG").map(PathBuf::from)) {
        return SmallFile::read(&path).context(ReadSnafu { path }).map(Some);
    }
    let below = |name: &str, rest: &str| environment(name).map(|dir| Path::new(&dir).join(rest));
    let places = [
        below("XDG_CONFIG_HOME", "homelab/config.json"),
        below("HOME", ".config/homelab/config.json"),
        Some(PathBuf::from("/etc/homelab/config.json")),
    ];
    for path in places.into_iter().flatten() {
        match SmallFile::read(&path) {
            // The home of a system user can be `/dev/null`, which is not a directory.
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {}
            file => return file.context(ReadSnafu { path }).map(Some),
        }
    }
    Ok(None)
}

/// The settings in the file. An unknown key is an error, because it may be a misspelled setting.
pub(super) fn layer_of_file(file: &SmallFile) -> Result<Layer, Error> {
    let path = &file.path;
    let mut layer = Layer::default();
    for (key, value) in parse(file)? {
        let origin = format!("'{}': {key}", path.display());
        let known = OWN_NAMES.iter().find(|(name, _)| key_in_file(name) == key);
        let Some(&(_, field)) = known else {
            return Err(Error::invalid(&origin, &unknown_setting(&key)));
        };
        let text = match value {
            Value::Null => continue,
            Value::String(text) => text,
            Value::Number(number) => number.to_string(),
            Value::Bool(flag) => flag.to_string(),
            Value::Array(_) if field == Field::Host => {
                let reason = "write several hosts as one string, separated by commas";
                return Err(Error::invalid(&origin, reason));
            }
            _ => {
                return Err(Error::invalid(
                    &origin,
                    "must be a string, a number or a boolean",
                ));
            }
        };
        if field == Field::TokenSecret {
            file.ensure_private("token_secret")?;
        }
        layer.set(field, &resolved(path, field, &text), &origin)?;
    }
    layer.consistent()
}

fn parse(file: &SmallFile) -> Result<Map<String, Value>, Error> {
    #[derive(Deserialize)]
    struct Sections {
        proxmox: Map<String, Value>,
    }
    let section = serde_json::from_str(&file.text).map(|Sections { proxmox }| proxmox);
    section.map_err(|error| Error::NotJson {
        path: file.path.clone(),
        place: match error.classify() {
            // serde_json counts columns from 0 at the beginning of a line.
            Category::Syntax => {
                format!(", line {}, column {}", error.line(), error.column().max(1))
            }
            _ => String::new(),
        },
        reason: match error.classify() {
            _ if file.text.trim().is_empty() => "the file is empty",
            Category::Data => "no object \"proxmox\"",
            Category::Eof => "the JSON is incomplete",
            Category::Syntax | Category::Io => "invalid JSON",
        },
    })
}

fn unknown_setting(key: &str) -> String {
    let keys = OWN_NAMES.map(|(name, _)| key_in_file(name));
    match closest(key, keys.iter().map(String::as_str)) {
        Some(name) => format!("unknown setting; did you mean '{name}'?"),
        None => "unknown setting".to_owned(),
    }
}

/// A path relative to the configuration file's directory, not to the working directory.
fn resolved(config: &Path, field: Field, text: &str) -> String {
    let text = text.trim();
    if !matches!(field, Field::CaFile | Field::TokenSecretFile) || text.is_empty() {
        return text.to_owned();
    }
    let directory = config.parent().unwrap_or(Path::new(""));
    directory.join(text).to_string_lossy().into_owned()
}
