//! What one source says, as fields that know where they came from.
//!
//! So every error names its origin, and two names for one thing that disagree are noticed.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use snafu::{Snafu, ensure};

use crate::api::types::{Secret, Token};
use crate::api::{Access, Address, Trust, parse_port};

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
    server: Paired<Server, u16>,
    user: Paired<String, String>,
    key: Option<Setting<String>>,
    secret: Option<Setting<Secret>>,
    ca_file: Option<Setting<PathBuf>>,
    verify: Option<Setting<bool>>,
}

/// A server without its port.
#[derive(Clone, PartialEq)]
struct Server {
    name: String,
    tls: bool,
}

impl Layer {
    /// Takes `text` for what `field` says; `origin` is the name the user knows it by.
    pub(super) fn set(&mut self, field: Field, text: &str, origin: &str) -> Result<(), Error> {
        let bad = |reason: &str| Error::invalid(origin, reason);
        match field {
            Field::Host => {
                let address: Address = text.parse().map_err(|error| bad(&format!("{error}")))?;
                let Address { name, port, tls } = address;
                self.server.set_whole(Server { name, tls }, port, origin)
            }
            Field::Port => {
                let port = parse_port(text).map_err(|error| bad(&error.to_string()))?;
                self.server.set_part(port, origin)
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
                Some((user, key)) => {
                    self.set(Field::User, user, origin)?;
                    self.set(Field::TokenKey, key, origin)
                }
                None => self.set(Field::TokenKey, text, origin),
            },
            Field::TokenSecret => {
                let secret = checked_secret(text.trim()).ok_or_else(|| {
                    bad(
                        "not a token's secret, which is a UUID: pveum showed it when the token \
                         was made",
                    )
                })?;
                set(&mut self.secret, secret, origin)
            }
            Field::TokenSecretFile => {
                let text = read_secret_file(Path::new(text), origin)?;
                let secret = checked_secret(text.trim()).ok_or_else(|| {
                    bad("the file holds no token's secret, which is a UUID and nothing else")
                })?;
                set(&mut self.secret, secret, origin)
            }
            Field::ApiToken => {
                let Some((id, secret)) = text.split_once('=').filter(|(id, _)| id.contains('!'))
                else {
                    return Err(bad("not of the form USER@REALM!TOKENID=SECRET"));
                };
                self.set(Field::TokenId, id, origin)?;
                self.set(Field::TokenSecret, secret, origin)
            }
            Field::Fingerprint => Err(bad(
                "pinning a certificate is not supported; name the cluster's \
                 /etc/pve/pve-root-ca.pem as CA file instead",
            )),
            Field::CaFile => {
                ensure!(
                    !text.is_empty(),
                    InvalidSnafu {
                        origin,
                        reason: "it is empty"
                    }
                );
                self.set_ca_file(PathBuf::from(text), origin);
                Ok(())
            }
            Field::RejectUnauthorized => {
                set(&mut self.verify, parse_boolean(text, origin)?, origin)
            }
            Field::Insecure => set(&mut self.verify, !parse_boolean(text, origin)?, origin),
        }
    }

    pub(super) fn set_ca_file(&mut self, path: PathBuf, origin: &str) {
        self.ca_file = Some(Setting::new(path, origin));
    }

    /// The layer, unless parts of it contradict each other.
    pub(super) fn settled(self) -> Result<Layer, Error> {
        self.server.check()?;
        self.user.check()?;
        if let (Some(ca_file), Some(verify)) = (&self.ca_file, &self.verify) {
            ensure!(
                verify.value,
                DisagreeSnafu {
                    one: ca_file.origin.clone(),
                    other: verify.origin.clone(),
                }
            );
        }
        Ok(self)
    }

    /// Takes from a lower layer what this one leaves open.
    pub(super) fn fill_from(&mut self, lower: Layer) {
        self.server.fill_from(lower.server);
        self.user.fill_from(lower.user);
        self.key = self.key.take().or(lower.key);
        self.secret = self.secret.take().or(lower.secret);
        // Whom to trust is one question, although two settings answer it.
        let answered = self.ca_file.is_some() || self.insecure();
        if !answered {
            self.ca_file = lower.ca_file;
            self.verify = self.verify.take().or(lower.verify);
        }
    }

    fn insecure(&self) -> bool {
        self.verify.as_ref().is_some_and(|verify| !verify.value)
    }

