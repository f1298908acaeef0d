//! The node that receives a request, what it sees of the cluster, and whether it has quorum.

use serde_json::{Value, json};

use super::cluster::Cluster;
use super::http::Answer;
use super::params::Params;
use super::replies::proxied;

/// The node that receives a request.
#[derive(Clone)]
pub(super) struct Here {
    pub(super) node: String,
    /// It sees no other node, and has no quorum.
    pub(super) is_cut_off: bool,
}

impl Cluster {
    pub(super) fn has_quorum(&self) -> bool {
        !self.setup.no_quorum && !self.here.is_cut_off
    }

    pub(super) fn is_offline(&self, node: &str) -> bool {
        let is_off = || self.setup.offline.iter().any(|offline| offline == node);
        self.here.node != node && (self.here.is_cut_off || is_off())
    }
}

/// `GET /cluster/status`. A node without a cluster reports only itself.
pub(super) fn status(cluster: &Cluster, token: &str, params: &Params) -> Result<Answer, Answer> {
    cluster.acl_of(token).check("/", "Sys.Audit")?;
    params.check(&[])?;
    let nodes = &cluster.setup.nodes;
    let is_alone = nodes.len() == 1;
    let whole = json!({
        "id": "cluster", "name": "lab", "nodes": nodes.len(), "type": "cluster", "version": 2,
        "quorate": u8::from(cluster.has_quorum()),
    });
    let entry = |(number, node): (usize, &String)| -> Value {
        json!({
            "id": format!("node/{node}"), "ip": format!("10.77.0.{number}"), "level": "",
            "local": u8::from(*node == cluster.here.node), "name": node,
            "nodeid": if is_alone { 0 } else { number },
            "online": u8::from(!cluster.is_offline(node)), "type": "node",
        })
    };
    let entries = (1..).zip(nodes).map(entry);
    let whole = (!is_alone).then_some(whole);
    let answer: Vec<Value> = whole.into_iter().chain(entries).collect();
    Ok(proxied(&json!(answer)))
}
