//! `GET /nodes/{node}/lxc`.

use serde_json::{Value, json};

use super::cluster::Cluster;
use super::http::Answer;
use super::params::Params;
use super::replies::proxied;
use super::setup::GuestType;

/// Containers without VM.Audit are left out.
pub(super) fn list(
    cluster: &Cluster,
    token: &str,
    node: &str,
    params: &Params,
) -> Result<Answer, Answer> {
    cluster.reach(node)?;
    params.check(&[])?;
    let acl = cluster.acl_of(token);
    let guests = cluster.guests.values();
    let containers = guests.filter(|it| it.kind == GuestType::Lxc && it.is_on(node));
    let entries = containers.filter(|it| acl.shows(it.vmid)).map(|it| {
        let mut entry = it.node_entry(cluster.requests);
        let fields = entry.as_object_mut().expect("an object");
        fields.retain(|key, _| !key.starts_with("pressure") && key != "memhost" && key != "serial");
        let (disk, swap) = (json!(0), json!(0));
        fields.extend([
            ("diskread".to_owned(), disk.clone()),
            ("diskwrite".to_owned(), disk),
            ("maxswap".to_owned(), json!(536_870_912)),
            ("swap".to_owned(), swap),
            ("type".to_owned(), json!("lxc")),
        ]);
        entry
    });
    Ok(proxied(&entries.collect::<Value>()))
}
