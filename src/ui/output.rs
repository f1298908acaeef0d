//! Results on stdout.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::IpAddr;

use serde::Serialize;

use crate::pve::types::{Guest, Node, Upid, Vmid};
use crate::ui::table::{Style, table};
use crate::ui::text::{clean, json};

/// A VM that is there, made by this run or before.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Made {
    /// Its VMID.
    pub vmid: Vmid,
    /// Its name.
    pub name: String,
    /// The node it is on.
    pub node: Node,
    /// Whether it was made by this command.
    pub created: bool,
    /// The task that made it, where that is known.
    pub upid: Option<Upid>,
    /// Its address, where one was waited for.
    pub ip: Option<IpAddr>,
    /// What its tasks warned of.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// A task that has ended well.
#[derive(Debug, Serialize)]
pub struct Ended {
    /// The task.
    pub upid: Upid,
    /// `OK`, or `WARNINGS: 1`.
    pub exitstatus: String,
    /// What it warned of.
    pub warnings: Vec<String>,
}

/// Shows what `task wait` has waited for.
pub fn ended(out: &mut dyn Write, ended: &Ended, style: Style) -> io::Result<()> {
    let Ended {
        upid, exitstatus, ..
    } = ended;
    match style {
        Style::Json => json(out, ended),
        Style::Terminal { .. } | Style::Plain => {
            writeln!(out, "Task {} ended: {exitstatus}", clean(upid.as_str()))
        }
    }
}

/// Shows what `vm create` has made or found.
pub fn made(out: &mut dyn Write, made: &Made, style: Style) -> io::Result<()> {
    let Made {
        vmid, name, node, ..
    } = made;
    let node = clean(&node.0);
    let at = made.ip.map(|ip| format!(" at {ip}")).unwrap_or_default();
    match style {
        Style::Json => json(out, made),
        Style::Terminal { .. } | Style::Plain if made.created => writeln!(
            out,
            "Successfully created VM {vmid} '{name}' on node '{node}'{at}"
        ),
        Style::Terminal { .. } | Style::Plain => {
            writeln!(
                out,
                "VM {vmid} '{name}' already exists on node '{node}'{at}"
            )
        }
    }
}

/// Shows VM templates.
pub fn templates(out: &mut dyn Write, templates: &[&Guest], style: Style) -> io::Result<()> {
    #[derive(Serialize)]
    struct Row<'a> {
        vmid: Vmid,
        name: Option<&'a str>,
        node: &'a Node,
    }
    if style == Style::Json {
        let rows: Vec<Row> = templates
            .iter()
            .map(|guest| Row {
                vmid: guest.vmid,
                name: guest.name.as_deref(),
                node: &guest.node,
            })
            .collect();
        return json(out, &rows);
    }
    if templates.is_empty() {
        return writeln!(out, "No templates found");
    }
    let rows = templates
        .iter()
        .map(|guest| vec![guest.vmid.to_string(), name(guest), guest.node.to_string()]);
    table(out, &["VMID", "Name", "Node"], rows, style)
}

/// Shows VMs that are no templates, with their addresses if those were asked for.
pub fn vms(
    out: &mut dyn Write,
    vms: &[&Guest],
    addresses: Option<&BTreeMap<Vmid, IpAddr>>,
    style: Style,
) -> io::Result<()> {
    #[derive(Serialize)]
    struct Row<'a> {
        vmid: Vmid,
        name: Option<&'a str>,
        status: &'a str,
        node: &'a Node,
        #[serde(skip_serializing_if = "Option::is_none")]
        lock: Option<&'a str>,
        /// Not there unless it was asked for, and then null if it is not known.
        #[serde(flatten)]
        address: Option<Address>,
    }
    #[derive(Serialize)]
    struct Address {
        ip: Option<IpAddr>,
    }
    let address = |guest: &Guest| {
        let ip = addresses?.get(&guest.vmid).copied();
        Some(Address { ip })
    };
    if style == Style::Json {
        let rows: Vec<Row> = vms
            .iter()
            .map(|guest| Row {
                vmid: guest.vmid,
                name: guest.name.as_deref(),
                status: &guest.status,
                node: &guest.node,
                lock: guest.lock.as_deref(),
                address: address(guest),
            })
            .collect();
        return json(out, &rows);
    }
    if vms.is_empty() {
        return writeln!(out, "No VMs found");
    }
    let rows = vms.iter().map(|guest| {
        let status = match &guest.lock {
            Some(lock) => format!("{} (lock: {lock})", guest.status),
            None => guest.status.clone(),
        };
        let cells = [
            guest.vmid.to_string(),
            name(guest),
            status,
            guest.node.to_string(),
        ];
        let known = |Address { ip }| ip.map_or_else(|| "-".to_owned(), |ip| ip.to_string());
        cells.into_iter().chain(address(guest).map(known)).collect()
    });
    let header = ["VMID", "Name", "Status", "Node", "IP"];
    let columns = if addresses.is_some() { 5 } else { 4 };
    table(out, &header[..columns], rows, style)
}

fn name(guest: &Guest) -> String {
    guest.name.clone().unwrap_or_else(|| "-".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pve::types::GuestKind;
    use rstest::rstest;

    fn guest(vmid: u32, name: Option<&str>, lock: Option<&str>) -> Guest {
        Guest {
            vmid: Vmid(vmid),
            kind: GuestKind::Qemu,
            name: name.map(str::to_owned),
            node: Node("pve1".into()),
            status: "stopped".into(),
            template: false,
            lock: lock.map(str::to_owned),
        }
    }

    fn shown(show: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> String {
        let mut out = Vec::new();
        show(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_terminal_gets_a_table() {
        let (one, two) = (
            guest(101, Some("web-1"), None),
            guest(1000, None, Some("clone")),
        );
        let text = shown(|out| vms(out, &[&one, &two], None, Style::Terminal { columns: 80 }));
        let expected = "\
┌──────┬───────┬───────────────────────┬──────┐
│ VMID │ Name  │ Status                │ Node │
├──────┼───────┼───────────────────────┼──────┤
│ 101  │ web-1 │ stopped               │ pve1 │
│ 1000 │ -     │ stopped (lock: clone) │ pve1 │
└──────┴───────┴───────────────────────┴──────┘
";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_pipe_gets_aligned_columns() {
        let (one, two) = (
            guest(101, Some("web-1"), None),
            guest(1000, None, Some("clone")),
        );
        let text = shown(|out| vms(out, &[&one, &two], None, Style::Plain));
        let expected = "\
VMID  Name   Status                 Node
101   web-1  stopped                pve1
1000  -      stopped (lock: clone)  pve1
";
        assert_eq!(text, expected);
    }

    #[test]
    fn json_has_the_same_fields() {
        let (one, two) = (
            guest(101, Some("web-1"), None),
            guest(102, None, Some("clone")),
        );
        let text = shown(|out| vms(out, &[&one, &two], None, Style::Json));
        let expected = concat!(
            r#"[{"vmid":101,"name":"web-1","status":"stopped","node":"pve1"},"#,
            r#"{"vmid":102,"name":null,"status":"stopped","node":"pve1","lock":"clone"}]"#,
            "\n"
        );
        assert_eq!(text, expected);
    }

    #[rstest]
    #[case::terminal(Style::Terminal { columns: 80 }, "No templates found\n")]
    #[case::pipe(Style::Plain, "No templates found\n")]
    #[case::json(Style::Json, "[]\n")]
    fn nothing_is_said_to_be_nothing(#[case] style: Style, #[case] expected: &str) {
        assert_eq!(shown(|out| templates(out, &[], style)), expected);
    }
}
