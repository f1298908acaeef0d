//! The privileges that a clone takes, and those that setting up and starting the new VM takes.

use super::finding::{Finding, Hearer};
use crate::api::Permissions;
use crate::api::types::{TokenId, Version, VmConfig, Vmid};
use crate::hint::{Role, grant};

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

/// A clone that is meant.
pub struct Clone<'a> {
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
pub fn check_privileges(clone: &Clone, permissions: &Permissions, token: &TokenId, tell: Hearer) {
    let template = format!("/vms/{}", clone.template);
    let new = format!("/vms/{}", clone.newid);
    let mut need = |privilege: &str, path: &str, role: Role, grant_on: &str| {
        let check = format!("{privilege} on {path}");
        tell(if permissions.have(path, privilege) {
            Finding::ok(check, "the token has it")
        } else {
            Finding::fail(check, "the token lacks it").with_hint(as_root(role, grant_on, token))
        });
    };
    need("VM.Clone", &template, Role::TemplateUser, &template);
    need("VM.Audit", &template, Role::TemplateUser, &template);
    need("VM.Allocate", &new, Role::VmAdmin, "/vms");
    need("VM.Audit", &new, Role::Auditor, "/vms");
    for storage in &clone.config.storages {
        let path = format!("/storage/{storage}");
        need("Datastore.AllocateSpace", &path, Role::DatastoreUser, &path);
    }
    for bridge in clone
        .config
        .bridges
        .iter()
        .filter(|_| clone.version.major >= 8)
    {
        check_bridge(bridge, permissions, token, tell);
    }
    let agent = if clone.version.major >= 9 {
        "VM.GuestAgent.Audit"
    } else {
        "VM.Monitor"
    };
    for (privilege, what_for) in LATER.into_iter().chain([(agent, "to ask for its address")]) {
        let check = format!("{privilege} on {new}");
        tell(if permissions.have(&new, privilege) {
            Finding::ok(check, "the token has it")
        } else {
            let detail = format!("the token lacks it; not for the clone, but {what_for}");
            Finding::warn(check, detail).with_hint(as_root(Role::VmAdmin, "/vms", token))
        });
    }
}

/// Which zone a bridge is in only the cluster's SDN can tell: that of the nodes' own bridges, unless
/// it is a vnet.
fn check_bridge(bridge: &str, permissions: &Permissions, token: &TokenId, tell: Hearer) {
    const PRIVILEGE: &str = "SDN.Use";
    let path = format!("/sdn/zones/localnetwork/{bridge}");
    let check = format!("{PRIVILEGE} on {path}");
    if permissions.have(&path, PRIVILEGE) {
        return tell(Finding::ok(check, "the token has it"));
    }
    let hint = as_root(Role::SdnUser, &path, token);
    let elsewhere: Vec<&str> = permissions.paths_with(PRIVILEGE).collect();
    tell(if elsewhere.is_empty() {
        Finding::fail(check, "the token lacks it").with_hint(hint)
    } else {
        let elsewhere = elsewhere.join(", ");
        let detail =
            format!("the token has it on {elsewhere}, which will do if {bridge} is a vnet there");
        Finding::warn(check, detail).with_hint(hint)
    });
}

fn as_root(role: Role, path: &str, token: &TokenId) -> String {
    format!("on a node, as root: {}", grant(role, path, token))
}
