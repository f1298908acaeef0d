//! Sends each request to the hosts in turn until one of them answers.

pub mod answer;
pub mod connection;
mod dial;
pub mod error;
pub mod host;
pub mod proxy;
#[cfg(all(target_env = "gnu", target_feature = "crt-static"))]
mod static_glibc;

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use ureq::http::Method;

use self::answer::Answer;
use self::connection::{Connection, Endpoint, Limit, Request};
use self::error::{Delivery, Error, is_no_quorum};
use self::host::Host;
use crate::pve::guest_list::{self, GuestList, Keep};
use crate::pve::tls::certificate::{Details, Fingerprint};
use crate::pve::types::{Node, Token, TokenId};

/// How to reach a cluster.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Access {
    /// Its servers, in the order in which they are tried. Any of them will do.
    pub endpoints: Vec<Endpoint>,
    /// The API token.
    pub token: Token,
    /// The time limit for one request. The server gives up after 30 s.
    pub request_timeout: Duration,
}

/// The certificate that a server presented, trusted or not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Presented {
    /// Its fingerprint.
    pub fingerprint: Fingerprint,
    /// When it expires, since 1970, if that can be read.
    pub not_after: Option<Duration>,
}

/// What happened to a request.
pub enum Event<'e> {
    /// It was sent, or failed: host, method, path and outcome, in one line.
    Exchange(&'e str),
    /// A host could not be used, for this reason, and another one is used instead.
    HostSkipped(&'e Error),
}

/// Called with each event.
pub type Observer = Box<dyn Fn(Event) + Send>;

/// How far the servers have accepted this client.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Contact {
    /// No server has answered like Proxmox VE yet.
    NotYet,
    /// A server has answered like Proxmox VE.
    Answered,
    /// A server has accepted the token.
    Accepted,
}

/// A client of a cluster: it sends requests with one token to one of the cluster's servers.
pub struct Pve {
    access: Access,
    deadline: Option<Instant>,
    /// One per endpoint, in the same order.
    connections: Vec<Connection>,
    /// The connection to try first: to the host that answered last, or the next one if that host did not
    /// answer.
    first: Cell<usize>,
    contact: Cell<Contact>,
    observer: Observer,
    /// The hosts reported as skipped, each with whether it is untrusted.
    skipped: RefCell<BTreeSet<(Host, bool)>>,
    /// The connections whose hosts refused a change because they have no quorum.
    without_quorum: RefCell<BTreeSet<usize>>,
}

impl Pve {
    /// Prepares a client without sending a request. No later request runs past `deadline`.
    pub fn new(access: &Access, deadline: Option<Instant>) -> Result<Pve, Error> {
        #[cfg(all(target_env = "gnu", target_feature = "crt-static"))]
        static_glibc::configure_host_lookup();
        let pve = Pve::unchecked(access, deadline);
        // Reports an unreadable CA file before anything else is done.
        let mut connections = pve.connections.iter();
        if let Some(connection) = connections.find(|connection| connection.endpoint.host.tls()) {
            connection.agent()?;
        }
        Ok(pve)
    }

    fn unchecked(access: &Access, deadline: Option<Instant>) -> Pve {
        let connections = access.endpoints.iter().cloned();
        let connections =
            connections.map(|endpoint| Connection::to(endpoint, access.token.clone()));
        Pve {
            access: access.clone(),
            deadline,
            connections: connections.collect(),
            first: Cell::new(0),
            contact: Cell::new(Contact::NotYet),
            observer: Box::new(|_| {}),
            skipped: RefCell::default(),
            without_quorum: RefCell::default(),
        }
    }

    /// Notifies `observer` of each request from now on.
    pub fn observed_by(self, observer: Observer) -> Pve {
        Pve { observer, ..self }
    }

    /// A second client, for another thread. It starts with the host that answered last and has no
    /// observer.
    pub fn duplicate(&self) -> Pve {
        Pve {
            connections: self.connections.iter().map(Connection::duplicate).collect(),
            first: self.first.clone(),
            contact: self.contact.clone(),
            ..Pve::unchecked(&self.access, self.deadline)
        }
    }

    /// The API token, without its secret.
    pub fn token(&self) -> &TokenId {
        &self.access.token.id
    }

    /// How far the servers have accepted this client since it was created.
    pub fn contact(&self) -> Contact {
        self.contact.get()
    }

