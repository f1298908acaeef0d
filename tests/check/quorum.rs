//! Whether the cluster has a quorum, for tokens that may ask and tokens that may not.

use rstest::rstest;
use serde_json::{Value, json};

use super::support::{all_but, at, cluster, fake, lines, with_verdict};
use crate::fake_pve::FakePve;
use crate::homelab::{Homelab, StateDir};

/// A cluster of these nodes, of which some are offline.
fn cluster_of(nodes: &[&str], offline: &[&str], no_quorum: bool) -> Value {
    let mut setup = cluster(&all_but(None));
    setup["nodes"] = json!(nodes);
    setup["offline"] = json!(offline);
    setup["no_quorum"] = json!(no_quorum);
    setup
}

const LOST: &str = "too few nodes of the cluster are online, so nothing can be changed until more of them \
                    are back; on a node: pvecm status";
const MAY_NOT_ASK: &str =
    "; to see whether a quorum device provides it, this token needs Sys.Audit on /";

#[rstest]
#[case::one_node(&["pve1"], &[], false, "ok    quorum: nodes online: 1 of 1".to_owned())]
#[case::all_online(&["pve1", "pve2"], &[], false, "ok    quorum: nodes online: 2 of 2".to_owned())]
#[case::one_of_three_offline(
    &["pve1", "pve2", "pve3"],
    &["pve3"],
    false,
    "ok    quorum: nodes online: 2 of 3, offline: pve3".to_owned()
)]
#[case::with_a_quorum_device(
    &["pve1", "pve2"],
    &["pve2"],
    false,
    "ok    quorum: nodes online: 1 of 2, offline: pve2".to_owned()
)]
#[case::lost(
    &["pve1", "pve2"],
    &["pve2"],
    true,
    format!("FAIL  quorum: lost; nodes online: 1 of 2, offline: pve2; {LOST}")
)]
fn a_token_that_may_ask_finds_out_whether_there_is_a_quorum(
    #[case] nodes: &[&str],
    #[case] offline: &[&str],
    #[case] no_quorum: bool,
    #[case] line: String,
) {
    let fake = fake(cluster_of(nodes, offline, no_quorum));
    let state = StateDir::new();
    let seen = Homelab::at(&fake).in_state(&state).run("proxmox check");
    let found = lines(&seen, &fake, &state);
    let found: Vec<&String> = found.iter().filter(|it| it.contains(" quorum: ")).collect();
    assert_eq!(
        (found, seen.exit),
        (vec![&line], Some(i32::from(no_quorum)))
    );
}

#[rstest]
#[case::all_online(&["pve1", "pve2"], &[], "ok    quorum: nodes online: 2 of 2".to_owned())]
#[case::a_majority(
    &["pve1", "pve2", "pve3"],
    &["pve2"],
    "ok    quorum: nodes online: 2 of 3, offline: pve2".to_owned()
)]
#[case::half(
    &["pve1", "pve2"],
    &["pve2"],
    format!("FAIL  quorum: no majority; nodes online: 1 of 2, offline: pve2; {LOST}{MAY_NOT_ASK}")
)]
#[case::a_minority(
    &["pve1", "pve2", "pve3"],
    &["pve2", "pve3"],
    format!("FAIL  quorum: no majority; nodes online: 1 of 3, offline: pve2, pve3; {LOST}{MAY_NOT_ASK}")
)]
fn a_token_that_may_not_ask_counts_the_nodes_that_are_online(
    #[case] nodes: &[&str],
    #[case] offline: &[&str],
    #[case] line: String,
) {
    let fake = fake(cluster_of(nodes, offline, false));
    let state = StateDir::new();
    let seen = at(&fake, &state).run("proxmox check");
    let found = lines(&seen, &fake, &state);
    let found: Vec<&String> = found.iter().filter(|it| it.contains(" quorum: ")).collect();
    assert_eq!(found, [&line]);
}

#[test]
fn an_offline_node_may_hide_a_vm_with_any_name() {
    let mut setup = cluster_of(&["pve1", "pve2", "pve3"], &["pve2"], false);
    let guests = setup["guests"].as_array_mut().unwrap();
    guests.push(json!({"vmid": 200, "name": "db-1", "node": "pve2"}));
    let fake = fake(setup);
    let state = StateDir::new();
    let seen = at(&fake, &state).run("proxmox check");
    let line = "FAIL  guests: node 'pve2' does not answer (595 No route to host); a VM with the requested \
                name may be hidden there, so 'vm create' needs --vmid N, or --ignore-offline if a node is \
                switched off";
    assert_eq!(with_verdict("FAIL", &lines(&seen, &fake, &state)), [line]);
    let create = |vmid: &str| {
        let arguments = format!("proxmox vm create web-1 debian-12 --poll-interval 0.01{vmid}");
        at(&fake, &state).run(&arguments).exit
    };
    assert_eq!((create(""), create(" --vmid 150")), (Some(1), Some(0)));
}

/// A request that a host without quorum refuses is sent to the next host.
#[rstest]
#[case::one_is_enough(false, "warn", 0)]
#[case::none_has_it(true, "FAIL", 1)]
fn a_host_without_quorum_is_a_failure_if_no_other_has_it(
    #[case] is_alone: bool,
    #[case] verdict: &str,
    #[case] exit: i32,
) {
    let fake = fake(cluster_of(&["pve1", "pve2", "pve3"], &[], false));
    let cut_off = FakePve::start_cut_off(&fake, "pve1");
    let hosts = if is_alone {
        cut_off.url()
    } else {
        format!("{},{}", cut_off.url(), fake.url())
    };
    let state = StateDir::new();
    let run = |arguments: &str| {
        let homelab = Homelab::at(&fake).env("PROXMOX_HOST", &hosts);
        homelab.in_state(&state).run(arguments)
    };
    let seen = run("proxmox check debian-12");
    let at = if is_alone { "" } else { " at 127.0.0.1:PORT" };
    let line =
        format!("{verdict}  quorum{at}: lost; nodes online: 1 of 3, offline: pve2, pve3; {LOST}");
    let found = with_verdict(
        &format!("{verdict}  quorum"),
        &lines(&seen, &cut_off, &state),
    );
    assert_eq!((found, seen.exit), (vec![line], Some(exit)));
    assert_eq!(run("proxmox vm create web-1 debian-12").exit, Some(exit));
}
