//! The finding of a check, and how it is printed.

use std::io::{self, Write};

use serde::Serialize;

use crate::pve;
use crate::say::failure::{Failure, Kind};
use crate::ui::table::Style;
use crate::ui::text::clean;

/// The result of a check.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// It works, but not in every case or not as expected.
    Warn,
    /// No VM can be created, or none from this template.
    Fail,
}

/// The finding of one check.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Finding {
    /// The result.
    pub result: Verdict,
    /// What was checked.
    pub check: String,
    /// What was found.
    pub detail: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// Whether the configuration is at fault, which has an exit code of its own.
    #[serde(skip)]
    pub is_config: bool,
}

/// Called with each finding as soon as it is known.
pub type Report<'t> = &'t mut dyn FnMut(Finding);

impl Finding {
    /// A check with this result.
    pub fn new(result: Verdict, check: impl Into<String>, detail: impl Into<String>) -> Finding {
        Finding {
            result,
            check: check.into(),
            detail: detail.into(),
            hint: None,
            is_config: false,
        }
    }

    /// A check that passed.
    pub fn ok(check: impl Into<String>, detail: impl Into<String>) -> Finding {
        Finding::new(Verdict::Ok, check, detail)
    }

    /// A check that found something unexpected.
    pub fn warn(check: impl Into<String>, detail: impl Into<String>) -> Finding {
        Finding::new(Verdict::Warn, check, detail)
    }

    /// A check that failed, with the message and the hint of a failure.
    pub fn fail(check: impl Into<String>, failure: Failure) -> Finding {
        Finding {
            hint: failure.hint,
            is_config: failure.kind == Kind::Config,
            ..Finding::new(Verdict::Fail, check, failure.message)
        }
    }

    /// A check that failed because a request did.
    pub fn of_request(check: impl Into<String>, error: &pve::Error) -> Finding {
        Finding::fail(check, Failure::of_request(error))
    }

    /// Sets the result.
    pub fn with_result(self, result: Verdict) -> Finding {
        Finding { result, ..self }
    }

    /// Sets what to do about it.
    pub fn with_hint(self, hint: impl Into<Option<String>>) -> Finding {
        let hint = hint.into();
        Finding { hint, ..self }
    }

    /// Writes it as one line, or at a terminal as two, with the hint in the second one.
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

/// All findings as one document.
pub fn document(findings: &[Finding]) -> impl Serialize + '_ {
    #[derive(Serialize)]
    struct Document<'f> {
        ok: bool,
        checks: &'f [Finding],
    }
    Document {
        ok: findings.iter().all(|it| it.result != Verdict::Fail),
        checks: findings,
    }
}

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
        let finding = Finding::new(Verdict::Fail, "server", "9.2\nok    token")
            .with_hint("a\u{1b}[2Jb".to_owned());
        let mut out = Vec::new();
        finding.write(&mut out, style).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
