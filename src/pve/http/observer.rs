//! What ureq does not tell of a connection: the reason phrase, which alone carries the server's
//! words on some answers, whether anything of a failed request has left this machine, and whether
//! its name could be looked up.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, NextTimeout, Transport as UreqTransport,
};

/// Watches the connection: what goes out, and the status line that comes in.
#[derive(Clone, Default)]
pub struct Wire(Arc<Mutex<Exchange>>);

#[derive(Default)]
struct Exchange {
    is_lookup_failed: bool,
    is_elsewhere: bool,
    addresses: Vec<IpAddr>,
    sent: bool,
    reason: Option<String>,
}

impl Wire {
    pub fn before_a_request(&self) {
        *self.exchange() = Exchange::default();
    }

    /// Whether the host's name could not be looked up.
    pub fn is_lookup_failed(&self) -> bool {
        self.exchange().is_lookup_failed
    }

    /// Whether the host is not on this machine, as http:// takes it to be.
    pub fn is_elsewhere(&self) -> bool {
        self.exchange().is_elsewhere
    }

    /// Where the name has led to.
    pub fn addresses(&self) -> Vec<IpAddr> {
        self.exchange().addresses.clone()
    }

    /// Whether the first byte of the request may have left this machine.
    pub fn sent(&self) -> bool {
        self.exchange().sent
    }

    pub fn reason(&self) -> String {
        self.exchange().reason.clone().unwrap_or_default()
    }

    fn exchange(&self) -> MutexGuard<'_, Exchange> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wire")
    }
}

/// Looks names up as ureq does. Without TLS the name must lead to this machine: `localhost` is
/// whatever the resolver says it is.
#[derive(Debug)]
pub struct Lookup {
    pub wire: Wire,
    pub loopback_only: bool,
}

impl Resolver for Lookup {
    fn resolve(
        &self,
        uri: &Uri,
        config: &ureq::config::Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let addresses = match address_of(uri) {
            // Which takes neither name service nor the thread that waits for it.
            Some(address) => {
                let mut addresses = self.empty();
                addresses.push(address);
                addresses
            }
            None => DefaultResolver::default()
                .resolve(uri, config, timeout)
                .inspect_err(|_| self.wire.exchange().is_lookup_failed = true)?,
        };
        self.wire.exchange().addresses = addresses.iter().map(SocketAddr::ip).collect();
        if self.loopback_only && !addresses.iter().all(|address| address.ip().is_loopback()) {
            self.wire.exchange().is_elsewhere = true;
            return Err(ureq::Error::HostNotFound);
        }
        Ok(addresses)
    }
}

/// If it is one already. URLs here always have a port.
fn address_of(uri: &Uri) -> Option<SocketAddr> {
    let host = uri.host()?.trim_matches(['[', ']']);
    Some(SocketAddr::new(host.parse().ok()?, uri.port_u16()?))
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

#[derive(Debug)]
pub struct Watched<In> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    /// Whoever could change what `localhost` means would get the token in clear.
    #[rstest]
    #[case::this_machine("http://127.0.0.1:8006", true, true)]
    #[case::this_machine_by_ipv6("http://[::1]:8006", true, true)]
    #[case::elsewhere("http://192.0.2.1:8006", true, false)]
    #[case::elsewhere_by_tls("https://192.0.2.1:8006", false, true)]
    fn without_tls_an_address_must_be_of_this_machine(
        #[case] uri: &str,
        #[case] loopback_only: bool,
        #[case] expected: bool,
    ) {
        let wire = Wire::default();
        let lookup = Lookup {
            wire: wire.clone(),
            loopback_only,
        };
        let config = ureq::config::Config::default();
        let found = lookup.resolve(&uri.parse().unwrap(), &config, NextTimeout::default());
        assert_eq!((found.is_ok(), !wire.is_elsewhere()), (expected, expected));
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
