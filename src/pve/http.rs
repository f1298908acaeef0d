//! One request, one envelope, to the first of the hosts that gets it.

pub mod answer;
pub mod connection;
pub mod error;
pub mod host;
#[cfg(all(target_env = "gnu", target_feature = "crt-static"))]
mod static_glibc;

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::fmt;
use std::time::{Duration, Instant};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::value::RawValue;

use self::answer::{Answer, Asked};
use self::connection::{Credentials, Endpoint, Limit, Line, Method, Request};
use self::error::{Delivery, Error};
use self::host::Host;
use crate::pve::guest_list::{GuestList, Reading};
use crate::pve::types::{Token, TokenId};

/// What happens to requests on the way.
pub enum Event<'e> {
    /// One was made: host, method, path, and what came of it, in a line.
    Exchange(&'e str),
    /// A host has not been asked, or has not answered, for this reason, and another one has.
    PassedOver(&'e Error),
}

/// Who is told of it.
pub type Witness = Box<dyn Fn(Event) + Send>;

/// Sends requests to one of several hosts and reads the `{"data": …}` of its answers.
pub struct Transport {
    lines: Vec<Line>,
    /// The host to ask first: the one that has answered last, or the next one where none came.
    first: Cell<usize>,
    token: TokenId,
    credentials: Credentials,
    request_timeout: Duration,
    deadline: Option<Instant>,
    met: Cell<Met>,
    witness: Option<Witness>,
    /// Who has been told of, and whether because of distrust.
    passed_over: RefCell<BTreeSet<(Host, bool)>>,
}

/// How far the servers and we have got to know each other.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Met {
    /// None has answered yet as Proxmox VE does.
    NotYet,
    /// One has answered.
    Answered,
    /// One has accepted the token.
    Accepted,
}

impl Transport {
    pub fn new(
        endpoints: &[Endpoint],
        token: &Token,
        request_timeout: Duration,
        deadline: Option<Instant>,
    ) -> Result<Transport, Error> {
        #[cfg(all(target_env = "gnu", target_feature = "crt-static"))]
        static_glibc::configure_host_lookup();
        let lines: Vec<Line> = endpoints.iter().cloned().map(Line::to).collect();
        // That a CA file cannot be read is better said before anything is begun.
        if let Some(line) = lines.iter().find(|line| line.host().tls()) {
            line.agent()?;
        }
        Ok(Transport {
            lines,
            first: Cell::new(0),
            token: token.id.clone(),
            credentials: Credentials {
                header: token.header(),
                secret: token.secret.clone(),
            },
            request_timeout,
            deadline,
            met: Cell::new(Met::NotYet),
            witness: None,
            passed_over: RefCell::default(),
        })
    }

    /// For another thread: the same hosts, beginning with the one to ask now, and no witness.
    pub fn another(&self) -> Transport {
        let lines = self.lines.iter();
        Transport {
            lines: lines
                .map(|line| Line::to(line.endpoint().clone()))
                .collect(),
            first: self.first.clone(),
            token: self.token.clone(),
            credentials: self.credentials.clone(),
            request_timeout: self.request_timeout,
            deadline: self.deadline,
            met: self.met.clone(),
            witness: None,
            passed_over: RefCell::default(),
        }
    }

    /// From now on `witness` is told of each request.
    pub fn tell(&mut self, witness: Witness) {
        self.witness = Some(witness);
    }

    /// The best there was since the beginning.
    pub fn met(&self) -> Met {
        self.met.get()
    }

    pub fn token(&self) -> &TokenId {
        &self.token
    }

    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// `GET path`; `read` makes the result of the answer's `data`, or says what it expected.
    pub fn get<T>(
        &self,
        path: &str,
        read: impl FnOnce(&RawValue) -> Result<T, String>,
    ) -> Result<T, Error> {
        self.read(&Request::get(path), read)
    }

    /// The same where the answer may be long.
    pub fn list<T>(
        &self,
        path: &str,
        read: impl FnOnce(&RawValue) -> Result<T, String>,
    ) -> Result<T, Error> {
        self.read(&Request::list(path), read)
    }

    /// `GET path` of a list of guests.
    pub fn guests(&self, path: &str, reading: Reading) -> Result<GuestList, Error> {
        let (line, answer) = self.ask(&Request::list(path))?;
        let rows = answer.rows(&self.asked(line, path));
        self.remember(rows.map(|rows| reading.read(&rows, &self.credentials.secret)))
    }

    /// `POST path` with a form; `read` as for [`Transport::get`].
    pub fn post<T>(
        &self,
        path: &str,
        form: &[(&str, &str)],
        read: impl FnOnce(&RawValue) -> Result<T, String>,
    ) -> Result<T, Error> {
        let request = Request {
            method: Method::Post(encoded(form)),
            ..Request::get(path)
        };
        self.read(&request, read)
    }

    /// `PUT path`, as [`Transport::post`].
    pub fn put<T>(
        &self,
        path: &str,
        form: &[(&str, &str)],
        read: impl FnOnce(&RawValue) -> Result<T, String>,
    ) -> Result<T, Error> {
        let request = Request {
            method: Method::Put(encoded(form)),
            ..Request::get(path)
        };
        self.read(&request, read)
    }

    fn read<T>(
        &self,
        request: &Request,
        read: impl FnOnce(&RawValue) -> Result<T, String>,
    ) -> Result<T, Error> {
        let (line, answer) = self.ask(request)?;
        self.remember(answer.data(&self.asked(line, request.path), read))
    }

