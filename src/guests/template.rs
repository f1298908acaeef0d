//! Finds a template by name, or suggests which one was meant.

use snafu::Snafu;

use crate::guests::{Guests, listed};
use crate::pve;
use crate::pve::types::{Guest, Node, VmName};
use crate::say::closest::closest;
use crate::say::hint::{SHOW_TEMPLATES, no_templates_hint};
use crate::wait::server::Server;

/// A template that was found.
pub struct Found<'g> {
    /// The template.
    pub template: &'g Guest,
    /// VMID and node of each other template with its name.
    pub others: Vec<String>,
    /// Names the others if it is not clear that this one is meant.
    pub warning: Option<String>,
}

/// The VM template with exactly this name, or with this VMID if no template has that name. Of several,
/// prefers one on the node `target` of the new VM, then the one with the lowest VMID. `vm_name` is the name
/// of the VM to create, if any: the user may have swapped the two arguments.
pub fn find_template<'g>(
    guests: &'g Guests,
    name: &str,
    vm_name: Option<&VmName>,
    target: Option<&Node>,
) -> Result<Found<'g>, NotFound> {
    let is_near = |template: &&Guest| Some(&template.node) == target;
    let mut candidates = guests.templates_named(name);
    if target.is_some() && !candidates.iter().any(is_near) {
        // Only now are nodes asked for names that rows hide.
        let matches = |guest: &&Guest| guest.is_vm_template() && guest.is_named(name);
        candidates.extend(guests.all().filter(matches).filter(is_near));
    }
    // A stable sort: the lowest VMID stays first in each group.
    candidates.sort_by_key(|template| !is_near(template));
    let Some((template, others)) = candidates.split_first() else {
        let unread = listed(&guests.unread());
        let hint = what_was_meant(guests, name, vm_name);
        return NotFoundSnafu { name, unread, hint }.fail();
    };
    // A template on the node of the new VM is better than any on another node.
    let is_clear = others.is_empty() || is_near(template) && !others.iter().any(is_near);
    // If the user gave a VMID, other templates may have the name of that one.
    let mut others = others.to_vec();
    if let (true, Some(name)) = (others.is_empty(), &template.name) {
        others = guests.templates_named(name);
        others.retain(|other| other.vmid != template.vmid);
    }
    let others: Vec<String> = others.iter().map(|other| other.place()).collect();
    let warning = (!is_clear).then(|| {
        let (used, others) = (template.place(), others.join(", "));
        format!("several templates are named '{name}': using {used}; others: {others}")
    });
    Ok(Found {
        template,
        others,
        warning,
    })
}

/// The VM with this name or VMID that is a template according to its configuration. For some seconds after the
/// conversion the list still shows it as a VM.
pub fn just_converted(
    server: Server,
    guests: &Guests,
    name: &str,
) -> Result<Option<Guest>, pve::Error> {
    let is_meant = |guest: &&Guest| guest.is_named(name) || guest.vmid.to_string() == name;
    let vms = guests.known().filter(|guest| guest.is_vm());
    for Guest { vmid, node, .. } in vms.filter(is_meant) {
        let config = server.ask(|pve| pve.vm_config(node, *vmid))?;
        let template = config.map(|config| config.into_guest(*vmid, node.clone()));
        let template = template.filter(|it| it.is_vm_template() && is_meant(&it));
        if template.is_some() {
            return Ok(template);
        }
    }
    Ok(None)
}

fn what_was_meant(guests: &Guests, name: &str, vm_name: Option<&VmName>) -> String {
    if let Some(vm_name) = vm_name
        && !guests.templates_named(vm_name.as_str()).is_empty()
    {
        return format!(
            "'{vm_name}' is a template: the arguments seem to be swapped; the same command with \
             '{name} {vm_name}' creates VM '{name}'"
        );
    }
    let matches = |guest: &&Guest| guest.is_named(name) || guest.vmid.to_string() == name;
    if let Some(guest) = guests.all().find(matches) {
        return format!("{guest} is not a VM template");
    }
    let templates: Vec<&Guest> = guests.all().filter(|g| g.is_vm_template()).collect();
    let list = SHOW_TEMPLATES;
    if !guests.unread().is_empty() {
        return format!("it may be one of those that could not be read; {list}");
    }
    if templates.is_empty() {
        let means = no_templates_hint(guests.token());
        return format!("no templates are visible; {means}");
    }
    let names = templates.iter().filter_map(|guest| guest.name.as_deref());
    match closest(name, names) {
        Some(name) => format!("did you mean '{name}'? {list}"),
        None => list.to_owned(),
    }
}

/// No VM template has the requested name or VMID.
#[derive(Debug, Snafu)]
#[snafu(display(
    "Template '{name}' not found{}{unread}",
    if unread.is_empty() { "" } else { "; " }
))]
pub struct NotFound {
    name: String,
    unread: String,
    hint: String,
}

impl NotFound {
    /// What to do about it.
    pub fn hint(&self) -> &str {
        &self.hint
    }
}
