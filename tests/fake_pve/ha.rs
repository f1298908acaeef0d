//! High availability: a start or stop is only filed as a request, and executed later.

use serde::Deserialize;
use serde_json::{Value, json};

use super::actions::Done;
use super::cluster::Cluster;
use super::processes::ends_well;

/// The state that is requested from the HA manager, and the state that it reports after its next check.
#[derive(Clone)]
pub(crate) struct Ha {
    requested: HaState,
    reported: Option<&'static str>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum HaState {
    Started,
    Stopped,
}

impl HaState {
    fn name(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Stopped => "stopped",
        }
    }
}

impl From<HaState> for Ha {
    fn from(requested: HaState) -> Self {
        Self {
            requested,
            reported: None,
        }
    }
}

impl Ha {
    /// The state in the row of the guest.
    pub(super) fn row(&self) -> Value {
        json!(self.reported.unwrap_or(self.requested.name()))
    }

    /// The state in the status of the guest.
    pub(super) fn status(&self) -> Value {
        json!({"managed": 1, "state": self.reported})
    }
}

/// A request that the HA manager has not executed yet.
pub(super) struct Filed {
    vmid: u32,
    state: HaState,
    /// Who requested it.
    owner: String,
    /// Executed after this many requests in all.
    due: usize,
}

impl Cluster {
    pub(super) fn is_under_ha(&self, node: &str, vmid: u32) -> bool {
        self.vm(node, vmid).is_some_and(|vm| vm.ha.is_some())
    }

    /// The work of a task `hastart`.
    pub(super) fn file_start(&mut self, owner: &str, vmid: u32) -> Done {
        self.file(owner, vmid, HaState::Started);
        Done {
            log: vec![format!("Requesting HA start for VM {vmid}")],
            exit: "OK".to_owned(),
        }
    }

    /// The work of a task `hastop`.
    pub(super) fn file_stop(&mut self, owner: &str, vmid: u32, timeout: usize) -> Done {
        let log = vec![format!("Requesting HA stop for VM {vmid}")];
        if !self.has_quorum() {
            let command = format!("ha-manager crm-command stop vm:{vmid} {timeout}");
            let exit = format!("command '{command}' failed: exit code 255");
            return Done { log, exit };
        }
        self.file(owner, vmid, HaState::Stopped);
        let exit = "OK".to_owned();
        Done { log, exit }
    }

    fn file(&mut self, owner: &str, vmid: u32, state: HaState) {
        if let Some(ha) = self.guests.get_mut(&vmid).and_then(|vm| vm.ha.as_mut()) {
            ha.requested = state;
        }
        if let Some(requests) = self.setup.ha_requests {
            self.filed.push(Filed {
                vmid,
                state,
                owner: owner.to_owned(),
                due: self.requests + requests,
            });
        }
    }

    /// The HA manager executes the requests that are due.
    pub(super) fn act_on_filed(&mut self) {
        let requests = self.requests;
        let is_due = |filed: &mut Filed| filed.due <= requests;
        let due: Vec<Filed> = self.filed.extract_if(.., is_due).collect();
        for filed in due {
            let Filed { vmid, owner, .. } = filed;
            let Some(node) = self.guests.get(&vmid).map(|vm| vm.node.clone()) else {
                continue;
            };
            let reported = match filed.state {
                HaState::Started if ends_well(&self.start(&owner, &node, vmid).exit) => "started",
                HaState::Started => "error",
                HaState::Stopped => {
                    self.power_off(&owner, vmid);
                    "stopped"
                }
            };
            if let Some(ha) = self.guests.get_mut(&vmid).and_then(|vm| vm.ha.as_mut()) {
                ha.reported = Some(reported);
            }
        }
    }

    pub(super) fn finish_filed(&mut self) {
        for filed in &mut self.filed {
            filed.due = 0;
        }
        self.act_on_filed();
    }
}
