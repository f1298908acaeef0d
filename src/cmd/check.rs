//! `homelab proxmox check`: all that a run depends on, one after the other, and what to do where
//! something is missing. It changes nothing on the server.

pub mod finding;
mod hosts;
mod privileges;

use std::collections::BTreeSet;
use std::path::Path;

use self::hosts::{Connect, Said, check_hosts};
use self::privileges::{PlannedClone, check_privileges};
use crate::cmd::check::finding::{Finding, Hearer};
use crate::config::{Configuration, Source};
use crate::guests::Guests;
use crate::guests::template::{Found, find_template};
use crate::ledger;
use crate::pve::types::{Guest, Version, Vmid};
use crate::pve::{self, Access, Pve};
use crate::say::failure::{Kind, Report};
use crate::say::grant::{Role, grant, how_to_see_vms};
use crate::say::hint::what_an_empty_list_means;
use crate::wait::server::Server;
use crate::wait::{Budget, Clock};

/// The privilege to see a VM.
const SEE: &str = "VM.Audit";
/// How many VMIDs that look free are asked for.
const ASKED_FOR: usize = 16;

/// What the settings are, where each came from, and what may not be meant.
pub fn check_configuration(configuration: &Configuration, tell: Hearer) {
    let mut sources: Vec<String> = configuration.sources.iter().map(shown).collect();
    if let Some(file) = &configuration.file {
        // Named once, and not with each of its settings.
        let name = format!("'{}': ", file.display());
        for source in &mut sources {
            *source = source.replace(&name, "file: ");
        }
        sources.push(format!("file {}", file.display()));
    }
    let sources = sources.join(", ");
    tell(if configuration.warnings.is_empty() {
        Finding::ok("configuration", sources)
    } else {
        let warnings = configuration.warnings.join("; ");
        Finding::warn("configuration", sources).with_hint(warnings)
    });
}

fn shown(source: &Source) -> String {
    let Source {
        name,
        value,
        origin,
    } = source;
    let value = if value.is_empty() {
        String::new()
    } else {
        format!(" {value}")
    };
    format!("{name}{value} ({origin})")
}

/// What the server says, up to what it takes to clone `template`, if there is one meant.
pub fn check_server(
    access: &Access,
    connect: Connect,
    template: Option<&str>,
    clock: &dyn Clock,
    tell: Hearer,
) {
    let pve = match connect(access) {
        Ok(pve) => pve,
        Err(error) => return tell(of_api("whom to trust", &error)),
    };
    let token = pve.token();
    let version = match check_hosts(access, connect, tell) {
        Said::Accepted(version) => version,
        Said::Refused(error) => return tell(of_api(format!("token {token}"), &error)),
        Said::NotAccepted => return,
    };
    tell(Finding::ok(format!("token {token}"), "it is accepted"));
    tell(Finding::ok(
        "server",
        format!("Proxmox VE {}", version.text),
    ));
    let server = Server {
        pve: &pve,
        budget: Budget::for_one_try(clock),
    };
    let guests = match Guests::read(server, &|_| true) {
        Ok(guests) => guests,
        Err(error) => return tell(of_api("guests", &error)),
    };
    check_guests(&guests, tell);
    check_entries_of_single_vms(server, tell);
    check_hidden_guests(&guests, server, tell);
    let Some(name) = template else {
        return;
    };
    let check = format!("template '{name}'");
    match find_template(&guests, name, None) {
        Ok(Found { template, warning }) => {
            if let Some(warning) = warning {
                tell(Finding::warn(check.as_str(), warning));
            }
            check_clone_of(check, template, version, server, tell);
        }
        Err(error) => {
            let hint = error.hint().to_owned();
            let report = Report::of(Kind::TemplateNotFound, &error);
            tell(Finding::of("template", report.with_hint(hint)));
        }
    }
}

/// What is granted on one VM hides what is granted on all of them, and so may hide the VM.
fn check_entries_of_single_vms(server: Server, tell: Hearer) {
    let permissions = match server.ask(Pve::permissions) {
        Ok(permissions) => permissions,
        Err(error) => return tell(of_api("privileges", &error)),
    };
    let is_hidden = |path: &&str| {
        let vmid: Option<Vmid> = path
            .strip_prefix("/vms/")
            .and_then(|vmid| vmid.parse().ok());
        vmid.is_some() && !permissions.have(path, SEE)
    };
    for path in permissions.paths().filter(is_hidden) {
        let role = if permissions.have(path, "VM.Clone") {
            Role::TemplateUser
        } else {
            Role::Auditor
        };
        let detail = "the token lacks it, whatever it has on /vms, and does not see that VM";
        let hint = grant(role, path, server.pve.token());
        tell(Finding::warn(format!("{SEE} on {path}"), detail).with_hint(hint));
    }
}

