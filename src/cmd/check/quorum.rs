//! Checks whether the cluster can change anything.

use super::finding::{Finding, Verdict};
use crate::pve::{self, NodeStatus, Pve};
use crate::say::hint::refusal::NO_QUORUM;
use crate::wait::server::Server;

/// Asks whether the cluster has a quorum. A token that may not ask counts the nodes that are online.
pub fn check_quorum(server: Server) -> Result<Finding, pve::Error> {
    const CHECK: &str = "quorum";
    let (nodes, lost) = match server.ask(Pve::cluster_status) {
        Ok(status) => {
            let lost = (!status.is_quorate).then(|| ("lost; ", NO_QUORUM.to_owned()));
            (status.nodes, lost)
        }
        Err(pve::Error::Refused { .. }) => {
            let nodes = server.ask(Pve::nodes)?;
            let is_majority = online(&nodes) * 2 > nodes.len();
            let hint = format!(
                "{NO_QUORUM}; a quorum device would help, but this token may not see one: that needs \
                 Sys.Audit on /"
            );
            let lost = (!is_majority).then_some(("no majority; ", hint));
            (nodes, lost)
        }
        Err(error) => return Err(error),
    };
    let online = online(&nodes);
    let offline = nodes.iter().filter(|it| !it.is_online);
    let offline: Vec<&str> = offline.map(|it| it.node.0.as_str()).collect();
    let which = match offline.join(", ") {
        none if none.is_empty() => none,
        names => format!(", offline: {names}"),
    };
    let detail = format!("nodes online: {online} of {}{which}", nodes.len());
    Ok(match lost {
        None => Finding::ok(CHECK, detail),
        Some((what, hint)) => {
            Finding::new(Verdict::Fail, CHECK, format!("{what}{detail}")).with_hint(hint)
        }
    })
}

fn online(nodes: &[NodeStatus]) -> usize {
    nodes.iter().filter(|it| it.is_online).count()
}
