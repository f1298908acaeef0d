//! The decision table: what one turn does, given the order, what the ledger records and what was seen.
//! It is a pure function; a fresh run, a run after `kill -9`, a lost answer and a lost race are rows of
//! it.

use super::failure::Failed;
use crate::ledger::{Intent, Record};
use crate::pve;
use crate::pve::types::Vmid;

/// What the user said about VMs that exist.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Policy {
    /// `--ensure`: one of that name is a success.
    pub ensure: bool,
    /// `--vmid`: this one is meant.
    pub vmid: Option<Vmid>,
}

/// What was seen. The VMID in question is that of the record; without a record that of the only
/// namesake, else that of `--vmid`.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// Whether the order asks for something else than what the record says was begun.
    pub asks_for_other: bool,
    /// What came of the last request for the clone.
    pub answer: &'a Answer,
    /// Whether some request for the clone got no usable answer, and may still be carried out, whatever
    /// came of those after it.
    pub undecided: bool,
    /// Who has the VMID in question.
    pub owner: Owner,
    /// For how long that has been so.
    pub age: Age,
    /// Whether a clone is running that may become the VM at that VMID, as far as this token can see.
    pub clone_runs: bool,
    /// Whether other VMs have the name.
    pub namesake: Namesake,
}

/// What came of the last request for the clone, with what there is to tell of it.
#[derive(Debug, Default)]
pub enum Answer {
    /// It is not known: it got no usable answer, or an earlier run has made it.
    #[default]
    Unknown,
    /// It was not carried out, and is to be sent again.
    Due,
    /// Its task has succeeded.
    Done,
    /// It was refused, or its task has failed, in these words, which say that the VMID is taken.
    Taken(String),
    /// Its task has failed, in these words, because of a volume that an earlier guest has left at the VMID.
    /// As long as that is there, no other request for the VMID can succeed either.
    LeftOver(String),
    /// It was refused, or its task has failed, for something that passes by itself.
    Passes(String),
    /// The host had no quorum. The next one is asked from now on, and may know more guests.
    NoQuorum,
    /// It was refused for good.
    Refused(Box<pve::Error>),
    /// Its task has failed for good.
    Failed(Failed),
}

/// Who has a VMID.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Owner {
    /// Nobody had to look.
    NotChecked,
    /// No guest.
    Free,
    /// A VM that is as good as ours, whoever made it: it has the name and the template's disks, is no
    /// template, and no clone locks it.
    Ours,
    /// Another guest.
    Another,
    /// A VM that is locked by a clone, with or without our name.
    BeingCreated,
    /// Our name and no such lock, but it lacks disks of the template.
    Incomplete,
    /// A guest that this token may not see.
    Hidden,
    /// The look has failed.
    Unknown,
}

/// How long something has been so.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Age {
    /// Shorter than a while.
    New,
    /// For 5 intervals (10 s by default): a VM that was asked for should be visible by then.
    Settled,
    /// For 15 intervals (30 s by default): as long as a daemon may take to restart.
    PastRestart,
}

/// Which VMs have the name, apart from the one at the VMID in question of a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Namesake {
    /// Nobody had to look.
    #[default]
    NotChecked,
    /// None was seen, and nothing can hide one.
    None,
    /// None was seen, but a node that is offline may have one, which the user accepts.
    MayBeOffline,
    /// None was seen, but a node or a row that cannot be read may hide one.
    MayBeHidden,
    /// One, which is the VM in question.
    One,
    /// Several that may be meant.
    Several,
    /// Only at other VMIDs than the one in question.
    Elsewhere,
}

/// What to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// Ask for a clone, to `--vmid` or to a free VMID.
    Clone,
    /// Ask again for the clone to the VMID of the record: it cannot become a second VM.
    CloneAgain(Vmid),
    /// Look again.
    Wait(Pause),
    /// The VM exists: go on to the steps.
    Take,
    /// Give up the VMID of the record, where there is no VM of ours, and decide anew.
    Forget(Vmid),
    /// End with an error.
    Refuse(Refusal),
}

/// How long to pause before the next look.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pause {
    /// One interval.
    Interval,
    /// Longer each time: something is locked. After it the request is sent again.
    BackOff,
}

/// Why no VM can be had.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// A VM of that name exists.
    Exists,
    /// Several exist, and any of them would do.
    Ambiguous,
    /// It cannot be told whether one exists.
    NameMayBeTaken,
    /// The VMID that was asked for is another guest's.
    VmidTaken(Vmid),
    /// An earlier run has begun something else.
    OtherClone(Intent),
    /// The server has refused the clone, or its task has failed.
    CloneFailed(Intent),
    /// The VM was left half made.
    HalfMade(Intent),
    /// This token may not see who has the VMID.
    Hidden(Intent),
}

/// What to do.
pub fn decide(policy: Policy, record: &Record, seen: &Seen) -> Action {
    match record {
        Record::None => nothing_recorded(policy, seen),
        Record::Asked(begun, _) => asked(begun, seen),
        Record::Created(begun) => created(begun, seen),
        Record::Finished(begun) => finished(policy, begun, seen),
    }
}

