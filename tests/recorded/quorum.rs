//! A node that has lost the others, and with them its quorum; the others still have it.

use serde_json::{Value, json};

use super::client::{CLONE, Reply, get, post, put};
use super::states::with;
use crate::fake_pve::FakePve;

fn cluster() -> (FakePve, FakePve) {
    let fake = with(json!({
        "nodes": ["pve2", "pve1", "pve3"],
        "offline": ["pve1"],
        "guests": [
            {"vmid": 101, "node": "pve1", "name": "web-1"},
            {"vmid": 102, "node": "pve2", "name": "web-2"},
            {"vmid": 9001, "node": "pve2", "name": "alpine", "template": true},
        ],
    }))
    .fake;
    let cut_off = FakePve::start_cut_off(&fake, "pve1");
    (fake, cut_off)
}

/// Whether there is a quorum, and which nodes are seen.
fn seen(fake: &FakePve) -> (Value, Vec<String>) {
    let status = get(fake, "/cluster/status").json();
    let entries = status["data"].as_array().unwrap();
    let online = entries.iter().filter(|entry| entry["online"] == 1);
    let names = online.map(|entry| entry["name"].as_str().unwrap().to_owned());
    (entries[0]["quorate"].clone(), names.collect())
}

#[test]
fn each_side_sees_its_own_nodes() {
    let (fake, cut_off) = cluster();
    assert_eq!(
        seen(&fake),
        (json!(1), vec!["pve2".to_owned(), "pve3".to_owned()])
    );
    assert_eq!(seen(&cut_off), (json!(0), vec!["pve1".to_owned()]));
    let names = |fake: &FakePve| {
        let rows = get(fake, "/cluster/resources?type=vm").json();
        let rows = rows["data"].as_array().unwrap().iter();
        rows.map(|row| row["name"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(names(&fake), [Value::Null, json!("web-2"), json!("alpine")]);
    assert_eq!(names(&cut_off), [json!("web-1"), Value::Null, Value::Null]);
}

#[test]
fn a_request_refused_without_quorum_is_executed_by_the_other_side() {
    let (fake, cut_off) = cluster();
    let outcome = |reply: Reply| (reply.status, reply.reason);
    let config = "/nodes/pve1/qemu/101/config";
    let start = "/nodes/pve1/qemu/101/status/start";
    let file = "/etc/pve/nodes/pve1/qemu-server/101.conf.tmp.227";
    assert_eq!(
        outcome(put(&cut_off, config, "cores=2")),
        (
            500,
            format!("unable to open file '{file}' - Permission denied")
        )
    );
    let no_quorum = "cluster not ready - no quorum?".to_owned();
    assert_eq!(outcome(post(&cut_off, start, "")), (500, no_quorum));
    let clone = CLONE.replace("pve1/qemu/9000", "pve2/qemu/9001");
    let form = "newid=103&name=web-3";
    assert_eq!(
        outcome(post(&cut_off, &clone, form)),
        (595, "No route to host".to_owned())
    );
    assert_eq!(post(&fake, &clone, form).status, 200);
}

#[test]
fn a_node_without_a_cluster_reports_itself() {
    let status = get(&with(json!({})).fake, "/cluster/status").json();
    let entry = json!({
        "id": "node/pve1", "ip": "10.77.0.1", "level": "", "local": 1, "name": "pve1",
        "nodeid": 0, "online": 1, "type": "node",
    });
    assert_eq!(status["data"], json!([entry]));
}
