//! Scripted faults have the described effect, and only on the intended request.

use std::io::ErrorKind;

use rstest::rstest;
use serde_json::{Value, json};

use super::client::{CLONE, connect, get, post, put};
use super::states::{daemon_hung, template_and, with};
use super::update::{CONFIG, config};
use crate::fake_pve::{FakePve, Setup, TOKEN};

#[test]
fn a_fault_affects_only_the_intended_request() {
    let answer = json!({"status": 502, "reason": "Bad Gateway"});
    let second = json!({"on": "GET /version", "nth": 2, "answer": answer});
    let fourth = json!({"request": 4, "json": {"data": "x"}});
    let fake = with(json!({"faults": [second, fourth]})).fake;
    let seen = ["/version", "/cluster/nextid", "/version", "/version"]
        .map(|path| get(&fake, path))
        .map(|reply| (reply.status, reply.text().len()));
    assert_eq!(seen, [(200, 73), (200, 14), (502, 0), (200, 12)]);
}

#[test]
fn a_request_whose_answer_is_lost_was_executed() {
    let fake = template_and("faults", json!([{"on": "POST", "close": "lost"}])).fake;
    let mut client = connect(&fake);
    assert_eq!(client.post(CLONE, "newid=100"), None);
    assert!(fake.cluster().guests.contains_key(&100));
}

#[test]
fn a_request_whose_connection_is_closed_before_is_not_executed() {
    let fake = template_and("faults", json!([{"on": "POST", "close": "before"}])).fake;
    let mut client = connect(&fake);
    assert_eq!(client.post(CLONE, "newid=100"), None);
    assert!(!fake.cluster().guests.contains_key(&100));
}

#[test]
fn a_reset_is_a_reset() {
    let fake = template_and("faults", json!([{"on": "POST", "close": "reset"}])).fake;
    let mut client = connect(&fake);
    client.send_as(TOKEN, "POST", CLONE, "newid=100");
    assert_eq!(client.read_error(), Some(ErrorKind::ConnectionReset));
}

#[test]
fn a_reset_in_the_body_comes_after_the_request_was_executed() {
    let fake = template_and("faults", json!([{"on": "POST", "reset_after": 5}])).fake;
    let mut client = connect(&fake);
    client.send_as(TOKEN, "POST", CLONE, "newid=100");
    let (head, error) = client.read_until_error();
    assert!(head.ends_with("\r\n\r\n{\"dat"), "{head}");
    assert_eq!(error, ErrorKind::ConnectionReset);
    assert!(fake.cluster().guests.contains_key(&100));
}

#[rstest]
#[case::not_executed(false)]
#[case::executed(true)]
fn another_answer_can_hide_the_result(#[case] acted: bool) {
    let answer = json!({"status": 502, "reason": "Bad Gateway", "acted": acted});
    let fake = template_and("faults", json!([{"on": "POST", "answer": answer}])).fake;
    assert_eq!(post(&fake, CLONE, "newid=100").status, 502);
    assert_eq!(fake.cluster().guests.contains_key(&100), acted);
}

#[rstest]
#[case::lost(json!({"close": "lost"}), 4)]
#[case::before(json!({"close": "before"}), 1)]
#[case::hangs(json!({"hang": true}), 1)]
#[case::hangs_after(json!({"hang": "after"}), 4)]
#[case::another_answer(json!({"answer": {"status": 502, "reason": "x"}}), 1)]
#[case::late(json!({"late": {"status": 596, "reason": "x"}}), 1)]
fn a_change_suffers_the_same_faults(#[case] mut fault: Value, #[case] cores: u32) {
    fault["on"] = json!("PUT /nodes/pve1/qemu/9000/config cores=4");
    let fake = template_and("faults", json!([fault])).fake;
    let mut client = connect(&fake);
    client.send_as(TOKEN, "PUT", "/nodes/pve1/qemu/9000/config", "cores=4");
    fake.wait_for_requests(1);
    assert_eq!(fake.cluster().guests[&9000].config["cores"], cores);
    fake.finish_all();
    let late = fault.get("late").is_some();
    let after = if late { 4 } else { cores };
    assert_eq!(fake.cluster().guests[&9000].config["cores"], after);
}

#[test]
fn a_hanging_daemon_executes_requests_when_it_wakes_up() {
    let fake = daemon_hung().fake;
    for vmid in [100, 101] {
        let reply = post(&fake, CLONE, &format!("newid={vmid}&name=web-1"));
        assert_eq!((reply.status, reply.text().len()), (596, 0));
    }
    assert_eq!(fake.vms_named("web-1"), [0; 0]);
    fake.wake();
    assert_eq!(fake.vms_named("web-1"), [100, 101]);
    assert_eq!(get(&fake, "/version").status, 200);
}

