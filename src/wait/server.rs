//! A server that is asked again where its failure passes by itself.

use crate::pve::{self, Delivery, Met, Pve};
use crate::wait::{Budget, Forgiven, GaveUp, Look, Patience};

/// A server, and the time there is for asking it again.
#[derive(Clone, Copy)]
pub struct Server<'a> {
    /// Each request once.
    pub pve: &'a Pve,
    /// Nothing is asked again once it is used up.
    pub budget: Budget<'a>,
}

/// What one look among several came to.
pub enum Glance<T> {
    /// It worked.
    Saw(T),
    /// It failed, and the next one may work.
    Failed(pve::Error),
    /// The end of the budget cut it short: what was seen before stands.
    CutShort(pve::Error),
}

impl Server<'_> {
    /// Asks for what has to be known before something is begun.
    pub fn ask<T>(
        &self,
        question: impl Fn(&Pve) -> Result<T, pve::Error>,
    ) -> Result<T, pve::Error> {
        let forgiven = self.forgiving(before_something_is_begun);
        self.budget.try_until_done(forgiven, || question(self.pve))
    }

    /// Asks for a change, again only where the server certainly has not heard it.
    pub fn ask_for_change<T>(
        &self,
        request: impl Fn(&Pve) -> Result<T, pve::Error>,
    ) -> Result<T, pve::Error> {
        let forgiven = |error: &pve::Error| was_not_heard(error, self.pve.met());
        self.budget.try_until_done(forgiven, || request(self.pve))
    }

    /// Asks for what takes several looks to be known.
    pub fn ask_until_done<T>(
        &self,
        look: impl FnMut(&Pve) -> Result<Look<T>, pve::Error>,
    ) -> Result<T, GaveUp<pve::Error>> {
        self.look(before_something_is_begun, look)
    }

    /// Looks at what goes on by itself, whether or not it can be seen.
    pub fn watch<T>(
        &self,
        look: impl FnMut(&Pve) -> Result<Look<T>, pve::Error>,
    ) -> Result<T, GaveUp<pve::Error>> {
        self.look(while_it_goes_on, look)
    }

    /// Takes one look among several that a caller makes, at what goes on by itself or not: what it saw,
    /// or why it saw nothing this time; an error if looking again is no use.
    pub fn glance<T>(
        &self,
        goes_on: bool,
        patience: &mut Patience,
        look: Result<T, pve::Error>,
    ) -> Result<Glance<T>, pve::Error> {
        let rule = if goes_on {
            while_it_goes_on
        } else {
            before_something_is_begun
        };
        match look {
            Ok(seen) => {
                *patience = Patience::default();
                Ok(Glance::Saw(seen))
            }
            Err(error) => match self.forgiving(rule)(&error) {
                Forgiven::AsIfNotLooked => Ok(Glance::CutShort(error)),
                forgiven if patience.lasts(&self.budget, forgiven) => Ok(Glance::Failed(error)),
                _ => Err(error),
            },
        }
    }

    fn look<T>(
        &self,
        rule: fn(&pve::Error, Met) -> Forgiven,
        mut look: impl FnMut(&Pve) -> Result<Look<T>, pve::Error>,
    ) -> Result<T, GaveUp<pve::Error>> {
        let forgiven = self.forgiving(rule);
        self.budget.look_until_done(forgiven, || look(self.pve))
    }

    /// What a request was cut short by is the end of the budget, whatever the rule.
    fn forgiving(
        &self,
        rule: fn(&pve::Error, Met) -> Forgiven,
    ) -> impl Fn(&pve::Error) -> Forgiven {
        move |error| match error {
            pve::Error::NoTimeLeft { .. }
            | pve::Error::NoAnswer {
                cut_short: true, ..
            } => Forgiven::AsIfNotLooked,
            error => rule(error, self.pve.met()),
        }
    }
}

