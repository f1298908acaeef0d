//! What a story cannot express: connections, compression, big clusters, closed pipes and deadlines.

use std::fs::OpenOptions;
use std::io;
use std::net::Ipv4Addr;

use crate::fake_pve::{FakePve, Port, SECRET, Setup};
use crate::homelab::Homelab;

const CREATE: &str = "proxmox vm create web-1 debian-12";

fn fake(setup: &str) -> FakePve {
    let template = r#""guests":[{"vmid":9000,"name":"debian-12","template":true}]"#;
    let setup = format!(
        "{{{template}{}{setup}}}",
        if setup.is_empty() { "" } else { "," }
    );
    FakePve::start(serde_json::from_str::<Setup>(&setup).unwrap())
}

#[test]
fn a_connection_is_kept_until_the_server_closes_it() {
    let fake = fake("");
    Homelab::at(&fake).run(CREATE);
    // The list, the VMID and the clone; the answer to the clone says `close`.
    assert_eq!((fake.journal().len(), fake.connections()), (4, 2));
}

#[test]
fn each_request_has_a_token_and_a_body_has_a_length() {
    let fake = fake("");
    Homelab::at(&fake).run(CREATE);
    let token = format!("PVEAPIToken=root@pam!cli={SECRET}");
    let seen = fake.headers_seen();
    assert_eq!(seen.len(), 4);
    for request in &seen {
        assert_eq!(request.header("Authorization"), Some(token.as_str()));
        assert_eq!(request.header("Accept-Encoding"), Some("gzip"));
        assert_eq!(request.header("Transfer-Encoding"), None);
    }
    assert_eq!(seen[2].header("Content-Length"), Some("27"));
}

#[test]
fn the_upid_is_escaped_in_the_path_of_a_task() {
    let fake = fake("");
    Homelab::at(&fake).run(CREATE);
    let target = &fake.headers_seen()[3].target;
    let expected = "/api2/json/nodes/pve1/tasks/UPID%3Apve1%3A00000001%3A0000000A%3A6B000001%3A\
                    qmclone%3A9000%3Aroot%40pam%21cli%3A/status";
    assert_eq!(target, expected);
}

