//! TLS with certificates like those of Proxmox VE: each way to trust one, with the right server and with a
//! wrong one.

use std::fs;
use std::net::ToSocketAddrs;

use rstest::rstest;

use crate::fake_pve::{FakePve, Setup, Shown, unrelated_ca_pem};
use crate::homelab::{Homelab, Seen};
use crate::skipped;
use crate::today::today;

const LIST: &str = "proxmox template list";

fn setup() -> Setup {
    let setup = r#"{"guests":[{"vmid":9000,"name":"debian-12","template":true}]}"#;
    serde_json::from_str(setup).unwrap()
}

fn fake() -> FakePve {
    FakePve::start_tls(setup())
}

/// A run with `pem` in the file `ca.pem` of its working directory, and without the system's
/// certificates.
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

/// The error for a certificate that is not trusted, with this reason and hint.
fn not_trusted(fake: &FakePve, reason: &str, hint: &str) -> Seen {
    let (port, presented) = (fake.port(), fake.fingerprint());
    not_listed(&format!(
        "cannot trust 127.0.0.1:{port}: {reason}; its fingerprint is {presented}\n\
         Hint: {hint}"
    ))
}

/// `instead` names what the pin replaces.
fn compare(fake: &FakePve, instead: &str) -> String {
    format!(
        "compare that fingerprint with the one that 'pvenode cert info' on the node shows for \
         pveproxy-ssl.pem, or for pve-ssl.pem if there is no such file (not for pve-root-ca.pem); if they \
         match: PROXMOX_FINGERPRINT={}{instead}",
        fake.fingerprint()
    )
}

fn pin_or_authority(fake: &FakePve, instead: &str) -> String {
    format!(
        "copy the cluster's CA certificate, /etc/pve/pve-root-ca.pem, from a node and set PROXMOX_CA_FILE to \
         the copy; or, until the certificate is renewed, {}",
        compare(fake, instead)
    )
}

const NOT_BY_FILE: &str = " instead of the CA file";

const UNKNOWN_AUTHORITY: &str = "its certificate is signed by an untrusted CA";

#[test]
fn the_clusters_own_authority_is_trusted_as_ca_file() {
    let fake = fake();
    let seen = with_file(&fake, fake.ca_pem()).env("PROXMOX_CA_FILE", "ca.pem");
    assert_eq!(seen.run(LIST), listed());
}

#[rstest]
#[case::by_name("localhost")]
#[case::by_address("127.0.0.1")]
fn the_host_must_be_named_in_the_certificate(#[case] name: &str) {
    if (name, 0).to_socket_addrs().is_err() {
        skipped::say(&format!("{name} does not resolve"));
        return;
    }
    let fake = fake();
    let address = format!("{name}:{}", fake.port());
    let seen = with_file(&fake, fake.ca_pem()).env("PROXMOX_HOST", &address);
    assert_eq!(seen.run("proxmox template list --ca-file ca.pem"), listed());
}

#[rstest]
#[case::by_its_authority(true)]
#[case::by_its_pin(false)]
fn an_ipv6_address_is_accepted(#[case] by_authority: bool) {
    let fake = FakePve::start_tls_at(setup(), std::net::Ipv6Addr::LOCALHOST);
    let homelab = with_file(&fake, fake.ca_pem());
    let homelab = if by_authority {
        homelab.env("PROXMOX_CA_FILE", "ca.pem")
    } else {
        homelab.env("PROXMOX_FINGERPRINT", &fake.fingerprint())
    };
    assert_eq!(homelab.run(LIST), listed());
}

#[test]
fn another_authority_is_not_trusted_and_nothing_is_sent() {
    let fake = fake();
    let seen = with_file(&fake, &unrelated_ca_pem()).env("PROXMOX_CA_FILE", "ca.pem");
    let hint = pin_or_authority(&fake, NOT_BY_FILE);
    let expected = not_trusted(&fake, UNKNOWN_AUTHORITY, &hint);
    assert_eq!(seen.run(LIST), expected);
    assert_eq!(fake.journal(), [""; 0]);
}

#[test]
fn a_byte_order_mark_before_the_authority_is_ignored() {
    let fake = fake();
    let seen = with_file(&fake, &format!("\u{feff}{}", fake.ca_pem()));
    assert_eq!(seen.run("proxmox template list --ca-file ca.pem"), listed());
}

