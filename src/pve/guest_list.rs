//! Lists of guests, parsed leniently: numbers may arrive as strings and strings as numbers, and an
//! unreadable row does not hide the others.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::pve::secret::Secret;
use crate::pve::types::{Guest, GuestDetails, GuestKind, Node, Pool, Vmid};

/// The readable part of a list of guests.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct GuestList {
    /// The guests that were kept, sorted by VMID as a number; the server sorts by VMID as text.
    pub guests: Vec<Guest>,
    /// The VMIDs of all guests, sorted.
    pub vmids: Vec<Vmid>,
    /// How many rows could not be read.
    pub unreadable: usize,
    /// The number of the first unreadable row, and its error.
    pub first_unreadable: Option<String>,
}

/// Selects the guests that a list keeps. Their details are not known yet.
pub type Keep<'k> = &'k dyn Fn(&Guest) -> bool;

/// Parses the rows of a list and keeps the guests that `keep` accepts without their details. `of_node` is the node in
/// `/nodes/{node}/qemu`, whose rows have neither node nor type. `secret` is masked in all text.
pub fn read(rows: &[&RawValue], of_node: Option<&Node>, keep: Keep, secret: &Secret) -> GuestList {
    let mut list = GuestList::default();
    for (row, number) in rows.iter().zip(1..) {
        match guest(row, of_node) {
            Ok(guest) => {
                list.vmids.push(guest.vmid);
                if keep(&guest) {
                    let details = details(row);
                    let guest = Guest { details, ..guest };
                    list.guests.push(masked(guest, secret));
                }
            }
            Err(why) => {
                list.unreadable += 1;
                let why = || secret.masked_in(format!("row {number}: {why}"));
                list.first_unreadable.get_or_insert_with(why);
            }
        }
    }
    list.guests.sort_by_key(|guest| guest.vmid);
    list.vmids.sort_unstable();
    list
}

/// Masking the body does not find a secret that is written with JSON escapes.
fn masked(guest: Guest, secret: &Secret) -> Guest {
    let masked = |text: String| secret.masked_in(text);
    let details = guest.details;
    Guest {
        name: guest.name.map(masked),
        node: Node(masked(guest.node.0)),
        status: masked(guest.status),
        lock: guest.lock.map(masked),
        details: GuestDetails {
            tags: details.tags.map(masked),
            pool: details.pool.map(|Pool(pool)| Pool(masked(pool))),
            ..details
        },
        ..guest
    }
}

/// Parses one row; the error says what is wrong with it.
fn guest(row: &RawValue, of_node: Option<&Node>) -> Result<Guest, String> {
    let row: Row = serde_json::from_str(row.get()).map_err(|error| without_position(&error))?;
    let vmid = row.vmid.ok_or("no vmid")?;
    let number = vmid.parse();
    let vmid = Vmid(number.map_err(|_| format!("'{vmid}' is not a VMID"))?);
    let kind = match row.kind.as_deref() {
        Some("qemu") => GuestKind::Qemu,
        Some("lxc") => GuestKind::Lxc,
        Some(other) => return Err(format!("type '{other}' is neither qemu nor lxc")),
        None if of_node.is_some() => GuestKind::Qemu,
        None => return Err("no type".to_owned()),
    };
    // Some lists show `VM 101` for a VM whose configuration has no name yet.
    let is_name = |name: &String| !name.is_empty() && *name != format!("VM {vmid}");
    let node = row.node.map(Node).or_else(|| of_node.cloned());
    Ok(Guest {
        vmid,
        kind,
        name: row.name.filter(is_name),
        node: node.ok_or("no node")?,
        status: row.status.unwrap_or_else(|| "unknown".to_owned()),
        template: row.template,
        lock: row.lock.filter(|lock| !lock.is_empty()),
        details: GuestDetails::default(),
    })
}

/// The details of a row. They are parsed separately, because most lists keep few of their rows.
fn details(row: &RawValue) -> GuestDetails {
    let row: DetailsRow = serde_json::from_str(row.get()).unwrap_or_default();
    GuestDetails {
        cores: row.maxcpu.or(row.cpus),
        memory: row.maxmem,
        uptime: row.uptime,
        tags: row.tags,
        pool: row.pool.map(Pool),
    }
}

