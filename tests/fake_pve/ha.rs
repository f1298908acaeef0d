//! High availability: a start is only filed as a request, and executed later.

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

/// A start that the HA manager has not begun yet.
pub(super) struct Filed {
    vmid: u32,
    /// Started after this many requests in all.
    due: usize,
}

impl Cluster {
    pub(super) fn is_under_ha(&self, node: &str, vmid: u32) -> bool {
        self.vm(node, vmid).is_some_and(|vm| vm.ha.is_some())
    }

    /// The work of a task `hastart`.
    pub(super) fn file_start(&mut self, vmid: u32) -> Done {
        if let Some(ha) = self.guests.get_mut(&vmid).and_then(|vm| vm.ha.as_mut()) {
            ha.requested = HaState::Started;
        }
        if let Some(requests) = self.setup.ha_requests {
            let due = self.requests + requests;
            self.filed.push(Filed { vmid, due });
        }
        Done {
            log: vec![format!("Requesting HA start for VM {vmid}")],
            exit: "OK".to_owned(),
        }
    }

    /// The HA manager executes the requests that are due.
    pub(super) fn act_on_filed(&mut self) {
        let requests = self.requests;
        let is_due = |filed: &mut Filed| filed.due <= requests;
        let due: Vec<Filed> = self.filed.extract_if(.., is_due).collect();
        for Filed { vmid, .. } in due {
            let Some(node) = self.guests.get(&vmid).map(|vm| vm.node.clone()) else {
                continue;
            };
            let started = ends_well(&self.start(&node, vmid).exit);
            if let Some(ha) = self.guests.get_mut(&vmid).and_then(|vm| vm.ha.as_mut()) {
                ha.reported = Some(if started { "started" } else { "error" });
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
