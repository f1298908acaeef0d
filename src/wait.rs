//! Polls until something is done or the time limit is reached.

pub mod refusal;
pub mod server;
pub mod task;

use std::thread;
use std::time::{Duration, Instant};

/// The time of a run. Tests pass a clock that jumps.
pub trait Clock {
    /// The time since the run began, on a clock that cannot be set back.
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

    /// The moment at which the run has lasted that long.
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

/// The time limit of a run, and how long it pauses between two polls.
#[derive(Clone, Copy)]
pub struct Budget<'c> {
    /// Measures the time that has passed.
    pub clock: &'c dyn Clock,
    /// The time limit, counted from the start of the run.
    pub total: Duration,
    /// The pause between the end of a poll and the start of the next.
    pub interval: Duration,
}

/// What a poll found.
pub enum Poll<T> {
    /// What was waited for.
    Done(T),
    /// It is not done yet.
    NotYet,
}

/// For how long a request is repeated after a failure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Retry {
    /// Another attempt would fail in the same way.
    Never,
    /// For as long as a daemon may take to restart: 15 intervals after the first failure.
    DuringRestart,
    /// Until the time limit.
    UntilTimeout,
    /// The time limit cut the poll short: the result of the poll before still holds.
    CutShort,
}

/// Why a wait ended without success.
#[derive(Debug, PartialEq, Eq)]
pub enum GaveUp<E> {
    /// The time limit was reached. If the last poll failed, this is why.
    TimedOut(Option<E>),
    /// A poll failed and is not, or no longer, repeated.
    Failed(E),
}

impl<'c> Budget<'c> {
    /// A budget that permits one attempt at each request.
    pub fn for_one_try(clock: &'c dyn Clock) -> Budget<'c> {
        Budget {
            clock,
            total: Duration::ZERO,
            interval: Duration::ZERO,
        }
    }

    /// The remaining time.
    pub fn left(&self) -> Duration {
        self.total.saturating_sub(self.clock.elapsed())
    }

    /// The time limit in seconds, for messages.
    pub fn seconds(&self) -> f64 {
        self.total.as_secs_f64()
    }

    /// How long a change may take to become visible. What is not visible by then probably never will be.
    pub fn settling_time(&self) -> Duration {
        self.interval * 5
    }

    /// How long a daemon may take to restart. Its answers are not trusted until then.
    pub fn restart_time(&self) -> Duration {
        self.interval * 15
    }

    /// Pauses between attempts. The last one leaves some time for an attempt.
    pub fn pauses(&self) -> Pauses<'c> {
        Pauses {
            budget: *self,
            was_last: false,
        }
    }

    /// Makes one attempt at once, and another one after each interval while `retry` permits it.
    pub fn try_until_done<T, E>(
        &self,
        retry: impl Fn(&E) -> Retry,
        mut attempt: impl FnMut() -> Result<T, E>,
    ) -> Result<T, E> {
        let mut pauses = self.pauses();
        let mut grace = RestartGrace::default();
        loop {
            match attempt() {
                Err(error) if grace.allows(self, retry(&error)) && pauses.pause(self.interval) => {}
                ended => return ended,
            }
        }
    }

    /// Polls at once, then after each interval, and once more shortly before the time limit.
    pub fn poll_until_done<T, E>(
        &self,
        retry: impl Fn(&E) -> Retry,
        mut poll: impl FnMut() -> Result<Poll<T>, E>,
    ) -> Result<T, GaveUp<E>> {
        let mut pauses = self.pauses();
        let mut grace = RestartGrace::default();
        let mut failure_before = None;
        loop {
            let failure = match poll() {
                Ok(Poll::Done(found)) => return Ok(found),
                Ok(Poll::NotYet) => {
                    grace = RestartGrace::default();
                    None
                }
                Err(error) => match retry(&error) {
                    Retry::CutShort => failure_before.take().unwrap_or(Some(error)),
                    retry if grace.allows(self, retry) => Some(error),
                    _ => return Err(GaveUp::Failed(error)),
                },
            };
            if !pauses.pause(self.interval) {
                return Err(GaveUp::TimedOut(failure));
            }
            failure_before = Some(failure);
        }
    }
}

/// For how long polls have failed in the way they do while a daemon restarts.
#[derive(Default)]
pub struct RestartGrace {
    restarting_since: Option<Duration>,
}

