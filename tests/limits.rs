//! Endless answers: a clear message within the time limit, with bounded memory.

use rstest::rstest;
use serde_json::{Value, json};

use crate::fake_pve::{FakePve, Prebuilt};
use crate::homelab::{Homelab, Seen};

/// Address space in bytes, including threads and libraries. The answers are a gigabyte long.
const MEMORY: u64 = 400 << 20;
/// Address space in bytes for a run that reads a list, excluding the list.
const MEMORY_BESIDE_A_LIST: u64 = 24 << 20;

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
const TRY_AGAIN: &str = "if that port uses TLS, remove http:// from the host; otherwise try again; if it \
                         still does not answer, on that node: systemctl status pveproxy pvedaemon; \
                         --request-timeout allows more time";

#[rstest]
#[case::headers("headers", "HOST did not answer like Proxmox VE: endless headers")]
#[case::reason("reason", "HOST did not answer like Proxmox VE: endless headers")]
#[case::interim("interim", "HOST did not answer like Proxmox VE: endless headers")]
#[case::body("body", "HOST did not answer like Proxmox VE: more than 64 MiB")]
#[case::small_body_that_expands("bomb", "HOST did not answer like Proxmox VE: more than 64 MiB")]
fn an_endless_answer_is_an_error(#[case] flood: &str, #[case] what: &str) {
    let fake = fake(json!({"flood": flood}));
    let seen = Homelab::at(&fake)
        .with_memory_limit(MEMORY)
        .run("proxmox template list");
    assert_eq!(seen, not_listed(&fake, what, ANOTHER_SERVICE));
}

/// A byte now and then is not a complete answer.
#[test]
fn a_slow_body_that_never_ends_is_given_up() {
    let fake = fake(json!({"drip": 20}));
    let seen = Homelab::at(&fake).run("proxmox template list --request-timeout 0.3");
    let what = "no answer from HOST: no complete response within 0.3 s";
    assert_eq!(seen, not_listed(&fake, what, TRY_AGAIN));
}

/// Nobody reads a message of a mebibyte.
#[rstest]
#[case::message(json!({"data": null, "message": "x".repeat(1 << 20)}), "z")]
#[case::reason(json!({"data": null}), &"x".repeat(3000))]
fn a_long_message_is_cut_off(#[case] body: Value, #[case] reason: &str) {
    let body = body.to_string();
    let fake = fake(json!({"answer": {"status": 500, "reason": reason, "body": body}}));
    let seen = Homelab::at(&fake).run("proxmox template list");
    let expected = format!("Failed to list templates: {}…\n", "x".repeat(2000));
    assert_eq!((seen.exit, seen.stderr), (Some(1), expected));
}

/// Proxies and their error pages repeat what they were sent. The secret of the token must not be printed;
/// `Homelab::run` searches each output for it.
#[rstest]
#[case::in_the_reason(json!({"status": 520, "reason": "no upstream for SECRET"}), "520 no upstream for (secret)")]
#[case::in_a_header(
    json!({"status": 200, "reason": "OK", "type": "text/SECRET", "body": "<html>"}),
    "200 OK, text/(secret)"
)]
fn a_secret_that_the_server_repeats_is_not_shown(#[case] answer: Value, #[case] what: &str) {
    let answer = answer
        .to_string()
        .replace("SECRET", crate::fake_pve::SECRET);
    let answer: Value = serde_json::from_str(&answer).unwrap();
    let fake = fake(json!({"answer": answer}));
    let seen = Homelab::at(&fake).run("proxmox template list --verbose");
    let what = format!("HOST did not answer like Proxmox VE: {what}");
    let expected = not_listed(&fake, &what, ANOTHER_SERVICE).stderr;
    let last: Vec<&str> = seen.stderr.lines().skip(1).collect();
    assert_eq!(last.join("\n") + "\n", expected);
}

#[rstest]
#[case::at_the_start("", "(secret)…")]
#[case::where_the_text_is_cut("xxxxxxxxxxxxxxxxxxxxxxxx", "xxxxxxxxxxxxxxxxxxxxxxxx(secret)…")]
fn a_secret_in_a_good_answer_is_not_shown(#[case] before: &str, #[case] shown: &str) {
    let data = format!("{before}{}{}", crate::fake_pve::SECRET, "z".repeat(60));
    let fake = fake(json!({"json": {"data": data}}));
    let seen = Homelab::at(&fake).run("proxmox template list");
    assert_eq!(seen.exit, Some(1));
    assert!(
        seen.stderr.contains(shown.trim_end_matches('…')),
        "{}",
        seen.stderr
    );
}

