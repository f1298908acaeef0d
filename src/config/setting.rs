//! Values with their origin, which errors name. Two names for one setting must have the same value.

use std::path::PathBuf;

use snafu::ensure;

use super::error::{DisagreeSnafu, Error};
use super::value::Servers;
use crate::pve::Trust;
use crate::pve::secret::Secret;

/// A value and its origin: an option, an environment variable, or a file and a key in it.
#[derive(Clone)]
pub(super) struct Setting<T> {
    pub(super) value: T,
    pub(super) origin: String,
}

impl<T> Setting<T> {
    pub(super) fn new(value: T, origin: &str) -> Setting<T> {
        let origin = origin.to_owned();
        Setting { value, origin }
    }

    pub(super) fn map<U>(self, change: impl FnOnce(T) -> U) -> Setting<U> {
        let (value, origin) = (change(self.value), self.origin);
        Setting { value, origin }
    }
}

impl<T: PartialEq + Shown> Setting<T> {
    fn ensure_same(&self, other: &Setting<T>) -> Result<(), Error> {
        let why = match (self.value.shown(), other.value.shown()) {
            (Some(one), Some(other)) => format!("one says {one}, the other {other}"),
            _ => "their values differ".to_owned(),
        };
        let is_same = self.value == other.value;
        let (one, other) = (&self.origin, &other.origin);
        ensure!(is_same, DisagreeSnafu { one, other, why });
        Ok(())
    }
}

/// The parsed value, or an error that names its origin.
pub(super) fn parsed<T>(
    value: Result<T, impl ToString>,
    origin: &str,
) -> Result<Setting<T>, Error> {
    let value = value.map_err(|reason| Error::invalid(origin, &reason.to_string()))?;
    Ok(Setting::new(value, origin))
}

/// Sets `slot`, or fails if it already has a different value.
pub(super) fn set<T: PartialEq + Shown>(
    slot: &mut Option<Setting<T>>,
    setting: Setting<T>,
) -> Result<(), Error> {
    if let Some(first) = slot {
        return first.ensure_same(&setting);
    }
    *slot = Some(setting);
    Ok(())
}

/// How an error shows a value.
pub(super) trait Shown {
    /// `None` for secrets, and for values that would not help.
    fn shown(&self) -> Option<String> {
        None
    }
}

impl Shown for Secret {}
impl Shown for PathBuf {}
impl Shown for Vec<Trust> {}
impl Shown for bool {}

impl Shown for String {
    fn shown(&self) -> Option<String> {
        Some(format!("'{self}'"))
    }
}

impl Shown for u16 {
    fn shown(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Shown for Servers {
    fn shown(&self) -> Option<String> {
        Some(format!("'{}'", self.text))
    }
}

/// A value that may include a part that can also be set separately: a host and its port, or a user and its
/// realm.
#[derive(Default)]
pub(super) struct Paired<T, P> {
    pub(super) whole: Option<Setting<T>>,
    /// The part that `whole` included. The two belong together: another host may have another port.
    included: Option<Setting<P>>,
    /// The part that was set separately.
    pub(super) part: Option<Setting<P>>,
}

impl<T: PartialEq + Shown, P: PartialEq + Shown> Paired<T, P> {
    /// Sets the whole, and the part if it is included.
    pub(super) fn set_whole(&mut self, setting: Setting<(T, Option<P>)>) -> Result<(), Error> {
        let (whole, part) = setting.value;
        set(&mut self.whole, Setting::new(whole, &setting.origin))?;
        match part {
            Some(part) => set(&mut self.included, Setting::new(part, &setting.origin)),
            None => Ok(()),
        }
    }

    pub(super) fn ensure_consistent(&self) -> Result<(), Error> {
        let both = self.included.as_ref().zip(self.part.as_ref());
        both.map_or(Ok(()), |(included, part)| included.ensure_same(part))
    }

    pub(super) fn fill_from(&mut self, lower: Paired<T, P>) {
        let has_part = self.part.is_some() || self.included.is_some();
        if self.whole.is_none() {
            self.whole = lower.whole;
            if !has_part {
                self.included = lower.included;
            }
        }
        if !has_part {
            self.part = lower.part;
        }
    }

    /// The whole, and the part that belongs to it.
    pub(super) fn into_both(self) -> Option<(Setting<T>, Option<Setting<P>>)> {
        Some((self.whole?, self.included.or(self.part)))
    }
}
