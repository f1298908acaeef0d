//! Why there is no new VM, or none that is known to be whole, and what to do about it.

use std::path::{Path, PathBuf};

use snafu::Snafu;

use super::sight::{Half, Unclear};
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

    #[snafu(display("cannot tell what earlier runs have begun"))]
    DamagedClaim { path: PathBuf, source: claim::Error },

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
         seen its end; this command asks for {asked}",
        begun.template, begun.vmid, begun.node
    ))]
    BegunOtherwise {
        name: VmName,
        begun: Intent,
        asked: String,
        path: PathBuf,
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
    AlreadyExists {
        name: VmName,
        holders: Vec<Guest>,
        ensure: bool,
    },

    #[snafu(display(
        "VM {} '{}' already exists on node '{}'", vm.vmid, vm.name, vm.node
    ))]
    Exists { vm: Vm, ensure: bool },

    #[snafu(display("several VMs are named '{name}': {}", places(holders)))]
    Ambiguous { name: VmName, holders: Vec<Guest> },

    #[snafu(display("cannot tell whether there is a VM '{name}': {doubts}"))]
    NameMayBeTaken { name: VmName, doubts: String },

    #[snafu(display("VMID {vmid} is taken by {}", match guest {
        Some(guest) => guest.to_string(),
        None => "a guest that this token cannot see".to_owned(),
    }))]
    VmidTaken { vmid: Vmid, guest: Option<Guest> },

    #[snafu(display("cannot tell whether template {vmid} is still there"))]
    LookForTemplate {
        vmid: Vmid,
        #[snafu(source(from(api::Error, Box::new)))]
        source: Box<api::Error>,
    },

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

    #[snafu(display(
        "Task failed: {}{}", failure.words,
        if *undecided { "; an earlier request may still make the VM" } else { "" }
    ))]
    TaskFailed {
        vm: Vm,
        undecided: bool,
        failure: Failure,
    },

    #[snafu(display("cannot clone template {template} to VM {}: {words}", vm.vmid))]
    Busy {
        template: Vmid,
        vm: Vm,
        words: String,
    },

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

    #[snafu(display("{}{}", match failure {
        Some(failure) => format!("Task failed: {}; ", failure.words),
        None => String::new(),
    }, half_made(vm, half, failure.is_some())))]
    HalfMade {
        vm: Vm,
        half: Half,
        /// Whether this run, or one before, has asked for that VM.
        is_ours: bool,
        failure: Option<Failure>,
        /// What the runs on this host have written down about it.
        claim: PathBuf,
    },

    #[snafu(display("an earlier run has asked for {vm}, which may or may not be in the making"))]
    NotSeenAgain { vm: Vm, source: Box<Error> },
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

fn half_made(vm: &Vm, half: &Half, is_over: bool) -> String {
    let Vm { vmid, node, .. } = vm;
    let unseen = "locked by a clone that this token cannot see, or half made";
    match half {
        Half::Locked if is_over => format!("{vm} was left half made, and locked"),
        Half::Locked => format!("{vm} is {unseen}"),
        Half::Nameless if is_over => {
            format!("VM {vmid} on node '{node}' was left half made, locked and without its name")
        }
        Half::Nameless => {
            format!("VM {vmid} on node '{node}' is {unseen}, and does not tell whose it is")
        }
        Half::Lacks(disks) => {
            let disks: Vec<&str> = disks.iter().map(String::as_str).collect();
            format!("{vm} lacks what its template has: {}", disks.join(", "))
        }
    }
}

/// A VM that could not be seen to be ours, another's or gone.
pub struct Unseen {
    /// It.
    pub vm: Vm,
    /// Whether this run, or one before, has asked for it.
    pub is_ours: bool,
    /// What the runs on this host have written down about it.
    pub claim: PathBuf,
    /// The whole budget.
    pub seconds: f64,
}

impl Unseen {
    /// Why not.
    pub fn because(self, unclear: Unclear) -> Error {
        let Unseen {
            vm,
            is_ours,
            claim,
            seconds,
        } = self;
        match unclear {
            Unclear::Half(half) => Error::HalfMade {
                vm,
                half,
                is_ours,
                failure: None,
                claim,
            },
            Unclear::BeingCloned(upid) => Error::Timeout {
                seconds,
                stage: Stage::Cloning(vm, upid),
                unseen: None,
            },
            Unclear::TimeIsUp(unseen) => {
                let unseen = unseen.map(|error| error.to_string());
                if is_ours {
                    let stage = Stage::Undecided(vm);
                    return Error::Timeout {
                        seconds,
                        stage,
                        unseen,
                    };
                }
                Error::StillUnclear {
                    seconds,
                    vm,
                    unseen,
                }
            }
            Unclear::Failed(source) if is_ours => Error::LostSight {
                stage: Stage::Undecided(vm),
                source: Box::new(source),
            },
            Unclear::Failed(source) => Error::LookAtVm {
                vmid: vm.vmid,
                name: vm.name,
                source: Box::new(source),
            },
        }
    }
}

