//! The worst orders of events.

use rstest::rstest;
use serde_json::{Value, json};

use super::testbed::{Testbed, VM, VMID};
use super::verbs::{self, Verb};
use crate::fake_pve::{Did, Fault};
use crate::homelab::{Homelab, Seen, StateDir};

fn verb(name: &str) -> Verb {
    let mut all = verbs::all().into_iter();
    all.find(|verb| verb.name == name).expect("a verb")
}

/// The number of the first request that begins with this.
fn number_of(verb: &Verb, start: &str) -> usize {
    let journal = verb.requests();
    let at = journal.iter().position(|line| line.starts_with(start));
    at.expect("such a request") + 1
}

#[track_caller]
fn expect(testbed: &Testbed, seen: &Seen, expected: &str) {
    let text = seen.stderr.replace(&testbed.fake.url(), "URL");
    assert_eq!(text, expected, "{}", testbed.details());
}

#[track_caller]
fn must_succeed(testbed: &Testbed, line: &str) {
    let went = testbed.judge(&testbed.run(line));
    assert_eq!(went, Ok(true), "{}", testbed.details());
}

/// The answer to the DELETE is lost, and by the time of the next request a stranger has the VMID.
#[rstest]
fn a_vm_that_is_replaced_after_its_deletion_is_not_touched(
    #[values(
        json!({"close": "lost"}),
        json!({"answer": {"status": 502, "reason": "Bad Gateway", "acted": true}}),
        json!({"reset_after": 5}),
    )]
    fault: Value,
    #[values(
        json!({"vmid": VMID, "name": "web-1"}),
        json!({"vmid": VMID, "name": "db-1"}),
        json!({"vmid": VMID, "name": "web-1", "node": "pve2"}),
        json!({"vmid": VMID, "name": "web-1", "type": "lxc"}),
    )]
    stranger: Value,
    #[values("delete", "delete --stop")] name: &str,
) {
    let verb = verb(name);
    let delete = number_of(&verb, "DELETE");
    let more = json!({
        "task_polls": u8::from(name != "delete"),
        "others": [{"request": delete + 1, "do": {"replace": stranger}}],
    });
    let testbed = Testbed::new(&verb, &more, [Fault::at_request(delete, fault)]);
    must_succeed(&testbed, &verb.line);
    let deeds = testbed.deeds();
    let destroyed: Vec<_> = deeds
        .iter()
        .filter(|deed| matches!(deed.did, Did::Destroy(_)))
        .map(|deed| deed.vm)
        .collect();
    let second = testbed.fake.cluster().guests[&VMID].stamp();
    assert_eq!((destroyed, second), (vec![VM], (VMID, 1)));
}

/// The quorum is lost while the server deletes it: its disks are gone, the VM remains, and can be deleted
/// later.
#[test]
fn the_quorum_is_lost_during_the_deletion() {
    let verb = verb("delete");
    let delete = number_of(&verb, "DELETE");
    let more = json!({"others": [{"request": delete, "do": {"quorum": false}}]});
    let testbed = Testbed::new(&verb, &more, []);
    let seen = testbed.run(&verb.line);
    expect(
        &testbed,
        &seen,
        "Failed to delete VM 101 'web-1' on node 'pve1': the cluster lost its quorum during the deletion: the \
         VM still exists, but its disks may already be gone\n\
         Hint: too few nodes of the cluster are online, so nothing can be changed until more of them are back; on a \
         node: pvecm status; then run the same command again\n",
    );
    testbed.fake.cluster().setup.no_quorum = false;
    must_succeed(&testbed, &verb.line);
}

/// The quorum is lost after the VM was powered off.
#[test]
fn the_quorum_is_lost_between_power_off_and_deletion() {
    let verb = verb("delete --stop");
    let stop = number_of(&verb, "POST /nodes/pve1/qemu/101/status/stop");
    let more = json!({"others": [{"request": stop + 1, "do": {"quorum": false}}]});
    let testbed = Testbed::new(&verb, &more, []);
    let seen = testbed.run(&verb.line);
    expect(
        &testbed,
        &seen,
        "Failed to delete VM 101 'web-1' on node 'pve1': the cluster has no quorum (unable to open file \
         '/etc/pve/nodes/pve1/qemu-server/101.conf.tmp.227' - Permission denied), so nothing more was changed; the VM \
         still exists\n\
         Hint: too few nodes of the cluster are online, so nothing can be changed until more of them are back; on a \
         node: pvecm status; then run the same command again\n",
    );
    testbed.fake.cluster().setup.no_quorum = false;
    must_succeed(&testbed, &verb.line);
}

/// On one host, the second run is told about the first one. It names the VM in either way.
#[rstest]
fn two_runs_on_one_host(#[values("web-1", "101")] name: &str) {
    let verb = verb("delete");
    let delete = number_of(&verb, "DELETE");
    let hang = Fault::at_request(delete, json!({"hang": true}));
    let testbed = Testbed::new(&verb, &json!({}), [hang]);
    let running = testbed.start(&verb.line);
    testbed.fake.wait_for_requests(delete);
    let seen = testbed.run(&format!("vm delete {name} --yes"));
    let process = running.process();
    expect(
        &testbed,
        &seen,
        &format!(
            "Failed to delete VM: process {process} is creating or deleting VM 'web-1'\n\
             Hint: run the same command again once it has ended\n"
        ),
    );
    testbed.remember("killed", &running.kill());
    must_succeed(&testbed, &verb.line);
}

