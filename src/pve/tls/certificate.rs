//! Reads certificates, for messages about them. `tls.rs` decides whether to trust them, independently of
//! what is read here.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use ring::digest::{SHA256, SHA256_OUTPUT_LEN, digest};
use rustls::pki_types::CertificateDer;
use snafu::{OptionExt, Snafu, ensure};
use x509_cert::Certificate;
use x509_cert::certificate::Version;
use x509_cert::der::oid::ObjectIdentifier;
use x509_cert::der::{DateTime, Decode};
use x509_cert::ext::pkix::name::{DirectoryString, GeneralName};
use x509_cert::ext::pkix::{BasicConstraints, SubjectAltName};
use x509_cert::name::Name;
use x509_cert::spki::SubjectPublicKeyInfoOwned as SubjectPublicKeyInfo;

const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
/// The maximum number of names in a message.
const MAX_NAMES: usize = 8;
/// The length at which messages truncate a name.
const MAX_NAME_CHARS: usize = 60;

/// The SHA-256 hash of a certificate, which identifies it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fingerprint([u8; SHA256_OUTPUT_LEN]);

impl Fingerprint {
    /// As `openssl x509 -fingerprint -sha256` computes it.
    pub fn of(certificate: &CertificateDer) -> Fingerprint {
        let mut bytes = [0; SHA256_OUTPUT_LEN];
        bytes.copy_from_slice(digest(&SHA256, certificate).as_ref());
        Fingerprint(bytes)
    }
}

/// `AA:BB:…`, as Proxmox shows it.
impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pairs = self.0.map(|byte| format!("{byte:02X}"));
        f.write_str(&pairs.join(":"))
    }
}

/// With or without colons, in upper or lower case, and with openssl's prefix:
/// `sha256 Fingerprint=AA:BB:…`.
impl FromStr for Fingerprint {
    type Err = NotAFingerprint;

    fn from_str(text: &str) -> Result<Fingerprint, NotAFingerprint> {
        let text = text.rsplit('=').next().unwrap_or(text);
        let digits = text.chars().filter(|c| *c != ':');
        let digits = digits.map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()));
        let digits: Option<Vec<u8>> = digits.collect();
        let digits = digits.context(DigitSnafu)?;
        let count = digits.len();
        // 20 bytes.
        ensure!(count != 40, Sha1Snafu);
        ensure!(count == SHA256_OUTPUT_LEN * 2, LengthSnafu { count });
        let mut bytes = [0; SHA256_OUTPUT_LEN];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
            *byte = pair.iter().fold(0, |byte, digit| byte << 4 | digit);
        }
        Ok(Fingerprint(bytes))
    }
}

/// Why a text is not a fingerprint.
#[derive(Debug, Snafu, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum NotAFingerprint {
    #[snafu(display(
        "not a SHA-256 fingerprint, which is 64 hexadecimal digits, with or without colons"
    ))]
    Digit,

    #[snafu(display("this is a SHA-1 fingerprint; the SHA-256 one has 64 hexadecimal digits"))]
    Sha1,

    #[snafu(display("a SHA-256 fingerprint has 64 hexadecimal digits, this one has {count}"))]
    Length { count: usize },
}

/// A day, in UTC.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Day(DateTime);

impl Day {
    /// Today, according to this machine's clock.
    pub fn today() -> Option<Day> {
        DateTime::from_system_time(SystemTime::now()).ok().map(Day)
    }

    /// The day of a time since 1970.
    pub fn at(since_1970: Duration) -> Option<Day> {
        DateTime::from_unix_duration(since_1970).ok().map(Day)
    }
}

/// `2026-11-25`
impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = (self.0.year(), self.0.month(), self.0.day());
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

/// The parts of a certificate that messages need.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Details {
    /// When its validity begins, since 1970.
    pub not_before: Duration,
    /// When its validity ends, since 1970.
    pub not_after: Duration,
    /// The names and addresses that it is for; only the first few.
    pub names: Vec<String>,
    /// Whether it may sign other certificates. Assumed before version 3, which does not say.
    pub may_sign: bool,
    /// Its subject.
    pub subject: Name,
    /// The authority that signed it.
    pub issuer: Name,
    /// Whether verifiers no longer accept its version or its key.
    pub is_outdated: bool,
}

impl Details {
    /// `None` if the certificate cannot be parsed.
    pub fn of(certificate: &CertificateDer) -> Option<Details> {
        let certificate = Certificate::from_der(certificate).ok()?;
        let body = certificate.tbs_certificate();
        let names: Option<(bool, SubjectAltName)> = body.get_extension().ok()?;
        let constraints: Option<(bool, BasicConstraints)> = body.get_extension().ok()?;
        let names = names.map_or_else(Vec::new, |(_, SubjectAltName(names))| names);
        let is_old = body.version() != Version::V3;
        Some(Details {
            not_before: body.validity().not_before.to_unix_duration(),
            not_after: body.validity().not_after.to_unix_duration(),
            names: names.iter().filter_map(name).take(MAX_NAMES).collect(),
            may_sign: constraints.map_or(is_old, |(_, constraints)| constraints.ca),
            subject: body.subject().clone(),
            issuer: body.issuer().clone(),
            is_outdated: is_old || has_short_key(body.subject_public_key_info()),
        })
    }
}

