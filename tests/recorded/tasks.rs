//! The task list of a node.

use rstest::rstest;
use serde_json::{Value, json};

use super::client::{CLONE, connect, get};
use super::races::{clone, exit_of};
use super::states::{State, template, with};

/// One that succeeded, one that was interrupted, and one that is running.
pub(super) fn own_running() -> State {
    let convert = "'/usr/bin/qemu-img convert -p -n -r 100000K -f raw -O raw \
                   /var/lib/vz/images/9000/base-9000-disk-0.raw \
                   zeroinit:/var/lib/vz/images/{newid}/vm-{newid}-disk-0.raw'";
    let killed =
        format!("clone failed: copy failed: command {convert} failed: interrupted by signal");
    let state = with(json!({
        "guests": [template()],
        "tokens": {"cloner@pve!cli": "blind"},
        "clone_exit": ["OK", killed, "OK"],
    }));
    for vmid in [240, 241, 242] {
        let mut client = connect(&state.fake);
        let form = format!("newid={vmid}");
        client.send_as("cloner@pve!cli", "POST", CLONE, &form);
        let upid = client.reply().expect("an answer").json()["data"].clone();
        if vmid != 242 {
            exit_of(&state.fake, upid.as_str().expect("a UPID"));
        }
    }
    state
}

#[rstest]
#[case::archive_by_default("", &["no", "OK"])]
#[case::archive("?source=archive", &["no", "OK"])]
#[case::active("?source=active", &["RUNNING"])]
#[case::all("?source=all", &["RUNNING", "no", "OK"])]
#[case::of_the_template("?source=all&typefilter=qmclone&vmid=9000", &["RUNNING", "no", "OK"])]
#[case::of_another_template("?source=all&vmid=9001", &[])]
#[case::of_another_type("?source=all&typefilter=qmstart", &[])]
#[case::some("?limit=1", &["no"])]
#[case::the_rest("?start=1", &["OK"])]
#[case::some_of_the_rest("?source=all&start=1&limit=1", &["no"])]
fn tasks_are_listed_newest_first(#[case] query: &str, #[case] states: &[&str]) {
    let fake = with(json!({"guests": [template()], "clone_exit": ["OK", "no", "OK"]})).fake;
    for vmid in [101, 102] {
        let upid = clone(&fake, &format!("newid={vmid}"));
        exit_of(&fake, &upid);
    }
    clone(&fake, "newid=103");
    let list = get(&fake, &format!("/nodes/pve1/tasks{query}")).json();
    let entries = list["data"].as_array().expect("a list").iter();
    let seen: Vec<&Value> = entries.map(|entry| &entry["status"]).collect();
    assert_eq!(seen, states);
}

#[test]
fn a_node_lists_its_own_tasks() {
    let fake = with(json!({"nodes": ["pve1", "pve2"], "guests": [template()]})).fake;
    clone(&fake, "newid=101");
    let total = |node| get(&fake, &format!("/nodes/{node}/tasks?source=all")).json();
    assert_eq!(
        ["pve1", "pve2"].map(|node| total(node)["total"].clone()),
        [1, 0]
    );
}
