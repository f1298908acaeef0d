//! Flags over environment over JSON file, merged field by field.

mod error;
mod file;
mod layer;
mod setting;
pub mod small_file;
mod value;
mod whole;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

pub use self::error::Error;
pub use self::whole::{Configuration, Source};

use self::file::{find_file, read_file};
use self::layer::{Field, Layer, NAMES};

/// The options of the command line that say how to reach the server.
#[derive(Clone, Default)]
pub struct Flags {
    /// `--host`
    pub host: Option<String>,
    /// `--config`
    pub config: Option<PathBuf>,
    /// `--ca-file`
    pub ca_file: Option<PathBuf>,
    /// `--fingerprint`
    pub fingerprint: Option<String>,
    /// `--insecure`
    pub insecure: bool,
    /// `--request-timeout`
    pub request_timeout: Option<Duration>,
}

/// Looks a name up in the environment.
pub type Environment<'e> = &'e dyn Fn(&str) -> Option<OsString>;

/// The server itself gives up after 30 s; its "596 Connection timed out" should still reach us.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(40);

/// How to reach the servers, from all that was set.
pub fn load(flags: &Flags, environment: Environment) -> Result<Configuration, Error> {
    let environment = |name: &str| environment(name).filter(|value| !value.is_empty());
    let mut settings = layer_of_flags(flags)?;
    settings.fill_from(layer_of_environment(&environment)?);
    let file = find_file(flags.config.as_deref(), &environment)?;
    let path = file.as_ref().map(|file| file.path.clone());
    if let Some(file) = file {
        settings.fill_from(read_file(file)?);
    }
    let request_timeout = flags.request_timeout.unwrap_or(REQUEST_TIMEOUT);
    settings.into_configuration(path, request_timeout)
}

/// Where runs leave word for each other: `HOMELAB_STATE_DIR`, else a folder of its own in the
/// user's state directory, else, for a user without a home, in the system's.
///
/// A relative one would be another one for each working directory, so it is refused.
pub fn state_directory(environment: Environment) -> Result<PathBuf, Error> {
    const NAME: &str = "HOMELAB_STATE_DIR";
    let path = |name: &str| {
        let value = environment(name).filter(|value| !value.is_empty())?;
        Some(PathBuf::from(value))
    };
    match path(NAME) {
        Some(state) if state.is_absolute() => return Ok(state),
        Some(_) => return Err(Error::invalid(NAME, "it is not an absolute path")),
        None => {}
    }
    // A relative XDG path is to be ignored, says its specification.
    let absolute = |name: &str| path(name).filter(|path| path.is_absolute());
    let of_user = absolute("XDG_STATE_HOME")
        .or_else(|| Some(absolute("HOME")?.join(".local/state")))
        .map(|state| state.join("homelab"));
    Ok(of_user.unwrap_or_else(|| PathBuf::from("/var/lib/homelab")))
}

fn layer_of_flags(flags: &Flags) -> Result<Layer, Error> {
    let mut layer = Layer::default();
    if let Some(host) = &flags.host {
        layer.set(Field::Host, host, "--host")?;
    }
    if let Some(path) = &flags.ca_file {
        layer.set(Field::CaFile, &path.to_string_lossy(), "--ca-file")?;
    }
    if let Some(pins) = &flags.fingerprint {
        layer.set(Field::Fingerprint, pins, "--fingerprint")?;
    }
    if flags.insecure {
        layer.set(Field::Insecure, "true", "--insecure")?;
    }
    layer.settled()
}

/// An empty value counts as none: a crontab has no other way to unset what it inherits.
fn layer_of_environment(environment: Environment) -> Result<Layer, Error> {
    let mut layer = Layer::default();
    for (name, _, field) in NAMES {
        let Some(value) = environment(name) else {
            continue;
        };
        let Some(value) = value.to_str() else {
            return Err(Error::invalid(name, "it is not UTF-8"));
        };
        layer.set(field, value, name)?;
    }
    layer.settled()
}

#[cfg(test)]
mod tests;
