//! `GET /access/permissions`: the privileges of a token, as it can query them itself.

use serde_json::{Map, Value, json};

use super::cluster::Cluster;
use super::http::Answer;
use super::params::Params;
use super::replies::success;
use super::values::Kind;

/// Paths without any privilege are omitted, unless one was requested.
pub(super) fn permissions(
    cluster: &Cluster,
    token: &str,
    params: &Params,
) -> Result<Answer, Answer> {
    params.check(&[("path", Kind::Text), ("userid", Kind::Text)])?;
    let whose = params.get("userid").unwrap_or(token);
    if whose != token {
        cluster.acl_of(token).check("/access", "Sys.Audit")?;
    }
    let acl = cluster.acl_of(whose);
    let at = |path: &str| -> Map<String, Value> {
        let privileges = acl.privileges_at(path);
        privileges.map(|name| (name.to_owned(), json!(1))).collect()
    };
    if let Some(path) = params.get("path") {
        return Ok(success(&json!({path: at(path)})));
    }
    let paths = cluster.paths_with_lists();
    let granted = paths.iter().map(|path| (path, at(path)));
    let granted: Map<_, _> = granted
        .filter(|(_, privileges)| !privileges.is_empty())
        .map(|(path, privileges)| (path.clone(), Value::Object(privileges)))
        .collect();
    Ok(success(&Value::Object(granted)))
}
