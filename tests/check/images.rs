//! `--image-storage`: whether a template can be created from an image that is downloaded to that storage.

use rstest::rstest;
use serde_json::{Value, json};

use super::support::{
    FOR_ITS_USER, all_but, at, cluster, fake, lines, run_commands_in, run_recipe, with_verdict,
};
use crate::fake_pve::FakePve;
use crate::homelab::{Homelab, Seen, StateDir};
use crate::manual::topic;

const CHECK: &str = "proxmox check --image-storage local";
const URL: &str = "https://cloud.example/debian-13.qcow2";

/// A cluster without templates, with an image on the internet.
fn cluster_without_templates(privileges: &Value) -> Value {
    let mut setup = cluster(privileges);
    setup["guests"] = json!([]);
    setup["internet"] = json!({URL: {"file": {}}});
    setup
}

fn create(fake: &FakePve, state: &StateDir, more: &str) -> Seen {
    let create =
        format!("proxmox template create debian-13 --image {URL} --image-storage local{more}");
    at(fake, state).run(&create)
}

/// The findings from that about the storages on.
fn findings(seen: &Seen, fake: &FakePve, state: &StateDir) -> Vec<String> {
    let mut all = lines(seen, fake, state);
    let first = all
        .iter()
        .position(|line| line.contains("  hidden guests: "));
    all.drain(..=first.unwrap());
    all
}

#[test]
fn a_working_setup_has_no_findings_but_ok() {
    let fake = fake(cluster_without_templates(&all_but(None)));
    let state = StateDir::new();
    let seen = at(&fake, &state).run(CHECK);
    let expected = [
        "ok    storages: node 'pve1' has 'local' for images, 'data' for disks",
        "ok    Datastore.Audit or Datastore.AllocateSpace on /storage/local: the token has it",
        "ok    Datastore.AllocateTemplate on /storage/local: the token has it",
        "ok    Sys.AccessNetwork on /nodes/pve1: the token has it",
        "ok    Datastore.AllocateSpace on /storage/data: the token has it",
        "ok    SDN.Use on /sdn/zones/localnetwork/vmbr0: the token has it",
        "ok    VM.Allocate on /vms/100: the token has it",
        "ok    VM.Audit on /vms/100: the token has it",
        "ok    VM.Config.CPU on /vms/100: the token has it",
        "ok    VM.Config.Memory on /vms/100: the token has it",
        "ok    VM.Config.Options on /vms/100: the token has it",
        "ok    VM.Config.HWType on /vms/100: the token has it",
        "ok    VM.Config.Disk on /vms/100: the token has it",
        "ok    VM.Config.Network on /vms/100: the token has it",
        "ok    VM.Config.Cloudinit on /vms/100: the token has it",
        "ok    state directory STATE: writable, and supports file locks",
    ];
    assert_eq!(findings(&seen, &fake, &state), expected);
    let all = lines(&seen, &fake, &state);
    assert_eq!(with_verdict("ok", &all).len(), all.len());
    assert_eq!((seen.exit, seen.stderr.as_str()), (Some(0), ""));
    let journal = fake.journal();
    assert!(
        journal.iter().all(|line| line.starts_with("GET ")),
        "{journal:?}"
    );
    assert_eq!(create(&fake, &state, "").exit, Some(0));
}

/// The commands in a finding fix that finding, and `template create`.
#[rstest]
#[case::seeing_the_storage(
    "/storage/local",
    "Datastore.Audit",
    "Datastore.Audit or Datastore.AllocateSpace on /storage/local",
    "pveum acl modify /storage/local --tokens 'homelab@pve!cli' --roles PVEDatastoreUser"
)]
#[case::download(
    "/storage/local",
    "Datastore.AllocateTemplate",
    "Datastore.AllocateTemplate on /storage/local",
    "pveum acl modify /storage/local --tokens 'homelab@pve!cli' --roles PVEDatastoreAdmin"
)]
#[case::internet(
    "/nodes",
    "Sys.AccessNetwork",
    "Sys.AccessNetwork on /nodes/pve1",
    "pveum role add HomelabDownload --privs Sys.AccessNetwork && pveum acl modify /nodes/pve1 --tokens \
     'homelab@pve!cli' --roles HomelabDownload"
)]
#[case::disks(
    "/storage/data",
    "Datastore.AllocateSpace",
    "Datastore.AllocateSpace on /storage/data",
    "pveum acl modify /storage/data --tokens 'homelab@pve!cli' --roles PVEDatastoreUser"
)]
#[case::network(
    "/sdn/zones/localnetwork",
    "SDN.Use",
    "SDN.Use on /sdn/zones/localnetwork/vmbr0",
    "pveum acl modify /sdn/zones/localnetwork/vmbr0 --tokens 'homelab@pve!cli' --roles PVESDNUser"
)]
fn a_missing_privilege_is_the_only_failure_and_its_commands_fix_it(
    #[case] path: &str,
    #[case] privilege: &str,
    #[case] check: &str,
    #[case] commands: &str,
) {
    let line = format!("FAIL  {check}: the token lacks it; on a node, as root: {commands}");
    expect_repaired(path, privilege, &line);
}

