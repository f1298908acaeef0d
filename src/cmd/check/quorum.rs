//! Checks whether the cluster has a quorum, without which nothing can be changed.

use super::finding::{Finding, Report, Verdict};
use super::hosts::Accepted;
use crate::pve::{self, NodeStatus, Pve};
use crate::say::hint::refusal::NO_QUORUM;

/// Whether a node is in the part of the cluster that has the quorum.
struct Quorum {
    nodes: Vec<NodeStatus>,
    /// The problem, and what to do about it; `None` if there is none.
    problem: Option<(&'static str, String)>,
}

/// Asks each host whether it has a quorum. A request refused for lack of quorum goes to the next host, so
/// one host with quorum is enough.
pub fn check_quorum(hosts: &[Accepted], report: Report) {
    let answers = hosts.iter().map(|it| quorum_of(&it.pve));
    let answers: Vec<Result<Quorum, pve::Error>> = answers.collect();
    let has_quorum = |it: &Result<Quorum, _>| it.as_ref().is_ok_and(|it| it.problem.is_none());
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
        report(match answer {
            Ok(Quorum {
                nodes,
                problem: None,
            }) => Finding::ok(check, online(&nodes)),
            Ok(Quorum {
                nodes,
                problem: Some((what, hint)),
            }) => {
                let detail = format!("{what}; {}", online(&nodes));
                Finding::new(verdict, check, detail).with_hint(hint)
            }
            Err(error) => Finding::of_request(check, &error).with_result(verdict),
        });
    }
}

/// If the token may not ask, counts the nodes that are online.
fn quorum_of(pve: &Pve) -> Result<Quorum, pve::Error> {
    match pve.cluster_status() {
        Ok(status) => {
            let problem = (!status.is_quorate).then(|| ("lost", NO_QUORUM.to_owned()));
            let nodes = status.nodes;
            Ok(Quorum { nodes, problem })
        }
        Err(pve::Error::Refused { .. }) => {
            let nodes = pve.nodes()?;
            let online = nodes.iter().filter(|it| it.is_online).count();
            let hint = format!(
                "{NO_QUORUM}; to see whether a quorum device provides it, this token needs Sys.Audit on /"
            );
            let problem = (online * 2 <= nodes.len()).then_some(("no majority", hint));
            Ok(Quorum { nodes, problem })
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
