//! `vm create --dry-run`: it changes nothing, and fails as a run would.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process;

use rstest::rstest;
use serde_json::{Value, json};

use crate::fake_pve::FakePve;
use crate::homelab::{Homelab, Seen, StateDir};

const INTENT: &str = r#"{"intent":{"vmid":101,"node":"pve1","template":9000,"mode":"full","hosts":["127.0.0.1:PORT"]}}"#;
const CREATED: &str = r#"{"created":101}"#;
const FINISHED: &str = r#"{"finished":101}"#;
const RUN: &str = r#"{"run":{"process":4711,"time":1795420071}}"#;

fn fake(guests: &[Value]) -> FakePve {
    let template = json!({"vmid": 9000, "name": "debian-12", "template": true});
    let guests: Vec<&Value> = guests.iter().chain([&template]).collect();
    FakePve::start(serde_json::from_value(json!({"guests": guests})).unwrap())
}

fn web_1() -> Value {
    json!({"vmid": 101, "name": "web-1"})
}

/// Writes the record of earlier runs about web-1.
fn record(state: &StateDir, fake: &FakePve, lines: &[&str]) {
    let text = lines.join("\n");
    let text = text.replace(":PORT", &format!(":{}", fake.port()));
    fs::write(format!("{}/web-1.jsonl", state.path()), text).unwrap();
}

/// The files of a directory with their contents; `None` if it does not exist.
fn contents(directory: &str) -> Option<BTreeMap<String, Vec<u8>>> {
    let files = fs::read_dir(directory).ok()?;
    let files = files.map(|file| {
        let file = file.unwrap();
        let name = file.file_name().into_string().unwrap();
        (name, fs::read(file.path()).unwrap())
    });
    Some(files.collect())
}

fn changes(requests: Vec<String>) -> Vec<String> {
    let mut requests = requests;
    requests.retain(|request| !request.starts_with("GET "));
    requests
}

fn create(fake: &FakePve, state: &StateDir, arguments: &str) -> Seen {
    let homelab = Homelab::at(fake).in_state(state);
    homelab.run(&format!(
        "proxmox vm create {arguments} --poll-interval 0.01"
    ))
}

/// The end of stderr, without the line that says what is being done.
fn failure(seen: &Seen) -> (Option<i32>, &str, &str) {
    let (_, failure) = seen.stderr.split_once('\n').unwrap_or_default();
    (seen.exit, &seen.stdout, failure)
}

#[rstest]
#[case::new_vm("web-1 debian-12 --cores 4 --resize scsi0=+8G --start", &[], &[])]
#[case::existing_vm("web-1 debian-12 --ensure --cores 4 --resize scsi0=16G --wait-ip --set agent=1", &[web_1()], &[])]
#[case::record_without_a_clone("web-1 debian-12", &[], &[RUN, ""])]
#[case::line_that_was_cut("web-1 debian-12", &[], &[RUN, r#"{"int"#])]
#[case::clone_that_was_not_received("web-1 debian-12", &[], &[RUN, INTENT, ""])]
#[case::clone_that_was_carried_out("web-1 debian-12 --cores 4", &[web_1()], &[RUN, INTENT, ""])]
#[case::vmid_that_went_to_another(
    "web-1 debian-12", &[json!({"vmid": 101, "name": "db-1"})], &[RUN, INTENT, ""]
)]
#[case::vm_that_was_not_set_up(
    "web-1 debian-12 --cores 4 --start", &[web_1()], &[RUN, INTENT, CREATED, ""]
)]
#[case::finished_vm_that_was_deleted(
    "web-1 debian-12", &[], &[RUN, INTENT, CREATED, FINISHED, ""]
)]
#[case::failure("web-1 nosuch", &[], &[])]
fn a_dry_run_changes_nothing(
    #[case] arguments: &str,
    #[case] guests: &[Value],
    #[case] earlier: &[&str],
    #[values("", " --json", " --quiet")] output: &str,
) {
    let (fake, state) = (fake(guests), StateDir::new());
    if !earlier.is_empty() {
        record(&state, &fake, earlier);
    }
    let before = contents(state.path());
    let dry = create(&fake, &state, &format!("{arguments} --dry-run{output}"));
    assert_eq!(changes(fake.take_journal()), [""; 0]);
    assert_eq!(contents(state.path()), before);
    // The run itself ends in the same way, and gets the VMID that the dry run named.
    let run = create(&fake, &state, &format!("{arguments}{output}"));
    assert_eq!(dry.exit, run.exit);
    if let (" --json", Some(0)) = (output, dry.exit) {
        let vmid =
            |seen: &Seen| serde_json::from_str::<Value>(&seen.stdout).unwrap()["vmid"].clone();
        assert_eq!(vmid(&dry), vmid(&run));
    }
    if let (" --quiet", Some(0)) = (output, dry.exit) {
        assert_eq!((dry.stdout.as_str(), dry.stderr.as_str()), ("", ""));
    }
}

