//! Aborting tasks: clones that clean up or cannot, and all other tasks.

use rstest::rstest;
use serde_json::{Value, json};

use super::client::{delete, get, post};
use super::races::exit_of;
use super::rights::{CLONER, ask};
use super::states::{State, cloning, template, with};
use crate::fake_pve::FakePve;

fn abort(state: &State) -> u16 {
    let upid = state.upid.as_deref().expect("a task");
    delete(&state.fake, &format!("/nodes/pve1/tasks/{upid}")).status
}

/// It has ended already.
pub(super) fn cloned() -> State {
    let mut state = with(json!({
        "guests": [template()],
        "tokens": {"homelab@pve!cli": "blind"},
    }));
    let path = "/nodes/pve1/qemu/9000/clone";
    let clone = ask(&state.fake, "homelab@pve!cli", "POST", path, "newid=431").json();
    let upid = clone["data"].as_str().expect("a UPID");
    assert_eq!(exit_of(&state.fake, upid), "OK");
    state.upid = Some(upid.to_owned());
    state
}

pub(super) fn task_of_another_token() -> State {
    let tokens = json!({"homelab@pve!other": "none"});
    let story = json!({"guests": [template()], "clone_polls": 9, "tokens": tokens});
    cloning(story, "pve1", "newid=430")
}

/// A clone that copied to VM 220.
pub(super) fn aborted() -> State {
    let story = json!({"guests": [template()], "clone_polls": 9});
    let state = cloning(story, "pve1", "newid=220&full=1");
    assert_eq!(abort(&state), 200);
    state
}

fn exit(state: &State) -> String {
    exit_of(&state.fake, state.upid.as_deref().expect("a task"))
}

#[test]
fn a_clone_that_is_aborted_leaves_nothing() {
    let state = aborted();
    let cluster = state.fake.cluster();
    assert!(!cluster.guests.contains_key(&220));
    assert_eq!(cluster.setup.leftovers, [""; 0]);
    assert_eq!(cluster.deeds, []);
}

#[test]
fn a_worker_that_cannot_clean_up_leaves_the_lock() {
    let steps = json!({"appears": 0, "named": 9, "done": 20});
    let story = json!({"guests": [template()], "clone_steps": steps, "abort_kills": true});
    let state = cloning(story, "pve1", "newid=220&name=web-1&full=1");
    assert_eq!(abort(&state), 200);
    assert_eq!(exit(&state), "unexpected status");
    let config = get(&state.fake, "/nodes/pve1/qemu/220/config").json()["data"].take();
    let left = ["lock", "name", "scsi0"].map(|option| config[option].clone());
    assert_eq!(left, [json!("clone"), Value::Null, Value::Null]);
}

#[rstest]
#[case::linked("full=0", json!({"appears": 0, "named": 9, "done": 9}), "clone failed: received interrupt")]
#[case::not_begun("full=1", json!({"appears": 9, "named": 9, "done": 9}), "received interrupt")]
fn a_clone_without_a_copy_is_interrupted_too(
    #[case] form: &str,
    #[case] steps: Value,
    #[case] expected: &str,
) {
    let story = json!({"guests": [template()], "clone_steps": steps});
    let state = cloning(story, "pve1", &format!("newid=220&{form}"));
    abort(&state);
    assert_eq!(exit(&state), expected);
    assert!(!state.fake.cluster().guests.contains_key(&220));
}

#[test]
fn a_task_of_another_token_is_aborted_only_with_a_privilege() {
    let ask_as = |privileges: &[&str]| {
        let tokens = json!({CLONER: {"/nodes": privileges}});
        let story = json!({"guests": [template()], "clone_polls": 9, "tokens": tokens});
        let state = cloning(story, "pve1", "newid=220");
        let path = format!("/nodes/pve1/tasks/{}", state.upid.as_deref().unwrap());
        let answer = ask(&state.fake, CLONER, "DELETE", &path, "");
        (answer.reason, exit(&state) == "running")
    };
    let refusal = "Permission check failed (/nodes/pve1, Sys.Modify)".to_owned();
    assert_eq!(ask_as(&["Sys.Audit"]), (refusal, true));
    assert_eq!(ask_as(&["Sys.Modify"]), ("OK".to_owned(), false));
}

fn begun(fake: &FakePve, action: &str) -> String {
    let path = format!("/nodes/pve1/qemu/101/{action}");
    let upid = post(fake, &path, "").json()["data"].take();
    upid.as_str().expect("a UPID").to_owned()
}

#[test]
fn a_shutdown_that_is_aborted_is_not_taken_back() {
    let guest = json!({"vmid": 101, "status": "running", "on_shutdown": {"late": 3}});
    let mut state = with(json!({"guests": [guest], "shutdown_polls": 9}));
    state.upid = Some(begun(&state.fake, "status/shutdown"));
    abort(&state);
    assert_eq!(exit(&state), "received interrupt");
    let status = |state: &State| {
        get(&state.fake, "/nodes/pve1/qemu/101/status/current").json()["data"]["status"].take()
    };
    assert_eq!([(); 2].map(|()| status(&state)), ["running", "stopped"]);
}

#[test]
fn a_start_that_is_aborted_does_not_happen() {
    let mut state = with(json!({"guests": [{"vmid": 101}], "task_polls": 9}));
    state.upid = Some(begun(&state.fake, "status/start"));
    abort(&state);
    assert_eq!(exit(&state), "received interrupt");
    state.fake.finish_all();
    assert_eq!(state.fake.cluster().guests[&101].status, "stopped");
}
