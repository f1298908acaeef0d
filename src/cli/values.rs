//! Types of values that only the command line has.

use std::str::FromStr;
use std::time::Duration;

/// A duration given in seconds: greater than zero, fractions allowed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seconds(pub Duration);

impl Seconds {
    pub(super) const DEFAULT_TIMEOUT: Seconds = Seconds(Duration::from_mins(5));
    /// For the download of an image by the server, and its import.
    pub(super) const DEFAULT_TIMEOUT_OF_IMPORT: Seconds = Seconds(Duration::from_mins(30));
    pub(super) const DEFAULT_INTERVAL: Seconds = Seconds(Duration::from_secs(2));
    /// Ten years: longer than anybody waits, and far below where adding it to a time overflows.
    const MAX: f64 = 315_360_000.0;
    /// A millisecond: a shorter pause between two requests is no pause.
    const MIN: f64 = 0.001;
}

impl FromStr for Seconds {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Seconds, Self::Err> {
        const EXPECTED: &str = "expected a number of seconds greater than 0, for example 300";

        let seconds: f64 = text.parse().map_err(|_| EXPECTED)?;
        if !(Seconds::MIN..=Seconds::MAX).contains(&seconds) {
            return Err(EXPECTED);
        }
        Ok(Seconds(Duration::from_secs_f64(seconds)))
    }
}

/// A shell that a script can be printed for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shell {
    Bash,
    Zsh,
    Fish,
}

impl FromStr for Shell {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Shell, Self::Err> {
        match text {
            "bash" => Ok(Shell::Bash),
            "zsh" => Ok(Shell::Zsh),
            "fish" => Ok(Shell::Fish),
            _ => Err("expected bash, zsh or fish"),
        }
    }
}

pub(super) fn not_empty(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("must not be empty".to_owned());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::whole("300", Some(300_000))]
    #[case::fraction("0.5", Some(500))]
    #[case::shortest("0.001", Some(1))]
    #[case::zero("0", None)]
    #[case::too_short("0.0001", None)]
    #[case::negative("-1", None)]
    #[case::infinite("inf", None)]
    #[case::nan("nan", None)]
    #[case::huge("1e300", None)]
    #[case::unit("5s", None)]
    #[case::empty("", None)]
    fn seconds_are_greater_than_zero(#[case] text: &str, #[case] milliseconds: Option<u64>) {
        let seconds: Option<Seconds> = text.parse().ok();
        let expected = milliseconds.map(|ms| Seconds(Duration::from_millis(ms)));
        assert_eq!(seconds, expected);
    }
}
