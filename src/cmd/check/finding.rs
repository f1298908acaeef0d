//! What a check has found, and how it is written.

use std::io::{self, Write};

use serde::Serialize;

use crate::say::failure::{Kind, Report};
use crate::ui::table::Style;
use crate::ui::text::{clean, json};

/// How it stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// It works, and may surprise somebody.
    Warn,
    /// With this nothing, or not this template, can be made.
    Fail,
}

/// One check, one line.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Finding {
    /// How it stands.
    pub result: Verdict,
    /// What was looked at.
    pub check: String,
    /// What was found.
    pub detail: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// Whether it is the configuration that is wrong.
    #[serde(skip)]
    pub is_config: bool,
}

impl Finding {
    /// As it should be.
    pub fn ok(check: impl Into<String>, detail: impl Into<String>) -> Finding {
        Finding {
            result: Verdict::Ok,
            check: check.into(),
            detail: detail.into(),
            hint: None,
            is_config: false,
        }
    }

    /// It works, and may surprise somebody.
    pub fn warn(check: impl Into<String>, detail: impl Into<String>) -> Finding {
        Finding {
            result: Verdict::Warn,
            ..Finding::ok(check, detail)
        }
    }

    /// It does not work.
    pub fn fail(check: impl Into<String>, detail: impl Into<String>) -> Finding {
        Finding {
            result: Verdict::Fail,
            ..Finding::ok(check, detail)
        }
    }

    /// It does not work, in the words of a failure.
    pub fn of(check: impl Into<String>, report: Report) -> Finding {
        Finding {
            hint: report.hint,
            is_config: report.kind == Kind::Config,
            ..Finding::fail(check, report.message)
        }
    }

    /// The same with something to do about it.
    pub fn with_hint(self, hint: impl Into<Option<String>>) -> Finding {
        let hint = hint.into();
        Finding { hint, ..self }
    }

    /// Writes it in one line, at a terminal with the hint in a second one.
    pub fn write(&self, out: &mut dyn Write, style: Style) -> io::Result<()> {
        let result = match self.result {
            Verdict::Ok => "ok  ",
            Verdict::Warn => "warn",
            Verdict::Fail => "FAIL",
        };
        let line = format!("{result}  {}: {}", self.check, self.detail);
        write!(out, "{}", clean(&line))?;
        if let Some(hint) = &self.hint {
            let is_terminal = matches!(style, Style::Terminal { .. });
            let separator = if is_terminal { "\n      " } else { "; " };
            write!(out, "{separator}{}", clean(hint))?;
        }
        writeln!(out)
    }
}

/// Writes all findings as one JSON document.
pub fn write_document(out: &mut dyn Write, findings: &[Finding]) -> io::Result<()> {
    #[derive(Serialize)]
    struct Document<'f> {
        ok: bool,
        checks: &'f [Finding],
    }
    let ok = findings.iter().all(|it| it.result != Verdict::Fail);
    let checks = findings;
    json(out, &Document { ok, checks })
}

/// Hears of each finding.
pub type Hearer<'h> = &'h mut dyn FnMut(Finding);

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::pipe(Style::Plain, "FAIL  server: 9.2ok    token; a[2Jb\n")]
    #[case::terminal(
        Style::Terminal { columns: 80 },
        "FAIL  server: 9.2ok    token\n      a[2Jb\n"
    )]
    fn the_server_cannot_add_lines_to_a_finding(#[case] style: Style, #[case] expected: &str) {
        let finding =
            Finding::fail("server", "9.2\nok    token").with_hint("a\u{1b}[2Jb".to_owned());
        let mut out = Vec::new();
        finding.write(&mut out, style).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