/// A hundred thousand unreadable rows must not keep a hundred thousand error messages in memory.
#[rstest]
#[case::rows("[", "0,", "0]")]
#[case::objects("[", "{},", "{}]")]
fn unreadable_rows_use_no_memory(#[case] open: &str, #[case] row: &str, #[case] close: &str) {
    let rows = row.repeat((8 << 20) / row.len());
    let body = format!("{{\"data\":{open}{rows}{close}}}");
    let fake = fake(json!({"answer": {"status": 200, "reason": "OK", "body": body}}));
    let seen = Homelab::at(&fake)
        .with_memory_limit(MEMORY)
        .run("proxmox template list");
    assert_eq!(
        (seen.exit, seen.stdout.as_str()),
        (Some(0), "No templates found\n")
    );
    let beginning = "Warning: the list may be incomplete: ";
    assert_eq!(seen.stderr.get(..beginning.len()), Some(beginning));
}

#[test]
fn errors_in_a_good_answer_are_not_read() {
    let body = format!("{{\"data\":[],\"errors\":[{}0]}}", "0,".repeat(1 << 20));
    let fake = fake(json!({"answer": {"status": 200, "reason": "OK", "body": body}}));
    let homelab = Homelab::at(&fake).with_memory_limit(MEMORY);
    let seen = homelab.run("proxmox template list");
    assert_eq!(
        (seen.exit, seen.stdout.as_str()),
        (Some(0), "No templates found\n")
    );
}

#[rstest]
#[case::message(r#"{"data":null,"message":[ROWS]}"#)]
#[case::errors(r#"{"data":null,"errors":[ROWS]}"#)]
fn endless_errors_use_no_memory(#[case] body: &str) {
    let body = body.replace("ROWS", &("0,".repeat(1 << 20) + "0"));
    let fake = fake(json!({"answer": {"status": 500, "reason": "enough", "body": body}}));
    let seen = Homelab::at(&fake)
        .with_memory_limit(MEMORY)
        .run("proxmox template list");
    assert_eq!(
        (seen.exit, seen.stderr.as_str()),
        (Some(1), "Failed to list templates: enough\n")
    );
}

#[rstest]
#[case::ca_file("--ca-file /dev/zero", "CA file '/dev/zero': longer than 1 MiB")]
#[case::configuration(
    "--config /dev/zero",
    "cannot read the configuration file '/dev/zero': longer than 1 MiB"
)]
fn an_endless_device_is_an_error(#[case] option: &str, #[case] what: &str) {
    let homelab = Homelab::alone()
        .with_token()
        .env("PROXMOX_HOST", "127.0.0.1:1");
    let seen = homelab
        .with_memory_limit(MEMORY)
        .run(&format!("proxmox template list {option}"));
    let line = format!("Failed to list templates: {what}");
    assert_eq!(
        (seen.exit, seen.stderr.lines().next()),
        (Some(2), Some(line.as_str()))
    );
}

#[test]
fn a_secret_at_the_cut_of_a_message_is_not_shown() {
    let secret = crate::fake_pve::SECRET.replace('-', "\\u002d");
    let body = format!(
        r#"{{"data":null,"message":"{}{secret}"}}"#,
        "x".repeat(1980)
    );
    let fake = fake(json!({"answer": {"status": 500, "reason": "x", "body": body}}));
    let seen = Homelab::at(&fake).run("proxmox template list");
    let expected = format!("Failed to list templates: {}(secret)\n", "x".repeat(1980));
    assert_eq!(seen.stderr, expected);
}

#[rstest]
#[case::as_it_is("-")]
#[case::escaped("\\u002d")]
fn a_secret_in_a_message_of_the_server_is_not_shown(#[case] hyphen: &str) {
    let secret = crate::fake_pve::SECRET.replace('-', hyphen);
    let message = format!("token PVEAPIToken=root@pam!cli={secret} is no good\\n");
    let body = format!(r#"{{"data":null,"message":"{message}"}}"#);
    let fake = fake(json!({"answer": {"status": 500, "reason": "x", "body": body}}));
    let seen = Homelab::at(&fake).run("proxmox template list --json");
    let expected = "Failed to list templates: token PVEAPIToken=root@pam!cli=(secret) is no good\n";
    assert_eq!(seen.stderr, expected);
}

/// The buffer for a list of 18 MB may grow to twice its length.
#[rstest]
#[case::list("template list", "49980")]
#[case::create("vm create web-1 guest-49980.example.org", "50100")]
fn memory_for_a_long_list_is_bounded_by_its_length(#[case] arguments: &str, #[case] vmid: &str) {
    let setup = json!({"guests": [
        {"vmid": 49980, "name": "guest-49980.example.org", "template": true}
    ]});
    let fake = FakePve::start(serde_json::from_value(setup).unwrap());
    let list = Prebuilt::guests(50_000, 1);
    let memory = MEMORY_BESIDE_A_LIST + 2 * list.length() as u64;
    fake.cluster().prebuilt = Some(list);
    let homelab = Homelab::at(&fake).with_memory_limit(memory);
    let seen = homelab.run(&format!("proxmox {arguments}"));
    assert_eq!(seen.exit, Some(0), "{}", seen.stderr);
    assert!(seen.stdout.contains(vmid), "{}", seen.stdout);
}
