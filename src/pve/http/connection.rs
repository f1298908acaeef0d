//! Sends requests to one host, one at a time, and classifies failures.

use std::cell::OnceCell;
use std::io::ErrorKind;
use std::time::Duration;

use rustls::AlertDescription;
use ureq::http::{self, Method, Response, header};
use ureq::unversioned::transport::Connector;
use ureq::{Agent, AsSendBody, Body, Timeout};

use crate::pve::http::answer::Answer;
use crate::pve::http::dial::Dialer;
use crate::pve::http::error::{Error, Unreached};
use crate::pve::http::host::Host;
use crate::pve::http::proxy::Proxy;
use crate::pve::tls::certificate::Fingerprint;
use crate::pve::tls::{self, Tls, Trust};
use crate::pve::trace::{Lookup, Trace, Traced};
use crate::pve::types::Token;

/// pveproxy closes idle connections after 5 s; one that is nearly that old may be closed already.
const MAX_IDLE: Duration = Duration::from_secs(4);
/// If the server closes the connection while a change is being sent, it is unknown whether it took
/// effect. So a change never uses a connection that was idle for longer than this.
const MAX_IDLE_FOR_CHANGE: Duration = Duration::from_secs(1);
/// The time limit for resolving the name, and another one for connecting.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Enough for 170,000 guests; limits an endless answer.
const MAX_LIST_BYTES: u64 = 64 << 20;
/// The limit for all other answers, which are far shorter.
const MAX_BODY_BYTES: u64 = 4 << 20;

/// A host, and how to connect to it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Endpoint {
    /// The host.
    pub host: Host,
    /// Which certificates to accept from it.
    pub trust: Trust,
    /// The proxy to connect through, if any.
    pub proxy: Option<Proxy>,
}

/// A request, which any host may receive.
pub struct Request<'r> {
    pub method: Method,
    pub path: &'r str,
    /// The encoded form of a change; a `DELETE` has none.
    pub form: Option<String>,
    /// Whether the answer may be long: a list of guests, or a log.
    pub is_long: bool,
}

impl Request<'_> {
    pub fn get(path: &str, is_long: bool) -> Request<'_> {
        Request {
            method: Method::GET,
            path,
            form: None,
            is_long,
        }
    }

    /// Whether it may change something. Then a lost answer leaves its outcome unknown.
    pub fn is_change(&self) -> bool {
        self.method != Method::GET
    }
}

/// The time limit for a request.
#[derive(Clone, Copy)]
pub struct Limit {
    pub time: Duration,
    /// Whether the run's deadline leaves less time than the limit for one request.
    pub is_cut_short: bool,
}

/// Sends requests to one host, one at a time.
pub struct Connection {
    pub endpoint: Endpoint,
    token: Token,
    agent: OnceCell<Agent>,
    dialer: Dialer,
    /// What is known about the last request.
    pub trace: Trace,
}

impl Connection {
    pub fn to(endpoint: Endpoint, token: Token) -> Connection {
        Connection {
            endpoint,
            token,
            agent: OnceCell::new(),
            dialer: Dialer::default(),
            trace: Trace::default(),
        }
    }

    /// A second connection to the same host, for another thread.
    pub fn duplicate(&self) -> Connection {
        Connection {
            dialer: self.dialer.clone(),
            ..Connection::to(self.endpoint.clone(), self.token.clone())
        }
    }

