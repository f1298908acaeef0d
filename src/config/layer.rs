//! The settings of one source, or of several merged sources.

use std::path::PathBuf;

use super::error::{DisagreeSnafu, Error};
use super::setting::{Paired, Setting, parsed, set};
use super::value::{
    Servers, parse_boolean, parse_pins, parse_realm, parse_secret, parse_token_key, parse_user,
    split_port,
};
use crate::pve::secret::{Secret, find_secret};
use crate::pve::{Host, Trust, parse_hosts, parse_port, parse_urls};

/// A setting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Field {
    Host,
    /// The host as in other tools, where a URL without a port has its scheme's default port.
    Url,
    Port,
    User,
    Realm,
    TokenKey,
    /// `TOKENID`, or `USER@REALM!TOKENID`
    TokenId,
    TokenSecret,
    TokenSecretFile,
    /// `USER@REALM!TOKENID=SECRET`
    ApiToken,
    Fingerprint,
    CaFile,
    RejectUnauthorized,
    Insecure,
}

impl Field {
    /// Whether messages show its value unmasked. Secrets are never shown, and paths are masked.
    fn is_shown(self) -> bool {
        !matches!(
            self,
            Field::TokenSecret | Field::ApiToken | Field::TokenSecretFile | Field::CaFile
        )
    }
}

/// This program's environment variables. `key_in_file` is the corresponding key in the configuration file.
pub(super) const OWN_NAMES: [(&str, Field); 10] = [
    ("PROXMOX_HOST", Field::Host),
    ("PROXMOX_PORT", Field::Port),
    ("PROXMOX_USER", Field::User),
    ("PROXMOX_REALM", Field::Realm),
    ("PROXMOX_TOKEN_KEY", Field::TokenKey),
    ("PROXMOX_TOKEN_SECRET", Field::TokenSecret),
    ("PROXMOX_TOKEN_SECRET_FILE", Field::TokenSecretFile),
    ("PROXMOX_FINGERPRINT", Field::Fingerprint),
    ("PROXMOX_CA_FILE", Field::CaFile),
    ("PROXMOX_REJECT_UNAUTHORIZED", Field::RejectUnauthorized),
];

/// The environment variables that contain a secret.
pub fn secret_variables() -> impl Iterator<Item = &'static str> {
    let understood = OWN_NAMES.iter().chain(&FOREIGN_NAMES);
    let is_secret = |field| matches!(field, Field::TokenSecret | Field::ApiToken);
    understood.filter_map(move |(name, field)| is_secret(*field).then_some(*name))
}

/// Environment variables of other tools that this program understands.
pub(super) const FOREIGN_NAMES: [(&str, Field); 5] = [
    ("PROXMOX_URL", Field::Url),
    ("PROXMOX_TOKEN_ID", Field::TokenId),
    ("PROXMOX_VE_ENDPOINT", Field::Url),
    ("PROXMOX_VE_API_TOKEN", Field::ApiToken),
    ("PROXMOX_VE_INSECURE", Field::Insecure),
];

/// `ca_file` for `PROXMOX_CA_FILE`.
pub(super) fn key_in_file(name: &str) -> String {
    name.trim_start_matches("PROXMOX_").to_ascii_lowercase()
}

/// All settings of one source, or of several merged sources.
#[derive(Default)]
pub(super) struct Layer {
    pub(super) servers: Paired<Servers, u16>,
    pub(super) user: Paired<String, String>,
    pub(super) key: Option<Setting<String>>,
    pub(super) secret: Option<Setting<Secret>>,
    pub(super) secret_file: Option<Setting<PathBuf>>,
    pins: Option<Setting<Vec<Trust>>>,
    ca_file: Option<Setting<PathBuf>>,
    verify: Option<Setting<bool>>,
}

