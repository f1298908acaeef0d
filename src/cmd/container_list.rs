//! `container list`

use super::guest_list::{Columns, Listed, Row, list, show_rows};
use super::{Session, Success};
use crate::cli::ContainerList;
use crate::guests::filter::Filter;
use crate::pve::types::{Node, Pool};
use crate::say::failure::Failure;

/// Lists the containers that are not templates.
pub fn run(session: &Session, arguments: &ContainerList) -> Result<Success, Failure> {
    let filter = Filter {
        tags: arguments.tag.clone(),
        status: arguments.status,
        node: arguments.node.clone().map(Node),
        pool: arguments.pool.clone().map(Pool),
        name: arguments.name.clone(),
    };
    let columns = Columns {
        address: false,
        wide: arguments.wide,
    };
    let none_found = Listed::Containers.none_found(&filter);
    list(session, Listed::Containers, &filter, |_, containers| {
        let rows: Vec<Row> = containers.iter().map(|it| Row::from(*it)).collect();
        show_rows(session, &rows, columns, &none_found)
    })
}
