//! `vm create --dry-run`: what a run would do, whether the server would accept its clone, and which privileges
//! the later steps lack.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::cmd::check::finding::{Finding, Verdict};
use crate::cmd::check::privileges::{LACKING, PlannedClone};
use crate::cmd::check::template::check_clone;
use crate::cmd::{Session, Success};
use crate::create::{Origin, PlannedDisk, Preview, Run, preview};
use crate::ledger::Mode;
use crate::pve::types::{Guest, Node, Pool, TokenId, Version, Vmid};
use crate::pve::{self, Pve, Size, VmConfig};
use crate::say::failure::{Failure, Kind, Started, chain};
use crate::say::grant::{Role, grant, path_to_grant_on, pool_path, user_options};
use crate::say::vm::Vm;
use crate::settings::Change;
use crate::settings::privileges::AnyOf;
use crate::ui::fields::fields;
use crate::ui::text::clean;

#[derive(Serialize)]
struct Document<'p> {
    dry_run: bool,
    vmid: Vmid,
    name: &'p str,
    node: &'p Node,
    /// Whether the VM exists.
    exists: bool,
    /// Absent if the VM exists.
    template: Option<TemplateOf<'p>>,
    /// How it would be cloned; absent if the VM exists.
    mode: Option<Mode>,
    pool: Option<&'p Pool>,
    disks: Vec<DiskOf<'p>>,
    changes: Vec<ChangeOf<'p>>,
    would_start: bool,
    missing_privileges: &'p [Missing],
    warnings: &'p [String],
}

#[derive(Serialize)]
struct TemplateOf<'p> {
    vmid: Vmid,
    name: Option<&'p str>,
    node: &'p Node,
}

#[derive(Serialize)]
struct DiskOf<'p> {
    key: &'p str,
    storage: Option<&'p str>,
    /// In bytes.
    size: Option<u64>,
    /// In bytes.
    grown_from: Option<u64>,
    new: bool,
}

/// A change of an option. A value that must not be shown is null, like one that is not set.
#[derive(Serialize)]
struct ChangeOf<'p> {
    key: &'p str,
    from: Option<&'p str>,
    to: Option<&'p str>,
}

/// A privilege that the token lacks for a later step.
#[derive(Serialize)]
struct Missing {
    /// Its name in Proxmox VE.
    privilege: &'static str,
    path: String,
    /// The command that grants it.
    hint: String,
}

/// Reports what `vm create` would do, and changes nothing.
pub fn run(session: &Session, run: &Run) -> Result<Success, Failure> {
    let mut preview = preview(run)?;
    let version = match &preview.origin {
        Origin::Template(template) => {
            let (template, config) = &**template;
            Some(expect_accepted_clone(run, &preview.vm, template, config)?)
        }
        Origin::EarlierRun | Origin::Existing => None,
    };
    let missing = missing_privileges(run, &preview, version);
    let unknown = missing.as_ref().err();
    let unknown =
        unknown.map(|error| format!("cannot read the token's privileges: {}", chain(error)));
    let for_root = preview.changes.iter().filter(|it| it.is_for_root());
    let for_root = for_root.map(|it| format!("only root@pam can set {}, not an API token", it.key));
    let warnings: Vec<String> = for_root.chain(unknown).collect();
    for warning in &warnings {
        run.progress().warning(warning);
    }
    preview.warnings.extend(warnings);
    let missing = missing.unwrap_or_default();
    if let Some(Missing { path, hint, .. }) = missing.first() {
        let names: Vec<&str> = missing.iter().map(|missing| missing.privilege).collect();
        run.progress().warning(&format!(
            "the token lacks {} on {path}, which the VM's setup requires; {hint}",
            names.join(", ")
        ));
    }
    session.result(&document(run, &preview, &missing), |out, _| {
        writeln!(out, "{}", clean(&summary(&preview)))?;
        fields(out, &details(run, &preview, &missing))
    })
}

fn document<'p>(run: &'p Run, preview: &'p Preview, missing: &'p [Missing]) -> Document<'p> {
    let Vm { vmid, name, node } = &preview.vm;
    let template = preview.template();
    let changes = preview.changes.iter();
    Document {
        dry_run: true,
        vmid: *vmid,
        name: name.as_str(),
        node,
        exists: template.is_none(),
        template: template.map(|template| TemplateOf {
            vmid: template.vmid,
            name: template.name.as_deref(),
            node: &template.node,
        }),
        mode: template.and_then(|_| run.spec.mode()),
        pool: run.spec.pool().filter(|_| template.is_some()),
        disks: preview.disks.iter().map(DiskOf::from).collect(),
        changes: changes.map(ChangeOf::from).collect(),
        would_start: preview.would_start,
        missing_privileges: missing,
        warnings: &preview.warnings,
    }
}