#[rstest]
#[case::no_such_template("web-1 nosuch", &[], &[])]
#[case::the_vm_exists("web-1 debian-12", &[web_1()], &[])]
#[case::several_vms(
    "web-1 debian-12 --ensure", &[web_1(), json!({"vmid": 102, "name": "web-1"})], &[]
)]
#[case::vmid_of_another(
    "web-1 debian-12 --vmid 102", &[json!({"vmid": 102, "name": "db-1"})], &[]
)]
#[case::disk_that_the_template_lacks("web-1 debian-12 --resize scsi7=8G", &[], &[])]
#[case::disk_that_the_vm_lacks("web-1 debian-12 --ensure --resize scsi7=8G", &[web_1()], &[])]
#[case::relative_size_for_an_existing_vm(
    "web-1 debian-12 --ensure --resize scsi0=+8G", &[web_1()], &[]
)]
#[case::record_of_another_clone("web-1 debian-12 --linked", &[], &[RUN, INTENT, ""])]
#[case::record_of_an_unfinished_vm(
    "web-1 debian-12 --storage small", &[web_1()], &[RUN, INTENT, CREATED, ""]
)]
#[case::damaged_record("web-1 debian-12", &[], &["what is this?", ""])]
#[case::wrong_usage("web-1 debian-12 --set cores=4 --cores 4", &[], &[])]
fn a_dry_run_fails_with_the_message_of_the_run(
    #[case] arguments: &str,
    #[case] guests: &[Value],
    #[case] earlier: &[&str],
    #[values("", " --json")] output: &str,
) {
    let (fake, state) = (fake(guests), StateDir::new());
    if !earlier.is_empty() {
        record(&state, &fake, earlier);
    }
    let dry = create(&fake, &state, &format!("{arguments} --dry-run{output}"));
    let run = create(&fake, &state, &format!("{arguments}{output}"));
    assert_eq!(failure(&dry), failure(&run));
    assert_ne!(dry.exit, Some(0));
}

#[test]
fn a_dry_run_reports_the_run_that_holds_the_lock() {
    let (fake, state) = (fake(&[]), StateDir::new());
    let mut held = File::create(format!("{}/web-1.jsonl", state.path())).unwrap();
    held.lock().unwrap();
    let process = process::id();
    writeln!(
        held,
        r#"{{"run":{{"process":{process},"time":1795420071}}}}"#
    )
    .unwrap();
    let seen = create(&fake, &state, "web-1 debian-12 --dry-run");
    let expected = format!(
        "Checking how VM 'web-1' would be created from template 'debian-12' (dry run)...\n\
         Failed to create VM: process {process} is creating VM 'web-1'\n\
         Hint: --ensure waits until it has ended, then uses or creates the VM\n"
    );
    assert_eq!((seen.exit, seen.stderr), (Some(1), expected));
    assert_eq!(fake.journal(), [""; 0]);
}

/// Two dry runs and a run do not hinder each other: a dry run does not keep the lock.
#[test]
fn a_run_begins_while_a_dry_run_waits_for_the_server() {
    let setup = json!({
        "guests": [{"vmid": 9000, "name": "debian-12", "template": true}],
        "faults": [{"request": 1, "hang": true}],
    });
    let fake = FakePve::start(serde_json::from_value(setup).unwrap());
    let state = StateDir::new();
    record(&state, &fake, &[RUN, ""]);
    let homelab = Homelab::at(&fake).in_state(&state);
    let dry = homelab.start("proxmox vm create web-1 debian-12 --dry-run --request-timeout 1");
    fake.wait_for_requests(1);
    let run = create(&fake, &state, "web-1 debian-12");
    assert_eq!(
        (run.exit, run.stdout.as_str()),
        (
            Some(0),
            "Successfully created VM 100 'web-1' on node 'pve1'\n"
        )
    );
    dry.wait();
}

#[rstest]
#[case::missing("missing/state", 0)]
#[case::below_a_file("file/state", 1)]
fn the_state_directory_is_not_created(#[case] directory: &str, #[case] exit: i32) {
    let (fake, state) = (fake(&[]), StateDir::new());
    fs::write(format!("{}/file", state.path()), "").unwrap();
    let directory = format!("{}/{directory}", state.path());
    let run = |arguments: &str| {
        let homelab = Homelab::at(&fake).env("HOMELAB_STATE_DIR", &directory);
        homelab.run(&format!(
            "proxmox vm create web-1 debian-12 --ensure --poll-interval 0.01{arguments}"
        ))
    };
    let dry = run(" --dry-run");
    assert!(!Path::new(&directory).exists());
    let created = run("");
    assert_eq!((dry.exit, created.exit), (Some(exit), Some(exit)));
    if exit != 0 {
        assert_eq!(failure(&dry), failure(&created));
    }
}
