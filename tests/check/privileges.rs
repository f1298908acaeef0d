//! Missing privileges, and the commands that grant them.

use rstest::rstest;
use serde_json::json;

use super::support::{
    CHECK, FOR_ITS_USER, OR_FOR_ITS_USER, PRIVILEGES, all_but, at, cluster, command_in, fake,
    lines, run_recipe, with_verdict,
};
use crate::homelab::StateDir;
use crate::readme::README;

/// The command in a finding fixes that finding.
#[rstest]
#[case::clone("/vms/9000", "VM.Clone", "FAIL  VM.Clone on /vms/9000")]
#[case::audit_of_the_template("/vms/9000", "VM.Audit", "warn  VM.Audit on /vms/9000")]
#[case::allocate("/vms", "VM.Allocate", "FAIL  VM.Allocate on /vms/100")]
#[case::storage(
    "/storage/data",
    "Datastore.AllocateSpace",
    "FAIL  Datastore.AllocateSpace on /storage/data"
)]
#[case::network(
    "/sdn/zones/localnetwork",
    "SDN.Use",
    "FAIL  SDN.Use on /sdn/zones/localnetwork/vmbr0"
)]
fn a_privilege_missing_for_the_clone_is_the_only_failure_and_its_command_fixes_it(
    #[case] path: &str,
    #[case] privilege: &str,
    #[case] finding: &str,
) {
    let mut setup = cluster(&all_but(Some((path, privilege))));
    // A guest that it does not see would be another finding.
    setup["guests"].as_array_mut().unwrap().remove(0);
    let fake = fake(setup);
    let state = StateDir::new();
    let seen = at(&fake, &state).run(CHECK);
    let lines = lines(&seen, &fake, &state);
    // If the template is not visible, the failure is that it was not found.
    assert_eq!(
        (with_verdict("FAIL", &lines).len(), seen.exit),
        (1, Some(1))
    );
    let findings = with_verdict(finding, &lines);
    let [finding] = &findings[..] else {
        panic!("one finding expected, not {findings:?}");
    };
    fake.pveum(command_in(finding));
    let seen = at(&fake, &state).run(CHECK);
    assert_eq!(
        with_verdict("FAIL", &self::lines(&seen, &fake, &state)),
        [""; 0]
    );
    assert_eq!(seen.exit, Some(0));
}

#[test]
fn a_token_without_vm_clone_gets_the_command_that_grants_it() {
    let fake = fake(cluster(&all_but(Some(("/vms/9000", "VM.Clone")))));
    let state = StateDir::new();
    let seen = at(&fake, &state).run(CHECK);
    let lines = lines(&seen, &fake, &state);
    let line = "FAIL  VM.Clone on /vms/9000: the token lacks it; on a node, as root: pveum acl \
                modify /vms/9000 --tokens 'homelab@pve!cli' --roles \
                PVETemplateUser";
    assert_eq!(with_verdict("FAIL", &lines), [line]);
    assert_eq!(with_verdict("warn", &lines), [FOR_ITS_USER]);
    assert_eq!(seen.exit, Some(1));
    // `vm create` gives the same hint.
    let seen = at(&fake, &state).run("proxmox vm create web-1 debian-12");
    let expected = "Creating VM 'web-1' from template 'debian-12'...
Failed to create VM: cannot clone template 9000 to VM 101: Permission check failed (/vms/9000, VM.Clone)
Hint: on a node, as root: pveum acl modify /vms/9000 --tokens 'homelab@pve!cli' --roles PVETemplateUser; without privilege separation, or if the token's user lacks it too, also run this with --users homelab@pve instead of --tokens …
";
    assert_eq!(seen.stderr, expected);
    fake.pveum(command_in(&seen.stderr));
    let seen = at(&fake, &state).run("proxmox vm create web-1 debian-12");
    assert_eq!(seen.exit, Some(0));
}

#[rstest]
#[case::allocate(("/vms", "VM.Allocate"), "the token lacks VM.Allocate on /vms/101; on a node, as root: \
    pveum acl modify /vms --tokens 'homelab@pve!cli' --roles PVEVMAdmin")]
#[case::storage(("/storage/data", "Datastore.AllocateSpace"), "on a node, as root: pveum acl modify \
    /storage/data --tokens 'homelab@pve!cli' --roles PVEDatastoreUser")]
