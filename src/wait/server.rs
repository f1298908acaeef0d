//! A server whose requests are repeated while their failure may pass.
//!
//! - What has to be known before something is begun is asked again for as long as a daemon may take to
//!   restart: giving up leaves nothing behind.
//! - A change is requested again only if the server certainly did not receive the request.
//! - What goes on by itself is watched to the end: only a clear refusal ends it.

use crate::pve::{self, Contact, Delivery, Pve};
use crate::ui::progress::Progress;
use crate::wait::{Budget, Forgiven, GaveUp, Look, Patience};

/// A server, and the time there is for repeating requests.
#[derive(Clone, Copy)]
pub struct Server<'a> {
    /// Sends each request once.
    pub pve: &'a Pve,
    /// Nothing is repeated once it is used up.
    pub budget: Budget<'a>,
    /// Reports that it does not answer, and that it answers again.
    pub progress: &'a Progress,
}

/// The result of one look among several.
pub enum Glance<T> {
    /// It worked.
    Saw(T),
    /// It failed, and the next one may work.
    Failed(pve::Error),
    /// The end of the budget cut it short: what was seen before still holds.
    CutShort(pve::Error),
}

impl Server<'_> {
    /// Reads what has to be known before something is begun.
    pub fn ask<T>(
        &self,
        question: impl Fn(&Pve) -> Result<T, pve::Error>,
    ) -> Result<T, pve::Error> {
        let forgiven = self.forgiving(Purpose::Prepare);
        self.budget
            .try_until_done(forgiven, || self.heard(question(self.pve)))
            .inspect_err(|_| self.progress.gave_up())
    }

    /// Requests a change.
    pub fn ask_for_change<T>(
        &self,
        request: impl Fn(&Pve) -> Result<T, pve::Error>,
    ) -> Result<T, pve::Error> {
        let forgiven = self.forgiving(Purpose::Change);
        self.budget
            .try_until_done(forgiven, || self.heard(request(self.pve)))
            .inspect_err(|_| self.progress.gave_up())
    }

    /// Looks until done. What `goes_on` by itself is watched whether or not it can be seen; else the looks
    /// are for something that has to be known before something is begun.
    pub fn look<T>(
        &self,
        goes_on: bool,
        mut look: impl FnMut(&Pve) -> Result<Look<T>, pve::Error>,
    ) -> Result<T, GaveUp<pve::Error>> {
        let forgiven = self.forgiving(Purpose::of_look(goes_on));
        self.budget
            .look_until_done(forgiven, || self.heard(look(self.pve)))
            .inspect_err(|_| self.progress.gave_up())
    }

    /// Judges one look among several that the caller takes, at something that goes on by itself or not.
    /// An error if looking again is of no use.
    pub fn glance<T>(
        &self,
        goes_on: bool,
        patience: &mut Patience,
        look: Result<T, pve::Error>,
    ) -> Result<Glance<T>, pve::Error> {
        match self.heard(look) {
            Ok(seen) => {
                *patience = Patience::default();
                Ok(Glance::Saw(seen))
            }
            Err(error) => match self.forgiving(Purpose::of_look(goes_on))(&error) {
                Forgiven::AsIfNotLooked => Ok(Glance::CutShort(error)),
                forgiven if patience.lasts(&self.budget, forgiven) => Ok(Glance::Failed(error)),
                _ => {
                    self.progress.gave_up();
                    Err(error)
                }
            },
        }
    }

    fn forgiving(&self, purpose: Purpose) -> impl Fn(&pve::Error) -> Forgiven {
        move |error| {
            let forgiven = forgiven(purpose, error, self.pve.contact());
            if forgiven != Forgiven::Not
                && let Some((who, why)) = unanswered(error)
            {
                self.progress.no_answer(&who, &why);
            }
            forgiven
        }
    }

    /// Reports that the server answers, if it does.
    fn heard<T>(&self, result: Result<T, pve::Error>) -> Result<T, pve::Error> {
        if let Ok(_) | Err(pve::Error::Refused { .. }) = result {
            self.progress.answered();
        }
        result
    }
}

