//! Invalid requests, and their errors.

use rstest::rstest;
use serde_json::{Value, json};

use super::client::{CLONE, connect, get, post, put};
use super::rights::ask;
use super::states::{template_only, with};
use super::update::web_01;
use crate::fake_pve::TOKEN;

#[rstest]
#[case::kind_of_rows(
    "/cluster/resources?type=nosuch",
    "type",
    "value 'nosuch' does not have a value in the enumeration 'vm, storage, node, sdn, network'"
)]
#[case::vmid_to_check(
    "/cluster/nextid?vmid=abc",
    "vmid",
    "type check ('integer') failed - got 'abc'"
)]
#[case::vmid_in_the_path(
    "/nodes/pve1/qemu/abc/config",
    "vmid",
    "type check ('integer') failed - got 'abc'"
)]
#[case::switch(
    "/nodes/pve1/qemu?full=yes",
    "full",
    "type check ('boolean') failed - got 'yes'"
)]
#[case::limit(
    "/nodes/pve1/tasks?limit=-1",
    "limit",
    "value must have a minimum value of 0"
)]
#[case::malformed_upid(
    "/nodes/pve1/tasks/UPID:pve1:1:2:3:qmclone:9000:root@pam:/status",
    "upid",
    "unable to parse worker upid 'UPID:pve1:1:2:3:qmclone:9000:root@pam:'"
)]
#[case::malformed_upid_of_a_log(
    "/nodes/pve1/tasks/nosuch/log",
    "upid",
    "unable to parse worker upid 'nosuch'"
)]
fn a_read_with_a_bad_parameter_is_refused(
    #[case] path: &str,
    #[case] name: &str,
    #[case] why: &str,
) {
    let answer = get(&web_01().fake, path);
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json()["errors"], json!({name: why}));
}

#[rstest]
#[case::bandwidth("bwlimit=-1", json!({"bwlimit": "value must have a minimum value of 0"}))]
#[case::format(
    "format=vdi",
    json!({"format": "value 'vdi' does not have a value in the enumeration 'raw, qcow2, vmdk'"})
)]
fn a_clone_with_a_bad_parameter_is_refused(#[case] form: &str, #[case] errors: Value) {
    let answer = post(&template_only().fake, CLONE, &format!("newid=150&{form}"));
    assert_eq!(
        (answer.status, answer.json()["errors"].take()),
        (400, errors)
    );
}

#[test]
fn a_bad_vmid_in_the_path_is_reported_with_all_other_errors() {
    let answer = post(
        &template_only().fake,
        "/nodes/pve1/qemu/abc/clone",
        "name=a_b",
    );
    let errors = json!({
        "name": "invalid format - value does not look like a valid DNS name\n",
        "newid": "property is missing and it is not optional",
        "vmid": "type check ('integer') failed - got 'abc'",
    });
    assert_eq!(
        (answer.status, answer.json()["errors"].take()),
        (400, errors)
    );
}

#[rstest]
#[case::snapshot("snapname=nosuch", "snapshot 'nosuch' does not exist")]
#[case::storage_before_the_mode("storage=nosuch", "storage 'nosuch' does not exist")]
#[case::target_before_the_storage("target=pve9&storage=nosuch", "no such cluster node 'pve9'")]
fn what_a_clone_names_must_exist(#[case] form: &str, #[case] reason: &str) {
    let answer = post(&template_only().fake, CLONE, &format!("newid=150&{form}"));
    assert_eq!((answer.status, &*answer.reason), (500, reason));
}

#[rstest]
#[case::get("GET", "/version", "")]
#[case::post("POST", CLONE, "newid=150")]
#[case::put("PUT", "/nodes/pve1/qemu/9000/config", "cores=2")]
fn the_query_is_checked_for_every_method(
    #[case] method: &str,
    #[case] path: &str,
    #[case] body: &str,
) {
    let path = format!("{path}?foo=1");
    let answer = ask(&template_only().fake, TOKEN, method, &path, body);
    let unknown =
        "property is not defined in schema and the schema does not allow additional properties";
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json()["errors"], json!({"foo": unknown}));
}

#[test]
fn the_query_overrides_the_body() {
    let fake = web_01().fake;
    let answer = put(&fake, "/nodes/pve1/qemu/101/config?cores=4", "cores=2");
    assert_eq!(answer.reason, "OK");
    assert_eq!(fake.cluster().guests[&101].config["cores"], 4);
}

#[rstest]
#[case::patch("PATCH")]
#[case::head("HEAD")]
#[case::options("OPTIONS")]
fn other_methods_are_refused_before_authentication(#[case] method: &str) {
    let fake = with(json!({})).fake;
    let mut client = connect(&fake);
    client.send(&[&format!("{method} /api2/json/version HTTP/1.1")], "");
    let answer = client.reply().unwrap();
    let reason = format!("method '{method}' not available");
    assert_eq!((answer.status, &*answer.reason), (501, &*reason));
    assert_eq!((answer.text().len(), client.is_closed()), (0, true));
}

#[rstest]
#[case::resize("PUT", "/nodes/pve1/qemu/101/resize", "disk=scsi0&size=9G")]
#[case::start("POST", "/nodes/pve1/qemu/101/status/start", "")]
fn no_token_may_skip_a_lock(#[case] method: &str, #[case] path: &str, #[case] form: &str) {
    let form = format!("{form}&skiplock=1");
    let errors = ask(&web_01().fake, TOKEN, method, path, &form).json()["errors"].take();
    assert_eq!(
        errors,
        json!({"skiplock": "Only root may use this option."})
    );
}

#[test]
fn a_clone_without_a_name_is_named_after_its_source() {
    let fake = template_only().fake;
    post(&fake, CLONE, "newid=150");
    assert_eq!(fake.vms_named("Copy-of-VM-debian-12"), [150]);
}