/// Giving up costs nothing yet. A server that has never answered is probably the wrong one; one
/// that has may be restarting a daemon.
fn before_something_is_begun(error: &pve::Error, met: Met) -> Forgiven {
    use pve::Error::{
        LostBehind, NoAnswer, NoTimeLeft, NoneReached, Refused, Tls, Undelivered, Unreachable,
        Untrusted, Unusable,
    };

    let passes = match error {
        Tls { .. } | NoTimeLeft { .. } => false,
        Unreachable { .. } | Untrusted { .. } => met > Met::NotYet,
        NoneReached { each } => {
            let each = each.iter();
            let mut each = each.map(|error| before_something_is_begun(error, met));
            return if each.any(|forgiven| forgiven != Forgiven::Not) {
                Forgiven::WhileADaemonRestarts
            } else {
                Forgiven::Not
            };
        }
        Undelivered { .. } | LostBehind { .. } | NoAnswer { .. } => true,
        Unusable { status, .. } => *status >= 500,
        Refused { status: 401, .. } => met == Met::Accepted,
        Refused { status, .. } => *status == 500,
    };
    if passes {
        Forgiven::WhileADaemonRestarts
    } else {
        Forgiven::Not
    }
}

/// A request that was not carried out, and may be heard the next time.
fn was_not_heard(error: &pve::Error, met: Met) -> Forgiven {
    let is_restarting = match error {
        pve::Error::Refused { status: 401, .. } => met == Met::Accepted,
        _ => error.delivery() == Delivery::NotDelivered && met > Met::NotYet,
    };
    if is_restarting {
        Forgiven::WhileADaemonRestarts
    } else {
        Forgiven::Not
    }
}

/// Giving up leaves something behind, so only a clear no ends the looking.
fn while_it_goes_on(error: &pve::Error, met: Met) -> Forgiven {
    match error {
        _ if met == Met::NotYet => before_something_is_begun(error, met),
        pve::Error::Refused { status: 401, .. } if met == Met::Accepted => {
            Forgiven::WhileADaemonRestarts
        }
        pve::Error::Refused { status: 400, .. } if is_no_such_task(error) => {
            Forgiven::WhileADaemonRestarts
        }
        pve::Error::Refused {
            status: 400 | 401 | 403,
            ..
        } => Forgiven::Not,
        _ => Forgiven::ToTheEnd,
    }
}

/// What the server says of a task that it does not know, or that it does not know yet again.
pub fn is_no_such_task(error: &pve::Error) -> bool {
    matches!(error, pve::Error::Refused { status: 400, words, .. } if words.contains("no such task"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pve::Behind;
    use crate::pve::types::TokenId;
    use rstest::rstest;

    fn refused(status: u16, words: &str) -> pve::Error {
        pve::Error::Refused {
            status,
            words: words.to_owned(),
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

    const NOT: Forgiven = Forgiven::Not;
    const AWHILE: Forgiven = Forgiven::WhileADaemonRestarts;
    const TO_THE_END: Forgiven = Forgiven::ToTheEnd;

    #[rstest]
    #[case::error(refused(500, "x"), AWHILE, TO_THE_END)]
    #[case::undelivered(undelivered(), AWHILE, TO_THE_END)]
    #[case::lost_behind(lost_behind(), AWHILE, TO_THE_END)]
    #[case::wrong_token(refused(401, ""), AWHILE, AWHILE)]
    #[case::forbidden(refused(403, "x"), NOT, NOT)]
    #[case::wrong_parameter(refused(400, "x"), NOT, NOT)]
    #[case::unknown_task(refused(400, "upid: no such task"), NOT, AWHILE)]
    #[case::unknown_method(refused(501, "x"), NOT, TO_THE_END)]
    fn a_server_that_has_accepted_the_token_is_forgiven(
        #[case] error: pve::Error,
        #[case] before: Forgiven,
        #[case] while_going_on: Forgiven,
    ) {
        let met = Met::Accepted;
        let seen = (
            before_something_is_begun(&error, met),
            while_it_goes_on(&error, met),
        );
        assert_eq!(seen, (before, while_going_on));
    }

    #[rstest]
    #[case::never_accepted(Met::Answered, NOT)]
    #[case::accepted_before(Met::Accepted, AWHILE)]
    fn a_token_that_was_accepted_is_not_wrong_all_of_a_sudden(
        #[case] met: Met,
        #[case] expected: Forgiven,
    ) {
        let error = refused(401, "");
        assert_eq!(before_something_is_begun(&error, met), expected);
        assert_eq!(while_it_goes_on(&error, met), expected);
    }
}
