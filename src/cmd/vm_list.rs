//! `vm list`

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Session, Success};
use crate::cli::VmList;
use crate::guests::Guests;
use crate::guests::addresses::{Found, find_addresses};
use crate::pve::types::{Guest, Node, Vmid};
use crate::pve::{Addresses, Pve};
use crate::say::failure::Failure;
use crate::say::hint::empty_list_hint;
use crate::settings::ip_from::IpFrom;
use crate::ui::progress::warn;
use crate::ui::table::table;
use crate::wait::Budget;
use crate::wait::server::Server;

#[derive(Serialize)]
struct Row<'g> {
    vmid: Vmid,
    name: Option<&'g str>,
    status: &'g str,
    node: &'g Node,
    #[serde(skip_serializing_if = "Option::is_none")]
    lock: Option<&'g str>,
    /// Absent unless they were requested.
    #[serde(flatten)]
    addresses: Option<Addresses>,
}

/// Lists the VMs that are not templates, with their addresses if `--ip` or `--ip-from` is given.
pub fn run(session: &Session, arguments: &VmList) -> Result<Success, Failure> {
    list(session, Guest::is_vm, |pve, vms| {
        let with_ip = arguments.ip || !arguments.ip_from.is_empty();
        let mut known = with_ip.then(|| known_addresses(pve, vms, &arguments.ip_from));
        let document: Vec<Row> = vms
            .iter()
            .map(|guest| Row {
                vmid: guest.vmid,
                name: guest.name.as_deref(),
                status: &guest.status,
                node: &guest.node,
                lock: guest.lock.as_deref(),
                addresses: known
                    .as_mut()
                    .map(|known| known.remove(&guest.vmid).unwrap_or_default()),
            })
            .collect();
        session.result(&document, |out, style| {
            if vms.is_empty() {
                return writeln!(out, "No VMs found");
            }
            let header = ["VMID", "Name", "Status", "Node", "IP"];
            let columns = if with_ip { 5 } else { 4 };
            table(out, &header[..columns], document.iter().map(cells), style)
        })
    })
}

fn cells(row: &Row) -> Vec<String> {
    let status = match row.lock {
        Some(lock) => format!("{} (lock: {lock})", row.status),
        None => row.status.to_owned(),
    };
    let mut cells = vec![
        row.vmid.to_string(),
        row.name.unwrap_or("-").to_owned(),
        status,
        row.node.to_string(),
    ];
    if let Some(Addresses { ip, .. }) = row.addresses {
        cells.push(ip.map_or_else(|| "-".to_owned(), |ip| ip.to_string()));
    }
    cells
}

fn known_addresses(pve: &Pve, vms: &[&Guest], from: &[IpFrom]) -> BTreeMap<Vmid, Addresses> {
    let Found { known, failed } = find_addresses(pve, vms, from);
    if let Some((vmid, why)) = failed.first_key_value() {
        let others = match failed.len() {
            1 => String::new(),
            count => format!(" and {} more", count - 1),
        };
        warn(&format!(
            "cannot get the address of VM {vmid}{others}: {why}"
        ));
    }
    known
}

/// Lists the guests that `matches` accepts. Warns if one may be hidden; an empty list has a hint.
pub fn list(
    session: &Session,
    matches: fn(&Guest) -> bool,
    show: impl FnOnce(&Pve, &[&Guest]) -> Result<Success, Failure>,
) -> Result<Success, Failure> {
    let access = session.configuration()?.access;
    let pve = session.client(&access, None);
    let pve = pve.map_err(|error| Failure::of_request(&error))?;
    let server = Server {
        pve: &pve,
        budget: Budget::for_one_try(&session.clock),
        progress: session.progress(),
    };
    let guests = Guests::read(server, &matches).map_err(|error| Failure::of_request(&error))?;
    let listed: Vec<&Guest> = guests.all().filter(|guest| matches(guest)).collect();
    let unread = guests.unread();
    for reason in &unread {
        warn(&format!("the list may be incomplete: {reason}"));
    }
    let is_empty = listed.is_empty() && unread.is_empty();
    Ok(Success {
        hint: is_empty.then(|| empty_list_hint(pve.token())),
        ..show(&pve, &listed)?
    })
}