/// Fails if the server is known to refuse the clone, although the request was not sent. Returns the server's
/// version.
fn expect_accepted_clone(
    run: &Run,
    vm: &Vm,
    template: &Guest,
    config: &VmConfig,
) -> Result<Version, Failure> {
    let about = |failure: Failure| {
        let message = format!(
            "cannot clone template {} to VM {}: {failure}",
            template.vmid, vm.vmid
        );
        Failure {
            message,
            ..failure.about(vm.facts(Started::No))
        }
    };
    let server = run.server;
    let version = server.ask(Pve::version);
    let version = version.map_err(|error| about(Failure::of_request(&error)))?;
    // The storages of the new VM are those of its node.
    let template = Guest {
        node: vm.node.clone(),
        ..template.clone()
    };
    let clone = PlannedClone {
        template: &template,
        config,
        newid: vm.vmid,
        version: version.clone(),
        pool: run.spec.pool(),
        storage: run.spec.storage(),
    };
    let mut refused = Vec::new();
    let checked = check_clone(&clone, server, &mut |finding: Finding| {
        refused.push(finding);
    });
    refused.extend(checked.err());
    refused.retain(|finding| finding.result == Verdict::Fail);
    if refused.is_empty() {
        return Ok(version);
    }
    Err(about(refusal(&refused, server.pve.token())))
}

/// Why the server would refuse a clone, and what to do about it.
fn refusal(refused: &[Finding], token: &TokenId) -> Failure {
    let is_lack = |finding: &Finding| finding.detail.starts_with(LACKING);
    let kind = if refused.iter().all(is_lack) {
        Kind::Forbidden
    } else {
        Kind::Failed
    };
    let reasons = refused.iter().map(|finding| {
        let Finding { check, detail, .. } = finding;
        match detail.strip_prefix(LACKING) {
            Some(more) => format!("the token lacks {check}{more}"),
            None => format!("{check}: {detail}"),
        }
    });
    let hints = refused.iter().filter_map(|finding| finding.hint.clone());
    let for_user = user_options(token).filter(|_| refused.iter().any(is_lack));
    let for_user = for_user.map(|options| {
        format!(
            "without privilege separation, or if the token's user lacks one too, also run each command with {options}"
        )
    });
    let hints: Vec<String> = hints.chain(for_user).collect();
    let hint = (!hints.is_empty()).then(|| hints.join("; "));
    let reasons: Vec<String> = reasons.collect();
    Failure::new(kind, reasons.join("; ")).with_hint(hint)
}

/// The privileges that the token lacks for the steps after the clone.
fn missing_privileges(
    run: &Run,
    preview: &Preview,
    version: Option<Version>,
) -> Result<Vec<Missing>, pve::Error> {
    let Vm { vmid, .. } = &preview.vm;
    let (server, token) = (run.server, run.server.pve.token());
    let vm = format!("/vms/{vmid}");
    // An existing VM is in its own pool, whose privileges the server adds to those on the VM.
    let pool = run.spec.pool().map(pool_path);
    let pool = pool.filter(|_| preview.template().is_some());
    let mut held = BTreeMap::new();
    let mut has = |path: &str, privilege: &str| -> Result<bool, pve::Error> {
        if !held.contains_key(path) {
            let permissions = server.ask(|pve| pve.permissions_on(path))?;
            held.insert(path.to_owned(), permissions);
        }
        Ok(held[path].have(path, privilege))
    };
    let mut missing = Vec::new();
    for any_of in needed_on_vm(run, preview, version)? {
        let Some(privilege) = any_of.first() else {
            continue;
        };
        let mut is_held = false;
        for path in [Some(&vm), pool.as_ref()].into_iter().flatten() {
            for privilege in any_of {
                is_held = is_held || has(path, privilege)?;
            }
        }
        if !is_held {
            let path = pool.as_ref().unwrap_or(&vm);
            // No smaller role, which would replace the roles on all VMs there.
            let role = Role::VM_ADMIN;
            missing.push(Missing {
                privilege,
                path: path.clone(),
                hint: grant(role, path_to_grant_on(path, role, None), token),
            });
        }
    }
    Ok(missing)
}

