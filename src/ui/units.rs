//! Figures for people.

/// A duration in its two largest units, without a space, so that it is one word for a script: `3d4h`.
pub fn duration(seconds: u64) -> String {
    const UNITS: [(&str, u64); 4] = [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];

    let mut rest = seconds;
    let mut parts = UNITS.iter().map(|(letter, unit)| {
        let count = rest / unit;
        rest %= unit;
        (count, letter)
    });
    let text = |(count, letter): (u64, &&str)| format!("{count}{letter}");
    let Some(first) = parts.find(|(count, _)| *count > 0) else {
        return "0s".to_owned();
    };
    let second = parts.next().filter(|(count, _)| *count > 0);
    text(first) + &second.map(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::nothing(0, "0s")]
    #[case::seconds(59, "59s")]
    #[case::whole_minutes(120, "2m")]
    #[case::minutes(84, "1m24s")]
    #[case::hours(3_600 + 5 * 60 + 9, "1h5m")]
    #[case::days(3 * 86_400 + 4 * 3_600 + 60, "3d4h")]
    #[case::no_gap(86_400 + 60, "1d")]
    #[case::more_than_a_year(400 * 86_400, "400d")]
    fn a_duration_has_its_two_largest_units(#[case] seconds: u64, #[case] expected: &str) {
        assert_eq!(duration(seconds), expected);
    }
}
