//! The privileges and built-in roles of Proxmox VE that clones and templates need.

const KNOWN: [&str; 29] = [
    "Datastore.Allocate",
    "Datastore.AllocateSpace",
    "Datastore.AllocateTemplate",
    "Datastore.Audit",
    "Mapping.Audit",
    "Mapping.Use",
    "Pool.Audit",
    "SDN.Audit",
    "SDN.Use",
    "Sys.AccessNetwork",
    "Sys.Audit",
    "Sys.Console",
    "Sys.Modify",
    "VM.Allocate",
    "VM.Audit",
    "VM.Clone",
    "VM.Config.CDROM",
    "VM.Config.CPU",
    "VM.Config.Cloudinit",
    "VM.Config.Disk",
    "VM.Config.HWType",
    "VM.Config.Memory",
    "VM.Config.Network",
    "VM.Config.Options",
    "VM.Console",
    "VM.GuestAgent.Audit",
    "VM.GuestAgent.Unrestricted",
    "VM.Monitor",
    "VM.PowerMgmt",
];

pub(super) fn is_privilege(name: &str) -> bool {
    KNOWN.contains(&name)
}

/// Whether reading from an agent needs VM.Monitor.
pub(super) fn is_before_9(version: &str) -> bool {
    major(version) < 9
}

pub(super) fn major(version: &str) -> u32 {
    let major = version.split('.').next().map(str::parse::<u32>);
    let major = major.and_then(Result::ok);
    major.unwrap_or_else(|| panic!("'{version}' is not a server version"))
}

/// The privileges of a server of this version.
pub(super) fn privileges_of(version: &str) -> impl Iterator<Item = &'static str> {
    let of_other_versions = if is_before_9(version) {
        "VM.GuestAgent."
    } else {
        "VM.Monitor"
    };
    KNOWN
        .into_iter()
        .filter(move |name| !name.starts_with(of_other_versions))
}

/// `None` if there is no such role.
pub(super) fn privileges_of_role(role: &str, version: &str) -> Option<Vec<&'static str>> {
    let is_in: fn(&str) -> bool = match role {
        "PVEAuditor" => |name| name.ends_with(".Audit"),
        "PVEDatastoreAdmin" => |name| name.starts_with("Datastore."),
        "PVEDatastoreUser" => |name| ["Datastore.AllocateSpace", "Datastore.Audit"].contains(&name),
        "PVEMappingUser" => |name| name.starts_with("Mapping."),
        "PVESDNUser" => |name| name.starts_with("SDN."),
        "PVETemplateUser" => |name| ["VM.Audit", "VM.Clone"].contains(&name),
        "PVEVMAdmin" => |name| name.starts_with("VM."),
        "PVEVMUser" => |name| {
            let of_users = [
                "VM.Audit",
                "VM.Config.CDROM",
                "VM.Config.Cloudinit",
                "VM.Console",
                "VM.GuestAgent.Audit",
                "VM.PowerMgmt",
            ];
            of_users.contains(&name)
        },
        _ => return None,
    };
    Some(privileges_of(version).filter(|name| is_in(name)).collect())
}
