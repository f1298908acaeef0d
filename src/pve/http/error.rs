//! How requests fail.

use std::mem;

use snafu::Snafu;

use crate::pve::http::host::Host;
use crate::pve::http::proxy::Proxy;
use crate::pve::tls::certificate::Fingerprint;
use crate::pve::tls::distrust::{Distrust, VERIFIABLE_KEYS};
use crate::pve::tls::{self, Trust};
use crate::pve::types::{Node, TokenId};

/// How a request failed.
#[derive(Debug, Snafu)]
#[allow(missing_docs)]
pub enum Error {
    #[snafu(transparent)]
    Tls { source: tls::Error },

    /// The run's deadline passed before the request could be sent. `tried` is the host that did not
    /// answer in time, and how.
    #[snafu(display("{}", match tried {
        Some((host, message)) => format!("cannot reach {host}: {message}"),
        None => "no time was left to ask".to_owned(),
    }))]
    NoTimeLeft { tried: Option<(Host, String)> },

    /// Nothing of the request has left this machine.
    #[snafu(display("{}", match why {
        Unreached::Name { message } => format!("cannot resolve {}: {message}", host.name()),
        why => format!("cannot reach {host}: {why}"),
    }))]
    Unreachable { host: Host, why: Unreached },

    /// The server could not prove its identity. Nothing was sent to it.
    #[snafu(display("cannot trust {host}: {}", presented(distrust, *fingerprint)))]
    Untrusted {
        host: Host,
        /// The rule that its certificate does not satisfy.
        trust: Trust,
        distrust: Distrust,
        fingerprint: Fingerprint,
    },

    /// None of several hosts received the request.
    #[snafu(display("none of the hosts can be used: {}", listed(each)))]
    NoneReached { each: Vec<Error> },

    /// 595: pveproxy could not forward the request to its daemon or node.
    #[snafu(display("595 {reason}"))]
    Undelivered { behind: Behind, reason: String },

    /// 596 … 599: pveproxy forwarded the request and received no answer.
    #[snafu(display("{status} {reason}"))]
    LostBehind {
        behind: Behind,
        status: u16,
        reason: String,
    },

    /// The request, or a part of it, was sent, and no complete answer was received.
    #[snafu(display("no answer from {host}: {cause}"))]
    NoAnswer {
        host: Host,
        cause: String,
        /// Whether the run's deadline left less time than a request may take.
        cut_short: bool,
    },

    /// The answer does not say whether the request was carried out. `status` is 0 if there was none.
    #[snafu(display("{host} did not answer as Proxmox VE does: {what}"))]
    Unusable {
        host: Host,
        status: u16,
        what: String,
    },

    /// Proxmox VE answered something else than this program expects of it.
    #[snafu(display("{host} answered {what}"))]
    Unexpected { host: Host, what: String },

    /// Nodes without quorum refused a change; nothing was changed.
    #[snafu(display("the cluster has no quorum (asked {}): {message}", listed_hosts(asked)))]
    NoQuorum {
        /// The hosts that refused it, the last one last.
        asked: Vec<Host>,
        message: String,
        /// Whether the next request goes to a host that has not refused a change so far. That one may
        /// know of guests that the others have not heard of.
        is_another_left: bool,
    },

    /// The server refused the request, for this reason.
    #[snafu(display("{}", if *status == 401 {
        format!("401 {message} (as {token})")
    } else {
        message.clone()
    }))]
    Refused {
        status: u16,
        message: String,
        /// Who was refused.
        token: TokenId,
    },
}

fn presented(distrust: &Distrust, fingerprint: Fingerprint) -> String {
    format!("{distrust}; the fingerprint it presents is {fingerprint}")
}

fn listed(each: &[Error]) -> String {
    let each: Vec<String> = each.iter().map(Error::with_host).collect();
    each.join("; ")
}

fn listed_hosts(hosts: &[Host]) -> String {
    let hosts: Vec<String> = hosts.iter().map(Host::to_string).collect();
    hosts.join(", ")
}

