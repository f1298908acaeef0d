//! Interprets an answer: `data`, a refusal, or an answer that is not from Proxmox VE.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::pve::http::error::{Error, Upstream};
use crate::pve::http::host::Host;
use crate::pve::types::{Node, Token};

/// Far longer than any message of Proxmox VE; a longer one comes from another server.
const MAX_MESSAGE_CHARS: usize = 2000;

/// An answer as received, with the token's secret masked.
pub struct Answer<'a> {
    /// The host that answered.
    pub host: &'a Host,
    /// The token of the request.
    pub token: &'a Token,
    pub status: u16,
    pub reason: String,
    pub body: String,
    /// The length of the received body, in bytes.
    pub length: usize,
    /// The target of a redirect.
    pub location: Option<String>,
    pub content_type: Option<String>,
}

impl Answer<'_> {
    /// The answer, or an error if pveproxy could not get one: status 595 to 599.
    pub fn unless_lost(self, path: &str) -> Result<Self, Error> {
        let status = self.status;
        if !(595..=599).contains(&status) {
            return Ok(self);
        }
        let reason = excerpt(&self.reason, MAX_MESSAGE_CHARS);
        let (host, node) = (self.host.clone(), node_of(path));
        let upstream = Upstream { host, node };
        Err(match status {
            595 => Error::Undelivered { upstream, reason },
            _ => Error::UpstreamLost {
                upstream,
                status,
                reason,
            },
        })
    }

    /// The result of `read` for `data`, or an error with what it expected.
    pub fn data<T>(
        &self,
        read: impl FnOnce(&RawValue) -> Result<T, &'static str>,
    ) -> Result<T, Error> {
        if self.status != 200 {
            return Err(self.refusal());
        }
        if !self.is_object() {
            return Err(self.not_proxmox());
        }
        let Envelope { data, .. } =
            serde_json::from_str(&self.body).map_err(|error| self.without_data(&error))?;
        read(data).map_err(|expected| {
            let got = self.token.secret.masked_in(data.get().to_owned());
            let got = excerpt(&got, 60);
            let host = self.host.clone();
            let what = format!("'{got}' instead of {expected}");
            Error::Unexpected { host, what }
        })
    }

    /// The rows of a list of guests. The list may be long, so it is parsed only once.
    pub fn rows(&self) -> Result<Vec<&RawValue>, Error> {
        match serde_json::from_str(&self.body) {
            Ok(Rows { data }) if self.status == 200 && self.is_object() => Ok(data),
            _ => self.data(|_| Err("a list of guests")),
        }
    }

    fn is_object(&self) -> bool {
        self.body.trim_start().starts_with('{')
    }

    /// The error for a status other than 200.
    fn refusal(&self) -> Error {
        let message = match (self.status, serde_json::from_str(&self.body)) {
            (401, _) if self.body.is_empty() => self.reason.clone(),
            (400 | 401 | 403 | 500 | 501, Ok(refusal)) => message_of(&refusal, &self.reason),
            _ => return self.not_proxmox(),
        };
        // Masked again, because JSON may have escaped the secret; and before it is truncated.
        let message = self.token.secret.masked_in(message);
        Error::Refused {
            status: self.status,
            message: excerpt(&message, MAX_MESSAGE_CHARS),
            token: self.token.id.clone(),
        }
    }

    fn not_proxmox(&self) -> Error {
        let more = match (&self.location, &self.content_type) {
            (Some(elsewhere), _) => format!(", to {}", excerpt(elsewhere, 200)),
            (None, Some(kind)) => format!(", {}", kind.split(';').next().unwrap_or(kind)),
            (None, None) => String::new(),
        };
        let reason = excerpt(&self.reason, 200);
        self.unusable(format!("{} {reason}{more}", self.status))
    }

    /// The error for an object whose `data` could not be parsed.
    fn without_data(&self, error: &serde_json::Error) -> Error {
        if is_truncated(error, &self.body) {
            return Error::NoAnswer {
                host: self.host.clone(),
                cause: "the response is truncated".to_owned(),
                cut_short: false,
            };
        }
        self.unusable("JSON without 'data'".to_owned())
    }

    fn unusable(&self, what: String) -> Error {
        Error::Unusable {
            host: self.host.clone(),
            status: self.status,
            what,
        }
    }
}

/// Whether the parser ran out of input. It reports a truncated number as a syntax error.
fn is_truncated(error: &serde_json::Error, body: &str) -> bool {
    let last_line = body.rsplit('\n').next().unwrap_or_default();
    let is_at_the_end = error.column() == last_line.len();
    error.is_eof() || is_at_the_end && body.ends_with(['.', '-', '+', 'e', 'E'])
}

/// The body of a list.
#[derive(Deserialize)]
struct Rows<'a> {
    #[serde(borrow)]
    data: Vec<&'a RawValue>,
}

/// The body of every answer of Proxmox VE. Only refusals have `message` and `errors`.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    data: &'a RawValue,
    #[serde(default)]
    message: Value,
    #[serde(default)]
    errors: Value,
}

/// The server's message: `message`, or before Proxmox VE 8.4 the reason phrase, followed by `errors`, which
/// has one entry for each invalid parameter.
fn message_of(refusal: &Envelope, reason: &str) -> String {
    let message = refusal.message.as_str().map_or(reason, str::trim);
    let Value::Object(errors) = &refusal.errors else {
        return message.to_owned();
    };
    let each = errors.iter().map(|(parameter, text)| {
        let text = text
            .as_str()
            .map_or_else(|| text.to_string(), str::to_owned);
        let lines = text.lines().map(str::trim).collect::<Vec<_>>().join(", ");
        format!("{parameter}: {}", lines.trim_end_matches([',', ' ']))
    });
    format!("{message} {}", each.collect::<Vec<_>>().join("; "))
}

/// The node in `/nodes/{node}/…`.
fn node_of(path: &str) -> Option<Node> {
    let rest = path.strip_prefix("/nodes/")?;
    let node = rest.split(['/', '?']).next()?;
    Some(Node(node.to_owned()))
}

fn excerpt(text: &str, at_most: usize) -> String {
    match text.char_indices().nth(at_most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