#[case::network(("/sdn/zones/localnetwork", "SDN.Use"), "on a node, as root: pveum acl modify \
    /sdn/zones/localnetwork/vmbr0 --tokens 'homelab@pve!cli' --roles PVESDNUser")]
fn the_hint_of_a_forbidden_clone_fixes_it(#[case] lacking: (&str, &str), #[case] hint: &str) {
    let fake = fake(cluster(&all_but(Some(lacking))));
    let state = StateDir::new();
    let create = || at(&fake, &state).run("proxmox vm create web-1 debian-12");
    let seen = create();
    let last = seen.stderr.lines().last().unwrap();
    let expected = format!("Hint: {hint}{OR_FOR_ITS_USER}");
    assert_eq!((seen.exit, last), (Some(1), expected.as_str()));
    fake.pveum(command_in(last));
    assert_eq!(create().exit, Some(0));
}

#[rstest]
#[case("VM.Config.Disk", "to grow its disks")]
#[case("VM.Config.Cloudinit", "to set its user, keys and addresses")]
#[case("VM.PowerMgmt", "to start it")]
#[case("VM.GuestAgent.Audit", "to read its address")]
fn a_privilege_missing_for_later_steps_only_is_a_warning(
    #[case] privilege: &str,
    #[case] purpose: &str,
) {
    let fake = fake(cluster(&all_but(Some(("/vms", privilege)))));
    let state = StateDir::new();
    let seen = at(&fake, &state).run(CHECK);
    let line = format!(
        "warn  {privilege} on /vms/101: the token lacks it; not needed for the clone, but {purpose}; on a \
         node, as root: pveum acl modify /vms --tokens 'homelab@pve!cli' \
         --roles PVEVMAdmin"
    );
    let lines = lines(&seen, &fake, &state);
    assert_eq!(with_verdict("warn", &lines), [line.as_str(), FOR_ITS_USER]);
    assert_eq!(
        (with_verdict("FAIL", &lines).len(), seen.exit),
        (0, Some(0))
    );
}

/// The task of the clone shows enough for a VM that is not set up.
#[test]
fn a_vm_can_be_created_without_vm_audit_on_it() {
    let mut setup = cluster(&all_but(Some(("/vms", "VM.Audit"))));
    setup["guests"].as_array_mut().unwrap().remove(0);
    let fake = fake(setup);
    let state = StateDir::new();
    let seen = at(&fake, &state).run(CHECK);
    let line = "warn  VM.Audit on /vms/100: the token lacks it; not needed for the clone, but to read the \
                new VM, which its setup requires; on a node, as root: pveum acl modify /vms --tokens \
                'homelab@pve!cli' --roles PVEVMAdmin";
    let lines = lines(&seen, &fake, &state);
    assert_eq!(with_verdict("warn", &lines), [line, FOR_ITS_USER]);
    assert_eq!(seen.exit, Some(0));
    let seen = at(&fake, &state).run("proxmox vm create web-1 debian-12");
    assert_eq!(seen.exit, Some(0));
}

#[test]
fn the_readmes_role_is_enough_for_a_vm_that_can_be_reached() {
    let fake = fake(cluster(&json!({})));
    assert_eq!(run_recipe(README, "Homelab", &fake), 4);
    let state = StateDir::new();
    let seen = at(&fake, &state).run(CHECK);
    let lines = lines(&seen, &fake, &state);
    assert_eq!(with_verdict("FAIL", &lines), [""; 0]);
    assert_eq!(with_verdict("warn", &lines), [""; 0]);
    let seen = at(&fake, &state)
        .with_file("id.pub", "ssh-ed25519 AAAAC3Nza me@host\n")
        .run(
            "proxmox vm create web-1 debian-12 --set cores=4 --set memory=8192 --set tags=web \
             --set ciuser=admin --set ipconfig0=ip=dhcp --set net0=virtio,bridge=vmbr0,firewall=1 \
             --ssh-key id.pub --resize scsi0=32G --wait-ip",
        );
    assert_eq!(
        (seen.exit, seen.stdout.contains(" at 10.0.0.")),
        (Some(0), true)
    );
    let seen = at(&fake, &state).run("proxmox vm list --ip");
    assert!(seen.stdout.contains("10.0.0."), "{}", seen.stdout);
}