#[test]
fn in_json_the_kind_is_untrusted() {
    let fake = fake();
    let seen = with_file(&fake, &unrelated_ca_pem()).run("proxmox vm list --json --ca-file ca.pem");
    assert!(seen.stdout.starts_with(r#"{"error":{"kind":"untrusted","#));
}

#[test]
fn without_settings_the_systems_authorities_are_trusted() {
    let fake = fake();
    let homelab = with_file(&fake, fake.ca_pem()).env("SSL_CERT_FILE", "ca.pem");
    assert_eq!(homelab.run(LIST), listed());
    let homelab = with_file(&fake, &unrelated_ca_pem()).env("SSL_CERT_FILE", "ca.pem");
    let expected = not_trusted(&fake, UNKNOWN_AUTHORITY, &pin_or_authority(&fake, ""));
    assert_eq!(homelab.run(LIST), expected);
}

#[test]
fn on_a_system_without_authorities_the_error_says_so() {
    let fake = fake();
    let reason =
        "its certificate cannot be verified, because this system has no trusted CA certificates";
    let expected = not_trusted(&fake, reason, &pin_or_authority(&fake, ""));
    assert_eq!(with_file(&fake, "").run(LIST), expected);
    assert_eq!(fake.journal(), [""; 0]);
}

#[rstest]
#[case::as_proxmox_shows_it(|pin: String| pin)]
#[case::in_lower_case(|pin: String| pin.to_lowercase())]
#[case::without_colons(|pin: String| pin.replace(':', ""))]
fn a_pinned_certificate_needs_no_authority_and_no_name(
    #[case] written: fn(String) -> String,
    #[values(Shown::Good, Shown::OtherNames, Shown::SelfSigned, Shown::SoonExpired)] shown: Shown,
) {
    let fake = FakePve::start_tls_as(setup(), shown);
    let pin = written(fake.fingerprint());
    let seen = with_file(&fake, "").env("PROXMOX_FINGERPRINT", &pin);
    assert_eq!(seen.run(LIST), listed());
    let seen = with_file(&fake, "").run(&format!("{LIST} --fingerprint {pin}"));
    assert_eq!(seen, listed());
}

#[test]
fn a_pin_can_be_set_in_the_configuration_file() {
    let fake = fake();
    let homelab = with_file(&fake, "");
    let json = format!(
        r#"{{"proxmox":{{"fingerprint":"{}"}}}}"#,
        fake.fingerprint()
    );
    fs::write(homelab.home().join("my.json"), json).unwrap();
    let seen = homelab.run("proxmox template list --config my.json");
    assert_eq!(seen, listed());
}

#[test]
fn another_certificate_than_the_pinned_one_is_refused_and_nothing_is_sent() {
    let [fake, other] = [(); 2].map(|()| fake());
    let pin = other.fingerprint();
    // Even if its authority is trusted.
    let seen = with_file(&fake, fake.ca_pem())
        .env("SSL_CERT_FILE", "ca.pem")
        .env("PROXMOX_FINGERPRINT", &pin)
        .run(LIST);
    let reason = format!("its certificate is not the pinned one, {pin}");
    let hint = format!(
        "the node may have a new certificate: {}; if they differ, another machine may be impersonating it",
        compare(
            &fake,
            " (or --fingerprint, or \"fingerprint\" in the file, wherever it is set now)"
        )
    );
    assert_eq!(seen, not_trusted(&fake, &reason, &hint));
    assert_eq!(fake.journal(), [""; 0]);
}

/// Certificates are public, so a pin is worthless without proof that the server has the key.
#[rstest]
#[case::pinned("PROXMOX_FINGERPRINT")]
#[case::its_authority_trusted("PROXMOX_CA_FILE")]
#[case::anyone_trusted("PROXMOX_VE_INSECURE")]
fn a_stolen_certificate_is_refused_and_nothing_is_sent(#[case] trust: &str) {
    let real = fake();
    let impostor = FakePve::start_impostor(setup(), &real);
    let value = match trust {
        "PROXMOX_FINGERPRINT" => real.fingerprint(),
        "PROXMOX_CA_FILE" => "ca.pem".to_owned(),
        _ => "1".to_owned(),
    };
    let seen = with_file(&impostor, real.ca_pem())
        .env(trust, &value)
        .run(LIST);
    let expected = not_trusted(
        &impostor,
        "it does not hold the private key of the certificate it presented",
        "another machine may be impersonating it; investigate before you continue; nothing was sent",
    );
    let stderr = seen.stderr.split_inclusive('\n');
    let stderr: String = stderr
        .filter(|line| !line.starts_with("Warning: "))
        .collect();
    assert_eq!(Seen { stderr, ..seen }, expected);
    assert_eq!(impostor.journal(), [""; 0]);
}

#[rstest]
#[case::by_its_authority(None)]
#[case::by_its_pin(Some("pin"))]
fn an_expired_certificate_is_refused(#[case] pin: Option<&str>) {
    let fake = FakePve::start_tls_as(setup(), Shown::Expired);
    let homelab = with_file(&fake, fake.ca_pem());
    let homelab = match pin {
        Some(_) => homelab.env("PROXMOX_FINGERPRINT", &fake.fingerprint()),
        None => homelab.env("PROXMOX_CA_FILE", "ca.pem"),
    };
    let reason = format!(
        "its certificate expired on 2025-01-31; this machine's clock says {}",
        today()
    );
    let hint = "if the clock is right, on the node: pvecm updatecerts --force && systemctl restart \
                pveproxy; then pin or trust the new certificate";
    assert_eq!(homelab.run(LIST), not_trusted(&fake, &reason, hint));
}

#[test]
fn for_a_certificate_that_is_not_valid_yet_the_hint_mentions_the_clock() {
    let fake = FakePve::start_tls_as(setup(), Shown::NotValidYet);
    let reason = format!(
        "its certificate is not valid before 2090-01-01; this machine's clock says {}",
        today()
    );
    let hint = "correct the clock of this machine; or correct the clock of the node, and then on the node: \
                pvecm updatecerts --force && systemctl restart pveproxy";
    let seen = with_file(&fake, fake.ca_pem()).env("PROXMOX_CA_FILE", "ca.pem");
    assert_eq!(seen.run(LIST), not_trusted(&fake, &reason, hint));
}

#[test]
fn the_names_of_a_certificate_for_other_hosts_are_shown() {
    let fake = FakePve::start_tls_as(setup(), Shown::OtherNames);
    let hint = format!(
        "use one of its names (PROXMOX_HOST, --host); or {}",
        compare(&fake, NOT_BY_FILE)
    );
    let reason = "its certificate is for other names: pve9.lan, 192.0.2.9";
    let seen = with_file(&fake, fake.ca_pem()).env("PROXMOX_CA_FILE", "ca.pem");
    assert_eq!(seen.run(LIST), not_trusted(&fake, reason, &hint));
}

#[test]
fn a_self_signed_certificate_is_reported_as_such() {
    let fake = FakePve::start_tls_as(setup(), Shown::SelfSigned);
    let seen = with_file(&fake, &unrelated_ca_pem()).env("PROXMOX_CA_FILE", "ca.pem");
    let reason = "its certificate is self-signed";
    let expected = not_trusted(&fake, reason, &compare(&fake, NOT_BY_FILE));
    assert_eq!(seen.run(LIST), expected);
}

#[test]
fn a_server_that_sends_its_intermediate_authority_is_trusted_by_the_root() {
    let fake = FakePve::start_tls_as(setup(), Shown::WithIntermediate);
    let seen = with_file(&fake, fake.ca_pem()).env("PROXMOX_CA_FILE", "ca.pem");
    assert_eq!(seen.run(LIST), listed());
}

#[test]
fn a_server_that_does_not_send_its_intermediate_authority_has_an_incomplete_chain() {
    let fake = FakePve::start_tls_as(setup(), Shown::WithoutIntermediate);
    let seen = with_file(&fake, fake.ca_pem()).env("PROXMOX_CA_FILE", "ca.pem");
    let reason = "its certificate chain is incomplete: the server did not send the certificate of Lab \
                  Servers (Lab), which is not trusted on this machine";
    let hint = format!(
        "on the node, /etc/pve/local/pveproxy-ssl.pem must contain the server's certificate, followed by \
         those of all intermediate CAs; or, if Lab Servers (Lab) is a root CA: set PROXMOX_CA_FILE to its \
         certificate; or {}",
        compare(&fake, NOT_BY_FILE)
    );
    assert_eq!(seen.run(LIST), not_trusted(&fake, reason, &hint));
    assert_eq!(fake.journal(), [""; 0]);
}

#[test]
fn an_authority_that_is_not_trusted_is_named() {
    let fake = FakePve::start_tls_as(setup(), Shown::WithIntermediate);
    let seen = with_file(&fake, &unrelated_ca_pem()).env("PROXMOX_CA_FILE", "ca.pem");
    let reason = format!("{UNKNOWN_AUTHORITY}: Lab Root (Lab)");
    let hint = format!(
        "set PROXMOX_CA_FILE to the certificate of Lab Root (Lab); or {}",
        compare(&fake, NOT_BY_FILE)
    );
    assert_eq!(seen.run(LIST), not_trusted(&fake, &reason, &hint));
}

/// A server whose key is P-521, Ed448 or RSA-PSS sends an alert instead of its certificate.
#[test]
fn for_a_server_with_an_unsupported_key_the_hint_says_to_replace_its_certificate() {
    use std::io::{Read, Write};

    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = std::thread::spawn(move || {
        let (mut tcp, _) = listener.accept().unwrap();
        tcp.read_exact(&mut [0]).unwrap();
        let handshake_failure = [0x15, 3, 3, 0, 2, 2, 40];
        tcp.write_all(&handshake_failure).unwrap();
        let _until_the_client_goes = tcp.read_to_end(&mut Vec::new());
    });
    let seen = Homelab::alone()
        .with_token()
        .env("PROXMOX_HOST", &address)
        .env("SSL_CERT_FILE", "/nonexistent")
        .run(LIST);
    server.join().unwrap();
    let expected = not_listed(&format!(
        "cannot reach {address}: the TLS handshake failed: server and client have no key type or cipher in \
         common; this program supports RSA of 2048 to 8192 bits, ECDSA P-256 and P-384, Ed25519\nHint: \
         replace the server's certificate with one that has another type of key; to see the current one, on \
         the node: openssl x509 -noout -text -in /etc/pve/local/pveproxy-ssl.pem (or pve-ssl.pem, if there \
         is no such file)"
    ));
    assert_eq!(seen, expected);
}

#[rstest]
#[case::by_flag(None, "--insecure")]
#[case::by_name(Some(("PROXMOX_REJECT_UNAUTHORIZED", "false")), "PROXMOX_REJECT_UNAUTHORIZED")]
#[case::by_another_tools_name(Some(("PROXMOX_VE_INSECURE", "true")), "PROXMOX_VE_INSECURE")]
fn any_server_is_trusted_on_request_with_a_warning(
    #[case] setting: Option<(&str, &str)>,
    #[case] origin: &str,
    #[values(Shown::Good, Shown::Expired, Shown::OtherNames, Shown::SelfSigned)] shown: Shown,
) {
    let fake = FakePve::start_tls_as(setup(), shown);
    let homelab = with_file(&fake, "");
    let seen = match setting {
        Some((name, value)) => homelab.env(name, value).run(LIST),
        None => homelab.run("proxmox template list --insecure"),
    };
    let stderr = format!(
        "Warning: the server's certificate is not verified ({origin}): an attacker on the network can steal \
         the token\n"
    );
    assert_eq!(seen, Seen { stderr, ..listed() });
}

#[test]
fn a_quiet_run_prints_the_warning_too() {
    let fake = fake();
    let seen = with_file(&fake, "").run("proxmox vm create web-1 debian-12 --quiet --insecure");
    let warning = "Warning: the server's certificate is not verified (--insecure): an attacker on the \
                   network can steal the token\n";
    let seen = (seen.exit, seen.stdout.as_str(), seen.stderr.as_str());
    assert_eq!(seen, (Some(0), "", warning));
}

#[test]
fn a_vm_is_created_over_tls() {
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

fn badly_configured(reason: &str, hint: &str) -> Seen {
    Seen {
        exit: Some(2),
        ..not_listed(&format!("{reason}\nHint: {hint}"))
    }
}

const AUTHORITY_IS: &str = "PROXMOX_CA_FILE and --ca-file expect the cluster's CA certificate, which is \
                            /etc/pve/pve-root-ca.pem on each node";

#[rstest]
#[case::empty("", "CA file 'ca.pem' contains no PEM certificate")]
#[case::other_text("hello", "CA file 'ca.pem' contains no PEM certificate")]
#[case::truncated("-----BEGIN CERTIFICATE-----\nAAAA\n", "CA file 'ca.pem': invalid PEM")]
#[case::not_base64(
    "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n",
    "CA file 'ca.pem': invalid PEM"
)]
#[case::not_a_certificate(
    "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    "CA file 'ca.pem': contains a malformed certificate"
)]
fn a_ca_file_must_contain_a_certificate(#[case] pem: &str, #[case] reason: &str) {
    let fake = fake();
    let seen = with_file(&fake, pem).run("proxmox template list --ca-file ca.pem");
    assert_eq!(seen, badly_configured(reason, AUTHORITY_IS));
}

