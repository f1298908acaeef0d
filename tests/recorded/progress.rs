//! The progress of a clone in its log.

use serde_json::{Value, json};

use super::client::get;
use super::races::{clone, exit_of};
use super::states::{State, cloning, polled, template, with};
use crate::fake_pve::FakePve;

pub(super) fn a_third_copied() -> State {
    let story = json!({"guests": [template()], "clone_log": "growing", "clone_polls": 2});
    polled(cloning(story, "pve1", "newid=102&name=web-02&full=1"))
}

fn lines(fake: &FakePve, upid: &str, query: &str) -> Vec<String> {
    let log = get(fake, &format!("/nodes/pve1/tasks/{upid}/log{query}")).json();
    let lines = log["data"].as_array().expect("lines").iter();
    let text = |line: &Value| line["t"].as_str().expect("text").to_owned();
    lines.map(text).collect()
}

fn two_disks() -> Value {
    let mut template = template();
    template["config"] = json!({
        "ide2": null,
        "scsi0": "data:9000/base-9000-disk-0.raw,size=32G",
        "scsi1": "data:9000/base-9000-disk-1.raw,size=1T",
    });
    json!([template])
}

#[test]
fn a_log_grows_with_each_poll_disk_by_disk() {
    let story = json!({"guests": two_disks(), "clone_log": "growing", "clone_polls": 3});
    let fake = with(story).fake;
    let upid = clone(&fake, "newid=101&full=1");
    let seen: Vec<_> = (0..5)
        .map(|_| {
            let lines = lines(&fake, &upid, "?limit=0");
            exit_of(&fake, &upid);
            (lines.len(), lines.last().expect("a line").clone())
        })
        .collect();
    let expected = [
        (5, "transferred 0.0 B of 32.0 GiB (0.00%)"),
        (53, "transferred 16.4 GiB of 32.0 GiB (51.20%)"),
        (
            101,
            "create full clone of drive scsi1 (data:9000/base-9000-disk-1.raw)",
        ),
        (150, "transferred 502.5 GiB of 1.0 TiB (49.07%)"),
        (200, "TASK OK"),
    ];
    assert_eq!(seen, expected.map(|(count, line)| (count, line.to_owned())));
}

#[test]
fn a_complete_log_covers_each_disk() {
    let fake = with(json!({"guests": two_disks(), "clone_polls": 1})).fake;
    let upid = clone(&fake, "newid=101&full=1&storage=small");
    let expected = [
        "creating a clone of VM 9000 with ID 101",
        "create full clone of drive scsi0 (data:9000/base-9000-disk-0.raw)",
        "Formatting '/mnt/small/images/101/vm-101-disk-0.raw', fmt=raw size=34359738368 \
         preallocation=off",
        "allocated target volume 'small:101/vm-101-disk-0.raw'",
        "transferred 0.0 B of 32.0 GiB (0.00%)",
        "transferred 16.0 GiB of 32.0 GiB (50.13%)",
        "transferred 32.0 GiB of 32.0 GiB (100.00%)",
        "transferred 32.0 GiB of 32.0 GiB (100.00%)",
        "create full clone of drive scsi1 (data:9000/base-9000-disk-1.raw)",
        "Formatting '/mnt/small/images/101/vm-101-disk-1.raw', fmt=raw size=1099511627776 \
         preallocation=off",
        "allocated target volume 'small:101/vm-101-disk-1.raw'",
        "transferred 0.0 B of 1.0 TiB (0.00%)",
        "transferred 513.3 GiB of 1.0 TiB (50.13%)",
    ];
    assert_eq!(lines(&fake, &upid, "?limit=0"), expected);
}

#[test]
fn a_log_can_be_read_from_a_given_line() {
    let State { fake, upid } = a_third_copied();
    let upid = upid.expect("a task");
    let query = "?start=37&limit=1";
    let expected = ["transferred 655.4 MiB of 2.0 GiB (32.00%)"];
    assert_eq!(lines(&fake, &upid, query), expected);
    let log = get(&fake, &format!("/nodes/pve1/tasks/{upid}/log?start=39")).json();
    assert_eq!(log, json!({"data": [], "total": 39}));
}

#[test]
fn a_growing_log_of_a_failed_clone_ends_early() {
    let mut story = json!({"guests": [template()], "clone_log": "growing"});
    story["clone_exit"] = json!("clone failed: no");
    let fake = with(story).fake;
    let upid = clone(&fake, "newid=101&full=1");
    exit_of(&fake, &upid);
    let lines = lines(&fake, &upid, "?start=7");
    assert_eq!(
        lines,
        [
            "transferred 0.0 B of 2.0 GiB (0.00%)",
            "TASK ERROR: clone failed: no"
        ]
    );
}