    /// The certificate that the first host presented last, if it uses TLS.
    pub fn presented(&self) -> Option<Presented> {
        let traced = self.connections.first()?.trace.lock();
        let certificate = traced.certificate.as_ref()?;
        Some(Presented {
            fingerprint: Fingerprint::of(certificate),
            not_after: Details::of(certificate).map(|details| details.not_after),
        })
    }

    /// The addresses that the name of the first host, or of its proxy, resolved to.
    pub fn addresses(&self) -> Vec<IpAddr> {
        let first = self.connections.first();
        first.map_or_else(Vec::new, |first| first.trace.lock().addresses.clone())
    }

    /// `GET path`. The answer's `data` must be a `T`, which `expected` describes.
    pub(super) fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        expected: &'static str,
    ) -> Result<T, Error> {
        self.read(path, false, |data| parsed(data, expected))
    }

    /// `GET path`. `read` turns the answer's `data` into the result, or describes what it expected.
    /// `is_long` allows an answer of many MiB.
    pub(super) fn read<T>(
        &self,
        path: &str,
        is_long: bool,
        read: impl FnOnce(&RawValue) -> Result<T, &'static str>,
    ) -> Result<T, Error> {
        self.request(&Request::get(path, is_long), |answer| answer.data(read))
    }

    /// A request that changes something, with a form unless it is a `DELETE`. `read` as in
    /// [`Pve::read`].
    pub(super) fn change<T>(
        &self,
        method: Method,
        path: &str,
        form: &[(&str, &str)],
        read: impl FnOnce(&RawValue) -> Result<T, &'static str>,
    ) -> Result<T, Error> {
        let request = Request {
            form: (method != Method::DELETE).then(|| encode_form(form)),
            method,
            ..Request::get(path, false)
        };
        self.request(&request, |answer| answer.data(read))
    }

    fn request<T>(
        &self,
        request: &Request,
        read: impl FnOnce(&Answer) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let result = self.first_answer(request).and_then(|answer| read(&answer));
        let contact = result.as_ref().map_or_else(contact, |_| Contact::Accepted);
        self.contact.set(self.contact.get().max(contact));
        result.map_err(|error| match error {
            Error::Refused { message, .. } if request.is_change() && is_no_quorum(&message) => {
                self.no_quorum(message)
            }
            error => error,
        })
    }

    /// The error for a host without quorum. From now on, the next host that has not refused a change for
    /// this reason is tried first.
    fn no_quorum(&self, message: String) -> Error {
        let (count, last) = (self.connections.len(), self.first.get());
        let mut without_quorum = self.without_quorum.borrow_mut();
        let is_new = without_quorum.insert(last);
        let mut others = (last + 1..last + count).map(|index| index % count);
        let next = others.find(|index| !without_quorum.contains(index));
        let next = next.filter(|_| is_new);
        let before = without_quorum.iter().filter(|index| **index != last);
        let asked = before.chain([&last]);
        let asked = asked.map(|index| self.connections[*index].endpoint.host.clone());
        let error = Error::NoQuorum {
            asked: asked.collect(),
            message,
            is_another_left: next.is_some(),
        };
        if let Some(next) = next {
            self.first.set(next);
            (self.observer)(Event::HostSkipped(&error));
        }
        error
    }

    /// `GET path`, a list of guests; `of_node` and `keep` as in [`guest_list::read`].
    pub(super) fn list_guests(
        &self,
        path: &str,
        of_node: Option<&Node>,
        keep: Keep,
    ) -> Result<GuestList, Error> {
        let secret = &self.access.token.secret;
        self.request(&Request::get(path, true), |answer| {
            Ok(guest_list::read(&answer.rows()?, of_node, keep, secret))
        })
    }

    /// The answer of the first host that gives one.
    fn first_answer(&self, request: &Request) -> Result<Answer<'_>, Error> {
        let count = self.connections.len();
        let first = self.first.get();
        let mut skipped = Vec::new();
        for index in (first..first + count).map(|index| index % count) {
            let connection = &self.connections[index];
            match self.exchange(connection, request) {
                Err(Error::NoTimeLeft { .. }) if !skipped.is_empty() => break,
                Err(error) if may_try_next_host(request, &error) => {
                    skipped.push((&connection.endpoint.host, error));
                }
                answer => {
                    self.report_skipped(&skipped);
                    let is_silent = matches!(answer, Err(Error::NoAnswer { .. }));
                    self.first.set((index + usize::from(is_silent)) % count);
                    return answer;
                }
            }
        }
        let each: Vec<Error> = skipped.into_iter().map(|(_, error)| error).collect();
        Err(match <[Error; 1]>::try_from(each) {
            Ok([only]) => only,
            Err(each) => Error::NoneReached { each },
        })
    }

    fn exchange<'a>(
        &self,
        connection: &'a Connection,
        request: &Request,
    ) -> Result<Answer<'a>, Error> {
        let limit = self.limit()?;
        let start = Instant::now();
        let answer = connection.exchange(request, limit);
        let milliseconds = start.elapsed().as_millis();
        let outcome = match &answer {
            Ok(answer) => {
                let (status, reason, length) = (answer.status, &answer.reason, answer.length);
                format!("{status} {reason}, {milliseconds} ms, {length} bytes")
            }
            Err(error) => format!("{error}, {milliseconds} ms"),
        };
        let (host, path) = (&connection.endpoint.host, request.path);
        let method = &request.method;
        let line = format!("{host} {method} {path}: {outcome}");
        (self.observer)(Event::Exchange(&line));
        answer.and_then(|answer| answer.unless_lost(path))
    }

    /// Reports each skipped host once, and again if it later proves untrusted.
    fn report_skipped(&self, skipped: &[(&Host, Error)]) {
        for (host, error) in skipped {
            let is_distrusted = matches!(error, Error::Untrusted { .. });
            let key = ((*host).clone(), is_distrusted);
            if self.skipped.borrow_mut().insert(key) {
                (self.observer)(Event::HostSkipped(error));
            }
        }
    }

    /// The time limit for the next request, which must not run past the deadline.
    fn limit(&self) -> Result<Limit, Error> {
        let timeout = self.access.request_timeout;
        let time = self.deadline.map_or(timeout, |deadline| {
            timeout.min(deadline.saturating_duration_since(Instant::now()))
        });
        if time.is_zero() {
            return Err(Error::NoTimeLeft { tried: None });
        }
        Ok(Limit {
            time,
            is_cut_short: time < timeout,
        })
    }
}

