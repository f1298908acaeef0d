//! Why there is no new VM, or none that is known to be whole, and what to do about it.

use std::collections::BTreeSet;
use std::path::PathBuf;

use snafu::Snafu;

use crate::api::types::{Guest, Upid, VmName, Vmid};
use crate::api::{self, Delivery};
use crate::claim::{self, Intent};
use crate::report::{Kind, Known, Report, Started, hint_for, kind_of};
use crate::stage::{GO_ON, Stage, Vm};
use crate::task;
use crate::template;

/// The words for people; [`Error::report`] adds those for scripts.
#[derive(Debug, Snafu)]
#[snafu(visibility(pub(super)))]
#[allow(missing_docs)]
pub enum Error {
    #[snafu(display("Timed out after {seconds} s; nothing was started"))]
    NothingStarted { seconds: f64, source: Box<Error> },

    #[snafu(display("cannot keep other runs from making the same VM"))]
    Claim { source: claim::Error },

    #[snafu(display("{} is making VM '{name}'", process(*holder)))]
    Claimed { name: VmName, holder: Option<u32> },

    #[snafu(display(
        "Timed out after {seconds} s; waiting for {}, which is making VM '{name}'",
        process(*holder)
    ))]
    StillClaimed {
        seconds: f64,
        name: VmName,
        holder: Option<u32>,
    },

    #[snafu(display(
        "an earlier run has begun to clone template {} to VM {} '{name}' on node '{}' and has not \
         seen its end; {asked} is something else",
        begun.template, begun.vmid, begun.node
    ))]
    BegunOtherwise {
        name: VmName,
        begun: Intent,
        asked: String,
    },

    #[snafu(display(
        "an earlier run has begun to make VM {} '{name}' at another server, {}, and has not seen its \
         end; {} has it",
        begun.vmid, begun.hosts.join(", "), path.display()
    ))]
    BegunElsewhere {
        name: VmName,
        begun: Intent,
        path: PathBuf,
    },

    #[snafu(display("cannot list the guests"))]
    ListGuests {
        #[snafu(source(from(api::Error, Box::new)))]
        source: Box<api::Error>,
    },

    #[snafu(display("{source}"))]
    NoTemplate { source: template::NotFound },

    #[snafu(display("cannot tell whether VM {vmid} is named '{name}'"))]
    LookAtVm {
        vmid: Vmid,
        name: VmName,
        #[snafu(source(from(api::Error, Box::new)))]
        source: Box<api::Error>,
    },

    #[snafu(display("{}", there_already(name, holders)))]
    AlreadyExists { name: VmName, holders: Vec<Guest> },

    #[snafu(display(
        "VM {} '{}' already exists on node '{}'", vm.vmid, vm.name, vm.node
    ))]
    Exists { vm: Vm },

    #[snafu(display("several VMs are named '{name}': {}", places(holders)))]
    Ambiguous { name: VmName, holders: Vec<Guest> },

    #[snafu(display("cannot tell whether there is a VM '{name}': {doubts}"))]
    NameMayBeTaken { name: VmName, doubts: String },

    #[snafu(display("VMID {vmid} is taken by {}", match guest {
        Some(guest) => guest.to_string(),
        None => "a guest that this token cannot see".to_owned(),
    }))]
    VmidTaken { vmid: Vmid, guest: Option<Guest> },

    #[snafu(display("cannot get a free VMID"))]
    AskForVmid {
        #[snafu(source(from(api::Error, Box::new)))]
        source: Box<api::Error>,
    },

    #[snafu(display("there is no free VMID left"))]
    NoFreeVmid,

    #[snafu(display(
        "cannot clone template {template} to VM {}{}", vm.vmid,
        if *undecided { ", which an earlier request may still make" } else { "" }
    ))]
    StartClone {
        template: Vmid,
        vm: Vm,
        undecided: bool,
        source: Box<api::Error>,
    },

    #[snafu(display("Task failed: {}", failure.words))]
    TaskFailed { vm: Vm, failure: Failure },

    #[snafu(display("do not know {}", match stage {
        Stage::Cloning(vm, _) => format!("how the clone to {vm} ends, it may still be running"),
        stage => format!("what becomes of it: {stage}"),
    }))]
    LostSight {
        stage: Stage,
        source: Box<api::Error>,
    },

    #[snafu(display(
        "Timed out after {seconds} s; {}", stage.as_seen_last(unseen.as_deref())
    ))]
    Timeout {
        seconds: f64,
        stage: Stage,
        unseen: Option<String>,
    },

    #[snafu(display(
        "Timed out after {seconds} s; cannot tell yet whose VM {} on node '{}' will be{}",
        vm.vmid, vm.node, match unseen {
            Some(why) => format!("; the last look failed: {why}"),
            None => String::new(),
        }
    ))]
    StillUnclear {
        seconds: f64,
        vm: Vm,
        unseen: Option<String>,
    },

    #[snafu(display("cannot see {vm}: somebody has that VMID, and the token needs VM.Audit"))]
    CannotSee { vm: Vm },

    #[snafu(display("cannot see {vm}, which an earlier run has made: the token needs VM.Audit"))]
    MadeUnseen { vm: Vm },

    #[snafu(display("{}{vm} {}", match failure {
        Some(failure) => format!("Task failed: {}; ", failure.words),
        None => String::new(),
    }, half_made(missing, failure.is_some())))]
    HalfMade {
        vm: Vm,
        missing: BTreeSet<String>,
        failure: Option<Failure>,
    },
}

