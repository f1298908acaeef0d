//! Tags: a new VM gets exactly the requested ones, an existing VM keeps its own as well.

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

/// A tag that was added to a finished VM is kept. The tags of the template are not copied to the clone.
#[test]
fn a_new_vm_has_exactly_the_requested_tags_and_keeps_later_ones() {
    let fake = fake(&json!({"guests": [
        {"vmid": 9000, "name": "debian-12", "template": true, "config": {"tags": "template"}},
    ]}));
    let state = StateDir::new();
    let run = |tags: &str| {
        let homelab = Homelab::at(&fake).in_state(&state);
        let words = format!("{CREATE} --ensure --set tags={tags} --quiet");
        let seen = homelab.run(&words);
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

/// A VM that no run on this host created belongs to another user.
#[test]
fn tags_are_added_to_those_of_an_existing_vm() {
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

/// A run that resumes with a new VM gives it exactly the requested tags.
#[test]
fn the_template_s_tags_are_replaced_by_a_run_that_resumes() {
    let template = json!({"vmid": 9000, "name": "debian-12", "template": true, "config": {"tags": "template"}});
    let fake = fake(&json!({"guests": [template], "faults": [{"request": 6, "hang": "after"}]}));
    let state = StateDir::new();
    let words = format!("{CREATE} --ensure --set tags=web");
    let first = Homelab::at(&fake).in_state(&state).start(&words);
    fake.wait_for_requests(6);
    first.kill();
    assert_eq!(tags(&fake), "template");
    let seen = Homelab::at(&fake).in_state(&state).run(&words);
    assert_eq!(
        (seen.exit, tags(&fake)),
        (Some(0), "web".to_owned()),
        "{}",
        seen.stderr
    );
}
