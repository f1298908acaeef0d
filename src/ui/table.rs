//! Tables: framed at a terminal, plain aligned columns elsewhere.

use std::io::{self, Write};

use crate::ui::text::clean;

/// How to write a result to stdout.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Style {
    /// For people, at a terminal of this width.
    Terminal {
        /// In characters.
        columns: usize,
    },
    /// For people and scripts, through a pipe.
    Plain,
    /// For scripts: one JSON document.
    Json,
}

/// Writes a table. Its cells are cleaned.
pub fn table(
    out: &mut dyn Write,
    header: &[&str],
    rows: impl Iterator<Item = Vec<String>>,
    style: Style,
) -> io::Result<()> {
    let header: Vec<String> = header.iter().map(|&cell| cell.to_owned()).collect();
    let rows: Vec<Vec<String>> = rows
        .map(|row| row.iter().map(|cell| clean(cell).into_owned()).collect())
        .collect();
    let mut widths = vec![0; header.len()];
    for row in rows.iter().chain([&header]) {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let line = |cells: &[String], separator: &str| {
        let cells = cells.iter().zip(&widths);
        let padded: Vec<String> = cells
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        padded.join(separator)
    };
    // In a narrower window the terminal would wrap the lines, and a wrapped frame is hard to read.
    let framed_width = widths.iter().map(|width| width + 3).sum::<usize>() + 1;
    if !matches!(style, Style::Terminal { columns } if columns >= framed_width) {
        for cells in [&header].into_iter().chain(&rows) {
            writeln!(out, "{}", line(cells, "  ").trim_end())?;
        }
        return Ok(());
    }
    let bars: Vec<String> = widths.iter().map(|width| "─".repeat(width + 2)).collect();
    writeln!(out, "┌{}┐", bars.join("┬"))?;
    writeln!(out, "│ {} │", line(&header, " │ "))?;
    writeln!(out, "├{}┤", bars.join("┼"))?;
    for cells in &rows {
        writeln!(out, "│ {} │", line(cells, " │ "))?;
    }
    writeln!(out, "└{}┘", bars.join("┴"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const FRAMED: &str = "\
┌──────┬───────┐
│ VMID │ Name  │
├──────┼───────┤
│ 101  │ web-1 │
│ 1000 │ -     │
└──────┴───────┘
";
    const PLAIN: &str = "\
VMID  Name
101   web-1
1000  -
";

    #[rstest]
    #[case::wide_terminal(Style::Terminal { columns: 16 }, FRAMED)]
    #[case::narrow_terminal(Style::Terminal { columns: 15 }, PLAIN)]
    #[case::pipe(Style::Plain, PLAIN)]
    fn a_table_is_framed_if_the_terminal_is_wide_enough(
        #[case] style: Style,
        #[case] expected: &str,
    ) {
        let rows = [["101", "web\n-1"], ["1000", "-"]];
        let rows = rows.map(|row| row.map(str::to_owned).to_vec());
        let mut out = Vec::new();
        table(&mut out, &["VMID", "Name"], rows.into_iter(), style).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
