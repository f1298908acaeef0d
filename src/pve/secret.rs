//! A token's secret, and text with secrets masked.

use std::fmt;
use std::num::NonZeroU32;

use ring::pbkdf2;

/// Slow enough for somebody who has the hash and tries passwords. Another number makes other hashes.
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

    /// A hash that tells later whether a secret is the same, and not what it is: `SALT:HASH`.
    pub fn hash(&self) -> String {
        self.salted(&format!("{:032x}", fastrand::u128(..)))
    }

    /// Whether this hash is of the same secret.
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

    /// `text` with this secret masked: proxies repeat what they were sent.
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

/// The position of the first token's secret in `message`.
pub fn find_secret(message: &str) -> Option<usize> {
    (0..message.len()).find(|start| {
        let text = message.get(*start..start + LENGTH);
        text.is_some_and(|text| Secret::of_token(text).is_some())
    })
}

/// A text with everything masked that looks like a token's secret. Users put whole tokens into the
/// wrong setting, and cron mails the error about that.
#[derive(Debug)]
pub struct Masked(String);

impl<T: Into<String>> From<T> for Masked {
    fn from(message: T) -> Masked {
        let mut message: String = message.into();
        while let Some(start) = find_secret(&message) {
            message.replace_range(start..start + LENGTH, "(secret)");
        }
        Masked(message)
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
    fn a_hash_belongs_to_one_secret_and_is_another_each_time() {
        let secret = |text: &str| Secret::new(text.to_owned());
        let (hash, again) = (secret("horse").hash(), secret("horse").hash());
        assert_ne!(hash, again);
        assert!(secret("horse").has_hash(&hash) && secret("horse").has_hash(&again));
        assert!(!secret("house").has_hash(&hash) && !secret("horse").has_hash("damaged"));
    }
}
