//! The work of stop, shutdown and reboot, and what happens after their tasks have ended: a guest that goes
//! down late, and the start that completes a reboot.

use serde::Deserialize;
use serde_json::Value;

use super::actions::{Done, Work};
use super::cluster::Cluster;
use super::deeds::Did;
use super::guests::Guest;
use super::interfaces::is_agent_enabled;
use super::setup::Refresh;
use super::watcher::Stamp;

/// How a guest reacts to a shutdown.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Reaction {
    /// It goes down at once.
    #[default]
    Prompt,
    Never,
    /// It goes down this many requests after the shutdown has failed.
    Late(usize),
}

/// What happens to a VM later: it goes down, or starts again.
pub(super) struct Later {
    /// After this many requests in all.
    due: usize,
    stamp: Stamp,
    /// The request count at which its process was started; one that is off has none.
    process: Option<usize>,
    owner: String,
}

/// Owns the task of the start after a reboot, without a token.
const ROOT: &str = "root@pam";

impl Cluster {
    pub(super) fn stop(
        &mut self,
        owner: &str,
        node: &str,
        vmid: u32,
        overruled: &[String],
    ) -> Done {
        let mut done = Done::ok();
        if let Err(exit) = self.check_stop(node, vmid) {
            done.exit = exit;
        } else {
            self.power_off(owner, vmid);
        }
        if !overruled.is_empty() {
            let line = format!("overruled qmshutdown tasks: {}", overruled.join(", "));
            done.log.insert(0, line);
        }
        done
    }

    /// Ends the shutdowns of this VM that the token may end, and returns their UPIDs.
    pub(super) fn overrule_shutdowns(&mut self, token: &str, node: &str, vmid: u32) -> Vec<String> {
        let acl = self.acl_of(token);
        let may_end_all = acl.grants(&format!("/nodes/{node}"), "Sys.Modify");
        let mut overruled = Vec::new();
        for number in 0..self.actions.len() {
            let action = &self.actions[number];
            let process = &action.process;
            let is_it = process.kind == "qmshutdown" && action.vmid == vmid;
            if is_it && action.exit.is_none() && (may_end_all || process.owner == token) {
                overruled.push(action.upid.clone());
                self.interrupt_action(number, "received interrupt");
            }
        }
        overruled
    }

    pub(super) fn shut_down(&mut self, owner: &str, node: &str, vmid: u32, force: bool) -> Done {
        if let Err(exit) = self.check_stop(node, vmid) {
            return Done::failed(exit);
        }
        let is_deaf = self.is_deaf(node, vmid);
        if is_deaf && !force {
            return self.fail_to_shut_down(owner, vmid);
        }
        self.power_off(owner, vmid);
        let mut done = Done::ok();
        if is_deaf {
            let forced = "VM still running - terminating now with SIGTERM";
            done.log.push(forced.to_owned());
        }
        done
    }

    /// Ends when the VM is off. With quorum, another task starts it again some requests later.
    pub(super) fn reboot(&mut self, owner: &str, node: &str, vmid: u32) -> Done {
        if let Err(exit) = self.check_stop(node, vmid) {
            return Done::failed(exit);
        }
        if self.is_deaf(node, vmid) {
            return self.fail_to_shut_down(owner, vmid);
        }
        let vm = &self.guests[&vmid];
        // Quorum counts when it is started again; a node that is cut off has none then either.
        if vm.runs_since().is_some() && !self.here.is_cut_off {
            self.later.push(Later {
                due: self.requests + self.setup.reboot_requests,
                stamp: vm.stamp(),
                process: None,
                owner: ROOT.to_owned(),
            });
        }
        self.power_off(owner, vmid);
        Done::ok()
    }

