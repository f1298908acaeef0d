//! What a run with `--json` reports.

use serde::Deserialize;
use serde_json::Value;

use crate::homelab::Seen;

/// The document on stdout.
#[derive(Debug, Deserialize, PartialEq, Eq)]
#[serde(untagged)]
pub(crate) enum Said {
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

/// Reads a success with exit code 0, or an error with exit code 1 or that of a signal. An error if they do not
/// match.
pub(crate) fn read(seen: &Seen) -> Result<Said, String> {
    let said: Value = serde_json::from_str(&seen.stdout)
        .map_err(|error| format!("exit {:?}, no JSON on stdout: {error}", seen.exit))?;
    let said: Said = serde_json::from_value(said)
        .map_err(|error| format!("exit {:?}, invalid document: {error}", seen.exit))?;
    match (seen.exit, said) {
        (Some(0), said @ Said::Ready(_)) | (Some(1 | 130 | 143), said @ Said::Failed { .. }) => {
            Ok(said)
        }
        (exit, said) => Err(format!("exit {exit:?} with {said:?}")),
    }
}
