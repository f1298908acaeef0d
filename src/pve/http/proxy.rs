//! A proxy on the way to the hosts.

use std::fmt;

use snafu::{OptionExt, Snafu, ensure};
use ureq::ProxyProtocol;

/// An HTTP proxy, which is asked with CONNECT for a connection to a host.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Proxy {
    url: ureq::Proxy,
    /// The variable of the environment that names it.
    origin: &'static str,
}

impl Proxy {
    /// From `http://proxy.lan:3128`, with or without the scheme or a `user:password@`.
    pub fn parse(url: &str, origin: &'static str) -> Result<Proxy, NotAProxy> {
        let url = ureq::Proxy::new(url).ok().context(UrlSnafu)?;
        ensure!(url.protocol() == ProxyProtocol::Http, SchemeSnafu);
        Ok(Proxy { url, origin })
    }

    /// As ureq takes it.
    pub fn url(&self) -> &ureq::Proxy {
        &self.url
    }

    /// The variable of the environment that names it.
    pub fn origin(&self) -> &'static str {
        self.origin
    }
}

/// `proxy.lan:3128`
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.url.host(), self.url.port())
    }
}

/// Why a proxy cannot be used.
#[derive(Debug, Snafu)]
#[allow(missing_docs)]
pub enum NotAProxy {
    #[snafu(display("it is not the URL of a proxy"))]
    Url,

    #[snafu(display("only proxies with http:// are supported"))]
    Scheme,
}
