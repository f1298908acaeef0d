//! What all sources say together, if that is enough to reach a server.

use std::path::PathBuf;
use std::time::Duration;

use snafu::ensure;

use super::error::{Error, MissingSnafu, PinsAndHostsSnafu};
use super::layer::{Layer, Trusted};
use super::setting::Setting;
use super::value::read_secret_file;
use crate::pve::secret::Masked;
use crate::pve::types::{Token, TokenId};
use crate::pve::{Access, Address, Endpoint, Host, Trust};

/// How to reach the servers, and who says so.
pub struct Configuration {
    /// What it takes.
    pub access: Access,
    /// Each setting, for those who look for the wrong one.
    pub sources: Vec<Source>,
    /// The file that was read, if there is one.
    pub file: Option<PathBuf>,
    /// What works, and may not be what was meant.
    pub warnings: Vec<String>,
}

/// A setting and where it came from.
pub struct Source {
    /// `host`, `user` …
    pub name: &'static str,
    /// What it is; nothing for the secret.
    pub value: String,
    /// The option, the name in the environment, or the file and its key.
    pub origin: String,
}

impl Layer {
    pub(super) fn into_configuration(
        self,
        file: Option<PathBuf>,
        request_timeout: Duration,
    ) -> Result<Configuration, Error> {
        let secret = match (self.secret, &self.secret_file) {
            (None, Some(Setting { value, origin })) => {
                Some(Setting::new(read_secret_file(value, origin)?, origin))
            }
            (secret, _) => secret,
        };
        let names = [
            (self.servers.whole.is_none(), "PROXMOX_HOST"),
            (self.user.whole.is_none(), "PROXMOX_USER"),
            (self.key.is_none(), "PROXMOX_TOKEN_KEY"),
            (secret.is_none(), "PROXMOX_TOKEN_SECRET"),
        ];
        let missing = names.iter().filter(|(is_missing, _)| *is_missing);
        let missing: Vec<&str> = missing.map(|(_, name)| *name).collect();
        let (Some((servers, port)), Some((user, realm)), Some(key), Some(secret)) = (
            self.servers.into_both(),
            self.user.into_both(),
            self.key,
            secret,
        ) else {
            let names = missing.join(", ");
            return MissingSnafu { names }.fail();
        };
        let hosts: Vec<Host> = servers
            .value
            .iter()
            .map(|server| {
                let port = server.port.or(port.as_ref().map(|port| port.value));
                let server = server.clone();
                Address { port, ..server }.into_host()
            })
            .collect();
        let trusts = trusts(&hosts, &self.trust)?;
        let warnings = warnings(&hosts, &user, realm.as_ref(), &self.trust);
        let mut sources = vec![source("host", &listed(&hosts), &servers.origin)];
        let port = port.filter(|port| port.origin != servers.origin);
        sources.extend(port.map(|port| source("port", &port.value.to_string(), &port.origin)));
        sources.extend(sources_of_user(&user, realm.as_ref()));
        sources.push(source("token key", &key.value, &key.origin));
        sources.push(source("secret", "", &secret.origin));
        if hosts.iter().any(Host::tls) {
            sources.push(source_of_trust(&self.trust));
        }
        let realm = realm.map_or_else(|| DEFAULT_REALM.to_owned(), |realm| realm.value);
        let endpoints = hosts.into_iter().zip(trusts);
        Ok(Configuration {
            access: Access {
                endpoints: endpoints
                    .map(|(host, trust)| Endpoint { host, trust })
                    .collect(),
                token: Token {
                    id: TokenId {
                        user: user.value,
                        realm,
                        key: key.value,
                    },
                    secret: secret.value,
                },
                request_timeout,
            },
            sources,
            file,
            warnings,
        })
    }
}

/// Where root is, whom alone Proxmox VE needs no user made for.
const DEFAULT_REALM: &str = "pam";
const BY_DEFAULT: &str = "by default";

/// Whom to trust at each of the hosts.
fn trusts(hosts: &[Host], trusted: &Trusted) -> Result<Vec<Trust>, Error> {
    if let Some(Setting {
        value: pins,
        origin,
    }) = &trusted.pins
    {
        let (pins_count, hosts_count) = (pins.len(), hosts.len());
        ensure!(
            pins_count == hosts_count,
            PinsAndHostsSnafu {
                origin,
                pins: pins_count,
                hosts: hosts_count
            }
        );
        return Ok(pins.iter().copied().map(Trust::Pin).collect());
    }
    let trust = match &trusted.ca_file {
        Some(path) => Trust::CaFile(path.value.clone()),
        None if trusted.insecure().is_some() => Trust::Anyone,
        None => Trust::SystemRoots,
    };
    Ok(vec![trust; hosts.len()])
}

fn warnings(
    hosts: &[Host],
    user: &Setting<String>,
    realm: Option<&Setting<String>>,
    trusted: &Trusted,
) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some(verify) = trusted.insecure()
        && hosts.iter().any(Host::tls)
    {
        warnings.push(format!(
            "the server's certificate is not verified ({}): whoever gets in between can read the \
             token and use it",
            verify.origin
        ));
    }
    // There is only one root.
    if realm.is_none() && user.value != "root" {
        let Setting { value, origin } = user;
        warnings.push(format!(
            "{origin}: '{value}' names no realm, so it is taken for {value}@{DEFAULT_REALM}; write \
             {value}@pve, or whichever realm it is in"
        ));
    }
    warnings
}

fn source(name: &'static str, value: &str, origin: &str) -> Source {
    Source {
        name,
        value: Masked::from(value).to_string(),
        origin: origin.to_owned(),
    }
}

fn sources_of_user(user: &Setting<String>, realm: Option<&Setting<String>>) -> Vec<Source> {
    let Setting { value, origin } = user;
    match realm {
        Some(realm) if realm.origin == *origin => {
            vec![source("user", &format!("{value}@{}", realm.value), origin)]
        }
        Some(realm) => vec![
            source("user", value, origin),
            source("realm", &realm.value, &realm.origin),
        ],
        None => vec![
            source("user", value, origin),
            source("realm", DEFAULT_REALM, BY_DEFAULT),
        ],
    }
}

fn source_of_trust(trusted: &Trusted) -> Source {
    let Trusted { pins, ca_file, .. } = trusted;
    let (value, origin) = match (pins, ca_file, trusted.insecure()) {
        (Some(pins), _, _) => ("the pinned certificate".to_owned(), pins.origin.as_str()),
        (None, Some(ca_file), _) => (
            format!("CA file '{}'", ca_file.value.display()),
            ca_file.origin.as_str(),
        ),
        (None, None, Some(verify)) => ("anyone".to_owned(), verify.origin.as_str()),
        (None, None, None) => ("this system's authorities".to_owned(), BY_DEFAULT),
    };
    source("trust", &value, origin)
}

fn listed(hosts: &[Host]) -> String {
    let hosts: Vec<String> = hosts.iter().map(Host::to_string).collect();
    hosts.join(",")
}