impl Details {
    /// Whether its issuer is its subject.
    pub fn is_self_signed(&self) -> bool {
        self.issuer == self.subject
    }

    /// Whether it was signed by a Proxmox VE cluster's own authority.
    pub fn is_of_cluster(&self) -> bool {
        let organization = self.issuer.organization().ok().flatten();
        organization.is_some_and(|it| it.value() == "PVE Cluster Manager CA")
    }

    /// `R11 (Let's Encrypt)`: the name of its issuer, for messages. It is unverified.
    pub fn issuer_name(&self) -> String {
        let shown = |name: Option<DirectoryString>| {
            Some(name?.value().chars().take(MAX_NAME_CHARS).collect())
        };
        let name: Option<String> = shown(self.issuer.common_name().ok().flatten());
        let organization: Option<String> = shown(self.issuer.organization().ok().flatten());
        match (name, organization) {
            (Some(name), Some(organization)) => format!("{name} ({organization})"),
            (name, organization) => name
                .or(organization)
                .unwrap_or_else(|| "an unnamed CA".to_owned()),
        }
    }
}

/// Whether it is an RSA key below 2048 bits.
fn has_short_key(key: &SubjectPublicKeyInfo) -> bool {
    const BYTES_OF_MODULUS: usize = 2048 / 8;

    key.algorithm.oid == RSA_ENCRYPTION
        && key.subject_public_key.raw_bytes().len() < BYTES_OF_MODULUS
}

fn name(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::DnsName(name) => Some(name.to_string()),
        GeneralName::IpAddress(bytes) => {
            let bytes = bytes.as_bytes();
            let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
            let v6 = <[u8; 16]>::try_from(bytes).map(IpAddr::from);
            v4.or(v6).ok().map(|address| address.to_string())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const BYTES: &str = "00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:\
                         00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF";

    #[rstest]
    #[case::as_proxmox_shows_it(BYTES.to_owned())]
    #[case::lower_case(BYTES.to_lowercase())]
    #[case::without_colons(BYTES.replace(':', ""))]
    #[case::as_openssl_prints_it(format!("sha256 Fingerprint={BYTES}"))]
    fn a_fingerprint_is_accepted_in_several_notations(#[case] text: String) {
        let fingerprint: Fingerprint = text.parse().unwrap();
        assert_eq!(fingerprint.to_string(), BYTES);
    }

    #[rstest]
    #[case::empty("", NotAFingerprint::Length { count: 0 })]
    #[case::one_digit_short(&BYTES[1..], NotAFingerprint::Length { count: 63 })]
    #[case::one_byte_too_long(&format!("{BYTES}:00"), NotAFingerprint::Length { count: 66 })]
    #[case::sha1(&BYTES[..59], NotAFingerprint::Sha1)]
    #[case::not_hexadecimal(&BYTES.replace('A', "G"), NotAFingerprint::Digit)]
    #[case::with_its_label(&format!("SHA256 {BYTES}"), NotAFingerprint::Digit)]
    #[case::non_ascii("é", NotAFingerprint::Digit)]
    fn other_texts_are_not_fingerprints(#[case] text: &str, #[case] reason: NotAFingerprint) {
        assert_eq!(text.parse::<Fingerprint>(), Err(reason));
    }

    #[test]
    fn a_fingerprint_is_the_sha256_of_the_certificate() {
        let certificate = CertificateDer::from(b"abc".to_vec());
        assert_eq!(
            Fingerprint::of(&certificate)
                .to_string()
                .replace(':', "")
                .to_lowercase(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[rstest]
    #[case::epoch(0, "1970-01-01")]
    #[case::leap_day(1_709_208_000, "2024-02-29")]
    fn a_day_is_written_as_year_month_day(#[case] seconds: u64, #[case] shown: &str) {
        let day = Day::at(Duration::from_secs(seconds)).unwrap();
        assert_eq!(day.to_string(), shown);
    }

    #[test]
    fn names_and_expiry_of_a_certificate_are_read() {
        use rcgen::{CertificateParams, KeyPair};

        let names = ["pve1.lan", "192.0.2.7", "2001:db8::7"].map(str::to_owned);
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(names)
            .unwrap()
            .self_signed(&key)
            .unwrap();
        let details = Details::of(leaf.der()).unwrap();
        assert_eq!(details.names, ["pve1.lan", "192.0.2.7", "2001:db8::7"]);
        assert!(!details.may_sign && !details.is_outdated);
        assert_eq!(details.issuer_name(), "rcgen self signed cert");
        let last_day = Day::at(details.not_after).unwrap();
        assert_eq!(last_day.to_string(), "4096-01-01");
    }

    #[test]
    fn an_invalid_certificate_has_no_details() {
        assert_eq!(Details::of(&CertificateDer::from(vec![0x30, 0x03])), None);
    }
}
