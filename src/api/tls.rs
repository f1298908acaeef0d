//! Whom to trust: TLS between ureq's connection and its requests.
//!
//! ureq has no way in for a certificate verifier, so this is a link of its connector chain.

use std::fmt;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::{self, PemObject};
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

/// Whom to believe that it is the server it claims to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Trust {
    /// The certificate authorities that this system trusts.
    SystemRoots,
    /// The certificate authorities in this PEM file, and no others.
    CaFile(PathBuf),
    /// Whoever answers. Protects from nobody who can get in between.
    Anyone,
}

/// The link of ureq's connector chain that speaks TLS where the address begins with `https://`.
pub(super) struct Tls {
    config: Arc<ClientConfig>,
}

impl Tls {
    /// Reads what `trust` names: the system's roots or the CA file.
    pub(super) fn new(trust: &Trust) -> Result<Tls, Error> {
        let provider = Arc::new(ring::default_provider());
        let verifier: Arc<dyn ServerCertVerifier> = match trust {
            Trust::SystemRoots => chain_verifier(system_roots()?, &provider)?,
            Trust::CaFile(path) => chain_verifier(file_roots(path)?, &provider)?,
            Trust::Anyone => Arc::new(AnyCertificate(Arc::clone(&provider))),
        };
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .context(SetupSnafu)?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        Ok(Tls {
            config: Arc::new(config),
        })
    }
}

fn chain_verifier(
    roots: RootCertStore,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<WebPkiServerVerifier>, Error> {
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map_err(|error| rustls::Error::General(error.to_string()))
        .context(SetupSnafu)
}

fn system_roots() -> Result<RootCertStore, Error> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // Systems carry certificates that no modern verifier reads; the others are still good.
    let (usable, _) = roots.add_parsable_certificates(found.certs);
    ensure!(usable > 0, NoSystemRootsSnafu);
    Ok(roots)
}

fn file_roots(path: &PathBuf) -> Result<RootCertStore, Error> {
    let certificates: Vec<CertificateDer> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| match error {
            pem::Error::Io(error) => error.to_string(),
            _ => "it is damaged".to_owned(),
        })
        .map_err(|reason| CaFileSnafu { path, reason }.build())?;
    ensure!(!certificates.is_empty(), NoCertificateSnafu { path });
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        let reason = "it holds a certificate that is damaged";
        let added = roots.add(certificate);
        ensure!(added.is_ok(), CaFileSnafu { path, reason });
    }
    Ok(roots)
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
            .map_err(|error| ureq::Error::Io(std::io::Error::other(error)))?;
        let mut socket =
            TransportAdapter::new(transport.boxed(), Arc::clone(&details.current_time));
        socket.set_timeout(details.timeout);
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
pub(super) struct TlsTransport {
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

/// Takes any certificate, but only from a server that holds its key.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Why a handshake failed, found inside the error that ureq hands on.
pub(super) fn handshake_failure(error: &ureq::Error) -> Option<rustls::Error> {
    let ureq::Error::Io(error) = error else {
        return None;
    };
    error.get_ref()?.downcast_ref().cloned()
}

/// A failed handshake in words: what the server did, not what rustls calls it.
pub(super) fn in_words(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InvalidCertificate(reason) => match reason {
            // A wrong signature: the authority bears the name of a trusted one but is another, as
            // those of two Proxmox VE clusters may.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                "its certificate is signed by an authority that is not trusted here".to_owned()
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "its certificate has expired".to_owned()
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "its certificate is not valid yet; is the clock right?".to_owned()
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "its certificate is for another name".to_owned()
            }
            CertificateError::BadEncoding => "its certificate is damaged".to_owned(),
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
                "its certificate is not one for servers".to_owned()
            }
            // Among others: it is an authority's own certificate, which no server may use.
            _ => "its certificate is not one that can be verified".to_owned(),
        },
        rustls::Error::InvalidMessage(_) => "what answers there does not speak TLS".to_owned(),
        other => format!("the TLS handshake failed: {other}"),
    }
}

/// What keeps TLS from being set up at all. Nothing has been sent.
#[derive(Debug, Snafu)]
#[allow(missing_docs)]
pub enum Error {
    #[snafu(display(
        "this system has no certificate authorities to trust; name the cluster's own with \
         PROXMOX_CA_FILE or --ca-file"
    ))]
    NoSystemRoots,

    #[snafu(display("CA file '{}': {reason}", path.display()))]
    CaFile { path: PathBuf, reason: String },

    #[snafu(display("CA file '{}' holds no PEM certificate", path.display()))]
    NoCertificate { path: PathBuf },

    #[snafu(display("TLS cannot be set up"))]
    Setup { source: rustls::Error },
}
