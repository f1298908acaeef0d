//! What to do about refused requests, by the message of the server.

use std::fmt;

use crate::pve::is_no_quorum;
use crate::pve::types::{Node, Pool, TokenId, Vmid};
use crate::say::grant::{
    ALL_VMS, NETWORK_ROLE, Role, grant, grant_of_role, path_to_grant_on, pool_path,
};
use crate::say::shell::word;

/// What to do while the cluster has no quorum.
pub const NO_QUORUM: &str = "too few nodes of the cluster are online, so nothing can be changed until \
                             more of them are back; on a node: pvecm status";

/// A clone that the server has refused.
#[derive(Clone, Copy)]
pub struct RefusedClone<'c> {
    /// The template.
    pub template: Vmid,
    /// The template's node.
    pub node: &'c Node,
    /// The VMID of the clone.
    pub newid: Vmid,
    /// The pool of the clone.
    pub pool: Option<&'c Pool>,
    /// The drives that tie the template to its node, if they are known to be the reason.
    pub local_drives: &'c [LocalDrive],
}

/// A drive of a template on a storage that other nodes do not share.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LocalDrive {
    /// Its key: `scsi0`.
    pub key: String,
    /// Its storage.
    pub storage: String,
    /// What it is.
    pub kind: DriveKind,
}

/// `disk scsi0 on storage 'local-lvm'`
impl fmt::Display for LocalDrive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LocalDrive { key, storage, kind } = self;
        let kind = match kind {
            DriveKind::Disk => "disk",
            DriveKind::Cd => "CD image",
            DriveKind::CloudInit => "cloud-init drive",
        };
        write!(f, "{kind} {key} on storage '{storage}'")
    }
}

/// What a drive is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DriveKind {
    /// It holds a disk of the VM.
    Disk,
    /// It holds a CD image.
    Cd,
    /// It passes the cloud-init settings to the VM.
    CloudInit,
}

/// Parts of the server's message, and what to do about it. NODE stands for the node that was asked.
const REMEDIES: [(&[&str], &str); 11] = [
    (
        &["does not support vm images"],
        "'pvesm status --content images' on NODE lists the storages that accept disks",
    ),
    (
        &["storage '", "' does not exist"],
        "'pvesm status' on NODE lists its storages",
    ),
    (
        &["storage '", "' is not available on node"],
        "that storage is restricted to other nodes; choose another one with --storage, or another --node; \
         'pvesm status' on a node lists its storages",
    ),
    (
        &["storage '", "' is disabled"],
        "choose another --storage, or enable that one: on a node, as root: pvesm set STORAGE --disable 0",
    ),
    (
        &["can't clone to non-shared storage"],
        "a VM on a node other than its template's needs a storage that both nodes share: choose one with \
         --storage, or omit --node",
    ),
    (
        &["inked clone feature is not supported"],
        "omit --linked: a full clone works on any storage",
    ),
    (
        &[LOCAL_STORAGE],
        "a drive of the template (a disk, a CD image or the cloud-init drive) is on a storage that is not \
         shared; omit --node to create the VM on the template's node",
    ),
    (
        &["unable to find configuration file for VM"],
        "the template was just deleted or migrated; 'homelab proxmox template list' shows the templates",
    ),
    (
        &["unable to create VM", "failed to stat"],
        "the image was deleted meanwhile; the same command downloads it again if --image is a URL",
    ),
    (&["no such cluster node"], LIST_NODES),
    (&["hostname lookup '"], LIST_NODES),
];
const LIST_NODES: &str = "'pvecm nodes' on a node lists the cluster's nodes";

/// How to list the pools.
pub const LIST_POOLS: &str = "'pveum pool list' on a node lists the pools";

const LOCAL_STORAGE: &str = "(VM uses local storage)";

/// Whether a clone to another node is refused because of drives of the template.
pub fn blames_local_storage(message: &str) -> bool {
    message.contains(LOCAL_STORAGE)
}

/// Whether a clone is refused because of this template, so that another one with its name may work.
pub fn blames_template(message: &str) -> bool {
    const REASONS: [&str; 5] = [
        LOCAL_STORAGE,
        "is not available on node",
        "non-shared storage",
        "only root can set",
        "VM.Clone",
    ];
    REASONS.iter().any(|reason| message.contains(reason))
}

/// The message of Proxmox VE if it names neither path nor privilege.
const BARE_REFUSAL: &str = "Permission check failed";