/// What the steps after the clone need on the VM, without repetitions.
fn needed_on_vm(
    run: &Run,
    preview: &Preview,
    version: Option<Version>,
) -> Result<Vec<AnyOf>, pve::Error> {
    let setup = &run.spec.setup;
    let grows = preview.disks.iter().any(|disk| disk.grown_from.is_some());
    let changes = preview.changes.iter().flat_map(Change::privileges);
    let mut needed: Vec<AnyOf> = changes.collect();
    if grows {
        needed.push(&["VM.Config.Disk"]);
    }
    if preview.would_start {
        needed.push(&["VM.PowerMgmt"]);
    }
    if setup.address.is_some() {
        let version = match version {
            Some(version) => version,
            None => run.server.ask(Pve::version)?,
        };
        needed.push(match version.major {
            9.. => &["VM.GuestAgent.Audit"],
            _ => &["VM.Monitor"],
        });
    }
    if !needed.is_empty() {
        needed.insert(0, &["VM.Audit"]);
    }
    let mut seen = BTreeSet::new();
    needed.retain(|any_of| seen.insert(*any_of));
    Ok(needed)
}

fn summary(preview: &Preview) -> String {
    let vm = &preview.vm;
    match preview.origin {
        Origin::Template(_) => format!("Would create {vm}"),
        Origin::EarlierRun => format!("Would finish {vm}, which an earlier run created"),
        Origin::Existing if preview.changes_nothing() => {
            format!("{vm} already exists, and nothing would be changed")
        }
        Origin::Existing => format!("{vm} already exists, and would be changed"),
    }
}

/// The details, as name and value.
fn details(run: &Run, preview: &Preview, missing: &[Missing]) -> Vec<(&'static str, String)> {
    let mut details = Vec::new();
    if let Some(template) = preview.template() {
        details.push((
            "Template",
            template.to_string().replacen("template ", "", 1),
        ));
        let mode = match run.spec.mode() {
            Some(Mode::Linked) => "linked",
            _ => "full",
        };
        details.push(("Clone", mode.to_owned()));
        let pool = run.spec.pool().into_iter();
        details.extend(pool.map(|pool| ("Pool", pool.to_string())));
    }
    let is_clone = preview.template().is_some();
    let disks = preview.disks.iter();
    details.extend(disks.map(|disk| ("Disk", disk_text(disk, is_clone))));
    let changes = preview.changes.iter();
    details.extend(changes.map(|change| ("Setting", change.shown.clone())));
    if run.spec.setup.start {
        let start = if preview.would_start {
            "yes"
        } else {
            "no, it is running"
        };
        details.push(("Start", start.to_owned()));
    }
    let missing = missing.iter();
    details.extend(missing.map(|it| {
        (
            "Missing privilege",
            format!("{} on {}", it.privilege, it.path),
        )
    }));
    details
}

/// `scsi0: 32G on storage 'data' (template: 2252M)`
fn disk_text(disk: &PlannedDisk, is_clone: bool) -> String {
    let size = disk
        .size
        .map_or("unknown size".to_owned(), |size| size.to_string());
    let storage = disk.storage.as_ref();
    let storage = storage.map_or_else(String::new, |it| format!(" on storage '{it}'"));
    let more = match disk.grown_from {
        _ if disk.is_new => " (new)".to_owned(),
        Some(size) if is_clone => format!(" (template: {size})"),
        Some(size) => format!(" (now: {size})"),
        None => String::new(),
    };
    format!("{}: {size}{storage}{more}", disk.key)
}

impl<'p> From<&'p PlannedDisk> for DiskOf<'p> {
    fn from(disk: &'p PlannedDisk) -> DiskOf<'p> {
        DiskOf {
            key: &disk.key,
            storage: disk.storage.as_deref(),
            size: disk.size.map(|Size(bytes)| bytes),
            grown_from: disk.grown_from.map(|Size(bytes)| bytes),
            new: disk.is_new,
        }
    }
}

impl<'p> From<&'p Change> for ChangeOf<'p> {
    fn from(change: &'p Change) -> ChangeOf<'p> {
        ChangeOf {
            key: &change.key,
            from: change.from.as_deref(),
            to: change.to.as_deref(),
        }
    }
}
