//! The steps after the clone: settings and keys as the server receives them, and runs that end in between.

mod secrets;
mod tags;

use rstest::rstest;
use serde_json::json;

use crate::fake_pve::{Cluster, FakePve, Setup};
use crate::homelab::{Homelab, Signal, StateDir};

const CREATE: &str = "proxmox vm create web-1 debian-12 --poll-interval 0.01";
const CONFIG: &str = "GET /nodes/pve1/qemu/100/config";
const PUT: &str = "PUT /nodes/pve1/qemu/100/config ";

fn fake(more: &serde_json::Value) -> FakePve {
    let mut setup = json!({"guests": [{"vmid": 9000, "name": "debian-12", "template": true}]});
    for (key, value) in more.as_object().unwrap() {
        setup[key] = value.clone();
    }
    FakePve::start(serde_json::from_value::<Setup>(setup).unwrap())
}

/// The values that requests to the fake set an option to, decoded as the server decodes a form.
fn sent(fake: &FakePve, option: &str) -> Vec<String> {
    let seen = fake.headers_seen();
    let changes = seen.iter().filter(|seen| seen.line.starts_with(PUT));
    changes
        .filter_map(|seen| seen.param(option).map(str::to_owned))
        .collect()
}

/// Decodes `%XX` and nothing else.
fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next().unwrap(), rest.next().unwrap()];
            let digits = str::from_utf8(&digits).unwrap();
            bytes.push(u8::from_str_radix(digits, 16).unwrap());
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).unwrap()
}

const KEYS: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0cKtRhVVGcTVeTtDpnyvQbYYw+xzZeZeZqbJ3uHu0H me@host\n\
    from=\"10.0.0.0/8\",command=\"echo a=b&c;d\" ssh-rsa AAAAB3NzaC1yc2E+/w== Jürgen's  laptop + 100 % spare\n\
    \n\
    ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTY= 鍵\n";

/// The second VMID is random, so no story can name it.
#[test]
fn a_lost_answer_is_reported_for_each_vmid() {
    let fake = fake(&json!({"faults": [
        {"on": "POST /nodes/pve1/qemu/9000/clone", "nth": 1, "close": "before"},
        {"on": CONFIG, "json": {"data": {"digest": "x", "name": "other"}}},
        {"on": "POST /nodes/pve1/qemu/9000/clone", "nth": 2, "close": "lost"},
    ]}));
    let seen = Homelab::at(&fake).run(CREATE);
    assert_eq!(seen.exit, Some(0), "{}", seen.stderr);
    assert_eq!(
        seen.stderr
            .matches("No answer to the clone request")
            .count(),
        2,
        "{}",
        seen.stderr
    );
}

#[test]
fn the_server_receives_exactly_the_keys_of_the_file() {
    let fake = fake(&json!({}));
    let seen = Homelab::at(&fake)
        .with_file("keys.pub", KEYS)
        .run(&format!("{CREATE} --ssh-key keys.pub"));
    assert_eq!(seen.exit, Some(0), "{}", seen.stderr);
    let [sent] = &sent(&fake, "sshkeys")[..] else {
        panic!("it was not set once: {:?}", fake.journal());
    };
    // The server accepts only text that is encoded once more, and does not decode + as a space.
    assert!(
        sent.is_ascii() && !sent.contains([' ', '+', '\n']),
        "{sent}"
    );
    assert_eq!(percent_decoded(sent), KEYS);
}

#[test]
fn keys_of_several_files_are_set_together_and_only_once() {
    let fake = fake(&json!({}));
    let state = StateDir::new();
    let run = |more: &str| {
        let homelab = Homelab::at(&fake)
            .with_file("a.pub", "# mine\nssh-rsa AAAAA a")
            .with_file("b.pub", "ssh-rsa AAAAB b\n");
        let arguments = format!("{CREATE} --ssh-key a.pub --ssh-key b.pub{more}");
        homelab.in_state(&state).run(&arguments)
    };
    assert_eq!(run("").exit, Some(0));
    assert_eq!(run(" --ensure").exit, Some(0));
    let decoded: Vec<String> = sent(&fake, "sshkeys")
        .iter()
        .map(|sent| percent_decoded(sent))
        .collect();
    assert_eq!(decoded, ["ssh-rsa AAAAA a\nssh-rsa AAAAB b\n"]);
}

