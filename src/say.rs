//! Messages that several modules share: the state of a VM, failures, hints, `pveum` commands, shell
//! quoting, and the closest name.

pub mod closest;
pub mod failure;
pub mod grant;
pub mod hint;
pub mod shell;
pub mod stage;
pub mod vm;