#[derive(Default, Deserialize)]
#[serde(default, expecting = "an object")]
struct Row {
    #[serde(deserialize_with = "text")]
    vmid: Option<String>,
    #[serde(rename = "type", deserialize_with = "text")]
    kind: Option<String>,
    #[serde(deserialize_with = "text")]
    name: Option<String>,
    #[serde(deserialize_with = "text")]
    node: Option<String>,
    #[serde(deserialize_with = "text")]
    status: Option<String>,
    #[serde(deserialize_with = "flag")]
    template: bool,
    #[serde(deserialize_with = "text")]
    lock: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct DetailsRow {
    /// In the cluster's list.
    #[serde(deserialize_with = "figure")]
    maxcpu: Option<u64>,
    /// In a node's list.
    #[serde(deserialize_with = "figure")]
    cpus: Option<u64>,
    #[serde(deserialize_with = "figure")]
    maxmem: Option<u64>,
    #[serde(deserialize_with = "figure")]
    uptime: Option<u64>,
    #[serde(deserialize_with = "optional_text")]
    tags: Option<String>,
    #[serde(deserialize_with = "optional_text")]
    pool: Option<String>,
}

/// Text that may arrive as a number: a VM may be named `123`.
fn text<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    match Value::deserialize(from)? {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text)),
        Value::Number(number) => Ok(Some(number.to_string())),
        other => Err(D::Error::custom(format!("{other} is not text"))),
    }
}

/// Text without which a row is still of use; empty text is none.
pub fn optional_text<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Ok(match Value::deserialize(from)? {
        Value::String(text) if !text.is_empty() => Some(text),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    })
}

/// A figure without which a row is still of use; a fraction is rounded up.
pub fn figure<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    let figure = match Value::deserialize(from)? {
        Value::Number(number) => number.as_u64().or_else(|| rounded_up(number.as_f64()?)),
        Value::String(text) => text.parse().ok().or_else(|| rounded_up(text.parse().ok()?)),
        _ => None,
    };
    Ok(figure)
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the range is checked"
)]
fn rounded_up(number: f64) -> Option<u64> {
    (0.0..1e15).contains(&number).then(|| number.ceil() as u64)
}

/// A boolean as Perl writes it: `1`, `"1"` or `true`.
pub fn flag<'de, D: Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    match Value::deserialize(from)? {
        Value::Null => Ok(false),
        Value::Bool(flag) => Ok(flag),
        Value::Number(number) => Ok(number.as_f64() != Some(0.0)),
        Value::String(text) => Ok(!matches!(text.as_str(), "" | "0")),
        other => Err(D::Error::custom(format!("{other} is not a boolean"))),
    }
}

