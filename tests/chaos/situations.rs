//! Clusters and commands to start from.

use serde_json::{Value, json};

pub(super) struct Situation {
    pub(super) name: &'static str,
    pub(super) setup: Value,
    /// Arguments besides names and intervals.
    pub(super) arguments: &'static str,
    /// A token that sees no VM may be unable to find out what became of its clone.
    pub(super) sees: bool,
}

/// A router, a template, clones that finish quickly whether or not they are polled, and these further
/// settings.
pub(super) fn cluster(more: Value) -> Value {
    let mut setup = json!({
        "guests": [
            {"vmid": 100, "name": "router", "status": "running"},
            {"vmid": 9000, "name": "debian-12", "template": true},
        ],
        "clone_steps": {"appears": 0, "named": 0, "done": 1},
    });
    let Value::Object(more) = more else {
        panic!("an object");
    };
    setup.as_object_mut().expect("an object").extend(more);
    setup
}

/// The configuration appears late, the name later, and the end later still.
pub(super) fn slow_clones() -> Value {
    json!({"appears": 3, "named": 6, "done": 9})
}

pub(super) fn all() -> Vec<Situation> {
    let nameless = json!([
        {"vmid": 100, "name": "router", "status": "running", "row": "nameless"},
        {"vmid": 9000, "name": "debian-12", "template": true, "row": "nameless"},
    ]);
    vec![
        Situation {
            name: "plain",
            setup: cluster(json!({})),
            arguments: "",
            sees: true,
        },
        Situation {
            name: "with a chosen VMID",
            setup: cluster(json!({})),
            arguments: "--vmid 150",
            sees: true,
        },
        Situation {
            name: "slow clones",
            setup: cluster(json!({"clone_steps": slow_clones()})),
            arguments: "",
            sees: true,
        },
        Situation {
            name: "a token that sees its VMs late",
            setup: cluster(json!({
                "tokens": {"cloner@pve!cli": "late"},
                "clone_steps": {"appears": 1, "named": 2, "done": 4},
            })),
            arguments: "",
            sees: true,
        },
        Situation {
            name: "rows without names",
            setup: cluster(json!({"guests": nameless})),
            arguments: "",
            sees: true,
        },
        Situation {
            name: "a token that never sees its VMs",
            setup: cluster(json!({
                "tokens": {"cloner@pve!cli": "blind"},
                "clone_steps": {"appears": 1, "named": 2, "done": 4},
            })),
            arguments: "",
            sees: false,
        },
    ]
}
