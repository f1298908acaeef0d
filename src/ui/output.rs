//! Results on stdout.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::IpAddr;

use serde::Serialize;

use crate::cmd::check::finding::{Finding, Verdict};
use crate::pve::types::{Guest, Node, Upid, Vmid};

/// How to show a result.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Style {
    /// For people, at a terminal that is so wide.
    Terminal {
        /// In characters.
        columns: usize,
    },
    /// For people and scripts, behind a pipe.
    Plain,
    /// One JSON document.
    Json,
}

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

/// Shows what one check has found: in one line, at a terminal with what to do below it.
pub fn finding(out: &mut dyn Write, finding: &Finding, style: Style) -> io::Result<()> {
    let Finding {
        result,
        check,
        detail,
        hint,
        ..
    } = finding;
    let result = match result {
        Verdict::Ok => "ok  ",
        Verdict::Warn => "warn",
        Verdict::Fail => "FAIL",
    };
    let line = format!("{result}  {check}: {detail}");
    write!(out, "{}", clean(&line))?;
    match hint {
        Some(hint) if matches!(style, Style::Terminal { .. }) => {
            writeln!(out, "\n      {}", clean(hint))
        }
        Some(hint) => writeln!(out, "; {}", clean(hint)),
        None => writeln!(out),
    }
}

/// Shows all that `check` has found.
pub fn findings(out: &mut dyn Write, findings: &[Finding]) -> io::Result<()> {
    #[derive(Serialize)]
    struct Document<'f> {
        ok: bool,
        checks: &'f [Finding],
    }
    let is_failed = |finding: &Finding| finding.result == Verdict::Fail;
    let document = Document {
        ok: !findings.iter().any(is_failed),
        checks: findings,
    };
    json(out, &document)
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

/// Shows a value as one line of JSON, every character of it as the server sent it.
pub fn json(out: &mut dyn Write, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    writeln!(out)
}

/// Text from elsewhere without the characters that could forge a line, move the cursor or turn
/// the reading direction.
pub fn clean(text: &str) -> Cow<'_, str> {
    let is_harmful = |c: char| {
        // Marks of direction, separators of lines, and what is there without being seen.
        let is_unseen = matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{e0000}'..='\u{e007f}');
        c.is_control() || is_unseen
    };
    if text.contains(is_harmful) {
        Cow::Owned(text.replace(is_harmful, ""))
    } else {
        Cow::Borrowed(text)
    }
}

fn name(guest: &Guest) -> String {
    guest.name.clone().unwrap_or_else(|| "-".to_owned())
}

fn table(
    out: &mut dyn Write,
    header: &[&str],
    rows: impl Iterator<Item = Vec<String>>,
    style: Style,
) -> io::Result<()> {
    let rows: Vec<Vec<String>> = rows
        .map(|row| row.iter().map(|cell| clean(cell).into_owned()).collect())
        .collect();
    let mut widths: Vec<usize> = header.iter().map(|cell| cell.chars().count()).collect();
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    // Lines that a terminal folds are easier to read without a frame in between.
    let framed_width = widths.iter().map(|width| width + 3).sum::<usize>() + 1;
    let framed = matches!(style, Style::Terminal { columns } if columns >= framed_width);
    let rule = |left: &str, middle: &str, right: &str| {
        let bars: Vec<String> = widths.iter().map(|width| "─".repeat(width + 2)).collect();
        format!("{left}{}{right}", bars.join(middle))
    };
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded: Vec<String> = cells
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        if framed {
            format!("│ {} │", padded.join(" │ "))
        } else {
            padded.join("  ").trim_end().to_owned()
        }
    };
    if framed {
        writeln!(out, "{}", rule("┌", "┬", "┐"))?;
    }
    writeln!(out, "{}", line(&mut header.iter().copied()))?;
    if framed {
        writeln!(out, "{}", rule("├", "┼", "┤"))?;
    }
    for row in &rows {
        writeln!(out, "{}", line(&mut row.iter().map(String::as_str)))?;
    }
    if framed {
        writeln!(out, "{}", rule("└", "┴", "┘"))?;
    }
    Ok(())
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

    #[test]
    fn a_finding_is_one_line_whatever_the_server_has_put_into_it() {
        let finding =
            Finding::fail("server", "9.2\nok    token").with_hint("a\u{1b}[2Jb".to_owned());
        let text = |style| shown(|out| super::finding(out, &finding, style));
        let line = "FAIL  server: 9.2ok    token";
        assert_eq!(text(Style::Plain), format!("{line}; a[2Jb\n"));
        assert_eq!(
            text(Style::Terminal { columns: 80 }),
            format!("{line}\n      a[2Jb\n")
        );
    }

    #[rstest]
    #[case::harmless("web-1 é 日本", "web-1 é 日本")]
    #[case::escape_sequence("\u{1b}[31mred", "[31mred")]
    #[case::forged_line("web\nVM 1 is fine\r", "webVM 1 is fine")]
    #[case::second_control_block("a\u{9b}b", "ab")]
    #[case::reading_direction("a\u{202e}b\u{2066}c\u{61c}d\u{200f}e", "abcde")]
    #[case::line_separators("a\u{2028}b\u{2029}c\u{85}d", "abcd")]
    #[case::unseen("web\u{200b}-\u{ad}1\u{feff}\u{e0041}\u{2060}", "web-1")]
    fn foreign_text_cannot_forge_anything(#[case] text: &str, #[case] shown: &str) {
        assert_eq!(clean(text), shown);
    }
}
