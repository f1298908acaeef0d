//! Tags: exactly the requested ones on a new VM, added to the existing ones of an older VM.

use serde_json::json;

use super::{CREATE, fake, sent};
use crate::fake_pve::FakePve;
use crate::homelab::{Homelab, StateDir};

fn tags(fake: &FakePve) -> String {
    let cluster = fake.cluster();
    let tags = cluster.guests[&100].config.get("tags");
    tags.and_then(serde_json::Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

fn set_tags(fake: &FakePve, vmid: u32, tags: &str) {
    let mut cluster = fake.cluster();
    cluster.guests.get_mut(&vmid).unwrap().config["tags"] = json!(tags);
}

/// Tags that somebody added to a finished VM remain; those of a template do not apply to its clones.
#[test]
fn tags_are_exactly_the_requested_ones_on_a_new_vm_and_are_added_later() {
    let fake = fake(&json!({"guests": [
        {"vmid": 9000, "name": "debian-12", "template": true, "config": {"tags": "template"}},
    ]}));
    let state = StateDir::new();
    let run = |tags: &str| {
        let homelab = Homelab::at(&fake).in_state(&state);
        let arguments = format!("{CREATE} --ensure --set tags={tags} --quiet");
        let seen = homelab.run(&arguments);
        assert_eq!((seen.exit, seen.stderr.as_str()), (Some(0), ""));
    };
    run("Web,db");
    assert_eq!(tags(&fake), "db;web");
    set_tags(&fake, 100, "backup;db;web");
    run("Web,db");
    assert_eq!(sent(&fake, "tags"), ["Web,db"]);
    run("prod");
    assert_eq!(tags(&fake), "backup;db;prod;web");
}

/// A VM that no run on this host created belongs to somebody else.
#[test]
fn tags_are_added_to_those_of_a_vm_that_existed_before() {
    let fake = fake(&json!({"guests": [
        {"vmid": 100, "name": "web-1", "config": {"tags": "prod"}},
        {"vmid": 9000, "name": "debian-12", "template": true},
    ]}));
    let seen = Homelab::at(&fake).run(&format!("{CREATE} --ensure --set tags=web"));
    assert_eq!(seen.exit, Some(0), "{}", seen.stderr);
    let changed = "Changing VM 100: tags=prod;web (was prod)...\n";
    assert!(seen.stderr.contains(changed), "{}", seen.stderr);
    assert_eq!(tags(&fake), "prod;web");
}

/// The run that resumes a new VM still gives it exactly the requested tags.
#[test]
fn tags_of_the_template_are_replaced_by_the_run_that_resumes_a_killed_one() {
    let template = json!({"vmid": 9000, "name": "debian-12", "template": true, "config": {"tags": "template"}});
    let fake = fake(&json!({"guests": [template], "faults": [{"request": 6, "hang": "after"}]}));
    let state = StateDir::new();
    let arguments = format!("{CREATE} --ensure --set tags=web");
    let first = Homelab::at(&fake).in_state(&state).start(&arguments);
    fake.wait_for_requests(6);
    first.kill();
    assert_eq!(tags(&fake), "template");
    let seen = Homelab::at(&fake).in_state(&state).run(&arguments);
    assert_eq!(
        (seen.exit, tags(&fake)),
        (Some(0), "web".to_owned()),
        "{}",
        seen.stderr
    );
}
