//! Forward proxies from the environment, and reverse proxies in front of the server.

mod connect;
mod head;
mod reverse;

use rstest::rstest;
use serde_json::json;

use crate::fake_pve::{FakePve, Setup};
use crate::homelab::{Homelab, Seen};
use connect::ConnectProxy;

const LIST: &str = "proxmox template list";
const CREATE: &str = "proxmox vm create web-1 debian-12 --poll-interval 0.01";
/// Only a proxy can resolve it.
const HOST: &str = "pve.invalid";

fn setup() -> Setup {
    let guests = json!({"guests": [{"vmid": 9000, "name": "debian-12", "template": true}]});
    serde_json::from_value(guests).unwrap()
}

fn listed() -> Seen {
    Seen {
        exit: Some(0),
        stdout: "VMID  Name       Node\n9000  debian-12  pve1\n".to_owned(),
        stderr: String::new(),
    }
}

fn not_listed(stderr: String) -> Seen {
    Seen {
        exit: Some(1),
        stdout: String::new(),
        stderr,
    }
}

/// A run that uses the host name that only the proxy can resolve.
fn at(fake: &FakePve, proxy: &str) -> Homelab {
    let homelab = Homelab::alone().with_token().env("PROXMOX_HOST", HOST);
    homelab
        .env("PROXMOX_FINGERPRINT", &fake.fingerprint())
        .env("HTTPS_PROXY", proxy)
}

fn refused(proxy: &ConnectProxy, message: &str, hint: &str) -> Seen {
    not_listed(format!(
        "Failed to list templates: cannot reach {HOST}:8006: proxy {} (HTTPS_PROXY): {message}\n\
         Hint: {hint}; to reach {HOST} without the proxy: NO_PROXY={HOST}\n",
        proxy.address()
    ))
}

#[test]
fn a_host_is_reached_through_the_proxy_of_the_environment() {
    let fake = FakePve::start_tls(setup());
    let proxy = ConnectProxy::to(fake.address(), &[200]);
    let seen = at(&fake, &format!("http://ann:s3cret@{}", proxy.address())).run(LIST);
    assert_eq!(seen, listed());
    let [asked] = &proxy.asked()[..] else {
        panic!("one request for a connection");
    };
    assert_eq!(asked.first_line, format!("CONNECT {HOST}:8006 HTTP/1.1"));
    let password = asked.header("Proxy-Authorization");
    assert_eq!(password, Some("Basic YW5uOnMzY3JldA=="));
    assert_eq!(asked.header("Authorization"), None);
}

#[test]
fn a_vm_is_created_through_a_proxy() {
    let fake = FakePve::start_tls(setup());
    let proxy = ConnectProxy::to(fake.address(), &[200]);
    let seen = at(&fake, &proxy.address().to_string()).run(CREATE);
    let created = "Successfully created VM 100 'web-1' on node 'pve1'\n";
    assert_eq!((seen.exit, seen.stdout.as_str()), (Some(0), created));
}

/// A proxy could otherwise impersonate the server.
#[test]
fn the_certificate_is_verified_through_a_proxy_too() {
    let [fake, other] = [(); 2].map(|()| FakePve::start_tls(setup()));
    let proxy = ConnectProxy::to(other.address(), &[200]);
    let seen = at(&fake, &proxy.address().to_string()).run(LIST);
    let beginning = format!(
        "Failed to list templates: cannot trust {HOST}:8006: its certificate is not the pinned one"
    );
    assert_eq!(seen.stderr.get(..beginning.len()), Some(&*beginning));
    assert_eq!(other.journal(), [""; 0]);
}

