//! `homelab proxmox check`: checks everything that `vm create` or `template create` depends on, and says how to
//! fix what is missing. With neither a template nor a storage for images it also says which verbs the token has
//! the privileges for.
//!
//! - The order is: configuration, hosts, token, quorum, visible and hidden guests, then the template or the
//!   storage with the privileges, or the verbs, state directory.
//! - Each finding is printed as soon as it is known. A failure ends the checks that depend on it.
//! - It fails for anything that makes `vm create` fail, or with a storage for images `template create`, and warns
//!   about everything else. With neither, missing privileges are warnings: the token may be meant for other
//!   verbs.
//! - Nothing is changed on the server.

pub mod finding;
mod hosts;
mod image;
pub mod privileges;
mod quorum;
pub mod template;
mod verbs;

use std::collections::BTreeSet;
use std::path::Path;

use self::finding::{Finding, Report, Verdict};
use self::hosts::check_hosts;
use self::image::{ImagePlan, check_image};
use self::quorum::check_quorum;
use self::template::{Plan, check_template};
use self::verbs::check_verbs;
use super::{Session, Success, print};
use crate::cli::Check;
use crate::config::{self, Configuration, Source};
use crate::guests::Guests;
use crate::ledger;
use crate::pve::types::{Guest, Pool, Storage, TokenId, Vmid};
use crate::pve::{self, Access, Permissions, Pve};
use crate::say::failure::{Failure, Kind, chain};
use crate::say::grant::{Role, grant, how_to_see_vms};
use crate::say::hint::no_templates_hint;
use crate::wait::server::Server;

/// Runs all checks, and prints each finding as soon as it is known.
pub fn run(session: &Session, arguments: &Check) -> Result<Success, Failure> {
    check_usage(arguments)?;
    let mut found = Vec::new();
    let mut printed = Ok(());
    let mut report = |finding: Finding| {
        if !session.json() && printed.is_ok() {
            printed = print(|out| finding.write(out, session.style()));
        }
        found.push(finding);
    };
    // Read from the environment before a server is asked.
    let state = Session::state_directory();
    check_environment(&mut report);
    match session.configuration() {
        Ok(configuration) => {
            check_configuration(&configuration, &mut report);
            if state.is_ok() {
                let ended = check_server(session, &configuration.access, arguments, &mut report);
                ended.unwrap_or_else(&mut report);
            }
        }
        Err(failure) => report(Finding::fail("configuration", failure)),
    }
    match state {
        Ok(state) => check_state_directory(&state, &mut report),
        Err(failure) => report(Finding::fail("state directory", failure)),
    }
    printed?;
    let is_any_failed = found.iter().any(|finding| finding.result == Verdict::Fail);
    let is_config = found.iter().find(|finding| finding.is_config);
    let kind = is_config.map_or(Kind::Failed, |_| Kind::Config);
    Ok(Success {
        failed_check: is_any_failed.then_some(kind),
        ..session.result(&finding::document(&found), |_, _| Ok(()))?
    })
}

/// Rejects options that check different things.
fn check_usage(arguments: &Check) -> Result<(), Failure> {
    let Check {
        template_name,
        pool,
        storage,
        image_storage,
        ..
    } = arguments;
    let usage =
        |message: &str, hint: &str| Failure::new(Kind::Usage, message).with_hint(hint.to_owned());
    if image_storage.is_some() && (template_name.is_some() || pool.is_some()) {
        return Err(usage(
            "--image-storage checks 'template create', which takes no template and no --pool",
            "for example: homelab proxmox check --image-storage local --storage local-lvm",
        ));
    }
    if template_name.is_none() && image_storage.is_none() && (pool.is_some() || storage.is_some()) {
        return Err(usage(
            "--pool and --storage need the name of a template",
            "for example: homelab proxmox check debian-12 --pool lab",
        ));
    }
    Ok(())
}

/// The privilege to see a VM.
const SEE: &str = "VM.Audit";
/// How many VMIDs are probed for hidden guests, from each end.
const PROBES: usize = 16;