    /// The guest was asked to go down, and nobody takes that back.
    pub(super) fn go_down_later(&mut self, owner: &str, vmid: u32) {
        let Some(vm) = self.guests.get(&vmid) else {
            return;
        };
        let requests = match vm.reaction {
            Reaction::Prompt => 1,
            Reaction::Late(requests) => requests,
            Reaction::Never => return,
        };
        if vm.runs_since().is_some() {
            self.later.push(Later {
                due: self.requests + requests,
                stamp: vm.stamp(),
                process: vm.runs_since(),
                owner: owner.to_owned(),
            });
        }
    }

    fn fail_to_shut_down(&mut self, owner: &str, vmid: u32) -> Done {
        self.go_down_later(owner, vmid);
        let silent = self.silent_agent_line(vmid);
        let is_asked = is_agent_enabled(&self.guests[&vmid].config);
        // An agent that has taken the command is waited for in another way.
        let exit = if is_asked && silent.is_none() {
            "VM quit/powerdown failed"
        } else {
            "VM quit/powerdown failed - got timeout"
        };
        Done {
            log: silent.into_iter().collect(),
            exit: exit.to_owned(),
        }
    }

    /// The log line about an agent that is enabled and does not answer.
    pub(super) fn silent_agent_line(&self, vmid: u32) -> Option<String> {
        let vm = self.guests.get(&vmid)?;
        let agent = self.setup.agents.get(&vmid).unwrap_or(&self.setup.agent);
        let answers = agent.answer(vm.agent_polls, || Value::Null).is_some();
        let is_silent = is_agent_enabled(&vm.config) && vm.runs_since().is_some() && !answers;
        let command = "qga command 'guest-ping' failed - got timeout";
        is_silent.then(|| format!("QEMU Guest Agent is not running - VM {vmid} {command}"))
    }

    /// Whether the VM is running and does not react to a shutdown in time.
    pub(super) fn is_deaf(&self, node: &str, vmid: u32) -> bool {
        let vm = self.vm(node, vmid);
        vm.is_some_and(|vm| {
            let reacts = matches!(vm.reaction, Reaction::Prompt) || vm.is_paused;
            vm.status == "running" && vm.lock().is_none() && !reacts
        })
    }

    /// The lock in the configuration of a VM that is off does not matter.
    fn check_stop(&self, node: &str, vmid: u32) -> Result<(), String> {
        match self.vm(node, vmid) {
            None => {
                let missing = "unable to find configuration file for VM";
                Err(format!("{missing} {vmid} on node '{node}'"))
            }
            Some(vm) if vm.status == "running" => {
                self.unlocked_vm(node, vmid, None)?;
                Ok(())
            }
            Some(_) => Ok(()),
        }
    }

    pub(super) fn power_off(&mut self, owner: &str, vmid: u32) {
        let at_once = matches!(self.setup.rows, Refresh::AtOnce);
        let vm = self.guests.get_mut(&vmid).expect("found a moment before");
        if vm.status != "running" {
            return;
        }
        vm.turn_off();
        if at_once {
            vm.refresh_row();
        }
        self.record(owner, vmid, Did::Stop);
    }

    /// Guests go down late, and VMs that were rebooted are started again.
    pub(super) fn act_on_later(&mut self) {
        let requests = self.requests;
        // The start after a reboot advances by itself, because nobody else can poll it.
        for number in 0..self.actions.len() {
            if self.actions[number].is_of(ROOT) {
                self.poll_action(number);
            }
        }
        let due: Vec<Later> = self
            .later
            .extract_if(.., |later| later.due <= requests)
            .collect();
        for later in due {
            let (vmid, _) = later.stamp;
            let Some(vm) = self.guests.get(&vmid) else {
                continue;
            };
            if vm.stamp() != later.stamp || vm.runs_since() != later.process {
                continue;
            }
            let node = vm.node.clone();
            if later.process.is_some() {
                self.power_off(&later.owner, vmid);
            } else if !self.setup.no_quorum {
                self.begin_action(&later.owner, &node, vmid, Work::Start);
            }
        }
    }

    pub(super) fn finish_later(&mut self) {
        for later in &mut self.later {
            later.due = 0;
        }
        self.act_on_later();
    }
}