/// How many this token sees.
fn check_guests(guests: &Guests, tell: Hearer) {
    let count = |is_meant: fn(&Guest) -> bool| guests.all().filter(|guest| is_meant(guest)).count();
    let (templates, vms) = (count(Guest::is_vm_template), count(Guest::is_vm));
    let detail = format!("templates seen: {templates}, VMs seen: {vms}");
    tell(if templates == 0 {
        Finding::warn("guests", detail).with_hint(what_an_empty_list_means(guests.token()))
    } else {
        Finding::ok("guests", detail)
    });
    for doubt in guests.doubts() {
        tell(Finding::warn("guests", doubt));
    }
}

/// A VMID that is free in the list and taken all the same is one of a guest that this token does not
/// see, and so may its name be. Asked for are the lowest ones, and those below the first that the
/// server would give, for that range may begin higher.
fn check_hidden_guests(guests: &Guests, server: Server, tell: Hearer) {
    const CHECK: &str = "hidden guests";
    let next = match server.ask(Pve::next_vmid) {
        Ok(next) => next.0,
        Err(error) => return tell(of_api(CHECK, &error)),
    };
    let look_free = |vmid: &Vmid| !guests.is_taken(*vmid);
    let lowest = (Vmid::MIN.0..=Vmid::MAX.0).map(Vmid).filter(look_free);
    let below_next = (Vmid::MIN.0..next).rev().map(Vmid).filter(look_free);
    let asked_for: BTreeSet<Vmid> = lowest
        .take(ASKED_FOR)
        .chain(below_next.take(ASKED_FOR))
        .collect();
    let mut hidden = Vec::new();
    for vmid in &asked_for {
        match server.ask(|pve| pve.is_free(*vmid)) {
            Ok(true) => {}
            Ok(false) => hidden.push(vmid.to_string()),
            Err(error) => return tell(of_api(CHECK, &error)),
        }
    }
    tell(if hidden.is_empty() {
        let detail = format!("none among {} VMIDs that look free", asked_for.len());
        Finding::ok(CHECK, detail)
    } else {
        let detail = format!(
            "this token does not see who has VMID {}: a VM of the name that is asked for would not \
             be found there",
            hidden.join(", ")
        );
        Finding::warn(CHECK, detail).with_hint(how_to_see_vms(guests.token()))
    });
}

fn check_clone_of(check: String, template: &Guest, version: Version, server: Server, tell: Hearer) {
    tell(Finding::ok(check.as_str(), template.place()));
    let (vmid, node) = (template.vmid, &template.node);
    let config = match server.ask(|pve| pve.vm_config(node, vmid)) {
        Ok(Some(config)) => config,
        Ok(None) => {
            return tell(Finding::fail(check, "it has gone a moment ago"));
        }
        Err(error) => return tell(of_api(check, &error)),
    };
    let newid = match server.ask(Pve::next_vmid) {
        Ok(newid) => newid,
        Err(error) => return tell(of_api("free VMID", &error)),
    };
    let clone = PlannedClone {
        template: vmid,
        config: &config,
        newid,
        version,
    };
    if let Err(error) = check_privileges(&clone, server, tell) {
        tell(of_api("privileges", &error));
    }
}

/// Whether runs can leave word for each other.
pub fn check_state_directory(directory: &Path, tell: Hearer) {
    let check = format!("state directory {}", directory.display());
    tell(match ledger::try_out(directory) {
        Ok(()) => Finding::ok(check, "it can be written, and files in it locked"),
        Err(error) => Finding::of(check, Report::of(Kind::Failed, &error)).with_hint(
            "this user must be able to write there, or HOMELAB_STATE_DIR names another directory"
                .to_owned(),
        ),
    });
}

fn of_api(check: impl Into<String>, error: &pve::Error) -> Finding {
    Finding::of(check, Report::of_request(error))
}
