//! TLS with certificates made as Proxmox VE makes them.

use std::fs;

use rstest::rstest;

use crate::fake_pve::{FakePve, Setup, unrelated_ca_pem};
use crate::homelab::{Homelab, Seen};

const LIST: &str = "proxmox template list";

fn fake() -> FakePve {
    let setup = r#"{"guests":[{"vmid":9000,"name":"debian-12","template":true}]}"#;
    FakePve::start_tls(serde_json::from_str(setup).unwrap())
}

/// A run with `pem` in the file `ca.pem` of its working directory, and no certificates of the
/// system that a test may depend on.
fn with_file(fake: &FakePve, pem: &str) -> Homelab {
    let homelab = Homelab::at(fake)
        .env("SSL_CERT_FILE", "/nonexistent")
        .env("SSL_CERT_DIR", "/nonexistent");
    fs::write(homelab.home().join("ca.pem"), pem).unwrap();
    homelab
}

fn listed() -> Seen {
    Seen {
        exit: Some(0),
        stdout: "VMID  Name       Node\n9000  debian-12  pve1\n".to_owned(),
        stderr: String::new(),
    }
}

fn not_listed(reason: &str) -> Seen {
    Seen {
        exit: Some(1),
        stdout: String::new(),
        stderr: format!("Failed to list templates: {reason}\n"),
    }
}

fn not_trusted(fake: &FakePve) -> Seen {
    not_listed(&format!(
        "cannot trust 127.0.0.1:{}: its certificate is signed by an authority that is not \
         trusted here\nHint: name the authority that signed its certificate with \
         PROXMOX_CA_FILE or --ca-file (a cluster's own is /etc/pve/pve-root-ca.pem on each \
         node), and the host by a name that the certificate holds",
        fake.port()
    ))
}

#[test]
fn the_clusters_own_authority_is_trusted_when_named() {
    let fake = fake();
    let seen = with_file(&fake, fake.ca_pem()).env("PROXMOX_CA_FILE", "ca.pem");
    assert_eq!(seen.run(LIST), listed());
}

#[rstest]
#[case::by_name("localhost")]
#[case::by_address("127.0.0.1")]
fn the_name_in_the_certificate_counts(#[case] name: &str) {
    let fake = fake();
    let address = format!("{name}:{}", fake.port());
    let seen = with_file(&fake, fake.ca_pem()).env("PROXMOX_HOST", &address);
    assert_eq!(seen.run("proxmox template list --ca-file ca.pem"), listed());
}

#[test]
fn another_authority_is_not_trusted_and_nothing_is_sent() {
    let fake = fake();
    let seen = with_file(&fake, &unrelated_ca_pem()).env("PROXMOX_CA_FILE", "ca.pem");
    assert_eq!(seen.run(LIST), not_trusted(&fake));
    assert_eq!(fake.journal(), [""; 0]);
}

#[test]
fn the_nodes_own_certificate_vouches_for_nobody() {
    let fake = fake();
    let seen = with_file(&fake, fake.leaf_pem()).env("PROXMOX_CA_FILE", "ca.pem");
    assert_eq!(seen.run(LIST), not_trusted(&fake));
}

#[test]
fn the_systems_authorities_are_trusted_otherwise() {
    let fake = fake();
    let homelab = with_file(&fake, fake.ca_pem()).env("SSL_CERT_FILE", "ca.pem");
    assert_eq!(homelab.run(LIST), listed());
    let homelab = with_file(&fake, &unrelated_ca_pem()).env("SSL_CERT_FILE", "ca.pem");
    assert_eq!(homelab.run(LIST), not_trusted(&fake));
}

#[test]
fn a_system_without_authorities_says_so() {
    let fake = fake();
    let reason = "cannot speak TLS: this system has no certificate authorities to trust; name \
                  the cluster's own with PROXMOX_CA_FILE or --ca-file";
    let expected = Seen {
        exit: Some(2),
        ..not_listed(reason)
    };
    assert_eq!(with_file(&fake, "").run(LIST), expected);
}

#[rstest]
#[case::by_flag("proxmox template list --insecure", None)]
#[case::by_name(LIST, Some(("PROXMOX_REJECT_UNAUTHORIZED", "false")))]
fn anyone_is_trusted_on_demand(#[case] words: &str, #[case] setting: Option<(&str, &str)>) {
    let fake = fake();
    let homelab = with_file(&fake, "");
    let homelab = match setting {
        Some((name, value)) => homelab.env(name, value),
        None => homelab,
    };
    assert_eq!(homelab.run(words), listed());
}

#[test]
fn a_vm_is_made_over_tls() {
    let fake = fake();
    let homelab = with_file(&fake, fake.ca_pem());
    let seen = homelab.run("proxmox vm create web-1 debian-12 --ca-file ca.pem");
    assert_eq!(
        (seen.exit, seen.stdout.as_str()),
        (
            Some(0),
            "Successfully created VM 100 'web-1' on node 'pve1'\n"
        )
    );
}

#[rstest]
#[case::empty("", "CA file 'ca.pem' holds no PEM certificate")]
#[case::something_else("hello", "CA file 'ca.pem' holds no PEM certificate")]
#[case::cut(
    "-----BEGIN CERTIFICATE-----\nAAAA\n",
    "CA file 'ca.pem': it is damaged"
)]
#[case::not_base64(
    "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n",
    "CA file 'ca.pem': it is damaged"
)]
#[case::not_a_certificate(
    "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    "CA file 'ca.pem': it holds a certificate that is damaged"
)]
fn a_ca_file_must_hold_a_certificate(#[case] pem: &str, #[case] reason: &str) {
    let fake = fake();
    let expected = Seen {
        exit: Some(2),
        ..not_listed(&format!("cannot speak TLS: {reason}"))
    };
    let homelab = with_file(&fake, pem);
    assert_eq!(
        homelab.run("proxmox template list --ca-file ca.pem"),
        expected
    );
}

#[test]
fn a_ca_file_must_be_there() {
    let fake = fake();
    let reason = "cannot speak TLS: CA file 'no.pem': No such file or directory (os error 2)";
    let expected = Seen {
        exit: Some(2),
        ..not_listed(reason)
    };
    let homelab = with_file(&fake, "");
    assert_eq!(
        homelab.run("proxmox template list --ca-file no.pem"),
        expected
    );
}

#[test]
fn https_on_a_port_without_tls_says_so() {
    let fake = FakePve::start(Setup::default());
    let address = format!("127.0.0.1:{}", fake.port());
    let homelab = Homelab::at(&fake).env("PROXMOX_HOST", &address);
    let expected = not_listed(&format!(
        "cannot reach {address}: it cut the connection instead of speaking TLS\nHint: check the host \
         and port (PROXMOX_HOST, PROXMOX_PORT, --host), and that pveproxy is running there"
    ));
    assert_eq!(homelab.run("proxmox template list --insecure"), expected);
}

#[test]
fn http_on_a_port_with_tls_says_so() {
    let fake = fake();
    let address = format!("127.0.0.1:{}", fake.port());
    let homelab = Homelab::at(&fake).env("PROXMOX_HOST", &format!("http://{address}"));
    let expected = not_listed(&format!(
        "{address} did not answer as Proxmox VE does: 301 Moved Permanently, to \
         https://{address}/api2/json/cluster/resources?type=vm\nHint: check that PROXMOX_HOST \
         and PROXMOX_PORT are those of Proxmox VE itself, not of a proxy or another service"
    ));
    assert_eq!(homelab.run(LIST), expected);
}
