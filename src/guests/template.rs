//! Finds a template by its name, or says which one was probably meant.

use snafu::Snafu;

use crate::guests::Guests;
use crate::pve::types::{Guest, VmName};
use crate::say::closest::closest;
use crate::say::hint::what_an_empty_list_means;

/// A template that was found.
pub struct Found<'g> {
    /// The template.
    pub template: &'g Guest,
    /// Names the other templates of that name, if there are any.
    pub warning: Option<String>,
}

/// The VM template of exactly the name `wanted`, or of this VMID if no template has that name. Of
/// several, the one with the lowest VMID, and a warning that names the others. `vm_name` is the
/// name of the VM to create, if any: the user may have swapped the two.
pub fn find_template<'g>(
    guests: &'g Guests,
    wanted: &str,
    vm_name: Option<&VmName>,
) -> Result<Found<'g>, NotFound> {
    let candidates = guests.templates_named(wanted);
    let Some((template, others)) = candidates.split_first() else {
        let doubts = guests.doubts().join("; ");
        let hint = what_was_meant(guests, wanted, vm_name);
        let name = wanted;
        return NotFoundSnafu { name, doubts, hint }.fail();
    };
    let others: Vec<String> = others.iter().map(|other| other.place()).collect();
    let warning = (!others.is_empty()).then(|| {
        let (taken, others) = (template.place(), others.join(", "));
        format!("several templates are named '{wanted}': taking {taken}; also there: {others}")
    });
    Ok(Found { template, warning })
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
