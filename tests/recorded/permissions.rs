//! The privileges that tokens can query.

use rstest::rstest;
use serde_json::{Value, json};

use super::acl::{clone, enough, may};
use super::rights::{CLONER, read, vmids};
use super::states::{template_only, token_without_rights, with};
use crate::fake_pve::{FakePve, TOKEN};

pub(super) fn permissions(fake: &FakePve, token: &str, query: &str) -> Value {
    let path = format!("/access/permissions{query}");
    read(fake, token, &path).json()["data"].take()
}

#[test]
fn a_token_with_all_privileges_has_them_everywhere() {
    let all = permissions(&template_only().fake, TOKEN, "");
    let paths: Vec<&str> = all.as_object().unwrap().keys().map(|s| &**s).collect();
    let tops = [
        "/", "/access", "/nodes", "/pool", "/sdn", "/storage", "/vms",
    ];
    assert_eq!(paths, tops);
    assert!(tops.iter().all(|top| all[*top] == all["/"]));
    assert_eq!(all["/"].as_object().unwrap().len(), 28);
}

#[test]
fn the_default_token_can_be_restricted() {
    let fake = with(json!({"tokens": {TOKEN: {"/vms": ["VM.Audit"]}}})).fake;
    let expected = json!({"/vms": {"VM.Audit": 1}});
    assert_eq!(permissions(&fake, TOKEN, ""), expected);
}

#[rstest]
#[case::since_9("9.0.3", "VM.GuestAgent.Audit", "VM.Monitor")]
#[case::before("8.4.14", "VM.Monitor", "VM.GuestAgent.Audit")]
fn privileges_are_those_of_the_version(
    #[case] version: &str,
    #[case] known: &str,
    #[case] unknown: &str,
) {
    let fake = with(json!({"version": version})).fake;
    let all = permissions(&fake, TOKEN, "?path=/vms");
    assert_eq!(
        (&all["/vms"][known], &all["/vms"][unknown]),
        (&json!(1), &Value::Null)
    );
}

#[rstest]
#[case::listed("/vms/9000", json!({"/vms/9000": {"VM.Audit": 1, "VM.Clone": 1}}))]
#[case::inherited("/vms/101", json!({"/vms/101": {"VM.Audit": 1, "VM.Allocate": 1}}))]
#[case::nothing("/nodes", json!({"/nodes": {}}))]
fn permissions_can_be_queried_for_one_path(#[case] path: &str, #[case] expected: Value) {
    let fake = may(&enough());
    assert_eq!(
        permissions(&fake, CLONER, &format!("?path={path}")),
        expected
    );
}

#[test]
fn permissions_of_others_need_a_privilege() {
    let fake = may(&enough());
    let of = |token: &str| format!("?userid={}", token.replace('!', "%21"));
    let own = permissions(&fake, CLONER, "");
    assert_eq!(permissions(&fake, CLONER, &of(CLONER)), own);
    assert_eq!(permissions(&fake, TOKEN, &of(CLONER)), own);
    let path = format!("/access/permissions{}", of(TOKEN));
    assert_eq!(
        read(&fake, CLONER, &path).reason,
        "Permission check failed (/access, Sys.Audit)"
    );
}

#[test]
fn a_path_listed_for_another_token_shows_inherited_privileges() {
    let tokens = json!({
        CLONER: {"/vms": ["VM.Audit"]},
        "bob@pve!cli": {"/vms/9000": ["VM.Clone"], "/storage/data": ["Datastore.Audit"]},
    });
    let fake = with(json!({"tokens": tokens})).fake;
    let expected = json!({"/vms": {"VM.Audit": 1}, "/vms/9000": {"VM.Audit": 1}});
    assert_eq!(permissions(&fake, CLONER, ""), expected);
}

#[rstest]
#[case::blind("blind", json!({}))]
#[case::late("late", json!({"/vms/101": {"VM.Allocate": 1, "VM.Audit": 1}}))]
fn a_preset_stands_for_privileges(#[case] preset: &str, #[case] of_its_clone: Value) {
    let fake = may(&json!(preset));
    clone(&fake, "newid=101&name=web-1");
    fake.finish_all();
    let mut expected = json!({
        "/sdn": {"SDN.Use": 1},
        "/storage": {"Datastore.AllocateSpace": 1},
        "/vms": {"VM.Allocate": 1},
        "/vms/9000": {"VM.Allocate": 1, "VM.Audit": 1, "VM.Clone": 1},
    });
    let more = of_its_clone.as_object().unwrap().clone();
    expected.as_object_mut().unwrap().extend(more);
    assert_eq!(permissions(&fake, CLONER, ""), expected);
}

#[test]
fn an_empty_list_equals_the_preset_none() {
    let listed = may(&json!({}));
    let preset = token_without_rights().fake;
    for (fake, token) in [(listed, CLONER), (preset, "nobody@pve!none")] {
        assert_eq!(permissions(&fake, token, ""), json!({}));
        assert_eq!(
            vmids(&read(&fake, token, "/cluster/resources?type=vm")),
            [0; 0]
        );
    }
}
