//! Whose a VMID is: the one question that no list, no task and no log can answer.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::pve::types::{Guest, Node, TaskStatus, Upid, Vmid};
use crate::pve::{self, Pve, VmConfig};
use crate::say::stage::Vm;
use crate::wait::server::{Server, is_no_such_task};
use crate::wait::{GaveUp, Look};

/// A VMID that may be, or become, a VM of ours.
pub struct Sought {
    /// The VM as it shall be.
    pub vm: Vm,
    /// The template whose disks it must have, with its node. None for a VM that was seen whole once:
    /// its owner may have changed its disks since.
    pub template: Option<(Vmid, Node)>,
    /// What is known of that clone.
    pub prospect: Prospect,
}

/// What a run knows of a clone to a VMID.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Prospect {
    /// None of its own was asked for; somebody else's may be under way.
    NotOurs,
    /// One was, and may come at any time.
    MayCome,
    /// One was, it has failed, and no other can come.
    IsOver,
}

/// What there is at a VMID where nothing is in the making any more.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Settled {
    /// No guest at all.
    Free,
    /// Our VM, whole, on this node.
    Ours(Node),
    /// Another guest.
    Anothers(Guest),
    /// A guest that this token may not see.
    Hidden,
}

/// What is locked by a clone, as long as it is.
struct Locked {
    half: Half,
    /// The clone that was running when it was first seen, if this token could see it.
    clone: Option<Upid>,
    /// When that was, in the run's time.
    since: Duration,
}

/// What one look finds.
enum Sight {
    Settled(Settled),
    /// A clone works on it, or has left it so. Without a name it may become anybody's.
    InTheMaking {
        is_named: bool,
    },
    /// Our name, no clone at work, and without these disks of the template.
    Lacks(BTreeSet<String>),
}

/// A VM that is not whole, as far as this token can see.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Half {
    /// It has our name, and is locked by a clone.
    Locked,
    /// It is locked by a clone and has no name yet, or another one.
    Nameless,
    /// It has our name and no lock, and lacks these disks of its template.
    Lacks(BTreeSet<String>),
}

/// Why nobody could tell whose a VMID is.
pub enum Unclear {
    /// It is half a VM, and no clone that this token can see is working on it.
    Half(Half),
    /// Time is up, and this clone to our VM was running.
    BeingCloned(Upid),
    /// Time is up; the last look failed like this, if it did.
    TimeIsUp(Option<pve::Error>),
    /// The server will not say.
    Failed(pve::Error),
}

impl Sought {
    /// Looks until nothing is in the making any more. That the VMID is free counts from `free_after`
    /// on, in the run's time; that it is hidden, once it has been so for a while and no clone that
    /// could become ours is running.
    pub fn settled(&self, server: Server, free_after: Duration) -> Result<Settled, Unclear> {
        let a_while = server.budget.a_while();
        let mut hidden_since = None;
        let mut locked: Option<Locked> = None;
        let look = |pve: &Pve| {
            let sight = self.look(pve)?;
            let now = server.budget.clock.elapsed();
            if !matches!(sight, Sight::Settled(Settled::Hidden)) {
                hidden_since = None;
            }
            if !matches!(sight, Sight::InTheMaking { .. }) {
                locked = None;
            }
            Ok(match sight {
                Sight::InTheMaking { is_named } => {
                    let (clone, since) = match locked.take() {
                        Some(locked) => (still_running(pve, locked.clone), locked.since),
                        None => (self.running_clone(pve)?, now),
                    };
                    let half = if is_named {
                        Half::Locked
                    } else {
                        Half::Nameless
                    };
                    let is_left_so = self.prospect == Prospect::IsOver && clone.is_none();
                    locked = Some(Locked {
                        clone,
                        since,
                        half: half.clone(),
                    });
                    if is_left_so && now >= since + a_while {
                        Look::Done(Err(Unclear::Half(half)))
                    } else {
                        Look::NotYet
                    }
                }
                Sight::Settled(Settled::Free) if now < free_after => Look::NotYet,
                Sight::Settled(Settled::Hidden) if self.running_clone(pve)?.is_some() => {
                    hidden_since = None;
                    Look::NotYet
                }
                Sight::Settled(Settled::Hidden)
                    if now < *hidden_since.get_or_insert(now) + a_while =>
                {
                    Look::NotYet
                }
                Sight::Settled(settled) => Look::Done(Ok(settled)),
                Sight::Lacks(disks) => Look::Done(Err(Unclear::Half(Half::Lacks(disks)))),
            })
        };
        let settled = match self.prospect {
            Prospect::NotOurs => server.ask_until_done(look),
            Prospect::MayCome | Prospect::IsOver => server.watch(look),
        };
        match (settled, locked) {
            (Ok(settled), _) => settled,
            (Err(GaveUp::Failed(error)), _) => Err(Unclear::Failed(error)),
            (Err(GaveUp::TimeIsUp(failure)), None) => Err(Unclear::TimeIsUp(failure)),
            (Err(GaveUp::TimeIsUp(failure)), Some(locked)) => {
                Err(match (locked.clone, locked.half) {
                    (None, half) => Unclear::Half(half),
                    (Some(upid), Half::Locked) => Unclear::BeingCloned(upid),
                    (Some(_), _) => Unclear::TimeIsUp(failure),
                })
            }
        }
    }

