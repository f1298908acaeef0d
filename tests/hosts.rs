//! Several hosts: which one is used, and the error if none can be.

use std::net::Ipv4Addr;

use rstest::rstest;
use serde_json::json;

use crate::fake_pve::{FakePve, Port, Setup};
use crate::homelab::{Homelab, Seen};

const LIST: &str = "proxmox template list";
const CREATE: &str = "proxmox vm create web-1 debian-12 --poll-interval 0.01";

fn setup(more: &serde_json::Value) -> Setup {
    let mut setup = json!({"guests": [{"vmid": 9000, "name": "debian-12", "template": true}]});
    let more = more.as_object().unwrap().clone();
    setup.as_object_mut().unwrap().extend(more);
    serde_json::from_value(setup).unwrap()
}

fn fake() -> FakePve {
    FakePve::start(setup(&json!({})))
}

/// A port that nobody listens on while the tests run.
fn dead() -> String {
    let port = Port::on(Ipv4Addr::LOCALHOST);
    let url = format!("http://{}", port.address());
    std::mem::forget(port);
    url
}

fn at(hosts: &[&str]) -> Homelab {
    let homelab = Homelab::alone().with_token();
    homelab.env("PROXMOX_HOST", &hosts.join(","))
}

/// The note about a host that cannot be reached, printed once in a run.
fn skipped(url: &str) -> String {
    let host = url.trim_start_matches("http://");
    format!("cannot reach {host}: Connection refused (os error 111); trying another host\n")
}

fn listed() -> Seen {
    Seen {
        exit: Some(0),
        stdout: "VMID  Name       Node\n9000  debian-12  pve1\n".to_owned(),
        stderr: String::new(),
    }
}

#[test]
fn the_first_host_that_can_be_reached_is_used() {
    let (first, second, third) = (dead(), fake(), fake());
    let seen = at(&[&first, &second.url(), &third.url()]).run(LIST);
    let stderr = skipped(&first);
    assert_eq!(seen, Seen { stderr, ..listed() });
    assert_eq!((second.journal().len(), third.journal().len()), (1, 0));
}

#[test]
fn the_host_that_answered_is_tried_first_for_the_rest_of_the_run() {
    let (first, second, third) = (dead(), fake(), fake());
    let homelab = at(&[&first, &second.url(), &third.url()]);
    let seen = homelab.run(&format!("{CREATE} --verbose"));
    assert_eq!(seen.exit, Some(0));
    assert_eq!((second.journal().len(), third.journal().len()), (4, 0));
    // The list, the VMID and the clone; the answer to the clone says `close`.
    assert_eq!(second.connections(), 2);
    let host = first.trim_start_matches("http://");
    let tries = seen.stderr.lines().filter(|line| line.starts_with(host));
    assert_eq!(tries.count(), 1, "{}", seen.stderr);
}

#[test]
fn a_quiet_run_does_not_report_unreachable_hosts() {
    let (first, second) = (dead(), fake());
    let seen = at(&[&first, &second.url()]).run(&format!("{CREATE} --quiet"));
    let seen = (seen.exit, seen.stdout.as_str(), seen.stderr.as_str());
    assert_eq!(seen, (Some(0), "", ""));
}

#[test]
fn a_clone_that_was_never_sent_goes_to_the_next_host() {
    // Answers twice, and refuses the connection for the clone.
    let one = json!({"faults": [{"request": 3, "refuse_ms": 60_000}]});
    let one = FakePve::start(setup(&one));
    let two = fake();
    let seen = at(&[&one.url(), &two.url()]).run(CREATE);
    assert_eq!(
        seen.stdout,
        "Successfully created VM 100 'web-1' on node 'pve1'\n"
    );
    assert_eq!((posts(&one), posts(&two)), (0, 1));
}

#[test]
fn a_clone_that_pveproxy_could_not_forward_goes_to_the_next_host() {
    let refusal = json!({"status": 595, "reason": "No route to host"});
    let one = json!({"faults": [{"on": "POST", "answer": refusal}]});
    let (one, two) = (FakePve::start(setup(&one)), fake());
    let seen = at(&[&one.url(), &two.url()]).run(CREATE);
    let stderr = format!(
        "Creating VM 'web-1' from template 'debian-12'...\n127.0.0.1:{} answered 595 No route to host; \
         trying another host\n",
        one.port()
    );
    let stdout = "Successfully created VM 100 'web-1' on node 'pve1'\n".to_owned();
    let expected = Seen {
        exit: Some(0),
        stdout,
        stderr,
    };
    assert_eq!(seen, expected);
}