/// How a task failed that could not clean up either.
#[derive(Debug)]
pub struct Failure {
    /// The task.
    pub upid: Upid,
    /// Its exit status.
    pub words: String,
    /// The last lines of its log.
    pub log: Vec<String>,
}

fn process(holder: Option<u32>) -> String {
    match holder {
        Some(process) => format!("process {process}"),
        None => "another process".to_owned(),
    }
}

/// `VM 101 'web-1' already exists on node 'pve1', locked (clone); another is 105 on node 'pve2'`
fn there_already(name: &VmName, holders: &[Guest]) -> String {
    let (vmid, node) = (holders[0].vmid, &holders[0].node);
    let lock = holders[0]
        .lock
        .iter()
        .map(|lock| format!(", locked ({lock})"));
    let others = holders[1..]
        .iter()
        .map(|other| format!("; another is {}", other.place()));
    let more: String = lock.chain(others).collect();
    format!("VM {vmid} '{name}' already exists on node '{node}'{more}")
}

fn places(guests: &[Guest]) -> String {
    let places: Vec<String> = guests.iter().map(Guest::place).collect();
    places.join(", ")
}

fn half_made(missing: &BTreeSet<String>, is_over: bool) -> String {
    if missing.is_empty() && is_over {
        return "was left half made, and locked".to_owned();
    }
    if missing.is_empty() {
        return "is locked by a clone that this token cannot see, or half made".to_owned();
    }
    let missing: Vec<&str> = missing.iter().map(String::as_str).collect();
    format!("lacks what its template has: {}", missing.join(", "))
}

impl Error {
    /// The failure for people and scripts.
    pub fn report(&self) -> Report {
        let (kind, hint) = self.kind_and_hint();
        Report {
            known: self.known(),
            log: match self {
                Error::TaskFailed { failure, .. }
                | Error::HalfMade {
                    failure: Some(failure),
                    ..
                } => failure.log.clone(),
                _ => Vec::new(),
            },
            ..Report::of(kind, self).with_hint(hint)
        }
    }

    /// Before the clone, and no server said no.
    pub fn is_without_answer(&self) -> bool {
        match self {
            Error::ListGuests { source }
            | Error::LookAtVm { source, .. }
            | Error::AskForVmid { source } => kind_of(source) == Kind::Unreachable,
            Error::NameMayBeTaken { .. } => true,
            Error::StartClone {
                undecided, source, ..
            } => !undecided && source.delivery() == Delivery::NotDelivered,
            _ => false,
        }
    }

