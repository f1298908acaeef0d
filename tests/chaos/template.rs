//! Exactly one template, whatever fails and whenever it fails: it is made by us, can be cloned and has the
//! content of the image, or the error says what is there.
//!
//! - `downloads`, `imports`, `conversions`, `kinds`: what a user reads, and what happens if a hint is obeyed

mod conversions;
mod downloads;
mod imports;
mod kinds;
mod orders;
mod testbed;
