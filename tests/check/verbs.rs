//! Without a template, a check ends with the verbs that the token has the privileges for.

use rstest::rstest;
use serde_json::{Value, json};

use super::support::{
    FOR_ITS_USER, all_but, at, cluster, command_in, fake, lines, run_commands_in,
};
use crate::homelab::{Homelab, StateDir};

const ALL: [&str; 6] = [
    "ok    template list, vm list, container list, vm show: all guests",
    "ok    vm ssh, --ip, --wait-ip: all VMs",
    "ok    vm create: all new VMs",
    "ok    template create: all new templates",
    "ok    vm start, vm shutdown, vm stop, vm reboot: all VMs",
    "ok    vm delete: all VMs",
];
const POWER: &str = "vm start, vm shutdown, vm stop, vm reboot";
const OWN_TASKS: [&str; 2] = [
    "ok    task wait: only the token's own tasks: it lacks Sys.Audit on /nodes",
    "ok    task cancel: only the token's own tasks: it lacks Sys.Audit and Sys.Modify on /nodes",
];

/// A template, a container, a VM in a pool and one in none.
fn guests(privileges: &Value) -> Value {
    json!({
        "guests": [
            {"vmid": 100, "name": "router", "status": "running"},
            {"vmid": 101, "name": "web-1", "pool": "clients"},
            {"vmid": 300, "name": "dns", "type": "lxc"},
            {"vmid": 9000, "name": "debian-12", "template": true},
        ],
        "tokens": {"homelab@pve!cli": privileges},
    })
}

/// The findings about verbs.
fn verbs(setup: Value) -> Vec<String> {
    let fake = fake(setup);
    let state = StateDir::new();
    let seen = at(&fake, &state).run("proxmox check");
    let all = lines(&seen, &fake, &state);
    let first = all.iter().position(|line| line.contains("  template list"));
    all[first.unwrap()..all.len() - 1].to_vec()
}

#[test]
fn a_token_with_all_privileges_may_use_all_verbs() {
    let fake = fake(guests(&json!("all")));
    let state = StateDir::new();
    let seen = at(&fake, &state).run("proxmox check");
    let others = [
        "ok    task wait: all tasks",
        "ok    task cancel: all tasks",
        "ok    state directory STATE: writable, and supports file locks",
    ];
    let expected = [ALL.as_slice(), &others].concat();
    let all = lines(&seen, &fake, &state);
    assert_eq!(all[all.len() - expected.len()..], expected);
    assert_eq!(seen.exit, Some(0));
}

#[rstest]
#[case::pool(
    json!({"/pool/clients": ["VM.Audit", "VM.PowerMgmt"], "/vms": ["VM.Audit"]}),
    "ok    vm start, vm shutdown, vm stop, vm reboot: only on /pool/clients, /vms/101"
)]
#[case::pool_adds_to_what_is_granted_on_all_vms(
    json!({"/pool/clients": ["VM.PowerMgmt"], "/vms": ["VM.Audit"]}),
    "ok    vm start, vm shutdown, vm stop, vm reboot: only on /pool/clients, /vms/101"
)]
#[case::one_vm(
    json!({"/vms": ["VM.Audit"], "/vms/100": ["VM.Audit", "VM.PowerMgmt"]}),
    "ok    vm start, vm shutdown, vm stop, vm reboot: only on /vms/100"
)]
#[case::all_but_one_vm(
    json!({"/vms": ["VM.Audit", "VM.PowerMgmt"], "/vms/100": ["VM.Audit"]}),
    "ok    vm start, vm shutdown, vm stop, vm reboot: all VMs, except on /vms/100"
)]
#[case::a_template_and_a_container_are_no_vms(
    json!({"/vms": ["VM.Audit", "VM.PowerMgmt"], "/vms/9000": ["VM.Audit"], "/vms/300": ["VM.Audit"]}),
    "ok    vm start, vm shutdown, vm stop, vm reboot: all VMs"
)]
#[case::only_on_a_template_and_a_container(
    json!({
        "/vms": ["VM.Audit"],
        "/vms/9000": ["VM.Audit", "VM.PowerMgmt"],
        "/vms/300": ["VM.Audit", "VM.PowerMgmt"],
    }),
    "warn  vm start, vm shutdown, vm stop, vm reboot: not permitted: the token lacks VM.PowerMgmt on /vms; \
     on a node, as root: pveum acl modify /vms --tokens 'homelab@pve!cli' --roles PVEVMUser"
)]
#[case::a_vm_that_does_not_exist(
    json!({"/vms": ["VM.Audit", "VM.PowerMgmt"], "/vms/150": ["VM.Audit"]}),
    "ok    vm start, vm shutdown, vm stop, vm reboot: all VMs"
)]
#[case::different_privileges_on_different_vms(
    json!({"/vms": ["VM.Audit"], "/vms/100": ["VM.PowerMgmt"]}),
    "warn  vm start, vm shutdown, vm stop, vm reboot: not permitted: the token lacks VM.PowerMgmt on /vms; \
     on a node, as root: pveum acl modify /vms --tokens 'homelab@pve!cli' --roles PVEVMUser"
)]
#[case::a_pool_is_preferred_to_all_vms(
    json!({"/pool/clients": ["VM.Audit", "VM.Allocate"], "/vms/9000": ["VM.Audit"]}),
    "warn  vm start, vm shutdown, vm stop, vm reboot: not permitted: the token lacks VM.PowerMgmt on \
     /pool/clients; on a node, as root: pveum acl modify /pool/clients --tokens 'homelab@pve!cli' --roles \
     PVEVMAdmin"
)]
fn a_verb_is_permitted_on_these_paths(#[case] privileges: Value, #[case] line: &str) {
    let found = verbs(guests(&privileges));
    let found: Vec<&String> = found.iter().filter(|it| it.contains(POWER)).collect();
    assert_eq!(found, [line]);
}

