//! A port that refuses connections for a while.

use std::io::ErrorKind;
use std::net::{Ipv6Addr, TcpStream};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType, bind, socket};
use serde_json::json;

use super::client::{connect, get};
use crate::fake_pve::{FakePve, Fault, Setup};

fn with_pause_before(request: usize) -> FakePve {
    let pause = Fault::at_request(request, json!({"refuse_ms": 30}));
    let setup = Setup {
        faults: vec![pause],
        ..Setup::default()
    };
    FakePve::start(setup)
}

fn is_refused(fake: &FakePve) -> bool {
    let refused = TcpStream::connect(fake.address()).map_err(|error| error.kind());
    matches!(refused, Err(ErrorKind::ConnectionRefused))
}

#[test]
fn a_port_is_closed_and_opened_again() {
    let fake = FakePve::start(Setup::default());
    let mut client = connect(&fake);
    client.get("/version").unwrap();
    fake.refuse_connections();
    assert!(client.is_closed());
    assert!(is_refused(&fake));
    fake.accept_again();
    assert_eq!(get(&fake, "/version").status, 200);
}

#[test]
fn a_port_that_refuses_stays_reserved() {
    let fake = FakePve::start(Setup::default());
    fake.refuse_connections();
    let other = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    assert_eq!(bind(&other, &fake.address()), Err(Errno::ADDRINUSE));
    fake.accept_again();
    assert_eq!(get(&fake, "/version").status, 200);
}

#[test]
fn it_listens_on_ipv6_if_requested() {
    let fake = FakePve::start_at(Setup::default(), Ipv6Addr::LOCALHOST);
    assert_eq!(fake.url(), format!("http://[::1]:{}", fake.port()));
    assert_eq!(get(&fake, "/version").status, 200);
}

#[test]
fn the_port_is_closed_before_a_request_that_is_to_be_refused() {
    let fake = with_pause_before(2);
    let mut idle = connect(&fake);
    let mut client = connect(&fake);
    let reply = client.get("/version").unwrap();
    // The answer is sent while the port already refuses, so its reader can rely on that.
    assert_eq!(reply.headers_named("Connection"), ["Connection: close"]);
    assert!(is_refused(&fake));
    assert!(idle.is_closed());
    fake.wait_until_it_accepts();
    assert_eq!(get(&fake, "/version").status, 200);
}

#[test]
fn the_first_request_can_be_refused() {
    let fake = with_pause_before(1);
    assert!(is_refused(&fake));
    fake.wait_until_it_accepts();
    assert_eq!(get(&fake, "/version").status, 200);
}

#[test]
fn a_pause_needs_the_number_of_its_request() {
    let fault: Result<Fault, _> = serde_json::from_value(json!({"on": "GET", "refuse_ms": 30}));
    assert!(fault.is_err());
}

#[test]
fn requests_whose_journal_was_taken_still_count() {
    let fake = FakePve::start(Setup::default());
    get(&fake, "/version");
    fake.take_journal();
    get(&fake, "/version");
    fake.wait_for_requests(2);
    assert_eq!(fake.journal(), ["GET /version"]);
}
