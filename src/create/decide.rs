//! The decision table: the action of one turn, given the request, the ledger's record and the observed state.
//! It is a pure function. A new run, a run after `kill -9`, a lost answer and a lost race are rows of it.

use super::failure::Failed;
use crate::ledger::{Intent, Record};
use crate::pve;
use crate::pve::types::Vmid;

/// What the user permits about VMs that exist.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Policy {
    /// `--ensure`: an existing VM of that name is a success.
    pub ensure: bool,
    /// `--vmid`: the VM must have this VMID.
    pub vmid: Option<Vmid>,
}

/// The observed state. The VMID in question is the record's; without a record, the VMID of the only VM of
/// that name, or else `--vmid`.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "independent facts")]
pub struct Observed<'a> {
    /// Whether the request differs from the recorded one.
    pub requests_other: bool,
    /// The outcome of the last request.
    pub outcome: &'a RequestOutcome,
    /// Whether some request for the clone got no usable answer and may still be carried out, whatever the
    /// outcome of later requests.
    pub undecided: bool,
    /// Whether the worker of the import has died.
    pub has_died: bool,
    /// Which guest has the VMID in question.
    pub owner: Owner,
    /// For how long the owner has been the same.
    pub age: Age,
    /// Whether this token can see a running clone that may become the VM at that VMID.
    pub task_runs: bool,
    /// Whether other VMs have the name.
    pub namesake: Namesake,
}

/// The outcome of the last request for the clone, with what a failure reports about it.
#[derive(Debug, Default)]
pub enum RequestOutcome {
    /// Unknown: it got no usable answer, or an earlier run sent it.
    #[default]
    Unknown,
    /// It was not carried out and is to be repeated.
    Due,
    /// Its task has succeeded.
    Done,
    /// It was refused, or its task has failed, because the VMID is taken. The server's message.
    Taken(String),
    /// Its task has failed because of a volume that an earlier guest with the VMID has left. The task's exit
    /// status. As long as that volume exists, every request for the VMID fails.
    LeftOver(String),
    /// It was refused, or its task has failed, for a temporary reason. The server's message.
    Temporary(String),
    /// The host had no quorum. The next host is asked from now on, and may know more guests.
    NoQuorum,
    /// It was refused permanently.
    Refused(Box<pve::Error>),
    /// Its task has failed permanently.
    Failed(Failed),
}

/// Which guest has a VMID.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Owner {
    /// Not checked, because it does not matter.
    NotChecked,
    /// No guest.
    Free,
    /// A complete VM with the name that is what was requested, as [`Expected`](crate::guests::owner::Expected)
    /// tells, no matter who created it.
    Ours,
    /// Another guest.
    Another,
    /// A VM that is locked by a clone or an import, with or without our name.
    BeingCreated,
    /// A VM with our name that is not locked by a clone, but lacks disks of the template.
    Incomplete,
    /// A guest that this token may not see.
    Hidden,
    /// The check has failed.
    Unknown,
}

/// For how long the owner of a VMID has been the same.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Age {
    /// Less than the settling time.
    New,
    /// At least 5 intervals (10 s by default): a VM that was created should be visible by then.
    Settled,
    /// At least 15 intervals (30 s by default): a daemon has restarted by then.
    PastRestart,
}

/// Which VMs have the name, apart from the one with the VMID of a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Namesake {
    /// Not checked, because it does not matter.
    #[default]
    NotChecked,
    /// None is visible, and nothing can hide one.
    None,
    /// None is visible. An offline node may have one, which the user accepts.
    MayBeOffline,
    /// None is visible, but a node or a row that cannot be read may hide one.
    MayBeHidden,
    /// One, which is the VM in question.
    One,
    /// Several with which `--ensure` could succeed.
    Several,
    /// Only VMs with other VMIDs than the one in question.
    Elsewhere,
}

/// What to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// Request a VM with `--vmid` or a free VMID.
    Request,
    /// Repeat the request for the VM of the record. It cannot create a second VM.
    RequestAgain(Intent),
    /// Observe again after a pause.
    Wait(Pause),
    /// The VM exists: continue with the steps.
    UseVm,
    /// Give up the VMID of the record, which has no VM of ours, and decide again.
    Forget(Vmid),
    /// End with an error.
    Stop(StopReason),
}

/// How long to pause before the next turn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pause {
    /// One interval.
    Interval,
    /// Longer each time, because something is locked. Then the request is repeated.
    BackOff,
}

/// Why there will be no VM.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StopReason {
    /// A VM of that name exists.
    Exists,
    /// Several exist, and `--ensure` could succeed with each.
    Ambiguous,
    /// It is unknown whether one exists.
    NameMayBeTaken,
    /// The VMID of `--vmid` belongs to another guest.
    VmidTaken(Vmid),
    /// An earlier run has requested another VM, which is not finished.
    OtherRequest(Intent),
    /// The server has refused the request, or its task has failed.
    CreationFailed(Intent),
    /// The creation was left unfinished.
    HalfMade(Intent),
    /// This token may not see which guest has the VMID.
    Hidden(Intent),
}

/// Decides what to do.
pub fn decide(policy: Policy, record: &Record, observed: &Observed) -> Action {
    match record {
        Record::None => nothing_recorded(policy, observed),
        Record::Requested(intent, _) => requested(intent, observed),
        Record::Created(intent) => created(intent, observed),
        Record::Finished(intent) => finished(policy, intent, observed),
    }
}