    /// How to reach the server, if all that it takes is there.
    pub(super) fn into_access(self, request_timeout: Duration) -> Result<Access, Error> {
        let trust = match &self.ca_file {
            Some(path) => Trust::CaFile(path.value.clone()),
            None if self.insecure() => Trust::Anyone,
            None => Trust::SystemRoots,
        };
        if let (Some(server), Some(ca_file)) = (&self.server.whole, &self.ca_file) {
            // Without TLS nobody would look at it.
            ensure!(
                server.value.tls,
                DisagreeSnafu {
                    one: server.origin.clone(),
                    other: ca_file.origin.clone(),
                }
            );
        }
        let names = [
            (self.server.whole.is_none(), "PROXMOX_HOST"),
            (self.user.whole.is_none(), "PROXMOX_USER"),
            (self.key.is_none(), "PROXMOX_TOKEN_KEY"),
            (self.secret.is_none(), "PROXMOX_TOKEN_SECRET"),
        ];
        let missing = names.iter().filter(|(is_missing, _)| *is_missing);
        let missing: Vec<&str> = missing.map(|(_, name)| *name).collect();
        let (Some((server, port)), Some((user, realm)), Some(key), Some(secret)) = (
            self.server.into_values(),
            self.user.into_values(),
            self.key,
            self.secret,
        ) else {
            return MissingSnafu {
                names: missing.join(", "),
            }
            .fail();
        };
        let address = Address {
            name: server.name,
            port,
            tls: server.tls,
        };
        Ok(Access {
            host: address.into_host(),
            token: Token {
                user,
                realm: realm.unwrap_or_else(|| "pam".to_owned()),
                key: key.value,
                secret: secret.value,
            },
            trust,
            request_timeout,
        })
    }
}

/// A value and the name under which the user gave it.
struct Setting<T> {
    value: T,
    origin: String,
}

impl<T> Setting<T> {
    fn new(value: T, origin: &str) -> Setting<T> {
        Setting {
            value,
            origin: origin.to_owned(),
        }
    }
}

fn set<T: PartialEq>(slot: &mut Option<Setting<T>>, value: T, origin: &str) -> Result<(), Error> {
    if let Some(there) = slot {
        return agree(there, &value, origin);
    }
    *slot = Some(Setting::new(value, origin));
    Ok(())
}

fn agree<T: PartialEq>(there: &Setting<T>, value: &T, origin: &str) -> Result<(), Error> {
    ensure!(
        there.value == *value,
        DisagreeSnafu {
            one: there.origin.clone(),
            other: origin,
        }
    );
    Ok(())
}

/// A value that may bring a part of it along, and that part given by itself: a host and its port,
/// a user and its realm.
struct Paired<T, P> {
    whole: Option<Setting<T>>,
    /// What came along with the whole. It stays with it: another host has another port.
    brought: Option<Setting<P>>,
    part: Option<Setting<P>>,
}

impl<T, P> Default for Paired<T, P> {
    fn default() -> Self {
        Paired {
            whole: None,
            brought: None,
            part: None,
        }
    }
}

impl<T: PartialEq, P: PartialEq> Paired<T, P> {
    fn set_whole(&mut self, whole: T, part: Option<P>, origin: &str) -> Result<(), Error> {
        set(&mut self.whole, whole, origin)?;
        match part {
            Some(part) => set(&mut self.brought, part, origin),
            None => Ok(()),
        }
    }

    fn set_part(&mut self, part: P, origin: &str) -> Result<(), Error> {
        set(&mut self.part, part, origin)
    }

    fn check(&self) -> Result<(), Error> {
        match (&self.brought, &self.part) {
            (Some(brought), Some(part)) => agree(brought, &part.value, &part.origin),
            _ => Ok(()),
        }
    }

    fn fill_from(&mut self, lower: Paired<T, P>) {
        let has_its_part = self.part.is_some() || self.brought.is_some();
        if self.whole.is_none() {
            self.whole = lower.whole;
            if !has_its_part {
                self.brought = lower.brought;
            }
        }
        if !has_its_part {
            self.part = lower.part;
        }
    }

    fn into_values(self) -> Option<(T, Option<P>)> {
        let part = self.brought.or(self.part);
        Some((self.whole?.value, part.map(|part| part.value)))
    }
}

fn checked_user(text: &str, origin: &str) -> Result<String, Error> {
    let is_fine = !text.is_empty()
        && text
            .chars()
            .all(|c| c.is_ascii_graphic() && !matches!(c, '!' | ':' | '/' | '='));
    let reason = format!("'{text}' is not a user, like root or root@pam");
    ensure!(is_fine, InvalidSnafu { origin, reason });
    Ok(text.to_owned())
}

