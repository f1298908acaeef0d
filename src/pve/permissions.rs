//! What a token may do, and where.

use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::value::RawValue;

/// Privileges by the paths that they were asked for, or that something is said of.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Permissions(BTreeMap<String, Vec<String>>);

impl Permissions {
    pub fn read(data: &RawValue) -> Result<Permissions, &'static str> {
        let paths: BTreeMap<String, BTreeMap<String, Value>> =
            serde_json::from_str(data.get()).map_err(|_| "privileges by their paths")?;
        let paths = paths.into_iter();
        Ok(Permissions(
            paths
                .map(|(path, privileges)| (path, privileges.into_keys().collect()))
                .collect(),
        ))
    }

    /// Whether the token has a privilege on a path that it was asked for.
    pub fn have(&self, path: &str, privilege: &str) -> bool {
        let said = self.0.get(path);
        said.is_some_and(|said| said.iter().any(|had| had == privilege))
    }

    /// All paths of which something is said.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}