    /// One look. A row is never believed: a reused VMID has the dead guest's name there. But it
    /// tells where a VM is now that was moved, be it from a node that does not answer any more.
    fn look(&self, pve: &Pve) -> Result<Sight, pve::Error> {
        let Vm { vmid, node, .. } = &self.vm;
        let failure = match pve.vm_config(node, *vmid) {
            Ok(Some(config)) => return self.judge(pve, config, node),
            Ok(None) => None,
            Err(error) => Some(error),
        };
        if pve.is_free(*vmid)? {
            return Ok(Sight::Settled(Settled::Free));
        }
        let may_not_see = matches!(failure, Some(pve::Error::Refused { status: 403, .. }));
        let guest = pve.guests(&|guest| guest.vmid == *vmid)?.guests.pop();
        match (guest, failure) {
            (Some(guest), _) if guest.is_container() => {
                Ok(Sight::Settled(Settled::Anothers(guest)))
            }
            (Some(guest), _) if guest.node != *node => match pve.vm_config(&guest.node, *vmid)? {
                Some(config) => self.judge(pve, config, &guest.node),
                None => Ok(Sight::InTheMaking { is_named: false }),
            },
            (None, failure) if may_not_see || failure.is_none() => {
                Ok(Sight::Settled(Settled::Hidden))
            }
            (_, Some(failure)) if !may_not_see => Err(failure),
            // It has appeared just now.
            _ => Ok(Sight::InTheMaking { is_named: false }),
        }
    }

    fn judge(&self, pve: &Pve, config: VmConfig, node: &Node) -> Result<Sight, pve::Error> {
        let name = self.vm.name.as_str();
        let is_named = config.name.as_deref() == Some(name);
        // What is being made may fail and be gone, and then the VMID is not another's for good.
        if config.is_being_made() {
            return Ok(Sight::InTheMaking { is_named });
        }
        if config.template || !is_named {
            let guest = config.into_guest(self.vm.vmid, node.clone());
            return Ok(Sight::Settled(Settled::Anothers(guest)));
        }
        let wanted = match &self.template {
            Some((template, node)) => pve.vm_config(node, *template)?.map(|config| config.disks()),
            None => None,
        };
        let missing: BTreeSet<String> = wanted
            .unwrap_or_default()
            .difference(&config.disks())
            .cloned()
            .collect();
        Ok(if missing.is_empty() {
            Sight::Settled(Settled::Ours(node.clone()))
        } else {
            Sight::Lacks(missing)
        })
    }

    /// A clone of our template to our VMID that is running, if this token may see it: a reason to
    /// wait, and no proof of whose VM it will be, for losers of a race begin their logs alike.
    fn running_clone(&self, pve: &Pve) -> Result<Option<Upid>, pve::Error> {
        let Some((template, node)) = &self.template else {
            return Ok(None);
        };
        for upid in pve.running_clones_of(*template, node)? {
            let log = match pve.task_log(&upid, 0) {
                // What the server does not know, or no more, is not running.
                Err(error) if is_no_such_task(&error) => continue,
                log => log?,
            };
            if log.iter().any(|line| is_about(line, self.vm.vmid)) {
                return Ok(Some(upid));
            }
        }
        Ok(None)
    }
}

/// A clone, unless it is known to have ended.
fn still_running(pve: &Pve, clone: Option<Upid>) -> Option<Upid> {
    clone.filter(|upid| !matches!(pve.task_status(upid), Ok(TaskStatus::Stopped(_))))
}

/// `creating a clone of VM 9000 with ID 101`; before qemu-server 9.1.6 only the volumes tell.
fn is_about(line: &str, vmid: Vmid) -> bool {
    line.ends_with(&format!(" with ID {vmid}")) || line.contains(&format!("vm-{vmid}-"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::ours("creating a clone of VM 9000 with ID 101", true)]
    #[case::anothers("creating a clone of VM 9000 with ID 1010", false)]
    #[case::volume("allocated target volume 'data:101/vm-101-disk-0.raw'", true)]
    #[case::volume_of_another("allocated target volume 'data:1/vm-1101-disk-0.raw'", false)]
    fn a_log_tells_which_vmid_it_is_about(#[case] line: &str, #[case] expected: bool) {
        assert_eq!(is_about(line, Vmid(101)), expected);
    }
}
