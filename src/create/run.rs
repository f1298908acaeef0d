//! What a run is asked for, what it works with, and what it has to show in the end.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;

use super::wanted::Wanted;
use crate::ledger::{self, Claim, Intent, Note};
use crate::pve::types::{CloneOptions, Guest, Node, TokenId, Upid, VmName, Vmid};
use crate::say::failure::{Kind, Report};
use crate::say::stage::{Stage, Step, Unfinished, Vm};
use crate::ui::progress::Progress;
use crate::wait::server::Server;

/// What the user asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// The name that the new VM gets.
    pub name: VmName,
    /// The template's name, or its VMID if no template has that name.
    pub template: String,
    /// The only VMID to take, if the user named one.
    pub vmid: Option<Vmid>,
    /// Whether a VM that is there already is what the user wants.
    pub ensure: bool,
    /// What kind of clone it is, and where it goes.
    pub options: CloneOptions,
    /// What is done for it once it is there.
    pub wanted: Wanted,
}

/// The VM that is there.
#[derive(Debug, PartialEq, Eq)]
pub struct Ready {
    /// Its VMID.
    pub vmid: Vmid,
    /// The node it is on.
    pub node: Node,
    /// Whether this run has made it, or seen to its end what an earlier one had begun.
    pub created: bool,
    /// The task that made it, where that is known.
    pub upid: Option<Upid>,
    /// Its address, where that was asked for.
    pub ip: Option<IpAddr>,
    /// What its tasks warned of.
    pub warnings: Vec<String>,
}

/// One command, and what there is to carry it out with.
pub struct Run<'a> {
    /// What was asked for.
    pub plan: Plan,
    /// The server, and the time there is.
    pub server: Server<'a>,
    /// How the configuration names the servers.
    pub hosts: Vec<String>,
    /// Where runs on this host leave word for each other.
    pub state: &'a Path,
    /// Who hears of it.
    pub progress: &'a dyn Progress,
}

impl Run<'_> {
    /// The VM that is asked for, at this place.
    pub fn vm(&self, vmid: Vmid, node: &Node) -> Vm {
        Vm {
            vmid,
            name: self.plan.name.clone(),
            node: node.clone(),
        }
    }

    /// The node on which a clone of a template ends up.
    pub fn node_for<'n>(&'n self, template: &'n Guest) -> &'n Node {
        let target = self.plan.options.target.as_ref();
        target.unwrap_or(&template.node)
    }

    /// What is certain of a VM that has just been made: it is done, or some step is next.
    pub fn stage_of(&self, vm: Vm, upid: Option<Upid>) -> Stage {
        match self.plan.wanted.first_step() {
            None => Stage::Made(vm),
            Some(step) => Stage::SettingUp(Unfinished {
                vm,
                created: true,
                upid,
                task: None,
                step,
            }),
        }
    }

    /// A VM that is there, with what is the next thing to do for it.
    pub fn unfinished(&self, ready: &Ready, step: Step) -> Unfinished {
        Unfinished {
            vm: self.vm(ready.vmid, &ready.node),
            created: ready.created,
            upid: ready.upid.clone(),
            task: None,
            step,
        }
    }

    /// Who asks for it.
    pub fn token(&self) -> TokenId {
        self.server.pve.token().clone()
    }

    /// Whether an intent speaks of a server that this run speaks to.
    pub fn is_of_this_cluster(&self, intent: &Intent) -> bool {
        self.is_here(&intent.hosts)
    }

    fn is_here(&self, hosts: &[String]) -> bool {
        hosts.iter().any(|host| self.hosts.contains(host))
    }

    /// What is noted about a VM, to be added to.
    pub fn noted(&self, claim: &Claim, vmid: Vmid) -> Note {
        let note = claim.note_of(vmid);
        let here = note.filter(|note| self.is_here(&note.hosts)).cloned();
        here.unwrap_or_else(|| Note {
            vmid,
            hosts: self.hosts.clone(),
            sizes: BTreeMap::new(),
            set: BTreeSet::new(),
        })
    }

    /// What cannot be written down any more changes nothing at the server, and is only told.
    pub fn remember(&self, written: Result<(), ledger::Error>) {
        if let Err(error) = written {
            let why = Report::of(Kind::Failed, &error).message;
            self.progress.warning(&why);
        }
    }
}
