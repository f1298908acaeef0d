//! Finding a VM that a command only reads, by its name or VMID.

use crate::guests::named::{Error, Wanted, find};
use crate::guests::{Guests, listed};
use crate::pve::types::Guest;
use crate::pve::{self, Pve, VmConfig};
use crate::say::failure::{Facts, Failure, Kind};
use crate::say::hint::SHOW_VMS;
use crate::ui::progress::warn;
use crate::wait::server::Server;

/// Finds the VM with this name or VMID, without being certain that no other VM has the name.
pub fn find_vm(server: Server, text: &str, ignores_offline: bool) -> Result<Guest, Failure> {
    let wanted = Wanted::of(text, None);
    let guests = Guests::read(server, &|guest| wanted.may_be(guest));
    let guests = guests.map_err(|error| Failure::of_request(&error))?;
    let guests = guests.ignoring_offline_nodes(ignores_offline);
    match find(server, &guests, &wanted) {
        Ok(found) => Ok(found.guest),
        // Nothing is changed, so a doubt is no failure.
        Err(Error::Doubtful { guest, unread }) => {
            let unread = listed(&unread);
            warn(&format!("another VM may be named '{text}': {unread}"));
            Ok(guest)
        }
        Err(error) => Err(error.failure()),
    }
}

/// The configuration as of its next start of a VM that was found by `text`.
pub fn read_config(pve: &Pve, guest: &Guest, text: &str) -> Result<VmConfig, Failure> {
    let config = read(guest, pve.vm_config(&guest.node, guest.vmid))?;
    check_name(guest, &config, text)?;
    Ok(config)
}

/// A list may show the name of a VM that had the VMID before.
pub fn check_name(guest: &Guest, config: &VmConfig, text: &str) -> Result<(), Failure> {
    let vmid = guest.vmid;
    let name = config.shown_name(vmid);
    let is_by_vmid = text.parse().ok() == Some(vmid);
    if is_by_vmid || name == text {
        return Ok(());
    }
    let message =
        format!("VM '{text}' not found: VM {vmid}, which the list shows as '{text}', is '{name}'");
    Err(Failure::new(Kind::VmNotFound, message).with_hint(SHOW_VMS.to_owned()))
}

/// What was read of a VM, which may have been deleted or migrated since it was listed.
pub fn read<T>(guest: &Guest, answer: Result<Option<T>, pve::Error>) -> Result<T, Failure> {
    let facts = Facts {
        vmid: Some(guest.vmid),
        node: Some(guest.node.clone()),
        ..Facts::default()
    };
    let failure = match answer {
        Ok(Some(read)) => return Ok(read),
        Ok(None) => {
            let message = format!("{guest} was just deleted or migrated");
            let hint = SHOW_VMS.to_owned();
            Failure::new(Kind::VmNotFound, message).with_hint(hint)
        }
        Err(error) => Failure::of_request(&error),
    };
    Err(failure.about(facts))
}