/// Which host or node has not answered, and why, if that is how a request failed.
fn unanswered(error: &pve::Error) -> Option<(String, String)> {
    use pve::Error::{LostBehind, NoAnswer, NoneReached, Undelivered, Unreachable, Unusable};

    let who = match error {
        Undelivered { behind, .. } | LostBehind { behind, .. } => match &behind.node {
            Some(node) => format!("node '{node}'"),
            None => behind.host.name().to_owned(),
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
    /// To know something before something is begun.
    Prepare,
    /// To change something.
    Change,
    /// To see what goes on by itself.
    Watch,
}

impl Purpose {
    fn of_look(goes_on: bool) -> Purpose {
        if goes_on {
            Purpose::Watch
        } else {
            Purpose::Prepare
        }
    }
}

/// A server that has never answered is probably the wrong one; one that has may be restarting a daemon.
fn forgiven(purpose: Purpose, error: &pve::Error, contact: Contact) -> Forgiven {
    use Purpose::{Change, Watch};
    use pve::Error::{
        LostBehind, NoAnswer, NoQuorum, NoTimeLeft, NoneReached, Refused, Tls, Undelivered,
        Unexpected, Unreachable, Untrusted, Unusable,
    };

    let has_answered = contact > Contact::NotYet;
    let passes = match (purpose, error) {
        (_, Refused { status: 401, .. }) => contact == Contact::Accepted,
        (Change, _) => error.delivery() == Delivery::NotDelivered && has_answered,
        (_, NoTimeLeft { .. }) => return Forgiven::AsIfNotLooked,
        (_, NoAnswer { cut_short, .. }) if *cut_short => return Forgiven::AsIfNotLooked,
        (Watch, Refused { status: 400, .. }) => is_no_such_task(error),
        (Watch, Refused { status: 403, .. }) => false,
        (Watch, error) if is_unknown_node(error) => false,
        (Watch, _) if has_answered => return Forgiven::ToTheEnd,
        (_, Tls { .. } | NoQuorum { .. } | Unexpected { .. }) => false,
        (_, Unreachable { .. } | Untrusted { .. }) => has_answered,
        (_, NoneReached { each }) => each
            .iter()
            .any(|error| forgiven(purpose, error, contact) == Forgiven::WhileADaemonRestarts),
        (_, Undelivered { .. } | LostBehind { .. } | NoAnswer { .. }) => true,
        (_, Unusable { status, .. }) => *status >= 500,
        (_, Refused { status, .. }) => *status == 500,
    };
    if passes {
        Forgiven::WhileADaemonRestarts
    } else {
        Forgiven::Not
    }
}

/// Whether the cluster has no node of the name that was asked for.
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
    use crate::pve::{Behind, Unreached};
    use rstest::rstest;

    fn refused(status: u16, words: &str) -> pve::Error {
        pve::Error::Refused {
            status,
            message: words.to_owned(),
            token: TokenId {
                user: "root".to_owned(),
                realm: "pam".to_owned(),
                key: "cli".to_owned(),
            },
        }
    }

    fn behind() -> Behind {
        Behind {
            host: "pve1".parse().unwrap(),
            node: None,
        }
    }

    fn undelivered() -> pve::Error {
        pve::Error::Undelivered {
            behind: behind(),
            reason: "Connection refused".to_owned(),
        }
    }

    fn lost_behind() -> pve::Error {
        pve::Error::LostBehind {
            behind: behind(),
            status: 596,
            reason: "Connection timed out".to_owned(),
        }
    }

    fn no_answer(cut_short: bool) -> pve::Error {
        pve::Error::NoAnswer {
            host: behind().host,
            cause: "no complete response within 5 s".to_owned(),
            cut_short,
        }
    }

    fn unreachable() -> pve::Error {
        pve::Error::Unreachable {
            host: behind().host,
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

    const NOT: Forgiven = Forgiven::Not;
    const AWHILE: Forgiven = Forgiven::WhileADaemonRestarts;
    const TO_THE_END: Forgiven = Forgiven::ToTheEnd;
    const NOT_LOOKED: Forgiven = Forgiven::AsIfNotLooked;

    fn assert_forgiven(error: &pve::Error, contact: Contact, expected: [Forgiven; 3]) {
        let purposes = [Purpose::Prepare, Purpose::Change, Purpose::Watch];
        let seen = purposes.map(|purpose| forgiven(purpose, error, contact));
        assert_eq!(seen, expected);
    }

    #[rstest]
    #[case::error(refused(500, "x"), [AWHILE, NOT, TO_THE_END])]
    #[case::undelivered(undelivered(), [AWHILE, AWHILE, TO_THE_END])]
    #[case::lost_behind(lost_behind(), [AWHILE, NOT, TO_THE_END])]
    #[case::no_answer(no_answer(false), [AWHILE, NOT, TO_THE_END])]
    #[case::cut_short(no_answer(true), [NOT_LOOKED, NOT, NOT_LOOKED])]
    #[case::no_time_left(no_time_left(), [NOT_LOOKED, AWHILE, NOT_LOOKED])]
    #[case::unreachable(unreachable(), [AWHILE, AWHILE, TO_THE_END])]
    #[case::wrong_token(refused(401, ""), [AWHILE, AWHILE, AWHILE])]
    #[case::forbidden(refused(403, "x"), [NOT, NOT, NOT])]
    #[case::wrong_parameter(refused(400, "x"), [NOT, NOT, NOT])]
    #[case::unknown_task(refused(400, "upid: no such task"), [NOT, NOT, AWHILE])]
    #[case::unknown_node(refused(500, "hostname lookup 'pve9' failed - …"), [AWHILE, NOT, NOT])]
    #[case::unknown_method(refused(501, "x"), [NOT, NOT, TO_THE_END])]
    fn a_server_that_has_accepted_the_token_is_forgiven(
        #[case] error: pve::Error,
        #[case] expected: [Forgiven; 3],
    ) {
        assert_forgiven(&error, Contact::Accepted, expected);
    }

    #[rstest]
    #[case::unreachable(unreachable(), [NOT, NOT, NOT])]
    #[case::no_answer(no_answer(false), [AWHILE, NOT, AWHILE])]
    #[case::no_host_reached(none_reached(unreachable()), [NOT, NOT, NOT])]
    #[case::a_host_may_be_back(none_reached(undelivered()), [AWHILE, NOT, AWHILE])]
    fn a_server_that_has_never_answered_is_probably_the_wrong_one(
        #[case] error: pve::Error,
        #[case] expected: [Forgiven; 3],
    ) {
        assert_forgiven(&error, Contact::NotYet, expected);
    }

    #[rstest]
    #[case::never_accepted(Contact::Answered, NOT)]
    #[case::accepted_before(Contact::Accepted, AWHILE)]
    fn a_token_that_was_accepted_does_not_become_wrong(
        #[case] contact: Contact,
        #[case] expected: Forgiven,
    ) {
        assert_forgiven(&refused(401, ""), contact, [expected; 3]);
    }
}
