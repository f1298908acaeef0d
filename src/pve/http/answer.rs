//! What an answer says: `data`, the server's no, or nothing that Proxmox VE would say.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::pve::http::error::{Behind, Error};
use crate::pve::http::host::Host;
use crate::pve::secret::Secret;
use crate::pve::types::{Node, TokenId};

/// Far more than Proxmox's longest words; what is longer is a stranger's.
const WORDS_AT_MOST: usize = 2000;

/// An answer as it came, without the token's secret, should it have been repeated.
pub struct Answer {
    pub status: u16,
    pub reason: String,
    pub body: String,
    /// How long the body was, in bytes.
    pub length: usize,
    /// Where it sends us instead.
    pub location: Option<String>,
    pub content_type: Option<String>,
}

/// Whose answer it is, and to whom.
pub struct Asked<'a> {
    pub host: &'a Host,
    pub path: &'a str,
    pub token: &'a TokenId,
    pub secret: &'a Secret,
}

impl Answer {
    /// The answer, unless pveproxy has it from nobody: 595 … 599.
    pub fn unless_lost(self, asked: &Asked) -> Result<Answer, Error> {
        let status = self.status;
        if !(595..=599).contains(&status) {
            return Ok(self);
        }
        let reason = excerpt(&self.reason, WORDS_AT_MOST);
        let behind = Behind {
            host: asked.host.clone(),
            node: node_of(asked.path),
        };
        Err(match status {
            595 => Error::Undelivered { behind, reason },
            _ => Error::LostBehind {
                behind,
                status,
                reason,
            },
        })
    }

    /// What `read` makes of `data`; it says what it expected if it can make nothing of it.
    pub fn data<T>(
        &self,
        asked: &Asked,
        read: impl FnOnce(&RawValue) -> Result<T, String>,
    ) -> Result<T, Error> {
        if self.status != 200 {
            return Err(self.refusal(asked));
        }
        let data = self.envelope(asked)?;
        read(data).map_err(|expected| self.unexpected(data.get(), &expected, asked))
    }

    /// The rows of a list of guests.
    pub fn rows(&self, asked: &Asked) -> Result<Vec<&RawValue>, Error> {
        if self.status == 200
            && self.is_object()
            && let Ok(rows) = self.parsed()
        {
            return Ok(rows);
        }
        self.data(asked, |_| Err("a list of guests".to_owned()))
    }

    /// What an answer that is not 200 says.
    pub fn refusal(&self, asked: &Asked) -> Error {
        match (self.status, self.body.as_str()) {
            (401, "") => self.refused(&self.reason, asked),
            (400 | 401 | 403 | 500 | 501, body) => match serde_json::from_str(body) {
                Ok(refusal) => self.refused(&words_of(&refusal, &self.reason), asked),
                Err(_) => self.not_proxmox(asked),
            },
            _ => self.not_proxmox(asked),
        }
    }

    fn envelope(&self, asked: &Asked) -> Result<&RawValue, Error> {
        if !self.is_object() {
            return Err(self.not_proxmox(asked));
        }
        self.parsed().map_err(|error| {
            if is_cut(&error, &self.body) {
                breaks_off(asked)
            } else {
                self.no_data(asked)
            }
        })
    }

    /// The value of `data`.
    fn parsed<'a, T: Deserialize<'a>>(&'a self) -> serde_json::Result<T> {
        let Envelope { data } = serde_json::from_str(&self.body)?;
        Ok(data)
    }

    fn is_object(&self) -> bool {
        self.body.trim_start().starts_with('{')
    }

    fn refused(&self, words: &str, asked: &Asked) -> Error {
        // Once more, for JSON has more than one way to write it; and before half of it is cut off.
        let words = asked.secret.masked_in(words.to_owned());
        Error::Refused {
            status: self.status,
            words: excerpt(&words, WORDS_AT_MOST),
            token: asked.token.clone(),
        }
    }

    fn not_proxmox(&self, asked: &Asked) -> Error {
        let more = match (&self.location, &self.content_type) {
            (Some(elsewhere), _) => format!(", to {}", excerpt(elsewhere, 200)),
            (None, Some(kind)) => format!(", {}", kind.split(';').next().unwrap_or(kind)),
            (None, None) => String::new(),
        };
        let reason = excerpt(&self.reason, 200);
        self.unusable(asked, format!("{} {reason}{more}", self.status))
    }

    fn no_data(&self, asked: &Asked) -> Error {
        self.unusable(asked, "JSON without the 'data' of every answer".to_owned())
    }

    fn unexpected(&self, got: &str, expected: &str, asked: &Asked) -> Error {
        let got = excerpt(&asked.secret.masked_in(got.to_owned()), 60);
        self.unusable(asked, format!("'{got}' where {expected} was expected"))
    }

    fn unusable(&self, asked: &Asked, what: String) -> Error {
        Error::Unusable {
            host: asked.host.clone(),
            status: self.status,
            what,
        }
    }
}

/// Whether the parser ran out of input. It reports a truncated number as a syntax error at the end.
fn is_cut(error: &serde_json::Error, body: &str) -> bool {
    let last_line = body.rsplit('\n').next().unwrap_or_default();
    let is_at_the_end = error.column() == last_line.len();
    error.is_eof() || is_at_the_end && body.ends_with(['.', '-', '+', 'e', 'E'])
}

fn breaks_off(asked: &Asked) -> Error {
    Error::NoAnswer {
        host: asked.host.clone(),
        cause: "it breaks off".to_owned(),
        cut_short: false,
    }
}

/// What every answer of Proxmox looks like.
#[derive(Deserialize)]
struct Envelope<T> {
    data: T,
}

/// And every no.
#[derive(Deserialize)]
struct Refusal<'a> {
    #[serde(borrow, rename = "data")]
    _data: &'a RawValue,
    #[serde(default)]
    message: Value,
    #[serde(default)]
    errors: Value,
}

/// The server's words: `message`, or before Proxmox VE 8.4 the reason phrase, and what `errors`
/// says of single parameters.
fn words_of(refusal: &Refusal, reason: &str) -> String {
    let message = match &refusal.message {
        Value::String(text) => text.trim(),
        _ => reason,
    };
    let Value::Object(errors) = &refusal.errors else {
        return message.to_owned();
    };
    let each: Vec<String> = errors
        .iter()
        .map(|(parameter, text)| {
            let text = text
                .as_str()
                .map_or_else(|| text.to_string(), str::to_owned);
            let lines: Vec<&str> = text.lines().map(str::trim).collect();
            format!(
                "{parameter}: {}",
                lines.join(", ").trim_end_matches([',', ' '])
            )
        })
        .collect();
    format!("{message} {}", each.join("; "))
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