/// What to do about a refused request, if that is known.
pub fn for_refusal(status: u16, message: &str, token: &TokenId) -> Option<String> {
    match status {
        401 => Some(format!(
            "user, realm, token ID and secret must belong to one token that has not expired; the server \
             does not say which is wrong, and delays its answer by 3 s; on a node: pveum user token list \
             {}",
            word(&token.userid())
        )),
        403 => for_lack_of_privilege(message, token, None),
        _ => for_message(message, "the node"),
    }
}

/// What to do about a refused clone, if that is known.
pub fn for_clone(
    status: u16,
    message: &str,
    token: &TokenId,
    clone: &RefusedClone,
) -> Option<String> {
    match status {
        // The server does not name the missing privilege if either of two is enough.
        403 if message == BARE_REFUSAL => Some(for_lack_of_allocate(token, clone)),
        401 | 403 => for_refusal(status, message, token),
        _ if blames_local_storage(message) && !clone.local_drives.is_empty() => {
            Some(for_local_drives(clone))
        }
        _ => for_device(message, clone)
            .or_else(|| for_message(message, &format!("node '{}'", clone.node))),
    }
}

/// What to do about a refused import of an image, if that is known.
pub fn for_import(status: u16, message: &str, token: &TokenId) -> Option<String> {
    match status {
        // The server does not name the missing privilege if either of two is enough.
        403 if message == BARE_REFUSAL => {
            let grant = grant(Role::VM_ADMIN, ALL_VMS, token);
            Some(format!("the token lacks VM.Allocate on {ALL_VMS}; {grant}"))
        }
        400 if message.contains("import-from") => Some(NO_IMPORT.to_owned()),
        400 => Some("correct or omit that option; nothing was created".to_owned()),
        _ => for_refusal(status, message, token),
    }
}

/// What to do about a refused download, if that is known.
pub fn for_download(status: u16, message: &str, token: &TokenId, node: &Node) -> Option<String> {
    match status {
        403 if message == BARE_REFUSAL => {
            let path = format!("/nodes/{node}");
            Some(grant_of_role(NETWORK_ROLE, &path, token))
        }
        400 if message.contains("content") => Some(NO_IMPORT.to_owned()),
        501 => Some(NO_IMPORT.to_owned()),
        _ => for_refusal(status, message, token),
    }
}

/// What to do if the server cannot import images.
pub const NO_IMPORT: &str =
    "this needs Proxmox VE 8.4 or later; 'homelab help templates' has a recipe for older servers";

/// An existing VM to which a change was refused.
#[derive(Clone, Copy)]
pub struct ChangedVm<'v> {
    /// Its VMID.
    pub vmid: Vmid,
    /// Its node.
    pub node: &'v Node,
    /// The pool that it is known to be in.
    pub pool: Option<&'v Pool>,
}

/// What to do about a refused change to an existing VM, if that is known.
pub fn for_change(status: u16, message: &str, token: &TokenId, vm: &ChangedVm) -> Option<String> {
    if status == 403 {
        return for_lack_of_privilege(message, token, vm.pool);
    }
    for_root_only(message, vm).or_else(|| for_refusal(status, message, token))
}

fn for_root_only(message: &str, vm: &ChangedVm) -> Option<String> {
    let as_root = format!("as root on node '{}' (qm set {}", vm.node, vm.vmid);
    if message.contains("Only root can pass arbitrary filesystem paths") {
        return Some(format!(
            "no API token may use a path on the node, not even one of root@pam: use a volume instead \
             (STORAGE:VOLUME), omit that drive, or attach it {as_root} …)"
        ));
    }
    let key = root_only_key(message)?;
    let (instead, in_template) = if mappable_kind(key).is_some() {
        // A template with a device that has no mapping could no longer be cloned.
        let mapping = format!("use a resource mapping instead (--set {key}=mapping=NAME), ");
        (mapping, "")
    } else {
        (String::new(), " or, for future VMs, in the template")
    };
    Some(format!(
        "no API token may set '{key}', not even one of root@pam: {instead}omit it, or set it {as_root} \
         --{key} …){in_template}"
    ))
}

