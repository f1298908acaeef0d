//! What one command asks for, and what there is to carry it out with.

use std::path::Path;

use crate::ledger::{Intent, Mode};
use crate::pve::types::{CloneMode, CloneOptions, Guest, Node, Storage, VmName, Vmid};
use crate::say::stage::{Stage, Step, StepTask, Unfinished};
use crate::say::vm::{Existing, Vm};
use crate::settings::setup::Setup;
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
    /// Whether nodes that are offline are taken to have no VM of that name.
    pub ignore_offline: bool,
    /// What kind of clone it is, and where it goes.
    pub options: CloneOptions,
    /// What is done for it once it exists.
    pub setup: Setup,
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
            ignore_offline: false,
            options: CloneOptions::default(),
            setup: Setup::default(),
        }
    }

    /// How to clone, as the ledger has it.
    pub fn mode(&self) -> (Mode, Option<Storage>) {
        match &self.options.mode {
            CloneMode::Full { storage } => (Mode::Full, storage.clone()),
            CloneMode::Linked => (Mode::Linked, None),
        }
    }

    /// Where the clone goes: the option, what this order asks for, and what was asked for before.
    pub fn places(&self, begun: &Intent) -> [(&'static str, Option<String>, Option<String>); 3] {
        fn text<T: ToString>(it: Option<&T>) -> Option<String> {
            it.map(T::to_string)
        }

        let CloneOptions { pool, target, .. } = &self.options;
        let (_, storage) = self.mode();
        let storage = (text(storage.as_ref()), text(begun.storage.as_ref()));
        let pool = (text(pool.as_ref()), text(begun.pool.as_ref()));
        let node = (text(target.as_ref()), text(begun.target.as_ref()));
        let places = [("storage", storage), ("pool", pool), ("node", node)];
        places.map(|(what, (asked, begun))| (what, asked, begun))
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
}

impl Run<'_> {
    /// Reports what is done, and what is certain.
    pub fn progress(&self) -> &Progress {
        self.server.progress
    }

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
        let Setup {
            settings,
            resizes,
            start,
            ..
        } = &self.order.setup;
        let step = if !settings.is_empty() || !resizes.is_empty() {
            Step::Configure
        } else if *start {
            Step::Start
        } else {
            return Stage::Done(existing);
        };
        Stage::SettingUp(Unfinished {
            existing,
            step,
            task: StepTask::None,
        })
    }

    /// Whether the ledger speaks of a server that this run speaks to.
    pub fn is_of_this_cluster(&self, hosts: &[String]) -> bool {
        hosts.iter().any(|host| self.hosts.contains(host))
    }

    /// Where this order asks for another clone than the one that was begun, the template aside.
    pub fn differs_from(&self, begun: &Intent) -> Vec<String> {
        let mode = self.order.mode().0;
        let vmid = self.order.vmid.filter(|vmid| *vmid != begun.vmid);
        let mode = (mode != begun.mode).then(|| match mode {
            Mode::Full => "a full clone, not a linked one".to_owned(),
            Mode::Linked => "a linked clone, not a full one".to_owned(),
        });
        let places = self.order.places(begun).into_iter();
        let places = places.filter_map(|(what, asked, begun)| match (asked, begun) {
            (asked, begun) if asked == begun => None,
            (Some(asked), Some(begun)) => Some(format!("{what} '{asked}', not '{begun}'")),
            (Some(asked), None) => Some(format!("{what} '{asked}', where none was asked for")),
            (None, begun) => begun.map(|it| format!("no {what}, where '{it}' was asked for")),
        });
        let vmid = vmid.map(|vmid| format!("VMID {vmid}"));
        vmid.into_iter().chain(mode).chain(places).collect()
    }
}
