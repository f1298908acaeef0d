//! Which guests exist, and what their names are.
//!
//! - Rows of the cluster's list lag behind: a new guest, or one on a node without recent status, has no
//!   name there; a guest that reuses a VMID shows the name and template flag of the deleted guest for a
//!   while.
//! - A node's own list is read from the configurations. It is requested where a row may hide a name that
//!   the answer depends on; its names and flags then replace those in all rows of that node. Only the
//!   cluster's list has pools.
//! - Anything that could not be read is kept as unread: it may hide the requested guest.

pub mod addresses;
pub mod filter;
pub mod local_drives;
pub mod named;
pub mod owner;
pub mod template;
pub mod vmid;

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::pve::types::{Guest, Node, TokenId, Vmid};
use crate::pve::{Error, GuestList, Pve};
use crate::wait::server::Server;

/// The guests of a cluster, as one run sees them.
pub struct Guests<'p> {
    server: Server<'p>,
    rows: GuestList,
    of_nodes: OnceCell<OfNodes>,
    ignores_offline: bool,
}

/// The lists of the nodes that had to be asked.
#[derive(Default)]
struct OfNodes {
    vms: BTreeMap<Vmid, Guest>,
    unread: Vec<Unread>,
}

/// Something that could not be read and may hide a guest with any name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Unread {
    /// Rows of a list.
    Rows(String),
    /// The list of this node, and the reason.
    Node(Node, String),
    /// The list of this node, which was not asked because it is offline.
    Offline(Node),
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unread::Rows(what) => f.write_str(what),
            Unread::Node(node, why) => write!(f, "node '{node}' does not answer ({why})"),
            Unread::Offline(node) => write!(f, "node '{node}' is offline"),
        }
    }
}

