//! Checks the privileges that a clone needs, and those that setting up and starting the new VM needs.

use std::collections::{BTreeMap, BTreeSet};

use super::finding::{Finding, Report, Verdict};
use crate::pve::types::{Guest, Pool, Storage, TokenId, Version, Vmid};
use crate::pve::{self, Passthrough, Permissions, VmConfig};
use crate::say::grant::{
    NETWORK_ROLE, REPLACES, Role, commands_of_role, grant_command, path_to_grant_on, pool_path,
    user_options,
};
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
/// On `/`, these together permit what Sys.AccessNetwork permits.
pub const INSTEAD_OF_NETWORK: [&str; 2] = ["Sys.Audit", "Sys.Modify"];
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

/// A VM that will be created.
pub struct NewVm {
    /// The path of its VMID.
    pub path: String,
    /// The path of its pool.
    pub pool: Option<String>,
    /// What creates it: a `clone`.
    pub creation: &'static str,
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
    let mut held = TokenPrivileges::new(server, report);
    let new = NewVm {
        path: format!("/vms/{}", clone.newid),
        pool: clone.pool.map(pool_path),
        creation: "clone",
    };
    held.check("VM.Clone", &template, Role::TEMPLATE_USER)?;
    held.check("VM.Audit", &template, Role::TEMPLATE_USER)?;
    held.check_on_new(&["VM.Allocate"], &new, None)?;
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
        held.check_on_new(&[privilege], &new, Some(purpose))?;
    }
    let agent = match clone.version.major {
        9.. => "VM.GuestAgent.Audit",
        _ => "VM.Monitor",
    };
    held.check_on_new(&[agent], &new, Some("to read its address"))?;
    held.end();
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
pub struct TokenPrivileges<'s> {
    server: Server<'s>,
    report: Report<'s>,
    on: BTreeMap<String, Permissions>,
    /// Whether any hint grants a role to the token.
    is_any_lacking: bool,
}

impl<'s> TokenPrivileges<'s> {
    /// None are known yet.
    pub fn new(server: Server<'s>, report: Report<'s>) -> TokenPrivileges<'s> {
        TokenPrivileges {
            server,
            report,
            on: BTreeMap::new(),
            is_any_lacking: false,
        }
    }

    /// Warns about the token's user if a hint grants a role to the token.
    pub fn end(self) {
        if self.is_any_lacking {
            warn_about_user(self.token(), self.report);
        }
    }

    /// Reports a finding about something else.
    pub fn add(&mut self, finding: Finding) {
        (self.report)(finding);
    }

    fn token(&self) -> &'s TokenId {
        self.server.pve.token()
    }

    /// Whether the token has a privilege on a path.
    pub fn has(&mut self, privilege: &str, path: &str) -> Result<bool, pve::Error> {
        if !self.on.contains_key(path) {
            let permissions = self.server.ask(|pve| pve.permissions_on(path))?;
            self.on.insert(path.to_owned(), permissions);
        }
        Ok(self.on[path].have(path, privilege))
    }

    /// Whether the token has one of some privileges on a path.
    pub fn has_any(&mut self, any_of: &[&str], path: &str) -> Result<bool, pve::Error> {
        for privilege in any_of {
            if self.has(privilege, path)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Checks a privilege that the creation of the VM needs.
    pub fn check(&mut self, privilege: &str, path: &str, role: Role) -> Result<(), pve::Error> {
        self.check_any(&[privilege], path, role)
    }

    /// Checks for one of some privileges. The creation of the VM needs one of them.
    pub fn check_any(&mut self, any_of: &[&str], path: &str, role: Role) -> Result<(), pve::Error> {
        let is_held = self.has_any(any_of, path)?;
        let check = format!("{} on {path}", any_of.join(" or "));
        self.report(check, is_held, None, role, path);
        Ok(())
    }

    /// Checks for one of some privileges on the new VM, which its pool may give too. Without a `purpose` its
    /// creation needs it, otherwise a later step may.
    pub fn check_on_new(
        &mut self,
        any_of: &[&str],
        new: &NewVm,
        purpose: Option<&str>,
    ) -> Result<(), pve::Error> {
        let paths = new.pool.iter().chain([&new.path]);
        let paths: Vec<&str> = paths.map(String::as_str).collect();
        let mut is_held = false;
        for path in paths.iter().rev() {
            is_held = is_held || self.has_any(any_of, path)?;
        }
        let check = format!("{} on {}", any_of.join(" or "), paths.join(" or "));
        let purpose = purpose.map(|to| format!("not needed for the {}, but {to}", new.creation));
        // The smallest role with VM.Allocate. It is granted for every privilege on the new VM, because a
        // smaller role on /vms would replace it.
        self.report(check, is_held, purpose, Role::VM_ADMIN, paths[0]);
        Ok(())
    }

    fn report(
        &mut self,
        check: String,
        is_held: bool,
        purpose: Option<String>,
        role: Role,
        path: &str,
    ) {
        self.is_any_lacking |= !is_held;
        let finding = match purpose {
            _ if is_held => Finding::ok(check, HELD),
            None => Finding::new(Verdict::Fail, check, LACKING),
            Some(purpose) => Finding::warn(check, format!("{LACKING}; {purpose}")),
        };
        let grant = || grant_command(role, path_to_grant_on(path, role, None), self.token());
        let hint = (!is_held).then(grant);
        (self.report)(finding.with_hint(hint));
    }

    /// Checks whether a node, or with the path of all nodes each, may download for the token. No small
    /// role has the privilege.
    pub fn check_download(&mut self, path: &str) -> Result<(), pve::Error> {
        let (_, privilege) = NETWORK_ROLE;
        let check = format!("{privilege} on {path}");
        let [audit, modify] = INSTEAD_OF_NETWORK;
        let is_held =
            self.has(privilege, path)? || self.has(audit, "/")? && self.has(modify, "/")?;
        if is_held {
            (self.report)(Finding::ok(check, HELD));
            return Ok(());
        }
        self.is_any_lacking = true;
        let mut hint = commands_of_role(NETWORK_ROLE, path, self.token());
        if self.on[path].on(path).next().is_some() {
            hint += REPLACES;
        }
        (self.report)(Finding::new(Verdict::Fail, check, LACKING).with_hint(hint));
        Ok(())
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
    pub fn check_network(&mut self, bridge: &str) -> Result<(), pve::Error> {
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
