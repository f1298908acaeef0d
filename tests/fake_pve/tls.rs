//! Certificates as a Proxmox VE cluster makes them: its own CA, and a leaf for the node.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair,
};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;

/// What a TLS server needs, and what its clients may want to trust.
pub(super) struct Identity {
    pub(super) config: Arc<ServerConfig>,
    pub(super) ca_pem: String,
    pub(super) leaf_pem: String,
}

impl Identity {
    pub(super) fn new() -> Self {
        let (ca, issuer) = certificate_authority();
        let key = KeyPair::generate().expect("key of the node");
        let leaf = leaf_params().signed_by(&key, &issuer).expect("node signed");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring knows TLS 1.2 and 1.3")
            .with_no_client_auth()
            .with_single_cert(
                vec![leaf.der().clone()],
                PrivateKeyDer::Pkcs8(key.serialize_der().into()),
            )
            .expect("key fits its certificate");
        Self {
            config: Arc::new(config),
            ca_pem: ca.pem(),
            leaf_pem: leaf.pem(),
        }
    }
}

/// A CA that has signed nothing here, in the same name as the one that has.
pub(super) fn unrelated_ca_pem() -> String {
    certificate_authority().0.pem()
}

fn certificate_authority() -> (Certificate, Issuer<'static, KeyPair>) {
    let mut params = CertificateParams::default();
    let name = &mut params.distinguished_name;
    name.remove(DnType::CommonName);
    name.push(DnType::CommonName, "Proxmox Virtual Environment");
    name.push(
        DnType::OrganizationalUnitName,
        "1c7a3a52-9d1c-4c59-a0c4-6f8b7c2f6c11",
    );
    name.push(DnType::OrganizationName, "PVE Cluster Manager CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate().expect("key of the CA");
    let certificate = params.self_signed(&key).expect("CA signs itself");
    (certificate, Issuer::new(params, key))
}

fn leaf_params() -> CertificateParams {
    let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let mut params = CertificateParams::new(names).expect("names are valid");
    let name = &mut params.distinguished_name;
    name.remove(DnType::CommonName);
    name.push(DnType::OrganizationalUnitName, "PVE Cluster Node");
    name.push(DnType::OrganizationName, "Proxmox Virtual Environment");
    name.push(DnType::CommonName, "pve1.lan");
    params.is_ca = IsCa::ExplicitNoCa;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    params
}
