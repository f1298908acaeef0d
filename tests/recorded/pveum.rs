//! The commands of an administrator, and their effect on the token.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rstest::rstest;
use serde_json::{Value, json};

use super::permissions::permissions;
use super::rights::{CLONER, read, vmids};
use super::states::{template, with};
use crate::fake_pve::FakePve;

fn with_token(acl: &Value) -> FakePve {
    let guests = json!([{"vmid": 100, "name": "db-1"}, template()]);
    let tokens = json!({CLONER: acl, "root@pam!few": {}, "root@pam!blind": "blind"});
    with(json!({"guests": guests, "tokens": tokens})).fake
}

#[rstest]
#[case::quoted("--tokens 'cloner@pve!cli' --roles PVETemplateUser")]
#[case::bare("--tokens cloner@pve!cli --roles PVETemplateUser")]
#[case::in_another_order("--roles PVETemplateUser --tokens 'cloner@pve!cli'")]
fn a_role_is_granted_at_a_path(
    #[case] options: &str,
    #[values(json!({}), json!("none"))] acl: Value,
) {
    let fake = with_token(&acl);
    fake.pveum(&format!("pveum acl modify /vms/9000 {options}"));
    let expected = json!({"/vms/9000": {"VM.Audit": 1, "VM.Clone": 1}});
    assert_eq!(permissions(&fake, CLONER, ""), expected);
    assert_eq!(
        vmids(&read(&fake, CLONER, "/cluster/resources?type=vm")),
        [9000]
    );
}

#[test]
fn roles_add_up_at_once_or_one_after_the_other() {
    let fake = with_token(&json!({"/storage/data": ["Datastore.Audit"]}));
    let grant = |path: &str, roles: &str| {
        let who = "--tokens 'cloner@pve!cli'";
        fake.pveum(&format!("pveum acl modify {path} {who} --roles {roles}"));
    };
    grant("/", "PVESDNUser,PVETemplateUser");
    grant("/storage/data", "PVEDatastoreUser");
    grant("/", "PVEDatastoreUser");
    let all = permissions(&fake, CLONER, "");
    assert_eq!(
        [&all["/"], &all["/storage/data"]],
        [
            &json!({
                "Datastore.AllocateSpace": 1, "Datastore.Audit": 1, "SDN.Audit": 1, "SDN.Use": 1,
                "VM.Audit": 1, "VM.Clone": 1,
            }),
            &json!({"Datastore.AllocateSpace": 1, "Datastore.Audit": 1}),
        ]
    );
}

#[test]
fn a_role_on_a_path_replaces_the_inherited_ones() {
    let fake = with_token(&json!({"/vms": ["VM.Allocate", "VM.Audit"]}));
    let config = || read(&fake, CLONER, "/nodes/pve1/qemu/100/config").status;
    assert_eq!(config(), 200);
    fake.pveum("pveum acl modify /vms/100 --tokens 'cloner@pve!cli' --roles PVESDNUser");
    assert_eq!(config(), 403);
    let listed = permissions(&fake, CLONER, "?path=/vms/100");
    assert_eq!(listed, json!({"/vms/100": {"SDN.Audit": 1, "SDN.Use": 1}}));
}

#[test]
fn a_role_has_all_its_privileges() {
    let fake = with_token(&json!({}));
    fake.pveum("pveum acl modify /vms --tokens 'root@pam!few' --roles PVEAuditor");
    let expected = json!({"/vms": {
        "Datastore.Audit": 1, "Mapping.Audit": 1, "Pool.Audit": 1, "SDN.Audit": 1, "Sys.Audit": 1, "VM.Audit": 1,
        "VM.GuestAgent.Audit": 1,
    }});
    let listed = permissions(&fake, "root@pam!few", "?path=/vms");
    assert_eq!(listed, expected);
}

#[rstest]
#[case::users("PVEDatastoreUser", &["Datastore.AllocateSpace", "Datastore.Audit"])]
#[case::administrators("PVEDatastoreAdmin", &[
    "Datastore.Allocate",
    "Datastore.AllocateSpace",
    "Datastore.AllocateTemplate",
    "Datastore.Audit",
])]
fn a_role_for_storages_has_its_privileges(#[case] role: &str, #[case] privileges: &[&str]) {
    let fake = with_token(&json!({}));
    let who = "--tokens 'root@pam!few'";
    fake.pveum(&format!("pveum acl modify /storage {who} --roles {role}"));
    let listed = permissions(&fake, "root@pam!few", "?path=/storage");
    let granted = listed["/storage"].as_object().unwrap().keys();
    assert_eq!(granted.collect::<Vec<_>>(), privileges);
}

