//! Exchanges recorded from a real server, stored in `fixtures/api`.

#![allow(
    dead_code,
    reason = "unit tests and integration tests read different fields"
)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a recording that cannot be read fails its test"
)]

use std::fs;

/// One file contains one exchange, without headers that no client uses (dates, caching):
///
/// ```text
/// POST /nodes/pve1/qemu/9000/clone
/// token: root@pam!cli
/// newid=99&name=web-01
///
/// HTTP/1.1 400 Parameter verification failed.
/// Connection: close
/// Content-Type: application/json;charset=UTF-8
///
/// {"data":null,"message":"Parameter verification failed.\n","errors":{…}}
/// ```
///
/// The path is relative to `/api2/json`, and not escaped. The line of the token is missing if none was
/// sent; `TOKEN=SECRET` is a secret that was refused. A request may have a body, an answer may lack one.
pub(crate) struct Recording {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) token: Option<String>,
    pub(crate) body: Option<String>,
    pub(crate) status: u16,
    pub(crate) reason: String,
    pub(crate) headers: Vec<String>,
    /// The body of the answer; empty if there was none.
    pub(crate) answer: String,
}

impl Recording {
    /// Reads `fixtures/api/NAME.http`.
    pub(crate) fn load(name: &str) -> Self {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/api");
        let file = format!("{folder}/{name}.http");
        let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file}: {error}"));
        Self::parse(&text).unwrap_or_else(|| panic!("{file} is not a recording"))
    }

    fn parse(text: &str) -> Option<Self> {
        let (request, answer) = text.split_once("\n\n")?;
        let mut lines = request.lines().peekable();
        let (method, path) = lines.next()?.split_once(' ')?;
        let token = lines.next_if(|line| line.starts_with("token: "));
        let body = lines.next();

        let (head, answer) = answer.split_once("\n\n").unwrap_or((answer, ""));
        let (status_line, headers) = head.split_once('\n')?;
        let (status, reason) = status_line.strip_prefix("HTTP/1.1 ")?.split_once(' ')?;
        Some(Self {
            method: method.to_owned(),
            path: path.to_owned(),
            token: token.map(|line| line["token: ".len()..].to_owned()),
            body: body.map(str::to_owned),
            status: status.parse().ok()?,
            reason: reason.to_owned(),
            headers: headers.lines().map(str::to_owned).collect(),
            answer: answer.trim_end().to_owned(),
        })
    }
}