#[rstest]
#[case::missing("no.pem", "No such file or directory (os error 2)")]
#[case::folder(".", "Is a directory (os error 21)")]
fn a_ca_file_must_be_readable(#[case] path: &str, #[case] reason: &str) {
    let fake = fake();
    let seen = with_file(&fake, "").run(&format!("proxmox template list --ca-file {path}"));
    let reason = format!("CA file '{path}': {reason}");
    assert_eq!(seen, badly_configured(&reason, AUTHORITY_IS));
}

#[rstest]
#[case::signed_by_an_authority(Shown::Good)]
#[case::self_signed(Shown::SelfSigned)]
fn the_nodes_own_certificate_is_not_accepted_as_an_authority(#[case] shown: Shown) {
    let fake = FakePve::start_tls_as(setup(), shown);
    let seen = with_file(&fake, fake.leaf_pem()).env("PROXMOX_CA_FILE", "ca.pem");
    let reason = "CA file 'ca.pem' contains a server certificate, not a CA certificate";
    let hint = format!(
        "pin it instead: PROXMOX_FINGERPRINT={} and no CA file; or use the cluster's CA, which is \
         /etc/pve/pve-root-ca.pem on each node",
        fake.fingerprint()
    );
    assert_eq!(seen.run(LIST), badly_configured(reason, &hint));
    assert_eq!(fake.journal(), [""; 0]);
}

