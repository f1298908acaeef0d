//! The commands, and the state that each is to reach.

use serde_json::{Value, json};

use super::testbed::Testbed;

/// A command that changes the VM 101 `web-1` or ends a task.
pub(super) struct Verb {
    pub(super) name: &'static str,
    /// Its arguments after `proxmox`.
    pub(super) line: String,
    /// Further arguments of the same command when it is run again.
    pub(super) again: &'static str,
    pub(super) goal: Goal,
    /// The status of the VM at the start.
    status: &'static str,
}

/// The state after success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Goal {
    Deleted,
    Running,
    Off,
    /// Running with another process.
    Restarted,
    /// The clone to VM 150 has ended.
    TaskEnded,
}

/// The task of the clone to VM 150, the first task of its fake.
pub(super) const CLONE: &str = "UPID:pve1:00000001:0000000A:6B000001:qmclone:9000:root@pam!cli:";

impl Verb {
    fn new(name: &'static str, line: &str, goal: Goal, status: &'static str) -> Verb {
        Verb {
            name,
            line: line.to_owned(),
            again: if goal == Goal::Deleted {
                " --if-exists"
            } else {
                ""
            },
            goal,
            status,
        }
    }

    /// Two nodes, a router, the VM and a template. Tasks take a few polls.
    pub(super) fn setup(&self, more: &Value) -> Value {
        let mut setup = json!({
            "nodes": ["pve1", "pve2"],
            "guests": [
                {"vmid": 100, "name": "router", "status": "running"},
                {"vmid": 101, "name": "web-1", "status": self.status},
                {"vmid": 9000, "name": "debian-12", "template": true},
            ],
            "task_polls": 1,
            "clone_polls": 1_000_000,
            "tokens": {"stranger@pve!cli": "all"},
        });
        let more = more.as_object().expect("an object").clone();
        setup.as_object_mut().expect("an object").extend(more);
        setup
    }

    /// The requests of a run without mishaps.
    pub(super) fn requests(&self) -> Vec<String> {
        let testbed = Testbed::new(self, &json!({}), []);
        let seen = testbed.run(&self.line);
        let went = testbed.judge(&seen);
        assert_eq!(went, Ok(true), "{}", testbed.details());
        testbed.fake.journal()
    }
}

pub(super) fn all() -> Vec<Verb> {
    let mut all = of_a_vm();
    let cancel = format!("task cancel {CLONE}");
    all.push(Verb::new("cancel", &cancel, Goal::TaskEnded, "stopped"));
    all
}

pub(super) fn of_a_vm() -> Vec<Verb> {
    [
        ("delete", "vm delete web-1 --yes", Goal::Deleted, "stopped"),
        (
            "delete --stop",
            "vm delete web-1 --yes --stop",
            Goal::Deleted,
            "running",
        ),
        ("start", "vm start web-1", Goal::Running, "stopped"),
        ("shutdown", "vm shutdown web-1", Goal::Off, "running"),
        ("stop", "vm stop web-1", Goal::Off, "running"),
        ("reboot", "vm reboot web-1", Goal::Restarted, "running"),
    ]
    .map(|(name, line, goal, status)| Verb::new(name, line, goal, status))
    .into()
}

/// Whether this request changes more than nothing.
pub(super) fn is_change(line: &str) -> bool {
    line.starts_with("POST ") || line.starts_with("DELETE ")
}
