//! Answers that never end, and how they are sent.

use std::io::{self, Write};
use std::iter;
use std::thread;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Deserialize;

use super::http::JSON;

/// Which part of an answer goes on and on.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Flood {
    /// One header after the other.
    Headers,
    /// One interim answer after the other, and never the final one.
    Interim,
    /// Neither the body nor its length comes to an end.
    Body,
    /// The reason phrase of the status line.
    Reason,
    /// A whole answer, whose small body becomes a gigabyte when it is unpacked.
    Bomb,
}

const MIB: usize = 1 << 20;
/// Even who reads it all is left in peace some time.
const MOST: usize = 1024 * MIB;

impl Flood {
    /// Until the client goes away, or has had a gigabyte.
    pub(super) fn pour(self, wire: &mut impl Write) -> io::Result<()> {
        let (beginning, more, times) = match self {
            Self::Headers => endless("HTTP/1.1 200 OK\r\n", "X-Flood: more of the same\r\n"),
            Self::Interim => endless("", "HTTP/1.1 102 Processing\r\n\r\n"),
            Self::Body => endless(&(head() + BODY), "x"),
            Self::Reason => endless("HTTP/1.1 500 ", "x"),
            Self::Bomb => bomb()?,
        };
        wire.write_all(beginning.as_bytes())?;
        for _ in 0..times {
            wire.write_all(&more)?;
            wire.flush()?;
        }
        Ok(())
    }
}

/// A body that comes so slowly that every byte is a sign of life; until the client goes away.
pub(super) fn drip(wire: &mut impl Write, pause: Duration) -> io::Result<()> {
    wire.write_all(head().as_bytes())?;
    for byte in BODY.bytes().chain(iter::repeat(b'x')) {
        wire.write_all(&[byte])?;
        wire.flush()?;
        thread::sleep(pause);
    }
    Ok(())
}

const BODY: &str = r#"{"data":[""#;

fn head() -> String {
    format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: {JSON}\r\n\r\n")
}

fn endless(beginning: &str, more: &str) -> (String, Vec<u8>, usize) {
    let block = more.repeat(MIB / 16 / more.len()).into_bytes();
    let times = MOST / block.len();
    (beginning.to_owned(), block, times)
}

/// gzip may stop and begin anew: the same megabyte of spaces, again and again.
fn bomb() -> io::Result<(String, Vec<u8>, usize)> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&vec![b' '; MIB])?;
    let block = encoder.finish()?;
    let times = MOST / MIB;
    let head = format!(
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Encoding: gzip\r\n\
         Content-Length: {}\r\nContent-Type: {JSON}\r\n\r\n",
        block.len() * times
    );
    Ok((head, block, times))
}
