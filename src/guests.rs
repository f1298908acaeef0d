//! What guests there are, and who has which name.
//!
//! Rows of the cluster's list hide the names of guests that are new or on a node that pvestatd has
//! not heard of. Where such a row stands in the way of an answer its node is asked, and a node
//! that does not answer is remembered: it may hide what is looked for.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};

use crate::api::types::{Guest, GuestKind, Node, Vmid};
use crate::api::{Error, Pve};
use crate::progress::Progress;

/// The guests of a cluster, as one run sees them.
pub struct Guests<'p> {
    pve: &'p Pve,
    rows: Vec<Guest>,
    behind: OnceCell<Behind>,
}

/// What the nodes say of the VMs whose rows have no name.
struct Behind {
    vms: BTreeMap<Vmid, Guest>,
    silent: Vec<SilentNode>,
}

/// A node that did not tell the names of its VMs.
#[derive(Debug)]
pub struct SilentNode {
    /// Its name.
    pub node: Node,
    /// Why it did not.
    pub error: Error,
}

impl<'p> Guests<'p> {
    /// Reads the cluster's list; a row that cannot be read is warned about and left out.
    pub fn read(pve: &'p Pve, progress: &dyn Progress) -> Result<Guests<'p>, Error> {
        let list = pve.guests()?;
        if let Some(first) = list.unreadable.first() {
            let count = list.unreadable.len();
            progress.warning(&format!(
                "{count} of the server's guests cannot be read and are left out ({first})"
            ));
        }
        Ok(Guests {
            pve,
            rows: list.guests,
            behind: OnceCell::new(),
        })
    }

    /// Whether the token sees no guest at all.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// All VMIDs that are taken, as far as this token can see.
    pub fn vmids(&self) -> BTreeSet<Vmid> {
        self.rows.iter().map(|guest| guest.vmid).collect()
    }

    /// The guest that has this VMID.
    pub fn with_vmid(&self, vmid: Vmid) -> Option<&Guest> {
        let row = self.rows.iter().find(|guest| guest.vmid == vmid)?;
        Some(self.behind_row(row))
    }

    /// The VM templates of exactly this name, the lowest VMID first. All digits and no such name:
    /// the one with this VMID.
    pub fn templates_named(&self, name: &str) -> Vec<&Guest> {
        let named = self.named(name, Guest::is_vm_template);
        if !named.is_empty() {
            return named;
        }
        let by_vmid = name.parse().ok().and_then(|vmid| self.with_vmid(vmid));
        by_vmid
            .filter(|guest| guest.is_vm_template())
            .into_iter()
            .collect()
    }

    /// The VMs of exactly this name that are no templates.
    pub fn vms_named(&self, name: &str) -> Vec<&Guest> {
        self.named(name, Guest::is_vm)
    }

    /// A container template of that name, which can be taken for a VM template by mistake.
    pub fn container_template_named(&self, name: &str) -> Option<&Guest> {
        self.rows.iter().find(|guest| {
            guest.kind == GuestKind::Lxc && guest.template && guest.name.as_deref() == Some(name)
        })
    }

    /// Every guest, with its name wherever somebody knows it.
    pub fn unveiled(&self) -> impl Iterator<Item = &Guest> {
        self.rows.iter().map(|row| self.behind_row(row))
    }

    /// The nodes that were asked for names and did not answer.
    pub fn silent_nodes(&self) -> &[SilentNode] {
        self.behind.get().map_or(&[], |behind| &behind.silent)
    }

    /// First among the rows; only if none has the name and some hide theirs, behind these.
    fn named(&self, name: &str, kind: fn(&Guest) -> bool) -> Vec<&Guest> {
        let is_meant = |guest: &&Guest| kind(guest) && guest.name.as_deref() == Some(name);
        let among_rows: Vec<&Guest> = self.rows.iter().filter(is_meant).collect();
        if !among_rows.is_empty() {
            return among_rows;
        }
        let hidden = self.rows.iter().filter(|row| row.is_nameless_vm());
        hidden
            .map(|row| self.behind_row(row))
            .filter(is_meant)
            .collect()
    }

    /// The row itself, or what its node says if the row has no name.
    fn behind_row<'a>(&'a self, row: &'a Guest) -> &'a Guest {
        if !row.is_nameless_vm() {
            return row;
        }
        let behind = self.behind.get_or_init(|| self.ask_the_nodes());
        behind.vms.get(&row.vmid).unwrap_or(row)
    }

    fn ask_the_nodes(&self) -> Behind {
        let nameless = self.rows.iter().filter(|guest| guest.is_nameless_vm());
        let nodes: BTreeSet<&Node> = nameless.map(|guest| &guest.node).collect();
        let mut behind = Behind {
            vms: BTreeMap::new(),
            silent: Vec::new(),
        };
        for node in nodes {
            match self.pve.vms_of_node(node) {
                Ok(list) => behind
                    .vms
                    .extend(list.guests.into_iter().map(|vm| (vm.vmid, vm))),
                Err(error) => behind.silent.push(SilentNode {
                    node: node.clone(),
                    error,
                }),
            }
        }
        behind
    }
}

impl std::fmt::Display for SilentNode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "node '{}' does not answer ({})", self.node, self.error)
    }
}