#[test]
fn a_daemon_can_hang_for_a_number_of_requests() {
    let late = json!({"status": 596, "reason": "Connection timed out", "after": 2});
    let fake = template_and("faults", json!([{"on": "POST", "late": late}])).fake;
    post(&fake, CLONE, "newid=100&name=web-1");
    let taken = [(); 2].map(|()| get(&fake, "/cluster/nextid?vmid=100").status);
    assert_eq!(taken, [200, 400]);
}

fn writing_slowly(after: usize) -> FakePve {
    let late = json!({"status": 596, "reason": "Connection timed out", "after": after, "each": 2});
    let faults = json!([{"on": "PUT", "nth": 1, "late": late}]);
    with(json!({"guests": [{"vmid": 101, "name": "web-01"}], "faults": faults})).fake
}

/// The requested options that are set so far.
fn options_set(fake: &FakePve) -> Vec<String> {
    let config = config(fake);
    let requested = [
        ("cores", json!(4)),
        ("memory", json!("640")),
        ("onboot", json!(1)),
    ];
    let set = requested
        .iter()
        .filter(|(option, value)| config[*option] == *value);
    set.map(|(option, _)| (*option).to_owned()).collect()
}

#[test]
fn a_change_after_596_is_written_step_by_step_and_an_old_digest_is_refused() {
    let fake = writing_slowly(1);
    let digest = |fake: &FakePve| config(fake)["digest"].as_str().unwrap().to_owned();
    let old = digest(&fake);
    let form = "cores=4&memory=640&onboot=1";
    assert_eq!(
        put(&fake, CONFIG, &format!("{form}&digest={old}")).status,
        596
    );
    assert_eq!(options_set(&fake), ["onboot"]);
    let again = put(&fake, CONFIG, &format!("{form}&digest={old}"));
    let reason = "checksum mismatch (file change by other user?)";
    assert_eq!((again.status, &*again.reason), (500, reason));
    let seen = [(); 3].map(|()| options_set(&fake));
    assert_eq!(
        seen.map(|options| options.join(" ")),
        ["memory onboot", "memory onboot", "cores memory onboot"]
    );
    assert_eq!(
        put(&fake, CONFIG, &format!("{form}&digest={}", digest(&fake))).status,
        200
    );
}

#[test]
fn a_change_without_a_digest_waits_for_the_one_before() {
    let fake = writing_slowly(0);
    put(&fake, CONFIG, "cores=4&memory=640&onboot=1");
    assert_eq!(put(&fake, CONFIG, "memory=768").status, 200);
    assert_eq!(options_set(&fake), ["cores", "onboot"]);
}

#[test]
fn a_start_waits_for_the_change_before_it() {
    let fake = writing_slowly(0);
    put(&fake, CONFIG, "cores=4&memory=640&onboot=1");
    post(&fake, "/nodes/pve1/qemu/101/status/start", "");
    assert_eq!(options_set(&fake), ["cores", "memory", "onboot"]);
}

#[rstest]
#[case::before(json!(true), false)]
#[case::after(json!("after"), true)]
fn a_request_can_hang_before_or_after_its_execution(#[case] hang: Value, #[case] acted: bool) {
    let fake = template_and("faults", json!([{"on": "POST", "hang": hang}])).fake;
    let mut client = connect(&fake);
    client.send_as(TOKEN, "POST", CLONE, "newid=100");
    fake.wait_for_requests(1);
    assert_eq!(fake.cluster().guests.contains_key(&100), acted);
}

#[test]
fn a_truncated_answer_stops_in_its_body() {
    let fake = with(json!({"faults": [{"on": "GET", "truncate": 5}]})).fake;
    let mut client = connect(&fake);
    let reply = client.get("/cluster/nextid").unwrap();
    assert_eq!(
        (&*reply.text(), reply.headers_named("Content-Length")),
        (r#"{"dat"#, vec!["Content-Length: 14"])
    );
}

#[test]
fn a_hanging_request_ends_with_the_fake() {
    let fake = with(json!({"faults": [{"on": "GET /version", "hang": true}]})).fake;
    let mut client = connect(&fake);
    client.send_as(TOKEN, "GET", "/version", "");
    // Until the request has arrived: dropping the fake earlier would prove nothing.
    while !fake.journal().contains(&"GET /version".to_owned()) {
        get(&fake, "/cluster/nextid");
    }
    drop(fake);
    assert!(client.is_closed());
}

#[rstest]
#[case::no_target(json!({"hang": true}))]
#[case::two_mishaps(json!({"on": "GET", "hang": true, "truncate": 1}))]
#[case::none(json!({"on": "GET"}))]
#[case::a_typo(json!({"on": "GET", "hnag": true}))]
fn an_invalid_fault_is_an_error(#[case] fault: Value) {
    let story = json!({"faults": [fault]});
    assert!(serde_json::from_value::<Setup>(story).is_err());
}