#[test]
fn only_the_first_paths_are_listed() {
    let vmids = 100..108;
    let guests = vmids.clone().map(|vmid| json!({"vmid": vmid}));
    let on_each = vmids.map(|vmid| {
        let privileges = json!(["VM.Audit", "VM.PowerMgmt"]);
        (format!("/vms/{vmid}"), privileges)
    });
    let mut setup = cluster(&Value::Object(on_each.collect()));
    setup["guests"].as_array_mut().unwrap().splice(.., guests);
    let line = "ok    vm start, vm shutdown, vm stop, vm reboot: only on /vms/100, /vms/101, /vms/102, \
                /vms/103, /vms/104 and 3 more";
    assert_eq!(verbs(setup)[4], line);
}

/// The roles are inherited: a role that is too small would replace them.
#[rstest]
#[case::seeing("VM.Audit", &[1, 3, 4, 5])]
#[case::addresses("VM.GuestAgent.Audit", &[1])]
#[case::create_and_delete("VM.Allocate", &[2, 3, 5])]
#[case::hardware("VM.Config.HWType", &[3])]
#[case::power("VM.PowerMgmt", &[4])]
fn the_command_for_a_missing_privilege_permits_the_verbs(
    #[case] privilege: &str,
    #[case] denied: &[usize],
) {
    let mut privileges = all_but(Some(("/vms", privilege)));
    let paths = privileges.as_object_mut().unwrap();
    let of_vms = paths.remove("/vms").unwrap();
    paths.insert("/".to_owned(), of_vms);
    let fake = fake(cluster(&privileges));
    let state = StateDir::new();
    let verbs = || {
        let seen = at(&fake, &state).run("proxmox check");
        let all = lines(&seen, &fake, &state);
        let first = all.iter().position(|line| line.contains("  template list"));
        all[first.unwrap()..].to_vec()
    };
    let found = verbs();
    let is_warned = |at: &usize| found[*at].starts_with("warn");
    let warned: Vec<usize> = (0..ALL.len()).filter(is_warned).collect();
    assert_eq!(warned, denied);
    fake.pveum(command_in(&found[denied[0]]));
    assert_eq!(verbs()[..ALL.len()], ALL);
}

#[rstest]
#[case::nine("9.0.3", "VM.GuestAgent.Audit")]
#[case::eight("8.4.1", "VM.Monitor")]
fn the_privilege_to_read_addresses_depends_on_the_version(
    #[case] version: &str,
    #[case] privilege: &str,
) {
    let mut setup = cluster(&json!({"/vms": ["VM.Audit"]}));
    setup["version"] = json!(version);
    let beginning = format!(
        "warn  vm ssh, --ip, --wait-ip: not permitted: the token lacks {privilege} on /vms; on a node"
    );
    let found = &verbs(setup)[1];
    assert_eq!(found.get(..beginning.len()), Some(beginning.as_str()));
}

