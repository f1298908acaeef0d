//! `vm show`

mod document;

use std::time::Duration;

use self::document::{Agent, Document};
use super::{Session, Success};
use crate::cli::VmShow;
use crate::guests::addresses::{AgentAnswer, ask_agent};
use crate::guests::named::{Error, Wanted, find};
use crate::guests::{Guests, listed};
use crate::pve::types::Guest;
use crate::pve::{self, Addresses, Pve, VmConfig};
use crate::say::failure::{Facts, Failure, Kind};
use crate::say::hint::SHOW_VMS;
use crate::ui::fields::fields;
use crate::ui::progress::warn;
use crate::wait::Budget;
use crate::wait::server::Server;

/// The time limit for the guest agent's answer. The server waits 3 s for an agent that is not running.
const AGENT_TIMEOUT: Duration = Duration::from_secs(5);

/// Shows one VM: its state, the settings with which it runs, its addresses, and pending changes.
pub fn run(session: &Session, arguments: &VmShow) -> Result<Success, Failure> {
    let mut access = session.configuration()?.access;
    let pve = session.client(&access, None);
    let pve = pve.map_err(|error| Failure::of_request(&error))?;
    let server = Server {
        pve: &pve,
        budget: Budget::for_one_try(&session.clock),
        progress: session.progress(),
    };
    let guest = find_vm(server, &arguments.vm, arguments.ignore_offline)?;
    let (node, vmid) = (&guest.node, guest.vmid);
    let config = read(&guest, server.ask(|pve| pve.pending_config(node, vmid)))?;
    check_name(&guest, &config.current, &arguments.vm)?;
    let details = read(&guest, server.ask(|pve| pve.vm_details(node, vmid)))?;
    let mut addresses = Addresses::default();
    let mut agent = Agent {
        enabled: config.current.has_agent(),
        error: None,
    };
    if agent.enabled && details.is_active() {
        access.request_timeout = access.request_timeout.min(AGENT_TIMEOUT);
        let pve = session.client(&access, None);
        let pve = pve.map_err(|error| Failure::of_request(&error))?;
        match ask_agent(&pve, node, vmid, &config.current, &arguments.ip_from) {
            Ok(AgentAnswer::Addresses(reported)) => addresses = reported,
            Ok(AgentAnswer::Disabled) => {}
            Ok(AgentAnswer::Refused(error)) => agent.error = Some(error.message),
            Ok(AgentAnswer::Unavailable(message)) => agent.error = Some(message),
            Err(error) => agent.error = Some(error.to_string()),
        }
    }
    let document = Document::new(&guest, &config, &details, agent, addresses);
    session.result(&document, |out, _| fields(out, &document.fields()))
}

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
fn check_name(guest: &Guest, config: &VmConfig, text: &str) -> Result<(), Failure> {
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
fn read<T>(guest: &Guest, answer: Result<Option<T>, pve::Error>) -> Result<T, Failure> {
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
