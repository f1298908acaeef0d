//! A TLS server with a certificate of the cluster.

use std::sync::Arc;

use rcgen::KeyPair;
use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::crypto::ring::sign::any_ecdsa_type;
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::{CertifiedKey, SingleCertAndKey};

use super::certificates::{Certificates, Shown};

pub(super) struct Identity {
    pub(super) config: Arc<ServerConfig>,
    pub(super) certificates: Certificates,
}

impl Identity {
    pub(super) fn new(shown: Shown) -> Self {
        let (certificates, key) = Certificates::make(shown);
        Self::with_key(certificates, &key)
    }

    /// With the certificate of another identity, but its own key.
    pub(super) fn stolen_from(other: &Self) -> Self {
        let key = KeyPair::generate().expect("key of the thief");
        Self::with_key(other.certificates.clone(), &key)
    }

    /// Skips the check of rustls that certificate and key match.
    fn with_key(certificates: Certificates, key: &KeyPair) -> Self {
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let key = any_ecdsa_type(&key).expect("such keys are made here");
        let mut shown = vec![certificates.leaf.clone()];
        shown.extend(certificates.intermediates.clone());
        let certified = CertifiedKey::new(shown, key);
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring knows TLS 1.2 and 1.3")
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
        Self {
            config: Arc::new(config),
            certificates,
        }
    }

    /// SHA-256 of the certificate, as Proxmox VE writes it: `AA:BB:…`.
    pub(super) fn fingerprint(&self) -> String {
        let sum = ring::digest::digest(&ring::digest::SHA256, &self.certificates.leaf);
        let bytes: Vec<_> = sum.as_ref().iter().map(|b| format!("{b:02X}")).collect();
        bytes.join(":")
    }
}