#[rstest]
fn a_missing_privilege_on_the_new_vm_is_granted_for_all_vms(
    #[values(
        "VM.Allocate",
        "VM.Audit",
        "VM.Config.CPU",
        "VM.Config.Memory",
        "VM.Config.Options",
        "VM.Config.HWType",
        "VM.Config.Disk",
        "VM.Config.Network"
    )]
    privilege: &str,
) {
    let line = format!(
        "FAIL  {privilege} on /vms/100: the token lacks it; on a node, as root: pveum acl modify /vms \
         --tokens 'homelab@pve!cli' --roles PVEVMAdmin"
    );
    expect_repaired("/vms", privilege, &line);
}

/// Without this privilege, `check` has this failure only, and `template create` fails; after the commands in
/// the failure both succeed.
fn expect_repaired(path: &str, privilege: &str, failure: &str) {
    let fake = fake(cluster_without_templates(&all_but(Some((path, privilege)))));
    let state = StateDir::new();
    let check = || at(&fake, &state).run(&format!("{CHECK} --storage data"));
    let seen = check();
    let all = lines(&seen, &fake, &state);
    assert_eq!(with_verdict("FAIL", &all), [failure]);
    assert_eq!(with_verdict("warn", &all), [FOR_ITS_USER]);
    assert_eq!(seen.exit, Some(1));
    assert_eq!(create(&fake, &state, " --storage data").exit, Some(1));
    run_commands_in(failure, &fake);
    let seen = check();
    let all = lines(&seen, &fake, &state);
    assert_eq!(with_verdict("ok", &all).len(), all.len());
    assert_eq!(create(&fake, &state, " --storage data").exit, Some(0));
}

#[test]
fn a_privilege_missing_for_settings_only_is_a_warning() {
    let lacking = Some(("/vms", "VM.Config.Cloudinit"));
    let fake = fake(cluster_without_templates(&all_but(lacking)));
    let state = StateDir::new();
    let seen = at(&fake, &state).run(CHECK);
    let line = "warn  VM.Config.Cloudinit on /vms/100: the token lacks it; not needed for the import, but to \
                set its user, keys and addresses; on a node, as root: pveum acl modify /vms --tokens \
                'homelab@pve!cli' --roles PVEVMAdmin";
    let all = lines(&seen, &fake, &state);
    assert_eq!(with_verdict("warn", &all), [line, FOR_ITS_USER]);
    assert_eq!(with_verdict("FAIL", &all), [""; 0]);
    assert_eq!(seen.exit, Some(0));
    assert_eq!(create(&fake, &state, "").exit, Some(0));
}

/// Space for disks permits seeing the storage.
#[test]
fn one_storage_may_keep_the_image_and_the_disks() {
    let mut privileges = all_but(None);
    privileges["/storage/local"] = json!(["Datastore.AllocateSpace", "Datastore.AllocateTemplate"]);
    let mut setup = cluster_without_templates(&privileges);
    setup["storages"] = json!({"local": {"content": ["images", "import"]}});
    let fake = fake(setup);
    let state = StateDir::new();
    let seen = at(&fake, &state).run(&format!("{CHECK} --storage local"));
    let found = findings(&seen, &fake, &state);
    let line = "ok    storages: node 'pve1' has 'local' for images, 'local' for disks";
    assert_eq!((found[0].as_str(), seen.exit), (line, Some(0)));
    assert_eq!(create(&fake, &state, " --storage local").exit, Some(0));
}

