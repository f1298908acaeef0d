//! Nodes: `GET /nodes`, and the rows of `/cluster/resources?type=node`.

use serde_json::{Value, json};

use super::cluster::Cluster;
use super::http::Answer;
use super::params::Params;
use super::replies::success;

/// The list, with a dummy fingerprint for each node.
pub(super) fn list(cluster: &Cluster, token: &str, params: &Params) -> Result<Answer, Answer> {
    params.check(&[])?;
    let mut rows = cluster.node_rows(token);
    for row in &mut rows {
        if let Some(row) = row.as_object_mut() {
            row.remove("cgroup-mode");
            let fingerprint = vec!["AF"; 32].join(":");
            row.insert("ssl_fingerprint".to_owned(), json!(fingerprint));
        }
    }
    Ok(success(&json!(rows)))
}

impl Cluster {
    /// Any token sees every node; the load figures need Sys.Audit.
    pub(super) fn node_rows(&self, token: &str) -> Vec<Value> {
        let acl = self.acl_of(token);
        let nodes = self.setup.nodes.iter();
        let rows = nodes.map(|node| {
            let is_online = !self.is_offline(node);
            let mut row = json!({
                "id": format!("node/{node}"),
                "level": "",
                "node": node,
                "status": if is_online { "online" } else { "offline" },
                "type": "node",
            });
            if is_online {
                row["cgroup-mode"] = json!(1);
            }
            if acl.grants(&format!("/nodes/{node}"), "Sys.Audit") {
                add_figures(&mut row, is_online);
            }
            row
        });
        rows.collect()
    }
}

/// The figures of an idle machine. For an offline one, only its size is known.
fn add_figures(row: &mut Value, is_online: bool) {
    let size = json!({"maxcpu": 4, "maxdisk": 8_589_934_592_u64, "maxmem": 25_276_063_744_u64});
    let use_of_it =
        json!({"cpu": 0.01, "disk": 311_721_984, "mem": 3_760_697_344_u64, "uptime": 6698});
    let figures = [Some(size), is_online.then_some(use_of_it)];
    for figures in figures.into_iter().flatten() {
        for (name, figure) in figures.as_object().into_iter().flatten() {
            row[name] = figure.clone();
        }
    }
}
