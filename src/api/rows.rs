//! What a server's lists say of guests, read as loosely as it is written: row by row, so that one that
//! cannot be read does not hide the others.

use std::io::Read;

use super::inbox::{Inbox, Unread, first};
use super::row::Row;
use super::scan::scan;
use super::secret::Secret;
use super::types::{Glance, Guest, Node, Vmid};

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
    pub(super) keep: &'r dyn Fn(&Glance) -> bool,
}

impl Reading<'_> {
    /// Reads the array that a list endpoint gives. What repeats `secret` is masked.
    pub(super) fn read(&self, body: &mut dyn Read, secret: &Secret) -> Result<GuestList, Unread> {
        let mut list = GuestList::default();
        let mut number = 0;
        Inbox::of(body).rows(|inbox| {
            number += 1;
            match self.row(inbox)? {
                Ok((vmid, guest)) => {
                    list.vmids.push(vmid);
                    list.guests.extend(guest.map(|guest| masked(guest, secret)));
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
    fn row(&self, inbox: &mut Inbox) -> Result<Result<Seen, String>, Unread> {
        let seen = inbox.value(|json| {
            let (row, length) = scan(json).map_or_else(|| first(json), Ok)?;
            Ok((self.seen(&row), length))
        })?;
        if let Ok(seen) = seen {
            return Ok(seen);
        }
        // One bad byte in a name is replaced in this text.
        let text = inbox.skip()?;
        Ok(match serde_json::from_str(&text) {
            Ok(row) => self.seen(&row),
            Err(error) => Err(without_position(&error)),
        })
    }

    fn seen(&self, row: &Row) -> Result<Seen, String> {
        let glance = row.glance(self.of_node)?;
        let guest = (self.keep)(&glance).then(|| row.guest(&glance));
        Ok((glance.vmid, guest))
    }
}

/// A VMID, and the guest that has it if it is to be kept.
type Seen = (Vmid, Option<Guest>);

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
    use crate::api::types::GuestKind;
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
            keep: &|guest| guest.is_vm_template(),
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
