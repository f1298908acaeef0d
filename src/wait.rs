//! Looks again until something is done or the time is up.

pub mod refusal;
pub mod server;
pub mod task;

use std::thread;
use std::time::{Duration, Instant};

/// Time as a run sees it; tests hand in one that jumps.
pub trait Clock {
    /// How long the run has been going, on a clock that nobody can set back.
    fn elapsed(&self) -> Duration;
    /// Sleeps for that long.
    fn sleep(&self, pause: Duration);
}

/// The real time.
pub struct SystemClock(Instant);

impl SystemClock {
    /// Starts the clock of a run.
    pub fn start() -> SystemClock {
        SystemClock(Instant::now())
    }

    /// The moment at which the run has taken that long.
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

/// The time limit of a run, and how long it pauses between two looks.
#[derive(Clone, Copy)]
pub struct Budget<'c> {
    /// Tells how much time has passed.
    pub clock: &'c dyn Clock,
    /// The time limit, counted from the start of the run.
    pub total: Duration,
    /// The pause between the end of one look and the next.
    pub interval: Duration,
}

/// What a look found.
pub enum Look<T> {
    /// What was waited for.
    Done(T),
    /// It is not there yet.
    NotYet,
}

/// For how long a failure is forgiven.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Forgiven {
    /// Looking again does not help.
    Not,
    /// As long as a daemon may take to restart: 15 intervals from the first failure on.
    WhileADaemonRestarts,
    /// As long as there is time.
    ToTheEnd,
    /// The end of the budget cut the look short: what was seen before still holds.
    AsIfNotLooked,
}

/// Why a wait ended without success.
#[derive(Debug, PartialEq, Eq)]
pub enum GaveUp<E> {
    /// The budget is used up; the last look failed like this, if it did.
    TimeIsUp(Option<E>),
    /// A look failed in a way that is not, or no longer, forgiven.
    Failed(E),
}

impl<'c> Budget<'c> {
    /// A budget with which nothing is tried twice.
    pub fn for_one_try(clock: &'c dyn Clock) -> Budget<'c> {
        Budget {
            clock,
            total: Duration::ZERO,
            interval: Duration::ZERO,
        }
    }

    /// The time that is left.
    pub fn left(&self) -> Duration {
        self.total.saturating_sub(self.clock.elapsed())
    }

    /// The time limit in seconds, for messages.
    pub fn seconds(&self) -> f64 {
        self.total.as_secs_f64()
    }

    /// How long to wait for something that is usually visible at once, and otherwise never.
    pub fn a_while(&self) -> Duration {
        self.interval * 5
    }

    /// How long a daemon may take to restart; its answers are not trusted until then.
    pub fn a_restart(&self) -> Duration {
        self.interval * 15
    }

    /// Pauses between attempts at something; the last one leaves some time for an attempt.
    pub fn pauses(&self) -> Pauses<'c> {
        Pauses {
            budget: *self,
            was_last: false,
        }
    }

    /// Tries at once, and again at each interval while failures are forgiven.
    pub fn try_until_done<T, E>(
        &self,
        forgiven: impl Fn(&E) -> Forgiven,
        mut attempt: impl FnMut() -> Result<T, E>,
    ) -> Result<T, E> {
        let mut pauses = self.pauses();
        let mut patience = Patience::default();
        loop {
            match attempt() {
                Err(error)
                    if patience.lasts(self, forgiven(&error)) && pauses.pause(self.interval) => {}
                ended => return ended,
            }
        }
    }

    /// Looks at once, then at each interval, and once more shortly before the end.
    pub fn look_until_done<T, E>(
        &self,
        forgiven: impl Fn(&E) -> Forgiven,
        mut look: impl FnMut() -> Result<Look<T>, E>,
    ) -> Result<T, GaveUp<E>> {
        let mut pauses = self.pauses();
        let mut patience = Patience::default();
        let mut seen_before = None;
        loop {
            let failure = match look() {
                Ok(Look::Done(found)) => return Ok(found),
                Ok(Look::NotYet) => {
                    patience = Patience::default();
                    None
                }
                Err(error) => match forgiven(&error) {
                    Forgiven::AsIfNotLooked => seen_before.take().unwrap_or(Some(error)),
                    forgiven if patience.lasts(self, forgiven) => Some(error),
                    _ => return Err(GaveUp::Failed(error)),
                },
            };
            if !pauses.pause(self.interval) {
                return Err(GaveUp::TimeIsUp(failure));
            }
            seen_before = Some(failure);
        }
    }
}

/// How long looks have failed as they do while a daemon restarts.
#[derive(Default)]
pub struct Patience {
    restarting_since: Option<Duration>,
}

impl Patience {
    /// Whether to look again after another failure.
    pub fn lasts(&mut self, budget: &Budget, forgiven: Forgiven) -> bool {
        match forgiven {
            Forgiven::Not => false,
            Forgiven::ToTheEnd | Forgiven::AsIfNotLooked => true,
            Forgiven::WhileADaemonRestarts => {
                let now = budget.clock.elapsed();
                let since = *self.restarting_since.get_or_insert(now);
                now < since + budget.a_restart()
            }
        }
    }
}

/// Pauses within a budget.
pub struct Pauses<'c> {
    budget: Budget<'c>,
    was_last: bool,
}

impl Pauses<'_> {
    /// Sleeps for that long, or less if the budget ends before. False if no time is left to do anything
    /// afterwards.
    pub fn pause(&mut self, wanted: Duration) -> bool {
        let left = self.budget.left();
        if self.was_last || left.is_zero() {
            return false;
        }
        self.was_last = left <= wanted;
        // The attempt after the last pause needs some time.
        let pause = if self.was_last { left * 3 / 4 } else { wanted };
        self.budget.clock.sleep(pause);
        !self.budget.left().is_zero()
    }
}

