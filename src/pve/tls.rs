//! TLS, and which servers to trust.
//!
//! ureq does not accept a certificate verifier, so TLS is a link of its connector chain here.

pub mod certificate;
pub mod distrust;

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore,
    SignatureScheme, StreamOwned,
};
use snafu::{OptionExt, ResultExt, Snafu, ensure};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport, TransportAdapter,
};

use self::certificate::{Details, Fingerprint};
use self::distrust::Distrust;
use crate::pve::secret::Masked;
use crate::pve::small_file;
use crate::pve::trace::Trace;

/// Which servers to trust.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Trust {
    /// Servers with a certificate from an authority that this system trusts.
    SystemRoots,
    /// Servers with a certificate from an authority in this PEM file.
    CaFile(PathBuf),
    /// Servers that present this certificate and hold its key, whatever its names and issuer.
    Pin(Fingerprint),
    /// Any server, without protection against a man in the middle.
    Anyone,
}

/// The link of ureq's connector chain that speaks TLS, for hosts whose address begins with `https://`.
#[derive(Debug)]
pub struct Tls {
    config: Arc<ClientConfig>,
    trace: Trace,
}

impl Tls {
    /// Reads the system's roots or the CA file, if `trust` needs them. The certificates that servers
    /// present are recorded in `trace`.
    pub fn new(trust: &Trust, trace: Trace) -> Result<Tls, Error> {
        let provider = Arc::new(ring::default_provider());
        let roots = match trust {
            Trust::SystemRoots => system_roots(),
            Trust::CaFile(path) => file_roots(path)?,
            Trust::Pin(_) | Trust::Anyone => RootCertStore::empty(),
        };
        let roots = Arc::new(roots);
        let by_roots = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider));
        let verifier = Verifier {
            trust: trust.clone(),
            // Fails only if there are no roots.
            by_roots: by_roots.build().ok(),
            algorithms: provider.signature_verification_algorithms,
            trace: trace.clone(),
        };
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .context(SetupSnafu)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        let config = Arc::new(config);
        Ok(Tls { config, trace })
    }
}

/// Skips certificates that cannot be parsed, which some systems ship.
fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

fn file_roots(path: &Path) -> Result<RootCertStore, Error> {
    let bad = |reason: &str| CaFileSnafu { path, reason }.build();
    let pem = File::open(path).and_then(|mut file| small_file::read(&mut file));
    let pem = pem.map_err(|error| bad(&error.to_string()))?;
    let certificates: Vec<CertificateDer> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|_| bad("invalid PEM"))?;
    let first = certificates.first().context(NoCertificateSnafu { path })?;
    let mut roots = RootCertStore::empty();
    for certificate in &certificates {
        let added = roots.add(certificate.clone());
        added.map_err(|_| bad("contains a malformed certificate"))?;
    }
    // A certificate that cannot be parsed may be an authority's.
    let may_sign = |certificate| Details::of(certificate).is_none_or(|details| details.may_sign);
    let fingerprint = Fingerprint::of(first);
    let has_authority = certificates.iter().any(may_sign);
    ensure!(has_authority, NoAuthoritySnafu { path, fingerprint });
    Ok(roots)
}

impl Connector<Box<dyn Transport>> for Tls {
    type Out = TlsTransport;

    fn connect(
        &self,
        details: &ConnectionDetails,
        chained: Option<Box<dyn Transport>>,
    ) -> Result<Option<TlsTransport>, ureq::Error> {
        let Some(transport) = chained else {
            return Ok(None);
        };
        let host = details.uri.host().unwrap_or_default();
        let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned())
            .map_err(|_| ureq::Error::Tls("the host name cannot appear in a certificate"))?;
        let mut client = ClientConnection::new(Arc::clone(&self.config), name)
            .map_err(|error| ureq::Error::Io(io::Error::other(error)))?;
        let mut socket = TransportAdapter::new(transport, Arc::clone(&details.current_time));
        socket.set_timeout(details.timeout);
        self.trace.lock().handshake_started = true;
        client.complete_io(&mut socket)?;
        let config = details.config;
        Ok(Some(TlsTransport {
            buffers: LazyBuffers::new(config.input_buffer_size(), config.output_buffer_size()),
            stream: StreamOwned::new(client, socket),
        }))
    }
}

/// A connection after its TLS handshake.
pub struct TlsTransport {
    buffers: LazyBuffers,
    stream: StreamOwned<ClientConnection, TransportAdapter>,
}

impl Transport for TlsTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        self.stream.get_mut().set_timeout(timeout);
        self.stream.write_all(&self.buffers.output()[..amount])?;
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.stream.get_mut().set_timeout(timeout);
        let amount = self.stream.read(self.buffers.input_append_buf())?;
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    fn is_open(&mut self) -> bool {
        self.stream.get_mut().get_mut().is_open()
    }

    fn is_tls(&self) -> bool {
        true
    }
}

impl fmt::Debug for TlsTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsTransport")
    }
}

/// Decides whether to trust each certificate. Whatever the rule, the server must hold the certificate's key.
#[derive(Debug)]
struct Verifier {
    trust: Trust,
    /// Checks that a trusted authority signed a certificate; `None` if there are no trusted authorities.
    by_roots: Option<Arc<WebPkiServerVerifier>>,
    algorithms: WebPkiSupportedAlgorithms,
    trace: Trace,
}

impl Verifier {
    fn trace_bad_signature(&self, error: &rustls::Error, certificate: &CertificateDer) {
        let distrust = Distrust::of_signature(error, Details::of(certificate));
        self.trace.lock().distrust = Some(distrust);
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.trace.lock().certificate = Some(end_entity.clone().into_owned());
        let details = Details::of(end_entity);
        let distrust = match (&self.trust, &self.by_roots) {
            (Trust::Anyone, _) => None,
            (Trust::Pin(pin), _) => Distrust::unless_pinned(*pin, end_entity, details, now),
            (Trust::SystemRoots | Trust::CaFile(_), None) => Some(Distrust::NoAuthorities),
            (Trust::SystemRoots | Trust::CaFile(_), Some(by_roots)) => by_roots
                .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
                .err()
                .map(|error| Distrust::of(&error, details, intermediates, now)),
        };
        if distrust.is_none() {
            return Ok(ServerCertVerified::assertion());
        }
        self.trace.lock().distrust = distrust;
        Err(CertificateError::ApplicationVerificationFailure.into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
            .inspect_err(|error| self.trace_bad_signature(error, certificate))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
            .inspect_err(|error| self.trace_bad_signature(error, certificate))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// The handshake failure inside ureq's error.
pub fn handshake_failure(error: &ureq::Error) -> Option<&rustls::Error> {
    let ureq::Error::Io(error) = error else {
        return None;
    };
    error.get_ref()?.downcast_ref()
}

/// Why TLS could not be set up. No request was sent.
#[derive(Debug, Snafu)]
#[allow(missing_docs)]
pub enum Error {
    #[snafu(display("CA file '{}': {reason}", Masked::from(path.to_string_lossy())))]
    CaFile { path: PathBuf, reason: String },

    #[snafu(display("CA file '{}' contains no PEM certificate", Masked::from(path.to_string_lossy())))]
    NoCertificate { path: PathBuf },

    /// Usually the node's own certificate.
    #[snafu(display(
        "CA file '{}' contains a server certificate, not a CA certificate",
        Masked::from(path.to_string_lossy())
    ))]
    NoAuthority {
        path: PathBuf,
        fingerprint: Fingerprint,
    },

    #[snafu(display("cannot set up TLS"))]
    Setup { source: rustls::Error },
}
