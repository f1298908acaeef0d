//! Reasons why a template cannot be cloned.

use rstest::rstest;
use serde_json::{Value, json};

use super::support::{CHECK, all_but, at, cluster, command_in, fake, lines, with_verdict};
use crate::homelab::{Homelab, StateDir};

/// A cluster whose template has one more option.
fn with_option(option: &str, value: &str) -> Value {
    let mut setup = cluster(&all_but(None));
    setup["guests"][1]["config"] = json!({option: value});
    setup
}

#[rstest]
#[case::pci("hostpci0", "0000:01:00.0,pcie=1", "pci")]
#[case::usb("usb1", "host=046d:c52b", "usb")]
fn a_device_without_a_mapping_cannot_be_cloned_even_by_a_token_of_root(
    #[case] option: &str,
    #[case] value: &str,
    #[case] kind: &str,
) {
    let fake = fake(with_option(option, value));
    let state = StateDir::new();
    let seen = Homelab::at(&fake).in_state(&state).run(CHECK);
    let map = format!(
        "create a resource mapping for the device (Datacenter > Resource Mappings); on node 'pve1', as \
         root: qm set 9000 --{option} mapping=NAME (with its other settings); and grant the token \
         Mapping.Use on /mapping/{kind}/NAME"
    );
    let line = format!(
        "FAIL  {option} of template 9000: a device without a resource mapping: no API token may clone it, \
         not even one of root@pam; {map}"
    );
    assert_eq!(with_verdict("FAIL", &lines(&seen, &fake, &state)), [line]);
    assert_eq!(seen.exit, Some(1));
    // `vm create` gives the same hint.
    let create = "proxmox vm create web-1 debian-12";
    let seen = Homelab::at(&fake).in_state(&state).run(create);
    let hint = format!(
        "Hint: no API token may clone a device without a resource mapping, not even one of root@pam: {map}"
    );
    let last = seen.stderr.lines().last();
    assert_eq!((seen.exit, last), (Some(1), Some(hint.as_str())));
}

#[test]
fn a_mapped_device_needs_a_privilege_on_its_mapping() {
    let fake = fake(with_option("hostpci0", "mapping=gpu,pcie=1"));
    let state = StateDir::new();
    let seen = at(&fake, &state).run(CHECK);
    let failed = with_verdict("FAIL", &lines(&seen, &fake, &state));
    let line = "FAIL  Mapping.Use on /mapping/pci/gpu: the token lacks it; on a node, as root: pveum acl \
                modify /mapping/pci/gpu --tokens 'homelab@pve!cli' --roles PVEMappingUser";
    assert_eq!(failed, [line]);
    let create = || {
        at(&fake, &state)
            .run("proxmox vm create web-1 debian-12")
            .exit
    };
    assert_eq!(create(), Some(1));
    fake.pveum(command_in(line));
    let seen = at(&fake, &state).run(CHECK);
    assert_eq!(with_verdict("FAIL", &lines(&seen, &fake, &state)), [""; 0]);
    assert_eq!(create(), Some(0));
}

#[test]
fn the_cd_drive_of_the_node_needs_a_privilege_that_no_small_role_has() {
    let fake = fake(with_option("ide0", "cdrom,media=cdrom"));
    let state = StateDir::new();
    let seen = at(&fake, &state).run(CHECK);
    let line = "FAIL  Sys.Console on /: the token lacks it; ide0 of template 9000 is the CD drive of the \
                node; on node 'pve1', as root: qm set 9000 --ide0 none,media=cdrom";
    assert_eq!(with_verdict("FAIL", &lines(&seen, &fake, &state)), [line]);
    let seen = at(&fake, &state).run("proxmox vm create web-1 debian-12");
    assert_eq!(seen.exit, Some(1));
}

/// Before version 8 there were no mappings.
#[test]
fn an_old_server_clones_devices_without_a_mapping() {
    let mut setup = with_option("hostpci0", "0000:01:00.0");
    setup["version"] = json!("7.4-17");
    let fake = fake(setup);
    let state = StateDir::new();
    let seen = Homelab::at(&fake).in_state(&state).run(CHECK);
    assert_eq!(with_verdict("FAIL", &lines(&seen, &fake, &state)), [""; 0]);
}

#[test]
fn a_template_that_is_locked_is_a_warning() {
    let mut setup = cluster(&all_but(None));
    setup["guests"][1]["lock"] = json!("backup");
    let fake = fake(setup);
    let state = StateDir::new();
    let seen = at(&fake, &state).run(CHECK);
    let line = "warn  template 'debian-12': 9000 on node 'pve1', locked (backup): it cannot be cloned until \
                the lock is released";
    assert_eq!(with_verdict("warn", &lines(&seen, &fake, &state)), [line]);
    assert_eq!(seen.exit, Some(0));
}

#[rstest]
#[case::disabled(json!({"enabled": 0, "active": 0}), "disabled")]
#[case::out_of_reach(json!({"enabled": 1, "active": 0}), "node 'pve1' cannot reach it")]
fn a_storage_that_cannot_be_used_is_a_failure(#[case] state: Value, #[case] problem: &str) {
    let mut row = json!({"storage": "data", "content": "images", "shared": 0});
    row.as_object_mut()
        .unwrap()
        .extend(state.as_object().unwrap().clone());
    let body = json!({"data": [row]}).to_string();
    let answer = json!({"status": 200, "reason": "OK", "body": body});
    let mut setup = cluster(&all_but(None));
    setup["faults"] = json!([{"on": "GET /nodes/pve1/storage", "answer": answer}]);
    let fake = fake(setup);
    let state = StateDir::new();
    let seen = at(&fake, &state).run(CHECK);
    let line = format!(
        "FAIL  storage 'data': {problem}; 'pvesm status --content images' on node 'pve1' lists the storages \
         that accept disks"
    );
    assert_eq!(with_verdict("FAIL", &lines(&seen, &fake, &state)), [line]);
}

#[rstest]
#[case::for_cd_images("local", "does not accept VM disks")]
#[case::unknown("nosuch", "node 'pve1' has no such storage")]
#[case::of_another_node("fast", "node 'pve1' has no such storage")]
fn a_chosen_storage_that_the_node_cannot_use_for_disks_is_a_failure(
    #[case] storage: &str,
    #[case] problem: &str,
) {
    let mut setup = cluster(&all_but(None));
    setup["nodes"] = json!(["pve1", "pve2"]);
    setup["storages"] = json!({"fast": {"nodes": ["pve2"]}});
    let fake = fake(setup);
    let state = StateDir::new();
    let run = |arguments: &str| {
        let arguments = format!("{arguments} --storage {storage}");
        Homelab::at(&fake).in_state(&state).run(&arguments)
    };
    let seen = run(CHECK);
    let line = format!(
        "FAIL  storage '{storage}': {problem}; 'pvesm status --content images' on node 'pve1' lists the \
         storages that accept disks"
    );
    assert_eq!(with_verdict("FAIL", &lines(&seen, &fake, &state)), [line]);
    let privilege = format!("/storage/{storage}: the token has it");
    let exists = storage == "local";
    assert_eq!(seen.stdout.contains(&privilege), exists);
    assert_eq!(run("proxmox vm create web-1 debian-12").exit, Some(1));
}