/// Growing pauses with jitter, for what other runs try at the same moment: ½, 1, 2, 4 and then 8
/// intervals, each up to a quarter shorter or longer.
pub struct BackOff<'c> {
    pauses: Pauses<'c>,
    next: Duration,
    longest: Duration,
}

impl<'c> BackOff<'c> {
    /// Before the first pause.
    pub fn new(budget: &Budget<'c>) -> BackOff<'c> {
        BackOff {
            pauses: budget.pauses(),
            next: budget.interval / 2,
            longest: budget.interval * 8,
        }
    }

    /// Sleeps for the next pause. False if no time is left to do anything afterwards.
    pub fn pause(&mut self) -> bool {
        let wanted = self.next.mul_f64(0.75 + fastrand::f64() / 2.0);
        self.next = self.longest.min(self.next * 2);
        self.pauses.pause(wanted)
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use rstest::rstest;
    use std::cell::RefCell;

    /// A clock that jumps instead of sleeping, and records by how much.
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
    const RESTARTED_FOR_TOO_LONG: Result<usize, GaveUp<char>> = Err(GaveUp::Failed('r'));

    /// A story is what each look sees: `.` not yet, `x` a failure that is forgiven, `c` one caused by the end
    /// of the budget, `r` one that is forgiven for 15 intervals, `R` one that is not, `D` done. An interval
    /// is 2 s, the budget 10 s, and the last look is at 9.5 s.
    #[rstest]
    #[case::done_at_once("D", Ok(1), 0)]
    #[case::done_after_a_while("...D", Ok(4), 6000)]
    #[case::forgives_failed_looks("xx.xD", Ok(5), 8000)]
    #[case::refused_at_once("R", REFUSED, 0)]
    #[case::refused_in_between(".xR", REFUSED, 4000)]
    #[case::done_at_the_last_look(".....D", Ok(6), 9500)]
    #[case::gives_up_when_time_is_over("......D", TIME_IS_UP, 9500)]
    #[case::the_last_look_failed(".....xD", TIME_IS_UP_UNSEEN, 9500)]
    #[case::an_earlier_failure_is_not_reported("xxxxx.D", TIME_IS_UP, 9500)]
    #[case::a_look_that_is_cut_short_does_not_count(".....cD", TIME_IS_UP, 9500)]
    #[case::the_failure_before_one_that_is_cut_short_is_reported(
        "....xcD",
        TIME_IS_UP_UNSEEN,
        9500
    )]
    fn looks_again_until(
        #[case] story: &str,
        #[case] expected: Result<usize, GaveUp<char>>,
        #[case] milliseconds: u128,
    ) {
        assert_story(10, story, expected, milliseconds);
    }

    /// Stories as above, with a budget of 40 s.
    #[rstest]
    #[case::for_a_while("rrrrrrrrrrrrrrrD", Ok(16), 30_000)]
    #[case::no_longer("rrrrrrrrrrrrrrrrD", RESTARTED_FOR_TOO_LONG, 30_000)]
    #[case::counted_from_the_last_time_it_worked("rrrrrrrrrr.rrrrrrrrrD", Ok(21), 39_500)]
    #[case::not_made_longer_by_other_failures("rrrrrrrrrrxxxxxrD", RESTARTED_FOR_TOO_LONG, 30_000)]
    fn what_a_restarting_daemon_says_is_forgiven(
        #[case] story: &str,
        #[case] expected: Result<usize, GaveUp<char>>,
        #[case] milliseconds: u128,
    ) {
        assert_story(40, story, expected, milliseconds);
    }

    fn assert_story(
        seconds: u64,
        story: &str,
        expected: Result<usize, GaveUp<char>>,
        milliseconds: u128,
    ) {
        let clock = JumpingClock::default();
        let budget = Budget {
            clock: &clock,
            total: Duration::from_secs(seconds),
            interval: Duration::from_secs(2),
        };
        let mut looks = story.chars().enumerate();
        let ended = budget.look_until_done(
            |failure| match failure {
                'x' => Forgiven::ToTheEnd,
                'c' => Forgiven::AsIfNotLooked,
                'r' => Forgiven::WhileADaemonRestarts,
                _ => Forgiven::Not,
            },
            || match looks.next().unwrap() {
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
            |()| Forgiven::Not,
            || {
                looks += 1;
                Ok(Look::NotYet)
            },
        );
        assert_eq!((ended, looks), (Err(GaveUp::TimeIsUp(None)), 2));
        assert_eq!(*clock.pauses.borrow(), [Duration::from_secs(3)]);
    }

    #[test]
    fn pauses_grow_and_differ_randomly() {
        let clock = JumpingClock::default();
        let budget = Budget {
            clock: &clock,
            total: Duration::from_secs(45),
            interval: Duration::from_secs(2),
        };
        let mut back_off = BackOff::new(&budget);
        while back_off.pause() {}
        let pauses = clock.pauses.borrow();
        assert!(pauses.len() > 5, "{pauses:?}");
        for (pause, middle) in pauses.iter().zip([1, 2, 4, 8, 16]) {
            let share = pause.as_secs_f64() / f64::from(middle);
            assert!((0.75..1.25).contains(&share), "{pauses:?}");
            assert!((share - 1.0).abs() > f64::EPSILON, "{pauses:?}");
        }
        assert!(clock.elapsed() < Duration::from_secs(45));
    }
}
