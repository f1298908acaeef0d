//! Results on stdout.

use std::borrow::Cow;
use std::io::{self, Write};

use serde::Serialize;

use crate::api::types::{Guest, Node, Upid, Vmid};
use crate::finding::{Finding, Verdict};

/// How to show a result.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Style {
    /// For people, at a terminal.
    Terminal,
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
    pub ip: Option<String>,
    /// What that task warned of.
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
        Style::Terminal | Style::Plain => {
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
    match style {
        Style::Json => json(out, made),
        Style::Terminal | Style::Plain if made.created => writeln!(
            out,
            "Successfully created VM {vmid} '{name}' on node '{node}'"
        ),
        Style::Terminal | Style::Plain => {
            writeln!(out, "VM {vmid} '{name}' already exists on node '{node}'")
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
        Some(hint) if style == Style::Terminal => writeln!(out, "\n      {}", clean(hint)),
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
        .map(|guest| [guest.vmid.to_string(), name(guest), guest.node.to_string()]);
    table(out, ["VMID", "Name", "Node"], rows, style)
}

/// Shows VMs that are no templates.
pub fn vms(out: &mut dyn Write, vms: &[&Guest], style: Style) -> io::Result<()> {
    #[derive(Serialize)]
    struct Row<'a> {
        vmid: Vmid,
        name: Option<&'a str>,
        status: &'a str,
        node: &'a Node,
        #[serde(skip_serializing_if = "Option::is_none")]
        lock: Option<&'a str>,
    }
    if style == Style::Json {
        let rows: Vec<Row> = vms
            .iter()
            .map(|guest| Row {
                vmid: guest.vmid,
                name: guest.name.as_deref(),
                status: &guest.status,
                node: &guest.node,
                lock: guest.lock.as_deref(),
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
        [
            guest.vmid.to_string(),
            name(guest),
            status,
            guest.node.to_string(),
        ]
    });
    table(out, ["VMID", "Name", "Status", "Node"], rows, style)
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

fn table<const N: usize>(
    out: &mut dyn Write,
    header: [&str; N],
    rows: impl Iterator<Item = [String; N]>,
    style: Style,
) -> io::Result<()> {
    let rows: Vec<[String; N]> = rows
        .map(|row| row.map(|cell| clean(&cell).into_owned()))
        .collect();
    let mut widths = header.map(|cell| cell.chars().count());
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let framed = style == Style::Terminal;
    let rule = |left: &str, middle: &str, right: &str| {
        let bars = widths.map(|width| "─".repeat(width + 2));
        format!("{left}{}{right}", bars.join(middle))
    };
    let line = |cells: [&str; N]| {
        let padded: Vec<String> = cells
            .iter()
            .zip(widths)
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
    writeln!(out, "{}", line(header))?;
    if framed {
        writeln!(out, "{}", rule("├", "┼", "┤"))?;
    }
    for row in &rows {
        writeln!(out, "{}", line(row.each_ref().map(String::as_str)))?;
    }
    if framed {
        writeln!(out, "{}", rule("└", "┴", "┘"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::types::GuestKind;
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
        let text = shown(|out| vms(out, &[&one, &two], Style::Terminal));
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
        let text = shown(|out| vms(out, &[&one, &two], Style::Plain));
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
        let text = shown(|out| vms(out, &[&one, &two], Style::Json));
        let expected = concat!(
            r#"[{"vmid":101,"name":"web-1","status":"stopped","node":"pve1"},"#,
            r#"{"vmid":102,"name":null,"status":"stopped","node":"pve1","lock":"clone"}]"#,
            "\n"
        );
        assert_eq!(text, expected);
    }

    #[rstest]
    #[case::terminal(Style::Terminal, "No templates found\n")]
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
        assert_eq!(text(Style::Terminal), format!("{line}\n      a[2Jb\n"));
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