#[test]
fn a_storage_for_disks_that_the_token_cannot_see_can_be_granted() {
    let lacking = Some(("/storage/data", "Datastore.AllocateSpace"));
    let fake = fake(cluster_without_templates(&all_but(lacking)));
    let state = StateDir::new();
    let seen = at(&fake, &state).run(CHECK);
    let line = "FAIL  storages: no storage of node 'pve1' accepts disks (content type 'images'); it has: \
                local; as root on node 'pve1', for example: pvesm set local --content \
                backup,import,iso,vztmpl,images; or, for a storage that the token cannot see: on a node, as \
                root: pveum acl modify /storage/ID --tokens 'homelab@pve!cli' --roles PVEDatastoreUser; \
                without privilege separation, or if the token's user lacks it too, also run this with \
                --users homelab@pve instead of --tokens …";
    assert_eq!(with_verdict("FAIL", &lines(&seen, &fake, &state)), [line]);
    run_commands_in(&line.replace("/storage/ID", "/storage/data"), &fake);
    assert_eq!(at(&fake, &state).run(CHECK).exit, Some(0));
}

/// `template create` fails with the same words.
#[rstest]
#[case::without_images(
    json!({"local": {"content": ["backup", "iso", "vztmpl"]}}),
    "storage 'local' does not accept images (content type 'import')",
    "as root on node 'pve1', for example: pvesm set local --content backup,iso,vztmpl,import"
)]
#[case::disabled(
    json!({"local": {"content": ["import"], "disabled": true}}),
    "storage 'local' is not active on node 'pve1'",
    "'pvesm status' on node 'pve1' shows its state"
)]
#[case::out_of_reach(
    json!({"local": {"content": ["import"], "inactive": true}}),
    "storage 'local' is not active on node 'pve1'",
    "'pvesm status' on node 'pve1' shows its state"
)]
#[case::of_another_node(
    json!({"local": {"content": ["import"], "nodes": []}}),
    "node 'pve1' has no storage 'local' that this token can see",
    "it can see: data, small; for a storage that the token cannot see: on a node, as root: pveum acl modify \
     /storage/local --tokens 'root@pam!cli' --roles PVEDatastoreUser"
)]
#[case::several_for_disks(
    json!({}),
    "several storages of node 'pve1' accept disks: data, small",
    "choose one with --storage"
)]
fn a_storage_that_is_no_choice_is_a_failure(
    #[case] storages: Value,
    #[case] problem: &str,
    #[case] hint: &str,
) {
    let mut setup = cluster_without_templates(&json!({}));
    setup["storages"] = storages;
    let fake = fake(setup);
    let state = StateDir::new();
    let seen = Homelab::at(&fake).in_state(&state).run(CHECK);
    let line = format!("FAIL  storages: {problem}; {hint}");
    let found = findings(&seen, &fake, &state);
    assert_eq!(with_verdict("FAIL", &found), [line.as_str()]);
    assert_eq!((found[0].as_str(), seen.exit), (line.as_str(), Some(1)));
    let create = format!("proxmox template create debian-13 --image {URL} --image-storage local");
    let seen = Homelab::at(&fake).in_state(&state).run(&create);
    let last: Vec<&str> = seen.stderr.lines().rev().take(2).collect();
    let failed = format!("Failed to create template: {problem}");
    assert_eq!(last, [format!("Hint: {hint}"), failed]);
}

#[test]
fn the_node_is_one_that_has_both_storages() {
    let mut setup = cluster_without_templates(&json!({}));
    setup["nodes"] = json!(["pve1", "pve2"]);
    setup["storages"] = json!({"fast": {"nodes": ["pve2"]}});
    let fake = fake(setup);
    let state = StateDir::new();
    let check = format!("{CHECK} --storage fast");
    let seen = Homelab::at(&fake).in_state(&state).run(&check);
    let found = findings(&seen, &fake, &state);
    let expected = [
        "ok    storages: node 'pve2' has 'local' for images, 'fast' for disks",
        "ok    Sys.AccessNetwork on /nodes/pve2: the token has it",
    ];
    assert_eq!([&found[0], &found[3]], expected);
    assert_eq!(seen.exit, Some(0));
}

