//! Why there is no new VM, or none that is known to be whole, in words for people.

use std::path::PathBuf;

use snafu::Snafu;

use super::sight::{Half, Unclear};
use super::unfinished::Cause;
use super::wanted::Unfit;
use crate::guests::template;
use crate::ledger::{self, Intent};
use crate::pve;
use crate::pve::types::{Guest, TokenId, Upid, VmName, Vmid};
use crate::say::failure::chain;
use crate::say::stage::{Stage, Unfinished, Vm};

/// The words for people; `report.rs` adds what to do, and all of it for scripts.
#[derive(Debug, Snafu)]
#[snafu(visibility(pub(super)))]
#[allow(missing_docs)]
pub enum Error {
    #[snafu(display("Timed out after {seconds} s; nothing was started"))]
    NothingStarted { seconds: f64, source: Box<Error> },

    #[snafu(display("cannot keep other runs from making the same VM"))]
    Claim { source: ledger::Error },

    #[snafu(display("cannot tell what earlier runs have begun: {} is damaged", path.display()))]
    DamagedClaim {
        path: PathBuf,
        source: ledger::Unreadable,
    },

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
        #[snafu(source(from(pve::Error, Box::new)))]
        source: Box<pve::Error>,
    },

    #[snafu(display("{source}"))]
    NoTemplate { source: template::NotFound },

    #[snafu(display("cannot tell whether template {vmid} can become that"))]
    LookAtTemplate {
        vmid: Vmid,
        #[snafu(source(from(pve::Error, Box::new)))]
        source: Box<pve::Error>,
    },

    #[snafu(display("template {vmid} has gone a moment ago"))]
    TemplateGone { vmid: Vmid },

    #[snafu(display("{template} cannot become that"))]
    Unfit { template: Guest, source: Unfit },

    #[snafu(display("cannot tell whether VM {vmid} is named '{name}'"))]
    LookAtVm {
        vmid: Vmid,
        name: VmName,
        #[snafu(source(from(pve::Error, Box::new)))]
        source: Box<pve::Error>,
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
        #[snafu(source(from(pve::Error, Box::new)))]
        source: Box<pve::Error>,
    },

    #[snafu(display("cannot get a free VMID"))]
    AskForVmid {
        #[snafu(source(from(pve::Error, Box::new)))]
        source: Box<pve::Error>,
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
        source: Box<pve::Error>,
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
        source: Box<pve::Error>,
    },

    #[snafu(display("Timed out after {seconds} s; {}{}", stage.as_seen_last(unseen.as_ref()), match lost {
        Some(why) => format!("; the clone got no answer: {why}"),
        None => String::new(),
    }))]
    Timeout {
        seconds: f64,
        stage: Stage,
        /// How the last look failed, if it did.
        unseen: Option<Box<pve::Error>>,
        /// Why nobody knows what became of the request, where that is all that is known.
        lost: Option<Box<pve::Error>>,
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
        unseen: Option<Box<pve::Error>>,
    },

    #[snafu(display("cannot see {vm}: somebody has that VMID, and the token needs VM.Audit"))]
    CannotSee { vm: Vm, token: TokenId },

    #[snafu(display("cannot see {vm}, which an earlier run has made: the token needs VM.Audit"))]
    MadeUnseen { vm: Vm, token: TokenId },

    #[snafu(display(
        "{}an earlier run has made {vm}, which cannot be looked at{}",
        match seconds {
            Some(seconds) => format!("Timed out after {seconds} s; "),
            None => String::new(),
        },
        match unseen {
            Some(why) => format!(": {why}"),
            None => String::new(),
        }
    ))]
    MadeNotSeen {
        /// The whole budget, if it is used up.
        seconds: Option<f64>,
        vm: Vm,
        /// Whether that run was at its end.
        is_finished: bool,
        unseen: Option<Box<pve::Error>>,
    },

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

    #[snafu(display("{}, but {}", unfinished.what_is_there(), chain(&**cause)))]
    Unfinished {
        unfinished: Unfinished,
        cause: Box<Cause>,
    },

    #[snafu(display(
        "{}, but {}it is not clear what is left to do for it: {}",
        unfinished.what_is_there(),
        match seconds {
            Some(seconds) => format!("after {seconds} s "),
            None => String::new(),
        },
        chain(&**why)
    ))]
    NotClear {
        unfinished: Unfinished,
        /// The whole budget, if it is used up.
        seconds: Option<f64>,
        why: Box<Error>,
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
    /// Who is known to have asked for it.
    pub whose: Whose,
    /// What the runs on this host have written down about it.
    pub claim: PathBuf,
    /// The whole budget.
    pub seconds: f64,
    /// Why nobody knows what became of the request for it, if there was one without an answer.
    pub lost: Option<pve::Error>,
}

/// Who is known to have asked for a VM.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Whose {
    /// This run, or one before that has not seen what came of it.
    AskedFor,
    /// One before, which has seen it made.
    Made {
        /// And was at its end.
        is_finished: bool,
    },
    /// It may be anybody's.
    Anybodys,
}

impl Unseen {
    /// Why not.
    pub fn because(self, unclear: Unclear) -> Error {
        let Unseen {
            vm,
            whose,
            claim,
            seconds,
            lost,
        } = self;
        let made_not_seen = |vm, is_finished, seconds, unseen: Option<pve::Error>| {
            let unseen = unseen.map(Box::new);
            Error::MadeNotSeen {
                seconds,
                vm,
                is_finished,
                unseen,
            }
        };
        match (unclear, whose) {
            (Unclear::Half(half), _) => Error::HalfMade {
                vm,
                half,
                is_ours: whose == Whose::AskedFor,
                failure: None,
                claim,
            },
            (Unclear::BeingCloned(upid), _) => Error::Timeout {
                seconds,
                stage: Stage::Cloning(vm, upid),
                unseen: None,
                lost: None,
            },
            (Unclear::TimeIsUp(unseen), Whose::Made { is_finished }) => {
                made_not_seen(vm, is_finished, Some(seconds), unseen)
            }
            (Unclear::TimeIsUp(unseen), Whose::AskedFor) => Error::Timeout {
                seconds,
                stage: Stage::Undecided(vm),
                lost: lost.filter(|_| unseen.is_none()).map(Box::new),
                unseen: unseen.map(Box::new),
            },
            (Unclear::TimeIsUp(unseen), Whose::Anybodys) => Error::StillUnclear {
                seconds,
                vm,
                unseen: unseen.map(Box::new),
            },
            (Unclear::Failed(source), Whose::Made { is_finished }) => {
                made_not_seen(vm, is_finished, None, Some(source))
            }
            (Unclear::Failed(source), Whose::AskedFor) => Error::LostSight {
                stage: Stage::Undecided(vm),
                source: Box::new(source),
            },
            (Unclear::Failed(source), Whose::Anybodys) => Error::LookAtVm {
                vmid: vm.vmid,
                name: vm.name,
                source: Box::new(source),
            },
        }
    }
}
