//! `GET …/status/current`.

use serde_json::json;

use super::cluster::Cluster;
use super::ha::Ha;
use super::http::Answer;
use super::interfaces::is_agent_enabled;
use super::params::Params;
use super::replies::{failure, proxied};

/// A paused VM is `running`; only `qmpstatus` says that it is paused.
pub(super) fn current(
    cluster: &Cluster,
    token: &str,
    node: &str,
    vmid: &str,
    params: &Params,
) -> Result<Answer, Answer> {
    let acl = cluster.acl_of(token);
    acl.check(&format!("/vms/{vmid}"), "VM.Audit")?;
    cluster.reach(node)?;
    let vm = cluster.existing_vm(node, params.check_for(vmid, &[], &[])?);
    let vm = vm.map_err(|missing| failure(500, &missing))?;
    let mut status = vm.node_entry(cluster.requests);
    let ha = vm.ha.as_ref().map(Ha::status);
    status["ha"] = ha.unwrap_or_else(|| json!({"managed": 0}));
    status["qmpstatus"] = json!(if vm.is_paused { "paused" } else { &vm.status });
    if vm.config.contains_key("vga") {
        status["clipboard"] = json!(null);
    }
    if vm.runs_since().is_some() {
        let tap = format!("tap{}i0", vm.vmid);
        status["nics"] = json!({tap: {"netin": 0, "netout": 0}});
    }
    if is_agent_enabled(&vm.config) {
        status["agent"] = json!(1);
    }
    Ok(proxied(&status))
}