/// A nightly run must not replace a disk that holds data with a blank one.
#[rstest]
#[case::with_more_options("data:8,ssd=1", &["data:100/vm-100-disk-1.raw,ssd=1"])]
#[case::of_another_storage("small:8", &[])]
#[case::of_another_size("data:64", &[])]
fn an_existing_disk_is_never_replaced(#[case] drive: &str, #[case] expected: &[&str]) {
    let fake = fake(&json!({}));
    let state = StateDir::new();
    let run = |drive: &str| {
        let homelab = Homelab::at(&fake).in_state(&state);
        homelab
            .run(&format!("{CREATE} --ensure --set scsi1={drive}"))
            .exit
    };
    assert_eq!(run("data:8"), Some(0));
    drop(fake.take_journal());
    assert_eq!((run(drive), run(drive)), (Some(0), Some(0)));
    assert_eq!(sent(&fake, "scsi1"), expected);
    let cluster = fake.cluster();
    let config = &cluster.guests[&100].config;
    assert_eq!(config.get("unused0"), None);
    let disk = config["scsi1"].as_str().unwrap();
    assert!(disk.starts_with("data:100/vm-100-disk-1.raw"), "{disk}");
}

/// A network card keeps its hardware address, and with it its DHCP lease.
#[test]
fn a_network_card_that_is_changed_keeps_its_mac() {
    let fake = fake(&json!({}));
    let mac = |fake: &FakePve| {
        let cluster = fake.cluster();
        let net = cluster.guests[&100].config["net0"]
            .as_str()
            .unwrap()
            .to_owned();
        net.split(['=', ',']).nth(1).unwrap().to_owned()
    };
    let state = StateDir::new();
    let run = |more: &str| {
        let homelab = Homelab::at(&fake).in_state(&state);
        homelab.run(&format!("{CREATE} --ensure{more}")).exit
    };
    assert_eq!(run(""), Some(0));
    let before = mac(&fake);
    assert_eq!(run(" --set net0=virtio,bridge=vmbr1"), Some(0));
    assert_eq!(run(" --set net0=virtio,bridge=vmbr1"), Some(0));
    let expected = format!("virtio={before},bridge=vmbr1");
    assert_eq!((mac(&fake), sent(&fake, "net0")), (before, vec![expected]));
}

/// `+6G` is relative to the cloned size, whatever happens to the template later.
#[rstest]
#[case::after_a_finished_run(None)]
#[case::after_a_run_killed_during_the_clone(Some(4))]
#[case::after_a_run_killed_before_the_configuration(Some(6))]
fn a_vm_does_not_grow_with_its_template(#[case] killed_at: Option<usize>) {
    let faults: Vec<_> = killed_at
        .iter()
        .map(|request| json!({"request": request, "hang": "after"}))
        .collect();
    let fake = fake(&json!({"faults": faults}));
    let state = StateDir::new();
    let arguments = format!("{CREATE} --ensure --resize scsi0=+6G");
    let first = Homelab::at(&fake).in_state(&state).start(&arguments);
    if let Some(requests) = killed_at {
        fake.wait_for_requests(requests);
        first.kill();
    } else {
        assert_eq!(first.wait().exit, Some(0));
    }
    let disk = "data:9000/base-9000-disk-0.raw,size=5G";
    let template = |cluster: &mut Cluster| {
        let config = &mut cluster.guests.get_mut(&9000).unwrap().config;
        config["scsi0"] = json!(disk);
    };
    template(&mut fake.cluster());
    let seen = Homelab::at(&fake).in_state(&state).run(&arguments);
    assert_eq!(seen.exit, Some(0), "{}", seen.stderr);
    let cluster = fake.cluster();
    let disk = cluster.guests[&100].config["scsi0"].as_str().unwrap();
    assert!(disk.ends_with("size=8G"), "{disk}");
}

/// The state directory that a finished run leaves behind, for VM 100.
fn left_behind_finished(fake: &FakePve) -> StateDir {
    let state = StateDir::new();
    let hosts = [format!("127.0.0.1:{}", fake.port())];
    let intent = json!({"intent": {"vmid": 100, "node": "pve1", "template": 9000, "mode": "full",
        "hosts": hosts}});
    let lines = format!("{intent}\n{{\"created\":100}}\n{{\"finished\":100}}\n");
    std::fs::write(format!("{}/web-1.jsonl", state.path()), lines).unwrap();
    state
}

/// The template may have grown since, and its former size was not recorded.
#[test]
fn a_relative_size_of_a_vm_that_was_created_without_one_is_an_error() {
    let fake = fake(&json!({
        "guests": [
            {"vmid": 100, "name": "web-1"},
            {"vmid": 9000, "name": "debian-12", "template": true},
        ],
    }));
    let state = left_behind_finished(&fake);
    let seen = Homelab::at(&fake)
        .in_state(&state)
        .run(&format!("{CREATE} --ensure --resize scsi0=+8G"));
    let expected = "Creating VM 'web-1' from template 'debian-12'...\n\
        VM 100 'web-1' already exists on node 'pve1', but cannot grow \
        disk scsi0 by 8G: its original size is unknown\n\
        Hint: give the absolute size: --resize scsi0=SIZE\n";
    assert_eq!((seen.exit, seen.stderr.as_str()), (Some(1), expected));
    assert_eq!(fake.journal(), ["GET /nodes/pve1/qemu/100/config"]);
}

