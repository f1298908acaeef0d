//! `…/status/start` and `…/status/current`.

use serde_json::json;

use super::actions::{Done, Work};
use super::cluster::Cluster;
use super::drives::Drive;
use super::ha::Ha;
use super::http::Answer;
use super::interfaces::is_agent_enabled;
use super::params::Params;
use super::processes::{ends_well, was_killed};
use super::replies::{failure, proxied};
use super::setup::Refresh;
use super::values::Kind;

/// Always starts a task, even for a VM that does not exist.
pub(super) fn start(
    cluster: &mut Cluster,
    token: &str,
    node: &str,
    vmid: &str,
    params: &Params,
) -> Result<Answer, Answer> {
    let acl = cluster.acl_of(token);
    acl.check(&format!("/vms/{vmid}"), "VM.PowerMgmt")?;
    cluster.reach(node)?;
    let known = [
        ("skiplock", Kind::Boolean),
        ("timeout", Kind::Integer(0, i64::MAX)),
        ("machine", Kind::Text),
        ("force-cpu", Kind::Text),
    ];
    let vmid = params.check_for(vmid, &[], &known)?;
    params.leave_to_root("skiplock")?;
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
    let mut status = vm.node_entry();
    let ha = vm.ha.as_ref().map(Ha::status);
    status["ha"] = ha.unwrap_or_else(|| json!({"managed": 0}));
    status["qmpstatus"] = json!(vm.status);
    if vm.config.contains_key("vga") {
        status["clipboard"] = json!(null);
    }
    if let Some(started) = vm.runs_since() {
        status["uptime"] = json!(cluster.requests - started);
        let tap = format!("tap{}i0", vm.vmid);
        status["nics"] = json!({tap: {"netin": 0, "netout": 0}});
    }
    if is_agent_enabled(&vm.config) {
        status["agent"] = json!(1);
    }
    Ok(proxied(&status))
}

impl Cluster {
    pub(super) fn start(&mut self, node: &str, vmid: u32) -> Done {
        if self.is_in_a_backup(node, vmid) {
            // It is running for the backup, and is resumed.
            return Done {
                log: Vec::new(),
                exit: "OK".to_owned(),
            };
        }
        if let Err(exit) = self.check_start(node, vmid) {
            return Done::failed(exit);
        }
        let exit = self.setup.start_exit.next();
        let (dies, rows) = (self.setup.dies_after_start, self.setup.rows);
        let vm = self.guests.get_mut(&vmid).expect("found a moment before");
        let drives = vm.config.values().filter_map(|value| value.as_str());
        let has_cloudinit = drives.map(Drive::parse).any(|drive| drive.is_cloudinit());
        let log = has_cloudinit.then(|| "generating cloud-init ISO".to_owned());
        if ends_well(&exit) && !dies {
            "running".clone_into(&mut vm.status);
            vm.started = Some(self.requests);
            vm.agent_polls = 0;
            if matches!(rows, Refresh::AtOnce) {
                vm.refresh_row();
            }
        }
        let log = log.into_iter().filter(|_| !was_killed(&exit)).collect();
        Done { log, exit }
    }

    fn is_in_a_backup(&self, node: &str, vmid: u32) -> bool {
        let vm = self.vm(node, vmid);
        vm.is_some_and(|vm| vm.status == "running" && vm.lock() == Some("backup"))
    }

    fn check_start(&self, node: &str, vmid: u32) -> Result<(), String> {
        let vm = self.existing_vm(node, vmid)?;
        if vm.is_template() {
            return Err("you can't start a vm if it's a template".to_owned());
        }
        self.unlocked_vm(node, vmid, None)?;
        if vm.status == "running" {
            return Err(format!("VM {vmid} already running"));
        }
        let known = &self.setup.bridges;
        let mut bridges = vm.bridges();
        match bridges.find(|bridge| !known.iter().any(|known| known == bridge)) {
            Some(bridge) => Err(format!("bridge '{bridge}' does not exist")),
            None => Ok(()),
        }
    }
}
