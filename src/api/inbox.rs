//! The rows of a list, read while they arrive: however long the list is, only a window is held.

use std::io::{self, Read};

use serde::Deserialize;
use serde::de::{Error as _, IgnoredAny};

/// What is held at once, unless a single value is longer.
const WINDOW: usize = 64 << 10;
/// No row is that long; `data` that is no list may be, and is a stranger's then.
const VALUE_AT_MOST: usize = 4 << 20;

/// Why a body is no list.
#[derive(Debug)]
pub(super) enum Unread {
    /// It cannot be read to its end.
    Cut(io::Error),
    /// It ends in the middle.
    BreaksOff,
    /// It is no JSON object, and so none of Proxmox's answers.
    NotAnObject,
    /// It is an object without `data`, or is none to its end.
    NoData,
    /// `data` is this instead.
    NotAList(String),
    /// A single value is longer than this, in bytes.
    LongValue(usize),
}

/// What has arrived of a body and has not been read.
pub(super) struct Inbox<'b> {
    body: &'b mut dyn Read,
    window: Vec<u8>,
    start: usize,
    end: usize,
}

impl<'b> Inbox<'b> {
    pub(super) fn of(body: &'b mut dyn Read) -> Inbox<'b> {
        Inbox {
            body,
            window: vec![0; WINDOW],
            start: 0,
            end: 0,
        }
    }

    /// Goes through `{"data": [row, …]}` to its end; `row` has to read the next value.
    pub(super) fn rows(
        &mut self,
        mut row: impl FnMut(&mut Self) -> Result<(), Unread>,
    ) -> Result<(), Unread> {
        match self.next() {
            Ok(b'{') => {}
            Ok(_) | Err(Unread::BreaksOff) => return Err(Unread::NotAnObject),
            Err(error) => return Err(error),
        }
        let mut is_found = false;
        self.each_until(b'}', |inbox| {
            let key: String = inbox
                .value(|json| first(json))?
                .map_err(|_| Unread::NoData)?;
            if inbox.next()? != b':' {
                return Err(Unread::NoData);
            }
            inbox.start += 1;
            if key != "data" {
                return inbox.skip().map(drop);
            }
            is_found = true;
            if inbox.next()? != b'[' {
                return Err(Unread::NotAList(inbox.skip()?));
            }
            inbox.each_until(b']', &mut row)
        })?;
        match self.next() {
            Err(Unread::BreaksOff) if is_found => Ok(()),
            Err(error @ Unread::Cut(_)) => Err(error),
            _ => Err(Unread::NoData),
        }
    }

    /// The next value, as `read` makes it of JSON that begins with it and says how long it was; or
    /// why it is none, and then it is still the next one.
    pub(super) fn value<T>(
        &mut self,
        read: impl Fn(&[u8]) -> serde_json::Result<(T, usize)>,
    ) -> Result<serde_json::Result<T>, Unread> {
        self.next()?;
        loop {
            match read(&self.window[self.start..self.end]) {
                // Nothing is a value to its end before something else has come.
                Ok((value, length)) if self.start + length < self.end => {
                    self.start += length;
                    return Ok(Ok(value));
                }
                Err(error) if !error.is_eof() => return Ok(Err(error)),
                _ => self.fill()?,
            }
        }
    }

    /// The text of the next value, with whatever is not UTF-8 replaced.
    pub(super) fn skip(&mut self) -> Result<String, Unread> {
        let text = self.value(|json| {
            let (IgnoredAny, length) = first(json)?;
            let text = String::from_utf8_lossy(&json[..length]).into_owned();
            Ok((text, length))
        })?;
        text.map_err(|_| Unread::NoData)
    }

    /// What stands between the bracket that comes next and `close`, with commas in between.
    fn each_until(
        &mut self,
        close: u8,
        mut each: impl FnMut(&mut Self) -> Result<(), Unread>,
    ) -> Result<(), Unread> {
        self.start += 1;
        if self.next()? == close {
            self.start += 1;
            return Ok(());
        }
        loop {
            each(self)?;
            let next = self.next()?;
            self.start += 1;
            match next {
                b',' => {}
                next if next == close => return Ok(()),
                _ => return Err(Unread::NoData),
            }
        }
    }

    /// The next character that is no white space; it stays the next one.
    fn next(&mut self) -> Result<u8, Unread> {
        loop {
            while self.start < self.end {
                match self.window[self.start] {
                    b' ' | b'\t' | b'\r' | b'\n' => self.start += 1,
                    other => return Ok(other),
                }
            }
            self.fill()?;
        }
    }

    /// Fills the window, or a larger one if it is full: else a long value that comes in small
    /// pieces would be read from its beginning with each of them.
    fn fill(&mut self) -> Result<(), Unread> {
        self.window.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        if self.end == VALUE_AT_MOST {
            return Err(Unread::LongValue(VALUE_AT_MOST));
        }
        if self.end == self.window.len() {
            self.window.resize(self.end * 2, 0);
        }
        let before = self.end;
        while self.end < self.window.len() {
            match self.body.read(&mut self.window[self.end..]) {
                Ok(0) if self.end == before => return Err(Unread::BreaksOff),
                Ok(0) => break,
                Ok(length) => self.end += length,
                Err(error) => return Err(Unread::Cut(error)),
            }
        }
        Ok(())
    }
}

/// The value that `json` begins with, and where it ends.
pub(super) fn first<'j, T: Deserialize<'j>>(json: &'j [u8]) -> serde_json::Result<(T, usize)> {
    let mut values = serde_json::Deserializer::from_slice(json).into_iter();
    match values.next() {
        Some(value) => Ok((value?, values.byte_offset())),
        None => Err(serde_json::Error::custom("nothing")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    /// Comes in pieces of this length, however much is asked for.
    struct Dripping<'t>(&'t [u8], usize);

    impl Read for Dripping<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let length = self.1.min(self.0.len()).min(buffer.len());
            let (piece, rest) = self.0.split_at(length);
            buffer[..length].copy_from_slice(piece);
            self.0 = rest;
            Ok(length)
        }
    }

