//! Merges options, environment variables and a JSON file, setting by setting. Options take precedence over
//! the environment, and the environment over the file.

mod configuration;
mod error;
mod file;
mod foreign;
mod layer;
mod proxy;
mod setting;
pub mod small_file;
mod value;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

pub use self::configuration::{Configuration, Source};
pub use self::error::Error;
pub use self::foreign::ignored;
pub use self::layer::secret_variables;

use self::file::{find_file, layer_of_file};
use self::foreign::replacements;
use self::layer::{FOREIGN_NAMES, Field, Layer, OWN_NAMES};
use self::proxy::Proxies;

/// The command-line options that say how to reach the server.
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

/// Looks up an environment variable.
pub type Environment<'e> = &'e dyn Fn(&str) -> Option<OsString>;

/// Longer than the 30 s after which the server answers "596 Connection timed out", so that this answer
/// arrives in time.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(40);

/// Loads the configuration from all sources.
pub fn load(flags: &Flags, environment: Environment) -> Result<Configuration, Error> {
    let environment = |name: &str| environment(name).filter(|value| !value.is_empty());
    let mut settings = layer_of_flags(flags)?;
    settings.fill_from(layer_of_environment(&environment)?);
    let file = find_file(flags.config.as_deref(), &environment)?;
    if let Some(file) = &file {
        settings.fill_from(layer_of_file(file)?);
    }
    let request_timeout = flags.request_timeout.unwrap_or(REQUEST_TIMEOUT);
    let proxies = Proxies::of(&environment);
    let (path, ignored) = (file.map(|file| file.path), replacements(&environment));
    settings.into_configuration(path, request_timeout, &proxies, ignored)
}

/// The directory of the records that runs keep for later runs: `HOMELAB_STATE_DIR`, or else `homelab` in the
/// user's state directory, or `/var/lib/homelab` for a user without a home directory.
///
/// A relative path is refused, because it would depend on the working directory.
pub fn state_directory(environment: Environment) -> Result<PathBuf, Error> {
    const NAME: &str = "HOMELAB_STATE_DIR";
    let path = |name: &str| {
        let value = environment(name).filter(|value| !value.is_empty())?;
        Some(PathBuf::from(value))
    };
    if let Some(state) = path(NAME) {
        let absolute = Some(state).filter(|state| state.is_absolute());
        return absolute.ok_or_else(|| Error::invalid(NAME, "not an absolute path"));
    }
    // The XDG specification says to ignore a relative path.
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
    layer.consistent()
}

/// An empty variable counts as not set, because a crontab cannot unset variables.
fn layer_of_environment(environment: Environment) -> Result<Layer, Error> {
    let mut layer = Layer::default();
    for (name, field) in OWN_NAMES.into_iter().chain(FOREIGN_NAMES) {
        if let Some(value) = environment(name) {
            let not_utf8 = || Error::invalid(name, "not UTF-8");
            layer.set(field, value.to_str().ok_or_else(not_utf8)?, name)?;
        }
    }
    layer.consistent()
}

#[cfg(test)]
mod tests;
