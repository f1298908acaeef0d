//! What one command requests, and the means to carry it out.

use std::cell::RefCell;
use std::path::Path;

use super::import::ImageSpec;
use crate::ledger::{Intent, Mode, Source};
use crate::pve::types::{CloneMode, CloneOptions, Guest, Node, Pool, Storage, VmName, Vmid};
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
    /// What it is created from.
    pub method: Method,
    /// The VMID that the VM must have, if the user chose one.
    pub vmid: Option<Vmid>,
    /// Whether a VM of that name that already exists is a success.
    pub ensure: bool,
    /// Whether to assume that offline nodes have no VM of that name.
    pub ignore_offline: bool,
    /// The steps after the VM exists.
    pub setup: Setup,
}

/// How a VM is created, and what it becomes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Method {
    /// It is cloned from a template.
    Clone {
        /// The template's name, or its VMID if no template has that name.
        template: String,
        /// The kind of clone, and where it goes.
        options: CloneOptions,
    },
    /// Its disk is imported from an image, and then it becomes a template.
    Import(Box<ImageSpec>),
}

impl CreateSpec {
    /// A full clone and nothing else.
    #[cfg(test)]
    pub fn of(name: &str, template: &str) -> CreateSpec {
        CreateSpec {
            name: name.parse().unwrap(),
            method: Method::Clone {
                template: template.to_owned(),
                options: CloneOptions::default(),
            },
            vmid: None,
            ensure: false,
            ignore_offline: false,
            setup: Setup::default(),
        }
    }

    /// What the user calls it: a VM or a template.
    pub fn noun(&self) -> &'static str {
        match self.method {
            Method::Clone { .. } => "VM",
            Method::Import(_) => "template",
        }
    }

    /// What the request for the VM is called.
    pub fn request_noun(&self) -> &'static str {
        match self.method {
            Method::Clone { .. } => "clone",
            Method::Import(_) => "import",
        }
    }

    /// The image from which a template is created.
    pub fn image(&self) -> Option<&ImageSpec> {
        match &self.method {
            Method::Clone { .. } => None,
            Method::Import(image) => Some(image),
        }
    }

    /// How to clone; `None` for an import.
    pub fn mode(&self) -> Option<Mode> {
        match &self.method {
            Method::Clone { options, .. } => Some(Mode::of(options)),
            Method::Import(_) => None,
        }
    }

    /// The storage for the disks, if one is requested.
    pub fn storage(&self) -> Option<&Storage> {
        match &self.method {
            Method::Clone { options, .. } => match &options.mode {
                CloneMode::Full { storage } => storage.as_ref(),
                CloneMode::Linked => None,
            },
            Method::Import(image) => image.storage.as_ref(),
        }
    }

    /// The pool of the clone, if one is requested.
    pub fn pool(&self) -> Option<&Pool> {
        match &self.method {
            Method::Clone { options, .. } => options.pool.as_ref(),
            Method::Import(_) => None,
        }
    }

    /// The node, if one is requested.
    pub fn target(&self) -> Option<&Node> {
        match &self.method {
            Method::Clone { options, .. } => options.target.as_ref(),
            Method::Import(image) => image.node.as_ref(),
        }
    }

    /// Where the VM goes: the option, its value in this request, and its value in an earlier intent.
    pub fn places(&self, intent: &Intent) -> [(&'static str, Option<String>, Option<String>); 4] {
        fn text<T: ToString>(it: Option<&T>) -> Option<String> {
            it.map(T::to_string)
        }

        let (recorded_pool, recorded_image_storage) = match &intent.source {
            Source::Template(from) => (from.pool.as_ref(), None),
            Source::Image(from) => (None, Some(&from.volume.storage)),
        };
        let image_storage = self.image().and_then(|image| image.image_storage.as_ref());
        // Without the option, any storage will do.
        let recorded_image_storage = recorded_image_storage.filter(|_| image_storage.is_some());
        [
            (
                "storage",
                text(self.storage()),
                text(intent.storage.as_ref()),
            ),
            (
                "image-storage",
                text(image_storage),
                text(recorded_image_storage),
            ),
            ("pool", text(self.pool()), text(recorded_pool)),
            ("node", text(self.target()), text(intent.target.as_ref())),
        ]
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

    /// What messages call this VM once it exists: `VM 101 'web-1' on node 'pve1'`, or a template.
    pub fn called(&self, vm: &Vm) -> String {
        let Vm { vmid, name, node } = vm;
        format!("{} {vmid} '{name}' on node '{node}'", self.spec.noun())
    }

    /// The node on which a clone of this template will be.
    pub fn node_for<'n>(&'n self, template: &'n Guest) -> &'n Node {
        self.spec.target().unwrap_or(&template.node)
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
        } else if self.spec.image().is_some() {
            Step::Convert
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

    /// How this request differs from an earlier intent, except for the template of a clone.
    pub fn differs_from(&self, intent: &Intent) -> Vec<String> {
        let vmid = self.spec.vmid.filter(|vmid| *vmid != intent.vmid);
        let vmid = vmid.map(|vmid| format!("VMID {vmid}"));
        let source = match (&self.spec.method, &intent.source) {
            (Method::Clone { .. }, Source::Template(from)) => {
                let mode = self.spec.mode().filter(|mode| *mode != from.mode);
                mode.map(|mode| match mode {
                    Mode::Full => "a full clone instead of a linked one".to_owned(),
                    Mode::Linked => "a linked clone instead of a full one".to_owned(),
                })
            }
            (Method::Import(image), Source::Image(from)) => {
                (!image.is_from(from)).then(|| format!("image {}", image.source))
            }
            (Method::Clone { template, .. }, Source::Image(_)) => {
                Some(format!("a clone of template '{template}'"))
            }
            (Method::Import(image), Source::Template(_)) => {
                Some(format!("a template from image {}", image.source))
            }
        };
        let places = self.spec.places(intent).into_iter();
        let places = places.filter_map(|(what, requested, recorded)| match (requested, recorded) {
            (requested, recorded) if requested == recorded => None,
            (Some(requested), Some(recorded)) => {
                Some(format!("{what} '{requested}' instead of '{recorded}'"))
            }
            (Some(requested), None) => Some(format!("{what} '{requested}' instead of none")),
            (None, recorded) => recorded.map(|it| format!("no {what} instead of '{it}'")),
        });
        vmid.into_iter().chain(source).chain(places).collect()
    }
}
