//! HTTP behaviour of the fake that no single recording shows.

use std::io::Read;

use flate2::read::GzDecoder;
use rstest::rstest;
use serde_json::{Value, json};

use super::client::{CLONE, connect, get, post, put};
use super::states::{template_and, template_only, with};
use crate::fake_pve::{SECRET, TOKEN};

#[test]
fn a_success_keeps_the_connection_open() {
    let fake = with(json!({})).fake;
    let mut client = connect(&fake);
    client.get("/version").unwrap();
    client.get("/nodes/pve1/qemu").unwrap();
    client.get("/cluster/nextid").unwrap();
    assert_eq!(fake.connections(), 1);
}

#[rstest]
#[case::today(json!({}), "9.2.11", "9.2")]
#[case::an_old_one(json!({"version": "8.4.14"}), "8.4.14", "8.4")]
#[case::an_older_one(json!({"version": "7.4-17"}), "7.4-17", "7.4")]
fn reports_the_version_of_the_setup(
    #[case] story: Value,
    #[case] version: &str,
    #[case] release: &str,
) {
    let data = get(&with(story).fake, "/version").json()["data"].take();
    assert_eq!(
        (&data["version"], &data["release"]),
        (&json!(version), &json!(release))
    );
}

#[test]
fn a_refusal_closes_the_connection() {
    let fake = with(json!({})).fake;
    let mut client = connect(&fake);
    client.get("/nosuch").unwrap();
    assert!(client.is_closed());
}

#[test]
fn a_connection_serves_a_hundred_requests() {
    let fake = with(json!({})).fake;
    let mut client = connect(&fake);
    let replies = (0..100).map(|_| client.get("/version").unwrap());
    let last = replies.last().unwrap();
    assert_eq!(last.headers_named("Connection"), ["Connection: close"]);
    assert!(client.is_closed());
}

#[test]
fn close_every_closes_after_a_success_too() {
    let fake = with(json!({"close_every": true})).fake;
    let mut client = connect(&fake);
    assert_eq!(client.get("/version").unwrap().status, 200);
    assert!(client.is_closed());
}

#[rstest]
#[case::client_accepts_it("Accept-Encoding: gzip", true)]
#[case::client_does_not("Accept-Encoding: identity", false)]
fn compresses_for_clients_that_accept_it(#[case] accepts: &str, #[case] compressed: bool) {
    let fake = with(json!({"gzip": true})).fake;
    let authorization = format!("Authorization: PVEAPIToken={TOKEN}={SECRET}");
    let mut client = connect(&fake);
    client.send(
        &[
            "GET /api2/json/cluster/nextid HTTP/1.1",
            &authorization,
            accepts,
        ],
        "",
    );
    let reply = client.reply().unwrap();

    let mut text = String::new();
    if compressed {
        let mut decoder = GzDecoder::new(&*reply.body);
        decoder.read_to_string(&mut text).unwrap();
    } else {
        text = reply.text();
    }
    assert_eq!(text, r#"{"data":"100"}"#);
    let encodings = reply.headers_named("Content-Encoding");
    assert_eq!(!encodings.is_empty(), compressed);
}

#[rstest]
#[case::without_errors("newid=150", json!({"data": null}))]
#[case::with_errors("newid=150&name=a_b", json!({
    "data": null,
    "errors": {"name": "invalid format - value does not look like a valid DNS name\n"},
}))]
fn an_old_server_sends_the_message_only_in_the_reason_phrase(
    #[case] form: &str,
    #[case] body: Value,
) {
    let fake = with(json!({"reason_only": true})).fake;
    assert_eq!(post(&fake, CLONE, form).json(), body);
}

#[rstest]
#[case::body_of_a_get("Content-Length: 1", "x", "Unexpected content for method 'GET'")]
#[case::chunked(
    "Transfer-Encoding: chunked",
    "0\r\n\r\n",
    "chunked transfer encoding not supported"
)]
fn refuses_unsupported_bodies(#[case] header: &str, #[case] body: &str, #[case] reason: &str) {
    let fake = with(json!({})).fake;
    let authorization = format!("Authorization: PVEAPIToken={TOKEN}={SECRET}");
    let mut client = connect(&fake);
    client.send(
        &["GET /api2/json/version HTTP/1.1", &authorization, header],
        body,
    );
    let reply = client.reply().unwrap();
    assert_eq!((reply.status, &*reply.reason), (501, reason));
}