fn nothing_recorded(policy: Policy, observed: &Observed) -> Action {
    let with_ensure = |action, otherwise| {
        if policy.ensure {
            action
        } else {
            Action::Stop(otherwise)
        }
    };
    let observe_again = Action::Wait(Pause::Interval);
    match (observed.namesake, policy.vmid, observed.owner) {
        (Namesake::MayBeHidden, None, _) => Action::Stop(StopReason::NameMayBeTaken),
        // A VM may have the name of the new template.
        (Namesake::Elsewhere, ..) | (Namesake::One, _, Owner::Another) => {
            Action::Stop(StopReason::Exists)
        }
        // `--vmid` chooses among them, which matters with --ensure only.
        (Namesake::Several, ..) => {
            with_ensure(Action::Stop(StopReason::Ambiguous), StopReason::Exists)
        }
        (_, _, Owner::Ours) => with_ensure(Action::UseVm, StopReason::Exists),
        (Namesake::One, _, Owner::BeingCreated) => with_ensure(observe_again, StopReason::Exists),
        (_, Some(vmid), Owner::BeingCreated) => {
            with_ensure(observe_again, StopReason::VmidTaken(vmid))
        }
        (_, Some(vmid), Owner::Another | Owner::Hidden) => {
            Action::Stop(StopReason::VmidTaken(vmid))
        }
        (
            Namesake::None | Namesake::MayBeOffline | Namesake::MayBeHidden,
            _,
            Owner::Free | Owner::NotChecked,
        ) => Action::Request,
        _ => observe_again,
    }
}

fn requested(intent: &Intent, observed: &Observed) -> Action {
    use Owner::{Another, BeingCreated, Free, Hidden, Incomplete, NotChecked, Ours, Unknown};
    use RequestOutcome::{Done, Due, Failed, LeftOver, NoQuorum, Refused, Taken, Temporary};

    let vmid = intent.vmid;
    let is_settled = observed.age >= Age::Settled;
    let stop = |reason: fn(Intent) -> StopReason| Action::Stop(reason(intent.clone()));
    match (observed.outcome, observed.owner) {
        (_, Another) | (NoQuorum | LeftOver(_), _) => Action::Forget(vmid),
        _ if observed.requests_other => stop(StopReason::OtherRequest),
        // Only a lock on a free VMID is temporary; any guest with the VMID was created by another user. While
        // undecided, it may be our own earlier request that has taken the VMID.
        (Taken(_), Free) if !observed.undecided => Action::Wait(Pause::BackOff),
        (Taken(_), NotChecked | Ours | Incomplete | BeingCreated | Hidden)
            if !observed.undecided =>
        {
            Action::Forget(vmid)
        }
        (_, Ours) | (Done, NotChecked) => Action::UseVm,
        // If this token sees no VMs, the task is the only evidence.
        (Done, Hidden) if !observed.task_runs && is_settled => Action::UseVm,
        (Refused(_), _) | (Failed(_), Free) => stop(StopReason::CreationFailed),
        (Failed(_), Hidden) if !observed.task_runs && is_settled => {
            stop(StopReason::CreationFailed)
        }
        (Temporary(_), _) => Action::Wait(Pause::BackOff),
        (Due, _) if !observed.undecided => match observed.namesake {
            Namesake::None | Namesake::MayBeOffline => Action::RequestAgain(intent.clone()),
            Namesake::NotChecked => Action::Wait(Pause::Interval),
            // Another user may have created one in the meantime.
            _ => Action::Forget(vmid),
        },
        (_, Incomplete) => stop(StopReason::HalfMade),
        (Failed(_), BeingCreated) if !observed.undecided && !observed.task_runs && is_settled => {
            stop(StopReason::HalfMade)
        }
        (_, BeingCreated) if observed.has_died && !observed.task_runs && is_settled => {
            stop(StopReason::HalfMade)
        }
        (_, Hidden) if !observed.task_runs && is_settled => stop(StopReason::Hidden),
        (_, Free) => match (observed.namesake, observed.age) {
            (_, Age::New) | (Namesake::NotChecked, _) => Action::Wait(Pause::Interval),
            (Namesake::None | Namesake::MayBeOffline | Namesake::MayBeHidden, _) => {
                Action::RequestAgain(intent.clone())
            }
            // Never repeat the request while the name is taken: that could create a second VM of the name.
            (_, Age::Settled) => Action::Wait(Pause::Interval),
            // A request that has not been carried out until now is assumed to be lost.
            (_, Age::PastRestart) => Action::Forget(vmid),
        },
        (_, NotChecked | BeingCreated | Hidden | Unknown) => Action::Wait(Pause::Interval),
    }
}

fn created(intent: &Intent, observed: &Observed) -> Action {
    match observed.owner {
        Owner::Free | Owner::Another => Action::Forget(intent.vmid),
        Owner::Ours if observed.requests_other => {
            Action::Stop(StopReason::OtherRequest(intent.clone()))
        }
        Owner::Ours => Action::UseVm,
        Owner::Hidden if observed.age >= Age::Settled => {
            Action::Stop(StopReason::Hidden(intent.clone()))
        }
        _ => Action::Wait(Pause::Interval),
    }
}

fn finished(policy: Policy, intent: &Intent, observed: &Observed) -> Action {
    let is_requested_vmid = policy.vmid.is_none_or(|vmid| vmid == intent.vmid);
    match observed.owner {
        Owner::Ours if policy.ensure && is_requested_vmid => Action::UseVm,
        Owner::Ours => Action::Stop(StopReason::Exists),
        _ => created(intent, observed),
    }
}

#[cfg(test)]
mod tests;
