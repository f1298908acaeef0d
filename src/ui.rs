//! Means of showing things, without contents: progress on stderr, results on stdout.

pub mod progress;
pub mod table;
pub mod text;
