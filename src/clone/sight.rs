//! Whose a VMID is: the one question that no list, no task and no log can answer.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::api::types::{Guest, Node, Upid, VmConfig, Vmid};
use crate::api::{self, Pve};
use crate::server::Server;
use crate::stage::Vm;
use crate::wait::{GaveUp, Look};

/// A VMID that may be, or become, a VM of ours.
pub struct Sought {
    /// The VM as it shall be.
    pub vm: Vm,
    /// The template whose disks it must have, with its node. None for a VM that is known to have
    /// been finished once: its owner may have changed its disks since.
    pub template: Option<(Vmid, Node)>,
    /// Whether a clone of ours may be under way, which goes on whether or not it can be seen.
    pub is_begun: bool,
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

/// What one look finds.
enum Sight {
    Settled(Settled),
    /// A clone works on it, or has left it so. Without a name it may become anybody's.
    InTheMaking {
        is_named: bool,
    },
    /// Our name, no clone at work, and without these disks of the template.
    HalfMade(BTreeSet<String>),
}

/// Why nobody could tell whose a VMID is.
pub enum Unclear {
    /// A VM of our name that lacks these disks; with none named, one that was locked until the time
    /// was up by a clone that this token cannot see, or by none.
    HalfMade(BTreeSet<String>),
    /// Time is up, and this clone to our VM was running.
    BeingCloned(Upid),
    /// Time is up; the last look failed like this, if it did.
    TimeIsUp(Option<api::Error>),
    /// The server will not say.
    Failed(api::Error),
}

impl Sought {
    /// Looks until nothing is in the making any more. That the VMID is free counts from `free_after`
    /// on, in the run's time; that it is hidden, once it has been so for a while and no clone that
    /// could become ours is running.
    pub fn settled(&self, server: Server, free_after: Duration) -> Result<Settled, Unclear> {
        let budget = server.budget;
        let mut hidden_since = None;
        let mut locked = None;
        let look = |pve: &Pve| {
            let sight = self.look(pve)?;
            let now = budget.clock.elapsed();
            if !matches!(sight, Sight::Settled(Settled::Hidden)) {
                hidden_since = None;
            }
            Ok(match sight {
                Sight::InTheMaking { is_named } => {
                    if is_named && locked.is_none() {
                        locked = Some(self.running_clone(pve)?);
                    }
                    Look::NotYet
                }
                Sight::Settled(Settled::Free) if now < free_after => Look::NotYet,
                Sight::Settled(Settled::Hidden) if self.running_clone(pve)?.is_some() => {
                    hidden_since = None;
                    Look::NotYet
                }
                Sight::Settled(Settled::Hidden)
                    if now < *hidden_since.get_or_insert(now) + budget.a_while() =>
                {
                    Look::NotYet
                }
                Sight::Settled(settled) => Look::Done(Ok(settled)),
                Sight::HalfMade(missing) => Look::Done(Err(Unclear::HalfMade(missing))),
            })
        };
        let settled = if self.is_begun {
            server.watch(look)
        } else {
            server.ask_until_done(look)
        };
        match (settled, locked) {
            (Ok(settled), _) => settled,
            (Err(GaveUp::Failed(error)), _) => Err(Unclear::Failed(error)),
            (Err(GaveUp::TimeIsUp(_)), Some(Some(upid))) => Err(Unclear::BeingCloned(upid)),
            (Err(GaveUp::TimeIsUp(None)), Some(None)) => Err(Unclear::HalfMade(BTreeSet::new())),
            (Err(GaveUp::TimeIsUp(failure)), _) => Err(Unclear::TimeIsUp(failure)),
        }
    }

    /// One look. A row is never believed: a reused VMID has the dead guest's name there.
    fn look(&self, pve: &Pve) -> Result<Sight, api::Error> {
        let Vm { vmid, node, .. } = &self.vm;
        match pve.vm_config(node, *vmid) {
            Ok(Some(config)) => return self.judge(pve, config, node),
            Ok(None) => {}
            Err(api::Error::Refused { status: 403, .. }) => {
                let is_free = pve.is_free(*vmid)?;
                return Ok(Sight::Settled(if is_free {
                    Settled::Free
                } else {
                    Settled::Hidden
                }));
            }
            Err(error) => return Err(error),
        }
        if pve.is_free(*vmid)? {
            return Ok(Sight::Settled(Settled::Free));
        }
        // It is a container, or on another node, or has appeared just now.
        let guests = pve.guests()?.guests;
        let Some(guest) = guests.into_iter().find(|guest| guest.vmid == *vmid) else {
            return Ok(Sight::Settled(Settled::Hidden));
        };
        if guest.is_container() {
            return Ok(Sight::Settled(Settled::Anothers(guest)));
        }
        match pve.vm_config(&guest.node, *vmid)? {
            Some(config) => self.judge(pve, config, &guest.node),
            None => Ok(Sight::InTheMaking { is_named: false }),
        }
    }

    fn judge(&self, pve: &Pve, config: VmConfig, node: &Node) -> Result<Sight, api::Error> {
        let name = self.vm.name.as_str();
        let is_named = config.name.as_deref() == Some(name);
        // A clone is locked from its first moment on, and so is all that has no name yet.
        let may_get_a_name = config.name.is_none() && config.lock.is_some();
        if config.template || !(is_named || may_get_a_name) {
            let guest = Guest::of_config(self.vm.vmid, node.clone(), config);
            return Ok(Sight::Settled(Settled::Anothers(guest)));
        }
        if !is_named || config.is_being_made() {
            return Ok(Sight::InTheMaking { is_named });
        }
        let wanted = match &self.template {
            Some((template, node)) => pve.vm_config(node, *template)?.map(|config| config.disks),
            None => None,
        };
        let missing: BTreeSet<String> = wanted
            .unwrap_or_default()
            .difference(&config.disks)
            .cloned()
            .collect();
        Ok(if missing.is_empty() {
            Sight::Settled(Settled::Ours(node.clone()))
        } else {
            Sight::HalfMade(missing)
        })
    }

    /// A clone of our template to our VMID that is running, if this token may see it: a reason to
    /// wait, and no proof of whose VM it will be, for losers of a race begin their logs alike.
    fn running_clone(&self, pve: &Pve) -> Result<Option<Upid>, api::Error> {
        let Some((template, node)) = &self.template else {
            return Ok(None);
        };
        for upid in pve.running_clones_of(*template, node)? {
            let log = pve.task_log(&upid)?;
            if log.iter().any(|line| is_about(line, self.vm.vmid)) {
                return Ok(Some(upid));
            }
        }
        Ok(None)
    }
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
