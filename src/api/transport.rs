//! One request, one envelope.
//!
//! Besides `tls.rs` the only file that touches ureq's unversioned API, for two things that ureq
//! does not tell: the reason phrase, which alone carries the server's words on some answers, and
//! whether anything of a failed request has left this machine.

use std::cell::Cell;
use std::fmt;
use std::io::ErrorKind;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use snafu::{ResultExt, Snafu};
use ureq::http::{Response, header};
use ureq::typestate::{WithBody, WithoutBody};
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, NextTimeout, TcpConnector, Transport as UreqTransport,
};
use ureq::{Agent, Body, RequestBuilder};

use super::host::Host;
use super::tls::{self, Tls, Trust};
use super::types::{Secret, Token};

/// pveproxy drops idle connections after 5 s; one that is nearly that old may be gone already.
const IDLE_AT_MOST: Duration = Duration::from_secs(4);
/// A POST on a connection that the server is just closing looks like a lost answer, so one that
/// has been idle for longer than this is not used for it.
const IDLE_BEFORE_A_CHANGE: Duration = Duration::from_secs(1);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// 700 times what 1,000 guests need; only there so that a stranger's endless answer ends.
const BODY_AT_MOST: u64 = 256 << 20;

/// `text` as one segment of a path or one value of a form or query.
///
/// Proxmox's form parser splits at `;` too and cuts a value at a second `=`, so everything is
/// escaped but what never needs to be.
pub(super) fn escaped(text: &str) -> String {
    let escape = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(escape).collect()
}

/// Sends requests to one server and reads the `{"data": …}` of its answers.
pub(super) struct Transport {
    agent: Agent,
    host: Host,
    /// `USER@REALM!TOKENID`
    identity: String,
    authorization: Secret,
    request_timeout: Duration,
    deadline: Option<Instant>,
    wire: Wire,
    met: Cell<Met>,
}

/// How far the server and we have got to know each other.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Met {
    /// It has not answered yet as Proxmox VE does.
    NotYet,
    /// It has answered.
    Answered,
    /// It has accepted the token.
    Accepted,
}

impl Transport {
    pub(super) fn new(
        host: Host,
        token: &Token,
        trust: &Trust,
        request_timeout: Duration,
        deadline: Option<Instant>,
    ) -> Result<Transport, Error> {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .https_only(host.tls())
            .max_redirects(0)
            .proxy(None)
            .max_idle_age(IDLE_AT_MOST)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .user_agent(concat!("homelab/", env!("CARGO_PKG_VERSION")))
            .build();
        let wire = Wire::default();
        let tcp = ().chain(TcpConnector::default());
        let agent = if host.tls() {
            let tls = Tls::new(trust).context(TlsSnafu)?;
            Agent::with_parts(
                config,
                tcp.chain(tls).chain(wire.clone()),
                DefaultResolver::default(),
            )
        } else {
            Agent::with_parts(config, tcp.chain(wire.clone()), DefaultResolver::default())
        };
        Ok(Transport {
            agent,
            host,
            identity: token.identity(),
            authorization: token.header(),
            request_timeout,
            deadline,
            wire,
            met: Cell::new(Met::NotYet),
        })
    }

    /// The best there was since the beginning.
    pub(super) fn met(&self) -> Met {
        self.met.get()
    }

    /// `GET path`; `read` makes the result of the answer's `data`, or says what it expected.
    pub(super) fn get<T>(
        &self,
        path: &str,
        read: impl FnOnce(&RawValue) -> Result<T, String>,
    ) -> Result<T, Error> {
        let limit = self.time_for_a_request()?;
        let request: RequestBuilder<WithoutBody> = self.agent.get(self.url(path));
        let request = request
            .header(header::AUTHORIZATION, self.authorization.expose())
            .config()
            .timeout_global(Some(limit))
            .build();
        self.remember(self.receive(limit, || request.call(), read))
    }

    /// `POST path` with a form; `read` as for [`Transport::get`].
    pub(super) fn post<T>(
        &self,
        path: &str,
        form: &[(&str, &str)],
        read: impl FnOnce(&RawValue) -> Result<T, String>,
    ) -> Result<T, Error> {
        let pairs: Vec<String> = form
            .iter()
            .map(|(key, value)| format!("{key}={}", escaped(value)))
            .collect();
        let limit = self.time_for_a_request()?;
        let request: RequestBuilder<WithBody> = self.agent.post(self.url(path));
        let request = request
            .header(header::AUTHORIZATION, self.authorization.expose())
            .content_type("application/x-www-form-urlencoded")
            .config()
            .timeout_global(Some(limit))
            .max_idle_age(IDLE_BEFORE_A_CHANGE)
            .build();
        self.remember(self.receive(limit, || request.send(pairs.join("&")), read))
    }

