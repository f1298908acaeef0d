//! What the server tells about one VM beside its configuration: its state, and changes that wait for its next
//! start.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::pve::guest_list::{figure, flag, optional_text};
use crate::pve::vm_config::{VmConfig, option_text};

/// The state of a VM. Absent is what the server did not tell.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct VmStatus {
    /// `running` or `stopped`; a paused VM is running.
    #[serde(deserialize_with = "optional_text")]
    pub status: Option<String>,
    /// QEMU's own status: `running`, `paused`, `prelaunch` …
    #[serde(deserialize_with = "optional_text")]
    pub qmpstatus: Option<String>,
    /// For how many seconds it has been running; 0 if it is not.
    #[serde(deserialize_with = "figure")]
    pub uptime: Option<u64>,
    /// The id of its QEMU process on its node.
    #[serde(deserialize_with = "figure")]
    pub pid: Option<u64>,
    /// The number of its CPU cores.
    #[serde(rename = "cpus", deserialize_with = "figure")]
    pub cores: Option<u64>,
    /// The maximum of its memory, in bytes.
    #[serde(rename = "maxmem", deserialize_with = "figure")]
    pub memory: Option<u64>,
    /// Its HA resource.
    pub ha: Ha,
}

impl VmStatus {
    /// Whether it has a QEMU process. A paused VM has one.
    pub fn is_running(&self) -> bool {
        self.status.as_deref() == Some("running")
    }

    /// Whether its guest is paused.
    pub fn is_paused(&self) -> bool {
        self.qmpstatus.as_deref() == Some("paused")
    }

    /// Whether its guest works: it runs and is not paused.
    pub fn is_active(&self) -> bool {
        self.is_running() && !self.is_paused()
    }
}

/// Whether the HA manager starts and stops a VM.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Ha {
    /// Whether it does.
    #[serde(deserialize_with = "flag")]
    pub managed: bool,
    /// The requested state: `started`, `stopped` …
    #[serde(deserialize_with = "optional_text")]
    pub state: Option<String>,
}

/// The configuration with which a VM runs, and what changes at its next start.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PendingConfig {
    /// The configuration without the changes.
    pub current: VmConfig,
    /// The changes, sorted by option.
    pub changes: Vec<PendingChange>,
}

/// A change of an option that waits for the next start of its VM.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PendingChange {
    /// The option.
    pub key: String,
    /// Its value now, if it is set.
    pub current: Option<String>,
    /// Its value after the change; `None` if the option is removed.
    pub new: Option<String>,
}

/// An option as the server lists it.
#[derive(Deserialize)]
pub struct PendingRow {
    key: String,
    value: Option<Value>,
    pending: Option<Value>,
    /// 1, or 2 if it is removed by force.
    #[serde(default, deserialize_with = "flag")]
    delete: bool,
}

impl From<Vec<PendingRow>> for PendingConfig {
    fn from(rows: Vec<PendingRow>) -> PendingConfig {
        let mut current = BTreeMap::new();
        let mut changes = Vec::new();
        for row in rows {
            let value = row.value.and_then(option_text);
            let new = row.pending.and_then(option_text);
            if row.delete || new.is_some() {
                changes.push(PendingChange {
                    key: row.key.clone(),
                    current: value.clone(),
                    new: new.filter(|_| !row.delete),
                });
            }
            current.extend(value.map(|value| (row.key, value)));
        }
        changes.sort_by(|one, other| one.key.cmp(&other.key));
        PendingConfig {
            current: VmConfig::of(current),
            changes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[test]
    fn values_and_pending_changes_are_told_apart() {
        let rows: Vec<PendingRow> = serde_json::from_str(
            r#"[{"pending":2,"key":"cores","value":1},{"value":"run-1","key":"name"},
                {"key":"memory","value":"256","pending":"512"},{"key":"balloon","delete":1,"value":0},
                {"key":"net1","pending":"virtio=BC:24:11:00:00:01"},{"key":"odd","value":[]}]"#,
        )
        .unwrap();
        let config = PendingConfig::from(rows);
        let option = |key| config.current.option(key);
        assert_eq!(
            ["cores", "name", "memory", "balloon", "net1", "odd"].map(option),
            [Some("1"), Some("run-1"), Some("256"), Some("0"), None, None]
        );
        let changes = config.changes.iter();
        let changes: Vec<_> = changes
            .map(|it| (&*it.key, it.current.as_deref(), it.new.as_deref()))
            .collect();
        let expected = [
            ("balloon", Some("0"), None),
            ("cores", Some("1"), Some("2")),
            ("memory", Some("256"), Some("512")),
            ("net1", None, Some("virtio=BC:24:11:00:00:01")),
        ];
        assert_eq!(changes, expected);
    }

    #[rstest]
    #[case::running(r#"{"status":"running","qmpstatus":"running"}"#, true)]
    #[case::paused(r#"{"status":"running","qmpstatus":"paused"}"#, false)]
    #[case::stopped(r#"{"status":"stopped","qmpstatus":"stopped"}"#, false)]
    #[case::unknown("{}", false)]
    fn a_paused_guest_is_not_active(#[case] json: &str, #[case] expected: bool) {
        let details: VmStatus = serde_json::from_str(json).unwrap();
        assert_eq!(details.is_active(), expected);
    }
}