/// The error without line and column, which are relative to the row.
fn without_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let end = text.rfind(" at line ").unwrap_or(text.len());
    text[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pve::types::GuestKind;
    use rstest::rstest;

    fn read(rows: &str, of_node: Option<&Node>, keep: &dyn Fn(&Guest) -> bool) -> GuestList {
        let rows: Vec<&RawValue> = serde_json::from_str(rows).unwrap();
        let secret = Secret::new("the secret".to_owned());
        super::read(&rows, of_node, keep, &secret)
    }

    fn list(rows: &str) -> GuestList {
        read(rows, None, &|_| true)
    }

    fn row(fields: &str) -> Result<Guest, String> {
        let list = list(&format!("[{fields}]"));
        list.guests
            .into_iter()
            .next()
            .ok_or_else(|| list.first_unreadable.unwrap_or_default())
    }

    #[rstest]
    #[case::string_for_a_number(r#"{"vmid":"101","type":"qemu","node":"pve1","template":"1"}"#)]
    #[case::number_for_a_flag(r#"{"vmid":101,"type":"qemu","node":"pve1","template":1}"#)]
    #[case::boolean(r#"{"vmid":101,"type":"qemu","node":"pve1","template":true}"#)]
    fn numbers_and_strings_are_interchangeable(#[case] json: &str) {
        let expected = Guest {
            vmid: Vmid(101),
            kind: GuestKind::Qemu,
            name: None,
            node: Node("pve1".into()),
            status: "unknown".into(),
            template: true,
            lock: None,
            details: GuestDetails::default(),
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
    #[case::unknown_type(
        r#"{"vmid":101,"type":"openvz","node":"pve1"}"#,
        "type 'openvz' is neither qemu nor lxc"
    )]
    #[case::vmid_is_not_a_number(r#"{"vmid":"x","type":"qemu"}"#, "'x' is not a VMID")]
    #[case::name_is_a_list(
        r#"{"vmid":101,"type":"qemu","node":"pve1","name":[]}"#,
        "[] is not text"
    )]
    fn the_error_about_an_unreadable_row_says_what_is_wrong(#[case] json: &str, #[case] why: &str) {
        assert_eq!(row(json), Err(format!("row 1: {why}")));
    }

    /// Cores, memory, uptime, tags and pool.
    type Shown = (
        Option<u64>,
        Option<u64>,
        Option<u64>,
        Option<&'static str>,
        Option<&'static str>,
    );

    #[rstest]
    #[case::of_the_cluster(
        r#""maxcpu":2,"maxmem":536870912,"uptime":84,"tags":"prod;web","pool":"lab""#,
        (Some(2), Some(536_870_912), Some(84), Some("prod;web"), Some("lab"))
    )]
    #[case::of_a_node(r#""cpus":2,"maxmem":1,"uptime":0"#, (Some(2), Some(1), Some(0), None, None))]
    #[case::text_for_a_number(
        r#""maxcpu":"2","maxmem":"1e3","uptime":"84","tags":7,"pool":8"#,
        (Some(2), Some(1000), Some(84), Some("7"), Some("8"))
    )]
    #[case::limit_of_a_container(r#""maxcpu":1.5"#, (Some(2), None, None, None, None))]
    #[case::unreadable(
        r#""maxcpu":[],"maxmem":-1,"uptime":"x","tags":{},"pool":true"#,
        (None, None, None, None, None)
    )]
    #[case::empty(r#""tags":"","pool":"","maxcpu":null"#, (None, None, None, None, None))]
    fn details_are_read_where_they_can_be(#[case] fields: &str, #[case] expected: Shown) {
        let json = format!(r#"{{"vmid":101,"type":"qemu","node":"pve1",{fields}}}"#);
        let details = row(&json).unwrap().details;
        let pool = details.pool.map(|pool| pool.0);
        let tags = details.tags.as_deref();
        assert_eq!(
            (
                details.cores,
                details.memory,
                details.uptime,
                tags,
                pool.as_deref()
            ),
            expected
        );
    }

    #[rstest]
    #[case::null("null")]
    #[case::number("7")]
    #[case::list("[]")]
    #[case::duplicate_key(r#"{"vmid":1,"vmid":2}"#)]
    fn an_unreadable_row_does_not_hide_the_others(#[case] unreadable: &str) {
        let good = r#"{"vmid":101,"type":"qemu","node":"pve1"}"#;
        let list = list(&format!("[{unreadable},{good}]"));
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
    fn a_row_in_a_nodes_list_needs_neither_type_nor_node() {
        let json = r#"[{"vmid":284,"name":"VM 284","lock":"clone","status":"stopped"}]"#;
        let list = read(json, Some(&Node("pve1".into())), &|_| true);
        let expected = Guest {
            vmid: Vmid(284),
            kind: GuestKind::Qemu,
            name: None,
            node: Node("pve1".into()),
            status: "stopped".into(),
            template: false,
            lock: Some("clone".into()),
            details: GuestDetails::default(),
        };
        assert_eq!(list.guests, [expected]);
    }

    #[test]
    fn only_the_vmid_of_a_guest_that_is_filtered_out_is_kept() {
        let row = |vmid, flag| {
            format!(r#"{{"vmid":{vmid},"type":"qemu","node":"pve1","template":{flag}}}"#)
        };
        let rows = format!("[{},{}]", row(1000, 0), row(101, 1));
        let list = read(&rows, None, &Guest::is_vm_template);
        let kept: Vec<u32> = list.guests.iter().map(|guest| guest.vmid.0).collect();
        assert_eq!((kept, list.vmids), (vec![101], vec![Vmid(101), Vmid(1000)]));
    }
}