fn checked_realm(text: &str, origin: &str) -> Result<String, Error> {
    let reason = format!("'{text}' is not a realm, like pam or pve");
    ensure!(is_word(text), InvalidSnafu { origin, reason });
    Ok(text.to_owned())
}

fn checked_key(text: &str, origin: &str) -> Result<String, Error> {
    let reason = if text.contains('!') {
        format!("'{text}' is not a token id: only what stands behind the '!' is")
    } else {
        format!("'{text}' is not a token id")
    };
    ensure!(is_word(text), InvalidSnafu { origin, reason });
    Ok(text.to_owned())
}

fn is_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
}

/// A secret if it is a UUID. The text itself is never said back.
fn checked_secret(text: &str) -> Option<Secret> {
    let groups: Vec<&str> = text.split('-').collect();
    let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    let is_hex = |group: &&str| group.chars().all(|c| c.is_ascii_hexdigit());
    let is_uuid = lengths == [8, 4, 4, 4, 12] && groups.iter().all(is_hex);
    is_uuid.then(|| Secret::new(text.to_owned()))
}

fn parse_boolean(text: &str, origin: &str) -> Result<bool, Error> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" => Ok(true),
        "false" | "0" | "no" => Ok(false),
        _ => Err(Error::invalid(
            origin,
            &format!("'{text}' is neither true nor false"),
        )),
    }
}

fn read_secret_file(path: &Path, origin: &str) -> Result<String, Error> {
    let (text, others_can_read) = read(path).map_err(|error| {
        let reason = format!("cannot read '{}': {error}", path.display());
        Error::invalid(origin, &reason)
    })?;
    ensure!(!others_can_read, ReadableByOthersSnafu { origin, path });
    Ok(text)
}

/// What a file holds, and whether any user of this machine can read it. Asked of the opened file,
/// so nobody can swap it in between.
pub(super) fn read(path: &Path) -> io::Result<(String, bool)> {
    use std::os::unix::fs::PermissionsExt;

    let mut file = File::open(path)?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    let metadata = file.metadata()?;
    let others_can_read = metadata.is_file() && metadata.permissions().mode() & 0o004 != 0;
    Ok((text, others_can_read))
}

/// What is wrong with the configuration. Nothing was asked of any server.
#[derive(Debug, Snafu)]
#[snafu(visibility(pub(super)))]
#[allow(missing_docs)]
pub enum Error {
    #[snafu(display("{origin}: {reason}"))]
    Invalid { origin: String, reason: Masked },

    #[snafu(display("{one} and {other} contradict each other"))]
    Disagree { one: String, other: String },

    #[snafu(display("missing settings: {names}"))]
    Missing { names: String },

    #[snafu(display("cannot read '{}'", path.display()))]
    Read { path: PathBuf, source: io::Error },

    #[snafu(display(
        "'{}' holds a secret ({origin}) and every user of this machine can read it",
        path.display()
    ))]
    ReadableByOthers { origin: String, path: PathBuf },

    /// Without serde's words, which may hold a part of the file.
    #[snafu(display("'{}', line {line}: {reason}", path.display()))]
    NotJson {
        path: PathBuf,
        line: usize,
        reason: String,
    },
}

/// Words without anything that looks like a token's secret. Whole tokens end up in the wrong
/// setting, and what is said of that ends up in a mail from cron.
pub struct Masked(String);

impl<T: Into<String>> From<T> for Masked {
    fn from(words: T) -> Masked {
        const LENGTH: usize = "00000000-0000-0000-0000-000000000000".len();
        let mut words: String = words.into();
        let secret_in = |words: &str| {
            (0..words.len()).find(|start| {
                let end = start + LENGTH;
                words
                    .get(*start..end)
                    .is_some_and(|text| checked_secret(text).is_some())
            })
        };
        while let Some(start) = secret_in(&words) {
            words.replace_range(start..start + LENGTH, "(secret)");
        }
        Masked(words)
    }
}

impl fmt::Display for Masked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Masked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error {
    pub(super) fn invalid(origin: &str, reason: &str) -> Error {
        InvalidSnafu { origin, reason }.build()
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::Missing { .. } => Some(
                "set them in the environment, or without PROXMOX_ and in small letters under \
                 \"proxmox\" in the configuration file (~/.config/homelab/config.json by default)"
                    .to_owned(),
            ),
            Error::ReadableByOthers { path, .. } => Some(format!("chmod o= '{}'", path.display())),
            _ => None,
        }
    }
}
