//! What a check has found.

use serde::Serialize;

use crate::say::failure::{Kind, Report};

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
}

/// Hears of each finding.
pub type Hearer<'h> = &'h mut dyn FnMut(Finding);
