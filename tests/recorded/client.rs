//! A transparent client: requests as text, answers with every header.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::fake_pve::{FakePve, SECRET, TOKEN};

pub(super) const CLONE: &str = "/nodes/pve1/qemu/9000/clone";

pub(super) struct Client<S> {
    stream: BufReader<S>,
}

#[derive(Debug, PartialEq)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) reason: String,
    pub(super) headers: Vec<String>,
    pub(super) body: Vec<u8>,
}

pub(super) fn connect(fake: &FakePve) -> Client<TcpStream> {
    let tcp = TcpStream::connect(fake.address()).expect("the fake listens");
    // A broken fake must fail the test instead of blocking it.
    let patience = Some(Duration::from_secs(20));
    tcp.set_read_timeout(patience).expect("a limit above zero");
    Client::new(tcp)
}

impl<S: Read + Write> Client<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream: BufReader::new(stream),
        }
    }

    /// Sends the lines of a head, and a body unchanged.
    pub(super) fn send(&mut self, head: &[&str], body: &str) {
        let request = format!("{}\r\n\r\n{body}", head.join("\r\n"));
        let stream = self.stream.get_mut();
        stream.write_all(request.as_bytes()).expect("request sent");
        stream.flush().expect("request sent");
    }

    pub(super) fn send_as(&mut self, token: &str, method: &str, path: &str, body: &str) {
        let authorization = format!("Authorization: PVEAPIToken={token}={SECRET}");
        let length = format!("Content-Length: {}", body.len());
        let line = format!("{method} /api2/json{path} HTTP/1.1");
        let mut head = vec![&*line, "Host: pve1:8006", &*authorization];
        if !body.is_empty() {
            head.push(&length);
        }
        self.send(&head, body);
    }

    /// `None` if the connection ends before a complete head was received.
    pub(super) fn reply(&mut self) -> Option<Reply> {
        let first = self.line()?;
        let (status, reason) = first.strip_prefix("HTTP/1.1 ")?.split_once(' ')?;
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            headers.push(line);
        }
        let mut body = Vec::new();
        let length = headers
            .iter()
            .find_map(|line| line.strip_prefix("Content-Length: "));
        let length = length.map_or(u64::MAX, |length| length.parse().expect("a number"));
        let mut rest = self.stream.by_ref().take(length);
        rest.read_to_end(&mut body).expect("body read");
        Some(Reply {
            status: status.parse().expect("a status"),
            reason: reason.to_owned(),
            headers,
            body,
        })
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let length = self.stream.read_line(&mut line).ok()?;
        (length > 0).then(|| line.trim_end().to_owned())
    }

    /// Whether the server has ended the connection properly.
    pub(super) fn is_closed(&mut self) -> bool {
        matches!(self.stream.read(&mut [0]), Ok(0))
    }

    pub(super) fn get(&mut self, path: &str) -> Option<Reply> {
        self.send_as(TOKEN, "GET", path, "");
        self.reply()
    }

    pub(super) fn post(&mut self, path: &str, body: &str) -> Option<Reply> {
        self.send_as(TOKEN, "POST", path, body);
        self.reply()
    }

    /// Reads this many bytes.
    pub(super) fn read_some(&mut self, count: usize) -> String {
        let mut bytes = vec![0; count];
        self.stream.read_exact(&mut bytes).expect("as many bytes");
        String::from_utf8(bytes).expect("text")
    }

    /// Reads to the end of a head.
    pub(super) fn read_head(&mut self) {
        while self.line().is_some_and(|line| !line.is_empty()) {}
    }

    /// The text before the connection broke, and the error.
    pub(super) fn read_until_error(&mut self) -> (String, ErrorKind) {
        let mut bytes = Vec::new();
        let error = self.stream.read_to_end(&mut bytes).expect_err("an error");
        let text = String::from_utf8(bytes).expect("text");
        (text, error.kind())
    }

    pub(super) fn read_error(&mut self) -> Option<ErrorKind> {
        self.stream.read(&mut [0]).err().map(|error| error.kind())
    }
}

impl Reply {
    pub(super) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("text")
    }

    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    pub(super) fn headers_named(&self, name: &str) -> Vec<&str> {
        let mine = |line: &&String| line.split(':').next() == Some(name);
        self.headers.iter().filter(mine).map(|s| &**s).collect()
    }
}

/// One request on a connection of its own.
pub(super) fn get(fake: &FakePve, path: &str) -> Reply {
    connect(fake).get(path).expect("an answer")
}

pub(super) fn post(fake: &FakePve, path: &str, body: &str) -> Reply {
    connect(fake).post(path, body).expect("an answer")
}

pub(super) fn put(fake: &FakePve, path: &str, body: &str) -> Reply {
    let mut client = connect(fake);
    client.send_as(TOKEN, "PUT", path, body);
    client.reply().expect("an answer")
}

pub(super) fn delete(fake: &FakePve, path: &str) -> Reply {
    let mut client = connect(fake);
    client.send_as(TOKEN, "DELETE", path, "");
    client.reply().expect("an answer")
}
