//! The privileges of a token.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// The privileges of a token, by path. The value of a privilege is 0 if it does not hold below the path.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
pub struct Permissions(BTreeMap<String, BTreeMap<String, Value>>);

impl Permissions {
    /// Whether the token has a privilege on a path, which must have been queried.
    pub fn have(&self, path: &str, privilege: &str) -> bool {
        let privileges = self.0.get(path);
        privileges.is_some_and(|privileges| privileges.contains_key(privilege))
    }

    /// Whether the token has a privilege on a path, which must have been queried, and on the paths below it
    /// that are not in the access control list themselves.
    pub fn have_below(&self, path: &str, privilege: &str) -> bool {
        let privileges = self.0.get(path);
        let value = privileges.and_then(|privileges| privileges.get(privilege));
        value.is_some_and(|value| *value != 0 && *value != "0")
    }

    /// The privileges of the token on a path, which must have been queried.
    pub fn on(&self, path: &str) -> impl Iterator<Item = &str> {
        let privileges = self.0.get(path).into_iter();
        privileges.flat_map(|privileges| privileges.keys().map(String::as_str))
    }

    /// All paths on which the token has a privilege.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_privilege_may_hold_on_a_path_but_not_below() {
        let value = json!({"/vms": {"VM.Audit": 1, "VM.Clone": 0, "VM.Allocate": "0"}});
        let permissions: Permissions = serde_json::from_value(value).unwrap();
        let held = ["VM.Audit", "VM.Clone", "VM.Allocate", "VM.PowerMgmt"].map(|privilege| {
            (
                permissions.have("/vms", privilege),
                permissions.have_below("/vms", privilege),
            )
        });
        assert_eq!(
            held,
            [(true, true), (true, false), (true, false), (false, false)]
        );
    }
}
