//! Values that know where they came from, so that every error names its origin and two names for one
//! thing that disagree are noticed.

use std::path::PathBuf;

use snafu::ensure;

use super::error::{DisagreeSnafu, Error};
use crate::pve::secret::Secret;
use crate::pve::{Address, Fingerprint};

/// A value and the name under which the user gave it.
#[derive(Clone)]
pub(super) struct Setting<T> {
    pub(super) value: T,
    pub(super) origin: String,
}

impl<T> Setting<T> {
    pub(super) fn new(value: T, origin: &str) -> Setting<T> {
        Setting {
            value,
            origin: origin.to_owned(),
        }
    }
}

pub(super) fn set<T: PartialEq + Shown>(
    slot: &mut Option<Setting<T>>,
    value: T,
    origin: &str,
) -> Result<(), Error> {
    if let Some(there) = slot {
        return agree(there, &value, origin);
    }
    *slot = Some(Setting::new(value, origin));
    Ok(())
}

fn agree<T: PartialEq + Shown>(there: &Setting<T>, value: &T, origin: &str) -> Result<(), Error> {
    let why = match (there.value.shown(), value.shown()) {
        (Some(one), Some(other)) => format!("one says {one}, the other {other}"),
        _ => "they are not the same".to_owned(),
    };
    ensure!(
        there.value == *value,
        DisagreeSnafu {
            one: there.origin.clone(),
            other: origin,
            why,
        }
    );
    Ok(())
}

/// What may be said of a value.
pub(super) trait Shown {
    /// `None` where it is nobody's business, or would help nobody.
    fn shown(&self) -> Option<String>;
}

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

impl Shown for Vec<Address> {
    fn shown(&self) -> Option<String> {
        let addresses: Vec<String> = self.iter().map(Address::to_string).collect();
        Some(format!("'{}'", addresses.join(",")))
    }
}

impl Shown for PathBuf {
    fn shown(&self) -> Option<String> {
        Some(format!("'{}'", self.display()))
    }
}

impl Shown for Secret {
    fn shown(&self) -> Option<String> {
        None
    }
}

impl Shown for Vec<Fingerprint> {
    fn shown(&self) -> Option<String> {
        None
    }
}

impl Shown for bool {
    fn shown(&self) -> Option<String> {
        None
    }
}

/// A value that may bring a part of it along, and that part given by itself: a host and its port,
/// a user and its realm.
pub(super) struct Paired<T, P> {
    pub(super) whole: Option<Setting<T>>,
    /// What came along with the whole. It stays with it: another host has another port.
    brought: Option<Setting<P>>,
    part: Option<Setting<P>>,
}

impl<T, P> Default for Paired<T, P> {
    fn default() -> Self {
        Paired {
            whole: None,
            brought: None,
            part: None,
        }
    }
}

impl<T: PartialEq + Shown, P: PartialEq + Shown> Paired<T, P> {
    pub(super) fn set_whole(
        &mut self,
        whole: T,
        part: Option<P>,
        origin: &str,
    ) -> Result<(), Error> {
        set(&mut self.whole, whole, origin)?;
        match part {
            Some(part) => set(&mut self.brought, part, origin),
            None => Ok(()),
        }
    }

    pub(super) fn set_part(&mut self, part: P, origin: &str) -> Result<(), Error> {
        set(&mut self.part, part, origin)
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        match (&self.brought, &self.part) {
            (Some(brought), Some(part)) => agree(brought, &part.value, &part.origin),
            _ => Ok(()),
        }
    }

    pub(super) fn fill_from(&mut self, lower: Paired<T, P>) {
        let has_its_part = self.part.is_some() || self.brought.is_some();
        if self.whole.is_none() {
            self.whole = lower.whole;
            if !has_its_part {
                self.brought = lower.brought;
            }
        }
        if !has_its_part {
            self.part = lower.part;
        }
    }

    /// The whole, and the part that goes with it.
    pub(super) fn into_both(self) -> Option<(Setting<T>, Option<Setting<P>>)> {
        Some((self.whole?, self.brought.or(self.part)))
    }
}
