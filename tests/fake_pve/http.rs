//! The HTTP/1.1 that pveproxy speaks: requests in, answers out.

use std::borrow::Cow;
use std::io::{self, BufRead, Write};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;

use super::prebuilt::Prebuilt;

pub(super) const JSON: &str = "application/json;charset=UTF-8";
const API: &str = "/api2/json";

/// A request as received, not checked yet.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) method: String,
    /// Path and query as sent.
    pub(super) target: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: String,
}

impl Request {
    /// `None` if the client closed the connection.
    pub(super) fn read(wire: &mut impl BufRead) -> io::Result<Option<Self>> {
        let Some(first) = read_line(wire)? else {
            return Ok(None);
        };
        let mut parts = first.split(' ');
        let (Some(method), Some(target), Some(_version)) =
            (parts.next(), parts.next(), parts.next())
        else {
            return Err(io::Error::other(format!("no request line: {first:?}")));
        };
        let mut request = Self {
            method: method.to_owned(),
            target: target.to_owned(),
            headers: Vec::new(),
            body: String::new(),
        };
        while let Some(line) = read_line(wire)?.filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(':').unwrap_or((&line, ""));
            request
                .headers
                .push((name.to_owned(), value.trim().to_owned()));
        }
        let length = request.header("Content-Length").unwrap_or("0");
        let length = length.parse().map_err(io::Error::other)?;
        let mut body = vec![0; length];
        wire.read_exact(&mut body)?;
        request.body = String::from_utf8_lossy(&body).into_owned();
        Ok(Some(request))
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    fn split_target(&self) -> (&str, &str) {
        self.target.split_once('?').unwrap_or((&self.target, ""))
    }

    /// The path below `/api2/json`, percent-decoded.
    pub(super) fn path(&self) -> String {
        let path = self.split_target().0;
        percent_decode(path.strip_prefix(API).unwrap_or(path))
    }

    /// The parameters in the body of a POST or PUT, and those in the query, which take precedence.
    pub(super) fn parameters(&self) -> Vec<(String, String)> {
        let query = decode_form(self.split_target().1);
        let mut parameters = Vec::new();
        if matches!(&*self.method, "POST" | "PUT") {
            parameters = decode_form(&self.body);
            parameters.retain(|(name, _)| query.iter().all(|(known, _)| known != name));
        }
        parameters.extend(query);
        parameters
    }

    /// `METHOD /path?query` and, after a space, the body: what tests compare. Escapes in the body are
    /// decoded; use the parameters to see where a value ends.
    pub(super) fn journal_line(&self) -> String {
        let mut line = format!("{} {}", self.method, self.path());
        if let Some((_, query)) = self.target.split_once('?') {
            line = format!("{line}?{query}");
        }
        if !self.body.is_empty() {
            line = format!("{line} {}", percent_decode(&self.body));
        }
        line
    }
}

pub(super) fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let (_, value) = headers
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name))?;
    Some(value)
}

fn read_line(wire: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = String::new();
    if wire.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    Ok(Some(line.trim_end().to_owned()))
}

/// Proxmox VE splits at `&` and `;`, and cuts a value at a second bare `=`.
fn decode_form(form: &str) -> Vec<(String, String)> {
    form.split(['&', ';'])
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let mut halves = pair.split('=').map(|half| half.replace('+', " "));
            let mut next = || percent_decode(&halves.next().unwrap_or_default());
            (next(), next())
        })
        .collect()
}

pub(super) fn percent_decode(text: &str) -> String {
    let mut decoded = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let escaped =
            after
                .split_at_checked(2)
                .filter(|_| byte == b'%')
                .and_then(|(hex, after)| {
                    let hex = std::str::from_utf8(hex).ok()?;
                    Some((u8::from_str_radix(hex, 16).ok()?, after))
                });
        let (byte, after) = escaped.unwrap_or((byte, after));
        decoded.push(byte);
        rest = after;
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) reason: String,
    /// Without a body there is no `Content-Length` either.
    pub(super) body: Option<Body>,
    /// pveproxy forwards `Connection: close` of pvedaemon in addition to its own `Keep-Alive`.
    pub(super) proxied: bool,
    /// The contacted pveproxy received it from the pveproxy of another node.
    pub(super) through_node: bool,
    /// The delay before it is sent; other requests are answered meanwhile.
    pub(super) delay: Duration,
}

#[derive(Debug)]
pub(super) enum Body {
    Json(Value),
    Scripted { content_type: String, text: String },
    Prebuilt(Prebuilt),
}

/// How this server sends its answers.
#[derive(Clone, Copy)]
pub(super) struct SendOptions {
    pub(super) reason_only: bool,
    pub(super) gzip: bool,
    pub(super) keep_alive: bool,
}

impl Answer {
    pub(super) fn closes(&self, send_options: SendOptions) -> bool {
        self.status >= 400 || self.body.is_none() || !send_options.keep_alive
    }

    /// Writes the answer, but no more than `limit` bytes of its body.
    pub(super) fn write(
        &self,
        wire: &mut impl Write,
        send_options: SendOptions,
        limit: usize,
    ) -> io::Result<()> {
        let mut bytes = Vec::new();
        write!(
            bytes,
            "HTTP/1.1 {} {}\r\nCache-Control: max-age=0\r\n{}Pragma: no-cache\r\n\
             Server: pve-api-daemon/3.0\r\n",
            self.status,
            self.reason,
            self.connection_headers(send_options)
        )?;
        let Some(body) = &self.body else {
            bytes.extend_from_slice(b"\r\n");
            wire.write_all(&bytes)?;
            return wire.flush();
        };
        let (content_type, sent) = body.render(self.status, send_options)?;
        if send_options.gzip {
            bytes.extend_from_slice(b"Content-Encoding: gzip\r\n");
        }
        let length = sent.len();
        write!(
            bytes,
            "Content-Length: {length}\r\nContent-Type: {content_type}\r\n\r\n"
        )?;
        // In one write, so that a client that closes early cannot split it.
        bytes.extend_from_slice(&sent[..length.min(limit)]);
        wire.write_all(&bytes)?;
        wire.flush()
    }

    fn connection_headers(&self, send_options: SendOptions) -> &'static str {
        match (self.closes(send_options), self.proxied, self.through_node) {
            (true, _, _) => "Connection: close\r\n",
            (false, true, false) => "Connection: close\r\nConnection: Keep-Alive\r\n",
            (false, true, true) => "Connection: close,Keep-Alive\r\nConnection: Keep-Alive\r\n",
            (false, false, false) => "Connection: Keep-Alive\r\n",
            (false, false, true) => "Connection: Keep-Alive\r\nConnection: Keep-Alive\r\n",
        }
    }
}

impl Body {
    /// The content type, and the bytes that are sent.
    fn render(&self, status: u16, send_options: SendOptions) -> io::Result<(&str, Cow<'_, [u8]>)> {
        let (content_type, text) = match self {
            Self::Prebuilt(list) => return Ok((JSON, list.body(send_options.gzip).into())),
            Self::Scripted { content_type, text } => (content_type.as_str(), text.clone()),
            Self::Json(value) if status >= 400 && send_options.reason_only => {
                let mut value = value.clone();
                if let Some(object) = value.as_object_mut() {
                    object.remove("message");
                }
                (JSON, value.to_string())
            }
            Self::Json(value) => (JSON, value.to_string()),
        };
        if !send_options.gzip {
            return Ok((content_type, text.into_bytes().into()));
        }
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text.as_bytes())?;
        Ok((content_type, encoder.finish()?.into()))
    }
}
