//! Finds a template by its name, or says which one was probably meant.

use snafu::Snafu;

use crate::guests::{Guests, listed};
use crate::pve::types::{Guest, Node, VmName};
use crate::say::closest::closest;
use crate::say::hint::what_an_empty_list_means;

/// A template that was found.
pub struct Found<'g> {
    /// The template.
    pub template: &'g Guest,
    /// The places of the other templates of its name.
    pub others: Vec<String>,
    /// Names them, if it is not clear that this one is meant.
    pub warning: Option<String>,
}

/// The VM template of exactly the name `wanted`, or of this VMID if no template has that name. Of
/// several, one on the node `target` of the new VM if there is one, and of those the one with the lowest
/// VMID. `vm_name` is the name of the VM to create, if any: the user may have swapped the two.
pub fn find_template<'g>(
    guests: &'g Guests,
    wanted: &str,
    vm_name: Option<&VmName>,
    target: Option<&Node>,
) -> Result<Found<'g>, NotFound> {
    let is_near = |template: &&Guest| Some(&template.node) == target;
    let mut candidates = guests.templates_named(wanted);
    if target.is_some() && !candidates.iter().any(is_near) {
        // Nodes are asked only now for the names that their rows hide.
        let is_meant = |guest: &&Guest| guest.is_vm_template() && guest.is_named(wanted);
        candidates.extend(guests.all().filter(is_meant).filter(is_near));
    }
    // Stable: the lowest VMID stays first on each side.
    candidates.sort_by_key(|template| !is_near(template));
    let Some((template, others)) = candidates.split_first() else {
        let doubts = listed(&guests.doubts());
        let hint = what_was_meant(guests, wanted, vm_name);
        let name = wanted;
        return NotFoundSnafu { name, doubts, hint }.fail();
    };
    // One on the node where the VM will be is better than any on another node.
    let is_clear = others.is_empty() || is_near(template) && !others.iter().any(is_near);
    // Who asked for a VMID has not seen the others of its name.
    let mut others = others.to_vec();
    if let (true, Some(name)) = (others.is_empty(), &template.name) {
        others = guests.templates_named(name);
        others.retain(|other| other.vmid != template.vmid);
    }
    let others: Vec<String> = others.iter().map(|other| other.place()).collect();
    let warning = (!is_clear).then(|| {
        let (taken, others) = (template.place(), others.join(", "));
        format!("several templates are named '{wanted}': using {taken}; others: {others}")
    });
    Ok(Found {
        template,
        others,
        warning,
    })
}

fn what_was_meant(guests: &Guests, wanted: &str, vm_name: Option<&VmName>) -> String {
    if let Some(vm_name) = vm_name
        && !guests.templates_named(vm_name.as_str()).is_empty()
    {
        return format!(
            "'{vm_name}' is a template: the arguments look swapped, \
             'homelab proxmox vm create {wanted} {vm_name}' has them in order"
        );
    }
    let is_meant = |guest: &&Guest| guest.is_named(wanted) || guest.vmid.to_string() == wanted;
    if let Some(guest) = guests.all().find(is_meant) {
        return format!("{guest} is no template of a VM");
    }
    let templates: Vec<&Guest> = guests.all().filter(|g| g.is_vm_template()).collect();
    let list = "'homelab proxmox template list' shows the templates";
    if !guests.doubts().is_empty() {
        return format!("it may be among what could not be read; {list} that could");
    }
    if templates.is_empty() {
        let means = what_an_empty_list_means(guests.token());
        return format!("no template is seen at all; {means}");
    }
    let names = templates.iter().filter_map(|guest| guest.name.as_deref());
    match closest(wanted, names) {
        Some(name) => format!("did you mean '{name}'? {list}"),
        None => list.to_owned(),
    }
}

/// No VM template has the name, or the VMID, that was asked for.
#[derive(Debug, Snafu)]
#[snafu(display(
    "Template '{name}' not found{}{doubts}",
    if doubts.is_empty() { "" } else { "; " }
))]
pub struct NotFound {
    name: String,
    doubts: String,
    hint: String,
}

impl NotFound {
    /// What to do about it.
    pub fn hint(&self) -> &str {
        &self.hint
    }
}
