//! A server to which requests are repeated while their failure may be temporary.
//!
//! - What must be known before a change is requested is read again for as long as a daemon may take to
//!   restart: giving up then leaves nothing behind.
//! - A change is requested again only if the server certainly did not receive the request.
//! - A task runs whether or not it can be seen, so it is polled until the time limit. Only a clear refusal
//!   ends that.
//! - A user is told when the server stops answering while a run waits, and when it answers again.

use crate::pve::{self, Contact, Delivery, Pve};
use crate::ui::progress::Progress;
use crate::wait::{Budget, GaveUp, Poll, RestartGrace, Retry};

/// A server, and the time limit for repeating requests.
#[derive(Clone, Copy)]
pub struct Server<'a> {
    /// Sends each request once.
    pub pve: &'a Pve,
    /// No request is repeated once it is used up.
    pub budget: Budget<'a>,
    /// Reports when the server stops answering, and when it answers again.
    pub progress: &'a Progress,
}

/// The result of one poll among several.
pub enum Judged<T> {
    /// It was answered.
    Answered(T),
    /// It failed, and the next one may work.
    Failed(pve::Error),
    /// The time limit cut it short: the result of the poll before still holds.
    CutShort(pve::Error),
}

impl Server<'_> {
    /// Reads what must be known before a change is requested.
    pub fn ask<T>(
        &self,
        question: impl Fn(&Pve) -> Result<T, pve::Error>,
    ) -> Result<T, pve::Error> {
        let retry = self.retries(Purpose::Prepare);
        self.budget
            .try_until_done(retry, || self.note_answer(question(self.pve)))
            .inspect_err(|_| self.progress.gave_up())
    }

    /// Requests a change.
    pub fn ask_for_change<T>(
        &self,
        request: impl Fn(&Pve) -> Result<T, pve::Error>,
    ) -> Result<T, pve::Error> {
        let retry = self.retries(Purpose::Change);
        self.budget
            .try_until_done(retry, || self.note_answer(request(self.pve)))
            .inspect_err(|_| self.progress.gave_up())
    }

    /// Polls until done. Something `is_ongoing` if the server carries it out whether or not it can be seen;
    /// otherwise the poll is for what must be known before a change is requested.
    pub fn poll<T>(
        &self,
        is_ongoing: bool,
        mut poll: impl FnMut(&Pve) -> Result<Poll<T>, pve::Error>,
    ) -> Result<T, GaveUp<pve::Error>> {
        let retry = self.retries(Purpose::of_poll(is_ongoing));
        self.budget
            .poll_until_done(retry, || self.note_answer(poll(self.pve)))
            .inspect_err(|_| self.progress.gave_up())
    }

    /// Judges one poll among several that the caller makes; `is_ongoing` as for [`Server::poll`]. An error if
    /// the poll is not to be repeated.
    pub fn judge<T>(
        &self,
        is_ongoing: bool,
        grace: &mut RestartGrace,
        result: Result<T, pve::Error>,
    ) -> Result<Judged<T>, pve::Error> {
        self.judge_for(Purpose::of_poll(is_ongoing), grace, result)
    }

    /// Judges one attempt among several to request a change. An error if the request is not to be repeated
    /// as it is: it may have been delivered, or was refused.
    pub fn judge_change<T>(
        &self,
        grace: &mut RestartGrace,
        result: Result<T, pve::Error>,
    ) -> Result<Judged<T>, pve::Error> {
        self.judge_for(Purpose::Change, grace, result)
    }

    fn judge_for<T>(
        &self,
        purpose: Purpose,
        grace: &mut RestartGrace,
        result: Result<T, pve::Error>,
    ) -> Result<Judged<T>, pve::Error> {
        match self.note_answer(result) {
            Ok(answer) => {
                *grace = RestartGrace::default();
                Ok(Judged::Answered(answer))
            }
            Err(error) => match self.retries(purpose)(&error) {
                Retry::CutShort => Ok(Judged::CutShort(error)),
                retry if grace.allows(&self.budget, retry) => Ok(Judged::Failed(error)),
                _ => {
                    self.progress.gave_up();
                    Err(error)
                }
            },
        }
    }

    fn retries(&self, purpose: Purpose) -> impl Fn(&pve::Error) -> Retry {
        move |error| retry(purpose, error, self.pve.contact())
    }

    /// Reports whether there was an answer.
    fn note_answer<T>(&self, result: Result<T, pve::Error>) -> Result<T, pve::Error> {
        match &result {
            Ok(_) | Err(pve::Error::Refused { .. }) => self.progress.answered(),
            Err(error) => {
                if let Some((name, why)) = unanswered(error) {
                    self.progress.no_answer(&name, &why);
                }
            }
        }
        result
    }
}

