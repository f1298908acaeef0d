//! `…/status/start`, `stop`, `shutdown` and `reboot`: what is refused at once, and the task of the rest.

use serde_json::json;

use super::actions::Work;
use super::cluster::Cluster;
use super::http::Answer;
use super::params::{Params, Schema};
use super::replies::{failure, parameter_error, proxied};
use super::values::Kind;

const TIMEOUT: (&str, Kind) = ("timeout", Kind::Integer(0, i64::MAX));
const SKIPLOCK: (&str, Kind) = ("skiplock", Kind::Boolean);
/// Seconds.
const USUAL_TIMEOUT: usize = 60;

/// Always starts a task, even for a VM that does not exist.
pub(super) fn start(
    cluster: &mut Cluster,
    token: &str,
    node: &str,
    vmid: &str,
    params: &Params,
) -> Result<Answer, Answer> {
    let known: &Schema = &[
        SKIPLOCK,
        TIMEOUT,
        ("machine", Kind::Text),
        ("force-cpu", Kind::Text),
    ];
    let vmid = checked(cluster, token, node, vmid, params, known)?;
    if !cluster.has_quorum() {
        return Err(failure(500, "cluster not ready - no quorum?"));
    }
    let work = if cluster.is_under_ha(node, vmid) {
        Work::FileStart
    } else {
        Work::Start
    };
    let upid = cluster.begin_action(token, node, vmid, work);
    Ok(proxied(&json!(upid)))
}

/// Always starts a task, like a start.
pub(super) fn stop(
    cluster: &mut Cluster,
    token: &str,
    node: &str,
    vmid: &str,
    params: &Params,
) -> Result<Answer, Answer> {
    let known: &Schema = &[
        SKIPLOCK,
        TIMEOUT,
        ("keepActive", Kind::Boolean),
        ("migratedfrom", Kind::Text),
        ("overrule-shutdown", Kind::Boolean),
    ];
    let vmid = checked(cluster, token, node, vmid, params, known)?;
    let overrules = params.get("overrule-shutdown") == Some("1");
    let work = match (cluster.is_under_ha(node, vmid), overrules) {
        (true, true) => {
            let why = "Not applicable for HA resources.";
            return Err(parameter_error("overrule-shutdown", why));
        }
        (true, false) => Work::FileStop(0),
        (false, _) => Work::Stop {
            overruled: if overrules {
                cluster.overrule_shutdowns(token, node, vmid)
            } else {
                Vec::new()
            },
        },
    };
    let upid = cluster.begin_action(token, node, vmid, work);
    Ok(proxied(&json!(upid)))
}

/// Refused at once only for a paused VM that is not to be stopped by force.
pub(super) fn shutdown(
    cluster: &mut Cluster,
    token: &str,
    node: &str,
    vmid: &str,
    params: &Params,
) -> Result<Answer, Answer> {
    let known: &Schema = &[
        SKIPLOCK,
        TIMEOUT,
        ("forceStop", Kind::Boolean),
        ("keepActive", Kind::Boolean),
    ];
    let vmid = checked(cluster, token, node, vmid, params, known)?;
    let force = params.get("forceStop") == Some("1");
    if cluster.vm(node, vmid).is_some_and(|vm| vm.is_paused) && !force {
        return Err(failure(500, "VM is paused - cannot shutdown"));
    }
    let timeout = params.number("timeout", USUAL_TIMEOUT)?;
    let work = if cluster.is_under_ha(node, vmid) {
        Work::FileStop(timeout)
    } else {
        Work::Shutdown { force }
    };
    let upid = cluster.begin_action(token, node, vmid, work);
    Ok(proxied(&json!(upid)))
}

/// The only one that needs a VM that is running.
pub(super) fn reboot(
    cluster: &mut Cluster,
    token: &str,
    node: &str,
    vmid: &str,
    params: &Params,
) -> Result<Answer, Answer> {
    let vmid = checked(cluster, token, node, vmid, params, &[TIMEOUT])?;
    match cluster.vm(node, vmid) {
        None => {
            let missing =
                format!("unable to find configuration file for VM {vmid} on node '{node}'");
            Err(failure(500, &missing))
        }
        Some(vm) if vm.status != "running" => Err(failure(500, &format!("VM {vmid} not running"))),
        Some(vm) if vm.is_paused => Err(failure(500, "VM is paused - cannot shutdown")),
        Some(_) => {
            let upid = cluster.begin_action(token, node, vmid, Work::Reboot);
            Ok(proxied(&json!(upid)))
        }
    }
}

/// The VMID, if the token may change its power state and all parameters are valid.
fn checked(
    cluster: &Cluster,
    token: &str,
    node: &str,
    vmid: &str,
    params: &Params,
    known: &Schema,
) -> Result<u32, Answer> {
    let acl = cluster.acl_of(token);
    acl.check(&format!("/vms/{vmid}"), "VM.PowerMgmt")?;
    cluster.reach(node)?;
    let vmid = params.check_for(vmid, &[], known)?;
    params.leave_to_root("skiplock")?;
    Ok(vmid)
}
