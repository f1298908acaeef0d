//! The report of a run with `--json`.

use serde::Deserialize;
use serde_json::Value;

use crate::homelab::Seen;

/// The document on stdout.
#[derive(Debug, Deserialize, PartialEq, Eq)]
#[serde(untagged)]
pub(crate) enum Report {
    Ready(Ready),
    Failed { error: Failure },
}

#[derive(Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ready {
    pub(crate) vmid: u32,
    pub(crate) name: String,
    pub(crate) node: String,
    pub(crate) created: bool,
    pub(crate) upid: Option<String>,
    pub(crate) ip: Option<String>,
    /// All addresses that the guest agent reported, if the run waited for one.
    #[serde(default)]
    pub(crate) ips: Option<Value>,
    /// The image of a template.
    #[serde(default)]
    pub(crate) image: Option<String>,
    #[serde(default)]
    pub(crate) warnings: Vec<String>,
}

#[derive(Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Failure {
    pub(crate) kind: String,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
    pub(crate) vmid: Option<u32>,
    pub(crate) upid: Option<String>,
    pub(crate) node: Option<String>,
    pub(crate) started: String,
    #[serde(default)]
    pub(crate) log: Vec<String>,
}

/// A success with exit code 0, or an error with exit code 1 or that of a signal; otherwise an explanation
/// of what is wrong.
pub(crate) fn read(seen: &Seen) -> Result<Report, String> {
    let report: Value = serde_json::from_str(&seen.stdout)
        .map_err(|error| format!("exit {:?}, no JSON on stdout: {error}", seen.exit))?;
    let report: Report = serde_json::from_value(report)
        .map_err(|error| format!("exit {:?}, unexpected JSON: {error}", seen.exit))?;
    match (seen.exit, report) {
        (Some(0), report @ Report::Ready(_))
        | (Some(1 | 130 | 143), report @ Report::Failed { .. }) => Ok(report),
        (exit, report) => Err(format!("exit {exit:?} with {report:?}")),
    }
}
