//! What `vm create` and `template create` have in common.

use std::cell::RefCell;
use std::path::PathBuf;

use super::{Session, Success};
use crate::cli::Seconds;
use crate::create::{CreateSpec, Run};
use crate::ledger::remove_unused;
use crate::say::failure::{Failure, Kind};
use crate::say::vm::Existing;
use crate::settings::Settings;

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

/// The options to set: `--set` and `--ssh-key`, and those that have options of their own, by their keys.
pub fn settings(
    set: &[String],
    ssh_keys: &[PathBuf],
    named: &[(&str, Option<&str>)],
) -> Result<Settings, Failure> {
    let settings = Settings::gather(set, ssh_keys);
    let settings = settings.and_then(|settings| settings.with_named(named));
    settings.map_err(|error| Failure::of(Kind::Usage, &error).with_hint(error.hint()))
}

/// The end of a run with this VM, which is named if its result cannot be printed.
pub fn success(printed: Success, existing: Existing) -> Success {
    Success {
        vm: Some((existing.to_string(), existing.facts())),
        warnings: existing.warnings,
        ..printed
    }
}
