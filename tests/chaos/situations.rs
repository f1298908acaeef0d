//! Clusters, and options of the command.

use serde_json::{Value, json};

pub(super) struct Situation {
    pub(super) name: &'static str,
    pub(super) setup: Value,
    /// The options, without names and times.
    pub(super) words: &'static str,
    /// Whether the token may be unable to see the outcome of its clone.
    pub(super) sees: bool,
}

/// A cluster with a router, a template and quick clones, and with `more`.
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

/// Clones whose configuration appears late, whose name appears later, and which end later still.
pub(super) fn slow_clones() -> Value {
    json!({"appears": 3, "named": 6, "done": 9})
}

pub(super) fn all() -> Vec<Situation> {
    let veiled = json!([
        {"vmid": 100, "name": "router", "status": "running", "row": "nameless"},
        {"vmid": 9000, "name": "debian-12", "template": true, "row": "nameless"},
    ]);
    vec![
        Situation {
            name: "plain",
            setup: cluster(json!({})),
            words: "",
            sees: true,
        },
        Situation {
            name: "with a VMID of choice",
            setup: cluster(json!({})),
            words: "--vmid 150",
            sees: true,
        },
        Situation {
            name: "slow clones",
            setup: cluster(json!({"clone_steps": slow_clones()})),
            words: "",
            sees: true,
        },
        Situation {
            name: "a token that sees its VMs late",
            setup: cluster(json!({
                "tokens": {"cloner@pve!cli": "late"},
                "clone_steps": {"appears": 1, "named": 2, "done": 4},
            })),
            words: "",
            sees: true,
        },
        Situation {
            name: "rows without names",
            setup: cluster(json!({"guests": veiled})),
            words: "",
            sees: true,
        },
        Situation {
            name: "a token that never sees its VMs",
            setup: cluster(json!({
                "tokens": {"cloner@pve!cli": "blind"},
                "clone_steps": {"appears": 1, "named": 2, "done": 4},
            })),
            words: "",
            sees: false,
        },
    ]
}