/// The clone may have been carried out before its answer was lost and the host went down. The other node
/// belongs to the same cluster, so requesting another clone there could create a second VM.
#[rstest]
#[case::carried_out("lost")]
#[case::not_carried_out("before")]
fn a_clone_whose_answer_is_lost_is_completed_through_the_next_host(#[case] closing: &str) {
    let faults = json!({"faults": [
        {"on": "POST", "close": closing},
        {"request": 4, "refuse_ms": 60_000},
    ]});
    let one = FakePve::start(setup(&faults));
    let two = FakePve::start_beside(&one, &[]);
    let seen = at(&[&one.url(), &two.url()]).run(CREATE);
    assert_eq!(
        seen.stdout,
        "Successfully created VM 100 'web-1' on node 'pve1'\n"
    );
    let cluster = one.cluster();
    let named = cluster
        .guests
        .values()
        .filter(|guest| guest.name() == Some("web-1"));
    assert_eq!(named.count(), 1);
    assert_eq!(cluster.guests.len(), 2);
}

/// The next request goes to the other host, not to the one that hangs.
#[test]
fn a_host_that_does_not_answer_is_not_tried_first_again() {
    let one = FakePve::start(setup(&json!({"faults": [{"on": "POST", "close": "lost"}]})));
    let two = FakePve::start_beside(&one, &[]);
    at(&[&one.url(), &two.url()]).run(CREATE);
    assert_eq!(one.journal().len(), 3);
    assert_eq!(two.journal()[0], "GET /nodes/pve1/qemu/100/config");
}

#[test]
fn a_read_without_an_answer_goes_to_the_next_host() {
    let one = json!({"faults": [{"on": "GET", "close": "lost"}]});
    let (one, two) = (FakePve::start(setup(&one)), fake());
    let stderr = format!(
        "no answer from 127.0.0.1:{}: the connection was cut; trying another host\n",
        one.port()
    );
    let seen = at(&[&one.url(), &two.url()]).run(LIST);
    assert_eq!(seen, Seen { stderr, ..listed() });
}

#[test]
fn a_refusal_is_not_repeated_on_another_host() {
    let one = json!({"faults": [{"on": "GET", "answer": {
        "status": 500, "reason": "x", "body": "{\"data\":null,\"message\":\"not today\\n\"}"
    }}]});
    let (one, two) = (FakePve::start(setup(&one)), fake());
    let seen = at(&[&one.url(), &two.url()]).run(LIST);
    assert_eq!(
        (seen.exit, seen.stderr.as_str(), two.journal().len()),
        (Some(1), "Failed to list templates: not today\n", 0)
    );
}

#[test]
fn if_no_host_can_be_reached_each_is_named_with_its_reason() {
    let (one, two) = (dead(), dead());
    let hang = json!({"faults": [{"on": "GET", "hang": true}]});
    let three = FakePve::start(setup(&hang));
    let seen = at(&[&one, &two, &three.url()]).run(&format!("{LIST} --request-timeout 0.2"));
    let address = |url: &str| url.trim_start_matches("http://").to_owned();
    let stderr = format!(
        "Failed to list templates: none of the hosts can be used: cannot reach {}: Connection refused \
         (os error 111); cannot reach {}: Connection refused (os error 111); no answer from {}: no \
         complete response within 0.2 s\n\
         Hint: check the hosts and ports (PROXMOX_HOST, PROXMOX_PORT, --host), this machine's \
         network, and that pveproxy is running there\n",
        address(&one),
        address(&two),
        address(&three.url()),
    );
    let expected = Seen {
        exit: Some(1),
        stdout: String::new(),
        stderr,
    };
    assert_eq!(seen, expected);
}