impl RestartGrace {
    /// Whether to repeat the poll after another failure.
    pub fn allows(&mut self, budget: &Budget, retry: Retry) -> bool {
        match retry {
            Retry::Never => false,
            Retry::UntilTimeout | Retry::CutShort => true,
            Retry::DuringRestart => {
                let now = budget.clock.elapsed();
                let since = *self.restarting_since.get_or_insert(now);
                now < since + budget.restart_time()
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
    /// Whether the last pause was cut short by the time limit, so that no other one follows.
    pub fn was_last(&self) -> bool {
        self.was_last
    }

    /// Sleeps for `pause`, or less if the time limit is near. Returns false if no time is left for an attempt.
    pub fn pause(&mut self, pause: Duration) -> bool {
        let left = self.budget.left();
        if self.was_last || left.is_zero() {
            return false;
        }
        self.was_last = left <= pause;
        // The attempt after the last pause needs some time.
        let pause = if self.was_last { left * 3 / 4 } else { pause };
        self.budget.clock.sleep(pause);
        !self.budget.left().is_zero()
    }
}

/// Growing pauses with jitter, for requests that other runs repeat as well: ½, 1, 2, 4 and then 8
/// intervals, each up to a quarter shorter or longer.
pub struct BackOff<'c> {
    pauses: Pauses<'c>,
    next: Duration,
    longest: Duration,
}

impl<'c> BackOff<'c> {
    /// The next pause is the first one.
    pub fn new(budget: &Budget<'c>) -> BackOff<'c> {
        BackOff {
            pauses: budget.pauses(),
            next: budget.interval / 2,
            longest: budget.interval * 8,
        }
    }

    /// Sleeps for the next pause. Returns false if no time is left for an attempt.
    pub fn pause(&mut self) -> bool {
        let pause = self.next_pause();
        self.pauses.pause(pause)
    }

    /// The next pause, for a caller that sleeps itself.
    pub fn next_pause(&mut self) -> Duration {
        let pause = self.next.mul_f64(0.75 + fastrand::f64() / 2.0);
        self.next = self.longest.min(self.next * 2);
        pause
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

    const TIMED_OUT: Result<usize, GaveUp<char>> = Err(GaveUp::TimedOut(None));
    const TIMED_OUT_AFTER_FAILURE: Result<usize, GaveUp<char>> = Err(GaveUp::TimedOut(Some('x')));
    const REFUSED: Result<usize, GaveUp<char>> = Err(GaveUp::Failed('R'));
    const RESTARTED_FOR_TOO_LONG: Result<usize, GaveUp<char>> = Err(GaveUp::Failed('r'));

    /// A story is the result of each poll: `.` not yet, `x` a failure that is retried until the time limit, `c`
    /// one caused by the time limit, `r` one that is retried for 15 intervals, `R` one that is not retried,
    /// `D` done. An interval is 2 s, the time limit 10 s, and the last poll is at 9.5 s.
    #[rstest]
    #[case::done_at_once("D", Ok(1), 0)]
    #[case::done_later("...D", Ok(4), 6000)]
    #[case::failed_polls_are_repeated("xx.xD", Ok(5), 8000)]
    #[case::refused_at_once("R", REFUSED, 0)]
    #[case::refused_later(".xR", REFUSED, 4000)]
    #[case::done_at_the_last_poll(".....D", Ok(6), 9500)]
    #[case::time_limit_reached("......D", TIMED_OUT, 9500)]
    #[case::the_last_poll_failed(".....xD", TIMED_OUT_AFTER_FAILURE, 9500)]
    #[case::an_earlier_failure_is_not_reported("xxxxx.D", TIMED_OUT, 9500)]
    #[case::a_poll_that_is_cut_short_does_not_count(".....cD", TIMED_OUT, 9500)]
    #[case::the_failure_before_one_that_is_cut_short_is_reported(
        "....xcD",
        TIMED_OUT_AFTER_FAILURE,
        9500
    )]
    fn polling_ends_when_done_refused_or_timed_out(
        #[case] story: &str,
        #[case] expected: Result<usize, GaveUp<char>>,
        #[case] milliseconds: u128,
    ) {
        assert_story(10, story, expected, milliseconds);
    }

    /// Stories as above, with a time limit of 40 s.
    #[rstest]
    #[case::for_15_intervals("rrrrrrrrrrrrrrrD", Ok(16), 30_000)]
    #[case::no_longer("rrrrrrrrrrrrrrrrD", RESTARTED_FOR_TOO_LONG, 30_000)]
    #[case::counted_from_the_last_good_poll("rrrrrrrrrr.rrrrrrrrrD", Ok(21), 39_500)]
    #[case::not_extended_by_other_failures("rrrrrrrrrrxxxxxrD", RESTARTED_FOR_TOO_LONG, 30_000)]
    fn the_failures_of_a_restarting_daemon_are_retried(
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
        let mut polls = story.chars().enumerate();
        let ended = budget.poll_until_done(
            |failure| match failure {
                'x' => Retry::UntilTimeout,
                'c' => Retry::CutShort,
                'r' => Retry::DuringRestart,
                _ => Retry::Never,
            },
            || match polls.next().unwrap() {
                (index, 'D') => Ok(Poll::Done(index + 1)),
                (_, '.') => Ok(Poll::NotYet),
                (_, failure) => Err(failure),
            },
        );
        let elapsed = clock.elapsed().as_millis();
        assert_eq!((ended, elapsed), (expected, milliseconds));
    }

    #[test]
    fn an_interval_longer_than_the_time_limit_leaves_a_second_poll() {
        let clock = JumpingClock::default();
        let budget = Budget {
            clock: &clock,
            total: Duration::from_secs(4),
            interval: Duration::from_mins(1),
        };
        let mut polls = 0;
        let ended: Result<(), GaveUp<()>> = budget.poll_until_done(
            |()| Retry::Never,
            || {
                polls += 1;
                Ok(Poll::NotYet)
            },
        );
        assert_eq!((ended, polls), (Err(GaveUp::TimedOut(None)), 2));
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
