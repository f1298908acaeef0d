//! `vm show`

mod document;

use std::time::Duration;

use self::document::{Agent, Document};
use super::lookup::{check_name, find_vm, read};
use super::{Session, Success};
use crate::cli::VmShow;
use crate::guests::addresses::{AgentAnswer, ask_agent};
use crate::pve::Addresses;
use crate::say::failure::Failure;
use crate::ui::fields::fields;

/// The time limit for the guest agent's answer. The server waits 3 s for an agent that is not running.
const AGENT_TIMEOUT: Duration = Duration::from_secs(5);

/// Shows one VM: its state, the settings with which it runs, its addresses, and pending changes.
pub fn run(session: &Session, arguments: &VmShow) -> Result<Success, Failure> {
    let mut access = session.configuration()?.access;
    let pve = session.connect(&access, None)?;
    let server = session.server_for_one_try(&pve);
    let guest = find_vm(server, &arguments.vm, arguments.ignore_offline)?;
    let (node, vmid) = (&guest.node, guest.vmid);
    let config = read(&guest, server.ask(|pve| pve.pending_config(node, vmid)))?;
    check_name(&guest, &config.current, &arguments.vm)?;
    let details = read(&guest, server.ask(|pve| pve.vm_status(node, vmid)))?;
    let mut addresses = Addresses::default();
    let mut agent = Agent {
        enabled: config.current.has_agent(),
        error: None,
    };
    if agent.enabled && details.is_active() {
        access.request_timeout = access.request_timeout.min(AGENT_TIMEOUT);
        let pve = session.connect(&access, None)?;
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
