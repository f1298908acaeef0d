//! What the commands that change existing VMs have in common: each VM is found, all take turns, and each has
//! one result, in the order of the command line.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::{Outcome, Session, Success, raw};
use crate::cli::{Seconds, Targets};
use crate::guests::Guests;
use crate::guests::named::{self, Named, Wanted};
use crate::pve::Addresses;
use crate::pve::types::{Guest, Node, Vmid};
use crate::say::failure::{Failure, Kind};
use crate::say::vm::{Existing, NamedBy, Vm};
use crate::settings::ip_from::IpFrom;
use crate::steps::Engine;
use crate::steps::side_by_side::{self, Steps};
use crate::wait::server::Server;

/// What is to be done for one name or VMID.
pub enum Target {
    /// The steps are carried out on this VM.
    Vm(Existing),
    /// Nothing: this is the result.
    Settled(Result<Outcome, Failure>),
}

/// Carries out `steps` on each VM, and reports each with `outcome`.
pub fn run<'q>(
    session: &Session,
    targets: Targets,
    steps: impl Fn() -> Steps<'q>,
    outcome: impl Fn(Existing) -> Outcome,
) -> Result<Success, Failure> {
    session.check_output_options()?;
    let access = session.configuration()?.access;
    session.handle_signals(|| {});
    let pve = session.connect(&access, Some(targets.timeout.0))?;
    let server = session.server(&pve, targets.timeout, targets.poll_interval);
    let found = find(server, &targets)?.into_iter();
    let vms = found.map(|found| match found {
        Ok(vm) => Target::Vm(existing(&vm)),
        Err(error) => Target::Settled(Err(error.failure())),
    });
    let results = carry_out(server, vms.collect(), steps, |_, finished| {
        finished.map(&outcome)
    });
    session.results(targets.is_several(), results)
}

/// Finds each VM in one list. A name is not enough if something unreadable may hide another VM of that name.
pub fn find(
    server: Server,
    targets: &Targets,
) -> Result<Vec<Result<Named, named::Error>>, Failure> {
    let words = targets.words();
    let wanted: Vec<Wanted> = words.map(|word| Wanted::of(word, targets.vmid)).collect();
    let is_needed = |guest: &Guest| wanted.iter().any(|wanted| wanted.may_be(guest));
    let guests = Guests::read(server, &is_needed).map_err(|error| Failure::of_request(&error))?;
    let guests = guests.ignoring_offline_nodes(targets.ignore_offline);
    let mut words_of = BTreeMap::new();
    let mut all = Vec::new();
    for wanted in &wanted {
        let found = named::find(server, &guests, wanted);
        if let Ok(Named { guest, .. }) = &found
            && let Some(first) = words_of.insert(guest.vmid, &wanted.text)
        {
            let message = format!(
                "'{first}' and '{}' are the same VM {}",
                wanted.text, guest.vmid
            );
            return Err(Failure::new(Kind::Usage, message));
        }
        all.push(found);
    }
    Ok(all)
}

/// The VM that was found, to be changed.
pub fn existing(Named { guest, by_name }: &Named) -> Existing {
    let named_by = if *by_name {
        NamedBy::Name
    } else {
        NamedBy::Vmid
    };
    Existing::named(guest, named_by)
}

/// Carries out `steps` on each VM. `outcome` gets the VM as it was found. The results are in the same order.
pub fn carry_out<'q>(
    server: Server,
    targets: Vec<Target>,
    steps: impl Fn() -> Steps<'q>,
    mut outcome: impl FnMut(&Existing, Result<Existing, Failure>) -> Result<Outcome, Failure>,
) -> Vec<Result<Outcome, Failure>> {
    let engine = Engine {
        server,
        mask: &|text| text,
        pool: None,
    };
    let jobs = targets.iter().filter_map(|target| match target {
        Target::Vm(existing) => Some((existing.clone(), steps())),
        Target::Settled(_) => None,
    });
    let mut finished = side_by_side::run(engine, jobs.collect()).into_iter();
    let result = |target| match target {
        Target::Vm(existing) => finished.next().map(|finished| outcome(&existing, finished)),
        Target::Settled(result) => Some(result),
    };
    targets.into_iter().filter_map(result).collect()
}

/// How long a guest may take to shut down, in whole seconds as the server takes it: less than the whole command.
pub fn guest_timeout(given: Option<Seconds>, timeout: Seconds) -> Result<Duration, Failure> {
    const DEFAULT: Duration = Duration::from_mins(1);

    let Seconds(total) = timeout;
    match given {
        Some(Seconds(given)) if given >= total => {
            let (given, total) = (given.as_secs_f64(), total.as_secs_f64());
            let message =
                format!("--guest-timeout {given} is not shorter than the time limit of {total} s");
            let hint = "set a longer --timeout, too";
            Err(Failure::new(Kind::Usage, message).with_hint(hint.to_owned()))
        }
        Some(Seconds(given)) => Ok(whole_seconds(given)),
        None => Ok(whole_seconds(DEFAULT.min(total / 2))),
    }
}

fn whole_seconds(time: Duration) -> Duration {
    Duration::from_secs(time.as_secs().max(1))
}

/// Where to wait for an address, if one is requested.
pub fn address(wait_ip: bool, ip_from: &[IpFrom]) -> Option<&[IpFrom]> {
    (wait_ip || !ip_from.is_empty()).then_some(ip_from)
}

#[derive(Serialize)]
struct Document<'e> {
    vmid: Vmid,
    name: &'e str,
    node: &'e Node,
    status: &'e str,
    /// Whether this command changed it.
    changed: bool,
    /// Absent unless an address was requested.
    #[serde(flatten)]
    addresses: Option<&'e Addresses>,
    warnings: &'e [String],
}

/// The result for a VM that has `status` now: it was `done`, or had that status `already`.
pub fn power_outcome(existing: Existing, done: &str, already: &str, status: &str) -> Outcome {
    let changed = existing.was_changed;
    let Vm { vmid, name, node } = &existing.vm;
    let label = existing.vm.label();
    let ip = existing.addresses.as_ref().and_then(|found| found.ip);
    let at = ip.map_or_else(String::new, |ip| format!(" at {ip}"));
    let text = if changed {
        format!("{done} {label} on node '{node}'{at}")
    } else {
        format!("{label} {already} on node '{node}'{at}")
    };
    let document = Document {
        vmid: *vmid,
        name: name.as_str(),
        node,
        status,
        changed,
        addresses: existing.addresses.as_ref(),
        warnings: &existing.warnings,
    };
    Outcome {
        text,
        document: raw(&document),
        warnings: existing.warnings,
    }
}
