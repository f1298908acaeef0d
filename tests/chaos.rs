//! Exactly one VM, whatever happens and whenever it happens.
//!
//! - `every_request`: each kind of mishap to each request of a run
//! - `every_moment`: `kill -9` at each request and in each write to the claim
//! - `schedules`: the orders of events that are worst

mod every_moment;
mod every_request;
mod ground;
mod mishaps;
pub(crate) mod report;
mod schedules;
mod situations;
