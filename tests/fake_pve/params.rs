//! The parameters of a request, checked as Proxmox checks them.

use serde_json::{Map, Value, json};

use super::http::{Answer, Request};
use super::replies::{parameter_error, refuse_if_any};

pub(super) const UNKNOWN: &str =
    "property is not defined in schema and the schema does not allow additional properties";
pub(super) const MISSING: &str = "property is missing and it is not optional";

pub(super) struct Params(Vec<(String, String)>);

impl Params {
    pub(super) fn of(request: &Request) -> Self {
        Self(request.parameters())
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(known, _)| known == name)?;
        Some(value)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    pub(super) fn number(&self, name: &str, default: usize) -> Result<usize, Answer> {
        let Some(value) = self.get(name) else {
            return Ok(default);
        };
        let why = || format!("type check ('integer') failed - got '{value}'");
        value.parse().map_err(|_| parameter_error(name, &why()))
    }

    /// An error for every parameter that is not one of these.
    pub(super) fn unknown(&self, known: &[&str]) -> Map<String, Value> {
        self.0
            .iter()
            .filter(|(name, _)| !known.contains(&name.as_str()))
            .map(|(name, _)| (name.clone(), json!(UNKNOWN)))
            .collect()
    }

    pub(super) fn allow_only(&self, known: &[&str]) -> Result<(), Answer> {
        refuse_if_any(&self.unknown(known))
    }
}

pub(super) fn what_is_wrong_with_vmid(vmid: &str) -> Option<String> {
    match vmid.parse::<i64>() {
        Ok(100..=999_999_999) => None,
        Ok(_) => Some("invalid format - value does not look like a valid VM ID\n".to_owned()),
        Err(_) => Some(format!("type check ('integer') failed - got '{vmid}'")),
    }
}

pub(super) fn is_dns_name(name: &str) -> bool {
    name.split('.').all(|label| {
        let inner = |c: char| c.is_ascii_alphanumeric() || c == '-';
        !label.is_empty() && label.chars().all(inner) && label.trim_matches('-') == label
    })
}
