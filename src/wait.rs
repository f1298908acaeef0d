//! Look again until something is done or the time is up.

use std::thread;
use std::time::{Duration, Instant};

/// Time as a run sees it; tests hand in one that jumps.
pub trait Clock {
    /// How long the run has been going, on a clock that nobody can set back.
    fn elapsed(&self) -> Duration;
    /// Does nothing for that long.
    fn sleep(&self, pause: Duration);
}

/// The real time.
pub struct SystemClock(Instant);

impl SystemClock {
    /// A run begins now.
    pub fn start() -> SystemClock {
        SystemClock(Instant::now())
    }

    /// The moment at which a run has taken that long.
    pub fn after(&self, time: Duration) -> Instant {
        self.0 + time
    }
}

impl Clock for SystemClock {
    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    fn sleep(&self, pause: Duration) {
        thread::sleep(pause);
    }
}

/// What a run may take as a whole, and how long it pauses between two looks.
#[derive(Clone, Copy)]
pub struct Budget<'c> {
    /// Says how much is used up.
    pub clock: &'c dyn Clock,
    /// From the beginning of the run.
    pub total: Duration,
    /// Between the end of one look and the next.
    pub interval: Duration,
}

/// What a look found.
pub enum Look<T> {
    /// The end of the waiting.
    Done(T),
    /// Nothing to speak of.
    NotYet,
}

/// Why the waiting ended without what was waited for.
#[derive(Debug, PartialEq, Eq)]
pub enum GaveUp<E> {
    /// The budget is used up; the last look failed like this, if it did.
    TimeIsUp(Option<E>),
    /// A look failed in a way that looking again does not mend.
    Failed(E),
}

impl Budget<'_> {
    /// What is left of it.
    pub fn left(&self) -> Duration {
        self.total.saturating_sub(self.clock.elapsed())
    }

    /// Looks right away, then at each interval, and once more shortly before the end. A failure
    /// that `passes` is looked past: the work goes on at the server whether or not somebody can
    /// see it.
    pub fn look_until_done<T, E>(
        &self,
        passes: impl Fn(&E) -> bool,
        mut look: impl FnMut() -> Result<Look<T>, E>,
    ) -> Result<T, GaveUp<E>> {
        let mut is_last = false;
        loop {
            let failure = match look() {
                Ok(Look::Done(found)) => return Ok(found),
                Ok(Look::NotYet) => None,
                Err(error) if passes(&error) => Some(error),
                Err(error) => return Err(GaveUp::Failed(error)),
            };
            let left = self.left();
            if is_last || left.is_zero() {
                return Err(GaveUp::TimeIsUp(failure));
            }
            is_last = left <= self.interval;
            // The last look needs some time of its own.
            self.clock
                .sleep(if is_last { left * 3 / 4 } else { self.interval });
            if self.left().is_zero() {
                return Err(GaveUp::TimeIsUp(failure));
            }
        }
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use rstest::rstest;
    use std::cell::RefCell;

    /// Jumps instead of sleeping, and remembers by how much.
    #[derive(Default)]
    pub struct JumpingClock {
        pub pauses: RefCell<Vec<Duration>>,
    }

    impl Clock for JumpingClock {
        fn elapsed(&self) -> Duration {
            self.pauses.borrow().iter().sum()
        }

        fn sleep(&self, pause: Duration) {
            self.pauses.borrow_mut().push(pause);
        }
    }

    const TIME_IS_UP: Result<usize, GaveUp<char>> = Err(GaveUp::TimeIsUp(None));
    const TIME_IS_UP_UNSEEN: Result<usize, GaveUp<char>> = Err(GaveUp::TimeIsUp(Some('x')));
    const REFUSED: Result<usize, GaveUp<char>> = Err(GaveUp::Failed('R'));

    /// A story is what each look sees: `.` not yet, `x` a failure that passes, `R` one that does
    /// not, `D` done. An interval is 2 s, the budget 10 s, and the last look at 9.5 s.
    #[rstest]
    #[case::done_at_once("D", Ok(1), 0)]
    #[case::done_after_a_while("...D", Ok(4), 6000)]
    #[case::forgives_failed_looks("xx.xD", Ok(5), 8000)]
    #[case::refused_at_once("R", REFUSED, 0)]
    #[case::refused_in_between(".xR", REFUSED, 4000)]
    #[case::done_at_the_last_look(".....D", Ok(6), 9500)]
    #[case::gives_up_when_time_is_over("......D", TIME_IS_UP, 9500)]
    #[case::says_that_it_was_blind_at_the_end(".....xD", TIME_IS_UP_UNSEEN, 9500)]
    #[case::an_old_failure_is_no_reason("xxxxx.D", TIME_IS_UP, 9500)]
    fn looks_again_until(
        #[case] story: &str,
        #[case] expected: Result<usize, GaveUp<char>>,
        #[case] milliseconds: u128,
    ) {
        let clock = JumpingClock::default();
        let budget = Budget {
            clock: &clock,
            total: Duration::from_secs(10),
            interval: Duration::from_secs(2),
        };
        let mut sights = story.chars().enumerate();
        let ended = budget.look_until_done(
            |failure| *failure == 'x',
            || match sights.next().unwrap() {
                (index, 'D') => Ok(Look::Done(index + 1)),
                (_, '.') => Ok(Look::NotYet),
                (_, failure) => Err(failure),
            },
        );
        let elapsed = clock.elapsed().as_millis();
        assert_eq!((ended, elapsed), (expected, milliseconds));
    }

    #[test]
    fn an_interval_beyond_the_budget_still_leaves_a_second_look() {
        let clock = JumpingClock::default();
        let budget = Budget {
            clock: &clock,
            total: Duration::from_secs(4),
            interval: Duration::from_mins(1),
        };
        let mut looks = 0;
        let ended: Result<(), GaveUp<()>> = budget.look_until_done(
            |()| true,
            || {
                looks += 1;
                Ok(Look::NotYet)
            },
        );
        assert_eq!((ended, looks), (Err(GaveUp::TimeIsUp(None)), 2));
        assert_eq!(*clock.pauses.borrow(), [Duration::from_secs(3)]);
    }
}