#[rstest]
#[case::nine("9.0.3", &["SDN.Use", "VM.GuestAgent.Audit"])]
#[case::eight("8.4.1", &["SDN.Use", "VM.Monitor"])]
#[case::seven("7.4-17", &["VM.Monitor"])]
fn what_is_needed_depends_on_the_version(#[case] version: &str, #[case] expected: &[&str]) {
    let mut setup = cluster(&json!("all"));
    setup["version"] = json!(version);
    let fake = fake(setup);
    let state = StateDir::new();
    let seen = at(&fake, &state).run(CHECK);
    let lines = lines(&seen, &fake, &state);
    let checked: Vec<&str> = ["SDN.Use", "VM.GuestAgent.Audit", "VM.Monitor"]
        .into_iter()
        .filter(|name| {
            lines
                .iter()
                .any(|line| line.starts_with(&format!("ok    {name} on ")))
        })
        .collect();
    assert_eq!((checked, seen.exit), (expected.to_vec(), Some(0)));
    assert!(lines.contains(&format!("ok    server: Proxmox VE {version}")));
}

/// This token may not even ask which zone a vnet is in.
#[rstest]
#[case::in_another_zone(
    "/sdn/zones/office",
    "warn  SDN.Use on /sdn/zones/localnetwork/office0/20: the token lacks it; if office0/20 is a vnet, \
     SDN.Use is needed on its own zone instead"
)]
#[case::in_the_nodes_zone(
    "/sdn/zones/localnetwork",
    "warn  SDN.Use on /sdn/zones/localnetwork/office0/20: the token has it; if office0/20 is a vnet, \
     SDN.Use is needed on its own zone instead"
)]
#[case::in_all_zones("/sdn", "ok    SDN.Use on /sdn/zones: the token has it")]
fn a_network_that_may_be_a_vnet_is_a_warning(#[case] path: &str, #[case] line: &str) {
    let mut privileges = all_but(Some(("/sdn/zones/localnetwork", "SDN.Use")));
    let paths = privileges.as_object_mut().unwrap();
    paths.remove("/sdn/zones/localnetwork");
    paths.insert(path.to_owned(), json!(["SDN.Use"]));
    let fake = fake(cluster(&privileges));
    let net = json!("virtio=BC:24:11:00:00:01,bridge=office0,tag=20");
    let mut cluster = fake.cluster();
    let template = cluster.guests.get_mut(&9000).unwrap();
    template.config.insert("net0".to_owned(), net);
    drop(cluster);
    let state = StateDir::new();
    let seen = at(&fake, &state).run(CHECK);
    let found = lines(&seen, &fake, &state);
    let found: Vec<&String> = found
        .iter()
        .filter(|line| line.contains("SDN.Use"))
        .collect();
    assert_eq!((found, seen.exit), (vec![&line.to_owned()], Some(0)));
}

/// A role on all VMs replaces the one that the token inherits there; the granted role must not take
/// privileges away.
#[test]
fn granting_a_later_privilege_keeps_the_others() {
    let mut on_top = vec!["Datastore.AllocateSpace", "SDN.Use"];
    let of_vms = PRIVILEGES[0].1.iter().chain(PRIVILEGES[1].1);
    on_top.extend(of_vms.filter(|privilege| **privilege != "VM.GuestAgent.Audit"));
    let fake = fake(cluster(&json!({"/": on_top})));
    let state = StateDir::new();
    let seen = at(&fake, &state).run(CHECK);
    let warned = with_verdict("warn  VM.GuestAgent.Audit", &lines(&seen, &fake, &state));
    assert_eq!((warned.len(), seen.exit), (1, Some(0)));
    fake.pveum(command_in(&warned[0]));
    let seen = at(&fake, &state).run(CHECK);
    let all = lines(&seen, &fake, &state);
    assert_eq!(with_verdict("ok", &all).len(), all.len());
}

/// The list of all privileges of a token omits paths without any, which hides that they are forbidden.
#[test]
fn a_path_without_privileges_does_not_inherit_them() {
    let mut privileges = all_but(None);
    privileges["/"] = json!(["Datastore.AllocateSpace"]);
    privileges["/storage/data"] = json!([]);
    let fake = fake(cluster(&privileges));
    let state = StateDir::new();
    let seen = at(&fake, &state).run(CHECK);
    let failed = with_verdict("FAIL", &lines(&seen, &fake, &state));
    let beginning = "FAIL  Datastore.AllocateSpace on /storage/data: the token lacks it";
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0].get(..beginning.len()), Some(beginning));
}
