//! What guests there are, and who has which name.
//!
//! Rows of the cluster's list lag: a guest that is new, or on a node that pvestatd has not heard
//! of, has no name there, and one that is being cloned may bear the name of the guest that had its
//! VMID before. Where such a row stands in the way of an answer its node is asked. Whatever could
//! not be read is kept as a doubt, for it may hide what is looked for.

pub mod addresses;
pub mod owner;
pub mod template;
pub mod vmid;

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};

use crate::pve::types::{Guest, Node, TokenId, Vmid};
use crate::pve::{Error, GuestList};
use crate::wait::server::Server;

/// The guests of a cluster, as one run sees them.
pub struct Guests<'p> {
    server: Server<'p>,
    rows: GuestList,
    behind: OnceCell<Behind>,
}

/// What the nodes say of the VMs whose rows do not tell their names.
#[derive(Default)]
struct Behind {
    vms: BTreeMap<Vmid, Guest>,
    doubts: Vec<String>,
}

impl<'p> Guests<'p> {
    /// Reads the cluster's list, and keeps of it what is of use for a run: those that `is_needed`,
    /// which asks for names and kinds, and those whose rows may not tell what it asks for.
    pub fn read(
        server: Server<'p>,
        is_needed: &dyn Fn(&Guest) -> bool,
    ) -> Result<Guests<'p>, Error> {
        let keep = |guest: &Guest| guest.may_hide_its_name() || is_needed(guest);
        Ok(Guests {
            server,
            rows: server.ask(|pve| pve.guests(&keep))?,
            behind: OnceCell::new(),
        })
    }

    /// Who sees them.
    pub fn token(&self) -> &TokenId {
        self.server.pve.token()
    }

    /// Whether a guest has this VMID that this token can see, needed or not.
    pub fn is_taken(&self, vmid: Vmid) -> bool {
        self.rows.vmids.binary_search(&vmid).is_ok()
    }

    /// The guest that has this VMID, if it is needed. May ask nodes.
    pub fn with_vmid(&self, vmid: Vmid) -> Option<&Guest> {
        let row = self.rows.guests.iter().find(|guest| guest.vmid == vmid)?;
        Some(self.unveiled(row))
    }

    /// The VM templates of exactly this name, the lowest VMID first: among the rows, or if there
    /// is none, behind those that hide their names. All digits and no such name: the one with this
    /// VMID. May ask nodes.
    pub fn templates_named(&self, name: &str) -> Vec<&Guest> {
        let is_meant = |guest: &&Guest| guest.is_vm_template() && guest.is_named(name);
        let rows = self.rows.guests.iter().filter(is_meant);
        // A VM that is being cloned may bear the name and the flag of the template before it.
        let rows: Vec<&Guest> = rows.filter(|guest| !guest.may_hide_its_name()).collect();
        if !rows.is_empty() {
            return rows;
        }
        let named: Vec<&Guest> = self.behind_veils().filter(is_meant).collect();
        if !named.is_empty() {
            return named;
        }
        let by_vmid = name.parse().ok().and_then(|vmid| self.with_vmid(vmid));
        by_vmid.into_iter().filter(|g| g.is_vm_template()).collect()
    }

    /// The VMs whose rows bear this name.
    pub fn vms_with_row_named(&self, name: &str) -> impl Iterator<Item = &Guest> {
        let rows = self.rows.guests.iter();
        rows.filter(move |guest| guest.is_vm() && guest.is_named(name))
    }

    /// The VMs of this name whose rows do not tell it. May ask nodes.
    pub fn vms_behind_rows_named(&self, name: &str) -> impl Iterator<Item = &Guest> {
        self.behind_veils()
            .filter(move |guest| guest.is_vm() && guest.is_named(name))
    }

    /// Every guest that is needed, with its name wherever somebody knows it. May ask nodes.
    pub fn all(&self) -> impl Iterator<Item = &Guest> {
        self.rows.guests.iter().map(|row| self.unveiled(row))
    }

    /// What could not be found out and may hide a guest of any name. May ask nodes.
    pub fn doubts(&self) -> Vec<String> {
        let of_rows = unreadable_rows(&self.rows, "the server");
        of_rows
            .into_iter()
            .chain(self.behind().doubts.clone())
            .collect()
    }

    fn veiled_rows(&self) -> impl Iterator<Item = &Guest> {
        let rows = self.rows.guests.iter();
        rows.filter(|guest| guest.may_hide_its_name())
    }

    fn behind_veils(&self) -> impl Iterator<Item = &Guest> {
        self.veiled_rows().map(|row| self.unveiled(row))
    }

    /// The row itself, or what its node says if the row may hide the name.
    fn unveiled<'a>(&'a self, row: &'a Guest) -> &'a Guest {
        if !row.may_hide_its_name() {
            return row;
        }
        self.behind().vms.get(&row.vmid).unwrap_or(row)
    }

    /// Asks each node concerned, once in a run.
    fn behind(&self) -> &Behind {
        self.behind.get_or_init(|| {
            let nodes: BTreeSet<&Node> = self.veiled_rows().map(|guest| &guest.node).collect();
            let veiled: BTreeSet<Vmid> = self.veiled_rows().map(|guest| guest.vmid).collect();
            let keep = |guest: &Guest| veiled.contains(&guest.vmid);
            let mut behind = Behind::default();
            for node in nodes {
                match self.server.ask(|pve| pve.vms_of_node(node, &keep)) {
                    Ok(list) => {
                        let doubt = unreadable_rows(&list, &format!("node '{node}'"));
                        behind.doubts.extend(doubt);
                        let vms = list.guests.into_iter();
                        behind.vms.extend(vms.map(|vm| (vm.vmid, vm)));
                    }
                    Err(error) => {
                        let doubt = format!("node '{node}' does not answer ({error})");
                        behind.doubts.push(doubt);
                    }
                }
            }
            behind
        })
    }
}

fn unreadable_rows(list: &GuestList, whose: &str) -> Option<String> {
    let first = list.first_unreadable.as_ref()?;
    let count = list.unreadable;
    Some(format!(
        "{count} of the guests that {whose} lists cannot be read ({first})"
    ))
}