impl<'p> Guests<'p> {
    /// Reads the cluster's list. Keeps the rows that `is_needed` accepts by name and kind, and those that
    /// may hide their names.
    pub fn read(
        server: Server<'p>,
        is_needed: &dyn Fn(&Guest) -> bool,
    ) -> Result<Guests<'p>, Error> {
        let keep = |guest: &Guest| guest.may_hide_its_name() || is_needed(guest);
        Guests::keeping(server, &keep)
    }

    /// Reads the cluster's list. Keeps the rows of VMs and templates that `may_be_needed` accepts by what no
    /// row has wrong: node, pool and tags. Only nodes with such rows may be asked.
    pub fn read_vms(
        server: Server<'p>,
        may_be_needed: &dyn Fn(&Guest) -> bool,
    ) -> Result<Guests<'p>, Error> {
        let mut guests = Guests::keeping(server, &|guest| !guest.is_container())?;
        guests.rows.guests.retain(may_be_needed);
        Ok(guests)
    }

    /// Reads the cluster's list and keeps its containers that `is_needed` accepts. No node is asked.
    pub fn read_containers(
        server: Server<'p>,
        is_needed: &dyn Fn(&Guest) -> bool,
    ) -> Result<Guests<'p>, Error> {
        let mut guests = Guests::keeping(server, &Guest::is_container)?;
        guests.rows.guests.retain(is_needed);
        Ok(guests)
    }

    fn keeping(server: Server<'p>, keep: &dyn Fn(&Guest) -> bool) -> Result<Guests<'p>, Error> {
        Ok(Guests {
            server,
            rows: server.ask(|pve| pve.guests(keep))?,
            of_nodes: OnceCell::new(),
            ignores_offline: false,
        })
    }

    /// Skips nodes that are offline, because asking them takes long.
    pub fn ignoring_offline_nodes(self, ignores_offline: bool) -> Guests<'p> {
        Guests {
            ignores_offline,
            ..self
        }
    }

    /// The token that reads them.
    pub fn token(&self) -> &TokenId {
        self.server.pve.token()
    }

    /// Whether a guest that this token can see has this VMID, needed or not.
    pub fn is_taken(&self, vmid: Vmid) -> bool {
        self.rows.vmids.binary_search(&vmid).is_ok()
    }

    /// Whether this token can see no guest at all, needed or not.
    pub fn sees_none(&self) -> bool {
        self.rows.vmids.is_empty()
    }

    /// The guest that has this VMID, if its row was kept. May ask nodes.
    pub fn with_vmid(&self, vmid: Vmid) -> Option<&Guest> {
        let row = self.rows.guests.iter().find(|guest| guest.vmid == vmid)?;
        if row.may_hide_its_name() {
            self.of_nodes();
        }
        self.known().find(|guest| guest.vmid == vmid)
    }

    /// The VM templates with exactly this name, lowest VMID first. Nodes are asked only if no row is
    /// certainly such a template. If there is none and the name is a number: the template with that VMID.
    pub fn templates_named(&self, name: &str) -> Vec<&Guest> {
        let matches = |guest: &&Guest| guest.is_vm_template() && guest.is_named(name);
        let is_certain = |guest: &&Guest| !guest.may_hide_its_name();
        let certain: Vec<&Guest> = self.known().filter(is_certain).filter(matches).collect();
        if !certain.is_empty() {
            return certain;
        }
        let named: Vec<&Guest> = self.all().filter(matches).collect();
        if !named.is_empty() {
            return named;
        }
        let by_vmid = name.parse().ok().and_then(|vmid| self.with_vmid(vmid));
        by_vmid.into_iter().filter(|g| g.is_vm_template()).collect()
    }

    /// The VMs with this name, as far as known without asking nodes. With `templates`, also those, which the
    /// list may still show as VMs.
    pub fn named_in_rows(&self, name: &str, templates: bool) -> impl Iterator<Item = &Guest> {
        self.known().filter(is_named(name, templates))
    }

    /// The VMs with this name in the list of their node. With `templates`, also those. May ask nodes.
    pub fn named_on_nodes(&self, name: &str, templates: bool) -> impl Iterator<Item = &Guest> {
        self.of_nodes()
            .vms
            .values()
            .filter(is_named(name, templates))
    }

    /// All needed guests, and possibly others, each with its name if known. May ask nodes.
    pub fn all(&self) -> impl Iterator<Item = &Guest> {
        self.of_nodes();
        self.known()
    }

    /// What could not be read and may hide a guest with any name. May ask nodes.
    pub fn unread(&self) -> Vec<Unread> {
        let of_rows = unreadable_rows(&self.rows, "the server").into_iter();
        of_rows.chain(self.of_nodes().unread.clone()).collect()
    }

    /// What may hide a guest with any name, and is not to be ignored. May ask nodes.
    pub fn doubts(&self) -> Vec<Unread> {
        let is_ignored =
            |unread: &Unread| self.ignores_offline && matches!(unread, Unread::Offline(_));
        let mut doubts = self.unread();
        doubts.retain(|unread| !is_ignored(unread));
        doubts
    }

    /// The guests by VMID, as listed by the nodes asked so far, otherwise as in their rows.
    pub fn known(&self) -> impl Iterator<Item = &Guest> {
        let rows = self.rows.guests.iter();
        let of_nodes = self
            .of_nodes
            .get()
            .into_iter()
            .flat_map(|it| it.vms.values());
        let guests = rows.chain(of_nodes).map(|guest| (guest.vmid, guest));
        guests.collect::<BTreeMap<_, _>>().into_values()
    }

    /// Asks each node that has a VM whose row may hide its name; once per run.
    fn of_nodes(&self) -> &OfNodes {
        self.of_nodes.get_or_init(|| {
            let rows = self.rows.guests.iter();
            let hiding = rows.filter(|guest| guest.may_hide_its_name());
            let nodes: BTreeSet<&Node> = hiding.map(|guest| &guest.node).collect();
            let mut found = OfNodes::default();
            let mut offline = BTreeSet::new();
            if self.ignores_offline && !nodes.is_empty() {
                let nodes = self.server.ask(Pve::nodes).unwrap_or_default().into_iter();
                offline = nodes.filter(|it| !it.is_online).map(|it| it.node).collect();
            }
            for node in nodes {
                if offline.contains(node) {
                    found.unread.push(Unread::Offline(node.clone()));
                    continue;
                }
                match self.server.ask(|pve| pve.vms_of_node(node, &|_| true)) {
                    Ok(list) => {
                        let unread = unreadable_rows(&list, &format!("node '{node}'"));
                        found.unread.extend(unread);
                        let vms = list.guests.into_iter();
                        found
                            .vms
                            .extend(vms.map(|vm| (vm.vmid, self.with_pool(vm))));
                    }
                    Err(error) => {
                        let unread = Unread::Node(node.clone(), error.to_string());
                        found.unread.push(unread);
                    }
                }
            }
            found
        })
    }

    /// A VM of a node's list, with the pool of its row.
    fn with_pool(&self, mut vm: Guest) -> Guest {
        let rows = &self.rows.guests;
        if let Ok(index) = rows.binary_search_by_key(&vm.vmid, |row| row.vmid) {
            vm.details.pool.clone_from(&rows[index].details.pool);
        }
        vm
    }
}

fn is_named(name: &str, templates: bool) -> impl Fn(&&Guest) -> bool {
    move |guest| (guest.is_vm() || (templates && guest.is_vm_template())) && guest.is_named(name)
}

fn unreadable_rows(list: &GuestList, whose: &str) -> Option<Unread> {
    let first = list.first_unreadable.as_ref()?;
    let count = list.unreadable;
    Some(Unread::Rows(format!(
        "{count} of the guests listed by {whose} cannot be read ({first})"
    )))
}

/// Doubts as one text.
pub fn listed(unread: &[Unread]) -> String {
    let unread: Vec<String> = unread.iter().map(Unread::to_string).collect();
    unread.join("; ")
}
