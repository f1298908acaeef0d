//! Invalid certificates, and a server with the certificate of another one.

use std::io::Write;
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::sync::Arc;

use rstest::rstest;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error, RootCertStore,
    SignatureScheme,
};

use crate::fake_pve::{FakePve, Setup, Shown, unrelated_ca_pem};

fn showing(shown: Shown) -> FakePve {
    FakePve::start_tls_as(Setup::default(), shown)
}

fn der(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}

/// The handshake of a client that trusts only this authority, for this name.
fn trusting(ca_pem: &str, fake: &FakePve, name: &str) -> Result<(), Error> {
    let mut roots = RootCertStore::empty();
    roots.add(der(ca_pem)).unwrap();
    let provider = Arc::new(ring::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
    shake_hands(fake, name, verifier.build().unwrap())
}

fn shake_hands(
    fake: &FakePve,
    name: &str,
    verifier: Arc<dyn ServerCertVerifier>,
) -> Result<(), Error> {
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut tls = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut tcp = TcpStream::connect(fake.address()).unwrap();
    match tls.complete_io(&mut tcp) {
        Ok(_) => Ok(()),
        Err(error) => Err(error.downcast::<Error>().unwrap()),
    }
}

/// The error without details that depend on the time.
fn verdict(shaken: Result<(), Error>) -> Result<(), CertificateError> {
    let Err(Error::InvalidCertificate(why)) = shaken else {
        return shaken.map_err(|error| panic!("{error}"));
    };
    Err(match why {
        CertificateError::ExpiredContext { .. } => CertificateError::Expired,
        CertificateError::NotValidYetContext { .. } => CertificateError::NotValidYet,
        CertificateError::NotValidForNameContext { .. } => CertificateError::NotValidForName,
        otherwise => otherwise,
    })
}

#[rstest]
#[case::good(Shown::Good, "localhost", Ok(()))]
#[case::expired(Shown::Expired, "localhost", Err(CertificateError::Expired))]
#[case::not_valid_yet(Shown::NotValidYet, "localhost", Err(CertificateError::NotValidYet))]
#[case::other_names(Shown::OtherNames, "localhost", Err(CertificateError::NotValidForName))]
#[case::no_address(Shown::OtherNames, "127.0.0.1", Err(CertificateError::NotValidForName))]
#[case::by_its_name(Shown::OtherNames, "pve9.lan", Ok(()))]
#[case::by_its_address(Shown::OtherNames, "192.0.2.9", Ok(()))]
#[case::soon_expired(Shown::SoonExpired, "localhost", Ok(()))]
fn a_certificate_has_exactly_the_requested_defect(
    #[case] shown: Shown,
    #[case] name: &str,
    #[case] expected: Result<(), CertificateError>,
) {
    let fake = showing(shown);
    assert_eq!(verdict(trusting(fake.ca_pem(), &fake, name)), expected);
}

#[test]
fn a_self_signed_certificate_has_no_authority() {
    let fake = showing(Shown::SelfSigned);
    let verdict_of = |ca_pem: &str| verdict(trusting(ca_pem, &fake, "localhost"));
    let unknown = Err(CertificateError::UnknownIssuer);
    assert_eq!(verdict_of(&unrelated_ca_pem()), unknown);
    assert_eq!(fake.ca_pem(), fake.leaf_pem());
}

/// The format in a certificate: without the century before 2050.
fn written(date: &str) -> String {
    let digits = date.replace('-', "");
    let date = if *date < *"2050" {
        &digits[2..]
    } else {
        &*digits
    };
    date.to_owned()
}

#[rstest]
fn the_reported_dates_are_those_of_the_certificate(
    #[values(Shown::Good, Shown::Expired, Shown::NotValidYet, Shown::SoonExpired)] shown: Shown,
) {
    let fake = showing(shown);
    let leaf = der(fake.leaf_pem());
    let text = String::from_utf8_lossy(&leaf);
    for date in [fake.leaf_not_before(), fake.leaf_not_after()] {
        assert!(text.contains(&written(&date)), "{date}");
    }
}

#[rstest]
#[case::expired(Shown::Expired, "2024-01-31", "2025-01-31")]
#[case::not_valid_yet(Shown::NotValidYet, "2090-01-01", "2092-01-01")]
fn fixed_dates_do_not_depend_on_today(
    #[case] shown: Shown,
    #[case] not_before: &str,
    #[case] not_after: &str,
) {
    let fake = showing(shown);
    let dates = (fake.leaf_not_before(), fake.leaf_not_after());
    assert_eq!(dates, (not_before.to_owned(), not_after.to_owned()));
}

#[test]
fn a_fingerprint_is_the_same_as_that_of_sha256sum() {
    let fake = showing(Shown::Good);
    let mut program = Command::new("sha256sum");
    program.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = program.spawn().unwrap();
    let leaf = der(fake.leaf_pem());
    child.stdin.take().unwrap().write_all(&leaf).unwrap();
    let output = child.wait_with_output().unwrap().stdout;
    let output = String::from_utf8(output).unwrap().to_uppercase();
    let (sum, _) = output.split_once(' ').unwrap();
    assert_eq!(fake.fingerprint().replace(':', ""), sum);
    assert_eq!(fake.fingerprint().len(), 32 * 3 - 1);
}

/// Verifies no chain, but that the server has the key.
#[derive(Debug)]
struct KeyOnly(CryptoProvider);

impl ServerCertVerifier for KeyOnly {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[test]
fn an_impostor_has_the_certificate_but_not_the_key() {
    let real = showing(Shown::Good);
    let impostor = FakePve::start_impostor(Setup::default(), &real);
    assert_eq!(impostor.fingerprint(), real.fingerprint());
    let shake = |fake| {
        let verifier = Arc::new(KeyOnly(ring::default_provider()));
        verdict(shake_hands(fake, "localhost", verifier))
    };
    assert_eq!(shake(&real), Ok(()));
    assert_eq!(shake(&impostor), Err(CertificateError::BadSignature));
}
