//! `homelab proxmox check`: the findings about everything that a run depends on.

mod environment;
mod exactly;
mod hosts;
mod images;
mod pool;
mod privileges;
mod quorum;
mod support;
mod template;
mod verbs;

use rstest::rstest;
use serde_json::{Value, json};

use self::support::{
    CHECK, IT_REPLACES, OR_FOR_ITS_USER, all_but, at, cluster, fake, lines, with_verdict,
};
use crate::fake_pve::FakePve;
use crate::homelab::{Homelab, StateDir};

#[test]
fn a_working_setup_has_no_findings_but_ok() {
    let setup = serde_json::from_value(cluster(&all_but(None))).unwrap();
    let fake = FakePve::start_tls(setup);
    let state = StateDir::new();
    let seen = at(&fake, &state)
        .env("PROXMOX_FINGERPRINT", &fake.fingerprint())
        .run(CHECK);
    let certificate = format!(
        "ok    certificate of 127.0.0.1:PORT: pinned, valid until {}, SHA-256 {}",
        fake.leaf_not_after(),
        fake.fingerprint()
    );
    let expected = [
        "ok    configuration: host 127.0.0.1:PORT (PROXMOX_HOST), user homelab@pve (PROXMOX_USER), \
         token key cli (PROXMOX_TOKEN_KEY), secret (PROXMOX_TOKEN_SECRET), trust the pinned \
         certificate (PROXMOX_FINGERPRINT)",
        "ok    connection to 127.0.0.1:PORT: established",
        &certificate,
        "ok    token homelab@pve!cli: accepted",
        "ok    server: Proxmox VE 9.2.11",
        "ok    quorum: nodes online: 1 of 1",
        "ok    guests: visible templates: 1, VMs: 1",
        "ok    hidden guests: none at 16 unlisted VMIDs",
        "ok    template 'debian-12': 9000 on node 'pve1'",
        "ok    VM.Clone on /vms/9000: the token has it",
        "ok    VM.Audit on /vms/9000: the token has it",
        "ok    VM.Allocate on /vms/101: the token has it",
        "ok    Datastore.AllocateSpace on /storage/data: the token has it",
        "ok    SDN.Use on /sdn/zones/localnetwork/vmbr0: the token has it",
        "ok    VM.Audit on /vms/101: the token has it",
        "ok    VM.Config.Disk on /vms/101: the token has it",
        "ok    VM.Config.CPU on /vms/101: the token has it",
        "ok    VM.Config.Memory on /vms/101: the token has it",
        "ok    VM.Config.Network on /vms/101: the token has it",
        "ok    VM.Config.Cloudinit on /vms/101: the token has it",
        "ok    VM.Config.Options on /vms/101: the token has it",
        "ok    VM.PowerMgmt on /vms/101: the token has it",
        "ok    VM.GuestAgent.Audit on /vms/101: the token has it",
        "ok    state directory STATE: writable, and supports file locks",
    ];
    assert_eq!(lines(&seen, &fake, &state), expected);
    assert_eq!((seen.exit, seen.stderr.as_str()), (Some(0), ""));
}

#[test]
fn a_check_changes_nothing_on_the_server_and_leaves_nothing_on_this_machine() {
    let fake = fake(cluster(&all_but(None)));
    let state = StateDir::new();
    at(&fake, &state).run(CHECK);
    let journal = fake.journal();
    assert!(
        journal.iter().all(|line| line.starts_with("GET ")),
        "{journal:?}"
    );
    assert_eq!(std::fs::read_dir(state.path()).unwrap().count(), 0);
}