impl Layer {
    /// Parses `text` and sets `field`. `origin` is where the user wrote it.
    pub(super) fn set(&mut self, field: Field, text: &str, origin: &str) -> Result<(), Error> {
        let text = text.trim();
        let invalid = |reason: &str| Err(Error::invalid(origin, reason));
        if field.is_shown() && find_secret(text).is_some() {
            return invalid("that looks like a token's secret, which does not belong here");
        }
        match field {
            Field::Host => {
                let hosts = parsed(parse_hosts(text), origin)?;
                self.servers
                    .set_whole(hosts.map(|hosts| split_port(hosts, text)))
            }
            Field::Url => {
                let hosts = parsed(parse_urls(text), origin)?;
                self.servers
                    .set_whole(hosts.map(|hosts| split_port(hosts, text)))
            }
            Field::Port => set(&mut self.servers.part, parsed(parse_port(text), origin)?),
            Field::User => self.user.set_whole(parsed(parse_user(text), origin)?),
            Field::Realm => set(&mut self.user.part, parsed(parse_realm(text), origin)?),
            Field::TokenKey => set(&mut self.key, parsed(parse_token_key(text), origin)?),
            Field::TokenId => match text.rsplit_once('!') {
                Some((user, _)) if !user.contains('@') => invalid(&format!(
                    "'{text}' has no realm; expected USER@REALM!TOKENID"
                )),
                Some((user, key)) => {
                    self.set(Field::User, user, origin)?;
                    self.set(Field::TokenKey, key, origin)
                }
                None => self.set(Field::TokenKey, text, origin),
            },
            Field::TokenSecret => set(&mut self.secret, parsed(parse_secret(text), origin)?),
            Field::TokenSecretFile => set(&mut self.secret_file, Setting::new(text.into(), origin)),
            Field::ApiToken => match text.split_once('=') {
                Some((id, secret)) if id.contains('!') => {
                    self.set(Field::TokenId, id, origin)?;
                    self.set(Field::TokenSecret, secret, origin)
                }
                _ => invalid("expected USER@REALM!TOKENID=SECRET"),
            },
            Field::Fingerprint => {
                let pins = parse_pins(text, origin)?;
                set(&mut self.pins, Setting::new(pins, origin))
            }
            Field::CaFile if text.is_empty() => invalid("must not be empty"),
            Field::CaFile => set(&mut self.ca_file, Setting::new(text.into(), origin)),
            Field::RejectUnauthorized => {
                set(&mut self.verify, parsed(parse_boolean(text), origin)?)
            }
            Field::Insecure => {
                let insecure = parsed(parse_boolean(text), origin)?;
                set(&mut self.verify, insecure.map(|insecure| !insecure))
            }
        }
    }

    /// The settings that say which certificates to trust, of which at most one may be set: a pin for each
    /// host, or one rule for all hosts.
    pub(super) fn trusted(&self) -> Vec<Setting<Vec<Trust>>> {
        let ca_file = self.ca_file.clone();
        let ca_file = ca_file.map(|it| it.map(|path| vec![Trust::CaFile(path)]));
        let insecure = self.verify.clone().filter(|verify| !verify.value);
        let anyone = insecure.map(|it| it.map(|_| vec![Trust::Anyone]));
        let trusted = [self.pins.clone(), ca_file, anyone];
        trusted.into_iter().flatten().collect()
    }

    /// This layer, or an error if its settings contradict each other.
    pub(super) fn consistent(self) -> Result<Layer, Error> {
        self.servers.ensure_consistent()?;
        self.user.ensure_consistent()?;
        let contradict =
            |one: &str, other: &str, why: &str| DisagreeSnafu { one, other, why }.fail();
        if let (Some(secret), Some(file)) = (&self.secret, &self.secret_file) {
            return contradict(&secret.origin, &file.origin, "both set the secret");
        }
        let trusted = self.trusted();
        if let [one, other, ..] = &trusted[..] {
            return contradict(
                &one.origin,
                &other.origin,
                "both set the certificates to trust",
            );
        }
        if let (Some(servers), [trusted]) = (&self.servers.whole, &trusted[..])
            && !servers.value.hosts.iter().any(Host::tls)
            && !trusted.value.contains(&Trust::Anyone)
        {
            let why = "http:// uses no certificate";
            return contradict(&servers.origin, &trusted.origin, why);
        }
        Ok(self)
    }

    /// Fills settings that are not set here from a layer of lower precedence.
    pub(super) fn fill_from(&mut self, lower: Layer) {
        self.servers.fill_from(lower.servers);
        self.user.fill_from(lower.user);
        self.key = self.key.take().or(lower.key);
        if self.secret.is_none() && self.secret_file.is_none() {
            self.secret = lower.secret;
            self.secret_file = lower.secret_file;
        }
        if self.trusted().is_empty() {
            self.pins = lower.pins;
            self.ca_file = lower.ca_file;
            // A lower layer must not disable the verification that this layer requires.
            self.verify = self.verify.take().or(lower.verify);
        }
    }
}
