//! Checks the privileges that a clone needs, and those that setting up and starting the new VM needs.

use std::collections::{BTreeMap, BTreeSet};

use super::finding::{Finding, Report, Verdict};
use crate::pve::types::{Guest, Pool, Storage, TokenId, Version, Vmid};
use crate::pve::{self, Passthrough, Permissions, VmConfig};
use crate::say::grant::{Role, grant_command, path_to_grant_on, pool_path, user_options};
use crate::wait::server::Server;

/// Privileges on the new VM that the clone itself does not need, and what needs them.
const FOR_LATER_STEPS: [(&str, &str); 8] = [
    ("VM.Audit", "to read the new VM, which its setup requires"),
    ("VM.Config.Disk", "to grow its disks"),
    ("VM.Config.CPU", "to set its cores"),
    ("VM.Config.Memory", "to set its memory"),
    ("VM.Config.Network", "to set its network cards"),
    ("VM.Config.Cloudinit", "to set its user, keys and addresses"),
    ("VM.Config.Options", "to set its other options"),
    ("VM.PowerMgmt", "to start it"),
];
const HELD: &str = "the token has it";
/// How the detail of a finding begins if a privilege is missing.
pub const LACKING: &str = "the token lacks it";

/// A clone to check the privileges for.
pub struct PlannedClone<'a> {
    /// The template.
    pub template: &'a Guest,
    /// The template's configuration.
    pub config: &'a VmConfig,
    /// A VMID that the new VM may get.
    pub newid: Vmid,
    /// The server's version.
    pub version: Version,
    /// The pool of the new VM.
    pub pool: Option<&'a Pool>,
    /// The storage of all its disks, if not those of the template.
    pub storage: Option<&'a Storage>,
}

impl PlannedClone<'_> {
    /// The storages that the new VM uses.
    pub fn storages(&self) -> BTreeSet<String> {
        let mut storages = self.config.storages();
        if let Some(storage) = self.storage.filter(|_| !storages.is_empty()) {
            storages = BTreeSet::from([storage.0.clone()]);
        }
        let for_memory = self.config.option("vmstatestorage");
        storages.extend(for_memory.map(str::to_owned));
        storages
    }
}

/// Reports for each privilege, on its path, whether the token has it. Of the storages that the new VM uses,
/// `storages` are those that exist.
pub fn check_privileges(
    clone: &PlannedClone,
    storages: &BTreeSet<String>,
    server: Server,
    report: Report,
) -> Result<(), pve::Error> {
    let vmid = clone.template.vmid;
    let template = format!("/vms/{vmid}");
    let mut held = TokenPrivileges {
        server,
        report,
        on: BTreeMap::new(),
        is_any_lacking: false,
    };
    held.check("VM.Clone", &template, Role::TEMPLATE_USER)?;
    held.check("VM.Audit", &template, Role::TEMPLATE_USER)?;
    held.check_on_new("VM.Allocate", clone, None)?;
    for storage in storages {
        let path = format!("/storage/{storage}");
        held.check("Datastore.AllocateSpace", &path, Role::DATASTORE_USER)?;
    }
    if let Some(drive) = clone.config.node_cd_drive() {
        held.check_console(clone.template, drive)?;
    }
    if clone.version.major >= 8 {
        for (_, needed) in clone.config.passthrough() {
            if let Passthrough::Mapping(path) = needed {
                held.check("Mapping.Use", &path, Role::MAPPING_USER)?;
            }
        }
        for bridge in &clone.config.bridges() {
            held.check_network(bridge)?;
        }
    }
    for (privilege, purpose) in FOR_LATER_STEPS {
        held.check_on_new(privilege, clone, Some(purpose))?;
    }
    let agent = match clone.version.major {
        9.. => "VM.GuestAgent.Audit",
        _ => "VM.Monitor",
    };
    held.check_on_new(agent, clone, Some("to read its address"))?;
    if held.is_any_lacking {
        warn_about_user(held.token(), held.report);
    }
    Ok(())
}

/// Warns that the token's user may need each role too that earlier hints grant to the token.
pub fn warn_about_user(token: &TokenId, report: Report) {
    if let Some(for_user) = user_options(token) {
        let when = "if the token has none, or its user also lacks a privilege";
        let detail = format!("{when}, also run each command with {for_user}");
        report(Finding::warn("privilege separation", detail));
    }
}