#[test]
fn guests_that_this_token_does_not_see_are_listed_by_vmid() {
    let mut setup = cluster(&json!({"/vms/9000": ["VM.Audit", "VM.Clone"]}));
    let more = json!({"vmid": 103, "name": "db-1", "type": "lxc"});
    setup["guests"].as_array_mut().unwrap().push(more);
    let fake = fake(setup);
    let state = StateDir::new();
    let seen = at(&fake, &state).run("proxmox check");
    let line = "warn  hidden guests: this token cannot see VMID 100, 103: a VM of the requested name there \
                would not be found; on a node, as root: pveum acl modify /vms --tokens 'homelab@pve!cli' \
                --roles PVEAuditor";
    let expected = format!("{line}{IT_REPLACES}{OR_FOR_ITS_USER}");
    assert_eq!(
        with_verdict("warn  hidden guests", &lines(&seen, &fake, &state)),
        [expected]
    );
    assert_eq!(seen.exit, Some(0));
}

#[test]
fn a_token_that_sees_nothing_gets_the_reason() {
    let fake = fake(cluster(&json!("none")));
    let state = StateDir::new();
    let seen = at(&fake, &state).run("proxmox check");
    let line = "FAIL  guests: visible templates: 0, VMs: 0; 'homelab help templates' says how to create one; if there are any, this token lacks VM.Audit on \
                them; on a node, as root: pveum acl modify /vms --tokens 'homelab@pve!cli' --roles \
                PVEAuditor";
    assert_eq!(
        with_verdict("FAIL", &lines(&seen, &fake, &state)),
        [format!("{line}{IT_REPLACES}{OR_FOR_ITS_USER}")]
    );
    assert_eq!(seen.exit, Some(1));
}

#[test]
fn a_missing_template_is_a_failure_with_a_hint() {
    let fake = fake(cluster(&all_but(None)));
    let state = StateDir::new();
    let seen = at(&fake, &state).run("proxmox check debain-12");
    let line = "FAIL  template: Template 'debain-12' not found; did you mean \
                'debian-12'? 'homelab proxmox template list' shows the templates";
    assert_eq!(with_verdict("FAIL", &lines(&seen, &fake, &state)), [line]);
    assert_eq!(seen.exit, Some(1));
}

#[test]
fn a_state_directory_that_cannot_be_written_is_a_warning() {
    let fake = fake(cluster(&all_but(None)));
    let state = StateDir::new();
    let homelab = at(&fake, &state).env("HOMELAB_STATE_DIR", "/dev/null/x");
    let seen = homelab.run("proxmox check");
    let line = "warn  state directory /dev/null/x: cannot use /dev/null/x: Not a directory (os error 20); \
                'vm create --ensure' fails without it; make it writable for this user, or set \
                HOMELAB_STATE_DIR to another directory";
    assert_eq!(with_verdict("warn", &lines(&seen, &fake, &state)), [line]);
    assert_eq!(seen.exit, Some(0));
}

#[test]
fn without_a_configuration_only_the_state_directory_is_checked() {
    let state = StateDir::new();
    let seen = Homelab::alone().in_state(&state).run("proxmox check");
    let expected = format!(
        "FAIL  configuration: missing settings: PROXMOX_HOST, PROXMOX_USER, PROXMOX_TOKEN_KEY, \
         PROXMOX_TOKEN_SECRET; set them in the environment, or in the configuration file \
         (~/.config/homelab/config.json by default), which looks like {{\"proxmox\": {{\"host\": \
         \"pve.lan\", \"user\": \"homelab@pve\", \"token_key\": \"cli\", \"token_secret\": \"…\"}}}}; \
         see 'homelab help config'\n\
         ok    state directory {}: writable, and supports file locks\n",
        state.path()
    );
    assert_eq!((seen.exit, seen.stdout), (Some(2), expected));
}

#[test]
fn scripts_get_one_document() {
    let fake = fake(cluster(&all_but(Some(("/vms/9000", "VM.Clone")))));
    let state = StateDir::new();
    let seen = at(&fake, &state).run(&format!("{CHECK} --json"));
    assert_eq!((seen.exit, seen.stdout.lines().count()), (Some(1), 1));
    let document: Value = serde_json::from_str(&seen.stdout).unwrap();
    assert_eq!(document["ok"], json!(false));
    let checks = document["checks"].as_array().unwrap();
    assert_eq!(checks.len(), 25);
    let failed: Vec<&Value> = checks.iter().filter(|it| it["result"] == "fail").collect();
    let expected = json!({
        "result": "fail",
        "check": "VM.Clone on /vms/9000",
        "detail": "the token lacks it",
        "hint": "on a node, as root: pveum acl modify /vms/9000 --tokens \
                 'homelab@pve!cli' --roles PVETemplateUser",
    });
    assert_eq!(failed, [&expected]);
}

