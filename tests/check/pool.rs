//! `--pool` and `--storage`: the required privileges depend on where the new VM goes.

use rstest::rstest;
use serde_json::Value;

use super::support::{
    CHECK, OR_FOR_ITS_USER, all_but, at, cluster, command_in, fake, lines, with_verdict,
};
use crate::homelab::{Homelab, StateDir};

/// A token with its privileges on VMs granted on the pool alone.
fn pool_only(but: Option<&str>) -> Value {
    let mut privileges = all_but(but.map(|privilege| ("/vms", privilege)));
    let paths = privileges.as_object_mut().unwrap();
    let of_vms = paths.remove("/vms").unwrap();
    paths.insert("/pool/clients".to_owned(), of_vms);
    privileges
}

#[test]
fn a_privilege_on_the_pool_is_enough_for_a_vm_in_the_pool() {
    let fake = fake(cluster(&pool_only(None)));
    let state = StateDir::new();
    let seen = at(&fake, &state).run("proxmox check debian-12 --pool clients");
    let all = lines(&seen, &fake, &state);
    assert_eq!(with_verdict("FAIL", &all), [""; 0]);
    assert!(
        all.contains(
            &"ok    VM.Allocate on /pool/clients or /vms/101: the token has it".to_owned()
        )
    );
    assert_eq!(seen.exit, Some(0));
    let seen = at(&fake, &state).run("proxmox vm create web-1 debian-12 --pool clients");
    assert_eq!(seen.exit, Some(0));
}

#[test]
fn a_privilege_on_the_pool_is_not_enough_for_a_vm_outside() {
    let fake = fake(cluster(&pool_only(None)));
    let state = StateDir::new();
    let seen = at(&fake, &state).run(CHECK);
    let line = "FAIL  VM.Allocate on /vms/101: the token lacks it; on a node, as root: pveum acl modify \
                /vms --tokens 'homelab@pve!cli' --roles PVEVMAdmin";
    assert_eq!(with_verdict("FAIL", &lines(&seen, &fake, &state)), [line]);
}

#[test]
fn a_missing_privilege_for_a_vm_in_a_pool_is_granted_on_the_pool() {
    let fake = fake(cluster(&pool_only(Some("VM.Allocate"))));
    let state = StateDir::new();
    let seen = at(&fake, &state).run("proxmox check debian-12 --pool clients");
    let line = "FAIL  VM.Allocate on /pool/clients or /vms/101: the token lacks it; on a node, as root: \
                pveum acl modify /pool/clients --tokens 'homelab@pve!cli' --roles PVEVMAdmin";
    assert_eq!(with_verdict("FAIL", &lines(&seen, &fake, &state)), [line]);
    // `vm create` gives the same hint.
    let create = || at(&fake, &state).run("proxmox vm create web-1 debian-12 --pool clients");
    let seen = create();
    let last = seen.stderr.lines().last().unwrap();
    let hint = format!(
        "Hint: the token lacks VM.Allocate on /pool/clients; on a node, as root: pveum acl modify \
         /pool/clients --tokens 'homelab@pve!cli' --roles PVEVMAdmin{OR_FOR_ITS_USER}"
    );
    assert_eq!((seen.exit, last), (Some(1), hint.as_str()));
    fake.pveum(command_in(last));
    assert_eq!(create().exit, Some(0));
}

#[test]
fn a_missing_privilege_for_a_later_step_is_granted_on_the_pool() {
    let fake = fake(cluster(&pool_only(Some("VM.Config.CPU"))));
    let state = StateDir::new();
    let create = |more: &str| {
        let arguments = "proxmox vm create web-1 debian-12 --pool clients --set cores=4";
        at(&fake, &state).run(&format!("{arguments}{more}"))
    };
    let seen = create("");
    let last = seen.stderr.lines().last().unwrap();
    let hint = format!(
        "Hint: on a node, as root: pveum acl modify /pool/clients --tokens 'homelab@pve!cli' --roles \
         PVEVMAdmin{OR_FOR_ITS_USER}; then run the same command with --ensure to resume"
    );
    assert_eq!((seen.exit, last), (Some(1), hint.as_str()));
    fake.pveum(command_in(last));
    assert_eq!(create(" --ensure").exit, Some(0));
}

#[rstest]
#[case::seen("clients", "ok    pool 'clients': exists")]
#[case::unknown(
    "clinets",
    "FAIL  pool 'clinets': does not exist; 'pveum pool list' on a node lists the pools"
)]
fn a_token_that_sees_pools_finds_out_whether_a_pool_exists(#[case] pool: &str, #[case] line: &str) {
    let fake = fake(cluster(&all_but(None)));
    let state = StateDir::new();
    let arguments = format!("{CHECK} --pool {pool}");
    let seen = Homelab::at(&fake).in_state(&state).run(&arguments);
    let found = lines(&seen, &fake, &state);
    let found: Vec<&String> = found.iter().filter(|it| it.contains(" pool '")).collect();
    assert_eq!(found, [line]);
}

#[test]
fn no_privileges_are_checked_on_a_pool_that_does_not_exist() {
    let fake = fake(cluster(&all_but(None)));
    let state = StateDir::new();
    let arguments = format!("{CHECK} --pool clinets");
    let seen = Homelab::at(&fake).in_state(&state).run(&arguments);
    let privileges = seen.stdout.matches("the token has it").count();
    assert_eq!((privileges, seen.exit), (0, Some(1)));
}

#[test]
fn a_token_that_sees_no_pools_is_warned_that_the_pool_may_be_missing() {
    let fake = fake(cluster(&all_but(None)));
    let state = StateDir::new();
    let seen = at(&fake, &state).run("proxmox check debian-12 --pool clinets");
    let line = "warn  pool 'clinets': cannot tell whether it exists: that needs Pool.Audit on \
                /pool/clinets";
    assert_eq!(with_verdict("warn", &lines(&seen, &fake, &state)), [line]);
    assert_eq!(seen.exit, Some(0));
}

#[rstest]
#[case::with_the_privilege("small", None)]
#[case::without_the_privilege(
    "data",
    Some(
        "FAIL  Datastore.AllocateSpace on /storage/data: the token lacks it; on a node, as root: pveum acl \
         modify /storage/data --tokens 'homelab@pve!cli' --roles PVEDatastoreUser"
    )
)]
fn only_the_chosen_storage_is_checked(#[case] storage: &str, #[case] failed: Option<&str>) {
    let mut privileges = all_but(None);
    let paths = privileges.as_object_mut().unwrap();
    let of_data = paths.remove("/storage/data").unwrap();
    paths.insert("/storage/small".to_owned(), of_data);
    let fake = fake(cluster(&privileges));
    let state = StateDir::new();
    let seen = at(&fake, &state).run(&format!("{CHECK} --storage {storage}"));
    let failed: Vec<&str> = failed.into_iter().collect();
    assert_eq!(with_verdict("FAIL", &lines(&seen, &fake, &state)), failed);
    let create = format!("proxmox vm create web-1 debian-12 --storage {storage}");
    assert_eq!(at(&fake, &state).run(&create).exit, seen.exit);
}

#[test]
fn a_pool_without_a_template_is_wrong_usage() {
    let fake = fake(cluster(&all_but(None)));
    let state = StateDir::new();
    let seen = at(&fake, &state).run("proxmox check --pool clients");
    let expected = "--pool and --storage need the name of a template\nHint: for example: homelab proxmox \
                    check debian-12 --pool lab\n";
    assert_eq!((seen.exit, seen.stderr.as_str()), (Some(2), expected));
    assert_eq!(fake.journal(), [""; 0]);
}