/// The privileges of the token; each path is requested once.
struct TokenPrivileges<'s> {
    server: Server<'s>,
    report: Report<'s>,
    on: BTreeMap<String, Permissions>,
    /// Whether any hint grants a role to the token.
    is_any_lacking: bool,
}

impl<'s> TokenPrivileges<'s> {
    fn token(&self) -> &'s TokenId {
        self.server.pve.token()
    }

    fn has(&mut self, privilege: &str, path: &str) -> Result<bool, pve::Error> {
        if !self.on.contains_key(path) {
            let permissions = self.server.ask(|pve| pve.permissions_on(path))?;
            self.on.insert(path.to_owned(), permissions);
        }
        Ok(self.on[path].have(path, privilege))
    }

    /// Checks a privilege that the clone needs.
    fn check(&mut self, privilege: &str, path: &str, role: Role) -> Result<(), pve::Error> {
        let is_held = self.has(privilege, path)?;
        self.report(format!("{privilege} on {path}"), is_held, None, role, path);
        Ok(())
    }

    /// Checks a privilege on the new VM, which its pool may give too. Without a `purpose` the clone needs
    /// it, otherwise a later step may.
    fn check_on_new(
        &mut self,
        privilege: &str,
        clone: &PlannedClone,
        purpose: Option<&str>,
    ) -> Result<(), pve::Error> {
        let new = format!("/vms/{}", clone.newid);
        let of_pool = clone.pool.map(pool_path);
        let of_pool = of_pool.as_deref();
        let mut is_held = self.has(privilege, &new)?;
        if let Some(pool) = of_pool.filter(|_| !is_held) {
            is_held = self.has(privilege, pool)?;
        }
        let paths: Vec<&str> = of_pool.into_iter().chain([new.as_str()]).collect();
        let check = format!("{privilege} on {}", paths.join(" or "));
        // The smallest role with VM.Allocate. It is granted for every privilege on the new VM, because a
        // smaller role on /vms would replace it.
        let path = of_pool.unwrap_or(&new);
        self.report(check, is_held, purpose, Role::VM_ADMIN, path);
        Ok(())
    }

    fn report(
        &mut self,
        check: String,
        is_held: bool,
        purpose: Option<&str>,
        role: Role,
        path: &str,
    ) {
        self.is_any_lacking |= !is_held;
        let finding = match purpose {
            _ if is_held => Finding::ok(check, HELD),
            None => Finding::new(Verdict::Fail, check, LACKING),
            Some(purpose) => Finding::warn(
                check,
                format!("{LACKING}; not needed for the clone, but {purpose}"),
            ),
        };
        let grant = || grant_command(role, path_to_grant_on(path, role, None), self.token());
        let hint = (!is_held).then(grant);
        (self.report)(finding.with_hint(hint));
    }

    /// Checks the use of the node's own CD drive. No small role has the privilege.
    fn check_console(&mut self, template: &Guest, drive: &str) -> Result<(), pve::Error> {
        const CONSOLE: &str = "Sys.Console";

        let check = format!("{CONSOLE} on /");
        if self.has(CONSOLE, "/")? {
            (self.report)(Finding::ok(check, HELD));
            return Ok(());
        }
        let (vmid, node) = (template.vmid, &template.node);
        let detail = format!("{LACKING}; {drive} of template {vmid} is the CD drive of the node");
        let hint = format!("on node '{node}', as root: qm set {vmid} --{drive} none,media=cdrom");
        (self.report)(Finding::new(Verdict::Fail, check, detail).with_hint(hint));
        Ok(())
    }

    /// Checks the use of a bridge. Only the cluster's SDN knows which zone a bridge is in. A node's own
    /// bridges, usually named `vmbr` and a number, are in `localnetwork`; a vnet is in another zone.
    fn check_network(&mut self, bridge: &str) -> Result<(), pve::Error> {
        const USE: &str = "SDN.Use";

        let path = format!("/sdn/zones/localnetwork/{bridge}");
        if bridge.starts_with("vmbr") {
            return self.check(USE, &path, Role::SDN_USER);
        }
        let finding = if self.has(USE, "/sdn/zones")? {
            Finding::ok(format!("{USE} on /sdn/zones"), HELD)
        } else {
            let held = if self.has(USE, &path)? { HELD } else { LACKING };
            let otherwise =
                format!("if {bridge} is a vnet, {USE} is needed on its own zone instead");
            Finding::warn(format!("{USE} on {path}"), format!("{held}; {otherwise}"))
        };
        (self.report)(finding);
        Ok(())
    }
}
