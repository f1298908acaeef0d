//! Answers that never end, or end very late.

use std::io::Read;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use flate2::read::GzDecoder;
use rstest::rstest;
use serde_json::{Value, json};

use super::client::{CLONE, Client, connect};
use super::states::{template_and, with};
use crate::fake_pve::{FakePve, TOKEN};

const MIB: usize = 1 << 20;

fn flooding(flood: &str) -> FakePve {
    with(json!({"faults": [{"on": "GET /version", "flood": flood}]})).fake
}

fn request(fake: &FakePve) -> Client<TcpStream> {
    let mut client = connect(fake);
    client.send_as(TOKEN, "GET", "/version", "");
    client
}

#[rstest]
#[case::headers("headers", "HTTP/1.1 200 OK\r\nX-Flood: ", "X-Flood: ")]
#[case::interim(
    "interim",
    "HTTP/1.1 102 Processing\r\n\r\n",
    "\r\n\r\nHTTP/1.1 102 Processing"
)]
#[case::body("body", "HTTP/1.1 200 OK\r\n", "xxxxxxxx")]
#[case::reason("reason", "HTTP/1.1 500 xxxxxxxx", "xxxxxxxx")]
fn an_endless_answer_lasts_until_the_client_disconnects(
    #[case] flood: &str,
    #[case] beginning: &str,
    #[case] more: &str,
) {
    let fake = flooding(flood);
    let mut client = request(&fake);
    let read = client.read_some(4 * MIB);
    assert!(read.starts_with(beginning));
    assert!(read[3 * MIB..].contains(more));
    drop(client);
    assert_eq!(connect(&fake).get("/cluster/nextid").unwrap().status, 200);
}

#[test]
fn an_endless_body_begins_as_json() {
    let fake = flooding("body");
    let read = request(&fake).read_some(1000);
    let (head, body) = read.split_once("\r\n\r\n").unwrap();
    assert!(body.starts_with(r#"{"data":["xxxx"#), "{body}");
    assert!(!head.contains("Content-Length"), "{head}");
}

#[test]
fn a_bomb_is_small_until_it_is_decompressed() {
    let reply = request(&flooding("bomb")).reply().unwrap();
    let length = format!("Content-Length: {}", reply.body.len());
    assert_eq!(reply.headers_named("Content-Length"), [length]);
    let encoding = reply.headers_named("Content-Encoding");
    assert_eq!(encoding, ["Content-Encoding: gzip"]);
    assert!(reply.body.len() < 2 * MIB);
    // Checking only the first part is faster: the rest repeats it.
    let (first, rest) = reply.body.split_at(reply.body.len() / 1024);
    assert!(rest.chunks(first.len()).all(|next| next == first));
    let mut unpacked = Vec::new();
    GzDecoder::new(first).read_to_end(&mut unpacked).unwrap();
    assert_eq!(unpacked, vec![b' '; MIB]);
}

#[test]
fn a_drip_pauses_before_every_byte() {
    let fake = with(json!({"faults": [{"on": "GET", "drip": 20}]})).fake;
    let mut client = request(&fake);
    client.read_head();
    let begun = Instant::now();
    assert_eq!(client.read_some(4), r#"{"da"#);
    assert!(begun.elapsed() >= Duration::from_millis(3 * 20));
}

#[rstest]
#[case::flood(json!({"flood": "body"}))]
#[case::drip(json!({"drip": 1}))]
fn an_endless_answer_executes_nothing(#[case] mut fault: Value) {
    fault["on"] = json!("POST");
    let fake = template_and("faults", json!([fault])).fake;
    let mut client = connect(&fake);
    client.send_as(TOKEN, "POST", CLONE, "newid=100");
    client.read_some(100);
    assert!(!fake.cluster().guests.contains_key(&100));
}

#[rstest]
fn dropping_the_fake_ends_an_endless_answer(
    #[values("headers", "interim", "body", "reason", "bomb")] flood: &str,
) {
    let fake = flooding(flood);
    let mut client = request(&fake);
    client.read_some(1);
    let begun = Instant::now();
    drop(fake);
    assert!(begun.elapsed() < Duration::from_secs(4));
}

#[test]
fn dropping_the_fake_ends_a_drip() {
    let fake = with(json!({"faults": [{"on": "GET", "drip": 1}]})).fake;
    let mut client = request(&fake);
    client.read_some(1);
    let begun = Instant::now();
    drop(fake);
    assert!(begun.elapsed() < Duration::from_secs(4));
}
