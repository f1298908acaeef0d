//! What a server's lists say of guests, read as loosely as it is written: row by row, so that one that
//! cannot be read does not hide the others.

use std::fmt;

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use super::types::{Guest, GuestKind, Node, Vmid};

/// A guest list as far as it could be read.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct GuestList {
    /// Sorted by VMID as a number; the server sorts it as text.
    pub guests: Vec<Guest>,
    /// How many rows could not be read.
    pub unreadable: usize,
    /// Where the first of those stands, and what is wrong with it.
    pub first_unreadable: Option<String>,
}

/// Reads the array that a list endpoint gave; `of_node` stands in for the node and type that
/// rows of `/nodes/{node}/qemu` leave out.
pub(super) fn read(data: &RawValue, of_node: Option<&Node>) -> Result<GuestList, String> {
    let mut rows = serde_json::Deserializer::from_str(data.get());
    let list = rows.deserialize_seq(Rows { of_node });
    let mut list = list.map_err(|_| "a list of guests".to_owned())?;
    list.guests.sort_by_key(|guest| guest.vmid);
    Ok(list)
}

/// Reads one row after the other, so that one that cannot be read costs nothing but itself.
struct Rows<'n> {
    of_node: Option<&'n Node>,
}

impl<'de> Visitor<'de> for Rows<'_> {
    type Value = GuestList;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut rows: A) -> Result<GuestList, A::Error> {
        let mut list = GuestList::default();
        while let Some(row) = rows.next_element::<&RawValue>()? {
            let guest: Result<Guest, String> = serde_json::from_str::<Row>(row.get())
                .map_err(|error| without_position(&error))
                .and_then(|row| row.into_guest(self.of_node));
            match guest {
                Ok(guest) => list.guests.push(guest),
                Err(why) => {
                    let number = list.guests.len() + list.unreadable + 1;
                    list.unreadable += 1;
                    let first = &mut list.first_unreadable;
                    first.get_or_insert_with(|| format!("row {number}: {why}"));
                }
            }
        }
        Ok(list)
    }
}

/// What is read of a row. Numbers may arrive as strings and the other way round.
#[derive(Deserialize)]
#[serde(expecting = "an object")]
struct Row {
    #[serde(default, deserialize_with = "number")]
    vmid: Option<u32>,
    #[serde(default, rename = "type", deserialize_with = "text")]
    kind: Option<String>,
    #[serde(default, deserialize_with = "text")]
    name: Option<String>,
    #[serde(default, deserialize_with = "text")]
    node: Option<String>,
    #[serde(default, deserialize_with = "text")]
    status: Option<String>,
    #[serde(default, deserialize_with = "flag")]
    template: bool,
    #[serde(default, deserialize_with = "text")]
    lock: Option<String>,
}

impl Row {
    fn into_guest(self, of_node: Option<&Node>) -> Result<Guest, String> {
        let vmid = Vmid(self.vmid.ok_or("no vmid")?);
        let kind = match self.kind.as_deref() {
            Some("qemu") => GuestKind::Qemu,
            Some("lxc") => GuestKind::Lxc,
            Some(other) => return Err(format!("type '{other}' is neither qemu nor lxc")),
            None if of_node.is_some() => GuestKind::Qemu,
            None => return Err("no type".to_owned()),
        };
        let node = self.node.map(Node).or_else(|| of_node.cloned());
        // What `/nodes/{node}/qemu` calls a VM whose configuration has no name yet.
        let no_name = format!("VM {vmid}");
        Ok(Guest {
            vmid,
            kind,
            name: self
                .name
                .filter(|name| !name.is_empty() && *name != no_name),
            node: node.ok_or("no node")?,
            status: self.status.unwrap_or_else(|| "unknown".to_owned()),
            template: self.template,
            lock: self.lock.filter(|lock| !lock.is_empty()),
        })
    }
}

/// A text that may arrive as a number: a VM may be named `123`.
fn text<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    match Value::deserialize(from)? {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text)),
        Value::Number(number) => Ok(Some(number.to_string())),
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