#[rstest]
#[case::download(
    ("/storage/local", "Datastore.AllocateTemplate"),
    "Datastore.AllocateTemplate on /storage; on a node, as root: pveum acl modify /storage --tokens \
     'homelab@pve!cli' --roles PVEDatastoreAdmin"
)]
#[case::internet(
    ("/nodes", "Sys.AccessNetwork"),
    "Sys.AccessNetwork on /nodes; on a node, as root: pveum role add HomelabDownload --privs \
     Sys.AccessNetwork && pveum acl modify /nodes --tokens 'homelab@pve!cli' --roles HomelabDownload"
)]
fn the_commands_for_a_missing_privilege_permit_creating_templates(
    #[case] lacking: (&str, &str),
    #[case] hint: &str,
) {
    let fake = fake(cluster(&all_but(Some(lacking))));
    let state = StateDir::new();
    let verb = || {
        let seen = at(&fake, &state).run("proxmox check");
        let all = lines(&seen, &fake, &state);
        all[all.len() - 7..].to_vec()
    };
    let line = format!("warn  template create: not permitted: the token lacks {hint}");
    // The warning about privilege separation follows.
    assert_eq!(verb()[0], line);
    run_commands_in(&line, &fake);
    assert!(verb().contains(&ALL[3].to_owned()));
}

/// A new template is in no pool.
#[test]
fn privileges_on_a_pool_do_not_permit_creating_templates() {
    let mut privileges = all_but(None);
    let paths = privileges.as_object_mut().unwrap();
    let of_vms = paths.remove("/vms").unwrap();
    paths.insert("/pool/clients".to_owned(), of_vms);
    let found = verbs(guests(&privileges));
    assert_eq!(found[2], "ok    vm create: only on /pool/clients");
    let line = "warn  template create: not permitted: the token lacks VM.Allocate, VM.Audit, VM.Config.CPU, \
                VM.Config.Disk, VM.Config.HWType, VM.Config.Memory, VM.Config.Network and VM.Config.Options \
                on /vms; on a node, as root: pveum acl modify /vms --tokens 'homelab@pve!cli' --roles \
                PVEVMAdmin";
    assert_eq!(found[3], line);
}

#[test]
fn a_token_that_only_sees_guests_may_list_them() {
    let expected = [
        ALL[0],
        "warn  vm ssh, --ip, --wait-ip: not permitted: the token lacks VM.GuestAgent.Audit on /vms; on a \
         node, as root: pveum acl modify /vms --tokens 'homelab@pve!cli' --roles PVEAuditor",
        "warn  vm create: not permitted: the token lacks VM.Allocate on /vms, VM.Clone on /vms/9000, \
         Datastore.AllocateSpace on /storage, SDN.Use on /sdn/zones/localnetwork; 'homelab help \
         permissions' has the commands for a role with all of them",
        "warn  template create: not permitted: the token lacks VM.Allocate, VM.Config.CPU, VM.Config.Disk, \
         VM.Config.HWType, VM.Config.Memory, VM.Config.Network and VM.Config.Options on /vms, \
         Datastore.AllocateSpace on /storage, Datastore.AllocateTemplate on /storage, SDN.Use on \
         /sdn/zones/localnetwork, Sys.AccessNetwork on /nodes; 'homelab help permissions' has the commands \
         for a role with all of them",
        "warn  vm start, vm shutdown, vm stop, vm reboot: not permitted: the token lacks VM.PowerMgmt on \
         /vms; on a node, as root: pveum acl modify /vms --tokens 'homelab@pve!cli' --roles PVEVMUser",
        "warn  vm delete: not permitted: the token lacks VM.Allocate on /vms; on a node, as root: pveum \
         acl modify /vms --tokens 'homelab@pve!cli' --roles PVEVMAdmin",
        OWN_TASKS[0],
        OWN_TASKS[1],
        FOR_ITS_USER,
    ];
    assert_eq!(verbs(cluster(&json!({"/vms": ["VM.Audit"]}))), expected);
}

#[test]
fn the_tasks_of_others_may_be_those_on_one_node() {
    let mut privileges = all_but(None);
    privileges["/nodes/pve1"] = json!(["Sys.Audit"]);
    let expected = [
        "ok    task wait: only the token's own tasks and those on /nodes/pve1",
        OWN_TASKS[1],
    ];
    assert_eq!(verbs(cluster(&privileges))[6..], expected);
}

#[test]
fn with_a_template_its_privileges_are_checked_instead() {
    let fake = fake(cluster(&all_but(None)));
    let state = StateDir::new();
    let seen = at(&fake, &state).run("proxmox check debian-12");
    assert_eq!(seen.stdout.matches("vm delete").count(), 0);
}

#[test]
fn the_document_has_the_verbs_too() {
    let fake = fake(cluster(&all_but(None)));
    let state = StateDir::new();
    let seen = Homelab::at(&fake)
        .in_state(&state)
        .run("proxmox check --json");
    let document: Value = serde_json::from_str(&seen.stdout).unwrap();
    let checks = document["checks"].as_array().unwrap();
    let expected = json!({
        "result": "ok",
        "check": "template list, vm list, container list, vm show",
        "detail": "all guests",
        "hint": null,
    });
    assert_eq!(checks[checks.len() - 9], expected);
}
