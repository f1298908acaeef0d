//! The state of a cluster's nodes and storages.

use serde::Deserialize;

use crate::pve::guest_list::flag;
use crate::pve::types::Node;

/// Whether a cluster has a quorum, and which of its nodes are online.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClusterStatus {
    /// Whether it has a quorum, without which nothing can be changed. Always true without a cluster.
    pub is_quorate: bool,
    /// All nodes.
    pub nodes: Vec<NodeStatus>,
}

/// A node of the cluster.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeStatus {
    /// Its name.
    pub node: Node,
    /// Whether the node that answers can reach it.
    pub is_online: bool,
    /// The fingerprint of its certificate, if the server tells it: `AF:DF:…`.
    pub fingerprint: Option<String>,
}

/// A storage as one node sees it.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct StorageStatus {
    /// Its name.
    #[serde(rename = "storage")]
    pub name: String,
    /// Whether all nodes see the same content.
    #[serde(default, deserialize_with = "flag")]
    pub shared: bool,
    /// Whether it may be used.
    #[serde(default = "yes", deserialize_with = "flag")]
    pub enabled: bool,
    /// Whether the node can reach it.
    #[serde(default = "yes", deserialize_with = "flag")]
    pub active: bool,
    /// Its type: `dir`, `lvmthin`, `nfs` …
    #[serde(default, rename = "type")]
    pub kind: String,
    /// The content types that it accepts: `images,iso`.
    #[serde(default)]
    pub content: String,
}

fn yes() -> bool {
    true
}

impl StorageStatus {
    /// Whether it can hold VM disks.
    pub fn takes_disks(&self) -> bool {
        self.accepts("images")
    }

    /// Whether it holds files, so that it could accept any type of content.
    pub fn is_for_files(&self) -> bool {
        ["dir", "nfs", "cifs", "cephfs", "btrfs", "glusterfs"].contains(&self.kind.as_str())
    }

    /// Whether it accepts this type of content: `images`, `import`, `iso` …
    pub fn accepts(&self, content: &str) -> bool {
        self.content.split(',').any(|kind| kind == content)
    }
}

/// A row of `/cluster/status`: the cluster itself, or one of its nodes.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum StatusRow {
    Cluster {
        #[serde(deserialize_with = "flag")]
        quorate: bool,
    },
    Node {
        name: String,
        #[serde(default, deserialize_with = "flag")]
        online: bool,
    },
    #[serde(other)]
    Unknown,
}

impl From<Vec<StatusRow>> for ClusterStatus {
    fn from(rows: Vec<StatusRow>) -> ClusterStatus {
        let mut status = ClusterStatus {
            is_quorate: true,
            nodes: Vec::new(),
        };
        for row in rows {
            match row {
                StatusRow::Cluster { quorate } => status.is_quorate = quorate,
                StatusRow::Node { name, online } => status.nodes.push(NodeStatus {
                    node: Node(name),
                    is_online: online,
                    fingerprint: None,
                }),
                StatusRow::Unknown => {}
            }
        }
        status
    }
}

/// A row of `/nodes`.
#[derive(Deserialize)]
pub struct NodeRow {
    node: Node,
    status: Option<String>,
    ssl_fingerprint: Option<String>,
}

impl From<NodeRow> for NodeStatus {
    fn from(row: NodeRow) -> NodeStatus {
        NodeStatus {
            node: row.node,
            is_online: row.status.as_deref() != Some("offline"),
            fingerprint: row.ssl_fingerprint,
        }
    }
}
