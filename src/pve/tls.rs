//! Whom to trust: TLS between ureq's connection and its requests.
//!
//! ureq has no way in for a certificate verifier, so this is a link of its connector chain.

pub mod certificate;
pub mod distrust;

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore,
    SignatureScheme, StreamOwned,
};
use snafu::{ResultExt, Snafu, ensure};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, Transport,
    TransportAdapter,
};

use self::certificate::{Details, Fingerprint};
use self::distrust::Distrust;
use crate::pve::secret::Masked;

/// Whom to believe that it is the server it claims to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Trust {
    /// The certificate authorities that this system trusts.
    SystemRoots,
    /// The certificate authorities in this PEM file, and no others.
    CaFile(PathBuf),
    /// Whoever presents this certificate and holds its key, in whatever name and signed by whomever.
    Pin(Fingerprint),
    /// Whoever answers. Protects from nobody who can get in between.
    Anyone,
}

/// The link of ureq's connector chain that speaks TLS where the address begins with `https://`.
pub struct Tls {
    config: Arc<ClientConfig>,
    handshake: Handshake,
}

impl Tls {
    /// Reads what `trust` names: the system's roots or the CA file. What servers present goes to
    /// `handshake`.
    pub fn new(trust: &Trust, handshake: Handshake) -> Result<Tls, Error> {
        let provider = Arc::new(ring::default_provider());
        let rule = match trust {
            Trust::SystemRoots => Rule::signed_by(system_roots(), &provider)?,
            Trust::CaFile(path) => Rule::signed_by(file_roots(path)?, &provider)?,
            Trust::Pin(pin) => Rule::Pinned(*pin),
            Trust::Anyone => Rule::Anyone,
        };
        let verifier = Verifier {
            rule,
            provider: Arc::clone(&provider),
            handshake: handshake.clone(),
        };
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .context(SetupSnafu)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        Ok(Tls {
            config: Arc::new(config),
            handshake,
        })
    }
}

/// Systems carry certificates that no modern verifier reads; the others are still good.
fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

fn file_roots(path: &Path) -> Result<RootCertStore, Error> {
    let bad = |reason: String| CaFileSnafu { path, reason }.build();
    let pem = read_pem(path).map_err(|error| bad(error.to_string()))?;
    let certificates: Vec<CertificateDer> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|_| bad("it is damaged".to_owned()))?;
    let Some(first) = certificates.first() else {
        return NoCertificateSnafu { path }.fail();
    };
    let mut roots = RootCertStore::empty();
    for certificate in &certificates {
        let added = roots.add(certificate.clone());
        added.map_err(|_| bad("it holds a certificate that is damaged".to_owned()))?;
    }
    // One that cannot be read here may be any authority's.
    let is_servers = |certificate: &CertificateDer| {
        Details::of(certificate).is_some_and(|details| !details.may_sign)
    };
    let fingerprint = Fingerprint::of(first);
    ensure!(
        !certificates.iter().all(is_servers),
        NoAuthoritySnafu { path, fingerprint }
    );
    Ok(roots)
}

/// A device may be without end.
fn read_pem(path: &Path) -> io::Result<Vec<u8>> {
    const AT_MOST: u64 = 1 << 20;

    let mut pem = Vec::new();
    File::open(path)?.take(AT_MOST + 1).read_to_end(&mut pem)?;
    if pem.len() as u64 > AT_MOST {
        return Err(io::Error::other("it is longer than 1 MiB"));
    }
    Ok(pem)
}

impl<In: Transport> Connector<In> for Tls {
    type Out = Either<In, TlsTransport>;

