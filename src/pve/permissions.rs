//! The privileges of a token.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// The privileges of a token, by path.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
pub struct Permissions(BTreeMap<String, BTreeMap<String, Value>>);

impl Permissions {
    /// Whether the token has a privilege on a path, which must have been queried.
    pub fn have(&self, path: &str, privilege: &str) -> bool {
        let privileges = self.0.get(path);
        privileges.is_some_and(|privileges| privileges.contains_key(privilege))
    }

    /// All paths on which the token has a privilege.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}