fn nothing_recorded(policy: Policy, seen: &Seen) -> Action {
    let with_ensure = |action, otherwise| {
        if policy.ensure {
            action
        } else {
            Action::Refuse(otherwise)
        }
    };
    let look_again = Action::Wait(Pause::Interval);
    match (seen.namesake, policy.vmid, seen.owner) {
        (Namesake::MayBeHidden, None, _) => Action::Refuse(Refusal::NameMayBeTaken),
        (Namesake::Elsewhere, ..) => Action::Refuse(Refusal::Exists),
        // Which of them `--vmid` chooses matters with --ensure only.
        (Namesake::Several, ..) => with_ensure(Action::Refuse(Refusal::Ambiguous), Refusal::Exists),
        (_, _, Owner::Ours) => with_ensure(Action::Take, Refusal::Exists),
        (Namesake::One, _, Owner::BeingCreated) => with_ensure(look_again, Refusal::Exists),
        (_, Some(vmid), Owner::BeingCreated) => with_ensure(look_again, Refusal::VmidTaken(vmid)),
        (_, Some(vmid), Owner::Another | Owner::Hidden) => Action::Refuse(Refusal::VmidTaken(vmid)),
        (
            Namesake::None | Namesake::MayBeOffline | Namesake::MayBeHidden,
            _,
            Owner::Free | Owner::NotChecked,
        ) => Action::Clone,
        _ => look_again,
    }
}

fn asked(begun: &Intent, seen: &Seen) -> Action {
    use Answer::{Done, Due, Failed, LeftOver, NoQuorum, Passes, Refused, Taken};
    use Owner::{Another, BeingCreated, Free, Hidden, Incomplete, NotChecked, Ours, Unknown};

    let vmid = begun.vmid;
    let is_settled = seen.age >= Age::Settled;
    let refuse = |refusal: fn(Intent) -> Refusal| Action::Refuse(refusal(begun.clone()));
    match (seen.answer, seen.owner) {
        (_, Another) | (NoQuorum | LeftOver(_), _) => Action::Forget(vmid),
        _ if seen.asks_for_other => refuse(Refusal::OtherClone),
        // Only a lock on a free VMID passes; whatever else is there was made by somebody else. While
        // undecided, our own request may be what took it.
        (Taken(_), Free) if !seen.undecided => Action::Wait(Pause::BackOff),
        (Taken(_), NotChecked | Ours | Incomplete | BeingCreated | Hidden) if !seen.undecided => {
            Action::Forget(vmid)
        }
        (_, Ours) | (Done, NotChecked) => Action::Take,
        // Where this token sees no VMs, the word of the task is all there is.
        (Done, Hidden) if !seen.clone_runs && is_settled => Action::Take,
        (Refused(_), _) | (Failed(_), Free) => refuse(Refusal::CloneFailed),
        (Failed(_), Hidden) if !seen.clone_runs && is_settled => refuse(Refusal::CloneFailed),
        (Passes(_), _) => Action::Wait(Pause::BackOff),
        (Due, _) if !seen.undecided => match seen.namesake {
            Namesake::None | Namesake::MayBeOffline => Action::CloneAgain(vmid),
            Namesake::NotChecked => Action::Wait(Pause::Interval),
            // Somebody else may have made one in the meantime.
            _ => Action::Forget(vmid),
        },
        (_, Incomplete) => refuse(Refusal::HalfMade),
        (Failed(_), BeingCreated) if !seen.undecided && !seen.clone_runs && is_settled => {
            refuse(Refusal::HalfMade)
        }
        (_, Hidden) if !seen.clone_runs && is_settled => refuse(Refusal::Hidden),
        (_, Free) => match (seen.namesake, seen.age) {
            (_, Age::New) | (Namesake::NotChecked, _) => Action::Wait(Pause::Interval),
            (Namesake::None | Namesake::MayBeOffline | Namesake::MayBeHidden, _) => {
                Action::CloneAgain(vmid)
            }
            // Never ask again while the name is taken: that would make a second VM of the name.
            (_, Age::Settled) => Action::Wait(Pause::Interval),
            // A request that has not arrived by now is taken for lost.
            (_, Age::PastRestart) => Action::Forget(vmid),
        },
        (_, NotChecked | BeingCreated | Hidden | Unknown) => Action::Wait(Pause::Interval),
    }
}

fn created(begun: &Intent, seen: &Seen) -> Action {
    match seen.owner {
        Owner::Free | Owner::Another => Action::Forget(begun.vmid),
        Owner::Ours if seen.asks_for_other => Action::Refuse(Refusal::OtherClone(begun.clone())),
        Owner::Ours => Action::Take,
        Owner::Hidden if seen.age >= Age::Settled => Action::Refuse(Refusal::Hidden(begun.clone())),
        _ => Action::Wait(Pause::Interval),
    }
}

fn finished(policy: Policy, begun: &Intent, seen: &Seen) -> Action {
    let is_meant = policy.vmid.is_none_or(|vmid| vmid == begun.vmid);
    match seen.owner {
        Owner::Ours if policy.ensure && is_meant => Action::Take,
        Owner::Ours => Action::Refuse(Refusal::Exists),
        _ => created(begun, seen),
    }
}

#[cfg(test)]
mod tests;
