//! Exactly one VM, whatever happens and whenever it happens.
//!
//! - `every_request`: each kind of mishap to each request of a run
//! - `every_moment`: `kill -9` and SIGTERM at each request
//! - `every_byte`: `kill -9` and a full disk in each write to the claim
//! - `schedules`: the orders of events that are worst

mod every_byte;
mod every_moment;
mod every_request;
mod ground;
mod mishaps;
pub(crate) mod report;
mod schedules;
mod situations;
