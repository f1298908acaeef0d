//! Means of showing things, without contents: progress on stderr, results on stdout.

pub mod output;
pub mod progress;
pub mod table;
pub mod text;
