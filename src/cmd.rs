//! One file per verb.

pub mod check;
pub mod ending;
pub mod signals;