    fn texts(body: &str, piece: usize) -> Result<Vec<String>, String> {
        let mut texts = Vec::new();
        let mut body = Dripping(body.as_bytes(), piece);
        let read = Inbox::of(&mut body).rows(|inbox| {
            texts.push(inbox.skip()?);
            Ok(())
        });
        read.map(|()| texts).map_err(|why| format!("{why:?}"))
    }

    #[rstest]
    #[case::none(r#"{"data":[]}"#, &[])]
    #[case::one(r#"{"data":[{"a":"]}"}]}"#, &[r#"{"a":"]}"}"#])]
    #[case::white_space(" { \"data\" : [ 1 ,\r\n\t2 ] } \n", &["1", "2"])]
    #[case::neighbours(r#"{"success":1,"data":["\"",[[]]],"total":{"a":[]}}"#, &[r#""\"""#, "[[]]"])]
    #[case::numbers(r#"{"data":[1234567,8]}"#, &["1234567", "8"])]
    fn each_row_is_read(
        #[case] body: &str,
        #[case] rows: &[&str],
        #[values(1, 3, 1000)] piece: usize,
    ) {
        let rows = rows.iter().map(|&row| row.to_owned()).collect();
        assert_eq!(texts(body, piece), Ok(rows));
    }

    #[rstest]
    #[case::nothing("", "NotAnObject")]
    #[case::page("<html>", "NotAnObject")]
    #[case::list("[]", "NotAnObject")]
    #[case::no_data("{}", "NoData")]
    #[case::other_data(r#"{"success":1}"#, "NoData")]
    #[case::no_json(r#"{"data"=[]}"#, "NoData")]
    #[case::no_json_in_a_row(r#"{"data":[x]}"#, "NoData")]
    #[case::no_comma(r#"{"data":[1 2]}"#, "NoData")]
    #[case::more_behind_it(r#"{"data":[]}{}"#, "NoData")]
    #[case::null(r#"{"data":null}"#, r#"NotAList("null")"#)]
    #[case::object(r#"{"data":{"a":1}}"#, r#"NotAList("{\"a\":1}")"#)]
    #[case::cut_in_a_row(r#"{"data":[{"a":1"#, "BreaksOff")]
    #[case::cut_behind_a_row(r#"{"data":[{"a":1}"#, "BreaksOff")]
    #[case::cut_behind_a_comma(r#"{"data":[{"a":1},"#, "BreaksOff")]
    #[case::cut_behind_the_list(r#"{"data":[{"a":1}]"#, "BreaksOff")]
    #[case::cut_in_a_key(r#"{"da"#, "BreaksOff")]
    fn what_is_no_list_is_none(
        #[case] body: &str,
        #[case] why: &str,
        #[values(1, 1000)] piece: usize,
    ) {
        assert_eq!(texts(body, piece), Err(why.to_owned()));
    }

    #[rstest]
    #[case::one_longer_than_the_window(1)]
    #[case::some_across_its_edge(3)]
    fn a_row_may_be_of_any_length(#[case] count: usize) {
        let row = format!(r#""{}""#, "x".repeat(WINDOW * 3 / 2));
        let rows = vec![row; count];
        let body = format!(r#"{{"data":[{}]}}"#, rows.join(","));
        assert_eq!(texts(&body, 5000), Ok(rows));
    }
}
