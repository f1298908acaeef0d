//! The VM that a run has made is destroyed by somebody, and the same is asked for again.

use rstest::rstest;
use serde_json::json;

use super::{FIRST, cluster, must, number_of_post};
use crate::chaos::ground::{Ground, NAME};
use crate::fake_pve::Fault;

fn made() -> Ground {
    let setup = cluster(json!({}));
    let ground = Ground::new(setup, []);
    let ready = must(&ground, ground.expect_ensured(""));
    assert_eq!((ready.vmid, ready.created), (FIRST, true));
    ground
}

#[test]
fn it_is_made_anew() {
    let ground = made();
    ground.fake.cluster().remove(FIRST);
    let ready = must(&ground, ground.expect_ensured(""));
    assert!(ready.created);
}

#[rstest]
#[case::a_vm(json!({"name": "db-1"}))]
#[case::a_template_of_our_name(json!({"name": NAME, "template": 1}))]
fn its_vmid_is_anothers_by_now(#[case] config: serde_json::Value) {
    let ground = made();
    {
        let mut cluster = ground.fake.cluster();
        let vm = cluster.guests.get_mut(&FIRST).unwrap();
        vm.config.extend(config.as_object().unwrap().clone());
    }
    let ready = must(&ground, ground.expect_ensured(""));
    assert!(ready.created);
    assert_ne!(ready.vmid, FIRST);
}

/// Killed before it could say so.
#[test]
fn it_was_never_seen_to_its_end() {
    let setup = cluster(json!({}));
    let hang = Fault::at_request(number_of_post(&setup), json!({"hang": "after"}));
    let ground = Ground::new(setup.clone(), [hang]);
    let running = ground.start("");
    ground.fake.wait_for_requests(number_of_post(&setup));
    ground.remember("killed", &running.kill());
    ground.fake.finish_all();
    assert_eq!(ground.fake.vms_named(NAME), [FIRST]);
    ground.fake.cluster().remove(FIRST);
    let ready = must(&ground, ground.expect_ensured(""));
    assert!(ready.created);
}
