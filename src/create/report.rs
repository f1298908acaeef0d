//! What a run that made no VM says to scripts, and what to do about it.

use std::path::Path;

use super::error::Error;
use super::sight::Half;
use crate::ledger::{Intent, Mode};
use crate::pve::types::Guest;
use crate::pve::{self, Delivery};
use crate::say::failure::{Kind, Known, Report, Started, kind_of};
use crate::say::grant::how_to_see_vms;
use crate::say::hint::{hint_for, hint_for_clone, with_more};
use crate::say::shell::word;
use crate::say::stage::{GO_ON, Stage, Vm};
use crate::wait::task;

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
                Error::Unfinished { cause, .. } => cause.log().to_vec(),
                _ => Vec::new(),
            },
            made: matches!(self, Error::Unfinished { .. } | Error::NotClear { .. }),
            ..Report::of(self.kind(), self).with_hint(self.hint())
        }
    }

    /// Before the clone, and no server said no.
    pub fn is_without_answer(&self) -> bool {
        match self {
            Error::ListGuests { source }
            | Error::LookAtTemplate { source, .. }
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

    /// The request that has failed, where it is one.
    fn request(&self) -> Option<&pve::Error> {
        match self {
            Error::ListGuests { source }
            | Error::LookAtTemplate { source, .. }
            | Error::LookAtVm { source, .. }
            | Error::LookForTemplate { source, .. }
            | Error::AskForVmid { source }
            | Error::StartClone { source, .. } => Some(source),
            _ => None,
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Error::ListGuests { source }
            | Error::LookAtTemplate { source, .. }
            | Error::LookAtVm { source, .. }
            | Error::LookForTemplate { source, .. }
            | Error::AskForVmid { source }
            | Error::StartClone {
                undecided: false,
                source,
                ..
            } => kind_of(source),
            Error::NotSeenAgain { source, .. } => source.kind(),
            Error::NotClear {
                seconds: None, why, ..
            } => why.kind(),
            Error::MadeNotSeen {
                seconds: None,
                unseen: Some(error),
                ..
            } => kind_of(error),
            Error::NothingStarted { .. }
            | Error::StillClaimed { .. }
            | Error::StillUnclear { .. }
            | Error::NotClear { .. }
            | Error::MadeNotSeen { .. }
            | Error::Timeout { .. } => Kind::Timeout,
            Error::Claim { .. }
            | Error::DamagedClaim { .. }
            | Error::Unfit { .. }
            | Error::NoFreeVmid
            | Error::Busy { .. } => Kind::Failed,
            Error::Claimed { .. } | Error::BegunOtherwise { .. } | Error::BegunElsewhere { .. } => {
                Kind::InProgress
            }
            Error::NoTemplate { .. } | Error::TemplateGone { .. } => Kind::TemplateNotFound,
            Error::Unfinished { cause, .. } => cause.kind(),
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
            | Error::LookAtTemplate { source, .. }
            | Error::LookAtVm { source, .. }
            | Error::LookForTemplate { source, .. }
            | Error::AskForVmid { source } => return hint_for(source),
            Error::StartClone {
                undecided: false,
                source,
                vm,
                ..
            } => return hint_for_clone(source, vm.vmid, &vm.node),
            Error::NoFreeVmid | Error::Busy { .. } => return None,
            Error::NotSeenAgain { source: why, .. } | Error::NotClear { why, .. } => {
                return Some(how_to_go_on_after(why));
            }
            Error::StartClone { .. }
            | Error::StillClaimed { .. }
            | Error::TaskFailed {
                undecided: true, ..
            } => GO_ON,
            Error::NothingStarted { source, .. } => {
                let hint = "there is nothing to clean up; run it again, with a longer --timeout if the \
                            server is slow or what is in the way takes long";
                return Some(with_more(hint.to_owned(), source.request()));
            }
            Error::DamagedClaim { path, .. } => {
                return Some(format!(
                    "its good lines name the VMID and the task (UPID) that were begun last; once that \
                     is over: rm {}, then the same command with --ensure",
                    word(&path.to_string_lossy())
                ));
            }
            Error::Claim { .. } => {
                "this user must be able to write there, or HOMELAB_STATE_DIR names another directory; \
                 without one, --vmid N says which VM is meant"
            }
            Error::Claimed { .. } => "--ensure waits for its end, and then says what is there",
            Error::BegunOtherwise { begun, path, .. } => {
                return Some(format!(
                    "see that one to its end first: the same command with template {}{}, --ensure and no \
                     --vmid; or, if nothing can be making it any more: rm {}",
                    begun.template,
                    options_of(begun),
                    word(&path.to_string_lossy())
                ));
            }
            Error::BegunElsewhere { begun, path, .. } => {
                return Some(format!(
                    "see it to its end there, with the same command, --host {} and --ensure; if that \
                     server is gone for good: rm {}",
                    word(&begun.hosts.join(",")),
                    word(&path.to_string_lossy())
                ));
            }
            Error::NoTemplate { source } => source.hint(),
            Error::TemplateGone { .. } => "'homelab proxmox template list' shows what is there",
            Error::Unfit { source, .. } => return source.hint(),
            Error::Unfinished { cause, .. } => return Some(cause.hint()),
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
            Error::StillUnclear { unseen, .. } | Error::MadeNotSeen { unseen, .. } => {
                return Some(with_more(GO_ON.to_owned(), unseen.as_deref()));
            }
            Error::LostSight { stage, source } => {
                return Some(with_more(stage.hint(), Some(source)));
            }
            Error::Timeout {
                stage,
                unseen,
                lost,
                ..
            } => {
                let because = unseen.as_deref().or(lost.as_deref());
                return Some(with_more(stage.hint(), because));
            }
            Error::CannotSee { token, .. } | Error::MadeUnseen { token, .. } => {
                return Some(format!("{GO_ON}, once it may: {}", how_to_see_vms(token)));
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
            Error::NotClear { unfinished, .. } => unfinished.known(),
            Error::MadeNotSeen {
                vm, is_finished, ..
            } => {
                let started = if *is_finished {
                    Started::No
                } else {
                    Started::Yes
                };
                known_vm(vm, started)
            }
            Error::Unfinished { unfinished, cause } => {
                let known = unfinished.known();
                let upid = cause.upid().cloned().or(known.upid);
                Known { upid, ..known }
            }
            Error::TaskFailed { vm, failure, .. } => {
                Stage::Cloning(vm.clone(), failure.upid.clone()).known()
            }
            Error::CannotSee { vm, .. }
            | Error::NotSeenAgain { vm, .. }
            | Error::StartClone {
                vm,
                undecided: true,
                ..
            } => known_vm(vm, Started::Unknown),
            Error::StartClone { vm, .. }
            | Error::Busy { vm, .. }
            | Error::Exists { vm, .. }
            | Error::MadeUnseen { vm, .. }
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
            | Error::LookAtTemplate { .. }
            | Error::TemplateGone { .. }
            | Error::Unfit { .. }
            | Error::ListGuests { .. }
            | Error::LookForTemplate { .. }
            | Error::NoTemplate { .. }
            | Error::NameMayBeTaken { .. }
            | Error::AskForVmid { .. }
            | Error::NoFreeVmid => Known::default(),
        }
    }
}

/// What is in the way, and that the work on a VM of an earlier run goes on once it is not.
fn how_to_go_on_after(why: &Error) -> String {
    match why {
        Error::Unfit { .. } => format!("without what it cannot become, {GO_ON}"),
        Error::NoTemplate { .. } => match why.hint() {
            Some(hint) => format!("{hint}; then {GO_ON}"),
            None => GO_ON.to_owned(),
        },
        why => with_more(GO_ON.to_owned(), why.request()),
    }
}

/// What was asked for beside the template: `, --pool clients`.
fn options_of(begun: &Intent) -> String {
    let linked = matches!(begun.mode, Mode::Linked).then(|| ", --linked".to_owned());
    let storage = begun.storage.iter().map(|it| format!(", --storage {it}"));
    let pool = begun.pool.iter().map(|it| format!(", --pool {it}"));
    let target = begun.target.iter().map(|it| format!(", --node {it}"));
    let options = linked.into_iter().chain(storage).chain(pool);
    options.chain(target).collect()
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
            word(&claim.to_string_lossy())
        ),
    }
}
