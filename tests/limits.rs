//! Answers without end: a clear message within the time there is, and no more memory than that takes.

use rstest::rstest;
use serde_json::{Value, json};

use crate::fake_pve::FakePve;
use crate::homelab::{Homelab, Seen};

/// What the program may have of addresses, threads and libraries included; the answers are of a
/// gigabyte.
const MEMORY: u64 = 400 << 20;

fn fake(fault: Value) -> FakePve {
    let mut fault = fault;
    fault["on"] = json!("GET /cluster/resources");
    let setup = json!({
        "guests": [{"vmid": 9000, "name": "debian-12", "template": true}],
        "faults": [fault],
    });
    FakePve::start(serde_json::from_value(setup).unwrap())
}

fn not_listed(fake: &FakePve, what: &str, hint: &str) -> Seen {
    Seen {
        exit: Some(1),
        stdout: String::new(),
        stderr: format!(
            "Failed to list templates: {}\nHint: {hint}\n",
            what.replace("HOST", &format!("127.0.0.1:{}", fake.port()))
        ),
    }
}

const ANOTHER_SERVICE: &str = "check that PROXMOX_HOST and PROXMOX_PORT are those of Proxmox VE \
                               itself, not of a proxy or another service";
const TRY_AGAIN: &str = "try it again; if it stays so, on that node: systemctl status pveproxy \
                         pvedaemon; --request-timeout allows more time";

#[rstest]
#[case::headers(
    "headers",
    "HOST did not answer as Proxmox VE does: headers without end"
)]
#[case::reason(
    "reason",
    "HOST did not answer as Proxmox VE does: headers without end"
)]
#[case::interim(
    "interim",
    "HOST did not answer as Proxmox VE does: headers without end"
)]
#[case::body("body", "HOST did not answer as Proxmox VE does: more than 64 MiB")]
#[case::small_body_that_unpacks("bomb", "HOST did not answer as Proxmox VE does: more than 64 MiB")]
fn a_flood_is_no_answer(#[case] flood: &str, #[case] what: &str) {
    let fake = fake(json!({"flood": flood}));
    let seen = Homelab::at(&fake)
        .with_memory(MEMORY)
        .run("proxmox template list");
    assert_eq!(seen, not_listed(&fake, what, ANOTHER_SERVICE));
}

/// A byte now and then is a sign of life, and no answer.
#[test]
fn a_body_that_never_ends_is_given_up_however_slow_it_is() {
    let fake = fake(json!({"drip": 20}));
    let seen = Homelab::at(&fake).run("proxmox template list --request-timeout 0.3");
    let what = "no answer from HOST: nothing whole came within 0.3 s";
    assert_eq!(seen, not_listed(&fake, what, TRY_AGAIN));
}

/// What is a mebibyte long was not written for anybody to read.
#[test]
fn words_without_end_are_cut_off() {
    let words = "x".repeat(1 << 20);
    let body = json!({"data": null, "message": words}).to_string();
    let fake = fake(json!({"answer": {"status": 500, "reason": "x", "body": body}}));
    let seen = Homelab::at(&fake).run("proxmox template list");
    let expected = format!("Failed to list templates: {}…\n", &words[..2000]);
    assert_eq!((seen.exit, seen.stderr), (Some(1), expected));
}

/// Proxies and their error pages repeat what they were sent. The token's secret stays out of what is
/// shown, as it does everywhere: each run's output is searched for it.
#[rstest]
#[case::in_the_reason(json!({"status": 502, "reason": "no upstream for SECRET"}), "502 no upstream for (secret)")]
#[case::in_a_header(
    json!({"status": 200, "reason": "OK", "type": "text/SECRET", "body": "<html>"}),
    "200 OK, text/(secret)"
)]
fn a_secret_that_is_repeated_is_not_shown(#[case] answer: Value, #[case] what: &str) {
    let answer = answer
        .to_string()
        .replace("SECRET", crate::fake_pve::SECRET);
    let answer: Value = serde_json::from_str(&answer).unwrap();
    let fake = fake(json!({"answer": answer}));
    let seen = Homelab::at(&fake).run("proxmox template list --verbose");
    let what = format!("HOST did not answer as Proxmox VE does: {what}");
    let expected = not_listed(&fake, &what, ANOTHER_SERVICE).stderr;
    let last: Vec<&str> = seen.stderr.lines().skip(1).collect();
    assert_eq!(last.join("\n") + "\n", expected);
}

#[test]
fn a_secret_in_the_servers_words_is_not_shown() {
    let message = format!(
        "token PVEAPIToken=root@pam!cli={} is no good\n",
        crate::fake_pve::SECRET
    );
    let body = json!({"data": null, "message": message}).to_string();
    let fake = fake(json!({"answer": {"status": 500, "reason": "x", "body": body}}));
    let seen = Homelab::at(&fake).run("proxmox template list --json");
    let expected = "Failed to list templates: token PVEAPIToken=root@pam!cli=(secret) is no good\n";
    assert_eq!(seen.stderr, expected);
}