#[test]
fn splits_forms_at_semicolons_and_cuts_values_at_a_second_equals_sign() {
    let fake = template_only().fake;
    post(&fake, CLONE, "newid=150;name=web%2D1=x&full=1");
    let cluster = fake.cluster();
    assert_eq!(cluster.guests[&150].name(), Some("web-1"));
}

#[test]
fn the_journal_decodes_paths_and_keeps_the_raw_target() {
    let fake = with(json!({})).fake;
    get(&fake, "/nodes/pve1/tasks/UPID%3Ax/log?limit=0");
    let line = "GET /nodes/pve1/tasks/UPID:x/log?limit=0";
    let seen = fake.headers_seen();
    assert_eq!(
        (&*seen[0].target, seen[0].header("host")),
        (
            "/api2/json/nodes/pve1/tasks/UPID%3Ax/log?limit=0",
            Some("pve1:8006")
        )
    );
    assert_eq!(fake.take_journal(), [line]);
    assert!(fake.journal().is_empty());
}

#[test]
fn the_journal_decodes_forms_and_separates_values() {
    let fake = template_only().fake;
    let path = "/nodes/pve1/qemu/9000/config";
    put(
        &fake,
        path,
        "description=a%26b%3Dc+d&sshkeys=a%2520b;cores=2=3",
    );
    let seen = &fake.headers_seen()[0];
    let line = "PUT /nodes/pve1/qemu/9000/config description=a&b=c+d&sshkeys=a%20b;cores=2=3";
    assert_eq!(seen.line, line);
    let pairs = [
        ("description", "a&b=c d"),
        ("sshkeys", "a%20b"),
        ("cores", "2"),
    ];
    let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(seen.params, pairs);
    assert_eq!(seen.param("sshkeys"), Some("a%20b"));
}

#[test]
fn a_clone_runs_for_the_requested_number_of_polls() {
    let fake = template_and("clone_polls", json!(2)).fake;
    let upid = post(&fake, CLONE, "newid=100&name=web-1").json();
    let path = format!(
        "/nodes/pve1/tasks/{}/status",
        upid["data"].as_str().unwrap()
    );
    let seen = [0, 1, 2, 3].map(|_| get(&fake, &path).json()["data"]["status"].clone());
    assert_eq!(seen, ["running", "running", "stopped", "stopped"]);
}

#[test]
fn a_clone_that_fails_cleans_up_and_frees_its_vmid() {
    let fake = template_and("clone_exit", json!(["clone failed: no", "OK"])).fake;
    let seen = [(); 2].map(|()| {
        let upid = post(&fake, CLONE, "newid=100&name=web-1").json();
        let upid = upid["data"].as_str().unwrap();
        let status = get(&fake, &format!("/nodes/pve1/tasks/{upid}/status")).json();
        let exists = fake.cluster().guests.contains_key(&100);
        (status["data"]["exitstatus"].clone(), exists)
    });
    assert_eq!(
        seen,
        [(json!("clone failed: no"), false), (json!("OK"), true)]
    );
}

#[rstest]
#[case::never("never", Value::Null)]
#[case::at_once("at_once", json!("web-1"))]
fn a_clones_row_gets_its_name_when_it_is_refreshed(#[case] rows: &str, #[case] name: Value) {
    let fake = template_and("rows", json!(rows)).fake;
    post(&fake, CLONE, "newid=100&name=web-1");
    let rows = get(&fake, "/cluster/resources?type=vm").json();
    assert_eq!(rows["data"][0]["name"], name);
}

#[test]
fn rows_of_a_big_cluster_are_sorted_as_text() {
    let guests = json!([{"vmid": 101}, {"vmid": 1000}]);
    let fake = with(json!({"guests": guests, "pad_guests": 2})).fake;
    let rows = get(&fake, "/cluster/resources?type=vm").json();
    let vmids = rows["data"].as_array().unwrap().iter();
    let vmids: Vec<_> = vmids.map(|row| row["vmid"].as_u64().unwrap()).collect();
    assert_eq!(vmids, [1000, 100_000, 100_001, 101]);
}