    fn connect(
        &self,
        details: &ConnectionDetails,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, ureq::Error> {
        let Some(transport) = chained else {
            return Ok(None);
        };
        if !details.needs_tls() {
            return Ok(Some(Either::A(transport)));
        }
        let host = details.uri.host().unwrap_or_default();
        let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned())
            .map_err(|_| ureq::Error::Tls("the host's name cannot stand in a certificate"))?;
        let mut client = ClientConnection::new(Arc::clone(&self.config), name)
            .map_err(|error| ureq::Error::Io(io::Error::other(error)))?;
        let mut socket =
            TransportAdapter::new(transport.boxed(), Arc::clone(&details.current_time));
        socket.set_timeout(details.timeout);
        self.handshake.shown().has_begun = true;
        client.complete_io(&mut socket)?;
        Ok(Some(Either::B(TlsTransport {
            buffers: LazyBuffers::new(
                details.config.input_buffer_size(),
                details.config.output_buffer_size(),
            ),
            stream: StreamOwned::new(client, socket),
        })))
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

/// A connection whose handshake is done.
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

/// What the server of a connection has shown of itself, and why it is not believed, if it is not.
#[derive(Clone, Default, Debug)]
pub struct Handshake(Arc<Mutex<Shown>>);

#[derive(Default, Debug)]
struct Shown {
    has_begun: bool,
    certificate: Option<CertificateDer<'static>>,
    distrust: Option<Distrust>,
}

impl Handshake {
    /// Which may make a new connection.
    pub fn before_a_request(&self) {
        let mut shown = self.shown();
        shown.has_begun = false;
        shown.distrust = None;
    }

    /// Whether there was a connection to speak TLS on.
    pub fn has_begun(&self) -> bool {
        self.shown().has_begun
    }

    /// Why the last one was not believed, and what it had presented.
    pub fn distrust(&self) -> Option<(Distrust, Fingerprint)> {
        let shown = self.shown();
        let certificate = shown.certificate.as_ref()?;
        Some((shown.distrust.clone()?, Fingerprint::of(certificate)))
    }

    /// What was presented last.
    pub fn certificate(&self) -> Option<CertificateDer<'static>> {
        self.shown().certificate.clone()
    }

    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a certificate has to be.
#[derive(Debug)]
enum Rule {
    SignedByAuthority(Arc<WebPkiServerVerifier>),
    /// There is no authority that could have signed it.
    SignedByNobody,
    Pinned(Fingerprint),
    Anyone,
}

impl Rule {
    fn signed_by(roots: RootCertStore, provider: &Arc<CryptoProvider>) -> Result<Rule, Error> {
        if roots.is_empty() {
            return Ok(Rule::SignedByNobody);
        }
        let provider = Arc::clone(provider);
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map(Rule::SignedByAuthority)
            .map_err(|error| rustls::Error::General(error.to_string()))
            .context(SetupSnafu)
    }
}

/// Asks a rule about each certificate, and whatever the rule is takes one only from a server that
/// holds its key.
#[derive(Debug)]
struct Verifier {
    rule: Rule,
    provider: Arc<CryptoProvider>,
    handshake: Handshake,
}

impl Verifier {
    /// That the server has signed the handshake with the key of its certificate.
    fn is_signed(
        &self,
        verified: Result<HandshakeSignatureValid, rustls::Error>,
        certificate: &CertificateDer,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verified.inspect_err(|error| {
            let distrust = Distrust::of_signature(error, Details::of(certificate));
            self.handshake.shown().distrust = Some(distrust);
        })
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
        self.handshake.shown().certificate = Some(end_entity.clone().into_owned());
        let details = Details::of(end_entity);
        let verdict = match &self.rule {
            Rule::SignedByAuthority(authorities) => authorities
                .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
                .map_err(|error| Distrust::of(&error, details, now)),
            Rule::SignedByNobody => Err(Distrust::NoAuthorities),
            Rule::Pinned(pin) => Distrust::unless_pinned(*pin, end_entity, details, now)
                .map(|()| ServerCertVerified::assertion()),
            Rule::Anyone => Ok(ServerCertVerified::assertion()),
        };
        verdict.map_err(|distrust| {
            let error = CertificateError::ApplicationVerificationFailure;
            self.handshake.shown().distrust = Some(distrust);
            rustls::Error::InvalidCertificate(error)
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        self.is_signed(
            verify_tls12_signature(message, certificate, signature, algorithms),
            certificate,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        self.is_signed(
            verify_tls13_signature(message, certificate, signature, algorithms),
            certificate,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}

/// Why a handshake failed, found inside the error that ureq hands on.
pub fn handshake_failure(error: &ureq::Error) -> Option<rustls::Error> {
    let ureq::Error::Io(error) = error else {
        return None;
    };
    error.get_ref()?.downcast_ref().cloned()
}

/// What keeps TLS from being set up at all. Nothing has been sent.
#[derive(Debug, Snafu)]
#[allow(missing_docs)]
pub enum Error {
    #[snafu(display("CA file '{}': {reason}", Masked::from(path.to_string_lossy())))]
    CaFile { path: PathBuf, reason: String },

    #[snafu(display("CA file '{}' holds no PEM certificate", Masked::from(path.to_string_lossy())))]
    NoCertificate { path: PathBuf },

    /// Mostly it is the node's own certificate.
    #[snafu(display(
        "CA file '{}' holds a server's certificate, which vouches for no other, and not that of a \
         certificate authority",
        Masked::from(path.to_string_lossy())
    ))]
    NoAuthority {
        path: PathBuf,
        fingerprint: Fingerprint,
    },

    #[snafu(display("TLS cannot be set up"))]
    Setup { source: rustls::Error },
}
