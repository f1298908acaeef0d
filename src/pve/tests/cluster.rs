//! Nodes, storages and quorum, as recorded.

use super::*;

fn nodes(nodes: &[NodeStatus]) -> Vec<(&str, bool)> {
    let nodes = nodes.iter();
    nodes.map(|it| (it.node.0.as_str(), it.is_online)).collect()
}

#[rstest]
#[case::quorate("cluster-status", true, &[("pve2", true), ("pve1", true)])]
#[case::not_quorate("no-quorum-cluster-status", false, &[("pve1", true), ("pve2", false)])]
fn the_status_of_a_cluster_says_whether_it_has_a_quorum(
    #[case] recording: &str,
    #[case] is_quorate: bool,
    #[case] expected: &[(&str, bool)],
) {
    let status = answered(recording, Pve::cluster_status).unwrap();
    assert_eq!(
        (status.is_quorate, nodes(&status.nodes)),
        (is_quorate, expected.to_vec())
    );
}

#[test]
fn a_server_without_a_cluster_counts_as_quorate() {
    let body = r#"{"data":[{"type":"node","name":"pve","online":"1","local":1},{"type":"new"}]}"#;
    let mut server = Server::new();
    server
        .mock("GET", "/api2/json/cluster/status")
        .with_body(body)
        .create();
    let status = client_of(&server).cluster_status().unwrap();
    assert_eq!(
        (status.is_quorate, nodes(&status.nodes)),
        (true, vec![("pve", true)])
    );
}

#[test]
fn nodes_are_online_or_not() {
    let list = answered("no-quorum-nodes", Pve::nodes).unwrap();
    assert_eq!(nodes(&list), [("pve1", true), ("pve2", false)]);
}

#[test]
fn the_content_types_and_the_state_of_storages_are_read() {
    let storages = answered("storage-list", |pve| pve.storages(&node("pve1"))).unwrap();
    let seen = storages.iter();
    let seen: Vec<_> = seen
        .map(|it| {
            (
                it.name.as_str(),
                it.content.as_str(),
                it.shared,
                it.enabled,
                it.active,
            )
        })
        .collect();
    let all = "vztmpl,snippets,backup,iso,images,import,rootdir";
    let expected = [
        ("full", "images,import", false, true, true),
        ("other", "images", false, true, true),
        ("local", all, false, true, true),
        ("iso-only", "iso", false, true, true),
        ("off", "images", false, false, false),
    ];
    assert_eq!(seen, expected);
}
