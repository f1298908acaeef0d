//! TLS of the fake: which authority a client must trust.

use std::io::ErrorKind;
use std::net::{Ipv6Addr, TcpStream};
use std::sync::Arc;

use rstest::rstest;
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::client::{Client, get};
use crate::fake_pve::{FakePve, Setup, unrelated_ca_pem};

fn connect_tls(
    fake: &FakePve,
    ca_pem: &str,
    name: &str,
) -> Client<StreamOwned<ClientConnection, TcpStream>> {
    let mut roots = RootCertStore::empty();
    let ca = CertificateDer::from_pem_slice(ca_pem.as_bytes()).unwrap();
    roots.add(ca).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let tls = ClientConnection::new(Arc::new(config), name).unwrap();
    let tcp = TcpStream::connect(fake.address()).unwrap();
    Client::new(StreamOwned::new(tls, tcp))
}

#[rstest]
#[case("localhost")]
#[case("127.0.0.1")]
#[case("::1")]
fn its_certificate_is_valid_with_its_ca(#[case] name: &str) {
    let fake = FakePve::start_tls(Setup::default());
    let mut client = connect_tls(&fake, fake.ca_pem(), name);
    assert_eq!(client.get("/version").unwrap().status, 200);
    assert_eq!(client.get("/nosuch").unwrap().status, 501);
    assert!(client.is_closed());
}

#[test]
fn its_certificate_is_valid_on_ipv6() {
    let fake = FakePve::start_tls_at(Setup::default(), Ipv6Addr::LOCALHOST);
    assert_eq!(fake.url(), format!("https://[::1]:{}", fake.port()));
    let mut client = connect_tls(&fake, fake.ca_pem(), "::1");
    assert_eq!(client.get("/version").unwrap().status, 200);
}

#[test]
fn its_certificate_is_invalid_with_another_ca() {
    let fake = FakePve::start_tls(Setup::default());
    let mut client = connect_tls(&fake, &unrelated_ca_pem(), "localhost");
    assert_eq!(client.read_error(), Some(ErrorKind::InvalidData));
}

#[test]
fn plain_http_is_redirected_to_https() {
    let fake = FakePve::start_tls(Setup::default());
    let reply = get(&fake, "/version");
    assert_eq!(
        (reply.status, reply.headers_named("Location")),
        (301, vec!["Location: https://pve1:8006/api2/json/version"])
    );
}