    fn remember<T>(&self, answer: Result<T, Error>) -> Result<T, Error> {
        let met = match &answer {
            Ok(_) => Met::Accepted,
            Err(Error::Refused { status, .. }) if *status != 401 => Met::Accepted,
            Err(Error::Refused { .. } | Error::Undelivered { .. } | Error::LostBehind { .. }) => {
                Met::Answered
            }
            Err(_) => Met::NotYet,
        };
        self.met.set(self.met.get().max(met));
        answer
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.host.base_url())
    }

    /// No request outlives the run's deadline.
    fn time_for_a_request(&self) -> Result<Duration, Error> {
        let left = self
            .deadline
            .map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let limit = left.map_or(self.request_timeout, |left| left.min(self.request_timeout));
        if limit.is_zero() {
            return NoTimeLeftSnafu.fail();
        }
        Ok(limit)
    }

    fn receive<T>(
        &self,
        limit: Duration,
        send: impl FnOnce() -> Result<Response<Body>, ureq::Error>,
        read: impl FnOnce(&RawValue) -> Result<T, String>,
    ) -> Result<T, Error> {
        self.wire.before_a_request();
        let mut response = send().map_err(|error| self.failure(&error, limit))?;
        let body = response
            .body_mut()
            .with_config()
            .limit(BODY_AT_MOST)
            .read_to_vec()
            .map_err(|error| self.failure(&error, limit))?;
        // One bad byte, in the name of one guest, must not hide the others.
        let body = String::from_utf8_lossy(&body);
        let status = response.status().as_u16();
        let reason = self.wire.reason();
        match (status, &*body) {
            (200, body) => self.data_of(body, &response, read),
            (401, "") => {
                let words = format!("{reason} (as {})", self.identity);
                RefusedSnafu { status, words }.fail()
            }
            (400 | 401 | 403 | 500 | 501, body) => match serde_json::from_str(body) {
                Ok(envelope) => {
                    let words = words_of(&envelope, reason);
                    RefusedSnafu { status, words }.fail()
                }
                Err(_) => self.not_proxmox(status, &reason, &response),
            },
            (595, _) => UndeliveredSnafu { reason }.fail(),
            (596..=599, _) => LostBehindSnafu { status, reason }.fail(),
            _ => self.not_proxmox(status, &reason, &response),
        }
    }

    fn data_of<T>(
        &self,
        body: &str,
        response: &Response<Body>,
        read: impl FnOnce(&RawValue) -> Result<T, String>,
    ) -> Result<T, Error> {
        let envelope: Envelope = match serde_json::from_str(body) {
            Ok(envelope) => envelope,
            Err(error) if error.is_eof() && !body.is_empty() => {
                return Err(Error::NoAnswer {
                    host: self.host.clone(),
                    cause: "it breaks off".to_owned(),
                    cut_short: false,
                });
            }
            Err(_) if body.trim_start().starts_with('{') => {
                return self.unusable(200, "JSON without the 'data' of every answer".to_owned());
            }
            Err(_) => return self.not_proxmox(200, "OK", response),
        };
        read(envelope.data).or_else(|expected| {
            let got = excerpt(envelope.data.get());
            self.unusable(200, format!("'{got}' where {expected} was expected"))
        })
    }

    fn not_proxmox<T>(
        &self,
        status: u16,
        reason: &str,
        response: &Response<Body>,
    ) -> Result<T, Error> {
        let text_of = |name| {
            let value = response.headers().get(name)?.to_str().ok()?;
            Some(value.to_owned())
        };
        let more = match (text_of(header::LOCATION), text_of(header::CONTENT_TYPE)) {
            (Some(elsewhere), _) => format!(", to {elsewhere}"),
            (None, Some(kind)) => format!(", {}", kind.split(';').next().unwrap_or(&kind)),
            (None, None) => String::new(),
        };
        self.unusable(status, format!("{status} {reason}{more}"))
    }

    fn unusable<T>(&self, status: u16, what: String) -> Result<T, Error> {
        let host = self.host.clone();
        UnusableSnafu { host, status, what }.fail()
    }

    fn failure(&self, error: &ureq::Error, limit: Duration) -> Error {
        let host = self.host.clone();
        let sent = self.wire.sent();
        match error {
            ureq::Error::Protocol(_) | ureq::Error::LargeResponseHeader(..) if sent => {
                let what = "something that is not HTTP".to_owned();
                let status = 0_u16;
                return UnusableSnafu { host, status, what }.build();
            }
            ureq::Error::BodyExceedsLimit(_) => {
                let what = format!("more than {} MiB", BODY_AT_MOST >> 20);
                let status = 200_u16;
                return UnusableSnafu { host, status, what }.build();
            }
            _ => {}
        }
        if sent {
            let cause = match error {
                ureq::Error::Timeout(_) => format!("nothing whole came within {}", seconds(limit)),
                error if is_cut(error) => "the connection was cut".to_owned(),
                other => other.to_string(),
            };
            let cut_short =
                matches!(error, ureq::Error::Timeout(_)) && limit < self.request_timeout;
            return Error::NoAnswer {
                host,
                cause,
                cut_short,
            };
        }
        if let Some(failure) = tls::handshake_failure(error) {
            let cause = tls::in_words(&failure);
            return match failure {
                rustls::Error::InvalidCertificate(_) => UntrustedSnafu { host, cause }.build(),
                _ => UnreachableSnafu { host, cause }.build(),
            };
        }
        let is_cut_short = limit < self.request_timeout.min(CONNECT_TIMEOUT);
        let cause = match error {
            ureq::Error::Timeout(_) if is_cut_short => return NoTimeLeftSnafu.build(),
            ureq::Error::Timeout(_) => {
                format!(
                    "no connection within {}",
                    seconds(limit.min(CONNECT_TIMEOUT))
                )
            }
            error if is_cut(error) && self.host.tls() => {
                "it cut the connection instead of speaking TLS".to_owned()
            }
            ureq::Error::Io(error) => error.to_string(),
            other => other.to_string(),
        };
        UnreachableSnafu { host, cause }.build()
    }
}