#[rstest]
#[case::blanks("Templates", "'Datastore.AllocateTemplate Sys.AccessNetwork'")]
#[case::commas("Templates", "\"Datastore.AllocateTemplate,Sys.AccessNetwork\"")]
fn a_role_can_be_added(#[case] role: &str, #[case] privileges: &str) {
    let fake = with_token(&json!({}));
    fake.pveum(&format!("pveum role add {role} --privs {privileges}"));
    let who = "--tokens 'root@pam!few'";
    fake.pveum(&format!(
        "pveum acl modify /nodes/pve1 {who} --roles {role}"
    ));
    let expected = json!({
        "/nodes/pve1": {"Datastore.AllocateTemplate": 1, "Sys.AccessNetwork": 1},
    });
    assert_eq!(permissions(&fake, "root@pam!few", ""), expected);
}

#[rstest]
#[case::since_9("9.2.11", &["VM.GuestAgent.Audit"], &["VM.GuestAgent.Audit"])]
#[case::before("8.4.14", &["VM.Monitor"], &[])]
fn roles_are_those_of_the_version(
    #[case] version: &str,
    #[case] of_admins: &[&str],
    #[case] of_users: &[&str],
    #[values("VM.GuestAgent.Audit", "VM.Monitor")] privilege: &str,
) {
    let fake = with(json!({"version": version, "tokens": {"root@pam!few": {}}})).fake;
    for (path, role, has) in [
        ("/vms/100", "PVEVMAdmin", of_admins),
        ("/vms/101", "PVEVMUser", of_users),
    ] {
        let who = "--tokens root@pam!few";
        fake.pveum(&format!("pveum acl modify {path} {who} --roles {role}"));
        let listed = permissions(&fake, "root@pam!few", "");
        let is_granted = !listed[path][privilege].is_null();
        assert_eq!(is_granted, has.contains(&privilege), "{role}");
    }
}

#[rstest]
#[case::another_command("pveum acl delete /vms --tokens 'root@pam!few' --roles PVEAuditor")]
#[case::no_path("pveum acl modify --tokens 'root@pam!few' --roles PVEAuditor")]
#[case::wrong_path("pveum acl modify /vm/9000 --tokens 'root@pam!few' --roles PVEAuditor")]
#[case::two_paths("pveum acl modify /vms /nodes --tokens 'root@pam!few' --roles PVEAuditor")]
#[case::no_token("pveum acl modify /vms --users 'cloner@pve' --roles PVEAuditor")]
#[case::no_role("pveum acl modify /vms --tokens 'root@pam!few'")]
#[case::another_option("pveum acl modify /vms --tokens 'root@pam!few' --role PVEAuditor")]
#[case::an_option_twice(
    "pveum acl modify /vms --tokens 'root@pam!few' --roles PVEAuditor --roles PVEAuditor"
)]
#[case::an_option_without_value("pveum acl modify /vms --tokens 'root@pam!few' --roles")]
#[case::no_such_role("pveum acl modify /vms --tokens 'root@pam!few' --roles PVEAuditer")]
#[case::no_such_token("pveum acl modify /vms --tokens 'root@pam!nosuch' --roles PVEAuditor")]
#[case::its_user_would_lose_roles(
    "pveum acl modify /vms --users cloner@pve --tokens 'cloner@pve!cli' --roles PVEAuditor"
)]
#[case::another_user(
    "pveum acl modify /vms --users 'bob@pve' --tokens 'cloner@pve!cli' --roles PVEAuditor"
)]
#[case::a_token_with_all("pveum acl modify /vms --tokens 'root@pam!cli' --roles PVEAuditor")]
#[case::a_token_with_a_preset("pveum acl modify /vms --tokens 'root@pam!blind' --roles PVEAuditor")]
#[case::a_role_without_privileges("pveum role add Templates")]
#[case::a_role_that_exists("pveum role add PVEAuditor --privs VM.Audit")]
#[case::an_unknown_privilege("pveum role add Templates --privs VM.Audits")]
#[case::a_privilege_of_another_version("pveum role add Templates --privs VM.Monitor")]
#[case::an_unbalanced_quote("pveum acl modify /vms --tokens 'root@pam!few --roles PVEAuditor")]
fn an_invalid_command_fails_the_test(#[case] line: &str) {
    let fake = with_token(&json!({}));
    let panic = catch_unwind(AssertUnwindSafe(|| fake.pveum(line))).unwrap_err();
    let message = panic.downcast_ref::<String>().unwrap();
    assert!(message.starts_with(&format!("'{line}': ")), "{message}");
    assert_eq!(permissions(&fake, CLONER, ""), json!({}));
}
