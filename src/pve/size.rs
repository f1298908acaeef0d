//! Disk sizes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use snafu::{OptionExt, Snafu};

const UNITS: [(char, u64); 4] = [
    ('T', 1 << 40),
    ('G', 1 << 30),
    ('M', 1 << 20),
    ('K', 1 << 10),
];

/// A disk size in bytes. Its text form is Proxmox VE's: `32G`, `2252M`, where G is 2³⁰ bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Size(pub u64);

impl Size {
    /// The difference, at least 0.
    pub fn minus(self, other: Size) -> Size {
        Size(self.0.saturating_sub(other.0))
    }

    /// The sum. The server refuses a size that is too large.
    pub fn plus(self, other: Size) -> Size {
        Size(self.0.saturating_add(other.0))
    }
}

/// In the largest exact unit, up to G.
impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Size(bytes) = self;
        // Not in T: disk sizes are usually given in G.
        let mut units = UNITS[1..].iter();
        match units.find(|(_, unit)| *bytes > 0 && bytes % unit == 0) {
            Some((letter, unit)) => write!(f, "{}{letter}", bytes / unit),
            None => bytes.fmt(f),
        }
    }
}

impl TryFrom<String> for Size {
    type Error = NotASize;

    fn try_from(text: String) -> Result<Size, NotASize> {
        text.parse()
    }
}

impl From<Size> for String {
    fn from(size: Size) -> String {
        size.to_string()
    }
}

impl FromStr for Size {
    type Err = NotASize;

    fn from_str(text: &str) -> Result<Size, NotASize> {
        let (digits, unit) = UNITS
            .iter()
            .find_map(|(letter, unit)| Some((text.strip_suffix(*letter)?, *unit)))
            .unwrap_or((text, 1));
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
        // At most 12 digits each, so that nothing overflows below.
        let number = |text: &str| {
            let is_number = text.len() <= 12 && text.bytes().all(|byte| byte.is_ascii_digit());
            let number: Option<u128> = text.parse().ok();
            number.filter(|_| is_number).context(NotASizeSnafu)
        };
        let (whole, parts) = (number(whole)?, number(fraction)?);
        let unit = u128::from(unit);
        let tens = 10_u128.pow(u32::try_from(fraction.len()).unwrap_or(0));
        let bytes = whole * unit + parts * unit / tens;
        u64::try_from(bytes).ok().map(Size).context(NotASizeSnafu)
    }
}

/// The error for a text that is not a disk size.
#[derive(Debug, PartialEq, Eq, Snafu)]
#[snafu(display("expected a number followed by K, M, G or T, like 32G"))]
pub struct NotASize;

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::gibibytes("32G", Some("32G"))]
    #[case::terabytes_are_written_in_g("2T", Some("2048G"))]
    #[case::not_a_whole_number_of_g("2252M", Some("2252M"))]
    #[case::in_the_largest_unit("2048M", Some("2G"))]
    #[case::cloud_init_drive("4M", Some("4M"))]
    #[case::fraction("1.5G", Some("1536M"))]
    #[case::rounded_fraction("0.3K", Some("307"))]
    #[case::bytes("528384", Some("516K"))]
    #[case::odd_bytes("1025", Some("1025"))]
    #[case::nothing("0", Some("0"))]
    #[case::small_letter("32g", None)]
    #[case::two_letters("32GB", None)]
    #[case::unit_alone("G", None)]
    #[case::sign("+8G", None)]
    #[case::negative("-1G", None)]
    #[case::space("32 G", None)]
    #[case::nothing_after_the_dot("1.G", None)]
    #[case::two_dots("1.2.3G", None)]
    #[case::empty("", None)]
    #[case::too_large("999999999999T", None)]
    fn a_size_is_parsed_and_written_as_proxmox_does(
        #[case] text: &str,
        #[case] written: Option<&str>,
    ) {
        let size: Option<Size> = text.parse().ok();
        assert_eq!(size.map(|size| size.to_string()).as_deref(), written);
    }
}