/// What to do about a message of the server, in an answer or as the exit status of a task.
pub fn for_message(message: &str, node: &str) -> Option<String> {
    if is_no_quorum(message) {
        return Some(NO_QUORUM.to_owned());
    }
    let has_all = |parts: &&[&str]| parts.iter().all(|part| message.contains(part));
    let mut remedies = REMEDIES.iter();
    let (_, remedy) = remedies.find(|(parts, _)| has_all(parts))?;
    Some(remedy.replace("NODE", node))
}

/// How to change a template's option `key` so that tokens may clone it.
pub fn how_to_map(template: Vmid, node: &Node, key: &str) -> Option<String> {
    let kind = mappable_kind(key)?;
    Some(format!(
        "create a resource mapping for the device (Datacenter > Resource Mappings); on node '{node}', as \
         root: qm set {template} --{key} mapping=NAME (with its other settings); and grant the token \
         Mapping.Use on /mapping/{kind}/NAME"
    ))
}

fn mappable_kind(key: &str) -> Option<&'static str> {
    match key.trim_end_matches(|c: char| c.is_ascii_digit()) {
        "hostpci" => Some("pci"),
        "usb" => Some("usb"),
        _ => None,
    }
}

fn for_device(message: &str, clone: &RefusedClone) -> Option<String> {
    let map = how_to_map(clone.template, clone.node, root_only_key(message)?)?;
    Some(format!(
        "no API token may clone a device without a resource mapping, not even one of root@pam: {map}"
    ))
}

fn for_lack_of_allocate(token: &TokenId, clone: &RefusedClone) -> String {
    let newid = clone.newid;
    match clone.pool {
        None => {
            let grant = grant(Role::VM_ADMIN, ALL_VMS, token);
            format!("the token lacks VM.Allocate on /vms/{newid}; {grant}")
        }
        Some(pool) => {
            let path = pool_path(pool);
            let grant = grant(Role::VM_ADMIN, &path, token);
            format!("the token lacks VM.Allocate on {path}; {grant}")
        }
    }
}

fn for_local_drives(clone: &RefusedClone) -> String {
    let RefusedClone { template, node, .. } = clone;
    let drives = clone.local_drives.iter();
    let (disks, others): (Vec<&LocalDrive>, _) = drives.partition(|it| it.kind == DriveKind::Disk);
    let because_of = |drives: &[&LocalDrive]| {
        let drives: Vec<String> = drives.iter().map(ToString::to_string).collect();
        let drives = drives.join(", ");
        format!("template {template} can only be cloned on node '{node}' because of {drives}")
    };
    if !disks.is_empty() {
        let because = because_of(&disks);
        return format!("{because}; omit --node to create the VM there");
    }
    let changes = others.iter().map(|drive| match drive.kind {
        DriveKind::CloudInit => format!(" --{} SHARED-STORAGE:cloudinit", drive.key),
        _ => format!(" --{} none,media=cdrom", drive.key),
    });
    let changes: String = changes.collect();
    format!(
        "{}; to change that, as root on that node: qm set {template}{changes}",
        because_of(&others)
    )
}

fn for_lack_of_privilege(message: &str, token: &TokenId, pool: Option<&Pool>) -> Option<String> {
    if let Some((path, privilege)) = lacking(message) {
        let pool = pool.map(pool_path);
        let hint = match Role::with(privilege) {
            Some(role) => grant(role, path_to_grant_on(path, role, pool.as_deref()), token),
            None => {
                format!(
                    "the token needs a role with {privilege} on {path}; no small built-in role has it"
                )
            }
        };
        return Some(hint);
    }
    let hint = if message.contains("(pool '") && message.contains("does not exist") {
        LIST_POOLS
    } else if message.contains(BARE_REFUSAL) {
        "'homelab proxmox check TEMPLATE' shows which privileges the token lacks"
    } else {
        return None;
    };
    Some(hint.to_owned())
}

/// Path and privilege of `Permission check failed (/vms/9000, VM.Clone)`. Unexpected characters must not
/// get into a command that users paste.
fn lacking(message: &str) -> Option<(&str, &str)> {
    let (_, rest) = message.split_once("Permission check failed (")?;
    let (inner, _) = rest.split_once(')')?;
    let (path, privileges) = inner.split_once(", ")?;
    let privilege = privileges.split('|').next()?;
    let is_path = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '.');
    let is_privilege = |c: char| c.is_ascii_alphanumeric() || c == '.';
    let is_safe = path.starts_with('/')
        && path.chars().all(is_path)
        && !privilege.is_empty()
        && privilege.chars().all(is_privilege);
    is_safe.then_some((path, privilege))
}