#[test]
fn in_json_the_kind_is_unreachable_if_no_host_can_be_reached() {
    let seen = at(&[&dead(), &dead()]).run(&format!("{CREATE} --json"));
    let kind = r#"{"error":{"kind":"unreachable","#;
    assert_eq!(
        (seen.exit, seen.stdout.get(..kind.len())),
        (Some(1), Some(kind))
    );
    assert!(seen.stdout.contains(r#""started":"no""#));
}

#[rstest]
#[case::by_pins(true)]
#[case::by_one_authority(false)]
fn each_host_has_its_pin_or_all_have_one_authority(#[case] by_pins: bool) {
    let (one, two) = (
        FakePve::start_tls(setup(&json!({}))),
        FakePve::start_tls(setup(&json!({}))),
    );
    let homelab = at(&["127.0.0.1:1", &one.url(), &two.url()]);
    std::fs::write(homelab.home().join("ca.pem"), one.ca_pem()).unwrap();
    let homelab = if by_pins {
        let pins = [two.fingerprint(), one.fingerprint(), two.fingerprint()];
        homelab.env("PROXMOX_FINGERPRINT", &pins.join(","))
    } else {
        homelab.env("PROXMOX_CA_FILE", "ca.pem")
    };
    let stderr = skipped("127.0.0.1:1");
    assert_eq!(homelab.run(LIST), Seen { stderr, ..listed() });
    assert_eq!((one.journal().len(), two.journal().len()), (1, 0));
}

/// A host that is down is expected; a host that is not trusted may be an attack.
#[test]
fn a_host_that_is_not_trusted_is_skipped_with_a_warning() {
    let (one, two) = (
        FakePve::start_tls(setup(&json!({}))),
        FakePve::start_tls(setup(&json!({}))),
    );
    let pins = [two.fingerprint(), two.fingerprint()];
    let homelab = at(&[&one.url(), &two.url()]).env("PROXMOX_FINGERPRINT", &pins.join(","));
    let seen = homelab.run(LIST);
    let warning = format!(
        "Warning: cannot trust 127.0.0.1:{}: its certificate is not the pinned one, {}; its fingerprint is \
         {}; trying another host; the node may have a new certificate: compare that fingerprint with the one \
         that 'pvenode cert info' on the node shows for pveproxy-ssl.pem, or for pve-ssl.pem if there is no \
         such file (not for pve-root-ca.pem); if they match: put it in this host's position in \
         PROXMOX_FINGERPRINT, which takes one fingerprint per host, in the same order: {} (or --fingerprint, \
         or \"fingerprint\" in the file, wherever it is set now); if they differ, another machine may be \
         impersonating it\n",
        one.port(),
        two.fingerprint(),
        one.fingerprint(),
        one.fingerprint(),
    );
    assert_eq!(
        seen,
        Seen {
            stderr: warning,
            ..listed()
        }
    );
    assert_eq!(one.journal(), [""; 0]);
}

#[test]
fn if_no_host_is_trusted_the_hint_says_what_to_do() {
    let (one, two) = (
        FakePve::start_tls(setup(&json!({}))),
        FakePve::start_tls(setup(&json!({}))),
    );
    let homelab = at(&[&one.url(), &two.url()]).env("SSL_CERT_FILE", "/nonexistent");
    let seen = homelab
        .env("SSL_CERT_DIR", "/nonexistent")
        .run("proxmox vm list --json");
    let kind = r#"{"error":{"kind":"untrusted","#;
    assert_eq!(seen.stdout.get(..kind.len()), Some(kind));
    let hint = seen.stderr.lines().nth(1).unwrap();
    let expected = "Hint: copy the cluster's CA certificate, /etc/pve/pve-root-ca.pem, f";
    assert_eq!(hint.get(..expected.len()), Some(expected));
    assert_eq!((one.journal().len(), two.journal().len()), (0, 0));
}

fn posts(fake: &FakePve) -> usize {
    let journal = fake.journal().into_iter();
    journal.filter(|line| line.starts_with("POST")).count()
}

fn without_quorum() -> FakePve {
    FakePve::start(setup(&json!({"no_quorum": true})))
}

fn has_no_quorum(fake: &FakePve) -> String {
    format!(
        "127.0.0.1:{} has no quorum: cluster not ready - no quorum?; trying another host\n",
        fake.port()
    )
}

const CREATING: &str = "Creating VM 'web-1' from template 'debian-12'...\n";

/// A node without quorum may have outdated information about guests.
#[test]
fn a_clone_refused_without_quorum_is_decided_again_through_the_next_host() {
    let (one, two) = (without_quorum(), fake());
    let seen = at(&[&one.url(), &two.url()]).run(CREATE);
    let expected = Seen {
        exit: Some(0),
        stdout: "Successfully created VM 100 'web-1' on node 'pve1'\n".to_owned(),
        stderr: format!("{CREATING}{}", has_no_quorum(&one)),
    };
    assert_eq!(seen, expected);
    assert_eq!((posts(&one), posts(&two)), (1, 1));
    assert_eq!(two.journal()[0], "GET /cluster/resources?type=vm");
}

#[test]
fn a_vm_that_only_the_host_with_quorum_knows_is_not_created_again() {
    let one = without_quorum();
    let two = json!({"guests": [
        {"vmid": 9000, "name": "debian-12", "template": true},
        {"vmid": 120, "name": "web-1"},
    ]});
    let two = FakePve::start(setup(&two));
    let seen = at(&[&one.url(), &two.url()]).run(CREATE);
    let failure = "Failed to create VM: VM 120 'web-1' already exists on node 'pve1'";
    assert_eq!(
        (seen.exit, seen.stderr.lines().nth(2)),
        (Some(1), Some(failure))
    );
    assert_eq!((posts(&one), posts(&two)), (1, 0));
}

#[test]
fn if_no_host_has_quorum_each_host_that_was_tried_is_named() {
    let (one, two) = (without_quorum(), without_quorum());
    let seen = at(&[&one.url(), &two.url()]).run(CREATE);
    let stderr = format!(
        "{CREATING}{}Failed to create VM: cannot clone template 9000 to VM 100: the cluster has no quorum \
         (asked 127.0.0.1:{}, 127.0.0.1:{}): cluster not ready - no quorum?\n\
         Hint: too few nodes of the cluster are online, so nothing can be changed until more of them are \
         back; on a node: pvecm \
         status\n",
        has_no_quorum(&one),
        one.port(),
        two.port()
    );
    let expected = Seen {
        exit: Some(1),
        stdout: String::new(),
        stderr,
    };
    assert_eq!(seen, expected);
    assert_eq!((posts(&one), posts(&two)), (1, 1));
}

/// It is not tried repeatedly while the other host is down.
#[test]
fn a_host_without_quorum_gets_a_change_at_most_twice() {
    let (one, two) = (without_quorum(), dead());
    let seen = at(&[&one.url(), &two]).run(CREATE);
    let failure = format!(
        "Failed to create VM: cannot clone template 9000 to VM 100: the cluster has no quorum (asked \
         127.0.0.1:{}): cluster not ready - no quorum?",
        one.port()
    );
    let lines: Vec<&str> = seen.stderr.lines().collect();
    assert_eq!((seen.exit, lines[3], posts(&one)), (Some(1), &*failure, 2));
}

/// The server writes options one by one, so some may have been set.
#[test]
fn settings_refused_without_quorum_are_checked_and_sent_again_through_the_next_host() {
    let words = "unable to open file '/etc/pve/nodes/pve1/qemu-server/100.conf.tmp.227' - Permission \
                 denied";
    let body = json!({"data": null, "message": format!("{words}\n")}).to_string();
    let refusal = json!({"on": "PUT", "answer": {"status": 500, "reason": words, "body": body}});
    let one = FakePve::start(setup(&json!({"faults": [refusal]})));
    let two = FakePve::start_beside(&one, &[]);
    let seen = at(&[&one.url(), &two.url()]).run(&format!("{CREATE} --set cores=4"));
    let expected = Seen {
        exit: Some(0),
        stdout: "Successfully created VM 100 'web-1' on node 'pve1'\n".to_owned(),
        stderr: format!(
            "{CREATING}Configuring VM 100: cores=4 (was 1)...\n127.0.0.1:{} has no quorum: {words}; trying \
             another host\n",
            one.port()
        ),
    };
    assert_eq!(seen, expected);
    let asked: Vec<String> = two.journal();
    assert_eq!(asked.len(), 2, "{asked:?}");
    assert_eq!(asked[0], "GET /nodes/pve1/qemu/100/config");
    assert!(
        asked[1].starts_with("PUT /nodes/pve1/qemu/100/config"),
        "{asked:?}"
    );
}
