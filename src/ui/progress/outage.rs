//! When a run reports that the server does not answer.

/// One failed poll is not an outage: a restarting daemon drops some.
const POLLS: usize = 3;

/// The polls in a row that were not answered.
#[derive(Default)]
pub(super) struct Outage {
    /// The host or node that failed to answer last.
    name: String,
    failed: usize,
}

impl Outage {
    /// Counts a poll that `name` did not answer. Returns whether to report the outage now.
    pub(super) fn failed(&mut self, name: &str) -> bool {
        name.clone_into(&mut self.name);
        self.failed += 1;
        self.failed == POLLS
    }

    /// A poll was answered. Returns `name` if an outage was reported.
    pub(super) fn ended(&mut self) -> Option<String> {
        let Outage { name, failed } = std::mem::take(self);
        (failed >= POLLS).then_some(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    /// A story is what each poll sees: `1` and `2` no answer from that host, `.` an answer. The result has
    /// `!` where an outage is reported, and `+` where its end is.
    #[rstest]
    #[case::one_outage("..11111..", "....!..+.")]
    #[case::two_outages("111.111.", "..!+..!+")]
    #[case::too_short("11.11.", "......")]
    #[case::of_two_hosts("1122211111.", "..!.......+")]
    fn each_outage_is_reported_once(#[case] story: &str, #[case] reports: &str) {
        let mut outage = Outage::default();
        let seen = story.chars().map(|poll| match poll {
            '.' => outage.ended().map_or('.', |_| '+'),
            name if outage.failed(&name.to_string()) => '!',
            _ => '.',
        });
        assert_eq!(seen.collect::<String>(), reports);
    }
}
