//! Findings about each host: its name, the connection to it, its certificate, and whether it accepts the
//! token.

use rstest::rstest;
use serde_json::json;

use super::support::{CHECK, all_but, at, cluster, fake, lines, with_verdict};
use crate::fake_pve::{FakePve, Shown};
use crate::homelab::StateDir;

#[test]
fn a_refused_token_ends_the_checks() {
    let fake = fake(cluster(&all_but(None)));
    let state = StateDir::new();
    let seen = at(&fake, &state)
        .env("PROXMOX_TOKEN_KEY", "other")
        .run(CHECK);
    let expected = [
        "ok    configuration: host 127.0.0.1:PORT (PROXMOX_HOST), user homelab@pve (PROXMOX_USER), \
         token key other (PROXMOX_TOKEN_KEY), secret (PROXMOX_TOKEN_SECRET)",
        "ok    connection to 127.0.0.1:PORT: established",
        "ok    certificate of 127.0.0.1:PORT: none: http:// is only used on this machine",
        "FAIL  token homelab@pve!other: 401 Authentication failed! (as homelab@pve!other); user, realm, \
         token ID and secret must belong to one token that has not expired; the server does not say which \
         is wrong, and delays its answer by 3 s; on a node: pveum user token list homelab@pve",
        "ok    state directory STATE: writable, and supports file locks",
    ];
    assert_eq!(lines(&seen, &fake, &state), expected);
    assert_eq!(seen.exit, Some(1));
}

#[rstest]
#[case::beside_one_that_answers(true, "warn", Some(0))]
#[case::alone(false, "FAIL", Some(1))]
fn a_dead_host_is_a_failure_if_no_other_answers(
    #[case] beside_another: bool,
    #[case] verdict: &str,
    #[case] exit: Option<i32>,
) {
    let fake = fake(cluster(&all_but(None)));
    let state = StateDir::new();
    let hosts = if beside_another {
        format!("127.0.0.1:1,{}", fake.url())
    } else {
        "127.0.0.1:1".to_owned()
    };
    let homelab = at(&fake, &state).env("PROXMOX_HOST", &hosts);
    let seen = homelab
        .env("SSL_CERT_FILE", "/nonexistent")
        .run("proxmox check");
    let line = format!(
        "{verdict}  connection to 127.0.0.1:1: Connection refused (os error 111); check the host and \
         port (PROXMOX_HOST, PROXMOX_PORT, --host), and that pveproxy is running there"
    );
    assert_eq!(with_verdict(verdict, &lines(&seen, &fake, &state)), [line]);
    assert_eq!(seen.exit, exit);
}

#[test]
fn a_name_that_cannot_be_resolved_is_the_failure() {
    let fake = fake(cluster(&all_but(None)));
    let state = StateDir::new();
    let seen = at(&fake, &state)
        .env("PROXMOX_HOST", "nosuch.invalid")
        .env("PROXMOX_VE_INSECURE", "1")
        .run("proxmox check");
    let failed = with_verdict("FAIL", &lines(&seen, &fake, &state));
    // The message of the resolver depends on the machine.
    let beginning = "FAIL  name nosuch.invalid: cannot be resolved: ";
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0].get(..beginning.len()), Some(beginning));
}

fn over_tls(shown: Shown) -> (FakePve, StateDir) {
    let setup = serde_json::from_value(cluster(&all_but(None))).unwrap();
    (FakePve::start_tls_as(setup, shown), StateDir::new())
}

#[test]
fn a_certificate_that_expires_soon_is_a_warning() {
    let (fake, state) = over_tls(Shown::SoonExpired);
    let seen = at(&fake, &state)
        .env("PROXMOX_FINGERPRINT", &fake.fingerprint())
        .run("proxmox check");
    let line = format!(
        "warn  certificate of 127.0.0.1:PORT: expires soon: pinned, valid until {}, SHA-256 {}; on \
         the node: pvecm updatecerts --force && systemctl restart pveproxy (or however the certificate was \
         issued); if the old one is pinned, then pin the new one",
        fake.leaf_not_after(),
        fake.fingerprint()
    );
    assert_eq!(with_verdict("warn", &lines(&seen, &fake, &state)), [line]);
    assert_eq!(seen.exit, Some(0));
}

#[test]
fn a_certificate_that_is_not_trusted_is_the_only_failure() {
    let (fake, state) = over_tls(Shown::Good);
    let homelab = at(&fake, &state).env("SSL_CERT_FILE", "/nonexistent");
    let seen = homelab
        .env("SSL_CERT_DIR", "/nonexistent")
        .run("proxmox check");
    let lines = lines(&seen, &fake, &state);
    let failed = with_verdict("FAIL", &lines);
    assert_eq!(failed.len(), 1);
    let beginning = format!(
        "FAIL  certificate of 127.0.0.1:PORT: its certificate cannot be verified, because this system has no \
         trusted CA certificates; its fingerprint is {}; copy the cluster's CA certificate",
        fake.fingerprint()
    );
    assert_eq!(failed[0].get(..beginning.len()), Some(beginning.as_str()));
    assert_eq!(lines[1], "ok    connection to 127.0.0.1:PORT: established");
    assert_eq!(fake.journal(), [""; 0]);
}

