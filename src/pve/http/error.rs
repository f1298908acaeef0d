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

    /// The run's deadline passed before the request could be sent. `tried` is the host that was not
    /// reached in time, and why.
    #[snafu(display("{}", match tried {
        Some((host, message)) => format!("cannot reach {host}: {message}"),
        None => "no time was left for a request".to_owned(),
    }))]
    NoTimeLeft { tried: Option<(Host, String)> },

    /// No part of the request left this machine.
    #[snafu(display("{}", match why {
        Unreached::Name { message } => format!("cannot resolve {}: {message}", host.name()),
        why => format!("cannot reach {host}: {why}"),
    }))]
    Unreachable { host: Host, why: Unreached },

    /// The server could not prove its identity. No request was sent to it.
    #[snafu(display("cannot trust {host}: {}", presented(distrust, *fingerprint)))]
    Untrusted {
        host: Host,
        /// The rule that its certificate violates.
        trust: Trust,
        distrust: Distrust,
        fingerprint: Fingerprint,
    },

    /// None of several hosts received the request.
    #[snafu(display("none of the hosts can be used: {}", listed(each)))]
    NoneReached { each: Vec<Error> },

    /// 595: pveproxy could not forward the request to its daemon or node.
    #[snafu(display("595 {reason}"))]
    Undelivered { upstream: Upstream, reason: String },

    /// 596 … 599: pveproxy forwarded the request and received no answer.
    #[snafu(display("{status} {reason}"))]
    UpstreamLost {
        upstream: Upstream,
        status: u16,
        reason: String,
    },

    /// The request was sent, at least in part, but no complete answer was received.
    #[snafu(display("no answer from {host}: {cause}"))]
    NoAnswer {
        host: Host,
        cause: String,
        /// Whether the run's deadline left less time than the limit for one request.
        cut_short: bool,
    },

    /// The answer is not from Proxmox VE and does not say whether the request was carried out. `status` is 0
    /// if no status was received.
    #[snafu(display("{host} did not answer like Proxmox VE: {what}"))]
    Unusable {
        host: Host,
        status: u16,
        what: String,
    },

    /// Proxmox VE answered with data that this program does not expect.
    #[snafu(display("{host} answered {what}"))]
    Unexpected { host: Host, what: String },

    /// Nodes without quorum refused a change; nothing was changed.
    #[snafu(display("the cluster has no quorum (asked {}): {message}", listed_hosts(asked)))]
    NoQuorum {
        /// The hosts that refused it, the last one last.
        asked: Vec<Host>,
        message: String,
        /// Whether the next request goes to a host that has not refused a change so far. It may know of
        /// guests that the others do not know yet.
        is_another_left: bool,
    },

    /// The server refused the request, with this message.
    #[snafu(display("{}", if *status == 401 {
        format!("401 {message} (as {token})")
    } else {
        message.clone()
    }))]
    Refused {
        status: u16,
        message: String,
        /// The token that was refused.
        token: TokenId,
    },
}

fn presented(distrust: &Distrust, fingerprint: Fingerprint) -> String {
    format!("{distrust}; its fingerprint is {fingerprint}")
}

fn listed(each: &[Error]) -> String {
    let each: Vec<String> = each.iter().map(Error::with_host).collect();
    each.join("; ")
}

fn listed_hosts(hosts: &[Host]) -> String {
    let hosts: Vec<String> = hosts.iter().map(Host::to_string).collect();
    hosts.join(", ")
}

/// Whether `message` means that a node has no quorum. Without it, guest configurations are read-only.
pub fn is_no_quorum(message: &str) -> bool {
    let is_read_only = message.contains("unable to open file '/etc/pve/");
    message.contains("no quorum") || is_read_only && message.contains("Permission denied")
}

/// Why a host could not be reached.
#[derive(Clone, PartialEq, Eq, Debug, Snafu)]
#[allow(missing_docs)]
pub enum Unreached {
    #[snafu(display("cannot be resolved: {message}"))]
    Name { message: String },

    /// http:// is only allowed for loopback, and the name resolved to another machine.
    #[snafu(display(
        "its address is not a loopback address, and http:// would send the token unencrypted"
    ))]
    NotLoopback,

    #[snafu(display("{message}"))]
    Connection { message: String },

    #[snafu(display("proxy {proxy} ({}): {message}", proxy.origin()))]
    Proxy { proxy: Proxy, message: String },

    #[snafu(display("the server on that port does not speak TLS"))]
    NotTls,

    #[snafu(display("it closed the connection during the TLS handshake"))]
    ClosedInTls,

    /// In this case the server presents no certificate, so nothing more is known.
    #[snafu(display(
        "the TLS handshake failed: server and client have no key type or cipher in common; this program \
         supports {VERIFIABLE_KEYS}"
    ))]
    NoCommonCipher,

    #[snafu(display("the TLS handshake failed: {message}"))]
    Handshake { message: String },
}

/// Where pveproxy was forwarding a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Upstream {
    /// The host that received the request.
    pub host: Host,
    /// The node in the request's path, if there is one.
    pub node: Option<Node>,
}

impl Error {
    /// The message, including the host, for when several hosts may have been tried.
    pub fn with_host(&self) -> String {
        match self {
            // All other messages contain the host.
            Error::Undelivered { upstream, .. } => format!("{} answered {self}", upstream.host),
            Error::NoQuorum { asked, message, .. } if let Some(host) = asked.last() => {
                format!("{host} has no quorum: {message}")
            }
            error => error.to_string(),
        }
    }

    /// The message for a context that already names the host.
    pub fn without_host(&self) -> String {
        match self {
            Error::Unreachable { why, .. } => why.to_string(),
            Error::Untrusted {
                distrust,
                fingerprint,
                ..
            } => presented(distrust, *fingerprint),
            Error::NoAnswer { cause, .. } => format!("no answer: {cause}"),
            Error::Unusable { what, .. } => format!("not from Proxmox VE: {what}"),
            error => error.to_string(),
        }
    }

    /// Applies `map` to the server's message.
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

    /// Whether the host's name did not resolve to an address that may be used.
    pub fn lookup_failed(&self) -> bool {
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
            Error::UpstreamLost { .. }
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