/// Warns about variables of other tools that have no effect here.
fn check_environment(report: Report) {
    let set = std::env::vars_os().filter(|(_, value)| !value.is_empty());
    let ignored = config::ignored(set.filter_map(|(name, _)| name.into_string().ok()));
    if ignored.is_empty() {
        return;
    }
    let names: Vec<&str> = ignored.iter().map(|it| it.name.as_str()).collect();
    let replacements = ignored.iter().filter_map(|it| {
        let replacement = it.replacement?;
        Some(format!("use {replacement} instead of {}", it.name))
    });
    let replacements: Vec<String> = replacements.collect();
    let detail = format!("set but ignored: {}", names.join(", "));
    let hint = (!replacements.is_empty()).then(|| replacements.join(", "));
    report(Finding::warn("environment", detail).with_hint(hint));
}

/// Reports the settings, where each came from, and what may be a mistake.
fn check_configuration(configuration: &Configuration, report: Report) {
    let mut settings: Vec<String> = configuration.sources.iter().map(shown).collect();
    if let Some(file) = &configuration.file {
        // The path is given once instead of with each setting.
        let path = format!("'{}': ", file.display());
        for setting in &mut settings {
            *setting = setting.replace(&path, "file: ");
        }
        settings.push(format!("file {}", file.display()));
    }
    let settings = settings.join(", ");
    report(match configuration.warnings.join("; ") {
        none if none.is_empty() => Finding::ok("configuration", settings),
        warnings => Finding::warn("configuration", settings).with_hint(warnings),
    });
}

/// `host pve.lan (--host)`, or for a secret only `secret (PROXMOX_TOKEN_SECRET)`.
fn shown(source: &Source) -> String {
    let value = &source.value;
    let separator = if value.is_empty() { "" } else { " " };
    format!("{}{separator}{value} ({})", source.name, source.origin)
}

/// Checks the hosts, the token, what it sees and may do, and whether it can clone the template, if any.
/// Fails with the finding that prevents the remaining checks.
fn check_server(
    session: &Session,
    access: &Access,
    arguments: &Check,
    report: Report,
) -> Result<(), Finding> {
    let connect = |access: &Access| session.client(access, None);
    let pve = connect(access).map_err(failed("trust"))?;
    let token = pve.token();
    let hosts = check_hosts(access, &connect, token, report);
    let Some(first) = hosts.first() else {
        return Ok(());
    };
    let version = first.version.clone();
    report(Finding::ok(format!("token {token}"), "accepted"));
    let product = format!("Proxmox VE {}", version.text);
    report(Finding::ok("server", product));
    let server = session.server_for_one_try(&pve);
    check_quorum(&hosts, report);
    let guests = Guests::read(server, &|_| true).map_err(failed("guests"))?;
    check_guests(&guests, arguments.image_storage.is_none(), report);
    let permissions = server.ask(Pve::permissions);
    match &permissions {
        Ok(permissions) => check_single_vms(permissions, token, report),
        Err(error) => report(Finding::of_request("privileges", error)),
    }
    report(check_hidden_guests(&guests, server).unwrap_or_else(failed("hidden guests")));
    if let Some(images) = arguments.image_storage.clone().map(Storage) {
        let disks = arguments.storage.clone().map(Storage);
        let plan = ImagePlan {
            images: &images,
            disks: disks.as_ref(),
        };
        return check_image(&plan, &version, server, report);
    }
    match &arguments.template_name {
        None => {
            if let Ok(permissions) = &permissions {
                check_verbs(permissions, &guests, &version, report);
            }
            Ok(())
        }
        Some(template) if guests.all().any(Guest::is_vm_template) => {
            let (pool, storage) = (
                arguments.pool.clone().map(Pool),
                arguments.storage.clone().map(Storage),
            );
            let plan = Plan {
                template,
                pool: pool.as_ref(),
                storage: storage.as_ref(),
            };
            check_template(&plan, &guests, version, server, report)
        }
        Some(_) => Ok(()),
    }
}

