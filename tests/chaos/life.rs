//! Commands that change an existing VM, whatever fails and whenever it fails: the VM is in the requested
//! state or the error is true, and no other VM is touched.
//!
//! - `every_request`: each kind of mishap to each request
//! - `every_moment`: `kill -9` and signals at each request
//! - `between`: what other users may do between any two requests
//! - `schedules`: the worst orders of events
//! - `many`: 50 VMs in one command

mod between;
mod every_moment;
mod every_request;
mod many;
mod schedules;
mod testbed;
mod verbs;