/// `serde_json` counts lines and columns within the row, which helps nobody.
fn without_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn list(json: &str) -> GuestList {
        read(&RawValue::from_string(json.to_owned()).unwrap(), None).unwrap()
    }

    fn row(fields: &str) -> Result<Guest, String> {
        let list = list(&format!("[{fields}]"));
        list.guests
            .into_iter()
            .next()
            .ok_or_else(|| list.first_unreadable.unwrap_or_default())
    }

    #[rstest]
    #[case::text_for_a_number(r#"{"vmid":"101","type":"qemu","node":"pve1","template":"1"}"#)]
    #[case::number_for_a_text(r#"{"vmid":101,"type":"qemu","node":"pve1","template":1}"#)]
    #[case::truth_as_truth(r#"{"vmid":101,"type":"qemu","node":"pve1","template":true}"#)]
    fn loose_types_are_taken_as_meant(#[case] json: &str) {
        let expected = Guest {
            vmid: Vmid(101),
            kind: GuestKind::Qemu,
            name: None,
            node: Node("pve1".into()),
            status: "unknown".into(),
            template: true,
            lock: None,
        };
        assert_eq!(row(json), Ok(expected));
    }

    #[test]
    fn a_name_may_arrive_as_a_number() {
        let guest = row(r#"{"vmid":101,"type":"qemu","node":"pve1","name":123}"#).unwrap();
        assert_eq!(guest.name.as_deref(), Some("123"));
    }

    #[rstest]
    #[case::no_vmid(r#"{"type":"qemu","node":"pve1"}"#, "no vmid")]
    #[case::no_type(r#"{"vmid":101,"node":"pve1"}"#, "no type")]
    #[case::no_node(r#"{"vmid":101,"type":"qemu"}"#, "no node")]
    #[case::strange_type(
        r#"{"vmid":101,"type":"openvz","node":"pve1"}"#,
        "type 'openvz' is neither qemu nor lxc"
    )]
    #[case::vmid_is_a_word(r#"{"vmid":"x","type":"qemu"}"#, "'x' is no VMID")]
    #[case::name_is_a_list(
        r#"{"vmid":101,"type":"qemu","node":"pve1","name":[]}"#,
        "[] is no text"
    )]
    fn an_unreadable_row_says_why(#[case] json: &str, #[case] why: &str) {
        assert_eq!(row(json), Err(format!("row 1: {why}")));
    }

    #[rstest]
    #[case::null("null")]
    #[case::number("7")]
    #[case::list("[]")]
    #[case::twice_the_same_key(r#"{"vmid":1,"vmid":2}"#)]
    fn an_unreadable_row_does_not_hide_the_others(#[case] strange: &str) {
        let good = r#"{"vmid":101,"type":"qemu","node":"pve1"}"#;
        let list = list(&format!("[{strange},{good}]"));
        assert_eq!((list.guests.len(), list.unreadable), (1, 1));
    }

    #[test]
    fn guests_are_sorted_by_vmid_as_a_number() {
        let row = |vmid| format!(r#"{{"vmid":{vmid},"type":"qemu","node":"pve1"}}"#);
        let list = list(&format!("[{},{},{}]", row(100), row(1000), row(101)));
        let vmids: Vec<u32> = list.guests.iter().map(|guest| guest.vmid.0).collect();
        assert_eq!(vmids, [100, 101, 1000]);
    }

    #[test]
    fn a_row_of_a_node_needs_neither_type_nor_node() {
        let json = r#"[{"vmid":284,"name":"VM 284","lock":"clone","status":"stopped"}]"#;
        let data = RawValue::from_string(json.to_owned()).unwrap();
        let list = read(&data, Some(&Node("pve1".into()))).unwrap();
        let expected = Guest {
            vmid: Vmid(284),
            kind: GuestKind::Qemu,
            name: None,
            node: Node("pve1".into()),
            status: "stopped".into(),
            template: false,
            lock: Some("clone".into()),
        };
        assert_eq!(list.guests, [expected]);
    }

    #[rstest]
    #[case::null("null")]
    #[case::object("{}")]
    fn what_is_no_list_is_said_to_be_none(#[case] json: &str) {
        let data = RawValue::from_string(json.to_owned()).unwrap();
        assert_eq!(read(&data, None), Err("a list of guests".to_owned()));
    }
}
