//! The quick way through a row: two thirds of what the server tells of a guest is of no use here, and
//! a list has as many rows as a cluster has guests.

#![allow(
    clippy::inline_always,
    reason = "a release is built for its size, and calls take a third of the time here"
)]

use std::borrow::Cow;

use super::row::Row;

/// The row that `json` begins with, and where it ends; `None` unless it is all there and written as
/// Proxmox writes nearly all of them: without white space, escapes, or values within values. What
/// that leaves is read by `serde_json`, which also says what is wrong with it. Of
/// numbers that are of no use only the end is looked for.
pub(super) fn scan(json: &[u8]) -> Option<(Row<'_>, usize)> {
    let mut row = Row::default();
    let mut template = None;
    // By patterns throughout: a prefix is compared by a call, which takes longer than most texts.
    let [b'{', rest @ ..] = json else {
        return None;
    };
    let mut rest = rest;
    loop {
        let (key, after) = text(rest)?;
        let [b':', after @ ..] = after else {
            return None;
        };
        let (value, after) = value(after)?;
        take(&mut row, &mut template, key, value)?;
        match after {
            [b',', after @ ..] => rest = after,
            [b'}', after @ ..] => {
                row.template = template == Some(true);
                return Some((row, json.len() - after.len()));
            }
            _ => return None,
        }
    }
}

