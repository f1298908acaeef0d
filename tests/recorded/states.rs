//! The states of the real server when its answers were recorded.

use serde_json::{Value, json};

use super::client::{delete, post};
use crate::fake_pve::{FakePve, Setup};
use crate::recording::Recording;

pub(super) struct State {
    pub(super) fake: FakePve,
    /// The task of a recorded request.
    pub(super) upid: Option<String>,
}

pub(super) fn with(story: Value) -> State {
    let setup: Setup = serde_json::from_value(story).expect("a valid story");
    State {
        fake: FakePve::start(setup),
        upid: None,
    }
}

pub(super) fn cloning(story: Value, node: &str, parameters: &str) -> State {
    let mut state = with(story);
    let path = format!("/nodes/{node}/qemu/9000/clone");
    let answer = post(&state.fake, &path, parameters).json();
    let upid = answer["data"].as_str().expect("an accepted clone");
    state.upid = Some(upid.to_owned());
    state
}

/// Polls the task, which advances it.
pub(super) fn polled(state: State) -> State {
    let upid = state.upid.as_deref().expect("a task");
    let node = upid.split(':').nth(1).expect("UPID:node:…");
    super::client::get(&state.fake, &format!("/nodes/{node}/tasks/{upid}/status"));
    state
}

pub(super) fn template() -> Value {
    json!({"vmid": 9000, "name": "debian-12", "template": true})
}

fn web_01() -> Value {
    json!({"vmid": 101, "name": "web-01"})
}

fn tag_web_01(state: State) -> State {
    let mut cluster = state.fake.cluster();
    let web_01 = cluster.guests.get_mut(&101).expect("web-01");
    web_01.config.insert("tags".to_owned(), json!("a;b"));
    drop(cluster);
    state
}

pub(super) fn empty() -> State {
    with(json!({}))
}

pub(super) fn template_only() -> State {
    with(json!({"guests": [template()]}))
}

/// A template, and one more field of a story.
pub(super) fn template_and(field: &str, value: Value) -> State {
    let mut story = json!({"guests": [template()]});
    story[field] = value;
    with(story)
}

pub(super) fn vm_and_template() -> State {
    with(json!({"guests": [web_01(), template()]}))
}

pub(super) fn token_without_rights() -> State {
    with(json!({"guests": [template()], "tokens": {"nobody@pve!none": "none"}}))
}

pub(super) fn token_that_may_see_vms() -> State {
    with(json!({"tokens": {"homelab@pve!cli": {"/vms": ["VM.Audit"]}}}))
}

pub(super) fn pve2_lost() -> State {
    with(json!({"nodes": ["pve1", "pve2"], "offline": ["pve2"], "no_quorum": true}))
}

pub(super) fn template_in_backup() -> State {
    let mut template = template();
    template["lock"] = json!("backup");
    with(json!({"guests": [template]}))
}

pub(super) fn template_on_pve2() -> State {
    let mut template = template();
    template["node"] = json!("pve2");
    with(json!({"nodes": ["pve1", "pve2"], "guests": [template]}))
}

pub(super) fn offline_node_and_container() -> State {
    tag_web_01(with(json!({
        "nodes": ["pve1", "pve2"],
        "offline": ["pve2"],
        "guests": [
            web_01(),
            {"vmid": 300, "name": "x", "node": "pve2"},
            {"vmid": 301, "name": "ct", "type": "lxc", "row": "nameless"},
            template(),
        ],
    })))
}

/// With the token of the README, whose privileges do not matter here.
pub(super) fn two_nodes() -> State {
    with(json!({"nodes": ["pve1", "pve2"], "tokens": {"homelab@pve!cli": "blind"}}))
}

/// The guests of recorded rows.
pub(super) fn guests_of(name: &str) -> Vec<Value> {
    let recorded: Value = serde_json::from_str(&Recording::load(name).answer).expect("JSON");
    let rows = recorded["data"].as_array().expect("rows").iter();
    let guests = rows.map(|row| {
        let mut guest = json!({"template": row["template"] == 1, "config": {}});
        for option in ["vmid", "name", "node", "type", "status", "pool", "lock"] {
            if !row[option].is_null() {
                guest[option] = row[option].clone();
            }
        }
        if !row["tags"].is_null() {
            guest["config"]["tags"] = row["tags"].clone();
        }
        if !row["hastate"].is_null() {
            guest["ha"] = row["hastate"].clone();
        }
        guest
    });
    guests.collect()
}

fn two_nodes_with(guests: &[Value]) -> State {
    with(json!({"nodes": ["pve1", "pve2"], "guests": guests}))
}

pub(super) fn running_beside_containers() -> State {
    two_nodes_with(&guests_of("resources-running-and-containers"))
}

pub(super) fn many_without_quorum() -> State {
    let state = two_nodes_with(&guests_of("no-quorum-resources"));
    state.fake.cluster().setup.no_quorum = true;
    state
}

/// VM 101 is being destroyed.
pub(super) fn many_while_destroying() -> State {
    let guests = guests_of("resources-while-destroying");
    let state = with(json!({"guests": guests, "task_polls": 9}));
    delete(&state.fake, "/nodes/pve1/qemu/101");
    state
}

/// VM 101 was one of them.
pub(super) fn many_after_a_destroy() -> State {
    let mut guests = guests_of("resources-after-destroy");
    guests.push(json!({"vmid": 101, "name": "del-ok"}));
    let state = two_nodes_with(&guests);
    delete(&state.fake, "/nodes/pve1/qemu/101");
    state
}

