//! One row of a list of guests, written by Perl: numbers may be texts, and texts numbers.

use std::borrow::Cow;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::types::{Glance, Guest, GuestKind, Node, Vmid};

/// What is read of a row. Numbers may arrive as strings and the other way round.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(expecting = "an object")]
pub(super) struct Row<'j> {
    #[serde(default, deserialize_with = "number")]
    pub(super) vmid: Option<u32>,
    #[serde(default, rename = "type", deserialize_with = "text")]
    pub(super) kind: Option<Cow<'j, str>>,
    #[serde(default, deserialize_with = "text")]
    pub(super) name: Option<Cow<'j, str>>,
    #[serde(default, deserialize_with = "text")]
    pub(super) node: Option<Cow<'j, str>>,
    #[serde(default, deserialize_with = "text")]
    pub(super) status: Option<Cow<'j, str>>,
    #[serde(default, deserialize_with = "flag")]
    pub(super) template: bool,
    #[serde(default, deserialize_with = "text")]
    pub(super) lock: Option<Cow<'j, str>>,
}

impl Row<'_> {
    /// What it shows, or what is wrong with the row; `of_node` stands in for what the rows of one
    /// node leave out.
    pub(super) fn glance<'g>(&'g self, of_node: Option<&'g Node>) -> Result<Glance<'g>, String> {
        let vmid = Vmid(self.vmid.ok_or("no vmid")?);
        let kind = match self.kind.as_deref() {
            Some("qemu") => GuestKind::Qemu,
            Some("lxc") => GuestKind::Lxc,
            Some(other) => return Err(format!("type '{other}' is neither qemu nor lxc")),
            None if of_node.is_some() => GuestKind::Qemu,
            None => return Err("no type".to_owned()),
        };
        let of_node = of_node.map(|node| node.0.as_str());
        let is_name = |name: &&str| !name.is_empty() && !is_no_name(name, vmid);
        Ok(Glance {
            vmid,
            kind,
            name: self.name.as_deref().filter(is_name),
            node: self.node.as_deref().or(of_node).ok_or("no node")?,
            template: self.template,
            lock: self.lock.as_deref().filter(|lock| !lock.is_empty()),
        })
    }

    /// The guest that `glance` shows, to be kept.
    pub(super) fn guest(&self, glance: &Glance) -> Guest {
        Guest {
            vmid: glance.vmid,
            kind: glance.kind,
            name: glance.name.map(str::to_owned),
            node: Node(glance.node.to_owned()),
            status: self.status.as_deref().unwrap_or("unknown").to_owned(),
            template: glance.template,
            lock: glance.lock.map(str::to_owned),
        }
    }
}

/// `VM 101` is what `/nodes/{node}/qemu` calls a VM whose configuration has no name yet.
fn is_no_name(name: &str, vmid: Vmid) -> bool {
    let number = name.strip_prefix("VM ");
    number.is_some_and(|number| number == vmid.to_string())
}

/// A text that may arrive as a number: a VM may be named `123`.
fn text<'de, 'j, D: Deserializer<'de>>(from: D) -> Result<Option<Cow<'j, str>>, D::Error> {
    match Value::deserialize(from)? {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(Cow::Owned(text))),
        Value::Number(number) => Ok(Some(Cow::Owned(number.to_string()))),
        other => Err(D::Error::custom(format!("{other} is no text"))),
    }
}

fn number<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u32>, D::Error> {
    match text(from)? {
        None => Ok(None),
        Some(text) => match text.parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(D::Error::custom(format!("'{text}' is no VMID"))),
        },
    }
}

/// Perl's truth on the wire: `1`, `"1"` or `true`.
fn flag<'de, D: Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    match Value::deserialize(from)? {
        Value::Null => Ok(false),
        Value::Bool(flag) => Ok(flag),
        Value::Number(number) => Ok(number.as_f64() != Some(0.0)),
        Value::String(text) => Ok(!matches!(text.as_str(), "" | "0")),
        other => Err(D::Error::custom(format!("{other} is no yes or no"))),
    }
}
