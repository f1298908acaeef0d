//! One connection from its first byte to its end.

use std::io::{self, BufReader, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustls::{ServerConnection, StreamOwned};

use super::faults::{Closing, Mishap, ScriptedAnswer, ScriptedJson};
use super::floods::drip;
use super::http::{Answer, Body, Request, SendOptions};
use super::replies::without_body;
use super::shared::Shared;
use super::wire::{Socket, Wire};

/// The limits of the real server.
const IDLE: Duration = Duration::from_secs(5);
const REQUESTS_PER_CONNECTION: usize = 100;

/// The first byte of a TLS handshake; no HTTP method begins with it.
const HANDSHAKE: u8 = 0x16;

pub(super) fn serve(tcp: Arc<TcpStream>, shared: &Arc<Shared>) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    tcp.set_read_timeout(Some(IDLE))?;
    let Some(config) = &shared.tls else {
        return talk(Socket::new(tcp), shared);
    };
    let mut first = [0];
    if tcp.peek(&mut first)? == 1 && first[0] != HANDSHAKE {
        return redirect(Socket::new(tcp), shared);
    }
    let tls = ServerConnection::new(config.clone()).map_err(io::Error::other)?;
    talk(StreamOwned::new(tls, Socket::new(tcp)), shared)
}

/// The answer to plain HTTP on the TLS port.
fn redirect(mut socket: Socket, shared: &Shared) -> io::Result<()> {
    let Some(request) = Request::read(&mut BufReader::new(&mut socket))? else {
        return Ok(());
    };
    shared.record(&request);
    socket.consume()?;
    let host = request.header("Host").unwrap_or_default();
    write!(
        socket,
        "HTTP/1.1 301 Moved Permanently\r\nConnection: close\r\n\
         Location: https://{host}{}\r\n\r\n",
        request.target
    )?;
    socket.close_gracefully()
}

enum Next {
    Request,
    Close,
    Reset,
}

fn talk(wire: impl Wire, shared: &Arc<Shared>) -> io::Result<()> {
    let mut wire = BufReader::new(wire);
    for left in (0..REQUESTS_PER_CONNECTION).rev() {
        let Some(request) = Request::read(&mut wire)? else {
            break;
        };
        match react(wire.get_mut(), &request, shared, left > 0)? {
            Next::Request => {}
            Next::Close => break,
            Next::Reset => return Ok(()),
        }
    }
    wire.into_inner().close_gracefully()
}

fn react(
    wire: &mut impl Wire,
    request: &Request,
    shared: &Arc<Shared>,
    more: bool,
) -> io::Result<Next> {
    let (mishap, answer) = shared.receive(request);
    let pause = shared.pause_before_next();
    let send_options = send_options_for(request, shared, more && pause.is_none());
    if let Some(pause) = pause {
        // Before the answer is sent, so that a client that has it finds the port closed.
        let here = wire.socket().peer()?;
        shared.listener.close_for(pause, Some(here), shared);
    }
    match mishap {
        Some(Mishap::Close(Closing::Reset)) => return Ok(Next::Reset),
        Some(Mishap::ResetAfter(limit)) => {
            let answer = answer.expect("such a request is executed");
            answer.write(wire, send_options, limit)?;
            return Ok(Next::Reset);
        }
        _ => wire.consume()?,
    }
    let (answer, limit) = match (mishap, answer) {
        (Some(Mishap::Hang { .. }), _) => {
            return wire.wait_for_disconnect().map(|()| Next::Close);
        }
        (Some(Mishap::Flood(flood)), _) => return flood.pour(wire).map(|()| Next::Close),
        (Some(Mishap::Drip(pause)), _) => return drip(wire, pause).map(|()| Next::Close),
        (Some(Mishap::Answer(scripted)), _) => (scripted.into(), usize::MAX),
        (Some(Mishap::Json(scripted)), _) => (scripted.into(), usize::MAX),
        (Some(Mishap::Late(late)), _) => (without_body(late.status, &late.reason), usize::MAX),
        (Some(Mishap::Truncate(limit)), Some(answer)) => (answer, limit),
        (Some(Mishap::Slow(pause)), Some(answer)) => (answer.after(pause), usize::MAX),
        (None | Some(Mishap::Refuse(_)), Some(answer)) => (answer, usize::MAX),
        _ => return Ok(Next::Close),
    };
    if answer.status == 401 {
        thread::sleep(shared.unauthorized_delay);
    }
    if !answer.delay.is_zero() {
        thread::sleep(answer.delay);
    }
    answer.write(wire, send_options, limit)?;
    Ok(if answer.closes(send_options) || limit != usize::MAX {
        Next::Close
    } else {
        Next::Request
    })
}

fn send_options_for(request: &Request, shared: &Shared, more: bool) -> SendOptions {
    let header_has = |name, value_part| {
        let value = request.header(name).unwrap_or_default();
        value.to_ascii_lowercase().contains(value_part)
    };
    SendOptions {
        gzip: shared.send_options.gzip && header_has("Accept-Encoding", "gzip"),
        keep_alive: shared.send_options.keep_alive && more && !header_has("Connection", "close"),
        ..shared.send_options
    }
}

impl From<ScriptedAnswer> for Answer {
    fn from(scripted: ScriptedAnswer) -> Self {
        let content_type = scripted.content_type;
        Self {
            status: scripted.status,
            reason: scripted.reason,
            body: scripted
                .body
                .map(|text| Body::Scripted { content_type, text }),
            proxied: false,
            through_node: false,
            delay: Duration::ZERO,
        }
    }
}

impl From<ScriptedJson> for Answer {
    fn from(scripted: ScriptedJson) -> Self {
        Self {
            status: scripted.status,
            reason: "OK".to_owned(),
            body: Some(Body::Json(serde_json::json!({"data": scripted.data}))),
            proxied: false,
            through_node: false,
            delay: Duration::ZERO,
        }
    }
}
