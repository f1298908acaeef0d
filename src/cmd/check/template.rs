//! Checks whether a template can be cloned: its state, the storages and the pool of the clone, and the
//! required privileges.

use std::collections::BTreeSet;

use super::finding::{Finding, Report, Verdict};
use super::privileges::{PlannedClone, check_privileges};
use crate::guests::Guests;
use crate::guests::template::{Found, find_template};
use crate::pve::types::{Guest, Pool, Storage, Version};
use crate::pve::{self, Passthrough, Pve, VmConfig};
use crate::say::failure::{Failure, Kind};
use crate::say::grant::pool_path;
use crate::say::hint::hint_for;
use crate::say::hint::refusal::{LIST_POOLS, how_to_map};
use crate::wait::server::Server;

/// What to clone, and where to.
pub struct Plan<'w> {
    /// The template's name or VMID.
    pub template: &'w str,
    /// The pool of the new VM.
    pub pool: Option<&'w Pool>,
    /// The storage of its disks, if not those of the template.
    pub storage: Option<&'w Storage>,
}

/// Checks whether the template exists, and whether the token can clone it.
pub fn check_template(
    plan: &Plan,
    guests: &Guests,
    version: Version,
    server: Server,
    report: Report,
) -> Result<(), Finding> {
    let name = plan.template;
    let check = format!("template '{name}'");
    let Found {
        template, warning, ..
    } = find_template(guests, name, None, None).map_err(|error| {
        let report = Failure::of(Kind::TemplateNotFound, &error);
        Finding::fail("template", report.with_hint(error.hint().to_owned()))
    })?;
    if let Some(warning) = warning {
        report(Finding::warn(check.as_str(), warning));
    }
    let config = server.ask(|pve| pve.vm_config(&template.node, template.vmid));
    let config = config.map_err(|error| Finding::of_request(check.as_str(), &error))?;
    let Some(config) = config else {
        return Err(Finding::new(
            Verdict::Fail,
            check,
            "was just deleted or migrated",
        ));
    };
    report(check_lock(check, template, &config));
    let failed = |check| move |error| Finding::of_request(check, &error);
    let clone = PlannedClone {
        template,
        config: &config,
        newid: server.ask(Pve::next_vmid).map_err(failed("free VMID"))?,
        version,
        pool: plan.pool,
        storage: plan.storage,
    };
    check_clone(&clone, server, report)
}

/// Checks whether the server would accept this clone: its devices, the storages and the pool of the new VM, and
/// the required privileges.
pub fn check_clone(clone: &PlannedClone, server: Server, report: Report) -> Result<(), Finding> {
    let failed = |check| move |error| Finding::of_request(check, &error);
    if clone.version.major >= 8 {
        check_devices(clone.template, clone.config, report);
    }
    let storages = check_storages(clone, server, report).map_err(failed("storages"))?;
    if let Some(pool) = clone.pool {
        check_pool(pool, server, report)?;
    }
    check_privileges(clone, &storages, server, report).map_err(failed("privileges"))
}

fn check_lock(check: String, template: &Guest, config: &VmConfig) -> Finding {
    let place = template.place();
    match &config.lock {
        None => Finding::ok(check, place),
        Some(lock) => Finding::warn(
            check,
            format!("{place}, locked ({lock}): it cannot be cloned until the lock is released"),
        ),
    }
}

/// Reports the devices that no token may clone.
fn check_devices(template: &Guest, config: &VmConfig, report: Report) {
    let devices = config.passthrough().into_iter();
    for (key, _) in devices.filter(|(_, needed)| *needed == Passthrough::Root) {
        let (vmid, node) = (template.vmid, &template.node);
        let detail = "a device without a resource mapping: no API token may clone it, not even one of \
                      root@pam";
        let finding = Finding::new(Verdict::Fail, format!("{key} of template {vmid}"), detail);
        report(finding.with_hint(how_to_map(vmid, node, key)));
    }
}

/// Checks whether the pool exists. If not, privileges on it mean nothing, so the checks end. Reports
/// nothing if the token may not see pools but was granted a privilege on this one, which was probably
/// done for an existing pool.
fn check_pool(pool: &Pool, server: Server, report: Report) -> Result<(), Finding> {
    let failed = |error| Finding::of_request("pool", &error);
    let check = format!("pool '{pool}'");
    if server.ask(Pve::pools).map_err(failed)?.contains(pool) {
        report(Finding::ok(check, "exists"));
        return Ok(());
    }
    let path = pool_path(pool);
    let held = server
        .ask(|pve| pve.permissions_on(&path))
        .map_err(failed)?;
    if held.have(&path, "Pool.Audit") {
        let finding = Finding::new(Verdict::Fail, check, "does not exist");
        return Err(finding.with_hint(LIST_POOLS.to_owned()));
    }
    if !held.have(&path, "VM.Allocate") {
        let detail = format!("cannot tell whether it exists: that needs Pool.Audit on {path}");
        report(Finding::warn(check, detail));
    }
    Ok(())
}

/// Reports the storages of the new VM that its node cannot use. Returns those that exist.
fn check_storages(
    clone: &PlannedClone,
    server: Server,
    report: Report,
) -> Result<BTreeSet<String>, pve::Error> {
    let mut existing = clone.storages();
    let node = &clone.template.node;
    let listed = match server.ask(|pve| pve.storages(node)) {
        Ok(listed) => listed,
        Err(error) => {
            let finding = Finding::warn("storages", error.to_string());
            report(finding.with_hint(hint_for(&error)));
            return Ok(existing);
        }
    };
    for storage in clone.storages() {
        let state = listed.iter().find(|it| it.name == storage);
        let problem = match state {
            None if is_unlisted_for_lack_of_privilege(&storage, server)? => continue,
            None => {
                existing.remove(&storage);
                format!("node '{node}' has no such storage")
            }
            Some(state) if !state.enabled => "disabled".to_owned(),
            Some(state) if !state.active => format!("node '{node}' cannot reach it"),
            Some(state) if clone.storage.is_some() && !state.takes_disks() => {
                "does not accept VM disks".to_owned()
            }
            Some(_) => continue,
        };
        let finding = Finding::new(Verdict::Fail, format!("storage '{storage}'"), problem);
        let hint = format!(
            "'pvesm status --content images' on node '{node}' lists the storages that accept disks"
        );
        report(finding.with_hint(hint));
    }
    Ok(existing)
}

/// Whether the token lacks the privilege to see the storage in lists. That is reported with the other
/// privileges.
fn is_unlisted_for_lack_of_privilege(storage: &str, server: Server) -> Result<bool, pve::Error> {
    let path = format!("/storage/{storage}");
    let held = server.ask(|pve| pve.permissions_on(&path))?;
    Ok(!held.have(&path, "Datastore.AllocateSpace"))
}
