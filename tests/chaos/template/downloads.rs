//! What a user reads about downloads that do not end, or whose end is not known.

use rstest::rstest;
use serde_json::{Value, json};

use super::orders::{URL, from_url, from_url_with_checksum};
use super::testbed::Testbed;
use crate::fake_pve::Fault;
use crate::homelab::{Seen, Signal};

fn fault(fields: Value) -> Fault {
    serde_json::from_value(fields).expect("a fault")
}

/// The server of the image closes each connection.
fn cut() -> Value {
    json!({"internet": {URL: {"cut": {"file": {}, "at": 11_534_336}}}})
}

/// With few polls: the server itself gives up after 20 attempts.
const LIMITS: &str = "--timeout 4 --poll-interval 0.5";

const INTERRUPTED: &str = "\
Creating template 'debian-12' from debian-12-amd64.img...
Downloading it to 'local:import/debian-12-amd64-cae66afe.qcow2'...
The download was interrupted several times, last: Connection closed at byte 11534336; the server tries again...
Failed to create template: Timed out after 4 s; the download of https://images.example/debian-12-amd64.img ";

const LAST: &str = "(interrupted several times, last: Connection closed at byte 11534336)";

const LONGER: &str =
    "Hint: run the same command again, with a longer --timeout if the download is slow";

#[track_caller]
fn expect_nothing_left(testbed: &Testbed) {
    let left = (testbed.has_image(), testbed.running_downloads());
    assert_eq!(left, (false, vec![]), "{}", testbed.details());
}

#[track_caller]
fn must_succeed_later(testbed: &Testbed) {
    testbed.fake.cluster().end_faults();
    let ensured = testbed.expect_ensured();
    assert_eq!(ensured.map(drop), Ok(()), "{}", testbed.details());
}

#[test]
fn a_download_that_is_cut_again_and_again_is_cancelled_at_the_time_limit() {
    let order = from_url_with_checksum();
    let testbed = Testbed::new(&order, &cut(), []);
    let seen = testbed.show(&format!("{} {LIMITS}", order.line));
    testbed.expect_stderr(
        &seen,
        &format!(
            "{INTERRUPTED}was cancelled; nothing is left of it and nothing was created {LAST}\n\
             {LONGER}\n"
        ),
    );
    expect_nothing_left(&testbed);
    must_succeed_later(&testbed);
}

/// Whether or not it was carried out: the command in the hint ends the download.
#[rstest]
fn the_answer_to_the_cancellation_is_lost(#[values("before", "lost")] close: &str) {
    let order = from_url_with_checksum();
    let lost = fault(json!({"on": "DELETE /nodes/pve1/tasks/", "nth": 1, "close": close}));
    let testbed = Testbed::new(&order, &cut(), [lost]);
    let seen = testbed.show(&format!("{} {LIMITS}", order.line));
    let upid = "UPID:pve1:00000001:0000000A:6B000001:download:debian-12-amd64-cae66afe.qcow2:root@pam!cli:";
    testbed.expect_stderr(
        &seen,
        &format!(
            "{INTERRUPTED}may still be running; nothing was created {LAST}\n\
             {LONGER}; to cancel the download: homelab proxmox task cancel '{upid}'\n"
        ),
    );
    assert_eq!(testbed.run(&format!("task cancel {upid}")).exit, Some(0));
    expect_nothing_left(&testbed);
    must_succeed_later(&testbed);
}

/// Then nothing is cancelled, and the image is there.
#[test]
fn a_download_ends_right_before_it_is_cancelled() {
    let order = from_url_with_checksum();
    let more = json!({
        "download_polls": 1000,
        "others": [{"before": "DELETE /nodes/pve1/tasks/", "do": "finish_downloads"}],
    });
    let testbed = Testbed::new(&order, &more, []);
    let seen = testbed.show(&format!("{} {LIMITS}", order.line));
    testbed.expect_stderr(
        &seen,
        "Creating template 'debian-12' from debian-12-amd64.img...\n\
         Downloading it to 'local:import/debian-12-amd64-cae66afe.qcow2'...\n\
         Failed to create template: Timed out after 4 s; the download of https://images.example/debian-12-amd64.img \
         has just ended; the image is there, but nothing was created\n\
         Hint: run the same command again\n",
    );
    assert!(testbed.has_image());
    must_succeed_later(&testbed);
}

