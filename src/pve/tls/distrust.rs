//! Why a server is not trusted: explains to users what is wrong with its certificate, in place of rustls'
//! terse errors.

use std::time::Duration;

use rustls::CertificateError;
use rustls::pki_types::{CertificateDer, UnixTime};
use snafu::Snafu;

use crate::pve::tls::certificate::{Day, Details, Fingerprint};

/// The key types of servers and authorities that this program can verify.
pub const VERIFIABLE_KEYS: &str = "RSA of 2048 to 8192 bits, ECDSA P-256 and P-384, Ed25519";

/// What is wrong with the certificate that a server presented.
#[derive(Clone, PartialEq, Eq, Debug, Snafu)]
#[allow(missing_docs)]
pub enum Distrust {
    /// `name` is `None` for the authority of a Proxmox VE cluster, or if it cannot be read.
    #[snafu(display(
        "its certificate is signed by an untrusted CA{}", after_colon(name.as_deref())
    ))]
    UnknownAuthority { name: Option<String> },

    #[snafu(display(
        "its certificate chain is incomplete: the server did not send the certificate of {issuer}, which is \
         not trusted on this machine"
    ))]
    IncompleteChain { issuer: String },

    #[snafu(display(
        "its certificate, or its CA's, has an unsupported key or signature type; supported: {VERIFIABLE_KEYS}"
    ))]
    UnsupportedKey,

    #[snafu(display(
        "its certificate cannot be verified, because this system has no trusted CA certificates"
    ))]
    NoAuthorities,

    #[snafu(display("its certificate is self-signed"))]
    SelfSigned,

    /// `names` is `None` if they cannot be read.
    #[snafu(display("its certificate is for {}", listed(names.as_deref())))]
    OtherNames { names: Option<Vec<String>> },

    #[snafu(display("its certificate expired on {}{}", day(*at), clock()))]
    Expired { at: Duration },

    #[snafu(display("its certificate is not valid before {}{}", day(*at), clock()))]
    NotYetValid { at: Duration },

    #[snafu(display("its certificate is not the pinned one, {pin}"))]
    NotPinned { pin: Fingerprint },

    /// Certificates are public: a server that does not hold the certificate's key is an impostor.
    #[snafu(display("it does not hold the private key of the certificate it presented"))]
    KeyNotHeld,

    #[snafu(display(
        "its certificate is too old to be verified (RSA below 2048 bits, or X.509 before version 3)"
    ))]
    Outdated,

    #[snafu(display("its certificate is not for a server"))]
    OtherPurpose,

    #[snafu(display("its certificate is malformed"))]
    Damaged,

    /// For example an authority's own certificate, which a server must not use.
    #[snafu(display("its certificate cannot be verified"))]
    Unverifiable,
}

impl Distrust {
    /// Interprets the verifier's error for a certificate with these details. `others` are the further
    /// certificates that the server sent.
    pub fn of(
        error: &rustls::Error,
        details: Option<Details>,
        others: &[CertificateDer],
        now: UnixTime,
    ) -> Distrust {
        use CertificateError::{
            BadEncoding, BadSignature, Expired, ExpiredContext, InvalidPurpose,
            InvalidPurposeContext, NotValidForName, NotValidForNameContext, NotValidYet,
            NotValidYetContext, Other, UnknownIssuer, UnsupportedSignatureAlgorithmContext,
            UnsupportedSignatureAlgorithmForPublicKeyContext,
        };

        let rustls::Error::InvalidCertificate(reason) = error else {
            return Distrust::Unverifiable;
        };
        let is_self_signed = details.as_ref().is_some_and(Details::is_self_signed);
        match reason {
            UnknownIssuer | BadSignature | Other(_) if is_self_signed => Distrust::SelfSigned,
            // A bad signature means that another authority has the name of a trusted one. The authorities
            // of two Proxmox VE clusters may have the same name.
            UnknownIssuer | BadSignature => Distrust::of_authority(details, others),
            Expired | ExpiredContext { .. } | NotValidYet | NotValidYetContext { .. } => {
                // Otherwise the dates of an intermediate authority's certificate are the reason.
                let unless_valid_now = details.and_then(|it| Distrust::unless_valid_now(&it, now));
                unless_valid_now.unwrap_or(Distrust::Unverifiable)
            }
            NotValidForName | NotValidForNameContext { .. } => {
                let names = details.map(|details| details.names);
                Distrust::OtherNames { names }
            }
            BadEncoding => Distrust::Damaged,
            InvalidPurpose | InvalidPurposeContext { .. } => Distrust::OtherPurpose,
            UnsupportedSignatureAlgorithmContext { .. }
            | UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => Distrust::UnsupportedKey,
            _ => Distrust::Unverifiable,
        }
    }

    /// The last authority in the server's chain is not trusted.
    fn of_authority(details: Option<Details>, others: &[CertificateDer]) -> Distrust {
        let Some(leaf) = details else {
            return Distrust::UnknownAuthority { name: None };
        };
        let mut others: Vec<Details> = others.iter().filter_map(Details::of).collect();
        let mut last = leaf.clone();
        while let Some(index) = others.iter().position(|it| it.subject == last.issuer) {
            last = others.swap_remove(index);
        }
        let issuer = last.issuer_name();
        if last.is_of_cluster() {
            Distrust::UnknownAuthority { name: None }
        } else if last == leaf {
            Distrust::IncompleteChain { issuer }
        } else {
            Distrust::UnknownAuthority { name: Some(issuer) }
        }
    }