/// Proxmox VE accepts these two instead of Sys.AccessNetwork.
#[test]
fn sys_audit_and_sys_modify_permit_downloads() {
    let mut privileges = all_but(Some(("/nodes", "Sys.AccessNetwork")));
    privileges["/"] = json!(["Sys.Audit", "Sys.Modify"]);
    let fake = fake(cluster_without_templates(&privileges));
    let state = StateDir::new();
    let seen = at(&fake, &state).run(CHECK);
    let all = lines(&seen, &fake, &state);
    assert_eq!(with_verdict("ok", &all).len(), all.len());
    let seen = at(&fake, &state).run("proxmox check");
    // The list on the VMID of a template that does not exist replaces what the token has on all VMs.
    let line = "ok    template create: all new templates, except on /vms/9000";
    let all = lines(&seen, &fake, &state);
    assert_eq!(with_verdict("ok    template create", &all), [line]);
    assert_eq!(create(&fake, &state, "").exit, Some(0));
}

#[test]
fn a_role_that_would_replace_inherited_privileges_says_so() {
    let mut privileges = all_but(None);
    privileges["/nodes"] = json!(["Sys.Audit"]);
    let fake = fake(cluster_without_templates(&privileges));
    let state = StateDir::new();
    let seen = at(&fake, &state).run(CHECK);
    let line = "FAIL  Sys.AccessNetwork on /nodes/pve1: the token lacks it; on a node, as root: pveum role add \
                HomelabDownload --privs Sys.AccessNetwork && pveum acl modify /nodes/pve1 --tokens \
                'homelab@pve!cli' --roles HomelabDownload; this replaces the token's inherited roles there";
    assert_eq!(with_verdict("FAIL", &lines(&seen, &fake, &state)), [line]);
}

#[rstest]
#[case::older("8.3.5", Some("8.3.5"))]
#[case::major("7.4-17", Some("7.4-17"))]
#[case::first("8.4.0", None)]
#[case::later("10.0.1", None)]
fn a_server_that_cannot_import_images_is_a_failure(
    #[case] version: &str,
    #[case] refused: Option<&str>,
) {
    let mut setup = cluster_without_templates(&json!({}));
    setup["version"] = json!(version);
    let fake = fake(setup);
    let state = StateDir::new();
    let check = |arguments: &str| {
        let seen = Homelab::at(&fake).in_state(&state).run(arguments);
        lines(&seen, &fake, &state)
    };
    let failed: Vec<String> = refused
        .iter()
        .map(|version| {
            format!(
                "FAIL  template create: the server is Proxmox VE {version}; this needs Proxmox VE 8.4 or \
                 later; 'homelab help templates' has a recipe for older servers"
            )
        })
        .collect();
    let found = check(&format!("{CHECK} --storage data"));
    assert_eq!(with_verdict("FAIL", &found), failed);
    let verb = with_verdict("ok    template create", &check("proxmox check"));
    assert_eq!(verb.is_empty(), refused.is_some());
}

#[rstest]
#[case::template("debian-12 --image-storage local")]
#[case::pool("--image-storage local --pool clients")]
fn options_that_check_different_things_are_wrong_usage(#[case] arguments: &str) {
    let fake = fake(cluster(&all_but(None)));
    let state = StateDir::new();
    let seen = at(&fake, &state).run(&format!("proxmox check {arguments}"));
    let expected = "--image-storage checks 'template create', which takes no template and no --pool\nHint: for \
                    example: homelab proxmox check --image-storage local --storage local-lvm\n";
    assert_eq!((seen.exit, seen.stderr.as_str()), (Some(2), expected));
    assert_eq!(fake.journal(), [""; 0]);
}

#[test]
fn the_manuals_roles_are_enough_for_a_template() {
    let fake = fake(cluster_without_templates(&json!({})));
    let state = StateDir::new();
    let manual = topic("permissions");
    let commands = ["Homelab", "HomelabTemplates"].map(|role| run_recipe(&manual, role, &fake));
    assert_eq!(commands, [4, 4]);
    let seen = at(&fake, &state).run(CHECK);
    let all = lines(&seen, &fake, &state);
    assert_eq!(with_verdict("ok", &all).len(), all.len());
    let more = " --set ciuser=admin --set tags=cloud --memory 4G --cores 4 --resize scsi0=16G";
    assert_eq!(create(&fake, &state, more).exit, Some(0));
    // The new template can be cloned with the first role.
    let seen = at(&fake, &state).run("proxmox vm create web-1 debian-13");
    assert_eq!(seen.exit, Some(0));
}
