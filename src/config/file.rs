//! The JSON file: `{"proxmox": {"host": "pve.lan", …}}`.

use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};
use snafu::ResultExt;

use super::error::{Error, NotJsonSnafu, ReadSnafu};
use super::layer::{Field, Layer, NAMES};
use super::value::not_open_to_others;
use crate::config::small_file::read;
use crate::say::closest::closest;

/// A configuration file as it was found.
pub(super) struct ConfigFile {
    pub(super) path: PathBuf,
    text: String,
    others_can: Option<&'static str>,
}

/// The file that was asked for, or the first that exists where one may lie.
pub(super) fn find_file(
    flag: Option<&Path>,
    environment: &dyn Fn(&str) -> Option<std::ffi::OsString>,
) -> Result<Option<ConfigFile>, Error> {
    let named = flag.map(Path::to_owned);
    if let Some(path) = named.or_else(|| environment("HOMELAB_CONFIG").map(PathBuf::from)) {
        return open(&path).context(ReadSnafu { path }).map(Some);
    }
    let in_home = |name: &str, rest: &str| environment(name).map(|dir| Path::new(&dir).join(rest));
    let places = [
        in_home("XDG_CONFIG_HOME", "homelab/config.json"),
        in_home("HOME", ".config/homelab/config.json"),
        Some(PathBuf::from("/etc/homelab/config.json")),
    ];
    for path in places.into_iter().flatten() {
        match open(&path) {
            Ok(file) => return Ok(Some(file)),
            Err(error) if is_absent(&error) => {}
            Err(error) => return Err(error).context(ReadSnafu { path }),
        }
    }
    Ok(None)
}

/// The home may be `/dev/null` for a system user.
fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

fn open(path: &Path) -> io::Result<ConfigFile> {
    let (text, others_can) = read(path)?;
    Ok(ConfigFile {
        path: path.to_owned(),
        text,
        others_can,
    })
}

/// What the file says of Proxmox. A key that is not understood is an error: it may be a typo in
/// one that matters.
pub(super) fn read_file(file: ConfigFile) -> Result<Layer, Error> {
    #[derive(Deserialize)]
    struct Topics {
        proxmox: Map<String, Value>,
    }
    let ConfigFile {
        path,
        text,
        others_can,
    } = file;
    let topics: Topics = serde_json::from_str(&text).map_err(|error| {
        let reason = if error.is_data() {
            "there is no object \"proxmox\""
        } else if error.is_eof() {
            "it ends too early for JSON"
        } else {
            "this is not JSON"
        };
        NotJsonSnafu {
            path: &path,
            line: error.line(),
            column: error.column(),
            reason,
        }
        .build()
    })?;
    let mut layer = Layer::default();
    for (key, value) in topics.proxmox {
        let origin = format!("'{}': {key}", path.display());
        let known = NAMES.iter().find(|(_, name, _)| *name == Some(&key));
        let Some((_, _, field)) = known else {
            return Err(Error::invalid(&origin, &no_such_setting(&key)));
        };
        let text = match value {
            Value::Null => continue,
            Value::String(text) => text,
            Value::Number(number) => number.to_string(),
            Value::Bool(flag) => flag.to_string(),
            Value::Array(_) if *field == Field::Host => {
                let reason = "several hosts are one text, separated by commas";
                return Err(Error::invalid(&origin, reason));
            }
            _ => return Err(Error::invalid(&origin, "it is neither text nor number")),
        };
        if *field == Field::TokenSecret {
            not_open_to_others(others_can, &path, "token_secret")?;
        }
        layer.set(*field, &beside(&path, *field, &text), &origin)?;
    }
    layer.settled()
}

fn no_such_setting(key: &str) -> String {
    let names = NAMES.iter().filter_map(|(_, name, _)| *name);
    match closest(key, names) {
        Some(name) => format!("there is no such setting; did you mean '{name}'?"),
        None => "there is no such setting".to_owned(),
    }
}

/// A relative path in the file means beside the file, wherever the command is started.
fn beside(config: &Path, field: Field, text: &str) -> String {
    let text = text.trim();
    if !matches!(field, Field::CaFile | Field::TokenSecretFile) || text.is_empty() {
        return text.to_owned();
    }
    let directory = config.parent().unwrap_or(Path::new(""));
    directory.join(text).to_string_lossy().into_owned()
}