    /// Interprets the verifier's error for the handshake signature.
    pub fn of_signature(error: &rustls::Error, details: Option<Details>) -> Distrust {
        match error {
            // The verifier rejects a short key without checking the signature.
            _ if details.is_some_and(|details| details.is_outdated) => Distrust::Outdated,
            rustls::Error::InvalidCertificate(CertificateError::BadSignature) => {
                Distrust::KeyNotHeld
            }
            rustls::Error::InvalidCertificate(
                CertificateError::UnsupportedSignatureAlgorithmContext { .. }
                | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. },
            ) => Distrust::UnsupportedKey,
            _ => Distrust::Unverifiable,
        }
    }

    /// The reason not to trust this certificate given a pin. A pin replaces the checks of authority and name,
    /// but not that of the validity period.
    pub fn unless_pinned(
        pin: Fingerprint,
        certificate: &CertificateDer,
        details: Option<Details>,
        now: UnixTime,
    ) -> Option<Distrust> {
        if Fingerprint::of(certificate) != pin {
            return Some(Distrust::NotPinned { pin });
        }
        // It is the pinned certificate, even if its dates cannot be read.
        Distrust::unless_valid_now(&details?, now)
    }

    fn unless_valid_now(details: &Details, now: UnixTime) -> Option<Distrust> {
        let now = Duration::from_secs(now.as_secs());
        let (begin, end) = (details.not_before, details.not_after);
        let expired = (now > end).then_some(Distrust::Expired { at: end });
        expired.or((now < begin).then_some(Distrust::NotYetValid { at: begin }))
    }
}

fn day(at: Duration) -> String {
    Day::at(at).map_or_else(|| "an invalid date".to_owned(), |day| day.to_string())
}

/// A wrong clock makes valid certificates look invalid, so messages show its date.
fn clock() -> String {
    Day::today().map_or_else(String::new, |today| {
        format!("; this machine's clock says {today}")
    })
}

fn after_colon(name: Option<&str>) -> String {
    name.map_or_else(String::new, |name| format!(": {name}"))
}

fn listed(names: Option<&[String]>) -> String {
    match names {
        None => "another name".to_owned(),
        Some([]) => "no name at all".to_owned(),
        Some(names) => format!("other names: {}", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use rustls::RootCertStore;
    use rustls::client::WebPkiServerVerifier;
    use rustls::client::danger::ServerCertVerifier;
    use rustls::crypto::ring;
    use rustls::pki_types::pem::PemObject;
    use std::sync::Arc;

    fn certificate(pem: &str) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
    }

    fn details(pem: &str) -> Details {
        Details::of(&certificate(pem)).unwrap()
    }

    #[test]
    fn an_authority_with_an_unsupported_key_is_reported_as_such() {
        let leaf = include_str!("../../../fixtures/certificates/signed-by-p521.pem");
        let authority = include_str!("../../../fixtures/certificates/p521-authority.pem");
        let mut roots = RootCertStore::empty();
        roots.add(certificate(authority)).unwrap();
        let provider = Arc::new(ring::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
        // In 2027.
        let now = UnixTime::since_unix_epoch(Duration::from_hours(500_000));
        let name = "pve1.lan".try_into().unwrap();
        let error = verifier
            .build()
            .unwrap()
            .verify_server_cert(&certificate(leaf), &[], &name, &[], now)
            .unwrap_err();
        let distrust = Distrust::of(&error, Some(details(leaf)), &[], now);
        assert_eq!(distrust, Distrust::UnsupportedKey);
    }

    /// The verifier rejects every handshake signed with such a key, even the owner's.
    #[rstest]
    #[case::short_key(include_str!("../../../fixtures/certificates/rsa-1024.pem"))]
    #[case::before_version_3(include_str!("../../../fixtures/certificates/version-1.pem"))]
    fn an_outdated_certificate_is_not_reported_as_stolen(#[case] pem: &str) {
        let details = details(pem);
        let error = CertificateError::BadSignature.into();
        assert!(details.is_self_signed() && details.may_sign);
        assert_eq!(
            Distrust::of_signature(&error, Some(details)),
            Distrust::Outdated
        );
    }

    #[test]
    fn a_signature_by_another_key_is_reported_as_a_missing_key() {
        let error = CertificateError::BadSignature.into();
        assert_eq!(Distrust::of_signature(&error, None), Distrust::KeyNotHeld);
        let error = CertificateError::BadEncoding.into();
        assert_eq!(Distrust::of_signature(&error, None), Distrust::Unverifiable);
    }

    /// For example one with a serial number of 23 bytes.
    #[test]
    fn a_pinned_certificate_need_not_be_readable() {
        let certificate = CertificateDer::from(vec![0x30, 0x00]);
        let pin = Fingerprint::of(&certificate);
        let now = UnixTime::now();
        let verdict = Distrust::unless_pinned(pin, &certificate, None, now);
        assert_eq!(verdict, None);
    }
}