#[rstest]
#[case::forbidden(&[403], "it responded 403", "check HTTPS_PROXY")]
#[case::unknown_host(&[502], "it responded 502", "check HTTPS_PROXY")]
#[case::without_a_password(
    &[407],
    "it responded 407",
    "the proxy requires a user and a password: HTTPS_PROXY=http://USER:PASSWORD@ADDRESS"
)]
fn a_proxy_that_does_not_connect_is_named(
    #[case] status: &'static [u16],
    #[case] message: &str,
    #[case] hint: &str,
) {
    let fake = FakePve::start_tls(setup());
    let proxy = ConnectProxy::to(fake.address(), status);
    let hint = hint.replace("ADDRESS", &proxy.address().to_string());
    let seen = at(&fake, &proxy.address().to_string()).run(LIST);
    assert_eq!(seen, refused(&proxy, message, &hint));
}

#[test]
fn a_proxy_that_cannot_be_reached_is_named() {
    let fake = FakePve::start_tls(setup());
    let dead = crate::fake_pve::Port::on(std::net::Ipv4Addr::LOCALHOST);
    let address = dead.address();
    let expected = not_listed(format!(
        "Failed to list templates: cannot reach {HOST}:8006: proxy {address} (HTTPS_PROXY): \
         Connection refused (os error 111)\n\
         Hint: check HTTPS_PROXY; to reach {HOST} without the proxy: NO_PROXY={HOST}\n"
    ));
    assert_eq!(at(&fake, &address.to_string()).run(LIST), expected);
}

/// No part of the clone request has left this machine in that case.
#[test]
fn a_clone_that_the_proxy_refused_goes_to_the_next_host() {
    let closing = Setup {
        close_every: true,
        ..setup()
    };
    let (one, two) = (FakePve::start_tls(closing), FakePve::start_tls(setup()));
    // 200 for the list and the next VMID, 403 for the clone.
    let proxy = ConnectProxy::to(one.address(), &[200, 200, 403]);
    let pins = [one.fingerprint(), two.fingerprint()].join(",");
    let hosts = format!("{HOST},127.0.0.1:{}", two.port());
    let homelab = at(&one, &proxy.address().to_string())
        .env("PROXMOX_HOST", &hosts)
        .env("PROXMOX_FINGERPRINT", &pins);
    let seen = homelab.run(CREATE);
    let stderr = format!(
        "Creating VM 'web-1' from template 'debian-12'...\ncannot reach {HOST}:8006: proxy {} \
         (HTTPS_PROXY): it responded 403; trying another host\n",
        proxy.address()
    );
    let created = "Successfully created VM 100 'web-1' on node 'pve1'\n".to_owned();
    let expected = Seen {
        exit: Some(0),
        stdout: created,
        stderr,
    };
    assert_eq!(seen, expected);
    let posts = |fake: &FakePve| {
        let journal = fake.journal().into_iter();
        journal.filter(|line| line.starts_with("POST")).count()
    };
    assert_eq!((posts(&one), posts(&two)), (0, 1));
}

#[test]
fn loopback_is_reached_without_the_proxy() {
    let fake = FakePve::start_tls(setup());
    let proxy = ConnectProxy::to(fake.address(), &[403]);
    let homelab = at(&fake, &proxy.address().to_string());
    let homelab = homelab.env("PROXMOX_HOST", &fake.url());
    assert_eq!(homelab.run(LIST), listed());
    assert_eq!(proxy.asked().len(), 0);
}

#[test]
fn a_host_in_no_proxy_is_reached_without_the_proxy() {
    let fake = FakePve::start_tls(setup());
    let proxy = ConnectProxy::to(fake.address(), &[200]);
    let homelab = at(&fake, &proxy.address().to_string()).env("NO_PROXY", ".invalid");
    // Only the proxy can resolve the name.
    assert_eq!(homelab.run(LIST).exit, Some(1));
    assert_eq!(proxy.asked().len(), 0);
}

#[rstest]
#[case::unsupported_scheme("socks5://127.0.0.1:9", "only proxies with http:// are supported")]
#[case::not_a_url("http://", "not a proxy URL")]
fn a_proxy_that_cannot_be_used_is_ignored_with_a_warning(#[case] url: &str, #[case] why: &str) {
    let fake = FakePve::start_tls(setup());
    let hosts = format!("127.0.0.1:{},{HOST}", fake.port());
    let pins = [fake.fingerprint(), fake.fingerprint()].join(",");
    let homelab = at(&fake, url)
        .env("PROXMOX_HOST", &hosts)
        .env("PROXMOX_FINGERPRINT", &pins);
    let stderr = format!("Warning: HTTPS_PROXY is ignored: {why}; connecting without a proxy\n");
    assert_eq!(homelab.run(LIST), Seen { stderr, ..listed() });
}

