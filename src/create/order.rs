//! What one command asks for, and what there is to carry it out with.

use std::path::Path;

use crate::ledger::{Intent, Mode};
use crate::pve::types::{CloneMode, CloneOptions, Guest, Node, Storage, TokenId, VmName, Vmid};
use crate::say::stage::{Stage, Step, StepTask, Unfinished};
use crate::say::vm::{Existing, Vm};
use crate::settings::Settings;
use crate::settings::resize::Resize;
use crate::ui::progress::Progress;
use crate::wait::server::Server;

/// What the user asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Order {
    /// The name of the VM.
    pub name: VmName,
    /// The template's name, or its VMID if no template has that name.
    pub template: String,
    /// The only VMID to take, if the user named one.
    pub vmid: Option<Vmid>,
    /// Whether a VM that already exists is a success.
    pub ensure: bool,
    /// What kind of clone it is, and where it goes.
    pub options: CloneOptions,
    /// What its configuration shall say.
    pub settings: Settings,
    /// How large its disks shall be at least.
    pub resizes: Vec<Resize>,
    /// Whether it shall run.
    pub start: bool,
    /// Whether its address shall be known.
    pub address: bool,
}

impl Order {
    /// For a full clone and nothing else.
    #[cfg(test)]
    pub fn of(name: &str, template: &str) -> Order {
        Order {
            name: name.parse().unwrap(),
            template: template.to_owned(),
            vmid: None,
            ensure: false,
            options: CloneOptions::default(),
            settings: Settings::default(),
            resizes: Vec::new(),
            start: false,
            address: false,
        }
    }

    /// Whether a template or a VM may be unfit for it.
    pub fn may_not_fit(&self) -> bool {
        !self.settings.is_empty() || !self.resizes.is_empty() || self.address
    }

    /// What comes first once the VM exists, if there is anything to do.
    fn first_step(&self) -> Option<Step> {
        if !self.settings.is_empty() || !self.resizes.is_empty() {
            Some(Step::Configure)
        } else {
            self.start.then_some(Step::Start)
        }
    }

    /// How to clone, as the ledger has it.
    pub fn mode(&self) -> (Mode, Option<Storage>) {
        match &self.options.mode {
            CloneMode::Full { storage } => (Mode::Full, storage.clone()),
            CloneMode::Linked => (Mode::Linked, None),
        }
    }
}

/// One run of the command.
pub struct Run<'a> {
    /// What was asked for.
    pub order: Order,
    /// The server, and the time there is.
    pub server: Server<'a>,
    /// How the configuration names the servers.
    pub hosts: Vec<String>,
    /// The directory of the ledger.
    pub state: &'a Path,
    /// Reports what is done, and what is certain.
    pub progress: &'a Progress,
}

impl Run<'_> {
    /// The VM that is asked for, at this place.
    pub fn vm(&self, vmid: Vmid, node: &Node) -> Vm {
        Vm {
            vmid,
            name: self.order.name.clone(),
            node: node.clone(),
        }
    }

    /// The node on which a clone of a template ends up.
    pub fn node_for<'n>(&'n self, template: &'n Guest) -> &'n Node {
        let target = self.order.options.target.as_ref();
        target.unwrap_or(&template.node)
    }

    /// What is certain of a VM that has just been found or created: it is done, or some step is next.
    pub fn stage_of(&self, existing: Existing) -> Stage {
        match self.order.first_step() {
            None => Stage::Done(existing),
            Some(step) => Stage::SettingUp(Unfinished {
                existing,
                step,
                task: StepTask::None,
            }),
        }
    }

    /// Whose token it is that asks.
    pub fn token(&self) -> TokenId {
        self.server.pve.token().clone()
    }

    /// Whether the ledger speaks of a server that this run speaks to.
    pub fn is_of_this_cluster(&self, hosts: &[String]) -> bool {
        hosts.iter().any(|host| self.hosts.contains(host))
    }

    /// Where this order asks for another clone than the one that was begun, the template aside.
    pub fn differs_from(&self, begun: &Intent) -> Vec<String> {
        fn text<T: ToString>(it: Option<&T>) -> Option<String> {
            it.map(T::to_string)
        }

        let Order { vmid, options, .. } = &self.order;
        let (mode, storage) = self.order.mode();
        let vmid = vmid.filter(|vmid| *vmid != begun.vmid);
        let mode = (mode != begun.mode).then(|| match mode {
            Mode::Full => "a full clone, not a linked one".to_owned(),
            Mode::Linked => "a linked clone, not a full one".to_owned(),
        });
        let places = [
            (
                "storage",
                text(storage.as_ref()),
                text(begun.storage.as_ref()),
            ),
            (
                "pool",
                text(options.pool.as_ref()),
                text(begun.pool.as_ref()),
            ),
            (
                "node",
                text(options.target.as_ref()),
                text(begun.target.as_ref()),
            ),
        ];
        let places = places
            .into_iter()
            .filter_map(|(what, asked, begun)| match (asked, begun) {
                (asked, begun) if asked == begun => None,
                (Some(asked), Some(begun)) => Some(format!("{what} '{asked}', not '{begun}'")),
                (Some(asked), None) => Some(format!("{what} '{asked}', where none was asked for")),
                (None, begun) => begun.map(|it| format!("no {what}, where '{it}' was asked for")),
            });
        let vmid = vmid.map(|vmid| format!("VMID {vmid}"));
        vmid.into_iter().chain(mode).chain(places).collect()
    }
}
