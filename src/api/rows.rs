//! What a server's lists say of guests, read as loosely as it is written: row by row, so that one that
//! cannot be read does not hide the others.

use std::borrow::Cow;
use std::fmt;
use std::io::Read;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::inbox::{Inbox, Unread, first};
use super::secret::Secret;
use super::types::{Guest, GuestKind, Node, Vmid};

/// A guest list as far as it could be read.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct GuestList {
    /// Those that were to be kept. Sorted by VMID as a number; the server sorts it as text.
    pub guests: Vec<Guest>,
    /// The VMIDs of all, sorted.
    pub vmids: Vec<Vmid>,
    /// How many rows could not be read.
    pub unreadable: usize,
    /// Where the first of those stands, and what is wrong with it.
    pub first_unreadable: Option<String>,
}

/// What to make of the rows of a list.
pub(super) struct Reading<'r> {
    /// Stands in for the node and type that rows of `/nodes/{node}/qemu` leave out.
    pub(super) of_node: Option<&'r Node>,
    /// Which guests to keep.
    pub(super) keep: &'r dyn Fn(&Guest) -> bool,
}

impl Reading<'_> {
    /// Reads the array that a list endpoint gives. What repeats `secret` is masked.
    pub(super) fn read(&self, body: &mut dyn Read, secret: &Secret) -> Result<GuestList, Unread> {
        let mut list = GuestList::default();
        let mut number = 0;
        Inbox::of(body).rows(|inbox| {
            number += 1;
            match self.guest(inbox)? {
                Ok(guest) => {
                    list.vmids.push(guest.vmid);
                    if (self.keep)(&guest) {
                        list.guests.push(masked(guest, secret));
                    }
                }
                Err(why) => {
                    list.unreadable += 1;
                    let why = || secret.masked_in(format!("row {number}: {why}"));
                    list.first_unreadable.get_or_insert_with(why);
                }
            }
            Ok(())
        })?;
        list.guests.sort_by_key(|guest| guest.vmid);
        list.vmids.sort_unstable();
        Ok(list)
    }

    /// The next row, or what is wrong with it: that costs nothing but this row.
    fn guest(&self, inbox: &mut Inbox) -> Result<Result<Guest, String>, Unread> {
        let guest = inbox.value(|json| {
            let (row, length) = first::<Row>(json)?;
            Ok((row.into_guest(self.of_node), length))
        })?;
        if let Ok(guest) = guest {
            return Ok(guest);
        }
        // One bad byte in a name is replaced in this text.
        let text = inbox.skip()?;
        Ok(match serde_json::from_str::<Row>(&text) {
            Ok(row) => row.into_guest(self.of_node),
            Err(error) => Err(without_position(&error)),
        })
    }
}

/// With all text as it may be shown: proxies repeat what they were sent.
fn masked(guest: Guest, secret: &Secret) -> Guest {
    let masked = |text: String| secret.masked_in(text);
    Guest {
        name: guest.name.map(masked),
        node: Node(masked(guest.node.0)),
        status: masked(guest.status),
        lock: guest.lock.map(masked),
        ..guest
    }
}

/// What is read of a row. Numbers may arrive as strings and the other way round.
#[derive(Deserialize)]
#[serde(expecting = "an object")]
struct Row<'j> {
    #[serde(default, deserialize_with = "number")]
    vmid: Option<u32>,
    #[serde(borrow, default, rename = "type", deserialize_with = "text")]
    kind: Option<Cow<'j, str>>,
    #[serde(borrow, default, deserialize_with = "text")]
    name: Option<Cow<'j, str>>,
    #[serde(borrow, default, deserialize_with = "text")]
    node: Option<Cow<'j, str>>,
    #[serde(borrow, default, deserialize_with = "text")]
    status: Option<Cow<'j, str>>,
    #[serde(default, deserialize_with = "flag")]
    template: bool,
    #[serde(borrow, default, deserialize_with = "text")]
    lock: Option<Cow<'j, str>>,
}

impl Row<'_> {
    fn into_guest(self, of_node: Option<&Node>) -> Result<Guest, String> {
        let vmid = Vmid(self.vmid.ok_or("no vmid")?);
        let kind = match self.kind.as_deref() {
            Some("qemu") => GuestKind::Qemu,
            Some("lxc") => GuestKind::Lxc,
            Some(other) => return Err(format!("type '{other}' is neither qemu nor lxc")),
            None if of_node.is_some() => GuestKind::Qemu,
            None => return Err("no type".to_owned()),
        };
        let node = self.node.map(|node| Node(node.into_owned()));
        let name = self.name.filter(|name| !name.is_empty());
        Ok(Guest {
            vmid,
            kind,
            name: name
                .filter(|name| !is_no_name(name, vmid))
                .map(Cow::into_owned),
            node: node.or_else(|| of_node.cloned()).ok_or("no node")?,
            status: self
                .status
                .map_or_else(|| "unknown".to_owned(), Cow::into_owned),
            template: self.template,
            lock: self
                .lock
                .filter(|lock| !lock.is_empty())
                .map(Cow::into_owned),
        })
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

    fn read(rows: &str, of_node: Option<&Node>) -> GuestList {
        let body = format!(r#"{{"data":{rows}}}"#);
        let reading = Reading {
            of_node,
            keep: &|_| true,
        };
        let secret = Secret::new("the secret".to_owned());
        reading.read(&mut body.as_bytes(), &secret).unwrap()
    }

    fn list(rows: &str) -> GuestList {
        read(rows, None)
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
        let list = read(json, Some(&Node("pve1".into())));
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

    #[test]
    fn what_is_not_to_be_kept_leaves_its_vmid_only() {
        let row = |vmid, flag| {
            format!(r#"{{"vmid":{vmid},"type":"qemu","node":"pve1","template":{flag}}}"#)
        };
        let body = format!(r#"{{"data":[{},{}]}}"#, row(1000, 0), row(101, 1));
        let reading = Reading {
            of_node: None,
            keep: &Guest::is_vm_template,
        };
        let secret = Secret::new("the secret".to_owned());
        let list = reading.read(&mut body.as_bytes(), &secret).unwrap();
        let kept: Vec<u32> = list.guests.iter().map(|guest| guest.vmid.0).collect();
        assert_eq!((kept, list.vmids), (vec![101], vec![Vmid(101), Vmid(1000)]));
    }

    #[test]
    fn a_secret_that_is_repeated_is_masked() {
        let rows = r#"[{"vmid":101,"type":"qemu","node":"the secret","name":"a the secret","status":"the secret","lock":"the secret"},
            {"vmid":102,"type":"the secret"}]"#;
        let list = list(rows);
        let text = format!("{list:?}");
        assert_eq!(
            (
                text.matches("(secret)").count(),
                text.contains("the secret")
            ),
            (5, false)
        );
    }
}
