//! A list of guests is read correctly, however long it is and in whatever pieces it arrives.

use std::sync::Arc;

use mockito::{Server, ServerGuard};
use rstest::rstest;

use super::{SECRET, all_guests, client_of};
use crate::pve::types::{Guest, GuestDetails, GuestKind, Node, Vmid};

/// A row with numbers in every notation, escapes, nested values and nulls, both in fields that are used
/// and in fields that are not.
fn row(vmid: usize) -> String {
    format!(
        r#"{{"cpu":0.16190438,"mem":-1.5E+3,"netin":12e-7,"disk":0,"x":{{"a":[1.5,-0,{{"b":null}}],"]}}":"\\\"]}}"}},"pool":null,"tags":"a;\u00e9\n\uD83D\uDE00","lock":null,"vmid":{vmid},"name":"w\u00e9b-\"{vmid}\"","node":"pve1","status":"running","template":"1","type":"qemu","y":true}}"#
    )
}

fn guest(vmid: usize) -> Guest {
    Guest {
        vmid: Vmid(vmid.try_into().unwrap()),
        kind: GuestKind::Qemu,
        name: Some(format!("wéb-\"{vmid}\"")),
        node: Node("pve1".into()),
        status: "running".into(),
        template: true,
        lock: None,
        details: GuestDetails {
            tags: Some("a;é\n😀".into()),
            ..GuestDetails::default()
        },
    }
}

/// The guests that a client reads if the body arrives in pieces of `size` bytes.
fn read_in_pieces(server: &mut ServerGuard, body: &Arc<str>, size: usize) -> Vec<Guest> {
    let body = body.clone();
    server.reset();
    server
        .mock("GET", "/api2/json/cluster/resources?type=vm")
        .with_chunked_body(move |out| {
            let mut pieces = body.as_bytes().chunks(size);
            pieces.try_for_each(|piece| out.write_all(piece))
        })
        .create();
    let list = all_guests(&client_of(server)).unwrap();
    list.guests
}

/// A body in which a row starts `distance` bytes before each of these positions.
fn body_with_rows_across(places: &[usize], distance: usize) -> String {
    let mut body = r#"{"data":["#.to_owned();
    for (index, place) in places.iter().enumerate() {
        let [open, close] = [r#"{"padding":""#, r#""},"#];
        let padding = place - distance - body.len() - open.len() - close.len();
        body += &[open, &"p".repeat(padding), close, &row(101 + index), ","].concat();
    }
    body.pop();
    body + "]}"
}

fn short_list() -> String {
    format!(r#"{{"data":[{},{}]}}"#, row(101), row(102))
}

const PLACES: [usize; 6] = [4 << 10, 8 << 10, 16 << 10, 32 << 10, 64 << 10, 128 << 10];

#[test]
fn a_row_is_read_at_every_position_in_the_body() {
    let guests: Vec<Guest> = (101..107).map(guest).collect();
    let mut server = Server::new();
    for distance in 0..=row(101).len() {
        let body: Arc<str> = body_with_rows_across(&PLACES, distance).into();
        server.reset();
        server
            .mock("GET", "/api2/json/cluster/resources?type=vm")
            .with_body(&*body)
            .create();
        let list = all_guests(&client_of(&server));
        let list = list.unwrap_or_else(|error| panic!("{distance} bytes into a row: {error}"));
        assert_eq!(list.guests, guests, "{distance} bytes into a row");
    }
}

#[test]
fn a_short_list_is_read_in_pieces_of_every_size() {
    let body: Arc<str> = short_list().into();
    let guests = [guest(101), guest(102)];
    let mut server = Server::new();
    for size in 1..=body.len() {
        let read = read_in_pieces(&mut server, &body, size);
        assert_eq!(read, guests, "in pieces of {size} bytes");
    }
}

#[test]
fn a_long_list_is_read_in_small_and_large_pieces() {
    let body: Arc<str> = body_with_rows_across(&PLACES, 9).into();
    let guests: Vec<Guest> = (101..107).map(guest).collect();
    let mut server = Server::new();
    let around = |place| [place - 1, place, place + 1];
    for size in PLACES.map(around).into_iter().flatten().chain([7]) {
        let read = read_in_pieces(&mut server, &body, size);
        assert_eq!(read, guests, "in pieces of {size} bytes");
    }
}

/// The body is truncated, but has the length that its header announces.
#[test]
fn a_list_that_is_truncated_at_any_byte_is_reported_as_such() {
    let body = short_list();
    let mut server = Server::new();
    for length in 1..body.len() {
        server.reset();
        server
            .mock("GET", "/api2/json/cluster/resources?type=vm")
            .with_body(&body[..length])
            .create();
        let error = all_guests(&client_of(&server)).unwrap_err().to_string();
        let expected = format!(
            "no answer from {}: the response is truncated",
            server.host_with_port()
        );
        assert_eq!(error, expected, "truncated at {length}");
    }
}

#[rstest]
#[case::page("<html>", "200 OK")]
#[case::list("[]", "200 OK")]
#[case::list_in_a_list(r#"[[{"vmid":101,"type":"qemu","node":"pve1"}]]"#, "200 OK")]
#[case::empty("", "200 OK")]
#[case::no_data(r#"{"success":1}"#, "JSON without 'data'")]
#[case::invalid_json_in_a_row(r#"{"data":[x]}"#, "JSON without 'data'")]
#[case::json_after_it(r#"{"data":[]}{}"#, "JSON without 'data'")]
#[case::text_after_it(r#"{"data":[]}garbage"#, "JSON without 'data'")]
#[case::invalid_json("{not json", "JSON without 'data'")]
fn other_answers_are_not_lists(#[case] body: &str, #[case] what: &str) {
    let mut server = Server::new();
    server
        .mock("GET", "/api2/json/cluster/resources?type=vm")
        .with_body(body)
        .create();
    let error = all_guests(&client_of(&server)).unwrap_err().to_string();
    let host = server.host_with_port();
    let expected = format!("{host} did not answer like Proxmox VE: {what}");
    assert_eq!(error, expected);
}

/// The answer is from Proxmox VE, perhaps from a newer version.
#[rstest]
#[case::null("null")]
#[case::object(r#"{"a":1}"#)]
fn unexpected_data_is_still_an_answer_of_proxmox(#[case] data: &str) {
    let mut server = Server::new();
    server
        .mock("GET", "/api2/json/cluster/resources?type=vm")
        .with_body(format!(r#"{{"data":{data}}}"#))
        .create();
    let error = all_guests(&client_of(&server)).unwrap_err().to_string();
    let host = server.host_with_port();
    let expected = format!("{host} answered '{data}' instead of a list of guests");
    assert_eq!(error, expected);
}

/// Proxies may repeat the request in their error pages.
#[rstest]
#[case::plain("-")]
#[case::escaped("\\u002d")]
fn a_secret_in_the_answer_is_masked(#[case] hyphen: &str) {
    let secret = SECRET.replace('-', hyphen);
    let row = format!(
        r#"{{"vmid":101,"type":"qemu","node":"{secret}","name":"a {secret}","status":"{secret}","lock":"{secret}"}}"#
    );
    let body = format!(r#"{{"data":[{row},{{"vmid":102,"type":"{secret}"}}]}}"#);
    let mut server = Server::new();
    server
        .mock("GET", "/api2/json/cluster/resources?type=vm")
        .with_body(&body)
        .create();
    let text = format!("{:?}", all_guests(&client_of(&server)).unwrap());
    let count = |text: &str, part| text.matches(part).count();
    assert_eq!((count(&text, "(secret)"), count(&text, SECRET)), (5, 0));
}
