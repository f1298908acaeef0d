//! Answers that never end, and how they are sent.

use std::io::{self, Write};
use std::iter;
use std::thread;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Deserialize;

use super::http::JSON;

/// The part of an answer that never ends.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Flood {
    /// Headers.
    Headers,
    /// Interim answers, and never the final one.
    Interim,
    /// The body, without a length.
    Body,
    /// The reason phrase of the status line.
    Reason,
    /// A complete answer whose small body expands to a gigabyte.
    Bomb,
}

const MIB: usize = 1 << 20;
/// A limit even for clients that read everything.
const MOST: usize = 1024 * MIB;

impl Flood {
    /// Sends until the client disconnects or has received a gigabyte.
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

/// Sends a body byte by byte, with pauses, until the client disconnects.
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

/// A gzip stream may consist of several parts: the same megabyte of spaces, repeated.
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