/// Which host or node has not answered, and why, if that is how a request failed.
fn unanswered(error: &pve::Error) -> Option<(String, String)> {
    use pve::Error::{NoAnswer, NoneReached, Undelivered, Unreachable, Unusable, UpstreamLost};

    let who = match error {
        Undelivered { upstream, .. } | UpstreamLost { upstream, .. } => match &upstream.node {
            Some(node) => format!("node '{node}'"),
            None => upstream.host.name().to_owned(),
        },
        Unreachable { host, .. }
        | NoAnswer {
            host,
            cut_short: false,
            ..
        }
        | Unusable {
            host,
            status: 502..=504,
            ..
        } => host.name().to_owned(),
        NoneReached { .. } => return Some(("the cluster".to_owned(), error.to_string())),
        _ => return None,
    };
    let why = match error {
        NoAnswer { cause, .. } => cause.clone(),
        error => error.without_host(),
    };
    let why = why.split(" (os error").next().unwrap_or_default();
    Some((who, why.to_owned()))
}

/// What a request is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// To read what must be known before a change.
    Prepare,
    /// To make a change.
    Change,
    /// To see what the server carries out.
    Watch,
}

impl Purpose {
    fn of_poll(is_ongoing: bool) -> Purpose {
        if is_ongoing {
            Purpose::Watch
        } else {
            Purpose::Prepare
        }
    }
}

/// A server that has never answered is probably the wrong one; one that has may be restarting a daemon.
fn retry(purpose: Purpose, error: &pve::Error, contact: Contact) -> Retry {
    use Purpose::{Change, Watch};
    use pve::Error::{
        NoAnswer, NoQuorum, NoTimeLeft, NoneReached, Refused, Tls, Undelivered, Unexpected,
        Unreachable, Untrusted, Unusable, UpstreamLost,
    };

    let has_answered = contact > Contact::NotYet;
    let is_temporary = match (purpose, error) {
        (_, Refused { status: 401, .. }) => contact == Contact::Accepted,
        (Change, _) => error.delivery() == Delivery::NotDelivered && has_answered,
        (_, NoTimeLeft { .. }) => return Retry::CutShort,
        (_, NoAnswer { cut_short, .. }) if *cut_short => return Retry::CutShort,
        (Watch, Refused { status: 400, .. }) => is_no_such_task(error),
        (Watch, Refused { status: 403, .. }) => false,
        (Watch, error) if is_unknown_node(error) => false,
        (Watch, _) if has_answered => return Retry::UntilTimeout,
        (_, Tls { .. } | NoQuorum { .. } | Unexpected { .. }) => false,
        (_, Unreachable { .. } | Untrusted { .. }) => has_answered,
        (_, NoneReached { each }) => each
            .iter()
            .any(|error| retry(purpose, error, contact) == Retry::DuringRestart),
        (_, Undelivered { .. } | UpstreamLost { .. } | NoAnswer { .. }) => true,
        (_, Unusable { status, .. }) => *status >= 500,
        (_, Refused { status, .. }) => *status == 500,
    };
    if is_temporary {
        Retry::DuringRestart
    } else {
        Retry::Never
    }
}

/// Whether the cluster has no node with the name in the request's path.
pub fn is_unknown_node(error: &pve::Error) -> bool {
    matches!(error, pve::Error::Refused { status: 500, message, .. } if message.starts_with("hostname lookup '"))
}

