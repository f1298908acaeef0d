//! What one command requests, and the means to carry it out.

use std::cell::RefCell;
use std::path::Path;

use crate::ledger::{Intent, Mode};
use crate::pve::types::{CloneMode, CloneOptions, Guest, Node, Storage, VmName, Vmid};
use crate::say::stage::{Stage, Step, StepTask, Unfinished};
use crate::say::vm::{Existing, Vm};
use crate::settings::setup::Setup;
use crate::ui::progress::Progress;
use crate::wait::server::Server;

/// What the user requests.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CreateSpec {
    /// The name of the VM.
    pub name: VmName,
    /// The template's name, or its VMID if no template has that name.
    pub template: String,
    /// The VMID that the VM must have, if the user chose one.
    pub vmid: Option<Vmid>,
    /// Whether a VM of that name that already exists is a success.
    pub ensure: bool,
    /// Whether to assume that offline nodes have no VM of that name.
    pub ignore_offline: bool,
    /// The kind of clone, and where it goes.
    pub options: CloneOptions,
    /// The steps after the clone.
    pub setup: Setup,
}

impl CreateSpec {
    /// A full clone and nothing else.
    #[cfg(test)]
    pub fn of(name: &str, template: &str) -> CreateSpec {
        CreateSpec {
            name: name.parse().unwrap(),
            template: template.to_owned(),
            vmid: None,
            ensure: false,
            ignore_offline: false,
            options: CloneOptions::default(),
            setup: Setup::default(),
        }
    }

    /// How to clone, as the ledger records it.
    pub fn mode(&self) -> (Mode, Option<Storage>) {
        match &self.options.mode {
            CloneMode::Full { storage } => (Mode::Full, storage.clone()),
            CloneMode::Linked => (Mode::Linked, None),
        }
    }

    /// Where the clone goes: the option, its value in this request, and its value in an earlier intent.
    pub fn places(&self, intent: &Intent) -> [(&'static str, Option<String>, Option<String>); 3] {
        fn text<T: ToString>(it: Option<&T>) -> Option<String> {
            it.map(T::to_string)
        }

        let CloneOptions { pool, target, .. } = &self.options;
        let (_, storage) = self.mode();
        let storage = (text(storage.as_ref()), text(intent.storage.as_ref()));
        let pool = (text(pool.as_ref()), text(intent.pool.as_ref()));
        let node = (text(target.as_ref()), text(intent.target.as_ref()));
        let places = [("storage", storage), ("pool", pool), ("node", node)];
        places.map(|(what, (requested, recorded))| (what, requested, recorded))
    }
}

/// One run of the command.
pub struct Run<'a> {
    /// What was requested.
    pub spec: CreateSpec,
    /// The server, and the time limit.
    pub server: Server<'a>,
    /// The servers, as in the configuration.
    pub hosts: Vec<String>,
    /// The directory of the ledger.
    pub state: &'a Path,
    /// Whether to stop before the first change, of the server and of the ledger.
    pub preview_only: bool,
    /// The warnings that were printed.
    pub warnings: RefCell<Vec<String>>,
}

impl Run<'_> {
    /// Reports what the run does, and what is certain.
    pub fn progress(&self) -> &Progress {
        self.server.progress
    }

    /// Prints something that the user should know although the run continues.
    pub fn warn(&self, text: &str) {
        self.progress().warning(text);
        self.warnings.borrow_mut().push(text.to_owned());
    }

    /// The requested VM, with this VMID on this node.
    pub fn vm(&self, vmid: Vmid, node: &Node) -> Vm {
        Vm {
            vmid,
            name: self.spec.name.clone(),
            node: node.clone(),
        }
    }

    /// The node on which a clone of this template will be.
    pub fn node_for<'n>(&'n self, template: &'n Guest) -> &'n Node {
        let target = self.spec.options.target.as_ref();
        target.unwrap_or(&template.node)
    }

    /// The stage of a VM that has just been found or created: done, or before its first step.
    pub fn stage_of(&self, existing: Existing) -> Stage {
        let Setup {
            settings,
            resizes,
            start,
            ..
        } = &self.spec.setup;
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

    /// Whether these hosts of a ledger's record include one of this run.
    pub fn is_of_this_cluster(&self, hosts: &[String]) -> bool {
        hosts.iter().any(|host| self.hosts.contains(host))
    }

    /// How this request differs from the clone of an earlier intent, except for the template.
    pub fn differs_from(&self, intent: &Intent) -> Vec<String> {
        let mode = self.spec.mode().0;
        let vmid = self.spec.vmid.filter(|vmid| *vmid != intent.vmid);
        let mode = (mode != intent.mode).then(|| match mode {
            Mode::Full => "a full clone instead of a linked one".to_owned(),
            Mode::Linked => "a linked clone instead of a full one".to_owned(),
        });
        let places = self.spec.places(intent).into_iter();
        let places = places.filter_map(|(what, requested, recorded)| match (requested, recorded) {
            (requested, recorded) if requested == recorded => None,
            (Some(requested), Some(recorded)) => {
                Some(format!("{what} '{requested}' instead of '{recorded}'"))
            }
            (Some(requested), None) => Some(format!("{what} '{requested}' instead of none")),
            (None, recorded) => recorded.map(|it| format!("no {what} instead of '{it}'")),
        });
        let vmid = vmid.map(|vmid| format!("VMID {vmid}"));
        vmid.into_iter().chain(mode).chain(places).collect()
    }
}