/// Each on a host of its own: the first one is waiting for its answer while the second one deletes the VM.
#[test]
fn two_runs_on_two_hosts() {
    let verb = verb("delete");
    let delete = number_of(&verb, "DELETE");
    let hang = Fault::at_request(delete, json!({"hang": true}));
    let testbed = Testbed::new(&verb, &json!({}), [hang]);
    let first = testbed.start(&format!("{} --request-timeout 0.5", verb.line));
    testbed.fake.wait_for_requests(delete);
    let elsewhere = StateDir::new();
    let second = Homelab::at(&testbed.fake).in_state(&elsewhere);
    let second = second.run("proxmox vm delete web-1 --yes --json --poll-interval 0.01");
    assert_eq!(testbed.judge(&second), Ok(true), "{}", testbed.details());
    let first = first.wait();
    testbed.remember("the first one", &first);
    assert_eq!(testbed.judge(&first), Ok(true), "{}", testbed.details());
    assert_eq!(testbed.deeds().len(), 1);
}

/// The guest goes down after the shutdown has failed.
#[test]
fn a_guest_goes_down_later() {
    let verb = verb("shutdown");
    let more = json!({"guests": [
        {"vmid": VMID, "name": "web-1", "status": "running", "on_shutdown": {"late": 2}},
    ]});
    let testbed = Testbed::new(&verb, &more, []);
    let seen = testbed.run(&format!("{} --guest-timeout 7", verb.line));
    expect(
        &testbed,
        &seen,
        "Failed to shut down VM 101 'web-1' on node 'pve1': after 7 s it was not shut down: its guest did not \
         react, and may still shut down later\n\
         Hint: to power it off: homelab proxmox vm stop 101; or allow the guest more time with --guest-timeout\n",
    );
    testbed.finish_all();
    assert!(testbed.has_reached_goal());
    must_succeed(&testbed, &verb.line);
}

/// The VM is shut down, and its start fails, which no answer reports.
#[test]
fn the_start_after_a_reboot_fails() {
    let verb = verb("reboot");
    let more = json!({"start_exit": ["no memory", "OK"]});
    let testbed = Testbed::new(&verb, &more, []);
    let seen = testbed.run(&verb.line);
    expect(
        &testbed,
        &seen,
        "Failed to reboot VM 101 'web-1' on node 'pve1': it was shut down, and has not started again\n\
         Hint: to start it: homelab proxmox vm start 101; the failed start is in the task log of node pve1\n",
    );
    must_succeed(&testbed, "vm start 101");
}

/// Under HA a task only files the request.
#[rstest]
fn ha_acts_some_time_later(
    #[values("delete --stop", "start", "shutdown", "stop")] name: &str,
    #[values(0, 1, 5, 9)] requests: usize,
) {
    let verb = verb(name);
    let status = if name == "start" {
        "stopped"
    } else {
        "running"
    };
    let more = json!({
        "guests": [{"vmid": VMID, "name": "web-1", "status": status, "ha": "started"}],
        "ha_requests": requests,
    });
    let testbed = Testbed::new(&verb, &more, []);
    must_succeed(&testbed, &verb.line);
    let went = testbed.expect_no_other_deeds();
    assert_eq!(went, Ok(()), "{}", testbed.details());
}

#[rstest]
#[case::start("start", "stopped", ["start", "started", "started"])]
#[case::shutdown("shutdown", "running", ["shut down", "shut down", "stopped"])]
#[case::stop("stop", "running", ["power off", "powered off", "stopped"])]
#[case::delete("delete --stop", "running", ["delete", "deleted", "stopped"])]
fn ha_never_acts(#[case] name: &str, #[case] status: &str, #[case] words: [&str; 3]) {
    let verb = verb(name);
    let more = json!({
        "guests": [{"vmid": VMID, "name": "web-1", "status": status, "ha": "started"}],
        "ha_requests": null,
    });
    let testbed = Testbed::new(&verb, &more, []);
    let seen = testbed.run(&format!("{} --timeout 1", verb.line));
    let went = testbed.judge(&seen);
    assert_eq!(went, Ok(false), "{}", testbed.details());
    let [verb, done, by_ha] = words;
    let again = if verb == "delete" {
        ", with --if-exists"
    } else {
        ""
    };
    let expected = format!(
        "Failed to {verb} VM 101 'web-1' on node 'pve1': after 1 s it was not {done}: HA has not {by_ha} it; \
         'ha-manager status' on a node shows its HA state\n\
         Hint: run the same command again{again}\n"
    );
    expect(&testbed, &seen, &expected);
}

/// The worker of the DELETE dies near its end: the configuration is one line, `lock: destroyed`.
#[test]
fn the_worker_of_the_deletion_dies() {
    let verb = verb("delete");
    let more = json!({"destroy_exit": ["unexpected status", "OK"]});
    let testbed = Testbed::new(&verb, &more, []);
    let seen = testbed.run(&format!("{} --timeout 1", verb.line));
    let went = testbed.judge(&seen);
    assert_eq!(went, Ok(false), "{}", testbed.details());
    expect(
        &testbed,
        &seen,
        "Outcome unknown (the task's worker died or its node went down: \
         UPID:pve1:00000001:0000000A:6B000001:qmdestroy:101:root@pam!cli:); checking whether it took effect...\n\
         Failed to delete VM 101 'web-1' on node 'pve1': its deletion has begun, and may have been cut off: the \
         VM still exists, but its disks may already be gone\n\
         Hint: if no task deletes it any more, on node 'pve1', as root: qm unlock 101 && qm destroy 101 \
         --destroy-unreferenced-disks 1\n",
    );
}