/// Whether the server does not know a task, or, after a restart, does not know it yet.
pub fn is_no_such_task(error: &pve::Error) -> bool {
    matches!(error, pve::Error::Refused { status: 400, message, .. } if message.contains("no such task"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pve::types::TokenId;
    use crate::pve::{Unreached, Upstream};
    use rstest::rstest;

    fn refused(status: u16, message: &str) -> pve::Error {
        pve::Error::Refused {
            status,
            message: message.to_owned(),
            token: TokenId {
                user: "root".to_owned(),
                realm: "pam".to_owned(),
                key: "cli".to_owned(),
            },
        }
    }

    fn upstream() -> Upstream {
        Upstream {
            host: "pve1".parse().unwrap(),
            node: None,
        }
    }

    fn undelivered() -> pve::Error {
        pve::Error::Undelivered {
            upstream: upstream(),
            reason: "Connection refused".to_owned(),
        }
    }

    fn lost_behind() -> pve::Error {
        pve::Error::UpstreamLost {
            upstream: upstream(),
            status: 596,
            reason: "Connection timed out".to_owned(),
        }
    }

    fn no_answer(cut_short: bool) -> pve::Error {
        pve::Error::NoAnswer {
            host: upstream().host,
            cause: "no complete response within 5 s".to_owned(),
            cut_short,
        }
    }

    fn unreachable() -> pve::Error {
        pve::Error::Unreachable {
            host: upstream().host,
            why: Unreached::NotTls,
        }
    }

    fn none_reached(error: pve::Error) -> pve::Error {
        let each = vec![unreachable(), error];
        pve::Error::NoneReached { each }
    }

    fn no_time_left() -> pve::Error {
        pve::Error::NoTimeLeft { tried: None }
    }

    const NEVER: Retry = Retry::Never;
    const DURING_RESTART: Retry = Retry::DuringRestart;
    const UNTIL_TIMEOUT: Retry = Retry::UntilTimeout;
    const CUT_SHORT: Retry = Retry::CutShort;

    fn assert_retry(error: &pve::Error, contact: Contact, expected: [Retry; 3]) {
        let purposes = [Purpose::Prepare, Purpose::Change, Purpose::Watch];
        let seen = purposes.map(|purpose| retry(purpose, error, contact));
        assert_eq!(seen, expected);
    }

    #[rstest]
    #[case::error(refused(500, "x"), [DURING_RESTART, NEVER, UNTIL_TIMEOUT])]
    #[case::undelivered(undelivered(), [DURING_RESTART, DURING_RESTART, UNTIL_TIMEOUT])]
    #[case::lost_behind(lost_behind(), [DURING_RESTART, NEVER, UNTIL_TIMEOUT])]
    #[case::no_answer(no_answer(false), [DURING_RESTART, NEVER, UNTIL_TIMEOUT])]
    #[case::cut_short(no_answer(true), [CUT_SHORT, NEVER, CUT_SHORT])]
    #[case::no_time_left(no_time_left(), [CUT_SHORT, DURING_RESTART, CUT_SHORT])]
    #[case::unreachable(unreachable(), [DURING_RESTART, DURING_RESTART, UNTIL_TIMEOUT])]
    #[case::wrong_token(refused(401, ""), [DURING_RESTART, DURING_RESTART, DURING_RESTART])]
    #[case::forbidden(refused(403, "x"), [NEVER, NEVER, NEVER])]
    #[case::wrong_parameter(refused(400, "x"), [NEVER, NEVER, NEVER])]
    #[case::unknown_task(refused(400, "upid: no such task"), [NEVER, NEVER, DURING_RESTART])]
    #[case::unknown_node(refused(500, "hostname lookup 'pve9' failed - …"), [DURING_RESTART, NEVER, NEVER])]
    #[case::unknown_method(refused(501, "x"), [NEVER, NEVER, UNTIL_TIMEOUT])]
    fn a_server_that_has_accepted_the_token_is_asked_again(
        #[case] error: pve::Error,
        #[case] expected: [Retry; 3],
    ) {
        assert_retry(&error, Contact::Accepted, expected);
    }

    #[rstest]
    #[case::unreachable(unreachable(), [NEVER, NEVER, NEVER])]
    #[case::no_answer(no_answer(false), [DURING_RESTART, NEVER, DURING_RESTART])]
    #[case::no_host_reached(none_reached(unreachable()), [NEVER, NEVER, NEVER])]
    #[case::a_host_may_be_back(none_reached(undelivered()), [DURING_RESTART, NEVER, DURING_RESTART])]
    fn a_server_that_has_never_answered_is_probably_the_wrong_one(
        #[case] error: pve::Error,
        #[case] expected: [Retry; 3],
    ) {
        assert_retry(&error, Contact::NotYet, expected);
    }

    #[rstest]
    #[case::never_accepted(Contact::Answered, NEVER)]
    #[case::accepted_before(Contact::Accepted, DURING_RESTART)]
    fn a_token_that_was_accepted_does_not_become_wrong(
        #[case] contact: Contact,
        #[case] expected: Retry,
    ) {
        assert_retry(&refused(401, ""), contact, [expected; 3]);
    }
}
