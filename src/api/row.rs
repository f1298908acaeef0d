//! One row of a list of guests, written by Perl: numbers may be texts, and texts numbers.

use std::borrow::Cow;
use std::fmt;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::types::{Glance, Guest, GuestKind, Node, Vmid};

/// What is read of a row. Numbers may arrive as strings and the other way round.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(expecting = "an object")]
pub(super) struct Row<'j> {
    #[serde(default, deserialize_with = "number")]
    pub(super) vmid: Option<u32>,
    #[serde(borrow, default, rename = "type", deserialize_with = "text")]
    pub(super) kind: Option<Cow<'j, str>>,
    #[serde(borrow, default, deserialize_with = "text")]
    pub(super) name: Option<Cow<'j, str>>,
    #[serde(borrow, default, deserialize_with = "text")]
    pub(super) node: Option<Cow<'j, str>>,
    #[serde(borrow, default, deserialize_with = "text")]
    pub(super) status: Option<Cow<'j, str>>,
    #[serde(default, deserialize_with = "flag")]
    pub(super) template: bool,
    #[serde(borrow, default, deserialize_with = "text")]
    pub(super) lock: Option<Cow<'j, str>>,
}

impl Row<'_> {
    /// What it shows, or what is wrong with the row; `of_node` stands in for what the rows of one
    /// node leave out.
    pub(super) fn glance(&self, of_node: Option<&Node>) -> Result<Glance<'_>, String> {
        let vmid = Vmid(self.vmid.ok_or("no vmid")?);
        let kind = match self.kind.as_deref() {
            Some("qemu") => GuestKind::Qemu,
            Some("lxc") => GuestKind::Lxc,
            Some(other) => return Err(format!("type '{other}' is neither qemu nor lxc")),
            None if of_node.is_some() => GuestKind::Qemu,
            None => return Err("no type".to_owned()),
        };
        if self.node.is_none() && of_node.is_none() {
            return Err("no node".to_owned());
        }
        let is_name = |name: &&str| !name.is_empty() && !is_no_name(name, vmid);
        Ok(Glance {
            vmid,
            kind,
            name: self.name.as_deref().filter(is_name),
            template: self.template,
            lock: self.lock.as_deref().filter(|lock| !lock.is_empty()),
        })
    }

    /// The guest that `glance` shows, to be kept.
    pub(super) fn guest(&self, glance: &Glance, of_node: Option<&Node>) -> Guest {
        let node = self.node.as_deref().map(|node| Node(node.to_owned()));
        Guest {
            vmid: glance.vmid,
            kind: glance.kind,
            name: glance.name.map(str::to_owned),
            node: node.or_else(|| of_node.cloned()).unwrap_or_default(),
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

/// A value of whatever type.
enum Loose<'j> {
    Null,
    Flag(bool),
    Number(f64),
    Whole(u64),
    Text(Cow<'j, str>),
    Other(Value),
}

impl<'de> Deserialize<'de> for Loose<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Loose<'de>, D::Error> {
        from.deserialize_any(Anything)
    }
}

struct Anything;

impl<'de> Visitor<'de> for Anything {
    type Value = Loose<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Loose<'de>, E> {
        Ok(Loose::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Loose<'de>, E> {
        Ok(Loose::Flag(flag))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Loose<'de>, E> {
        Ok(Loose::Whole(number))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Loose<'de>, E> {
        Ok(Loose::Other(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Loose<'de>, E> {
        Ok(Loose::Number(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Loose<'de>, E> {
        Ok(Loose::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Loose<'de>, E> {
        Ok(Loose::Text(Cow::Borrowed(text)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Loose<'de>, A::Error> {
        Value::deserialize(SeqAccessDeserializer::new(list)).map(Loose::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<Loose<'de>, A::Error> {
        Value::deserialize(MapAccessDeserializer::new(object)).map(Loose::Other)
    }
}

/// A text that may arrive as a number: a VM may be named `123`.
fn text<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Cow<'de, str>>, D::Error> {
    Ok(match Loose::deserialize(from)? {
        Loose::Null => None,
        Loose::Text(text) => Some(text),
        Loose::Whole(number) => Some(Cow::Owned(number.to_string())),
        Loose::Number(number) => Some(Cow::Owned(Value::from(number).to_string())),
        Loose::Other(Value::Number(number)) => Some(Cow::Owned(number.to_string())),
        Loose::Flag(flag) => return Err(D::Error::custom(format!("{flag} is no text"))),
        Loose::Other(other) => return Err(D::Error::custom(format!("{other} is no text"))),
    })
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
    match Loose::deserialize(from)? {
        Loose::Null => Ok(false),
        Loose::Flag(flag) => Ok(flag),
        Loose::Whole(number) => Ok(number != 0),
        Loose::Number(number) => Ok(number != 0.0),
        Loose::Text(text) => Ok(!matches!(text.as_ref(), "" | "0")),
        Loose::Other(Value::Number(_)) => Ok(true),
        Loose::Other(other) => Err(D::Error::custom(format!("{other} is no yes or no"))),
    }
}
