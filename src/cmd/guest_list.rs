//! Lists of guests, as several verbs show them.

use serde::Serialize;

use super::{Session, Success};
use crate::guests::Guests;
use crate::guests::filter::Filter;
use crate::pve::types::{Guest, Node, Pool, TokenId, Vmid};
use crate::pve::{Addresses, Error, Pve, Size};
use crate::say::failure::Failure;
use crate::say::grant::{Role, grant, pool_path};
use crate::say::hint::{empty_list_hint, no_templates_hint};
use crate::ui::progress::warn;
use crate::ui::table::table;
use crate::ui::units::duration;
use crate::wait::server::Server;

/// The kind of guests that a verb lists.
#[derive(Clone, Copy)]
pub enum Listed {
    /// VM templates.
    Templates,
    /// VMs that are not templates.
    Vms,
    /// Containers that are not templates.
    Containers,
}

impl Listed {
    fn read<'p>(self, server: Server<'p>, filter: &Filter) -> Result<Guests<'p>, Error> {
        let may_accept = |guest: &Guest| filter.may_accept(guest);
        match self {
            Listed::Templates => Guests::read(server, &Guest::is_vm_template),
            Listed::Vms => Guests::read_vms(server, &may_accept),
            Listed::Containers => Guests::read_containers(server, &may_accept),
        }
    }

    fn includes(self, guest: &Guest) -> bool {
        match self {
            Listed::Templates => guest.is_vm_template(),
            Listed::Vms => guest.is_vm(),
            Listed::Containers => guest.is_plain_container(),
        }
    }

    /// What stands in place of an empty table.
    pub fn none_found(self, filter: &Filter) -> String {
        let plural = match self {
            Listed::Templates => "templates",
            Listed::Vms => "VMs",
            Listed::Containers => "containers",
        };
        if filter.accepts_all() {
            format!("No {plural} found")
        } else {
            format!("No {plural} found with {filter}")
        }
    }
}

/// Lists the guests of one kind that `filter` accepts. Warns if one may be hidden; an empty list has a hint.
pub fn list(
    session: &Session,
    kind: Listed,
    filter: &Filter,
    show: impl FnOnce(&Pve, &[&Guest]) -> Result<Success, Failure>,
) -> Result<Success, Failure> {
    let access = session.configuration()?.access;
    let pve = session.connect(&access, None)?;
    let server = session.server_for_one_try(&pve);
    let guests = kind
        .read(server, filter)
        .map_err(|error| Failure::of_request(&error))?;
    let is_listed = |guest: &&Guest| kind.includes(guest) && filter.accepts(guest);
    let listed: Vec<&Guest> = guests.all().filter(is_listed).collect();
    let unread = guests.unread();
    for reason in &unread {
        warn(&format!("the list may be incomplete: {reason}"));
    }
    let is_empty = listed.is_empty() && unread.is_empty();
    let hint = is_empty.then(|| hint_for_none(kind, &guests, filter));
    Ok(Success {
        hint: hint.flatten(),
        ..show(&pve, &listed)?
    })
}

/// What it may mean that no guest is listed.
fn hint_for_none(kind: Listed, guests: &Guests, filter: &Filter) -> Option<String> {
    let token = guests.token();
    match (&filter.pool, kind) {
        // Many clusters have none.
        (None, Listed::Containers) if !guests.sees_none() => None,
        (None, Listed::Templates) => Some(no_templates_hint(token)),
        _ if filter.accepts_all() || guests.sees_none() => Some(empty_list_hint(token)),
        (Some(pool), _) => Some(hint_for_pool(pool, token)),
        (None, _) => None,
    }
}

fn hint_for_pool(pool: &Pool, token: &TokenId) -> String {
    let grant = grant(Role::AUDITOR, &pool_path(pool), token);
    format!("if there are any in pool '{pool}', this token lacks Pool.Audit on it; {grant}")
}

/// A VM or a container of a list.
#[derive(Serialize)]
pub struct Row<'g> {
    vmid: Vmid,
    name: Option<&'g str>,
    status: &'g str,
    node: &'g Node,
    #[serde(skip_serializing_if = "Option::is_none")]
    lock: Option<&'g str>,
    cores: Option<u64>,
    /// In bytes.
    memory: Option<u64>,
    /// In seconds.
    uptime: Option<u64>,
    tags: Vec<&'g str>,
    pool: Option<&'g Pool>,
    /// Absent unless they were requested.
    #[serde(flatten)]
    pub addresses: Option<Addresses>,
}

impl<'g> From<&'g Guest> for Row<'g> {
    fn from(guest: &'g Guest) -> Row<'g> {
        let details = &guest.details;
        Row {
            vmid: guest.vmid,
            name: guest.name.as_deref(),
            status: &guest.status,
            node: &guest.node,
            lock: guest.lock.as_deref(),
            cores: details.cores,
            memory: details.memory,
            uptime: details.uptime,
            tags: details.tags().collect(),
            pool: details.pool.as_ref(),
            addresses: None,
        }
    }
}

/// The columns of a table of guests.
#[derive(Clone, Copy)]
pub struct Columns {
    /// Whether there is one for the address.
    pub address: bool,
    /// Whether there are those of `--wide`.
    pub wide: bool,
}

/// The rows as a table, or as JSON. `none_found` stands in place of an empty table.
pub fn show_rows(
    session: &Session,
    rows: &[Row],
    columns: Columns,
    none_found: &str,
) -> Result<Success, Failure> {
    session.result(&rows, |out, style| {
        if rows.is_empty() {
            return writeln!(out, "{none_found}");
        }
        let mut header = vec!["VMID", "Name", "Status", "Node"];
        header.extend(columns.address.then_some("IP"));
        if columns.wide {
            header.extend(["Cores", "Memory", "Uptime", "Tags", "Pool"]);
        }
        let rows = rows.iter().map(|row| cells(row, columns));
        table(out, &header, rows, style)
    })
}

fn cells(row: &Row, columns: Columns) -> Vec<String> {
    let status = match row.lock {
        Some(lock) => format!("{} (lock: {lock})", row.status),
        None => row.status.to_owned(),
    };
    let mut cells = vec![
        row.vmid.to_string(),
        row.name.unwrap_or_default().to_owned(),
        status,
        row.node.to_string(),
    ];
    if columns.address {
        let ip = row.addresses.as_ref().and_then(|addresses| addresses.ip);
        cells.push(ip.map(|ip| ip.to_string()).unwrap_or_default());
    }
    if columns.wide {
        let memory = row.memory.map(|bytes| Size(bytes).to_string());
        let uptime = row.uptime.filter(|_| row.status == "running");
        let pool = row.pool.map(Pool::to_string);
        cells.extend([
            row.cores.map(|cores| cores.to_string()).unwrap_or_default(),
            memory.unwrap_or_default(),
            uptime.map(duration).unwrap_or_default(),
            row.tags.join(","),
            pool.unwrap_or_default(),
        ]);
    }
    let or_dash = |cell: String| {
        if cell.is_empty() {
            "-".to_owned()
        } else {
            cell
        }
    };
    cells.into_iter().map(or_dash).collect()
}
