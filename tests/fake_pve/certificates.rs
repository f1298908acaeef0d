//! Certificates like those of a Proxmox VE cluster: its own CA, and a leaf for the node.

use std::time::{Duration, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, date_time_ymd,
};
use rustls::pki_types::CertificateDer;

/// The certificate that a fake presents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    /// For `localhost`, `127.0.0.1` and `::1`, valid from yesterday and for two more years.
    Good,
    /// Valid from 2024-01-31 to 2025-01-31.
    Expired,
    /// Valid from 2090-01-01 to 2092-01-01.
    NotValidYet,
    /// For `pve9.lan` and `192.0.2.9` only.
    OtherNames,
    /// Valid for ten more days.
    SoonExpired,
    /// Signed by its own key, not by an authority.
    SelfSigned,
    /// Signed by an intermediate authority, whose certificate is presented too.
    WithIntermediate,
    /// Signed by an intermediate authority, whose certificate is not presented.
    WithoutIntermediate,
}

/// The public part of an identity.
#[derive(Clone)]
pub(super) struct Certificates {
    /// The authority that signed the leaf, or the leaf itself if self-signed.
    pub(super) ca_pem: String,
    pub(super) leaf_pem: String,
    pub(super) leaf: CertificateDer<'static>,
    /// Certificates presented after the leaf.
    pub(super) intermediates: Vec<CertificateDer<'static>>,
    /// `YYYY-MM-DD`, in UTC.
    pub(super) not_before: String,
    pub(super) not_after: String,
}

impl Certificates {
    /// Returns the key of the leaf too.
    pub(super) fn make(shown: Shown) -> (Self, KeyPair) {
        let key = KeyPair::generate().expect("key of the node");
        let params = leaf_params(shown);
        let mut intermediates = Vec::new();
        let (leaf, ca_pem) = match shown {
            Shown::SelfSigned => {
                let leaf = params.self_signed(&key).expect("node signs itself");
                let pem = leaf.pem();
                (leaf, pem)
            }
            Shown::WithIntermediate | Shown::WithoutIntermediate => {
                let (root, intermediate, issuer) = authorities();
                let leaf = params.signed_by(&key, &issuer).expect("node signed");
                if shown == Shown::WithIntermediate {
                    intermediates.push(intermediate.der().clone());
                }
                (leaf, root.pem())
            }
            _ => {
                let (ca, issuer) = authority();
                let leaf = params.signed_by(&key, &issuer).expect("node signed");
                (leaf, ca.pem())
            }
        };
        let [not_before, not_after] = [params.not_before, params.not_after].map(|time| {
            let (year, month, day) = (time.year(), u8::from(time.month()), time.day());
            format!("{year}-{month:02}-{day:02}")
        });
        let certificates = Self {
            ca_pem,
            leaf_pem: leaf.pem(),
            leaf: leaf.der().clone(),
            intermediates,
            not_before,
            not_after,
        };
        (certificates, key)
    }
}

/// A CA with the same name as the one that signed, but another key.
pub(super) fn unrelated_ca_pem() -> String {
    authority().0.pem()
}

fn authority() -> (Certificate, Issuer<'static, KeyPair>) {
    let mut params = CertificateParams::default();
    let name = &mut params.distinguished_name;
    name.remove(DnType::CommonName);
    name.push(DnType::CommonName, "Proxmox Virtual Environment");
    name.push(
        DnType::OrganizationalUnitName,
        "1c7a3a52-9d1c-4c59-a0c4-6f8b7c2f6c11",
    );
    name.push(DnType::OrganizationName, "PVE Cluster Manager CA");
    set_days(&mut params, CA_DAYS);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate().expect("key of the CA");
    let certificate = params.self_signed(&key).expect("CA signs itself");
    (certificate, Issuer::new(params, key))
}

/// A root authority, and an intermediate one that signs certificates of servers.
fn authorities() -> (Certificate, Certificate, Issuer<'static, KeyPair>) {
    let params = |name: &str| {
        let mut params = CertificateParams::default();
        let names = &mut params.distinguished_name;
        names.push(DnType::CommonName, name);
        names.push(DnType::OrganizationName, "Lab");
        set_days(&mut params, CA_DAYS);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
    };
    let [root_key, key] = [(); 2].map(|()| KeyPair::generate().expect("key of an authority"));
    let root_params = params("Lab Root");
    let root = root_params.self_signed(&root_key).expect("signs itself");
    let root_issuer = Issuer::new(root_params, root_key);
    let params = params("Lab Servers");
    let intermediate = params.signed_by(&key, &root_issuer).expect("signed");
    (root, intermediate, Issuer::new(params, key))
}

fn leaf_params(shown: Shown) -> CertificateParams {
    let names = if shown == Shown::OtherNames {
        vec!["pve9.lan", "192.0.2.9"]
    } else {
        vec!["localhost", "127.0.0.1", "::1"]
    };
    let names: Vec<_> = names.into_iter().map(str::to_owned).collect();
    let mut params = CertificateParams::new(names).expect("names are valid");
    let name = &mut params.distinguished_name;
    name.remove(DnType::CommonName);
    name.push(DnType::OrganizationalUnitName, "PVE Cluster Node");
    name.push(DnType::OrganizationName, "Proxmox Virtual Environment");
    name.push(DnType::CommonName, "pve1.lan");
    set_validity(&mut params, shown);
    params.is_ca = IsCa::ExplicitNoCa;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    params
}

const CA_DAYS: u32 = 3650;
const LEAF_DAYS: u32 = 730;

fn set_validity(params: &mut CertificateParams, shown: Shown) {
    match shown {
        Shown::Good
        | Shown::OtherNames
        | Shown::SelfSigned
        | Shown::WithIntermediate
        | Shown::WithoutIntermediate => set_days(params, LEAF_DAYS),
        Shown::SoonExpired => set_days(params, 10),
        Shown::Expired => {
            params.not_before = date_time_ymd(2024, 1, 31);
            params.not_after = date_time_ymd(2025, 1, 31);
        }
        Shown::NotValidYet => {
            params.not_before = date_time_ymd(2090, 1, 1);
            params.not_after = date_time_ymd(2092, 1, 1);
        }
    }
}

/// Valid from yesterday and for this many days from now, plus a minute, so that a client still counts full
/// days.
fn set_days(params: &mut CertificateParams, days: u32) {
    let day = Duration::from_hours(24);
    let now = UNIX_EPOCH.elapsed().expect("a clock that is not far off");
    let now = date_time_ymd(1970, 1, 1) + now;
    params.not_before = now - day;
    params.not_after = now + day * days + Duration::from_mins(1);
}
