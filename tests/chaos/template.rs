//! Exactly one template, whatever fails and whenever it fails: it is made by us, can be cloned and has the
//! content of the image, or the error says what exists.
//!
//! - `every_request`: each kind of mishap to each request
//! - `every_moment`: `kill -9` and signals at each request
//! - `between`: what other users may do between any two requests
//! - `two_runs`: a second run at any moment of the first one
//! - `server_side`: workers die, storages are full, the quorum is lost in mid-task
//! - `downloads`, `imports`, `conversions`, `kinds`: what a user reads, and what happens if a hint is obeyed

mod between;
mod conversions;
mod downloads;
mod every_moment;
mod every_request;
mod imports;
mod kinds;
mod orders;
mod server_side;
mod testbed;
mod two_runs;
