//! What `vm create` and `template create` have in common.

use std::cell::RefCell;

use super::Session;
use crate::cli::Seconds;
use crate::create::{CreateSpec, Run};
use crate::ledger::remove_unused;
use crate::say::failure::Failure;

/// Carries out a request: connects to the server and passes the run to `work`. A dry run changes nothing.
pub fn run<T>(
    session: &Session,
    spec: CreateSpec,
    (timeout, poll_interval): (Seconds, Seconds),
    is_dry_run: bool,
    work: impl FnOnce(&Run) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let access = session.configuration()?.access;
    let state = Session::state_directory()?;
    let (directory, name) = (state.clone(), spec.name.clone());
    session.handle_signals(move || {
        if !is_dry_run {
            remove_unused(&directory, &name);
        }
    });
    let pve = session.connect(&access, Some(timeout.0))?;
    let hosts = access.endpoints.iter();
    work(&Run {
        spec,
        server: session.server(&pve, timeout, poll_interval),
        hosts: hosts.map(|endpoint| endpoint.host.to_string()).collect(),
        state: &state,
        preview_only: is_dry_run,
        warnings: RefCell::default(),
    })
}