fn is_cut(error: &ureq::Error) -> bool {
    use ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};

    let ureq::Error::Io(error) = error else {
        return false;
    };
    matches!(error.kind(), UnexpectedEof | ConnectionReset | BrokenPipe)
}

/// What every answer of Proxmox looks like.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    data: &'a RawValue,
    #[serde(default)]
    message: Value,
    #[serde(default)]
    errors: Value,
}

/// The server's words: `message`, or before Proxmox VE 8.4 the reason phrase, and what `errors`
/// says of single parameters.
fn words_of(envelope: &Envelope, reason: String) -> String {
    let message = match &envelope.message {
        Value::String(text) => text.trim().to_owned(),
        _ => reason,
    };
    let Value::Object(errors) = &envelope.errors else {
        return message;
    };
    let each: Vec<String> = errors
        .iter()
        .map(|(parameter, text)| {
            let text = text
                .as_str()
                .map_or_else(|| text.to_string(), str::to_owned);
            format!("{parameter}: {}", text.trim())
        })
        .collect();
    format!("{message} {}", each.join("; "))
}

fn seconds(time: Duration) -> String {
    let tenths = (time.as_secs_f64() * 10.0).round();
    format!("{} s", tenths / 10.0)
}

fn excerpt(json: &str) -> String {
    const LONG_ENOUGH: usize = 60;
    if json.chars().count() <= LONG_ENOUGH {
        return json.to_owned();
    }
    json.chars().take(LONG_ENOUGH).chain(['…']).collect()
}

/// Watches the connection: what goes out, and the status line that comes in.
#[derive(Clone, Default)]
struct Wire(Arc<Mutex<Exchange>>);

#[derive(Default)]
struct Exchange {
    sent: bool,
    reason: Option<String>,
}

impl Wire {
    fn before_a_request(&self) {
        *self.exchange() = Exchange::default();
    }

    /// Whether the first byte of the request may have left this machine.
    fn sent(&self) -> bool {
        self.exchange().sent
    }

    fn reason(&self) -> String {
        self.exchange().reason.clone().unwrap_or_default()
    }

    fn exchange(&self) -> MutexGuard<'_, Exchange> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<In: UreqTransport> Connector<In> for Wire {
    type Out = Watched<In>;

    fn connect(
        &self,
        _details: &ConnectionDetails,
        chained: Option<In>,
    ) -> Result<Option<Watched<In>>, ureq::Error> {
        Ok(chained.map(|inner| Watched {
            inner,
            wire: self.clone(),
        }))
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wire")
    }
}

#[derive(Debug)]
struct Watched<In> {
    inner: In,
    wire: Wire,
}

impl<In: UreqTransport> UreqTransport for Watched<In> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        self.wire.exchange().sent = true;
        self.inner.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        let progress = self.inner.await_input(timeout)?;
        let mut exchange = self.wire.exchange();
        if exchange.reason.is_none() {
            exchange.reason = reason_phrase(self.inner.buffers().input());
        }
        Ok(progress)
    }

    fn is_open(&mut self) -> bool {
        self.inner.is_open()
    }

    fn is_tls(&self) -> bool {
        self.inner.is_tls()
    }
}