/// A token that sees the members of a pool, but not the pool.
pub(super) fn members_without_their_pool() -> State {
    let mut guests = guests_of("resources-pool-token");
    for guest in &mut guests {
        guest["pool"] = json!("lab");
    }
    guests.push(json!({"vmid": 101}));
    let tokens = json!({"homelab@pve!sep": {"/pool/lab": ["VM.Audit"]}});
    with(json!({"guests": guests, "tokens": tokens}))
}

pub(super) fn two_containers() -> State {
    with(json!({"guests": [
        {"vmid": 300, "name": "ct-1", "type": "lxc", "config": {"tags": "web"}},
        {"vmid": 301, "name": "ct-tpl", "type": "lxc", "template": true},
        {"vmid": 280, "name": "run-1"},
    ]}))
}

pub(super) fn container_300() -> State {
    with(json!({"guests": [{"vmid": 300, "name": "ct-1", "type": "lxc"}]}))
}

/// Its disk is not a base, because only the option made it a template.
pub(super) fn template_by_its_option_alone() -> State {
    with(json!({
        "guests": [{
            "vmid": 403, "name": "one-go", "template": true,
            "config": {"scsi0": "local:403/vm-403-disk-0.qcow2,size=256M"},
        }],
        "storages": {"local": {}},
    }))
}

pub(super) fn dead_pve3() -> State {
    with(json!({"nodes": ["pve1", "pve2", "pve3"], "offline": ["pve3"]}))
}

pub(super) fn clone_running() -> State {
    let story = json!({"guests": [web_01(), template()], "clone_polls": u32::MAX});
    cloning(story, "pve1", "newid=102&name=web-02&full=1")
}

pub(super) fn clone_running_beside_tagged_vm() -> State {
    let story = json!({"guests": [web_01(), template()], "clone_polls": u32::MAX});
    tag_web_01(cloning(story, "pve1", "newid=284&name=listme&full=1"))
}

pub(super) fn clone_done() -> State {
    let story = json!({"guests": [template()]});
    polled(cloning(story, "pve1", "newid=102&name=web-02&full=1"))
}

pub(super) fn web_01_cloned() -> State {
    let story = json!({"guests": [template()]});
    polled(cloning(story, "pve1", "newid=101&name=web-01&full=1"))
}

fn clone_ended(exit: &str, parameters: &str) -> State {
    let story = json!({"guests": [template()], "clone_exit": exit});
    polled(cloning(story, "pve1", parameters))
}

pub(super) fn clone_done_with_a_warning() -> State {
    clone_ended("WARNINGS: 1", "newid=102&name=web-02&full=1")
}

pub(super) fn storage_got_full() -> State {
    let convert = "'/usr/bin/qemu-img convert -p -n -f raw -O raw \
                   /var/lib/vz/images/9000/base-9000-disk-0.raw \
                   zeroinit:/mnt/small/images/221/vm-221-disk-0.raw'";
    let exit = format!("clone failed: copy failed: command {convert} failed: exit code 1");
    clone_ended(&exit, "newid=221&full=1&storage=small")
}

pub(super) fn worker_killed() -> State {
    clone_ended("unexpected status", "newid=222&name=killed&full=1")
}

fn vmid_300_on_pve2() -> Value {
    json!({
        "nodes": ["pve1", "pve2"],
        "guests": [{"vmid": 300, "name": "x", "node": "pve2"}, template()],
    })
}

pub(super) fn vmid_taken_on_other_node() -> State {
    with(vmid_300_on_pve2())
}

pub(super) fn clone_lost_to_other_node() -> State {
    let parameters = "newid=300&name=x&full=1";
    polled(cloning(vmid_300_on_pve2(), "pve1", parameters))
}

pub(super) fn clone_running_on_pve2() -> State {
    let mut template = template();
    template["node"] = json!("pve2");
    let story = json!({"nodes": ["pve1", "pve2"], "guests": [template]});
    cloning(story, "pve2", "newid=103&name=t&full=1")
}

pub(super) fn clone_of_another_token() -> State {
    let tokens = json!({"cloner@pve!full": "none"});
    let story = json!({"guests": [template()], "tokens": tokens});
    cloning(story, "pve1", "newid=102&name=web-02&full=1")
}

pub(super) fn quorum_lost() -> State {
    let mut template = template();
    template["node"] = json!("pve2");
    let file = "/etc/pve/nodes/pve2/qemu-server/{newid}.conf.tmp.563";
    let state = polled(cloning(
        json!({
            "nodes": ["pve1", "pve2"],
            "guests": [template],
            "clone_exit": format!("clone failed: unable to open file '{file}' - Permission denied"),
        }),
        "pve2",
        "newid=140&name=frz",
    ));
    // The recorded cluster had a smaller template.
    let mut cluster = state.fake.cluster();
    let incomplete = cluster.guests.get_mut(&140).expect("the incomplete VM");
    for option in ["agent", "cores", "ostype", "serial0", "vga"] {
        incomplete.config.remove(option);
    }
    let meta = json!("creation-qemu=10.0.2,ctime=1795422473");
    incomplete.config.extend([
        ("cpu".to_owned(), json!("max")),
        ("kvm".to_owned(), json!(0)),
    ]);
    incomplete.config.insert("meta".to_owned(), meta);
    drop(cluster);
    state
}

pub(super) fn daemon_hung() -> State {
    let late = json!({"status": 596, "reason": "Connection timed out"});
    template_and("faults", json!([{"on": "", "late": late}]))
}

pub(super) fn daemon_down() -> State {
    let refused = json!({"status": 595, "reason": "Connection refused"});
    template_and("faults", json!([{"on": "POST", "answer": refused}]))
}
