//! `template list`

use serde::Serialize;

use super::guest_list::{Listed, list};
use super::{Session, Success};
use crate::guests::filter::Filter;
use crate::pve::types::{Node, Vmid};
use crate::say::failure::Failure;
use crate::ui::table::table;

#[derive(Serialize)]
struct Row<'g> {
    vmid: Vmid,
    name: Option<&'g str>,
    node: &'g Node,
}

/// Lists the templates that a VM can be cloned from.
pub fn run(session: &Session) -> Result<Success, Failure> {
    let filter = Filter::default();
    list(session, Listed::Templates, &filter, |_, templates| {
        let templates = templates.iter();
        let document: Vec<Row> = templates
            .map(|guest| Row {
                vmid: guest.vmid,
                name: guest.name.as_deref(),
                node: &guest.node,
            })
            .collect();
        session.result(&document, |out, style| {
            if document.is_empty() {
                return writeln!(out, "{}", Listed::Templates.none_found(&filter));
            }
            let cells = |row: &Row| {
                let name = row.name.unwrap_or("-");
                vec![row.vmid.to_string(), name.to_owned(), row.node.to_string()]
            };
            let rows = document.iter().map(cells);
            table(out, &["VMID", "Name", "Node"], rows, style)
        })
    })
}