#[test]
fn a_certificate_that_is_not_trusted_is_a_warning_if_another_host_answers() {
    let (distrusted, state) = over_tls(Shown::Good);
    let good = fake(cluster(&all_but(None)));
    let run = |arguments: &str| {
        at(&good, &state)
            .env(
                "PROXMOX_HOST",
                &format!("{},{}", distrusted.url(), good.url()),
            )
            .env("SSL_CERT_FILE", "/nonexistent")
            .env("SSL_CERT_DIR", "/nonexistent")
            .run(arguments)
    };
    let seen = run("proxmox check");
    let found = with_verdict(
        "warn  certificate of 127.0.0.1:PORT",
        &lines(&seen, &distrusted, &state),
    );
    assert_eq!((found.len(), seen.exit), (1, Some(0)));
    assert_eq!(run("proxmox vm create web-1 debian-12").exit, Some(0));
}

#[test]
fn an_unverified_certificate_is_a_warning_with_its_fingerprint() {
    let (fake, state) = over_tls(Shown::Good);
    let seen = at(&fake, &state).run("proxmox check --insecure");
    let (until, fingerprint) = (fake.leaf_not_after(), fake.fingerprint());
    let warning = "the server's certificate is not verified (--insecure): an attacker on the network can \
                   steal the token";
    let expected = [
        format!(
            "warn  configuration: host 127.0.0.1:PORT (PROXMOX_HOST), user homelab@pve \
             (PROXMOX_USER), token key cli (PROXMOX_TOKEN_KEY), secret (PROXMOX_TOKEN_SECRET), trust \
             any certificate (--insecure); {warning}"
        ),
        format!(
            "warn  certificate of 127.0.0.1:PORT: not verified, valid until {until}, SHA-256 {fingerprint}; \
             compare that fingerprint with the one that 'pvenode cert info' on the node shows for \
             pveproxy-ssl.pem, or for pve-ssl.pem if there is no such file (not for pve-root-ca.pem); if \
             they match: PROXMOX_FINGERPRINT={fingerprint} instead of disabling verification"
        ),
    ];
    assert_eq!(seen.stderr, format!("Warning: {warning}\n"));
    assert_eq!(with_verdict("warn", &lines(&seen, &fake, &state)), expected);
    assert_eq!(seen.exit, Some(0));
}

#[test]
fn a_missing_ca_file_ends_the_checks() {
    let (fake, state) = over_tls(Shown::Good);
    let seen = at(&fake, &state).run("proxmox check --ca-file no.pem");
    let expected = "FAIL  trust: CA file 'no.pem': No such file or directory (os error 2); \
                    PROXMOX_CA_FILE and --ca-file expect the cluster's CA certificate, which \
                    is /etc/pve/pve-root-ca.pem on each node";
    let lines = lines(&seen, &fake, &state);
    assert_eq!((lines.len(), lines[1].as_str()), (3, expected));
    assert_eq!(seen.exit, Some(2));
}

/// Commands use the first host that answers; the second one is asked as soon as that is down.
#[rstest]
#[case::first(true, "FAIL", 1)]
#[case::second(false, "warn", 0)]
fn a_host_that_refuses_the_token_is_a_failure_if_it_is_asked_first(
    #[case] is_first: bool,
    #[case] verdict: &str,
    #[case] exit: i32,
) {
    let (good, other) = (fake(cluster(&all_but(None))), fake(json!({})));
    let state = StateDir::new();
    let mut hosts = [good.url(), other.url()];
    if is_first {
        hosts.reverse();
    }
    let run = |arguments: &str| {
        let homelab = at(&good, &state).env("PROXMOX_HOST", &hosts.join(","));
        homelab.run(arguments)
    };
    let seen = run("proxmox check");
    let found = with_verdict(
        &format!("{verdict}  token at"),
        &lines(&seen, &other, &state),
    );
    let beginning = format!(
        "{verdict}  token at 127.0.0.1:PORT: 401 Authentication failed! (as homelab@pve!cli); "
    );
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].get(..beginning.len()), Some(beginning.as_str()));
    assert_eq!(seen.exit, Some(exit));
    assert_eq!(run("proxmox vm create web-1 debian-12").exit, Some(exit));
}

#[test]
fn an_answer_that_is_not_from_proxmox_is_the_failure_and_not_the_connection() {
    let web = json!({"status": 200, "reason": "OK", "type": "text/html", "body": "<html>"});
    let setup = json!({"faults": [{"on": "GET", "answer": web}]});
    let fake = FakePve::start_tls(serde_json::from_value(setup).unwrap());
    let state = StateDir::new();
    let seen = at(&fake, &state)
        .env("PROXMOX_FINGERPRINT", &fake.fingerprint())
        .run("proxmox check");
    let lines = lines(&seen, &fake, &state);
    let beginnings: Vec<&str> = lines
        .iter()
        .filter_map(|line| line.split(':').next())
        .collect();
    assert_eq!(
        beginnings,
        [
            "ok    configuration",
            "ok    connection to 127.0.0.1",
            "ok    certificate of 127.0.0.1",
            "FAIL  response of 127.0.0.1",
            "ok    state directory STATE",
        ]
    );
    let line = "FAIL  response of 127.0.0.1:PORT: not from Proxmox VE: 200 OK, text/html; check that \
                PROXMOX_HOST and PROXMOX_PORT are those of Proxmox VE itself, not of a proxy or another \
                service";
    assert_eq!(lines[3], line);
}
