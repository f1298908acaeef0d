//! Turns the merged settings into a configuration, if none is missing.

use std::iter;
use std::path::PathBuf;
use std::time::Duration;

use super::error::{Error, MissingSnafu, PinsAndHostsSnafu};
use super::layer::Layer;
use super::proxy::Proxies;
use super::setting::{Setting, parsed};
use super::small_file::SmallFile;
use super::value::Servers;
use crate::pve::secret::{Masked, Secret};
use crate::pve::types::{Token, TokenId};
use crate::pve::{Access, Endpoint, Host, Trust};

/// How to reach the servers, and where each setting came from.
pub struct Configuration {
    pub access: Access,
    /// Each setting with its origin, so that a user can find a wrong one.
    pub sources: Vec<Source>,
    /// The configuration file that was read, if any.
    pub file: Option<PathBuf>,
    /// Warnings about settings that work but may be unintended.
    pub warnings: Vec<String>,
}

/// A setting and where it came from.
pub struct Source {
    /// `host`, `user` …
    pub name: &'static str,
    /// Its value; empty for the secret.
    pub value: String,
    /// The option, the environment variable, or the file and the key in it.
    pub origin: String,
}

/// The realm of root, the only user of a new Proxmox VE installation.
const DEFAULT_REALM: &str = "pam";
const BY_DEFAULT: &str = "by default";

impl Layer {
    /// `ignored` says which variables of other tools are set without effect.
    pub(super) fn into_configuration(
        self,
        file: Option<PathBuf>,
        request_timeout: Duration,
        proxies: &Proxies,
        ignored: Vec<String>,
    ) -> Result<Configuration, Error> {
        let trusted = self.trusted().pop();
        let trusted = trusted.unwrap_or_else(|| Setting::new(vec![Trust::SystemRoots], BY_DEFAULT));
        let secret = match (self.secret, self.secret_file) {
            (None, Some(file)) => Some(read_secret_file(&file)?),
            (secret, _) => secret,
        };
        let needed = [
            ("PROXMOX_HOST", self.servers.whole.is_some()),
            ("PROXMOX_USER", self.user.whole.is_some()),
            ("PROXMOX_TOKEN_KEY", self.key.is_some()),
            ("PROXMOX_TOKEN_SECRET", secret.is_some()),
        ];
        let missing = needed.iter().filter(|(_, is_set)| !is_set);
        let names: Vec<&str> = missing.map(|(name, _)| *name).collect();
        let (servers, user) = (self.servers.into_both(), self.user.into_both());
        let (Some((servers, port)), Some((user, realm)), Some(key), Some(secret)) =
            (servers, user, self.key, secret)
        else {
            let names = names.join(", ");
            return MissingSnafu { names, ignored }.fail();
        };
        let default_port = port.as_ref().map(|port| port.value);
        let mut hosts = servers.value.hosts.clone();
        for host in &mut hosts {
            host.port = host.port.or(default_port);
        }
        let endpoints = endpoints(&hosts, &trusted, proxies)?;
        let warnings = [
            not_verified(&hosts, &trusted),
            without_realm(&user, realm.as_ref()),
            proxies.warning(&hosts),
        ];
        let realm = realm.unwrap_or_else(|| Setting::new(DEFAULT_REALM.to_owned(), BY_DEFAULT));
        let mut sources = sources_of_servers(&hosts, &servers, port);
        sources.extend(sources_of_user(&user, &realm));
        sources.push(key.source("token key", &key.value));
        sources.push(secret.source("secret", ""));
        if hosts.iter().any(Host::tls) {
            sources.push(trusted.source("trust", shown(&trusted.value)));
        }
        sources.extend(source_of_proxy(&hosts, proxies));
        let (user, realm, key, secret) = (user.value, realm.value, key.value, secret.value);
        let id = TokenId { user, realm, key };
        Ok(Configuration {
            access: Access {
                endpoints,
                token: Token { id, secret },
                request_timeout,
            },
            sources,
            file,
            warnings: warnings.into_iter().flatten().collect(),
        })
    }
}

