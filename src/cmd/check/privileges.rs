//! The privileges that a clone takes, and those that setting up and starting the new VM takes.

use std::cell::Cell;
use std::collections::BTreeMap;

use crate::cmd::check::finding::{Finding, Hearer};
use crate::pve::types::{TokenId, Version, Vmid};
use crate::pve::{self, Permissions, VmConfig};
use crate::say::grant::{ALL_VMS, Role, as_root, for_its_user};
use crate::wait::server::Server;

/// What the clone does not take, but whoever has the new VM will.
const LATER: [(&str, &str); 7] = [
    ("VM.Config.Disk", "to enlarge its disks"),
    ("VM.Config.CPU", "to set its cores"),
    ("VM.Config.Memory", "to set its memory"),
    ("VM.Config.Network", "to set its network cards"),
    ("VM.Config.Cloudinit", "to set its user, keys and addresses"),
    ("VM.Config.Options", "to set its other options"),
    ("VM.PowerMgmt", "to start it"),
];

/// A smaller role would take the place of what the token has there from above, and with it of what
/// it can make VMs by.
const ON_ALL_VMS: (Role, &str) = (Role::VmAdmin, ALL_VMS);

/// A clone that is meant.
pub struct PlannedClone<'a> {
    /// The template.
    pub template: Vmid,
    /// Its configuration.
    pub config: &'a VmConfig,
    /// A VMID that the new VM may get.
    pub newid: Vmid,
    /// What the server is.
    pub version: Version,
}

/// Tells of each privilege on its path.
pub fn check_privileges(
    clone: &PlannedClone,
    server: Server,
    tell: Hearer,
) -> Result<(), pve::Error> {
    let template = format!("/vms/{}", clone.template);
    let new = format!("/vms/{}", clone.newid);
    let mut held = Held::by_asking(server);
    let is_lacking = Cell::new(false);
    let mut tell = |finding: Finding| {
        is_lacking.set(is_lacking.get() || finding.hint.is_some());
        tell(finding);
    };
    let template_user = (Role::TemplateUser, template.as_str());
    tell(held.needed("VM.Clone", &template, template_user)?);
    tell(held.needed("VM.Audit", &template, template_user)?);
    tell(held.needed("VM.Allocate", &new, ON_ALL_VMS)?);
    tell(held.needed("VM.Audit", &new, ON_ALL_VMS)?);
    for storage in &clone.config.storages() {
        let path = format!("/storage/{storage}");
        let user = (Role::DatastoreUser, path.as_str());
        tell(held.needed("Datastore.AllocateSpace", &path, user)?);
    }
    if clone.version.major >= 8 {
        for bridge in &clone.config.bridges() {
            tell(held.network(bridge)?);
        }
    }
    let agent = if clone.version.major >= 9 {
        "VM.GuestAgent.Audit"
    } else {
        "VM.Monitor"
    };
    for (privilege, what_for) in LATER.into_iter().chain([(agent, "to ask for its address")]) {
        tell(held.wanted_later(privilege, &new, what_for)?);
    }
    if let Some(otherwise) = for_its_user(server.pve.token()).filter(|_| is_lacking.get()) {
        let when = "where the token has none, or its user lacks the privilege too";
        tell(Finding::warn(
            "privilege separation",
            format!("{when}: {otherwise}"),
        ));
    }
    Ok(())
}

/// What the token holds, asked once for each path.
struct Held<'s> {
    server: Server<'s>,
    on: BTreeMap<String, Permissions>,
}

impl<'s> Held<'s> {
    fn by_asking(server: Server<'s>) -> Held<'s> {
        let on = BTreeMap::new();
        Held { server, on }
    }

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

    /// Without it there is no clone; which role gives it, and on which path.
    fn needed(
        &mut self,
        privilege: &str,
        path: &str,
        (role, grant_on): (Role, &str),
    ) -> Result<Finding, pve::Error> {
        let check = format!("{privilege} on {path}");
        Ok(if self.has(privilege, path)? {
            Finding::ok(check, "the token has it")
        } else {
            let hint = as_root(role, grant_on, self.token());
            Finding::fail(check, "the token lacks it").with_hint(hint)
        })
    }

    fn wanted_later(
        &mut self,
        privilege: &str,
        path: &str,
        what_for: &str,
    ) -> Result<Finding, pve::Error> {
        let check = format!("{privilege} on {path}");
        Ok(if self.has(privilege, path)? {
            Finding::ok(check, "the token has it")
        } else {
            let detail = format!("the token lacks it; not for the clone, but {what_for}");
            let (role, path) = ON_ALL_VMS;
            Finding::warn(check, detail).with_hint(as_root(role, path, self.token()))
        })
    }

    /// Which zone a bridge is in only the cluster's SDN can tell: `localnetwork` is that of the nodes'
    /// own, which are mostly named `vmbr` and a number; a vnet is in another.
    fn network(&mut self, bridge: &str) -> Result<Finding, pve::Error> {
        const USE: &str = "SDN.Use";

        let path = format!("/sdn/zones/localnetwork/{bridge}");
        if bridge.starts_with("vmbr") {
            return self.needed(USE, &path, (Role::SdnUser, &path));
        }
        if self.has(USE, "/sdn/zones")? {
            return Ok(Finding::ok(
                format!("{USE} on /sdn/zones"),
                "the token has it",
            ));
        }
        let verdict = if self.has(USE, &path)? {
            "the token has it"
        } else {
            "the token lacks it"
        };
        let detail =
            format!("{verdict}; if {bridge} is a vnet, it takes {USE} on its own zone instead");
        Ok(Finding::warn(format!("{USE} on {path}"), detail))
    }
}
