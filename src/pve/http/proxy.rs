//! The proxy through which hosts are reached.

use std::fmt;

use snafu::{OptionExt, Snafu, ensure};
use ureq::ProxyProtocol;

/// An HTTP proxy that connects to a host by CONNECT.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Proxy {
    url: ureq::Proxy,
    /// The environment variable that names it.
    origin: &'static str,
}

impl Proxy {
    /// Parses `http://proxy.lan:3128`; the scheme and a `user:password@` are optional.
    pub fn parse(url: &str, origin: &'static str) -> Result<Proxy, NotAProxy> {
        let url = ureq::Proxy::new(url).ok().context(UrlSnafu)?;
        ensure!(url.protocol() == ProxyProtocol::Http, SchemeSnafu);
        Ok(Proxy { url, origin })
    }

    /// The proxy as ureq's type.
    pub fn url(&self) -> &ureq::Proxy {
        &self.url
    }

    /// The environment variable that names it.
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
    #[snafu(display("not a proxy URL"))]
    Url,

    #[snafu(display("only proxies with http:// are supported"))]
    Scheme,
}
