//! What tokens see that may clone but not read all VMs.

use rstest::rstest;
use serde_json::{Value, json};

use super::client::{Reply, connect};
use super::states::{State, template, with};
use crate::fake_pve::FakePve;

pub(super) const CLONER: &str = "cloner@pve!cli";

fn cloning(rights: &str) -> State {
    let state = with(json!({
        "guests": [{"vmid": 100, "name": "db-1"}, template()],
        "tokens": {CLONER: rights, "cloner@pve!full": rights},
        "clone_steps": {"appears": 0, "named": 0, "done": 20},
    }));
    let path = "/nodes/pve1/qemu/9000/clone";
    let answer = ask(&state.fake, CLONER, "POST", path, "newid=101&name=web-1");
    assert_eq!(answer.status, 200);
    state
}

pub(super) fn blind_cloning() -> State {
    cloning("blind")
}

pub(super) fn late_cloning() -> State {
    cloning("late")
}

pub(super) fn ask(fake: &FakePve, token: &str, method: &str, path: &str, body: &str) -> Reply {
    let mut client = connect(fake);
    client.send_as(token, method, path, body);
    client.reply().expect("an answer")
}

pub(super) fn read(fake: &FakePve, token: &str, path: &str) -> Reply {
    ask(fake, token, "GET", path, "")
}

pub(super) fn vmids(reply: &Reply) -> Vec<u64> {
    let rows = reply.json();
    let rows = rows["data"].as_array().expect("rows").iter();
    rows.map(|row| row["vmid"].as_u64().expect("a VMID"))
        .collect()
}

#[rstest]
#[case::blind("blind", &[9000])]
#[case::late("late", &[101, 9000])]
fn a_finished_clone_is_seen_by_tokens_with_the_privilege(
    #[case] rights: &str,
    #[case] after: &[u64],
) {
    let State { fake, .. } = cloning(rights);
    let lists = ["/cluster/resources?type=vm", "/nodes/pve1/qemu"];
    for list in lists {
        assert_eq!(vmids(&read(&fake, CLONER, list)), [9000], "{list}");
    }
    fake.finish_all();
    for list in lists {
        assert_eq!(vmids(&read(&fake, CLONER, list)), after, "{list}");
        assert_eq!(
            vmids(&read(&fake, "cloner@pve!full", list)),
            [9000],
            "{list}"
        );
    }
}

#[rstest]
#[case::blind("blind", 403)]
#[case::late("late", 200)]
fn configurations_are_forbidden_whether_or_not_they_exist(
    #[case] rights: &str,
    #[case] own_when_done: u16,
) {
    let State { fake, .. } = cloning(rights);
    let config = |vmid: u32| read(&fake, CLONER, &format!("/nodes/pve1/qemu/{vmid}/config"));
    assert_eq!(
        [9000, 100, 101, 999].map(|vmid| config(vmid).status),
        [200, 403, 403, 403]
    );
    assert_eq!(
        config(999).reason,
        "Permission check failed (/vms/999, VM.Audit)"
    );
    assert!(config(9000).json()["data"]["scsi0"].is_string());
    fake.finish_all();
    assert_eq!(
        [100, 101].map(|vmid| config(vmid).status),
        [403, own_when_done]
    );
}

#[test]
fn free_vmids_are_reported_to_every_token() {
    let State { fake, .. } = blind_cloning();
    let status = |vmid| read(&fake, CLONER, &format!("/cluster/nextid?vmid={vmid}")).status;
    assert_eq!([100, 101, 102].map(status), [400, 400, 200]);
}

#[test]
fn only_templates_can_be_cloned_without_further_privileges() {
    let State { fake, .. } = blind_cloning();
    let clone = |vmid| {
        let path = format!("/nodes/pve1/qemu/{vmid}/clone");
        ask(&fake, CLONER, "POST", &path, "newid=200").reason
    };
    let refusal = |vmid| format!("Permission check failed (/vms/{vmid}, VM.Clone)");
    assert_eq!([100, 300].map(clone), [100, 300].map(refusal));
}

#[test]
fn a_task_is_shown_to_the_token_that_started_it() {
    let State { fake, .. } = blind_cloning();
    let upid = fake.cluster().tasks[0].upid.clone();
    let status =
        |token, part| read(&fake, token, &format!("/nodes/pve1/tasks/{upid}/{part}")).status;
    assert_eq!(
        ["status", "log"].map(|part| status(CLONER, part)),
        [200, 200]
    );
    assert_eq!(
        ["status", "log"].map(|part| status("cloner@pve!full", part)),
        [403, 403]
    );
    let list = |token| read(&fake, token, "/nodes/pve1/tasks?source=all").json()["total"].clone();
    assert_eq!(
        [CLONER, "cloner@pve!full"].map(list),
        [Value::from(1), Value::from(0)]
    );
}
