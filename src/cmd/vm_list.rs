//! `vm list`

use std::collections::BTreeMap;

use super::guest_list::{Columns, Listed, Row, list, show_rows};
use super::{Session, Success};
use crate::cli::VmList;
use crate::guests::addresses::{Found, find_addresses};
use crate::guests::filter::Filter;
use crate::pve::types::{Guest, Node, Pool, Vmid};
use crate::pve::{Addresses, Pve};
use crate::say::failure::Failure;
use crate::settings::ip_from::IpFrom;
use crate::ui::progress::warn;

/// Lists the VMs that are not templates, with their addresses if `--ip` or `--ip-from` is given.
pub fn run(session: &Session, arguments: &VmList) -> Result<Success, Failure> {
    let filter = Filter {
        tags: arguments.tag.clone(),
        status: arguments.status,
        node: arguments.node.clone().map(Node),
        pool: arguments.pool.clone().map(Pool),
        name: arguments.name.clone(),
    };
    let columns = Columns {
        address: arguments.ip || !arguments.ip_from.is_empty(),
        wide: arguments.wide,
    };
    let none_found = Listed::Vms.none_found(&filter);
    list(session, Listed::Vms, &filter, |pve, vms| {
        let mut rows: Vec<Row> = vms.iter().map(|vm| Row::from(*vm)).collect();
        if columns.address {
            let mut known = known_addresses(pve, vms, &arguments.ip_from);
            for (row, vm) in rows.iter_mut().zip(vms) {
                row.addresses = Some(known.remove(&vm.vmid).unwrap_or_default());
            }
        }
        show_rows(session, &rows, columns, &none_found)
    })
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