    /// The agent. The first call creates it and reads the CA file or the system's roots.
    pub fn agent(&self) -> Result<&Agent, Error> {
        if let Some(agent) = self.agent.get() {
            return Ok(agent);
        }
        let Endpoint { host, proxy, .. } = &self.endpoint;
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .https_only(host.tls())
            .max_redirects(0)
            .proxy(proxy.as_ref().map(Proxy::url).cloned())
            .max_idle_age(MAX_IDLE)
            .timeout_resolve(Some(CONNECT_TIMEOUT))
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .user_agent(concat!("homelab/", env!("CARGO_PKG_VERSION")))
            .build();
        let lookup = Lookup {
            trace: self.trace.clone(),
            loopback_only: !host.tls(),
        };
        let tcp = self.dialer.clone();
        let trace = self.trace.clone();
        let agent = if host.tls() {
            let tls = Tls::new(&self.endpoint.trust, trace.clone())?;
            Agent::with_parts(config, tcp.chain(tls).chain(trace), lookup)
        } else {
            Agent::with_parts(config, tcp.chain(trace), lookup)
        };
        Ok(self.agent.get_or_init(|| agent))
    }

    /// Sends a request and reads the whole answer, whatever its status.
    pub fn exchange(&self, request: &Request, limit: Limit) -> Result<Answer<'_>, Error> {
        let agent = self.agent()?;
        self.trace.reset();
        let mut response = self
            .send(agent, request, limit.time)
            .map_err(|error| self.failure(&error, limit, 0))?;
        let status = response.status().as_u16();
        let at_most = if request.is_long && status == 200 {
            MAX_LIST_BYTES
        } else {
            MAX_BODY_BYTES
        };
        let body = response.body_mut().with_config().limit(at_most);
        let bytes = body
            .read_to_vec()
            .map_err(|error| self.failure(&error, limit, status))?;
        let length = bytes.len();
        // One invalid byte must not hide the rest.
        let text = String::from_utf8(bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
        let masked = |text: String| self.token.secret.masked_in(text);
        let header = |name| {
            let value = response.headers().get(name)?.to_str().ok()?;
            Some(masked(value.to_owned()))
        };
        // Proxies may omit it.
        let reason = self.trace.lock().reason_phrase.take();
        let reason = reason.filter(|reason| !reason.is_empty());
        let usual = response.status().canonical_reason();
        let reason = reason.unwrap_or_else(|| usual.unwrap_or("no reason given").to_owned());
        Ok(Answer {
            host: &self.endpoint.host,
            token: &self.token,
            status,
            reason: masked(reason),
            body: masked(text),
            length,
            location: header(header::LOCATION),
            content_type: header(header::CONTENT_TYPE),
        })
    }

    fn send(
        &self,
        agent: &Agent,
        request: &Request,
        time: Duration,
    ) -> Result<Response<Body>, ureq::Error> {
        let url = format!("{}{}", self.endpoint.host.base_url(), request.path);
        let authorization = self.token.header();
        let max_idle = if request.is_change() {
            MAX_IDLE_FOR_CHANGE
        } else {
            MAX_IDLE
        };
        let head = http::Request::builder()
            .method(&request.method)
            .uri(url)
            .header(header::AUTHORIZATION, authorization.expose());
        match &request.form {
            None => send_body(agent, head.body(())?, time, max_idle),
            Some(form) => {
                let form_type = "application/x-www-form-urlencoded";
                let head = head.header(header::CONTENT_TYPE, form_type);
                send_body(agent, head.body(form.as_str())?, time, max_idle)
            }
        }
    }

    /// `status` is the answer's status, or 0 if none was received.
    fn failure(&self, error: &ureq::Error, limit: Limit, status: u16) -> Error {
        let traced = self.trace.lock();
        if traced.is_sent {
            self.no_answer(error, limit, status)
        } else {
            self.never_sent(error, limit, &traced)
        }
    }

    fn no_answer(&self, error: &ureq::Error, limit: Limit, status: u16) -> Error {
        let host = self.endpoint.host.clone();
        let unusable = match error {
            error if has_too_many_headers(error) => Some("endless headers".to_owned()),
            ureq::Error::Protocol(_) => Some("not HTTP".to_owned()),
            ureq::Error::BodyExceedsLimit(most) => Some(format!("more than {} MiB", most >> 20)),
            _ => None,
        };
        if let Some(what) = unusable {
            return Error::Unusable { host, status, what };
        }
        let cause = match error {
            ureq::Error::Timeout(_) => {
                format!("no complete response within {}", seconds(limit.time))
            }
            error if is_cut(error) => "the connection was cut".to_owned(),
            error => error.to_string(),
        };
        Error::NoAnswer {
            host,
            cause,
            cut_short: is_timeout(error) && limit.is_cut_short,
        }
    }