/// The option in `only root can set 'args' config`. It gets into such commands too.
fn root_only_key(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once("only root can set '")?;
    let (key, _) = rest.split_once("' config")?;
    let is_key = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let is_safe = key.starts_with(|c: char| c.is_ascii_alphabetic()) && key.chars().all(is_key);
    is_safe.then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn token() -> TokenId {
        TokenId {
            user: "homelab".to_owned(),
            realm: "pve".to_owned(),
            key: "cli".to_owned(),
        }
    }

    fn forbidden(what: &str) -> Option<String> {
        for_refusal(403, &format!("Permission check failed ({what})"), &token())
    }

    /// A clone of template 9000 on pve1 to VMID 101 is refused.
    fn refused_clone(
        status: u16,
        message: &str,
        pool: Option<&Pool>,
        local_drives: &[LocalDrive],
    ) -> Option<String> {
        let clone = RefusedClone {
            template: Vmid(9000),
            node: &Node("pve1".to_owned()),
            newid: Vmid(101),
            pool,
            local_drives,
        };
        for_clone(status, message, &token(), &clone)
    }

    /// A change to VM 101 on pve1 is refused.
    fn refused_change(status: u16, message: &str, pool: Option<&Pool>) -> Option<String> {
        let vm = ChangedVm {
            vmid: Vmid(101),
            node: &Node("pve1".to_owned()),
            pool,
        };
        for_change(status, message, &token(), &vm)
    }

    const TO_USER: &str = "; without privilege separation, or if the token's user lacks it too, also run \
                           this with --users homelab@pve instead of --tokens …";

    fn command(path: &str, role: &str) -> String {
        let replaces = match (path, role) {
            ("/vms", "PVEVMAdmin") => "",
            ("/vms", _) => "; this replaces the token's inherited roles there",
            _ => "",
        };
        format!(
            "on a node, as root: pveum acl modify {path} --tokens 'homelab@pve!cli' --roles \
             {role}{replaces}{TO_USER}"
        )
    }

    #[rstest]
    #[case::template("/vms/9000, VM.Clone", "/vms/9000", "PVETemplateUser")]
    #[case::storage(
        "/storage/local-lvm, Datastore.AllocateSpace",
        "/storage/local-lvm",
        "PVEDatastoreUser"
    )]
    #[case::network(
        "/sdn/zones/localnetwork/vmbr0, SDN.Use",
        "/sdn/zones/localnetwork/vmbr0",
        "PVESDNUser"
    )]
    #[case::node("/nodes/pve1, Sys.Audit", "/nodes/pve1", "PVEAuditor")]
    // A role on one VM replaces the one on all VMs, and the next VM has another VMID.
    #[case::a_single_vm_becomes_all_vms("/vms/101, VM.Allocate", "/vms", "PVEVMAdmin")]
    #[case::settings("/vms/101, VM.Config.Disk", "/vms", "PVEVMAdmin")]
    #[case::power("/vms/101, VM.PowerMgmt", "/vms", "PVEVMUser")]
    #[case::hardware("/mapping/pci/gpu, Mapping.Use", "/mapping/pci/gpu", "PVEMappingUser")]
    #[case::one_of_two_is_enough("/vms/101, VM.Audit|VM.Console", "/vms", "PVEAuditor")]
    fn the_hint_for_a_missing_privilege_is_the_command_that_grants_it(
        #[case] what: &str,
        #[case] path: &str,
        #[case] role: &str,
    ) {
        assert_eq!(forbidden(what), Some(command(path, role)));
    }

    #[rstest]
    #[case::command("/vms/9000; reboot, VM.Clone")]
    #[case::substitution("/vms/$(reboot), VM.Clone")]
    #[case::line_break("/vms/9000\nreboot, VM.Clone")]
    #[case::option("--roles, VM.Clone")]
    #[case::privilege("/vms/9000, VM.Clone; reboot")]
    fn no_command_contains_unexpected_characters(#[case] what: &str) {
        let hint = "'homelab proxmox check TEMPLATE' shows which privileges the token lacks";
        assert_eq!(forbidden(what).as_deref(), Some(hint));
    }

    #[test]
    fn a_privilege_that_no_small_role_has_is_named() {
        let hint = "the token needs a role with Sys.Console on /; no small built-in role has it";
        assert_eq!(forbidden("/, Sys.Console").as_deref(), Some(hint));
    }

    #[rstest]
    #[case::without_a_pool(None, "/vms/101", "/vms")]
    #[case::with_a_pool(Some("lab"), "/pool/lab", "/pool/lab")]
    fn a_clone_that_is_forbidden_for_an_unnamed_privilege_lacks_vm_allocate(
        #[case] pool: Option<&str>,
        #[case] lacking: &str,
        #[case] granted: &str,
    ) {
        let pool = pool.map(|pool| Pool(pool.to_owned()));
        let grant = command(granted, "PVEVMAdmin");
        let hint = format!("the token lacks VM.Allocate on {lacking}; {grant}");
        let seen = refused_clone(403, "Permission check failed", pool.as_ref(), &[]);
        assert_eq!(seen, Some(hint));
    }

    #[rstest]
    #[case::storage_unknown(
        "storage 'fast' does not exist",
        "'pvesm status' on node 'pve1' lists its storages"
    )]
    #[case::storage_without_images(
        "Parameter verification failed. storage: storage 'local' does not support vm images",
        "'pvesm status --content images' on node 'pve1' lists the storages that accept disks"
    )]
    #[case::storage_of_other_nodes(
        "storage 'fast' is not available on node 'pve2'",
        "that storage is restricted to other nodes; choose another one with --storage, or another --node; \
         'pvesm status' on a node lists its storages"
    )]
    #[case::storage_disabled(
        "storage 'off' is disabled",
        "choose another --storage, or enable that one: on a node, as root: pvesm set STORAGE --disable 0"
    )]
    #[case::storage_not_shared(
        "can't clone to non-shared storage 'local-lvm'",
        "a VM on a node other than its template's needs a storage that both nodes share: choose one with \
         --storage, or omit --node"
    )]
    #[case::no_linked_clones(
        "Linked clone feature is not supported for 'local:403/vm-403-disk-0.qcow2' (scsi0)",
        "omit --linked: a full clone works on any storage"
    )]
    #[case::no_linked_clones_before_9(
        "Linked clone feature is not supported for drive 'scsi0'",
        "omit --linked: a full clone works on any storage"
    )]
    #[case::drives_that_could_not_be_read(
        "can't clone VM to node 'pve2' (VM uses local storage)",
        "a drive of the template (a disk, a CD image or the cloud-init drive) is on a storage that is not \
         shared; omit --node to create the VM on the template's node"
    )]
    #[case::no_quorum("cluster not ready - no quorum?", NO_QUORUM)]
    #[case::no_quorum_for_a_lock("cfs-lock 'storage-data' error: no quorum!", NO_QUORUM)]
    #[case::read_only_configuration(
        "unable to open file '/etc/pve/nodes/pve1/qemu-server/101.conf.tmp.227' - Permission denied",
        NO_QUORUM
    )]
    #[case::unknown_node(
        "no such cluster node 'pve9'",
        "'pvecm nodes' on a node lists the cluster's nodes"
    )]
    #[case::pci_device(
        "only root can set 'hostpci0' config for non-mapped devices",
        "no API token may clone a device without a resource mapping, not even one of root@pam: create a \
         resource mapping for the device (Datacenter > Resource Mappings); on node 'pve1', as root: qm set \
         9000 --hostpci0 mapping=NAME (with its other settings); and grant the token Mapping.Use on \
         /mapping/pci/NAME"
    )]
    #[case::usb_device(
        "only root can set 'usb1' config for real devices",
        "no API token may clone a device without a resource mapping, not even one of root@pam: create a \
         resource mapping for the device (Datacenter > Resource Mappings); on node 'pve1', as root: qm set \
         9000 --usb1 mapping=NAME (with its other settings); and grant the token Mapping.Use on \
         /mapping/usb/NAME"
    )]
    fn a_refused_clone_is_explained(#[case] message: &str, #[case] hint: &str) {
        let seen = refused_clone(500, message, None, &[]);
        assert_eq!(seen.as_deref(), Some(hint));
    }

    #[rstest]
    #[case::a_file_elsewhere("unable to open file '/srv/x.qcow2' - Permission denied")]
    #[case::a_full_disk("clone failed: copy failed: exit code 1")]
    fn an_unknown_message_has_no_hint(#[case] message: &str) {
        assert_eq!(for_message(message, "the node"), None);
    }

    fn local_drive(key: &str, storage: &str, kind: DriveKind) -> LocalDrive {
        let (key, storage) = (key.to_owned(), storage.to_owned());
        LocalDrive { key, storage, kind }
    }

    #[rstest]
    #[case::a_cd_image(
        &[("ide2", "local", DriveKind::Cd)],
        "CD image ide2 on storage 'local'; to change that, as root on that node: qm set 9000 --ide2 \
         none,media=cdrom"
    )]
    #[case::the_cloud_init_drive(
        &[("ide2", "local", DriveKind::CloudInit)],
        "cloud-init drive ide2 on storage 'local'; to change that, as root on that node: qm set 9000 --ide2 \
         SHARED-STORAGE:cloudinit"
    )]
    #[case::both(
        &[("ide0", "local", DriveKind::CloudInit), ("ide2", "local", DriveKind::Cd)],
        "cloud-init drive ide0 on storage 'local', CD image ide2 on storage 'local'; to change that, as \
         root on that node: qm set 9000 --ide0 SHARED-STORAGE:cloudinit --ide2 none,media=cdrom"
    )]
    #[case::a_disk_too(
        &[("ide2", "local", DriveKind::Cd), ("scsi0", "local-lvm", DriveKind::Disk)],
        "disk scsi0 on storage 'local-lvm'; omit --node to create the VM there"
    )]
    fn the_drives_that_tie_a_template_to_its_node_are_named(
        #[case] drives: &[(&str, &str, DriveKind)],
        #[case] hint: &str,
    ) {
        let drives = drives.iter();
        let drives = drives.map(|(key, storage, kind)| local_drive(key, storage, *kind));
        let drives: Vec<LocalDrive> = drives.collect();
        let message = "can't clone VM to node 'pve2' (VM uses local storage)";
        let beginning = "template 9000 can only be cloned on node 'pve1' because of ";
        let seen = refused_clone(500, message, None, &drives);
        assert_eq!(seen, Some(format!("{beginning}{hint}")));
    }

    #[rstest]
    #[case::option(
        "only root can set 'args' config",
        Some(
            "no API token may set 'args', not even one of root@pam: omit it, or set it as root on node \
             'pve1' (qm set 101 --args …) or, for future VMs, in the template"
        )
    )]
    #[case::serial_port_of_the_node(
        "only root can set 'serial0' config for real devices",
        Some(
            "no API token may set 'serial0', not even one of root@pam: omit it, or set it as root on \
             node 'pve1' (qm set 101 --serial0 …) or, for future VMs, in the template"
        )
    )]
    #[case::pci_device(
        "only root can set 'hostpci0' config for non-mapped devices",
        Some(
            "no API token may set 'hostpci0', not even one of root@pam: use a resource mapping instead \
             (--set hostpci0=mapping=NAME), omit it, or set it as root on node 'pve1' (qm set 101 \
             --hostpci0 …)"
        )
    )]
    #[case::path_of_the_node(
        "Only root can pass arbitrary filesystem paths. at /usr/share/perl5/PVE/Storage.pm line 651.",
        Some(
            "no API token may use a path on the node, not even one of root@pam: use a volume instead \
             (STORAGE:VOLUME), omit that drive, or attach it as root on node 'pve1' (qm set 101 …)"
        )
    )]
    #[case::unexpected_characters("only root can set 'a; reboot' config", None)]
    #[case::another_option_of_a_command("only root can set '--args' config", None)]
    #[case::something_else("VM is locked (backup)", None)]
    fn the_hint_for_an_option_that_only_root_may_set_suggests_no_token(
        #[case] message: &str,
        #[case] hint: Option<&str>,
    ) {
        assert_eq!(refused_change(500, message, None).as_deref(), hint);
    }

    #[rstest]
    #[case::without_a_pool(None, "/vms")]
    #[case::in_a_pool(Some("lab"), "/pool/lab")]
    fn a_privilege_for_a_later_step_is_granted_on_the_pool_of_the_vm(
        #[case] pool: Option<&str>,
        #[case] path: &str,
    ) {
        let pool = pool.map(|pool| Pool(pool.to_owned()));
        let message = "Permission check failed (/vms/101, VM.Config.CPU)";
        let seen = refused_change(403, message, pool.as_ref());
        assert_eq!(seen, Some(command(path, "PVEVMAdmin")));
    }
}
