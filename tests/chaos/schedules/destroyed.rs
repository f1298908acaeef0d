//! Another user destroys the VM that a run created, and the command is repeated.

use rstest::rstest;
use serde_json::json;

use super::{FIRST, cluster, must, number_of_post};
use crate::chaos::ground::{Ground, NAME};
use crate::fake_pve::Fault;

fn created() -> Ground {
    let setup = cluster(json!({}));
    let ground = Ground::new(setup, []);
    let ready = must(&ground, ground.expect_ensured(""));
    assert_eq!((ready.vmid, ready.created), (FIRST, true));
    ground
}

#[test]
fn it_is_created_again() {
    let ground = created();
    ground.fake.cluster().remove(FIRST);
    let ready = must(&ground, ground.expect_ensured(""));
    assert!(ready.created);
}

#[rstest]
#[case::a_vm(json!({"name": "db-1"}))]
#[case::a_template_of_our_name(json!({"name": NAME, "template": 1}))]
fn its_vmid_belongs_to_another_guest_now(#[case] config: serde_json::Value) {
    let ground = created();
    {
        let mut cluster = ground.fake.cluster();
        let vm = cluster.guests.get_mut(&FIRST).unwrap();
        vm.config.extend(config.as_object().unwrap().clone());
    }
    let ready = must(&ground, ground.expect_ensured(""));
    assert!(ready.created);
    assert_ne!(ready.vmid, FIRST);
}

/// The run was killed before it reported the VM.
#[test]
fn it_was_never_finished() {
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