/// The server kills a worker that takes too long to clean up.
#[test]
fn a_worker_that_is_killed_may_leave_a_partial_file() {
    let order = from_url_with_checksum();
    let mut more = cut();
    more["abort_kills"] = json!(true);
    let testbed = Testbed::new(&order, &more, []);
    let seen = testbed.show(&format!("{} {LIMITS}", order.line));
    testbed.expect_stderr(
        &seen,
        &format!(
            "{INTERRUPTED}was cancelled; nothing was created {LAST}\n\
             {LONGER}; the worker of the download was killed, and it may have left the partial file \
             debian-12-amd64-cae66afe.qcow2.tmp_dwnl.1; to remove it, as root on node 'pve1': rm \
             \"$(pvesm path local:import/debian-12-amd64-cae66afe.qcow2)\".tmp_dwnl.1\n"
        ),
    );
    must_succeed_later(&testbed);
}

fn death(number: usize) -> String {
    format!(
        "Warning: the worker of the download died or its node went down; it may have left the partial file \
         debian-12-amd64-cae66afe.qcow2.tmp_dwnl.{number}; to remove it, as root on node 'pve1': rm \
         \"$(pvesm path local:import/debian-12-amd64-cae66afe.qcow2)\".tmp_dwnl.{number}\n"
    )
}

fn checking(number: usize) -> String {
    format!(
        "Outcome of the download unknown (its worker died or its node went down: {}); checking...\n",
        upid(number)
    )
}

fn upid(number: usize) -> String {
    let (pstart, start) = (number * 10, 0x6B00_0000 + number);
    format!(
        "UPID:pve1:{number:08X}:{pstart:08X}:{start:08X}:download:debian-12-amd64-cae66afe.qcow2:root@pam!cli:"
    )
}

const DOWNLOADING: &str = "\
Creating template 'debian-12' from debian-12-amd64.img...
Downloading it to 'local:import/debian-12-amd64-cae66afe.qcow2'...
";
const AGAIN: &str = "Downloading it to 'local:import/debian-12-amd64-cae66afe.qcow2'...\n";

#[test]
fn the_worker_of_the_download_dies() {
    let order = from_url_with_checksum();
    let more = json!({"download_exit": ["unexpected status", "OK"]});
    let testbed = Testbed::new(&order, &more, []);
    let seen = testbed.show(&order.line);
    testbed.expect_stderr(
        &seen,
        &format!(
            "{DOWNLOADING}{}{}{AGAIN}Importing the image to VM 101...\n\
             Converting VM 101 to a template...\n\
             The image is kept: 'local:import/debian-12-amd64-cae66afe.qcow2'\n",
            death(1),
            checking(1)
        ),
    );
}

/// Whoever takes the name while the image is downloaded is seen before anything is imported.
#[rstest]
#[case::vm(
    json!({"vmid": 150, "name": "debian-12"}),
    "Failed to create template: VM 150 'debian-12' on node 'pve1' has that name and is not a template; the image is kept: \
     'local:import/debian-12-amd64-cae66afe.qcow2'\n\
     Hint: choose another name; or, if that VM is to become the template, on node 'pve1': qm template 150\n"
)]
#[case::template(
    json!({"vmid": 150, "name": "debian-12", "template": true}),
    "Failed to create template: template 150 'debian-12' already exists on node 'pve1'; the image is kept: \
     'local:import/debian-12-amd64-cae66afe.qcow2'\n\
     Hint: choose another name, or use the existing template with --ensure\n"
)]
fn the_name_is_taken_during_the_download(#[case] guest: Value, #[case] expected: &str) {
    let order = from_url_with_checksum();
    let poll = "GET /nodes/pve1/tasks/UPID:pve1:00000001";
    let more = json!({"others": [{"before": poll, "do": {"create": guest}}]});
    let testbed = Testbed::new(&order, &more, []);
    let seen = testbed.show(&order.line);
    testbed.expect_stderr(&seen, &format!("{DOWNLOADING}{expected}"));
    assert_eq!(testbed.deeds(), []);
}

/// Each may leave a partial file, which takes space.
#[test]
fn the_worker_of_the_download_dies_again_and_again() {
    let order = from_url_with_checksum();
    let more = json!({"download_exit": "unexpected status"});
    let testbed = Testbed::new(&order, &more, []);
    let seen = testbed.show(&order.line);
    let [first, second] = [1, 2].map(|number| death(number) + &checking(number));
    testbed.expect_stderr(
        &seen,
        &format!(
            "{DOWNLOADING}{first}{AGAIN}{second}{AGAIN}{}\
             Failed to create template: node 'pve1' cannot download https://images.example/debian-12-amd64.img: its \
             worker died again and again; nothing was created\n  \
             Resolving images.example (images.example)... 203.0.113.80\n  \
             Connecting to images.example (images.example)|203.0.113.80|:443... connected.\n  \
             HTTP request sent, awaiting response... 200 OK\n  \
             Length: 346030080 (330M) [application/octet-stream]\n  \
             Saving to: '/var/lib/vz/import/debian-12-amd64-cae66afe.qcow2.tmp_dwnl.3'\n\
             Hint: for the whole log, on node 'pve1': pvenode task log '{}'\n",
            death(3),
            upid(3)
        ),
    );
    must_succeed_later(&testbed);
}

