//! Storages and pools.

use std::collections::BTreeSet;
use std::str::Split;

use serde_json::{Value, json};

use super::clone::POOL;
use super::cluster::Cluster;
use super::http::Answer;
use super::params::Params;
use super::replies::{proxied, success};
use super::storages::{StorageSetup, TO_SEE_STORAGES};
use super::values::Kind;

/// Bytes that are in use on every storage.
const USED: u64 = 18_828_574_720;

/// `GET /nodes/{node}/storage`. Storages on which the token has no privilege are omitted.
pub(super) fn storages(
    cluster: &Cluster,
    token: &str,
    node: &str,
    params: &Params,
) -> Result<Answer, Answer> {
    cluster.reach(node)?;
    params.check(&[("content", Kind::Text), ("enabled", Kind::Boolean)])?;
    let acl = cluster.acl_of(token);
    let is_shown = |name: &&str| {
        let path = format!("/storage/{name}");
        acl.check_any(&path, TO_SEE_STORAGES).is_ok()
    };
    let fits = |storage: &StorageSetup| {
        let contents = params.get("content").map(|list| list.split(','));
        let is_accepted = |mut list: Split<'_, char>| list.any(|content| storage.accepts(content));
        let is_enabled = !storage.disabled || params.get("enabled") != Some("1");
        is_enabled && contents.is_none_or(is_accepted)
    };
    let own = cluster.setup.storages.keys().map(String::as_str);
    let names: BTreeSet<&str> = ["data", "local", "small"].into_iter().chain(own).collect();
    let rows = names.into_iter().filter(is_shown).filter_map(|name| {
        let storage = cluster.setup.storage_on(name, node).ok()?;
        fits(&storage).then(|| row(name, &storage))
    });
    Ok(proxied(&rows.collect::<Value>()))
}

/// A storage that is not active has no sizes.
fn row(name: &str, storage: &StorageSetup) -> Value {
    let is_active = storage.check_active(name).is_ok();
    let (avail, used) = match storage {
        _ if !is_active => (0, 0),
        full if full.full => (0, USED),
        other => (other.avail, USED),
    };
    let mut row = json!({
        "active": u8::from(is_active),
        "avail": avail,
        "content": storage.content.join(","),
        "enabled": u8::from(!storage.disabled),
        "shared": u8::from(storage.shared),
        "storage": name,
        "total": avail + used,
        "type": storage.kind.name(),
        "used": used,
    });
    if is_active {
        row["used_fraction"] = json!(0.07);
    }
    row
}

/// `GET /pools`. Pools on which the token has no Pool.Audit are omitted.
pub(super) fn pools(cluster: &Cluster, token: &str, params: &Params) -> Result<Answer, Answer> {
    params.check(&[])?;
    let acl = cluster.acl_of(token);
    let is_shown = acl.grants(&format!("/pool/{POOL}"), "Pool.Audit");
    let rows = is_shown.then(|| json!({"poolid": POOL}));
    Ok(success(&rows.into_iter().collect::<Value>()))
}