fn contact(error: &Error) -> Contact {
    match error {
        Error::Refused { status, .. } if *status != 401 => Contact::Accepted,
        Error::Unexpected { .. } => Contact::Accepted,
        Error::Refused { .. } | Error::Undelivered { .. } | Error::UpstreamLost { .. } => {
            Contact::Answered
        }
        Error::NoneReached { each } => each.iter().map(contact).max().unwrap_or(Contact::NotYet),
        _ => Contact::NotYet,
    }
}

/// Whether to try the next host. That is safe if this one never received the request, or if the request
/// only reads.
fn may_try_next_host(request: &Request, error: &Error) -> bool {
    match error {
        // The next host would fail in the same way.
        Error::Tls { .. } | Error::NoTimeLeft { .. } => false,
        Error::NoAnswer { cut_short, .. } => !request.is_change() && !cut_short,
        error => error.delivery() == Delivery::NotDelivered,
    }
}

/// `data` as a `T`, or `expected` as the error.
pub fn parsed<'a, T: Deserialize<'a>>(
    data: &'a RawValue,
    expected: &'static str,
) -> Result<T, &'static str> {
    serde_json::from_str(data.get()).map_err(|_| expected)
}

/// A form as the body of a request: keys and their values.
pub fn encode_form(form: &[(&str, &str)]) -> String {
    let pair = |(key, value): &(&str, &str)| format!("{}={}", escaped(key), escaped(value));
    form.iter().map(pair).collect::<Vec<_>>().join("&")
}

/// `text`, escaped as one path segment or as one value of a form or query.
///
/// Proxmox's form parser also splits at `;` and cuts a value at a second `=`, so everything is escaped
/// except the unreserved characters.
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
    #[case::form_separators("a=b&c;d", "a%3Db%26c%3Bd")]
    #[case::space_and_plus("a b+c", "a%20b%2Bc")]
    #[case::path_and_query("../x/y?z#", "..%2Fx%2Fy%3Fz%23")]
    #[case::non_ascii("é", "%C3%A9")]
    fn all_special_characters_are_escaped(#[case] text: &str, #[case] sent: &str) {
        assert_eq!(escaped(text).to_string(), sent);
    }
}