const ALL: &str = " --set cores=4 --resize scsi0=32G --wait-ip";

/// The number of requests that a run sends before it is killed, and the changes that remain.
#[rstest]
#[case::before_it_is_configured(6, &["PUT config", "PUT resize", "POST start"])]
#[case::while_it_is_configured(7, &["PUT resize", "POST start"])]
#[case::while_its_disk_grows(9, &["POST start"])]
#[case::while_it_starts(13, &[])]
#[case::while_it_waits_for_an_address(17, &[])]
fn a_killed_run_is_resumed(#[case] requests: usize, #[case] left: &[&str]) {
    let fake = fake(&json!({"faults": [{"request": requests, "hang": "after"}]}));
    let state = StateDir::new();
    let run = Homelab::at(&fake)
        .in_state(&state)
        .start(&format!("{CREATE}{ALL}"));
    fake.wait_for_requests(requests);
    run.kill();
    drop(fake.take_journal());
    let seen = Homelab::at(&fake)
        .in_state(&state)
        .run(&format!("{CREATE}{ALL} --ensure --json"));
    assert_eq!(seen.exit, Some(0), "{}", seen.stderr);
    let sent: Vec<String> = fake
        .journal()
        .iter()
        .filter(|line| !line.starts_with("GET "))
        .map(|line| {
            let (method, rest) = line.split_once(' ').unwrap();
            let path = rest.split(' ').next().unwrap();
            format!("{method} {}", path.rsplit('/').next().unwrap())
        })
        .collect();
    assert_eq!(sent, left);
    let result: serde_json::Value = serde_json::from_str(&seen.stdout).unwrap();
    assert_eq!(
        (&result["created"], &result["ip"]),
        (&json!(true), &json!("10.0.0.4"))
    );
    let cluster = fake.cluster();
    let vm = &cluster.guests[&100];
    assert_eq!(
        (&vm.config["cores"], vm.status.as_str()),
        (&json!(4), "running")
    );
}

#[rstest]
#[case::configuring(7, "it is still being configured")]
#[case::enlarging(9, "its disk scsi0 is still being grown to 32G")]
#[case::starting(13, "it is still being started")]
#[case::awaiting_the_address(17, "its address is not known yet")]
fn an_interrupted_run_reports_the_state_of_the_vm(#[case] requests: usize, #[case] state: &str) {
    let fake = fake(&json!({"faults": [{"request": requests, "hang": true}]}));
    let run = Homelab::at(&fake).start(&format!("{CREATE}{ALL}"));
    fake.wait_for_requests(requests);
    run.signal(Signal::INT);
    let seen = run.wait();
    let expected = format!(
        "VM 100 'web-1' was created on node 'pve1', but {state}: interrupted\n\
         Hint: run the same command with --ensure to resume\n"
    );
    assert!(seen.stderr.ends_with(&expected), "{}", seen.stderr);
    assert_eq!(seen.exit, Some(130));
}

/// It is unknown whether it was configured.
#[test]
fn a_change_without_any_answer_may_have_been_made() {
    let polls = (2..9).map(|nth| json!({"on": CONFIG, "nth": nth, "hang": true}));
    let change = json!({"on": "PUT", "hang": "after"});
    let faults: Vec<_> = [change].into_iter().chain(polls).collect();
    let fake = fake(&json!({"faults": faults}));
    let seen = Homelab::at(&fake).run(&format!(
        "{CREATE} --set cores=4 --json --request-timeout 0.1 --timeout 0.4"
    ));
    let document: serde_json::Value = serde_json::from_str(&seen.stdout).unwrap();
    let error = &document["error"];
    let message = error["message"].as_str().unwrap();
    let beginning = "VM 100 'web-1' was created on node 'pve1', but after 0.4 s it may or may not have \
                  been configured: no ";
    assert!(message.starts_with(beginning), "{message}");
    assert_eq!(
        (&error["kind"], &error["started"]),
        (&json!("timeout"), &json!("yes"))
    );
}

