//! Somebody destroys the VM that a run created, and the same command is run again.

use rstest::rstest;
use serde_json::json;

use super::{FIRST, cluster, must, number_of_post};
use crate::chaos::testbed::{NAME, Testbed};
use crate::fake_pve::Fault;

fn created() -> Testbed {
    let setup = cluster(json!({}));
    let testbed = Testbed::new(setup, []);
    let ready = must(&testbed, testbed.expect_ensured(""));
    assert_eq!((ready.vmid, ready.created), (FIRST, true));
    testbed
}

#[test]
fn it_is_created_again() {
    let testbed = created();
    testbed.fake.cluster().remove(FIRST);
    let ready = must(&testbed, testbed.expect_ensured(""));
    assert!(ready.created);
}

#[rstest]
#[case::a_vm(json!({"name": "db-1"}))]
#[case::a_template_of_our_name(json!({"name": NAME, "template": 1}))]
fn its_vmid_belongs_to_another_guest_now(#[case] config: serde_json::Value) {
    let testbed = created();
    {
        let mut cluster = testbed.fake.cluster();
        let vm = cluster.guests.get_mut(&FIRST).unwrap();
        vm.config.extend(config.as_object().unwrap().clone());
    }
    let ready = must(&testbed, testbed.expect_ensured(""));
    assert!(ready.created);
    assert_ne!(ready.vmid, FIRST);
}

/// The first run is killed before it could report the VM.
#[test]
fn the_run_that_created_it_was_killed() {
    let setup = cluster(json!({}));
    let hang = Fault::at_request(number_of_post(&setup), json!({"hang": "after"}));
    let testbed = Testbed::new(setup.clone(), [hang]);
    let running = testbed.start("");
    testbed.fake.wait_for_requests(number_of_post(&setup));
    testbed.remember("killed", &running.kill());
    testbed.fake.finish_all();
    assert_eq!(testbed.fake.vms_named(NAME), [FIRST]);
    testbed.fake.cluster().remove(FIRST);
    let ready = must(&testbed, testbed.expect_ensured(""));
    assert!(ready.created);
}
