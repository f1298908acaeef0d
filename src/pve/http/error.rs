//! What became of a request that did not succeed.

use std::mem;

use snafu::Snafu;

use crate::pve::http::host::Host;
use crate::pve::tls::certificate::Fingerprint;
use crate::pve::tls::distrust::Distrust;
use crate::pve::tls::{self, Trust};
use crate::pve::types::{Node, TokenId};

/// What became of a request.
#[derive(Debug, Snafu)]
#[snafu(visibility(pub))]
#[allow(missing_docs)]
pub enum Error {
    #[snafu(display("{source}"))]
    Tls { source: tls::Error },

    /// The run's deadline came before the request could be sent; this is how far it got.
    #[snafu(display("{}", match tried {
        Some((host, words)) => format!("cannot reach {host}: {words}"),
        None => "no time was left to ask".to_owned(),
    }))]
    NoTimeLeft { tried: Option<(Host, String)> },

    /// Nothing of the request has left this machine.
    #[snafu(display("cannot reach {host}: {why}"))]
    Unreachable { host: Host, why: Unreached },

    /// The server could not show that it is who it claims to be. Nothing was sent to it.
    #[snafu(display("cannot trust {host}: {}", presented(distrust, *fingerprint)))]
    Untrusted {
        host: Host,
        /// By what it should have been believed.
        trust: Trust,
        distrust: Distrust,
        fingerprint: Fingerprint,
    },

    /// None of several hosts has got it.
    #[snafu(display("none of the hosts can be asked: {}", listed(each)))]
    NoneReached { each: Vec<Error> },

    /// 595: pveproxy could not hand the request on to the daemon or node it was for.
    #[snafu(display("595 {reason}"))]
    Undelivered { behind: Behind, reason: String },

    /// 596 … 599: pveproxy handed the request on and got no answer back.
    #[snafu(display("{status} {reason}"))]
    LostBehind {
        behind: Behind,
        status: u16,
        reason: String,
    },

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
    #[snafu(display("{}", if *status == 401 {
        format!("401 {words} (as {token})")
    } else {
        words.clone()
    }))]
    Refused {
        status: u16,
        words: String,
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

/// Why nothing could be sent.
#[derive(Clone, PartialEq, Eq, Debug, Snafu)]
#[allow(missing_docs)]
pub enum Unreached {
    #[snafu(display("its name cannot be looked up: {words}"))]
    Name { words: String },

    /// http:// is for loopback only, and the name is one of somewhere else.
    #[snafu(display(
        "its address is not one of this machine, and http:// would send the token in clear"
    ))]
    NotLoopback,

    #[snafu(display("{words}"))]
    Connection { words: String },

    #[snafu(display("what answers there does not speak TLS"))]
    NotTls,

    #[snafu(display("it cut the connection instead of speaking TLS"))]
    CutInTls,

    #[snafu(display("the TLS handshake failed: {words}"))]
    Handshake { words: String },
}

/// Whom pveproxy wanted to hand a request on to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Behind {
    /// The host that was asked.
    pub host: Host,
    /// The node that the request was about, if it was about one.
    pub node: Option<Node>,
}

impl Error {
    /// The words for it where several hosts may have been asked.
    pub fn with_host(&self) -> String {
        match self {
            // The others name their host themselves.
            Error::Undelivered { behind, .. } => format!("{} says {self}", behind.host),
            error => error.to_string(),
        }
    }

    /// The words for it where everybody knows which host it is about.
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

    /// The same with other words of the server's.
    pub fn map_words(mut self, map: impl Fn(String) -> String) -> Error {
        if let Error::Refused { words, .. } | Error::Unusable { what: words, .. } = &mut self {
            *words = map(mem::take(words));
        }
        self
    }

    /// Whether it ended with the host's name.
    pub fn is_lookup_failed(&self) -> bool {
        use Unreached::{Name, NotLoopback};

        matches!(
            self,
            Error::Unreachable {
                why: Name { .. } | NotLoopback,
                ..
            }
        )
    }

    /// What the server did with the request.
    pub fn delivery(&self) -> Delivery {
        match self {
            Error::Refused { .. } => Delivery::Refused,
            Error::NoneReached { each }
                if each.iter().any(|one| one.delivery() == Delivery::Unknown) =>
            {
                Delivery::Unknown
            }
            Error::Tls { .. }
            | Error::NoTimeLeft { .. }
            | Error::Unreachable { .. }
            | Error::Untrusted { .. }
            | Error::NoneReached { .. }
            | Error::Undelivered { .. } => Delivery::NotDelivered,
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
