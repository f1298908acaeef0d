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

/// The file that the user names, else the first that exists in the usual places.
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

/// The settings in the file. An unknown key is an error: it may be a typo in an important one.
pub(super) fn layer_of_file(file: &SmallFile) -> Result<Layer, Error> {
    let path = &file.path;
    let mut layer = Layer::default();
    for (key, value) in parse(file)? {
        let origin = format!("'{}': {key}", path.display());
        let known = OWN_NAMES.iter().find(|(name, _)| key_in_file(name) == key);
        let Some(&(_, field)) = known else {
            return Err(Error::invalid(&origin, &no_such_setting(&key)));
        };
        let text = match value {
            Value::Null => continue,
            Value::String(text) => text,
            Value::Number(number) => number.to_string(),
            Value::Bool(flag) => flag.to_string(),
            Value::Array(_) if field == Field::Host => {
                let reason = "several hosts are one text, separated by commas";
                return Err(Error::invalid(&origin, reason));
            }
            _ => return Err(Error::invalid(&origin, "it is neither text nor number")),
        };
        if field == Field::TokenSecret {
            file.ensure_private("token_secret")?;
        }
        layer.set(field, &beside(path, field, &text), &origin)?;
    }
    layer.consistent()
}

fn parse(file: &SmallFile) -> Result<Map<String, Value>, Error> {
    #[derive(Deserialize)]
    struct Topics {
        proxmox: Map<String, Value>,
    }
    let topics = serde_json::from_str(&file.text).map(|Topics { proxmox }| proxmox);
    topics.map_err(|error| Error::NotJson {
        path: file.path.clone(),
        line: error.line(),
        column: error.column(),
        reason: match error.classify() {
            Category::Data => "there is no object \"proxmox\"",
            Category::Eof => "the JSON is incomplete",
            Category::Syntax | Category::Io => "this is not JSON",
        },
    })
}

fn no_such_setting(key: &str) -> String {
    let keys = OWN_NAMES.map(|(name, _)| key_in_file(name));
    match closest(key, keys.iter().map(String::as_str)) {
        Some(name) => format!("there is no such setting; did you mean '{name}'?"),
        None => "there is no such setting".to_owned(),
    }
}

/// A relative path in the file starts at the file's directory, not at the working directory.
fn beside(config: &Path, field: Field, text: &str) -> String {
    let text = text.trim();
    if !matches!(field, Field::CaFile | Field::TokenSecretFile) || text.is_empty() {
        return text.to_owned();
    }
    let directory = config.parent().unwrap_or(Path::new(""));
    directory.join(text).to_string_lossy().into_owned()
}
