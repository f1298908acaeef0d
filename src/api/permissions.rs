//! What a token may do, and where.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// A token's privileges by their paths, each with whether it counts for what is below too.
///
/// Paths without any are left out by the server, so one on which everything was taken away again
/// cannot be told from one of which nothing was said.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(transparent)]
pub struct Permissions(BTreeMap<String, BTreeMap<String, Value>>);

impl Permissions {
    pub(super) fn read(data: &RawValue) -> Result<Permissions, String> {
        serde_json::from_str(data.get()).map_err(|_| "privileges by their paths".to_owned())
    }

    /// Whether the token has a privilege on a path: what is said of the path itself, else of the
    /// nearest one above it.
    pub fn have(&self, path: &str, privilege: &str) -> bool {
        if let Some(said) = self.0.get(path) {
            return said.contains_key(privilege);
        }
        let mut above = path;
        while let Some((parent, _)) = above.rsplit_once('/') {
            above = parent;
            let parent = if parent.is_empty() { "/" } else { parent };
            if let Some(said) = self.0.get(parent) {
                return said.get(privilege).is_some_and(propagates);
            }
        }
        false
    }

    /// All paths on which something is said of a privilege.
    pub fn paths_with(&self, privilege: &str) -> impl Iterator<Item = &str> {
        let paths = self.0.iter();
        paths
            .filter(move |(_, said)| said.contains_key(privilege))
            .map(|(path, _)| path.as_str())
    }
}

fn propagates(flag: &Value) -> bool {
    !matches!(flag, Value::Null | Value::Bool(false))
        && flag.as_f64() != Some(0.0)
        && flag.as_str() != Some("0")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const SAID: &str = r#"{
        "/": {"Sys.Audit": 1},
        "/vms": {"VM.Audit": 1, "VM.Allocate": 0},
        "/vms/9000": {"VM.Clone": 0},
        "/storage/data": {"Datastore.AllocateSpace": "1"}
    }"#;

    #[rstest]
    #[case::on_the_path_itself("/vms/9000", "VM.Clone", true)]
    #[case::above("/vms/101", "VM.Audit", true)]
    #[case::above_but_not_for_below("/vms/101", "VM.Allocate", false)]
    #[case::not_for_below_counts_where_it_stands("/vms", "VM.Allocate", true)]
    #[case::hidden_by_what_is_nearer("/vms/9000", "VM.Audit", false)]
    #[case::at_the_root("/nodes/pve1", "Sys.Audit", true)]
    #[case::the_root_is_hidden_too("/vms/101", "Sys.Audit", false)]
    #[case::a_flag_may_be_text("/storage/data", "Datastore.AllocateSpace", true)]
    #[case::a_name_that_begins_alike("/storage/data2", "Datastore.AllocateSpace", false)]
    fn the_nearest_path_decides(
        #[case] path: &str,
        #[case] privilege: &str,
        #[case] expected: bool,
    ) {
        let data = RawValue::from_string(SAID.to_owned()).unwrap();
        let permissions = Permissions::read(&data).unwrap();
        assert_eq!(permissions.have(path, privilege), expected);
    }
}