    fn never_sent(&self, error: &ureq::Error, limit: Limit, traced: &Traced) -> Error {
        let Endpoint { host, trust, proxy } = self.endpoint.clone();
        if let (Some(distrust), Some(certificate)) = (&traced.distrust, &traced.certificate) {
            return Error::Untrusted {
                host,
                trust,
                distrust: distrust.clone(),
                fingerprint: Fingerprint::of(certificate),
            };
        }
        let time = seconds(limit.time.min(CONNECT_TIMEOUT));
        let message = match error {
            ureq::Error::Timeout(Timeout::Resolve) => format!("no answer within {time}"),
            ureq::Error::Timeout(_) if traced.handshake_started => {
                format!("it accepted the connection but did not start TLS within {time}")
            }
            ureq::Error::Timeout(_) => format!("no connection within {time}"),
            ureq::Error::Io(error) => {
                let message = error.to_string();
                let message = message.strip_prefix("failed to lookup address information: ");
                message.map_or_else(|| error.to_string(), str::to_owned)
            }
            ureq::Error::ConnectProxyFailed(message) => proxy_message(message),
            other => other.to_string(),
        };
        if is_timeout(error) && limit.is_cut_short && limit.time < CONNECT_TIMEOUT {
            let tried = Some((host, message));
            return Error::NoTimeLeft { tried };
        }
        if let Some(proxy) = proxy.filter(|_| !traced.handshake_started) {
            let why = Unreached::Proxy { proxy, message };
            return Error::Unreachable { host, why };
        }
        let why = match tls::handshake_failure(error) {
            _ if !host.tls() && !traced.is_on_loopback() => Unreached::NotLoopback,
            _ if traced.lookup_failed => Unreached::Name { message },
            Some(rustls::Error::InvalidMessage(_)) => Unreached::NotTls,
            Some(rustls::Error::AlertReceived(AlertDescription::HandshakeFailure)) => {
                Unreached::NoCommonCipher
            }
            Some(_) => Unreached::Handshake { message },
            None if is_cut(error) && host.tls() => Unreached::ClosedInTls,
            None => Unreached::Connection { message },
        };
        Error::Unreachable { host, why }
    }
}

/// Turns ureq's `proxy server responded 403/403` into `it responded 403`.
fn proxy_message(message: &str) -> String {
    let message = message.split('/').next().unwrap_or(message);
    message.replace("proxy server", "it")
}

fn is_timeout(error: &ureq::Error) -> bool {
    matches!(error, ureq::Error::Timeout(_))
}

fn send_body(
    agent: &Agent,
    request: http::Request<impl AsSendBody>,
    time: Duration,
    max_idle: Duration,
) -> Result<Response<Body>, ureq::Error> {
    let config = agent.configure_request(request);
    let config = config.timeout_global(Some(time)).max_idle_age(max_idle);
    agent.run(config.build())
}

fn has_too_many_headers(error: &ureq::Error) -> bool {
    match error {
        ureq::Error::LargeResponseHeader(..) => true,
        // ureq does not export the type of this error.
        ureq::Error::Protocol(error) => error.to_string().contains("too many headers"),
        _ => false,
    }
}

fn is_cut(error: &ureq::Error) -> bool {
    use ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};

    let ureq::Error::Io(error) = error else {
        return false;
    };
    matches!(error.kind(), UnexpectedEof | ConnectionReset | BrokenPipe)
}

fn seconds(time: Duration) -> String {
    let tenths = (time.as_secs_f64() * 10.0).round();
    format!("{} s", tenths / 10.0)
}
