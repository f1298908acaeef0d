//! The `pveum` commands that grant a token the privileges it lacks.

use crate::pve::types::{Pool, TokenId};
use crate::say::shell::word;

/// The path of all VMs, for privileges on a VM whose VMID is not known yet.
pub const ALL_VMS: &str = "/vms";

/// The path of a pool. Privileges on it also apply to the VMs in the pool.
pub fn pool_path(pool: &Pool) -> String {
    format!("/pool/{pool}")
}

/// A built-in role of Proxmox VE.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Role(&'static str);

impl Role {
    /// VM.Clone, VM.Audit
    pub const TEMPLATE_USER: Role = Role("PVETemplateUser");
    /// VM.PowerMgmt, VM.Config.Cloudinit, VM.Audit and other privileges for users of a VM.
    pub const VM_USER: Role = Role("PVEVMUser");
    /// All privileges that begin with VM.; no smaller role has VM.Allocate.
    pub const VM_ADMIN: Role = Role("PVEVMAdmin");
    /// All privileges that end with .Audit
    pub const AUDITOR: Role = Role("PVEAuditor");
    /// Datastore.AllocateSpace, Datastore.Audit
    pub const DATASTORE_USER: Role = Role("PVEDatastoreUser");
    /// All privileges that begin with Datastore.; no smaller role has Datastore.AllocateTemplate.
    pub const DATASTORE_ADMIN: Role = Role("PVEDatastoreAdmin");
    /// SDN.Use, SDN.Audit
    pub const SDN_USER: Role = Role("PVESDNUser");
    /// Mapping.Use, Mapping.Audit
    pub const MAPPING_USER: Role = Role("PVEMappingUser");

    /// The smallest role that has the privilege.
    pub fn with(privilege: &str) -> Option<Role> {
        Some(match privilege {
            "VM.Clone" => Role::TEMPLATE_USER,
            "VM.PowerMgmt" | "VM.Config.Cloudinit" => Role::VM_USER,
            "Datastore.AllocateSpace" => Role::DATASTORE_USER,
            "Datastore.AllocateTemplate" => Role::DATASTORE_ADMIN,
            "SDN.Use" => Role::SDN_USER,
            "Mapping.Use" => Role::MAPPING_USER,
            _ if privilege.ends_with(".Audit") => Role::AUDITOR,
            _ if privilege.starts_with("VM.") => Role::VM_ADMIN,
            _ => return None,
        })
    }
}

/// The command that grants a role to a token.
pub fn grant_command(role: Role, path: &str, token: &TokenId) -> String {
    let (path, token, Role(role)) = (word(path), word(&token.to_string()), role);
    format!("on a node, as root: pveum acl modify {path} --tokens {token} --roles {role}")
}

/// The options that grant the role to the token's user; `None` for root, who has all privileges. Needed
/// only if the user lacks the privilege too. The role replaces those that the user inherits on that path or
/// has there through groups.
pub fn user_options(token: &TokenId) -> Option<String> {
    let userid = token.userid();
    let users = word(&userid);
    (userid != "root@pam").then(|| format!("--users {users} instead of --tokens …"))
}

/// What a command does that grants a role which lacks privileges that the token inherits on that path.
pub const REPLACES: &str = "; this replaces the token's inherited roles there";

/// The command, what it replaces, and when to run it for the user too.
pub fn grant(role: Role, path: &str, token: &TokenId) -> String {
    let mut command = grant_command(role, path, token);
    if path == ALL_VMS && role != Role::VM_ADMIN {
        command += REPLACES;
    }
    if let Some(for_user) = user_options(token) {
        command += "; without privilege separation, or if the token's user lacks it too, also run this with ";
        command += &for_user;
    }
    command
}

/// A role of one's own, for a privilege that no small built-in role has: its name, and its privileges.
pub const NETWORK_ROLE: (&str, &str) = ("HomelabDownload", "Sys.AccessNetwork");

/// The commands that create a role and grant it, and when to run them for the user too.
pub fn grant_of_role(role: (&'static str, &str), path: &str, token: &TokenId) -> String {
    with_role(role, &grant(Role(role.0), path, token))
}

/// The commands that create a role and grant it.
pub fn commands_of_role(role: (&'static str, &str), path: &str, token: &TokenId) -> String {
    with_role(role, &grant_command(Role(role.0), path, token))
}

fn with_role((name, privileges): (&str, &str), grant: &str) -> String {
    let create = format!("pveum role add {name} --privs {privileges}");
    grant.replacen("as root: ", &format!("as root: {create} && "), 1)
}

/// The command that lets a token see all VMs.
pub fn how_to_see_vms(token: &TokenId) -> String {
    grant(Role::AUDITOR, ALL_VMS, token)
}

/// The path on which to grant a role that is missing on `path`. Only the role for templates is granted on a
/// single VM: any other would replace the one on all VMs there, and the next VM has another VMID. `pool` is
/// the path of the VM's pool, if it is in one.
pub fn path_to_grant_on<'p>(path: &'p str, role: Role, pool: Option<&'p str>) -> &'p str {
    if role != Role::TEMPLATE_USER && path.starts_with("/vms/") {
        pool.unwrap_or(ALL_VMS)
    } else {
        path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_needs_no_role_but_its_token_does() {
        let token = TokenId {
            user: "root".to_owned(),
            realm: "pam".to_owned(),
            key: "cli".to_owned(),
        };
        assert_eq!(
            how_to_see_vms(&token),
            "on a node, as root: pveum acl modify /vms --tokens 'root@pam!cli' --roles PVEAuditor; this \
             replaces the token's inherited roles there"
        );
    }
}
