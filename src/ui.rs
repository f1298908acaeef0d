//! How output is shown, whatever its content: progress on stderr, results on stdout.

pub mod fields;
pub mod progress;
pub mod table;
pub mod text;
pub mod units;
