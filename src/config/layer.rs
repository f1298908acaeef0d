//! What one source says, and what several say together.

use std::path::PathBuf;

use super::error::{DisagreeSnafu, Error};
use super::setting::{Paired, Setting, set};
use super::value::{checked_key, checked_realm, checked_user, parse_boolean, parse_fingerprints};
use crate::pve::secret::{Secret, find_secret};
use crate::pve::{Address, Fingerprint, addresses, parse_port};

/// What a setting is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Field {
    Host,
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
    /// Whether its value may be said in messages: all but secrets, and files, whose names are masked
    /// there.
    fn is_shown(self) -> bool {
        !matches!(
            self,
            Field::TokenSecret | Field::ApiToken | Field::TokenSecretFile | Field::CaFile
        )
    }
}

/// Every name of the environment that is understood, with the JSON key that means the same. Those
/// without a key are other tools' names.
pub(super) const NAMES: [(&str, Option<&str>, Field); 15] = [
    ("PROXMOX_HOST", Some("host"), Field::Host),
    ("PROXMOX_PORT", Some("port"), Field::Port),
    ("PROXMOX_USER", Some("user"), Field::User),
    ("PROXMOX_REALM", Some("realm"), Field::Realm),
    ("PROXMOX_TOKEN_KEY", Some("token_key"), Field::TokenKey),
    (
        "PROXMOX_TOKEN_SECRET",
        Some("token_secret"),
        Field::TokenSecret,
    ),
    (
        "PROXMOX_TOKEN_SECRET_FILE",
        Some("token_secret_file"),
        Field::TokenSecretFile,
    ),
    (
        "PROXMOX_FINGERPRINT",
        Some("fingerprint"),
        Field::Fingerprint,
    ),
    ("PROXMOX_CA_FILE", Some("ca_file"), Field::CaFile),
    (
        "PROXMOX_REJECT_UNAUTHORIZED",
        Some("reject_unauthorized"),
        Field::RejectUnauthorized,
    ),
    ("PROXMOX_URL", None, Field::Host),
    ("PROXMOX_TOKEN_ID", None, Field::TokenId),
    ("PROXMOX_VE_ENDPOINT", None, Field::Host),
    ("PROXMOX_VE_API_TOKEN", None, Field::ApiToken),
    ("PROXMOX_VE_INSECURE", None, Field::Insecure),
];

/// All settings of one source, or of several merged.
#[derive(Default)]
pub(super) struct Layer {
    pub(super) servers: Paired<Vec<Address>, u16>,
    pub(super) user: Paired<String, String>,
    pub(super) key: Option<Setting<String>>,
    pub(super) secret: Option<Setting<Secret>>,
    pub(super) secret_file: Option<Setting<PathBuf>>,
    pub(super) trust: Trusted,
}

/// Whom to trust: one question, although three settings answer it.
#[derive(Default)]
pub(super) struct Trusted {
    pub(super) pins: Option<Setting<Vec<Fingerprint>>>,
    pub(super) ca_file: Option<Setting<PathBuf>>,
    pub(super) verify: Option<Setting<bool>>,
}

impl Trusted {
    /// The setting that turns verification off.
    pub(super) fn insecure(&self) -> Option<&Setting<bool>> {
        self.verify.as_ref().filter(|verify| !verify.value)
    }

    /// The names of the settings that say whom to trust.
    pub(super) fn origins(&self) -> Vec<&str> {
        let origins = [
            self.pins.as_ref().map(|pins| pins.origin.as_str()),
            self.ca_file.as_ref().map(|ca_file| ca_file.origin.as_str()),
            self.insecure().map(|verify| verify.origin.as_str()),
        ];
        origins.into_iter().flatten().collect()
    }
}