/// Reads the secret from a file that contains nothing else.
fn read_secret_file(setting: &Setting<PathBuf>) -> Result<Setting<Secret>, Error> {
    let (path, origin) = (&setting.value, &setting.origin);
    let file = SmallFile::read(path);
    let file = file.map_err(|error| format!("cannot read '{}': {error}", path.display()));
    let file = parsed(file, origin)?.value;
    file.ensure_private(origin)?;
    let secret = Secret::of_token(file.text.trim());
    let reason = "the file must contain a token's secret (a UUID) and nothing else";
    parsed(secret.ok_or(reason), origin)
}

/// Each host with the certificates to trust and the proxy to use.
fn endpoints(
    hosts: &[Host],
    trusted: &Setting<Vec<Trust>>,
    proxies: &Proxies,
) -> Result<Vec<Endpoint>, Error> {
    let trusts = trusts(trusted, hosts.len())?;
    let endpoints = hosts.iter().zip(trusts).map(|(host, trust)| Endpoint {
        host: host.clone(),
        trust,
        proxy: proxies.proxy_for(host),
    });
    Ok(endpoints.collect())
}

/// Which certificates to trust, for each host.
fn trusts(trusted: &Setting<Vec<Trust>>, hosts: usize) -> Result<Vec<Trust>, Error> {
    let Setting { value, origin } = trusted;
    let pins = value.iter().filter(|trust| matches!(trust, Trust::Pin(_)));
    let pins = pins.count();
    if pins == 0 || pins == hosts {
        return Ok(value.iter().cycle().take(hosts).cloned().collect());
    }
    PinsAndHostsSnafu {
        origin,
        pins,
        hosts,
    }
    .fail()
}

fn shown(trusted: &[Trust]) -> String {
    match trusted {
        [Trust::CaFile(path)] => format!("CA file '{}'", path.display()),
        [Trust::Anyone] => "any certificate".to_owned(),
        [Trust::SystemRoots] => "the system's CAs".to_owned(),
        _ => "the pinned certificate".to_owned(),
    }
}

fn not_verified(hosts: &[Host], trusted: &Setting<Vec<Trust>>) -> Option<String> {
    let is_unverified = trusted.value.contains(&Trust::Anyone) && hosts.iter().any(Host::tls);
    is_unverified.then(|| {
        format!(
            "the server's certificate is not verified ({}): an attacker on the network can steal the token",
            trusted.origin
        )
    })
}

fn without_realm(user: &Setting<String>, realm: Option<&Setting<String>>) -> Option<String> {
    let (user, origin) = (&user.value, &user.origin);
    // There is only one root.
    (realm.is_none() && user != "root").then(|| {
        format!(
            "{origin}: '{user}' has no realm; using {user}@{DEFAULT_REALM} (for another realm write, for \
             example, {user}@pve)"
        )
    })
}

impl<T> Setting<T> {
    fn source(&self, name: &'static str, value: impl Into<String>) -> Source {
        Source {
            name,
            value: Masked::from(value).to_string(),
            origin: self.origin.clone(),
        }
    }
}

fn sources_of_servers(
    hosts: &[Host],
    servers: &Setting<Servers>,
    port: Option<Setting<u16>>,
) -> Vec<Source> {
    let names: Vec<String> = hosts.iter().map(Host::to_string).collect();
    let port = port.filter(|port| port.origin != servers.origin);
    let port = port.map(|port| port.source("port", port.value.to_string()));
    iter::once(servers.source("host", names.join(",")))
        .chain(port)
        .collect()
}

fn source_of_proxy(hosts: &[Host], proxies: &Proxies) -> Option<Source> {
    let proxy = hosts.iter().find_map(|host| proxies.proxy_for(host))?;
    Some(Source {
        name: "proxy",
        value: proxy.to_string(),
        origin: proxy.origin().to_owned(),
    })
}

fn sources_of_user(user: &Setting<String>, realm: &Setting<String>) -> Vec<Source> {
    if realm.origin == user.origin {
        return vec![user.source("user", format!("{}@{}", user.value, realm.value))];
    }
    vec![
        user.source("user", &user.value),
        realm.source("realm", &realm.value),
    ]
}
