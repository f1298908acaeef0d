//! A token's secret, and text with secrets masked.

use std::fmt;
use std::num::NonZeroU32;

use ring::pbkdf2;

/// Slows down guessing a password from its hash. Another number would invalidate existing hashes.
const ITERATIONS: NonZeroU32 = NonZeroU32::new(600_000).unwrap();

const LENGTH: usize = "00000000-0000-0000-0000-000000000000".len();

/// A text that must not be shown by accident: it has no `Display`, and `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// A token's secret: `None` if `text` is not a UUID.
    pub fn of_token(text: &str) -> Option<Secret> {
        let lengths = text.split('-').map(str::len);
        let is_uuid =
            lengths.eq([8, 4, 4, 4, 12]) && text.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
        is_uuid.then(|| Secret(text.to_owned()))
    }

    /// Any text.
    pub fn new(text: String) -> Secret {
        Secret(text)
    }

    /// The text itself, for the place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// A salted hash, `SALT:HASH`, which [`Secret::has_hash`] can compare with a secret later.
    pub fn hash(&self) -> String {
        self.salted(&format!("{:032x}", fastrand::u128(..)))
    }

    /// Whether `hash` was computed from the same secret.
    pub fn has_hash(&self, hash: &str) -> bool {
        let salt = hash.split(':').next().unwrap_or_default();
        self.salted(salt) == hash
    }

    fn salted(&self, salt: &str) -> String {
        let mut hash = [0; 16];
        pbkdf2::derive(
            pbkdf2::PBKDF2_HMAC_SHA256,
            ITERATIONS,
            salt.as_bytes(),
            self.0.as_bytes(),
            &mut hash,
        );
        format!("{salt}:{:032x}", u128::from_be_bytes(hash))
    }

    /// `text` with this secret masked: error pages of proxies may repeat what they were sent.
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

/// The position of the first token's secret in `text`.
pub fn find_secret(text: &str) -> Option<usize> {
    (0..text.len()).find(|start| {
        let part = text.get(*start..start + LENGTH);
        part.is_some_and(|part| Secret::of_token(part).is_some())
    })
}

/// A text in which everything that looks like a token's secret is masked. Users put whole tokens into
/// the wrong setting, and cron mails the error message.
#[derive(Debug)]
pub struct Masked(String);

impl<T: Into<String>> From<T> for Masked {
    fn from(text: T) -> Masked {
        let mut text: String = text.into();
        while let Some(start) = find_secret(&text) {
            text.replace_range(start..start + LENGTH, "(secret)");
        }
        Masked(text)
    }
}

impl fmt::Display for Masked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_matches_only_its_secret_and_is_different_each_time() {
        let secret = |text: &str| Secret::new(text.to_owned());
        let (hash, again) = (secret("horse").hash(), secret("horse").hash());
        assert_ne!(hash, again);
        assert!(secret("horse").has_hash(&hash) && secret("horse").has_hash(&again));
        assert!(!secret("house").has_hash(&hash) && !secret("horse").has_hash("damaged"));
    }
}
