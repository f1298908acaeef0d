//! The `pveum` lines that give a token what it lacks.

use crate::pve::types::TokenId;
use crate::say::shell::word;

/// Where privileges on VMs are granted whose VMIDs are not known yet.
pub const ALL_VMS: &str = "/vms";

/// A role that every Proxmox VE has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// VM.Clone, VM.Audit
    TemplateUser,
    /// VM.PowerMgmt, VM.Config.Cloudinit, VM.Audit and some more that a VM's user needs.
    VmUser,
    /// All that begins with VM., for the lack of a smaller one with VM.Allocate.
    VmAdmin,
    /// All that ends with .Audit
    Auditor,
    /// Datastore.AllocateSpace, Datastore.Audit
    DatastoreUser,
    /// SDN.Use, SDN.Audit
    SdnUser,
    /// Mapping.Use, Mapping.Audit
    MappingUser,
}

impl Role {
    /// One that has the privilege, and as little else as there is.
    pub fn with(privilege: &str) -> Option<Role> {
        Some(match privilege {
            "VM.Clone" => Role::TemplateUser,
            "VM.PowerMgmt" | "VM.Config.Cloudinit" => Role::VmUser,
            "Datastore.AllocateSpace" => Role::DatastoreUser,
            "SDN.Use" => Role::SdnUser,
            "Mapping.Use" => Role::MappingUser,
            _ if privilege.ends_with(".Audit") => Role::Auditor,
            _ if privilege.starts_with("VM.") => Role::VmAdmin,
            _ => return None,
        })
    }

    fn name(self) -> &'static str {
        match self {
            Role::TemplateUser => "PVETemplateUser",
            Role::VmUser => "PVEVMUser",
            Role::VmAdmin => "PVEVMAdmin",
            Role::Auditor => "PVEAuditor",
            Role::DatastoreUser => "PVEDatastoreUser",
            Role::SdnUser => "PVESDNUser",
            Role::MappingUser => "PVEMappingUser",
        }
    }
}

/// The line that gives a role to a token.
pub fn as_root(role: Role, path: &str, token: &TokenId) -> String {
    let (path, token, role) = (word(path), word(&token.to_string()), role.name());
    format!("on a node, as root: pveum acl modify {path} --tokens {token} --roles {role}")
}

/// When it takes another line too; not for root, who has all there is. A line for the user comes second,
/// for whoever it names loses on that path what he has from above and through groups.
pub fn for_its_user(token: &TokenId) -> Option<String> {
    let userid = token.userid();
    let is_root = userid == "root@pam";
    (!is_root).then(|| {
        format!(
            "the same with --users {} instead of --tokens …",
            word(&userid)
        )
    })
}

/// The line, what it takes away, and when it takes another one.
pub fn grant(role: Role, path: &str, token: &TokenId) -> String {
    let mut line = as_root(role, path, token);
    if path == ALL_VMS && role != Role::VmAdmin {
        line += "; it replaces what the token has there from above";
    }
    match for_its_user(token) {
        Some(otherwise) => format!(
            "{line}; where the token has no privilege separation, or its user lacks it too: {otherwise}"
        ),
        None => line,
    }
}

/// What lets a token see all VMs.
pub fn how_to_see_vms(token: &TokenId) -> String {
    grant(Role::Auditor, ALL_VMS, token)
}

/// The path on which to give a role for what is lacking on another: all that is said of one VM hides
/// what is said of all of them, and the next VM has another VMID.
pub fn path_to_grant_on(path: &str, role: Role) -> &str {
    if role != Role::TemplateUser && path.starts_with("/vms/") {
        ALL_VMS
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
            "on a node, as root: pveum acl modify /vms --tokens 'root@pam!cli' --roles PVEAuditor; it \
             replaces what the token has there from above"
        );
    }
}