impl Error {
    /// The failure for people and scripts.
    pub fn report(&self) -> Report {
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
            ..Report::of(self.kind(), self).with_hint(self.hint())
        }
    }

    /// Before the clone, and no server said no.
    pub fn is_without_answer(&self) -> bool {
        match self {
            Error::ListGuests { source }
            | Error::LookAtVm { source, .. }
            | Error::LookForTemplate { source, .. }
            | Error::AskForVmid { source } => kind_of(source) == Kind::Unreachable,
            Error::NameMayBeTaken { .. } => true,
            Error::StartClone {
                undecided, source, ..
            } => !undecided && source.delivery() == Delivery::NotDelivered,
            _ => false,
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Error::ListGuests { source }
            | Error::LookAtVm { source, .. }
            | Error::LookForTemplate { source, .. }
            | Error::AskForVmid { source }
            | Error::StartClone {
                undecided: false,
                source,
                ..
            } => kind_of(source),
            Error::NotSeenAgain { source, .. } => source.kind(),
            Error::NothingStarted { .. }
            | Error::StillClaimed { .. }
            | Error::StillUnclear { .. }
            | Error::Timeout { .. } => Kind::Timeout,
            Error::Claim { .. }
            | Error::DamagedClaim { .. }
            | Error::NoFreeVmid
            | Error::Busy { .. } => Kind::Failed,
            Error::Claimed { .. } | Error::BegunOtherwise { .. } | Error::BegunElsewhere { .. } => {
                Kind::InProgress
            }
            Error::NoTemplate { .. } => Kind::TemplateNotFound,
            Error::AlreadyExists { .. } | Error::Exists { .. } => Kind::AlreadyExists,
            Error::Ambiguous { .. } => Kind::Ambiguous,
            Error::NameMayBeTaken { .. } => Kind::Unreachable,
            Error::VmidTaken { .. } => Kind::VmidTaken,
            Error::TaskFailed { .. } => Kind::TaskFailed,
            Error::StartClone { .. } | Error::LostSight { .. } | Error::CannotSee { .. } => {
                Kind::OutcomeUnknown
            }
            Error::MadeUnseen { .. } => Kind::Forbidden,
            Error::HalfMade { .. } => Kind::HalfMade,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Error::ListGuests { source }
            | Error::LookAtVm { source, .. }
            | Error::LookForTemplate { source, .. }
            | Error::AskForVmid { source }
            | Error::StartClone {
                undecided: false,
                source,
                ..
            } => return hint_for(source),
            Error::NoFreeVmid | Error::Busy { .. } => return None,
            Error::StartClone { .. }
            | Error::NotSeenAgain { .. }
            | Error::StillClaimed { .. }
            | Error::StillUnclear { .. }
            | Error::TaskFailed {
                undecided: true, ..
            } => GO_ON,
            Error::NothingStarted { .. } => {
                "there is nothing to clean up; run it again, with a longer --timeout if the server \
                 is slow or what is in the way takes long"
            }
            Error::DamagedClaim { path, .. } => {
                return Some(format!(
                    "its good lines name the VMID and the task (UPID) that were begun last; once that \
                     is over: rm {}, then the same command with --ensure",
                    path.display()
                ));
            }
            Error::Claim { .. } => {
                "this user must be able to write there, or HOMELAB_STATE_DIR names another directory; \
                 without one, --vmid N says which VM is meant"
            }
            Error::Claimed { .. } => "--ensure waits for its end, and then says what is there",
            Error::BegunOtherwise { begun, path, .. } => {
                return Some(format!(
                    "see that one to its end first: the same command with template {}, --ensure and no \
                     --vmid; or, if nothing can be making it any more: rm {}",
                    begun.template,
                    path.display()
                ));
            }
            Error::BegunElsewhere { begun, path, .. } => {
                return Some(format!(
                    "see it to its end there, with the same command, --host {} and --ensure; if that \
                     server is gone for good: rm {}",
                    begun.hosts.join(","),
                    path.display()
                ));
            }
            Error::NoTemplate { source } => source.hint(),
            Error::AlreadyExists { holders, .. } if holders[0].is_being_cloned() => {
                "a clone is making it, or has left it half made; --ensure waits for it"
            }
            Error::AlreadyExists { ensure: true, .. } | Error::Exists { ensure: true, .. } => {
                "--vmid asks for another one; without it, or with the VMID of that VM, --ensure is \
                 content with what is there"
            }
            Error::AlreadyExists { .. } | Error::Exists { .. } => {
                "a new VM needs another name; --ensure is content with the one that is there"
            }
            Error::Ambiguous { .. } => "--vmid N says which of them is meant",
            Error::NameMayBeTaken { .. } => {
                "if you are sure that there is none, say which VMID the new one gets: --vmid N"
            }
            Error::VmidTaken { .. } => "choose another VMID, or leave --vmid out to get a free one",
            Error::TaskFailed { failure, .. } => return Some(task::whole_log(&failure.upid)),
            Error::LostSight { stage, .. } | Error::Timeout { stage, .. } => {
                return Some(stage.hint());
            }
            Error::CannotSee { vm } | Error::MadeUnseen { vm } => {
                let vmid = vm.vmid;
                return Some(format!(
                    "give the token VM.Audit on /vms/{vmid}; then {GO_ON}"
                ));
            }
            Error::HalfMade {
                vm, half, claim, ..
            } => return Some(how_to_settle(vm, half, claim)),
        };
        Some(hint.to_owned())
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
            Error::LookAtVm { vmid, .. } => Known {
                vmid: Some(*vmid),
                ..Known::default()
            },
            Error::BegunOtherwise { begun, .. } | Error::BegunElsewhere { begun, .. } => Known {
                vmid: Some(begun.vmid),
                node: Some(begun.node.clone()),
                upid: None,
                started: Started::Unknown,
            },
            Error::LostSight { stage, .. } | Error::Timeout { stage, .. } => stage.known(),
            Error::TaskFailed { vm, failure, .. } => {
                Stage::Cloning(vm.clone(), failure.upid.clone()).known()
            }
            Error::CannotSee { vm }
            | Error::NotSeenAgain { vm, .. }
            | Error::StartClone {
                vm,
                undecided: true,
                ..
            } => known_vm(vm, Started::Unknown),
            Error::StartClone { vm, .. }
            | Error::Busy { vm, .. }
            | Error::Exists { vm, .. }
            | Error::MadeUnseen { vm }
            | Error::StillUnclear { vm, .. } => known_vm(vm, Started::No),
            Error::HalfMade {
                vm,
                half,
                is_ours,
                failure,
                ..
            } => {
                let started = match (is_ours, half) {
                    _ if failure.is_some() => Started::Yes,
                    (true, Half::Locked | Half::Lacks(_)) => Started::Yes,
                    (false, Half::Nameless) => Started::No,
                    _ => Started::Unknown,
                };
                let upid = failure.as_ref().map(|failure| failure.upid.clone());
                Known {
                    upid,
                    ..known_vm(vm, started)
                }
            }
            Error::DamagedClaim { .. } | Error::Claimed { .. } | Error::StillClaimed { .. } => {
                Known {
                    started: Started::Unknown,
                    ..Known::default()
                }
            }
            Error::Claim { .. }
            | Error::ListGuests { .. }
            | Error::LookForTemplate { .. }
            | Error::NoTemplate { .. }
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

fn known_vm(vm: &Vm, started: Started) -> Known {
    Known {
        vmid: Some(vm.vmid),
        node: Some(vm.node.clone()),
        upid: None,
        started,
    }
}

/// Only root can remove it, and nobody should while something still works on it, or where it may be
/// whole.
fn how_to_settle(vm: &Vm, half: &Half, claim: &Path) -> String {
    let Vm { vmid, node, .. } = vm;
    match half {
        Half::Locked | Half::Nameless => format!(
            "on node '{node}', 'pvenode task list --source active' shows whether a clone (qmclone, under \
             its template's VMID) is at work; if none is, as root there: qm unlock {vmid} && qm \
             destroy {vmid}"
        ),
        Half::Lacks(_) if claim.as_os_str().is_empty() => {
            "it was changed since, or was left half made and unlocked: look at it; a new VM needs \
             another name"
                .to_owned()
        }
        Half::Lacks(_) => format!(
            "it was changed since, or was left half made and unlocked; to take it as it is: rm {}, \
             then the same command with --ensure",
            claim.display()
        ),
    }
}
