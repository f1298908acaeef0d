//! Checks whether the cluster can change anything.

use super::finding::{Finding, Tell, Verdict};
use super::hosts::Accepted;
use crate::pve::{self, NodeStatus, Pve};
use crate::say::hint::refusal::NO_QUORUM;

/// Whether a node is in the part of the cluster that can change something.
struct Quorum {
    nodes: Vec<NodeStatus>,
    /// What is wrong, and what to do about it; `None` if nothing is.
    lost: Option<(&'static str, String)>,
}

/// Asks each host whether it has a quorum. What one refuses for lack of it is asked of the next, so one
/// that has it is enough.
pub fn check_quorum(hosts: &[Accepted], tell: Tell) {
    let answers = hosts.iter().map(|it| quorum_of(&it.pve));
    let answers: Vec<Result<Quorum, pve::Error>> = answers.collect();
    let has_quorum = |it: &Result<Quorum, _>| it.as_ref().is_ok_and(|it| it.lost.is_none());
    let verdict = if answers.iter().any(has_quorum) {
        Verdict::Warn
    } else {
        Verdict::Fail
    };
    for (answer, Accepted { host, .. }) in answers.into_iter().zip(hosts) {
        let check = match hosts {
            [_] => "quorum".to_owned(),
            _ => format!("quorum at {host}"),
        };
        tell(match answer {
            Ok(Quorum { nodes, lost: None }) => Finding::ok(check, online(&nodes)),
            Ok(Quorum {
                nodes,
                lost: Some((what, hint)),
            }) => {
                let detail = format!("{what}; {}", online(&nodes));
                Finding::new(verdict, check, detail).with_hint(hint)
            }
            Err(error) => Finding::of_request(check, &error).with_result(verdict),
        });
    }
}

/// A token that may not ask counts the nodes that are online.
fn quorum_of(pve: &Pve) -> Result<Quorum, pve::Error> {
    match pve.cluster_status() {
        Ok(status) => {
            let lost = (!status.is_quorate).then(|| ("lost", NO_QUORUM.to_owned()));
            let nodes = status.nodes;
            Ok(Quorum { nodes, lost })
        }
        Err(pve::Error::Refused { .. }) => {
            let nodes = pve.nodes()?;
            let online = nodes.iter().filter(|it| it.is_online).count();
            let hint = format!(
                "{NO_QUORUM}; a quorum device would help, but this token may not see one: that needs \
                 Sys.Audit on /"
            );
            let lost = (online * 2 <= nodes.len()).then_some(("no majority", hint));
            Ok(Quorum { nodes, lost })
        }
        Err(error) => Err(error),
    }
}

/// `nodes online: 2 of 3, offline: pve3`
fn online(nodes: &[NodeStatus]) -> String {
    let offline = nodes.iter().filter(|it| !it.is_online);
    let offline: Vec<&str> = offline.map(|it| it.node.0.as_str()).collect();
    let which = match offline.join(", ") {
        none if none.is_empty() => none,
        names => format!(", offline: {names}"),
    };
    let count = nodes.len() - offline.len();
    format!("nodes online: {count} of {}{which}", nodes.len())
}