impl Layer {
    /// Takes `text` for what `field` says; `origin` is the name the user knows it by.
    pub(super) fn set(&mut self, field: Field, text: &str, origin: &str) -> Result<(), Error> {
        let text = text.trim();
        let bad = |reason: &str| Error::invalid(origin, reason);
        if field.is_shown() && find_secret(text).is_some() {
            return Err(bad(
                "that looks like a token's secret, which does not belong here",
            ));
        }
        match field {
            Field::Host => {
                let mut servers = addresses(text).map_err(|error| bad(&error.to_string()))?;
                // In a list a port belongs to its host.
                let port = match servers.as_mut_slice() {
                    [only] => only.port.take(),
                    _ => None,
                };
                self.servers.set_whole(servers, port, origin)
            }
            Field::Port => {
                let port = parse_port(text).map_err(|error| bad(&error.to_string()))?;
                self.servers.set_part(port, origin)
            }
            Field::User if text.contains('!') => {
                let reason = format!(
                    "'{text}' is not a user, like root or root@pam: what stands behind the '!' is a \
                     token's id, and belongs into PROXMOX_TOKEN_KEY"
                );
                Err(bad(&reason))
            }
            Field::User => {
                let (user, realm) = match text.rsplit_once('@') {
                    Some((user, realm)) => (user, Some(checked_realm(realm, origin)?)),
                    None => (text, None),
                };
                self.user
                    .set_whole(checked_user(user, origin)?, realm, origin)
            }
            Field::Realm => self.user.set_part(checked_realm(text, origin)?, origin),
            Field::TokenKey => set(&mut self.key, checked_key(text, origin)?, origin),
            Field::TokenId => match text.rsplit_once('!') {
                Some((user, _)) if !user.contains('@') => {
                    let reason = format!("'{text}' names no realm: USER@REALM!TOKENID");
                    Err(bad(&reason))
                }
                Some((user, key)) => {
                    self.set(Field::User, user, origin)?;
                    self.set(Field::TokenKey, key, origin)
                }
                None => self.set(Field::TokenKey, text, origin),
            },
            Field::TokenSecret => {
                let secret = Secret::of_token(text).ok_or_else(|| {
                    bad(
                        "not a token's secret, which is a UUID and nothing around it: pveum showed it \
                         when the token was made",
                    )
                })?;
                set(&mut self.secret, secret, origin)
            }
            Field::TokenSecretFile => set(&mut self.secret_file, PathBuf::from(text), origin),
            Field::ApiToken => {
                let Some((id, secret)) = text.split_once('=').filter(|(id, _)| id.contains('!'))
                else {
                    return Err(bad("not of the form USER@REALM!TOKENID=SECRET"));
                };
                self.set(Field::TokenId, id, origin)?;
                self.set(Field::TokenSecret, secret, origin)
            }
            Field::Fingerprint => {
                let pins = parse_fingerprints(text, origin)?;
                set(&mut self.trust.pins, pins, origin)
            }
            Field::CaFile if text.is_empty() => Err(bad("it is empty")),
            Field::CaFile => set(&mut self.trust.ca_file, PathBuf::from(text), origin),
            Field::RejectUnauthorized => {
                let verify = parse_boolean(text, origin)?;
                set(&mut self.trust.verify, verify, origin)
            }
            Field::Insecure => {
                let verify = !parse_boolean(text, origin)?;
                set(&mut self.trust.verify, verify, origin)
            }
        }
    }

    /// The layer, unless parts of it contradict each other.
    pub(super) fn settled(self) -> Result<Layer, Error> {
        self.servers.check()?;
        self.user.check()?;
        if let (Some(secret), Some(file)) = (&self.secret, &self.secret_file) {
            let (one, other) = (secret.origin.as_str(), file.origin.as_str());
            let why = "both say the secret";
            return DisagreeSnafu { one, other, why }.fail();
        }
        let origins = self.trust.origins();
        if let [one, other, ..] = origins[..] {
            let why = "both say whom to trust";
            return DisagreeSnafu { one, other, why }.fail();
        }
        if let (Some(servers), [other, ..]) = (&self.servers.whole, &origins[..])
            && servers.value.iter().all(|server| !server.tls)
            && self.trust.insecure().is_none()
        {
            let why = "with http:// there is no certificate to trust";
            let one = servers.origin.as_str();
            let other = *other;
            return DisagreeSnafu { one, other, why }.fail();
        }
        Ok(self)
    }

    /// Takes from a lower layer what this one leaves open.
    pub(super) fn fill_from(&mut self, lower: Layer) {
        self.servers.fill_from(lower.servers);
        self.user.fill_from(lower.user);
        self.key = self.key.take().or(lower.key);
        if self.secret.is_none() && self.secret_file.is_none() {
            self.secret = lower.secret;
            self.secret_file = lower.secret_file;
        }
        if self.trust.origins().is_empty() {
            let verify = self.trust.verify.take();
            self.trust = lower.trust;
            // Asked for again up here, it is not turned off down there.
            if let Some(verify) = verify {
                self.trust.verify = Some(verify);
            }
        }
    }
}
