//! `GET /nodes/{node}/qemu/{vmid}/agent/network-get-interfaces`.

use serde_json::json;

use super::cluster::Cluster;
use super::http::Answer;
use super::interfaces::{is_agent_enabled, usual_interfaces};
use super::params::Params;
use super::privileges::is_before_9;
use super::replies::{failure, proxied};

pub(super) fn interfaces(
    cluster: &mut Cluster,
    token: &str,
    node: &str,
    vmid: &str,
    params: &Params,
) -> Result<Answer, Answer> {
    let acl = cluster.acl_of(token);
    let enough: &[_] = if is_before_9(&cluster.setup.version) {
        &["VM.Monitor"]
    } else {
        &["VM.GuestAgent.Audit", "VM.GuestAgent.Unrestricted"]
    };
    acl.check_any(&format!("/vms/{vmid}"), enough)?;
    cluster.reach(node)?;
    let vmid = params.check_for(vmid, &[], &[])?;
    let vm = cluster.existing_vm(node, vmid);
    let vm = vm.map_err(|missing| failure(500, &missing))?;
    if !vm.config.contains_key("agent") {
        return Err(failure(500, "No QEMU guest agent configured"));
    }
    if vm.status != "running" {
        return Err(failure(500, &format!("VM {vmid} is not running")));
    }
    let poll = vm.agent_polls;
    let setup = &cluster.setup;
    let agent = setup.agents.get(&vmid).unwrap_or(&setup.agent);
    let answer = agent.answer(poll, || usual_interfaces(vmid, &vm.config));
    let answer = answer.filter(|_| is_agent_enabled(&vm.config) && !vm.is_paused);
    let delay = agent.delay();
    let vm = cluster.guests.get_mut(&vmid).expect("found before");
    vm.agent_polls += 1;
    match answer {
        Some(answer) => Ok(proxied(&json!({"result": answer})).after(delay)),
        None => Err(failure(500, "QEMU guest agent is not running").after(delay)),
    }
}