/// A daemon keeps each request, and no time is left for another one.
#[test]
fn no_request_for_the_download_is_answered() {
    let order = from_url_with_checksum();
    let late = json!({"status": 596, "reason": "Connection timed out"});
    let kept = fault(json!({"on": "POST /nodes/pve1/storage/", "late": late}));
    let testbed = Testbed::new(&order, &json!({}), [kept]);
    let seen = testbed.run(&format!("{} --timeout 2", order.line));
    let document: Value = serde_json::from_str(&seen.stdout).expect("a document");
    let error = &document["error"];
    assert_eq!(
        json!([error["kind"], error["started"], error["message"]]),
        json!([
            "timeout",
            "unknown",
            "Timed out after 2 s; the download of https://images.example/debian-12-amd64.img may or may not be \
             running; nothing was created (596 Connection timed out)"
        ])
    );
    testbed.fake.wake();
    must_succeed_later(&testbed);
}

/// A download may be running, and what the run wants to know next it may not read.
#[test]
fn a_download_without_an_answer_and_a_refusal() {
    let order = from_url_with_checksum();
    let lost = fault(json!({"on": "POST /nodes/pve1/storage/", "close": "lost"}));
    let body = json!({"data": null, "message": "Permission check failed\n"}).to_string();
    let answer = json!({"status": 403, "reason": "Permission check failed", "body": body});
    let refused = fault(json!({"on": "GET /nodes/pve1/tasks?", "nth": 2, "answer": answer}));
    let testbed = Testbed::new(&order, &json!({}), [lost, refused]);
    let seen = testbed.run(&order.line);
    testbed.expect_stderr(
        &seen,
        "Creating template 'debian-12' from debian-12-amd64.img...\n\
         Outcome of the download unknown (no answer from 127.0.0.1:PORT: the connection was cut); checking...\n\
         Failed to create template: cannot list the downloads: Permission check failed; an earlier request for the \
         download got no answer and may be carried out\n\
         Hint: 'homelab proxmox check TEMPLATE' shows which privileges the token lacks\n",
    );
    let document: Value = serde_json::from_str(&seen.stdout).expect("a document");
    assert_eq!(document["error"]["started"], "unknown");
}

/// Ends a run with SIGINT while it waits for the answer to the first request that begins with this.
fn interrupt(testbed: &Testbed, start: &str) -> Seen {
    let number = testbed.order.number_of(start);
    let running = testbed.start(&testbed.order.line);
    testbed.fake.wait_for_requests(number);
    running.signal(Signal::INT);
    let seen = running.wait();
    testbed.remember("interrupted", &seen);
    seen
}

const CREATING: &str = "Creating template 'debian-12' from debian-12-amd64.img...\n";
const UNVERIFIED: &str = "Warning: the image is not verified; --checksum sha256:… or sha512:… lets the server verify it\n";

/// The request may have been carried out.
#[rstest]
#[case::before_the_answer(
    "POST /nodes/pve1/storage/",
    "interrupted; the download of 'local:import/debian-12-amd64.qcow2' may or may not be running, and nothing was \
     created\n\
     Hint: run the same command with --ensure to resume\n"
)]
#[case::during_the_download(
    "GET /nodes/pve1/tasks/UPID:pve1:00000001",
    "interrupted; the download of 'local:import/debian-12-amd64.qcow2' is still running, and nothing was created\n\
     Hint: run the same command with --ensure to resume; to cancel the download: homelab proxmox task cancel \
     'UPID:pve1:00000001:0000000A:6B000001:download:debian-12-amd64.qcow2:root@pam!cli:'\n"
)]
#[case::after_it(
    "GET /cluster/nextid",
    "interrupted; image 'local:import/debian-12-amd64.qcow2' is on its storage, and nothing was created\n\
     Hint: run the same command with --ensure to resume\n"
)]
fn a_signal_to_a_download(#[case] start: &str, #[case] expected: &str) {
    let order = from_url();
    let hang = fault(json!({"on": start, "nth": 1, "hang": "after"}));
    let testbed = Testbed::new(&order, &json!({}), [hang]);
    let seen = interrupt(&testbed, start);
    testbed.expect_stderr(
        &seen,
        &format!("{CREATING}{UNVERIFIED}Failed to create template: {expected}"),
    );
    // No VM was requested, so nothing is recorded.
    let files = std::fs::read_dir(testbed.state.path()).expect("a directory");
    assert_eq!(files.count(), 0);
    must_succeed_later(&testbed);
}
