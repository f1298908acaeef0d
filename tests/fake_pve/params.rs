//! The parameters of a request, checked as Proxmox VE does.

use serde_json::{Map, Value, json};

use super::http::{Answer, Request};
use super::replies::{parameter_error, refuse_if_any};
use super::values::{Kind, MISSING, UNKNOWN, what_is_wrong};

pub(super) struct Params(Vec<(String, String)>);

/// The parameters that a request accepts, with their kinds.
pub(super) type Schema = [(&'static str, Kind)];

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

    /// An error for every parameter that is unknown or has an invalid value.
    fn errors(&self, known: &Schema) -> Map<String, Value> {
        let errors = self.iter().filter_map(|(name, value)| {
            let why = match known.iter().find(|(known, _)| *known == name) {
                None => UNKNOWN.to_owned(),
                Some((_, kind)) => what_is_wrong(*kind, name, value)?,
            };
            Some((name.to_owned(), json!(why)))
        });
        errors.collect()
    }

    pub(super) fn check(&self, known: &Schema) -> Result<(), Answer> {
        refuse_if_any(&self.errors(known))
    }

    /// Checks a request that must have these parameters, and those that others require.
    pub(super) fn check_all(
        &self,
        required: &[&str],
        pairs: &[(&str, &str)],
        known: &Schema,
    ) -> Result<(), Answer> {
        let mut errors = self.errors(known);
        errors.extend(self.missing(required));
        for (name, other) in pairs {
            if self.get(name).is_some() && self.get(other).is_none() {
                let why = format!("missing property required by '{name}'");
                errors.insert((*other).to_owned(), json!(why));
            }
        }
        refuse_if_any(&errors)
    }

    fn missing(&self, required: &[&str]) -> impl Iterator<Item = (String, Value)> {
        let missing = required.iter().filter(|name| self.get(name).is_none());
        missing.map(|name| ((*name).to_owned(), json!(MISSING)))
    }

    /// Checks a request whose path contains a VMID, which is a parameter like the others. All errors are
    /// reported in one answer.
    pub(super) fn check_for(
        &self,
        vmid: &str,
        required: &[&str],
        known: &Schema,
    ) -> Result<u32, Answer> {
        let mut errors = self.errors(known);
        errors.extend(self.missing(required));
        let why = what_is_wrong(Kind::Vmid, "vmid", vmid);
        errors.extend(why.map(|why| ("vmid".to_owned(), json!(why))));
        refuse_if_any(&errors)?;
        Ok(vmid.parse().expect("a valid VMID is a number"))
    }

    pub(super) fn leave_to_root(&self, name: &str) -> Result<(), Answer> {
        match self.get(name) {
            Some("1") => Err(parameter_error(name, "Only root may use this option.")),
            _ => Ok(()),
        }
    }
}
