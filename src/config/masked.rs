//! What a token's secret looks like, and words that hold none.

use std::fmt;

use crate::api::types::Secret;

/// A secret if it is a UUID. The text itself is never said back.
pub(super) fn checked_secret(text: &str) -> Option<Secret> {
    let groups: Vec<&str> = text.split('-').collect();
    let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    let is_hex = |group: &&str| group.chars().all(|c| c.is_ascii_hexdigit());
    let is_uuid = lengths == [8, 4, 4, 4, 12] && groups.iter().all(is_hex);
    is_uuid.then(|| Secret::new(text.to_owned()))
}

/// Words without anything that looks like a token's secret. Whole tokens end up in the wrong
/// setting, and what is said of that ends up in a mail from cron.
pub struct Masked(String);

impl<T: Into<String>> From<T> for Masked {
    fn from(words: T) -> Masked {
        const LENGTH: usize = "00000000-0000-0000-0000-000000000000".len();
        let mut words: String = words.into();
        let secret_in = |words: &str| {
            (0..words.len()).find(|start| {
                let end = start + LENGTH;
                words
                    .get(*start..end)
                    .is_some_and(|text| checked_secret(text).is_some())
            })
        };
        while let Some(start) = secret_in(&words) {
            words.replace_range(start..start + LENGTH, "(secret)");
        }
        Masked(words)
    }
}

impl fmt::Display for Masked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Masked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