#[test]
fn a_ca_file_may_contain_other_certificates_too() {
    let fake = fake();
    let chain = format!("{}{}", fake.leaf_pem(), fake.ca_pem());
    let seen = with_file(&fake, &chain).env("PROXMOX_CA_FILE", "ca.pem");
    assert_eq!(seen.run(LIST), listed());
}

const CHECK_THE_PORT: &str = "Proxmox VE uses TLS on port 8006; check the port (PROXMOX_PORT, --host): it \
                              may belong to plain HTTP or to another service";

#[test]
fn https_on_a_port_without_tls_says_so() {
    let fake = FakePve::start(Setup::default());
    let address = format!("127.0.0.1:{}", fake.port());
    let homelab = Homelab::at(&fake).env("PROXMOX_HOST", &address);
    let expected = not_listed(&format!(
        "cannot reach {address}: it closed the connection during the TLS handshake\n\
         Hint: {CHECK_THE_PORT}"
    ));
    let seen = homelab.env("SSL_CERT_FILE", "/nonexistent").run(LIST);
    assert_eq!(seen, expected);
}

#[test]
fn a_port_that_answers_unencrypted_is_reported_as_not_speaking_tls() {
    use std::io::{Read, Write};

    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = std::thread::spawn(move || {
        let (mut tcp, _) = listener.accept().unwrap();
        tcp.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
            .unwrap();
        let _until_the_client_goes = tcp.read_to_end(&mut Vec::new());
    });
    let seen = Homelab::alone()
        .with_token()
        .env("PROXMOX_HOST", &address)
        .env("SSL_CERT_FILE", "/nonexistent")
        .run(LIST);
    server.join().unwrap();
    let expected = not_listed(&format!(
        "cannot reach {address}: the server on that port does not speak TLS\nHint: {CHECK_THE_PORT}"
    ));
    assert_eq!(seen, expected);
}

#[test]
fn http_on_a_port_with_tls_says_so() {
    let fake = fake();
    let address = format!("127.0.0.1:{}", fake.port());
    let homelab = Homelab::at(&fake).env("PROXMOX_HOST", &format!("http://{address}"));
    let expected = not_listed(&format!(
        "{address} did not answer like Proxmox VE: 301 Moved Permanently, to \
         https://{address}/api2/json/cluster/resources?type=vm\nHint: that port expects https://; remove \
         http:// from the host"
    ));
    assert_eq!(homelab.run(LIST), expected);
}

/// The certificate store is endless, so that reading it would fail the test.
#[test]
fn with_a_pin_no_authorities_are_read() {
    let fake = FakePve::start_tls(Setup::default());
    let seen = Homelab::at(&fake)
        .env("PROXMOX_FINGERPRINT", &fake.fingerprint())
        .env("SSL_CERT_FILE", "/dev/zero")
        .with_memory_limit(400 << 20)
        .run("proxmox template list");
    assert_eq!(
        (seen.exit, seen.stdout.as_str()),
        (Some(0), "No templates found\n")
    );
}