#[test]
fn a_compressed_answer_is_read() {
    let fake = fake(r#""gzip":true,"pad_guests":100"#);
    let seen = Homelab::at(&fake).run("proxmox vm list");
    assert_eq!((seen.exit, seen.stdout.lines().count()), (Some(0), 101));
}

#[test]
fn a_big_cluster_is_handled() {
    let fake = fake(r#""pad_guests":100000"#);
    let seen = Homelab::at(&fake).run("proxmox vm list");
    assert_eq!((seen.exit, seen.stdout.lines().count()), (Some(0), 100_001));
    let seen = Homelab::at(&fake).run(CREATE);
    assert_eq!(
        seen.stdout,
        "Successfully created VM 100 'web-1' on node 'pve1'\n"
    );
}

#[test]
fn a_closed_stdout_is_not_a_failure() {
    let fake = fake(r#""pad_guests":10000"#);
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    let seen = Homelab::at(&fake).run_into("proxmox vm list", writer);
    assert_eq!((seen.exit, seen.stderr.as_str()), (Some(0), ""));
}

#[test]
fn a_result_that_cannot_be_written_is_a_failure_that_names_the_vm() {
    let fake = fake("");
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let seen = Homelab::at(&fake).run_into(CREATE, full);
    let expected = "\
Creating VM 'web-1' from template 'debian-12'...
VM 100 'web-1' was created on node 'pve1', but the result cannot be written: No space left on device (os error 28)
";
    assert_eq!((seen.exit, seen.stderr.as_str()), (Some(1), expected));
}

#[test]
fn the_host_and_port_that_cannot_be_reached_are_named() {
    let port = Port::on(Ipv4Addr::LOCALHOST);
    let free = port.address();
    let seen = Homelab::alone()
        .with_token()
        .env("PROXMOX_HOST", &format!("http://{free}"))
        .run(&format!("{CREATE} --json"));
    let expected = format!(
        "Creating VM 'web-1' from template 'debian-12'...\n\
         Failed to create VM: cannot list the guests: cannot reach {free}: Connection refused \
         (os error 111)\n\
         Hint: check the host and port (PROXMOX_HOST, PROXMOX_PORT, --host), and that pveproxy is \
         running there\n"
    );
    assert_eq!((seen.exit, seen.stderr), (Some(1), expected));
    assert!(
        seen.stdout
            .starts_with(r#"{"error":{"kind":"unreachable","#)
    );
}

#[test]
fn a_host_whose_name_cannot_be_resolved_is_named() {
    // The resolver's message depends on the machine, so it is not compared.
    let seen = Homelab::alone()
        .with_token()
        .env("PROXMOX_HOST", "nosuch.invalid")
        .env("SSL_CERT_FILE", "/nonexistent")
        .run("proxmox vm list --insecure");
    let beginning = "Failed to list VMs: cannot resolve nosuch.invalid: ";
    let lines: Vec<&str> = seen.stderr.lines().skip(1).collect();
    assert_eq!(
        (seen.exit, lines[0].get(..beginning.len())),
        (Some(1), Some(beginning))
    );
    let hint = "Hint: check the name (PROXMOX_HOST, --host); to see what it resolves to on this machine: \
                getent hosts nosuch.invalid";
    assert_eq!(lines[1..], [hint]);
}

#[test]
fn a_request_without_an_answer_fails_after_request_timeout() {
    let fake = fake(r#""faults":[{"on":"GET /cluster/resources","hang":true}]"#);
    let seen = Homelab::at(&fake).run("proxmox vm list --request-timeout 0.2");
    let expected = format!(
        "Failed to list VMs: no answer from 127.0.0.1:{}: no complete response within 0.2 s\nHint: if that \
         port uses TLS, remove http:// from the host; otherwise try again; if it still does not answer, on \
         that node: systemctl status pveproxy pvedaemon; --request-timeout allows more time\n",
        fake.port()
    );
    assert_eq!((seen.exit, seen.stderr), (Some(1), expected));
}

#[test]
fn no_request_runs_past_the_timeout() {
    let fake = fake(r#""faults":[{"on":"GET /nodes/pve1/tasks/","hang":true}]"#);
    let seen = Homelab::at(&fake).run(&format!("{CREATE} --timeout 0.9"));
    // The tenths of a second that were left for this request; without --timeout it would be 40 s.
    let expected = format!(
        "Failed to create VM: Timed out after 0.9 s; the clone to VM 100 'web-1' on node 'pve1' \
         may still be running; the last poll failed: no answer from 127.0.0.1:{}: no complete \
         response within 0.",
        fake.port()
    );
    let line = seen.stderr.lines().nth(1).unwrap();
    let beginning = line.get(..expected.len());
    assert_eq!((seen.exit, beginning), (Some(1), Some(expected.as_str())));
}

#[test]
fn a_timeout_before_the_clone_says_that_nothing_was_started() {
    let fake = fake(r#""faults":[{"on":"GET /cluster/nextid","hang":true}]"#);
    let seen = Homelab::at(&fake).run(&format!("{CREATE} --timeout 0.9 --json"));
    let expected = format!(
        "Failed to create VM: Timed out after 0.9 s; nothing was started: cannot get a free VMID: \
         no answer from 127.0.0.1:{}: no complete response within 0.",
        fake.port()
    );
    let line = seen.stderr.lines().nth(1).unwrap();
    let beginning = line.get(..expected.len());
    assert_eq!((seen.exit, beginning), (Some(1), Some(expected.as_str())));
    assert!(seen.stdout.starts_with(r#"{"error":{"kind":"timeout","#));
}

/// Replaces the durations, which differ from run to run.
fn without_milliseconds(text: &str) -> Vec<String> {
    let lines = text.lines().map(|line| {
        let words = line.split(' ').collect::<Vec<_>>();
        let is_time = |index: usize| {
            words
                .get(index + 1)
                .is_some_and(|next| next.starts_with("ms"))
        };
        let words = words
            .iter()
            .enumerate()
            .map(|(index, word)| match word.parse::<u64>() {
                Ok(_) if is_time(index) => "N",
                _ => word,
            });
        words.collect::<Vec<_>>().join(" ")
    });
    lines.collect()
}

#[test]
fn verbose_prints_a_line_for_each_request() {
    let fake = fake(r#""faults":[{"on":"GET /cluster/nextid","nth":1,"close":"before"}]"#);
    let arguments = format!("{CREATE} --verbose --quiet --poll-interval 0.01");
    let seen = Homelab::at(&fake).run(&arguments);
    let host = format!("127.0.0.1:{}", fake.port());
    let lines = [
        "HOST GET /cluster/resources?type=vm: 200 OK, N ms, 267 bytes",
        "HOST GET /cluster/nextid: no answer from HOST: the connection was cut, N ms",
        "HOST GET /cluster/nextid: 200 OK, N ms, 14 bytes",
        "HOST POST /nodes/pve1/qemu/9000/clone: 200 OK, N ms, 74 bytes",
        "HOST GET /nodes/pve1/tasks/UPID%3Apve1%3A00000001%3A0000000A%3A6B000001%3Aqmclone%3A9000%3A\
         root%40pam%21cli%3A/status: 200 OK, N ms, 240 bytes",
    ];
    let expected: Vec<String> = lines
        .iter()
        .map(|line| line.replace("HOST", &host))
        .collect();
    assert_eq!(without_milliseconds(&seen.stderr), expected);
    assert_eq!((seen.exit, seen.stdout.as_str()), (Some(0), ""));
}

#[test]
fn verbose_prints_the_reason_of_a_proxied_refusal() {
    let fake =
        fake(r#""faults":[{"on":"GET","answer":{"status":595,"reason":"No route to host"}}]"#);
    let seen = Homelab::at(&fake).run("proxmox vm list --verbose");
    let line = format!(
        "127.0.0.1:{} GET /cluster/resources?type=vm: 595 No route to host, N ms, 0 bytes",
        fake.port()
    );
    assert_eq!(without_milliseconds(&seen.stderr)[0], line);
}

#[test]
fn an_argument_that_is_not_utf8_is_wrong_usage() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let seen = Homelab::alone().run_arguments(&[OsStr::from_bytes(b"prox\xffmox")]);
    assert_eq!(
        (seen.exit, seen.stderr.lines().next()),
        (Some(2), Some("an argument is not UTF-8"))
    );
}
