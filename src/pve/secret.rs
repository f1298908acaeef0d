//! A token's secret, and words that hold none.

use std::fmt;

const LENGTH: usize = "00000000-0000-0000-0000-000000000000".len();

/// A text that nobody may read by accident: it has no `Display`, and `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// A text that has the form of a token's secret, a UUID. The text itself is never said back.
    pub fn of_token(text: &str) -> Option<Secret> {
        let lengths = text.split('-').map(str::len);
        let is_uuid =
            lengths.eq([8, 4, 4, 4, 12]) && text.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
        is_uuid.then(|| Secret(text.to_owned()))
    }

    /// Puts a text out of sight.
    pub fn new(text: String) -> Secret {
        Secret(text)
    }

    /// The text itself, for the one place that must send it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// A text from elsewhere, which may hold this one: proxies repeat what they were sent.
    pub fn masked_in(&self, text: String) -> String {
        if text.contains(&self.0) {
            text.replace(&self.0, "(secret)")
        } else {
            text
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// Where something begins that looks like a token's secret.
pub fn find_secret(words: &str) -> Option<usize> {
    (0..words.len()).find(|start| {
        let text = words.get(*start..start + LENGTH);
        text.is_some_and(|text| Secret::of_token(text).is_some())
    })
}

/// Words without anything that looks like a token's secret. Whole tokens end up in the wrong
/// setting, and what is said of that ends up in a mail from cron.
#[derive(Debug)]
pub struct Masked(String);

impl<T: Into<String>> From<T> for Masked {
    fn from(words: T) -> Masked {
        let mut words: String = words.into();
        while let Some(start) = find_secret(&words) {
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