#[test]
fn a_reader_that_closes_the_pipe_is_not_a_failure() {
    let fake = fake(cluster(&all_but(None)));
    let state = StateDir::new();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let seen = at(&fake, &state).run_into(CHECK, writer);
    assert_eq!((seen.exit, seen.stderr.as_str()), (Some(0), ""));
}

/// One line for each request, even the version request to each host.
#[test]
fn verbose_prints_every_request() {
    let fake = fake(cluster(&all_but(None)));
    let state = StateDir::new();
    let seen = at(&fake, &state).run(&format!("{CHECK} --verbose"));
    assert_eq!(seen.stderr.lines().count(), fake.journal().len());
}

/// The range of VMIDs may start above a hidden guest.
#[test]
fn hidden_guests_below_the_next_vmid_are_found() {
    let mut setup = cluster(&json!({"/vms/9000": ["VM.Audit", "VM.Clone"]}));
    setup["nextid_from"] = json!(5000);
    let guests = setup["guests"].as_array_mut().unwrap();
    guests.remove(0);
    guests.push(json!({"vmid": 5000, "name": "db-1"}));
    let fake = fake(setup);
    let state = StateDir::new();
    let seen = at(&fake, &state).run("proxmox check");
    let warned = with_verdict("warn  hidden guests", &lines(&seen, &fake, &state));
    let beginning = "warn  hidden guests: this token cannot see VMID 5000: ";
    assert_eq!(warned.len(), 1);
    assert_eq!(warned[0].get(..beginning.len()), Some(beginning));
}

#[test]
fn several_templates_with_one_name_are_a_warning() {
    let mut setup = cluster(&all_but(None));
    let guests = setup["guests"].as_array_mut().unwrap();
    guests.push(json!({"vmid": 9001, "name": "debian-12", "template": true}));
    let fake = fake(setup);
    let state = StateDir::new();
    let seen = at(&fake, &state).run(CHECK);
    let line = "warn  template 'debian-12': several templates are named 'debian-12': using 9000 on node \
                'pve1'; others: 9001 on node 'pve1'";
    assert_eq!(with_verdict("warn", &lines(&seen, &fake, &state)), [line]);
    assert_eq!(seen.stderr, "");
}

#[rstest]
#[case::lines("proxmox check")]
#[case::document("proxmox check --json")]
fn a_result_that_cannot_be_written_is_a_failure(#[case] arguments: &str) {
    let fake = fake(cluster(&all_but(None)));
    let state = StateDir::new();
    let full = std::fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let seen = at(&fake, &state).run_into(arguments, full);
    let expected = "the result cannot be written: No space left on device (os error 28)\n";
    assert_eq!((seen.exit, seen.stderr.as_str()), (Some(1), expected));
}

#[test]
fn the_path_of_the_configuration_file_is_printed_once() {
    let fake = fake(cluster(&all_but(None)));
    let state = StateDir::new();
    let homelab = at(&fake, &state)
        .without("PROXMOX_USER")
        .without("PROXMOX_TOKEN_KEY");
    let json = r#"{"proxmox":{"user":"homelab@pve","token_key":"cli"}}"#;
    std::fs::write(homelab.home().join("my.json"), json).unwrap();
    let seen = homelab.run("proxmox check --config my.json");
    let line = "ok    configuration: host 127.0.0.1:PORT (PROXMOX_HOST), user homelab@pve (file: user), \
                token key cli (file: token_key), secret (PROXMOX_TOKEN_SECRET), file my.json";
    assert_eq!(lines(&seen, &fake, &state)[0], line);
}