/// The reason phrase of the answer that begins here, once its first line is complete. `None` for
/// an interim answer (1xx), which another one follows.
fn reason_phrase(input: &[u8]) -> Option<String> {
    let end = input.windows(2).position(|pair| pair == b"\r\n")?;
    let line = String::from_utf8_lossy(&input[..end]);
    let mut parts = line.splitn(3, ' ').skip(1);
    let is_interim = parts.next().is_some_and(|status| status.starts_with('1'));
    (!is_interim).then(|| parts.next().unwrap_or_default().trim().to_owned())
}

/// What became of a request.
#[derive(Debug, Snafu)]
#[snafu(visibility(pub(super)))]
#[allow(missing_docs)]
pub enum Error {
    #[snafu(display("cannot speak TLS"))]
    Tls { source: tls::Error },

    /// The run's deadline came before the request could be sent.
    #[snafu(display("no time was left to ask"))]
    NoTimeLeft,

    /// Nothing of the request has left this machine.
    #[snafu(display("cannot reach {host}: {cause}"))]
    Unreachable { host: Host, cause: String },

    /// The server could not show that it is who it claims to be. Nothing was sent to it.
    #[snafu(display("cannot trust {host}: {cause}"))]
    Untrusted { host: Host, cause: String },

    /// 595: pveproxy could not hand the request on to the daemon or node it was for.
    #[snafu(display("595 {reason}"))]
    Undelivered { reason: String },

    /// 596 … 599: pveproxy handed the request on and got no answer back.
    #[snafu(display("{status} {reason}"))]
    LostBehind { status: u16, reason: String },

    /// The request, or a part of it, was sent, and no answer came back whole.
    #[snafu(display("no answer from {host}: {cause}"))]
    NoAnswer {
        host: Host,
        cause: String,
        /// Whether the run's deadline left less time than a request may take.
        cut_short: bool,
    },

    /// An answer that does not say what became of the request. The status is 0 if there was none.
    #[snafu(display("{host} did not answer as Proxmox VE does: {what}"))]
    Unusable {
        host: Host,
        status: u16,
        what: String,
    },

    /// The server's clear no, in its own words.
    #[snafu(display("{}{words}", if *status == 401 { "401 " } else { "" }))]
    Refused { status: u16, words: String },
}

impl Error {
    /// What the server did with the request.
    pub fn delivery(&self) -> Delivery {
        match self {
            Error::Tls { .. }
            | Error::NoTimeLeft
            | Error::Unreachable { .. }
            | Error::Untrusted { .. }
            | Error::Undelivered { .. } => Delivery::NotDelivered,
            Error::Refused { .. } => Delivery::Refused,
            Error::LostBehind { .. } | Error::NoAnswer { .. } | Error::Unusable { .. } => {
                Delivery::Unknown
            }
        }
    }
}

/// What the server did with a request that did not succeed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Delivery {
    /// It never got it.
    NotDelivered,
    /// It said no.
    Refused,
    /// Nobody knows.
    Unknown,
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::plain("web-1_a.b~c", "web-1_a.b~c")]
    #[case::upid("UPID:pve1:root@pam!cli:", "UPID%3Apve1%3Aroot%40pam%21cli%3A")]
    #[case::what_a_form_splits_at("a=b&c;d", "a%3Db%26c%3Bd")]
    #[case::space_is_no_plus("a b+c", "a%20b%2Bc")]
    #[case::path("../x/y?z#", "..%2Fx%2Fy%3Fz%23")]
    #[case::beyond_ascii("é", "%C3%A9")]
    fn everything_that_could_mean_something_is_escaped(#[case] text: &str, #[case] sent: &str) {
        assert_eq!(escaped(text), sent);
    }

    #[rstest]
    #[case::whole("HTTP/1.1 595 No route to host\r\nServer: x", Some("No route to host"))]
    #[case::empty("HTTP/1.1 200 \r\n", Some(""))]
    #[case::absent("HTTP/1.1 200\r\n", Some(""))]
    #[case::another_answer_follows("HTTP/1.1 102 Processing\r\n\r\n", None)]
    #[case::line_is_not_complete_yet("HTTP/1.1 500 VM is lo", None)]
    fn the_reason_phrase_is_read_off_the_wire(#[case] input: &str, #[case] reason: Option<&str>) {
        assert_eq!(reason_phrase(input.as_bytes()).as_deref(), reason);
    }
}