/// The task continues without the run.
#[test]
fn a_run_interrupted_during_a_task_says_how_to_wait_for_it() {
    let fake = fake(&json!({"faults": [{"request": 8, "hang": true}]}));
    let run = Homelab::at(&fake).start(&format!("{CREATE} --start"));
    fake.wait_for_requests(8);
    run.signal(Signal::INT);
    let seen = run.wait();
    let expected = "VM 100 'web-1' was created on node 'pve1', but it is still being started: interrupted\n\
         Hint: run the same command with --ensure to resume; to wait only: homelab proxmox task \
         wait 'UPID:pve1:00000002:00000014:6B000002:qmstart:100:root@pam!cli:'\n";
    assert!(seen.stderr.ends_with(expected), "{}", seen.stderr);
}

#[rstest]
#[case::ipv4_at_once(json!([["2001:db8::5", "10.0.0.9"]]), "10.0.0.9", 1)]
#[case::ipv4_a_little_later(json!([[], ["2001:db8::5"], ["2001:db8::5", "10.0.0.9"]]), "10.0.0.9", 3)]
#[case::ipv6_alone(json!([["2001:db8::5"]]), "2001:db8::5", 2)]
fn a_run_waits_a_little_longer_for_an_ipv4_address(
    #[case] reported: serde_json::Value,
    #[case] expected: &str,
    #[case] at_least: usize,
) {
    let lists: Vec<_> = reported
        .as_array()
        .unwrap()
        .iter()
        .map(|addresses| {
            let addresses: Vec<_> = addresses
                .as_array()
                .unwrap()
                .iter()
                .map(|address| json!({"ip-address": address}))
                .collect();
            let card = "bc:24:11:00:00:64";
            json!([
                {"name": "docker0", "hardware-address": "02:42:00:00:00:01",
                 "ip-addresses": [{"ip-address": "172.17.0.1"}]},
                {"name": "eth0", "hardware-address": card, "ip-addresses": addresses}
            ])
        })
        .collect();
    let fake = fake(&json!({"agent": {"interfaces": lists}}));
    let seen = Homelab::at(&fake).run(&format!("{CREATE} --wait-ip"));
    let line = format!("Successfully created VM 100 'web-1' on node 'pve1' at {expected}\n");
    assert_eq!((seen.exit, seen.stdout), (Some(0), line));
    let journal = fake.journal();
    let requests = journal
        .iter()
        .filter(|line| line.contains("/agent/"))
        .count();
    assert!(requests >= at_least, "{requests} requests");
}

/// Sizes are sent as absolute values, so the disk is never larger than requested, whichever request fails
/// and however often the command is run.
#[rstest]
#[case::the_answer_is_lost(json!({"close": "lost"}))]
#[case::the_request_is_lost(json!({"close": "before"}))]
#[case::the_connection_is_reset(json!({"close": "reset"}))]
#[case::the_answer_is_cut_off(json!({"truncate": 5}))]
#[case::a_daemon_dies(json!({"answer": {"status": 596, "reason": "Broken pipe", "body": "", "acted": true}}))]
#[case::a_daemon_is_down(json!({"answer": {"status": 595, "reason": "Connection refused", "body": ""}}))]
#[case::a_proxy_answers_instead(json!({"answer": {"status": 502, "reason": "Bad Gateway", "type": "text/html", "body": "<html>"}}))]
fn a_mishap_at_any_request_ends_in_the_same_vm(#[case] mishap: serde_json::Value) {
    const RELATIVE: &str = " --set cores=4 --set net0=virtio,bridge=vmbr1 --set scsi1=data:8 \
                            --resize scsi0=+6G --wait-ip --ensure";
    for request in 1..=16 {
        let mut fault = mishap.clone();
        fault["request"] = json!(request);
        let fake = fake(&json!({"faults": [fault]}));
        let state = StateDir::new();
        let run = || {
            Homelab::at(&fake)
                .in_state(&state)
                .run(&format!("{CREATE}{RELATIVE}"))
        };
        let mut seen = run();
        if seen.exit != Some(0) {
            seen = run();
        }
        let again = run();
        assert_eq!(
            (seen.exit, again.exit),
            (Some(0), Some(0)),
            "request {request}: {}{}",
            seen.stderr,
            again.stderr
        );
        assert_eq!(fake.vms_named("web-1"), [100], "request {request}");
        let cluster = fake.cluster();
        let vm = &cluster.guests[&100];
        let option = |name: &str| vm.config.get(name).and_then(serde_json::Value::as_str);
        let disk = option("scsi0").unwrap();
        assert!(disk.ends_with("size=8G"), "request {request}: {disk}");
        // A second volume would have left the first one unused.
        assert_eq!(option("unused0"), None, "request {request}");
        assert_eq!(
            (&vm.config["cores"], vm.status.as_str()),
            (&json!(4), "running"),
            "request {request}"
        );
    }
}
