//! What ureq does not report about a request: the reason phrase, which is the only message in some
//! answers; how far a failed request got; and the certificate that the server presented.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::pki_types::CertificateDer;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};

use crate::pve::tls::distrust::Distrust;

/// A shared record of the current request. As the last link of ureq's connector chain it observes what
/// is sent and received.
#[derive(Clone, Default, Debug)]
pub struct Trace(Arc<Mutex<Traced>>);

/// What is known about the current request. A request on an open connection has no lookup and no
/// handshake.
#[derive(Default, Debug)]
pub struct Traced {
    pub lookup_failed: bool,
    /// The addresses that the name of the host, or of its proxy, resolved to.
    pub addresses: Vec<IpAddr>,
    /// Whether a connection was established and the TLS handshake began.
    pub handshake_started: bool,
    /// The certificate that the server presented last, possibly for an earlier request.
    pub certificate: Option<CertificateDer<'static>>,
    /// Why that certificate was rejected.
    pub distrust: Option<Distrust>,
    /// Whether the first byte of the request may have left this machine.
    pub is_sent: bool,
    pub reason_phrase: Option<String>,
}

impl Trace {
    /// Must be called before each request.
    pub fn reset(&self) {
        let mut traced = self.lock();
        *traced = Traced {
            certificate: traced.certificate.take(),
            ..Traced::default()
        };
    }

    pub fn lock(&self) -> MutexGuard<'_, Traced> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Traced {
    /// Whether the host's name resolved to addresses of this machine only.
    pub fn is_on_loopback(&self) -> bool {
        self.addresses.iter().all(IpAddr::is_loopback)
    }
}

/// Resolves names as ureq does. Without TLS, a name must resolve to loopback addresses; even `localhost`
/// may resolve to others.
#[derive(Debug)]
pub struct Lookup {
    pub trace: Trace,
    pub loopback_only: bool,
}

impl Resolver for Lookup {
    fn resolve(
        &self,
        uri: &Uri,
        config: &ureq::config::Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let addresses = match literal_address(uri) {
            // An IP address needs no lookup, nor a thread that waits for one.
            Some(address) => {
                let mut addresses = self.empty();
                addresses.push(address);
                addresses
            }
            None => DefaultResolver::default()
                .resolve(uri, config, timeout)
                .inspect_err(|_| self.trace.lock().lookup_failed = true)?,
        };
        let mut traced = self.trace.lock();
        traced.addresses = addresses.iter().map(SocketAddr::ip).collect();
        if self.loopback_only && !traced.is_on_loopback() {
            return Err(ureq::Error::HostNotFound);
        }
        Ok(addresses)
    }
}

/// The address in a URL whose host is an IP address. The URL of a host always has a port.
fn literal_address(uri: &Uri) -> Option<SocketAddr> {
    let host = uri.host()?.trim_matches(['[', ']']);
    Some(SocketAddr::new(host.parse().ok()?, uri.port_u16()?))
}

impl<In: Transport> Connector<In> for Trace {
    type Out = TracedTransport<In>;

    fn connect(
        &self,
        _details: &ConnectionDetails,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, ureq::Error> {
        let trace = self.clone();
        Ok(chained.map(|inner| TracedTransport { inner, trace }))
    }
}

#[derive(Debug)]
pub struct TracedTransport<In> {
    inner: In,
    trace: Trace,
}

impl<In: Transport> Transport for TracedTransport<In> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        self.trace.lock().is_sent = true;
        self.inner.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        let is_progress = self.inner.await_input(timeout)?;
        let mut traced = self.trace.lock();
        if traced.reason_phrase.is_none() {
            traced.reason_phrase = reason_phrase(self.inner.buffers().input());
        }
        Ok(is_progress)
    }

    fn is_open(&mut self) -> bool {
        self.inner.is_open()
    }

    fn is_tls(&self) -> bool {
        self.inner.is_tls()
    }
}

/// The reason phrase of the answer in `input`, once its first line is complete. `None` for an interim
/// answer (1xx), which is followed by another one.
fn reason_phrase(input: &[u8]) -> Option<String> {
    let end = input.windows(2).position(|pair| pair == b"\r\n")?;
    let line = String::from_utf8_lossy(&input[..end]);
    let mut parts = line.splitn(3, ' ').skip(1);
    let is_interim = parts.next().is_some_and(|status| status.starts_with('1'));
    (!is_interim).then(|| parts.next().unwrap_or_default().trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    /// Otherwise anyone who can change what `localhost` resolves to gets the token unencrypted.
    #[rstest]
    #[case::loopback("http://127.0.0.1:8006", true, true)]
    #[case::loopback_ipv6("http://[::1]:8006", true, true)]
    #[case::another_machine("http://192.0.2.1:8006", true, false)]
    #[case::another_machine_with_tls("https://192.0.2.1:8006", false, true)]
    fn without_tls_only_loopback_addresses_are_accepted(
        #[case] uri: &str,
        #[case] loopback_only: bool,
        #[case] expected: bool,
    ) {
        let lookup = Lookup {
            trace: Trace::default(),
            loopback_only,
        };
        let config = ureq::config::Config::default();
        let found = lookup.resolve(&uri.parse().unwrap(), &config, NextTimeout::default());
        assert_eq!(found.is_ok(), expected);
    }

    #[rstest]
    #[case::complete("HTTP/1.1 595 No route to host\r\nServer: x", Some("No route to host"))]
    #[case::empty("HTTP/1.1 200 \r\n", Some(""))]
    #[case::absent("HTTP/1.1 200\r\n", Some(""))]
    #[case::another_answer_follows("HTTP/1.1 102 Processing\r\n\r\n", None)]
    #[case::line_is_not_complete_yet("HTTP/1.1 500 VM is lo", None)]
    fn the_reason_phrase_is_read_from_the_first_line(
        #[case] input: &str,
        #[case] reason: Option<&str>,
    ) {
        assert_eq!(reason_phrase(input.as_bytes()).as_deref(), reason);
    }
}