    fn kind_and_hint(&self) -> (Kind, Option<String>) {
        let (kind, hint) = match self {
            Error::StartClone {
                undecided: true, ..
            } => (Kind::OutcomeUnknown, GO_ON.to_owned()),
            Error::ListGuests { source }
            | Error::LookAtVm { source, .. }
            | Error::AskForVmid { source }
            | Error::StartClone { source, .. } => return (kind_of(source), hint_for(source)),
            Error::NoFreeVmid => return (Kind::Failed, None),
            Error::NothingStarted { .. } => (
                Kind::Timeout,
                "there is nothing to clean up; run it again, with a longer --timeout if the server \
                 is slow or what is in the way takes long"
                    .to_owned(),
            ),
            Error::StillClaimed { .. } | Error::StillUnclear { .. } => {
                (Kind::Timeout, GO_ON.to_owned())
            }
            Error::Claim {
                source: claim::Error::Damaged { path, .. },
            } => (
                Kind::Failed,
                format!(
                    "see whether the VM is there ('homelab proxmox vm list'); once nothing is \
                     making it any more: rm {}",
                    path.display()
                ),
            ),
            Error::Claim { .. } => (
                Kind::Failed,
                "HOMELAB_STATE_DIR names a directory that this user can write to; without one, \
                 --vmid N says which VM is meant"
                    .to_owned(),
            ),
            Error::Claimed { .. } => (
                Kind::InProgress,
                "--ensure waits for its end, and then says what is there".to_owned(),
            ),
            Error::BegunOtherwise { name, begun, .. } => (
                Kind::InProgress,
                format!(
                    "see that one to its end first: homelab proxmox vm create {name} {} --ensure",
                    begun.template
                ),
            ),
            Error::BegunElsewhere { begun, path, .. } => (
                Kind::InProgress,
                format!(
                    "see it to its end there, with the same command, --host {} and --ensure; if that \
                     server is gone for good: rm {}",
                    begun.hosts.join(","),
                    path.display()
                ),
            ),
            Error::NoTemplate { source } => (Kind::TemplateNotFound, source.hint().to_owned()),
            Error::AlreadyExists { holders, .. } if holders[0].is_being_cloned() => (
                Kind::AlreadyExists,
                "a clone is making it, or has left it half made; --ensure waits for it".to_owned(),
            ),
            Error::AlreadyExists { .. } | Error::Exists { .. } => (
                Kind::AlreadyExists,
                "a new VM needs another name; --ensure is content with the one that is there, \
                 unless --vmid names another"
                    .to_owned(),
            ),
            Error::Ambiguous { .. } => (
                Kind::Ambiguous,
                "--vmid N says which of them is meant".to_owned(),
            ),
            Error::NameMayBeTaken { .. } => (
                Kind::Unreachable,
                "if you are sure that there is none, say which VMID the new one gets: --vmid N"
                    .to_owned(),
            ),
            Error::VmidTaken { .. } => (
                Kind::VmidTaken,
                "choose another VMID, or leave --vmid out to get a free one".to_owned(),
            ),
            Error::TaskFailed { failure, .. } => (
                Kind::TaskFailed,
                format!("for the whole log, {}", task::how_to_see(&failure.upid, "log")),
            ),
            Error::LostSight { stage, .. } => (Kind::OutcomeUnknown, stage.hint()),
            Error::Timeout { stage, .. } => (Kind::Timeout, stage.hint()),
            Error::CannotSee { vm } => (
                Kind::OutcomeUnknown,
                format!("give the token VM.Audit on /vms/{}; then {GO_ON}", vm.vmid),
            ),
            Error::MadeUnseen { vm } => (
                Kind::Forbidden,
                format!("give the token VM.Audit on /vms/{}; then {GO_ON}", vm.vmid),
            ),
            Error::HalfMade { vm, .. } => (Kind::HalfMade, how_to_remove(vm)),
        };
        (kind, Some(hint))
    }

    fn known(&self) -> Known {
        match self {
            Error::NothingStarted { source, .. } => source.known(),
            Error::AlreadyExists { holders, .. } | Error::Ambiguous { holders, .. } => {
                known_guest(&holders[0])
            }
            Error::VmidTaken { vmid, guest } => match guest {
                Some(guest) => known_guest(guest),
                None => Known {
                    vmid: Some(*vmid),
                    ..Known::default()
                },
            },
            Error::BegunOtherwise { begun, .. } | Error::BegunElsewhere { begun, .. } => Known {
                vmid: Some(begun.vmid),
                node: Some(begun.node.clone()),
                upid: None,
                started: Started::Unknown,
            },
            Error::StartClone { vm, undecided, .. } => Known {
                vmid: Some(vm.vmid),
                node: Some(vm.node.clone()),
                upid: None,
                started: if *undecided {
                    Started::Unknown
                } else {
                    Started::No
                },
            },
            Error::TaskFailed { vm, failure } => {
                Stage::Cloning(vm.clone(), failure.upid.clone()).known()
            }
            Error::LostSight { stage, .. } | Error::Timeout { stage, .. } => stage.known(),
            Error::CannotSee { vm } => Stage::Undecided(vm.clone()).known(),
            Error::Exists { vm } | Error::MadeUnseen { vm } | Error::StillUnclear { vm, .. } => {
                Known {
                    started: Started::No,
                    ..Stage::Made(vm.clone()).known()
                }
            }
            Error::HalfMade { vm, failure, .. } => Known {
                upid: failure.as_ref().map(|failure| failure.upid.clone()),
                started: Started::Yes,
                ..Stage::Undecided(vm.clone()).known()
            },
            Error::Claim { .. }
            | Error::Claimed { .. }
            | Error::StillClaimed { .. }
            | Error::ListGuests { .. }
            | Error::NoTemplate { .. }
            | Error::LookAtVm { .. }
            | Error::NameMayBeTaken { .. }
            | Error::AskForVmid { .. }
            | Error::NoFreeVmid => Known::default(),
        }
    }
}

fn known_guest(guest: &Guest) -> Known {
    Known {
        vmid: Some(guest.vmid),
        node: Some(guest.node.clone()),
        ..Known::default()
    }
}

/// Only root can, and nobody should while something still works on it.
fn how_to_remove(vm: &Vm) -> String {
    let Vm { vmid, node, .. } = vm;
    format!(
        "on node '{node}', 'pvenode task list --source active' shows who works on it; if nobody \
         does, as root there: qm unlock {vmid} && qm destroy {vmid}"
    )
}