#[derive(Clone, Copy)]
enum Value<'j> {
    Text(&'j [u8]),
    Number(&'j [u8]),
}

/// `"…"`, and what is behind it.
#[inline(always)]
fn text(json: &[u8]) -> Option<(&[u8], &[u8])> {
    let [b'"', text @ ..] = json else {
        return None;
    };
    let end = find(text, |word| has(b'"', word) | has(b'\\', word))?;
    match text.split_at_checked(end)? {
        (text, [b'"', rest @ ..]) => Some((text, rest)),
        _ => None,
    }
}

#[inline(always)]
fn value(json: &[u8]) -> Option<(Value<'_>, &[u8])> {
    match json {
        [b'"', ..] => text(json).map(|(text, rest)| (Value::Text(text), rest)),
        [b'0'..=b'9' | b'-', ..] => {
            let (number, rest) = json.split_at_checked(find(json, |word| {
                has(b',', word) | has(b'}', word) | has(b'"', word)
            })?)?;
            Some((Value::Number(number), rest))
        }
        _ => None,
    }
}

/// Where the first character stands that `hits` marks, looked for eight at a time: most texts and
/// numbers are not longer.
#[inline(always)]
fn find(json: &[u8], hits: impl Fn(u64) -> u64) -> Option<usize> {
    let mut rest = json;
    while let Some((eight, after)) = rest.split_first_chunk() {
        let hits = hits(u64::from_le_bytes(*eight));
        if hits != 0 {
            return Some(json.len() - rest.len() + hits.trailing_zeros() as usize / 8);
        }
        rest = after;
    }
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let hits = hits(u64::from_le_bytes(last));
    (hits != 0).then(|| json.len() - rest.len() + hits.trailing_zeros() as usize / 8)
}

/// The highest bit of each byte of `word` that is `byte`, and maybe of some behind the first.
#[inline(always)]
fn has(byte: u8, word: u64) -> u64 {
    const EACH: u64 = 0x0101_0101_0101_0101;

    // What is zero here borrows from its highest bit.
    let word = word ^ (EACH * u64::from(byte));
    word.wrapping_sub(EACH) & !word & (EACH << 7)
}

#[inline(always)]
fn take<'j>(
    row: &mut Row<'j>,
    template: &mut Option<bool>,
    key: &[u8],
    value: Value<'j>,
) -> Option<()> {
    // A key that comes twice makes a row that cannot be read.
    let place = match key {
        b"vmid" => {
            let Value::Number(number) = value else {
                return None;
            };
            if matches!(number, [b'0', _, ..]) {
                return None;
            }
            let number = str::from_utf8(number).ok()?.parse().ok()?;
            return row.vmid.replace(number).is_none().then_some(());
        }
        b"template" => {
            let Value::Number(flag @ (b"0" | b"1")) = value else {
                return None;
            };
            return template.replace(flag == b"1").is_none().then_some(());
        }
        b"type" => &mut row.kind,
        b"name" => &mut row.name,
        b"node" => &mut row.node,
        b"status" => &mut row.status,
        b"lock" => &mut row.lock,
        _ => return Some(()),
    };
    let Value::Text(text) = value else {
        return None;
    };
    if text.iter().any(u8::is_ascii_control) {
        return None;
    }
    let before = place.replace(Cow::Borrowed(str::from_utf8(text).ok()?));
    before.is_none().then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const ROW: &str = r#"{"cpu":0.0132,"disk":0,"id":"qemu/101","lock":"backup","mem":-1,"name":"web-1.é","netin":12e+3,"node":"pve1","status":"running","tags":"a;b","template":0,"type":"qemu","vmid":101}"#;

    #[rstest]
    #[case::all_there_is_to_know(ROW)]
    #[case::template(r#"{"template":1,"vmid":9000,"type":"qemu"}"#)]
    #[case::nothing_of_use(r#"{"cpu":1}"#)]
    fn a_row_is_read_as_serde_json_reads_it(#[case] json: &str) {
        let expected: Row = serde_json::from_str(json).unwrap();
        for behind in ["", ",", "]}", "{"] {
            let json = format!("{json}{behind}");
            let (row, length) = scan(json.as_bytes()).unwrap();
            assert_eq!((&row, length), (&expected, json.len() - behind.len()));
        }
    }

    #[test]
    fn what_has_not_come_to_its_end_is_no_row_yet() {
        for end in 0..ROW.len() {
            assert_eq!(scan(&ROW.as_bytes()[..end]), None, "{end}");
        }
    }

    #[rstest]
    #[case::no_object("[1]")]
    #[case::empty("{}")]
    #[case::white_space(r#"{ "vmid":101}"#)]
    #[case::escape(r#"{"name":"a\"b"}"#)]
    #[case::escape_in_a_key(r#"{"n\u0061me":"a"}"#)]
    #[case::value_within(r#"{"x":[1,2]}"#)]
    #[case::object_within(r#"{"x":{"name":"a"}}"#)]
    #[case::null(r#"{"x":null}"#)]
    #[case::number_as_text(r#"{"vmid":"101"}"#)]
    #[case::text_as_number(r#"{"name":101}"#)]
    #[case::negative(r#"{"vmid":-1}"#)]
    #[case::flag_as_truth(r#"{"template":true}"#)]
    #[case::flag_of_another_number(r#"{"template":2}"#)]
    #[case::line_in_a_name("{\"name\":\"a\nb\"}")]
    #[case::twice(r#"{"name":"a","name":"b"}"#)]
    #[case::flag_twice(r#"{"template":1,"template":0}"#)]
    #[case::vmid_twice(r#"{"vmid":1,"vmid":1}"#)]
    #[case::vmid_with_a_zero(r#"{"vmid":007}"#)]
    #[case::a_number_that_goes_on(r#"{"x":1"y":2}"#)]
    #[case::a_number_that_would_swallow(r#"{"mem":1"template":1,"vmid":101}"#)]
    #[case::no_colon(r#"{"x","y":2}"#)]
    #[case::no_comma(r#"{"x":"1" "y":2}"#)]
    fn what_is_not_plain_is_left_to_serde_json(#[case] json: &str) {
        assert_eq!(scan(json.as_bytes()), None);
    }

    #[test]
    fn a_name_that_is_not_utf8_is_left_to_serde_json() {
        assert_eq!(scan(b"{\"name\":\"a\xe4b\"}"), None);
    }
}