fn failed(check: &str) -> impl FnOnce(pve::Error) -> Finding {
    move |error| Finding::of_request(check, &error)
}

/// Reports how many guests this token sees. Without a template, nothing can be cloned, if that is needed; a
/// guest that cannot be read may have any name.
fn check_guests(guests: &Guests, needs_template: bool, report: Report) {
    let count = |matches: fn(&Guest) -> bool| guests.all().filter(|guest| matches(guest)).count();
    let (templates, vms) = (count(Guest::is_vm_template), count(Guest::is_vm));
    let detail = format!("visible templates: {templates}, VMs: {vms}");
    report(if templates == 0 && needs_template {
        Finding::new(Verdict::Fail, "guests", detail).with_hint(no_templates_hint(guests.token()))
    } else {
        Finding::ok("guests", detail)
    });
    for unread in guests.unread() {
        let hint = "a VM with the requested name may be hidden there, so 'vm create' needs --vmid N, or \
                    --ignore-offline if a node is switched off";
        let finding = Finding::new(Verdict::Fail, "guests", unread.to_string());
        report(finding.with_hint(hint.to_owned()));
    }
}

/// Warns about VMs that this token does not see because a role on that VM alone replaces the one on `/vms`.
fn check_single_vms(permissions: &Permissions, token: &TokenId, report: Report) {
    let is_vm = |path: &str| {
        let vmid = path.strip_prefix("/vms/");
        vmid.is_some_and(|vmid| vmid.parse::<Vmid>().is_ok())
    };
    let is_hidden = |path: &&str| is_vm(path) && !permissions.have(path, SEE);
    for path in permissions.paths().filter(is_hidden) {
        let role = if permissions.have(path, "VM.Clone") {
            Role::TEMPLATE_USER
        } else {
            Role::AUDITOR
        };
        let detail = "missing here, even if granted on /vms: the token cannot see that VM";
        let finding = Finding::warn(format!("{SEE} on {path}"), detail);
        report(finding.with_hint(grant(role, path, token)));
    }
}

/// Searches for guests that this token does not see: their VMIDs are free in the list but not for the
/// server. Probes the lowest such VMIDs, and those just below the next VMID that the server would assign,
/// because an administrator may let its range start higher.
fn check_hidden_guests(guests: &Guests, server: Server) -> Result<Finding, pve::Error> {
    const CHECK: &str = "hidden guests";
    let next = server.ask(Pve::next_vmid)?.0;
    let is_unlisted = |vmid: &Vmid| !guests.is_taken(*vmid);
    let lowest = (Vmid::MIN.0..=Vmid::MAX.0).map(Vmid).filter(is_unlisted);
    let below_next = (Vmid::MIN.0..next).rev().map(Vmid).filter(is_unlisted);
    let probed: BTreeSet<Vmid> = lowest.take(PROBES).chain(below_next.take(PROBES)).collect();
    let mut hidden = Vec::new();
    for vmid in &probed {
        if !server.ask(|pve| pve.is_free(*vmid))? {
            hidden.push(vmid.to_string());
        }
    }
    if hidden.is_empty() {
        let detail = format!("none at {} unlisted VMIDs", probed.len());
        return Ok(Finding::ok(CHECK, detail));
    }
    let detail = format!(
        "this token cannot see VMID {}: a VM of the requested name there would not be found",
        hidden.join(", ")
    );
    Ok(Finding::warn(CHECK, detail).with_hint(how_to_see_vms(guests.token())))
}

/// Checks whether runs on this host can leave records for each other.
fn check_state_directory(directory: &Path, report: Report) {
    let check = format!("state directory {}", directory.display());
    report(match ledger::probe(directory) {
        Ok(()) => Finding::ok(check, "writable, and supports file locks"),
        Err(error) => {
            let hint =
                "make it writable for this user, or set HOMELAB_STATE_DIR to another directory";
            let detail = format!("{}; 'vm create --ensure' fails without it", chain(&error));
            Finding::warn(check, detail).with_hint(hint.to_owned())
        }
    });
}
