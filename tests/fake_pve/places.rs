//! Storages and pools.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::clone::POOL;
use super::cluster::Cluster;
use super::http::Answer;
use super::params::Params;
use super::replies::{proxied, success};

/// `GET /nodes/{node}/storage`. Storages on which the token has no privilege are omitted.
pub(super) fn storages(
    cluster: &Cluster,
    token: &str,
    node: &str,
    params: &Params,
) -> Result<Answer, Answer> {
    cluster.reach(node)?;
    params.check(&[])?;
    let acl = cluster.acl_of(token);
    let is_shown = |name: &&str| {
        let path = format!("/storage/{name}");
        let mut enough = ["Datastore.Audit", "Datastore.AllocateSpace"].into_iter();
        enough.any(|privilege| acl.grants(&path, privilege))
    };
    let own = cluster.setup.storages.keys().map(String::as_str);
    let names: BTreeSet<&str> = ["data", "local", "small"].into_iter().chain(own).collect();
    let rows = names.into_iter().filter(is_shown).filter_map(|name| {
        let storage = cluster.setup.storage_on(name, node).ok()?;
        Some(json!({
            "active": u8::from(!storage.disabled),
            "avail": 78_744_174_592_u64,
            "content": storage.content.join(","),
            "enabled": u8::from(!storage.disabled),
            "shared": u8::from(storage.shared),
            "storage": name,
            "total": 270_553_174_016_u64,
            "type": "dir",
            "used": 18_828_574_720_u64,
            "used_fraction": 0.07,
        }))
    });
    Ok(proxied(&rows.collect::<Value>()))
}

/// `GET /pools`. Pools on which the token has no Pool.Audit are omitted.
pub(super) fn pools(cluster: &Cluster, token: &str, params: &Params) -> Result<Answer, Answer> {
    params.check(&[])?;
    let acl = cluster.acl_of(token);
    let is_shown = acl.grants(&format!("/pool/{POOL}"), "Pool.Audit");
    let rows = is_shown.then(|| json!({"poolid": POOL}));
    Ok(success(&rows.into_iter().collect::<Value>()))
}
