//! Exactly one VM, whatever fails and whenever it fails.
//!
//! - `every_request`: each kind of mishap to each request of a run
//! - `every_moment`: `kill -9` and SIGTERM at each request
//! - `every_byte`: `kill -9` and a full disk in each write to the record
//! - `schedules`: the worst orders of events
//! - `life`: the commands that change an existing VM
//! - `template`: a template from an image: download, import, conversion

mod every_byte;
mod every_moment;
mod every_request;
mod life;
mod mishaps;
pub(crate) mod report;
mod schedules;
mod situations;
mod template;
mod testbed;