/// Whether a node says in these message that it changes nothing because it has lost the quorum. The
/// configurations of guests cannot be written then.
pub fn is_no_quorum(message: &str) -> bool {
    let is_read_only = message.contains("unable to open file '/etc/pve/");
    message.contains("no quorum") || is_read_only && message.contains("Permission denied")
}

/// Why nothing was sent.
#[derive(Clone, PartialEq, Eq, Debug, Snafu)]
#[allow(missing_docs)]
pub enum Unreached {
    #[snafu(display("cannot be resolved: {message}"))]
    Name { message: String },

    /// http:// is for loopback only, and the name resolved to another machine.
    #[snafu(display(
        "its address is not one of this machine, and http:// would send the token in clear"
    ))]
    NotLoopback,

    #[snafu(display("{message}"))]
    Connection { message: String },

    #[snafu(display("proxy {proxy} ({}): {message}", proxy.origin()))]
    Proxy { proxy: Proxy, message: String },

    #[snafu(display("the server there does not speak TLS"))]
    NotTls,

    #[snafu(display("it closed the connection instead of speaking TLS"))]
    CutInTls,

    /// It presents no certificate then, so that nothing more is known.
    #[snafu(display(
        "the TLS handshake failed: server and client have no kind of key or cipher in common; this program \
         can verify {VERIFIABLE_KEYS}"
    ))]
    NothingInCommon,

    #[snafu(display("the TLS handshake failed: {message}"))]
    Handshake { message: String },
}

/// Where pveproxy wanted to forward a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Behind {
    /// The host that was asked.
    pub host: Host,
    /// The node in the request's path, if there is one.
    pub node: Option<Node>,
}

impl Error {
    /// The message for when several hosts may have been asked.
    pub fn with_host(&self) -> String {
        match self {
            // The other messages contain their host.
            Error::Undelivered { behind, .. } => format!("{} says {self}", behind.host),
            Error::NoQuorum { asked, message, .. } if let Some(host) = asked.last() => {
                format!("{host} has no quorum: {message}")
            }
            error => error.to_string(),
        }
    }

    /// The message for when the host is known from the context.
    pub fn without_host(&self) -> String {
        match self {
            Error::Unreachable { why, .. } => why.to_string(),
            Error::Untrusted {
                distrust,
                fingerprint,
                ..
            } => presented(distrust, *fingerprint),
            Error::NoAnswer { cause, .. } => format!("no answer: {cause}"),
            Error::Unusable { what, .. } => format!("it is not Proxmox VE's: {what}"),
            error => error.to_string(),
        }
    }

    /// This error with the server's message replaced.
    pub fn map_message(mut self, map: impl Fn(String) -> String) -> Error {
        if let Error::Refused { message, .. }
        | Error::NoQuorum { message, .. }
        | Error::Unusable { what: message, .. }
        | Error::Unexpected { what: message, .. } = &mut self
        {
            *message = map(mem::take(message));
        }
        self
    }

    /// Whether the host's name could not be resolved to an address that may be asked.
    pub fn is_lookup_failed(&self) -> bool {
        let Error::Unreachable { why, .. } = self else {
            return false;
        };
        matches!(why, Unreached::Name { .. } | Unreached::NotLoopback)
    }

    /// Whether the server received the request.
    pub fn delivery(&self) -> Delivery {
        let is_unknown = |error: &Error| error.delivery() == Delivery::Unknown;
        match self {
            Error::Refused { .. } | Error::NoQuorum { .. } => Delivery::Refused,
            Error::NoneReached { each } if each.iter().any(is_unknown) => Delivery::Unknown,
            Error::Tls { .. }
            | Error::NoTimeLeft { .. }
            | Error::Unreachable { .. }
            | Error::Untrusted { .. }
            | Error::NoneReached { .. }
            | Error::Undelivered { .. } => Delivery::NotDelivered,
            Error::LostBehind { .. }
            | Error::NoAnswer { .. }
            | Error::Unusable { .. }
            | Error::Unexpected { .. } => Delivery::Unknown,
        }
    }
}

/// Whether the server received a request that failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Delivery {
    /// It did not receive it.
    NotDelivered,
    /// It received and refused it.
    Refused,
    /// Unknown.
    Unknown,
}
