//! Words that several rooms need: what is certain about a VM, the failure report, hints, `pveum` lines,
//! quoting for a shell, the closest name.

pub mod closest;
pub mod failure;
pub mod grant;
pub mod hint;
pub mod shell;
pub mod stage;
pub mod vm;