    /// The answer of the first host that has one, and the line to it.
    fn ask(&self, request: &Request) -> Result<(&Line, Answer), Error> {
        let count = self.lines.len();
        let first = self.first.get();
        let mut each = Vec::new();
        for index in (first..first + count).map(|index| index % count) {
            let line = &self.lines[index];
            match self.exchange(line, request) {
                Err(Error::NoTimeLeft { .. }) if !each.is_empty() => break,
                Err(error) if another_may_get(request, &error) => each.push((index, error)),
                answer => {
                    self.tell_of_those_passed_over(&each);
                    let is_silent = matches!(answer, Err(Error::NoAnswer { .. }));
                    self.first.set((index + usize::from(is_silent)) % count);
                    return match answer {
                        Ok(answer) => Ok((line, answer)),
                        Err(error) => self.remember(Err(error)),
                    };
                }
            }
        }
        let mut each: Vec<Error> = each.into_iter().map(|(_, error)| error).collect();
        self.remember(Err(match each.pop() {
            Some(only) if each.is_empty() => only,
            last => {
                each.extend(last);
                Error::NoneReached { each }
            }
        }))
    }

    fn exchange(&self, line: &Line, request: &Request) -> Result<Answer, Error> {
        let limit = self.limit()?;
        let began = Instant::now();
        let answer = line.exchange(request, &self.credentials, limit);
        self.tell_of(line, request, &answer, began.elapsed());
        answer.and_then(|answer| answer.unless_lost(&self.asked(line, request.path)))
    }

    fn asked<'a>(&'a self, line: &'a Line, path: &'a str) -> Asked<'a> {
        Asked {
            host: line.host(),
            path,
            token: &self.token,
            secret: &self.credentials.secret,
        }
    }

    fn tell_of(
        &self,
        line: &Line,
        request: &Request,
        answer: &Result<Answer, Error>,
        took: Duration,
    ) {
        let Some(witness) = &self.witness else {
            return;
        };
        let (host, method, path) = (line.host(), request.method(), request.path);
        let milliseconds = took.as_millis();
        let outcome = match answer {
            Ok(Answer {
                status,
                reason,
                length,
                ..
            }) => format!("{status} {reason}, {milliseconds} ms, {length} bytes"),
            Err(error) => format!("{error}, {milliseconds} ms"),
        };
        let line = format!("{host} {method} {path}: {outcome}");
        witness(Event::Exchange(&line));
    }

    /// Of each host once, and once more if it is not trusted then.
    fn tell_of_those_passed_over(&self, each: &[(usize, Error)]) {
        let Some(witness) = &self.witness else {
            return;
        };
        for (index, error) in each {
            let host = self.lines[*index].host().clone();
            let is_distrusted = matches!(error, Error::Untrusted { .. });
            if self.passed_over.borrow_mut().insert((host, is_distrusted)) {
                witness(Event::PassedOver(error));
            }
        }
    }

    /// No request outlives the run's deadline.
    fn limit(&self) -> Result<Limit, Error> {
        let left = self
            .deadline
            .map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let time = left.map_or(self.request_timeout, |left| left.min(self.request_timeout));
        if time.is_zero() {
            return Err(Error::NoTimeLeft { tried: None });
        }
        Ok(Limit {
            time,
            is_cut_short: time < self.request_timeout,
        })
    }

    fn remember<T>(&self, answer: Result<T, Error>) -> Result<T, Error> {
        let met = answer.as_ref().map_or_else(met, |_| Met::Accepted);
        self.met.set(self.met.get().max(met));
        answer
    }
}

fn met(error: &Error) -> Met {
    match error {
        Error::Refused { status, .. } if *status != 401 => Met::Accepted,
        Error::Refused { .. } | Error::Undelivered { .. } | Error::LostBehind { .. } => {
            Met::Answered
        }
        Error::NoneReached { each } => each.iter().map(met).max().unwrap_or(Met::NotYet),
        _ => Met::NotYet,
    }
}

/// Whether to ask the next host, which is safe with what the first one never got, and with what
/// only reads.
fn another_may_get(request: &Request, error: &Error) -> bool {
    match error {
        // The same for all.
        Error::Tls { .. } | Error::NoTimeLeft { .. } => false,
        Error::NoAnswer { cut_short, .. } => !request.is_change() && !cut_short,
        error => error.delivery() == Delivery::NotDelivered,
    }
}

fn encoded(form: &[(&str, &str)]) -> String {
    let pairs = form.iter();
    let pairs: Vec<String> = pairs
        .map(|(key, value)| format!("{}={}", escaped(key), escaped(value)))
        .collect();
    pairs.join("&")
}

/// `text` as one segment of a path or one value of a form or query.
///
/// Proxmox's form parser splits at `;` too and cuts a value at a second `=`, so everything is
/// escaped but what never needs to be.
pub fn escaped(text: &str) -> impl fmt::Display {
    const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'.')
        .remove(b'_')
        .remove(b'~');

    utf8_percent_encode(text, UNRESERVED)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::plain("web-1_a.b~c", "web-1_a.b~c")]
    #[case::upid("UPID:pve1:root@pam!cli:", "UPID%3Apve1%3Aroot%40pam%21cli%3A")]
    #[case::what_a_form_splits_at("a=b&c;d", "a%3Db%26c%3Bd")]
    #[case::space_is_no_plus("a b+c", "a%20b%2Bc")]
    #[case::path("../x/y?z#", "..%2Fx%2Fy%3Fz%23")]
    #[case::beyond_ascii("é", "%C3%A9")]
    fn everything_that_could_mean_something_is_escaped(#[case] text: &str, #[case] sent: &str) {
        assert_eq!(escaped(text).to_string(), sent);
    }
}