#[test]
fn check_shows_the_proxy() {
    let fake = FakePve::start_tls(setup());
    let proxy = ConnectProxy::to(fake.address(), &[200]);
    let seen = at(&fake, &proxy.address().to_string()).run("proxmox check");
    let address = proxy.address();
    for line in [
        format!("proxy {address} (HTTPS_PROXY)"),
        format!("connection to {HOST}:8006: established through proxy {address}"),
    ] {
        assert!(
            seen.stdout.contains(&line),
            "{line}\nis not in\n{}",
            seen.stdout
        );
    }
    // This machine does not resolve the name.
    assert!(!seen.stdout.contains(&format!("name {HOST}")));
}

/// A run that reaches the fake through a reverse proxy, and the proxy's address.
fn behind_a_proxy(fake: &FakePve) -> (Homelab, String) {
    let address = reverse::in_front_of(fake.address());
    let url = format!("http://{address}/pve/");
    let homelab = Homelab::alone().with_token();
    let homelab = homelab.env("PROXMOX_VE_ENDPOINT", &url);
    (homelab, format!("{address}/pve"))
}

#[test]
fn a_vm_is_created_through_a_reverse_proxy_with_a_path() {
    let fake = FakePve::start(setup());
    let (homelab, _) = behind_a_proxy(&fake);
    let seen = homelab.run(CREATE);
    let created = "Successfully created VM 100 'web-1' on node 'pve1'\n";
    assert_eq!((seen.exit, seen.stdout.as_str()), (Some(0), created));
}

/// Since Proxmox VE 8.4, the server's message is also in the body.
#[test]
fn behind_a_reverse_proxy_the_servers_message_is_read_from_the_body() {
    let fake = FakePve::start(setup());
    let (homelab, _) = behind_a_proxy(&fake);
    let seen = homelab.run(&format!("{CREATE} --storage nosuch"));
    let expected = "Failed to create VM: cannot clone template 9000 to VM 100: storage 'nosuch' does \
                    not exist";
    assert_eq!(
        (seen.exit, seen.stderr.lines().nth(1)),
        (Some(1), Some(expected))
    );
}

fn with_answer(status: u16, body: Option<&str>) -> FakePve {
    let answer = json!({"status": status, "reason": "x", "type": "text/html", "body": body});
    let mut setup = setup();
    setup.faults = vec![serde_json::from_value(json!({"on": "GET", "answer": answer})).unwrap()];
    FakePve::start(setup)
}

#[test]
fn a_status_without_a_reason_phrase_is_shown_as_such() {
    let fake = with_answer(595, None);
    let (homelab, address) = behind_a_proxy(&fake);
    let expected = not_listed(format!(
        "Failed to list templates: 595 no reason given\nHint: pveproxy on {address} could not reach \
         pvedaemon; there: systemctl status pvedaemon\n"
    ));
    assert_eq!(homelab.run(LIST), expected);
}

#[rstest]
#[case::server_is_down(502, "Bad Gateway")]
#[case::server_is_slow(504, "Gateway Timeout")]
fn an_answer_of_the_proxy_itself_is_distinguished(#[case] status: u16, #[case] reason: &str) {
    let fake = with_answer(status, Some("<html>"));
    let (homelab, address) = behind_a_proxy(&fake);
    let expected = not_listed(format!(
        "Failed to list templates: {address} did not answer like Proxmox VE: {status} {reason}, \
         text/html\nHint: a proxy in front of Proxmox VE answered in its place: check where it \
         forwards requests to; on the node: systemctl status pveproxy\n"
    ));
    assert_eq!(homelab.run(LIST), expected);
}
