//! `POST /nodes/{node}/qemu`: what is refused at once. Its worker owns the VMID from the answer on.

use serde_json::json;

use super::acl::Acl;
use super::changes::check_value;
use super::clone::POOL;
use super::cluster::Cluster;
use super::creations::CreateOrder;
use super::drives::{Drive, rank_of_drive};
use super::http::Answer;
use super::images::storage_of;
use super::params::{Params, Schema};
use super::replies::{failure, forbidden, parameter_error, proxied, refuse_if_any};
use super::setup::GuestType;
use super::update::{check_bridge, check_privilege, check_ssh_keys, errors_of};
use super::values::{Kind, MISSING};

/// Parameters that are not options.
const NO_OPTIONS: &Schema = &[
    ("vmid", Kind::Vmid),
    ("pool", Kind::Text),
    ("bwlimit", Kind::Integer(0, i64::MAX)),
    ("archive", Kind::Text),
    ("force", Kind::Boolean),
    ("ha-managed", Kind::Boolean),
    ("import-working-storage", Kind::Text),
    ("live-restore", Kind::Boolean),
    ("start", Kind::Boolean),
    ("storage", Kind::Text),
    ("unique", Kind::Boolean),
];
/// Of these, those that the fake understands.
const UNDERSTOOD: [&str; 3] = ["vmid", "pool", "bwlimit"];

/// Checks in the order of Proxmox VE. Whether a bridge exists is not checked.
pub(super) fn create(
    cluster: &mut Cluster,
    token: &str,
    node: &str,
    params: &Params,
) -> Result<Answer, Answer> {
    cluster.reach(node)?;
    let order = ordered(token, node, params)?;
    if let Some(keys) = params.get("sshkeys") {
        check_ssh_keys(keys)?;
    }
    if !cluster.has_quorum() {
        return Err(failure(500, "cluster not ready - no quorum?"));
    }
    let mut acl = cluster.acl_of(token);
    let path = format!("/vms/{}", order.vmid);
    if let Some(pool) = &order.pool {
        cluster.check_pool(pool)?;
        acl.add_privileges_of_pool(&format!("/pool/{pool}"), &path);
    }
    if !acl.grants(&path, "VM.Allocate") {
        return Err(failure(403, "Permission check failed"));
    }
    let drives: Vec<(&str, Drive)> = order.drives().collect();
    for (option, drive) in &drives {
        check_storage_access(cluster, &acl, option, drive)?;
    }
    check_privileges(&acl, &path, &order)?;
    for (option, drive) in &drives {
        check_import_has_no_size(option, drive)?;
    }
    cluster.check_vmid_is_free(order.vmid)?;
    let upid = cluster.begin_creation(order);
    Ok(proxied(&json!(upid)))
}

fn ordered(token: &str, node: &str, params: &Params) -> Result<CreateOrder, Answer> {
    let mut errors = errors_of(params, NO_OPTIONS);
    let vmid = params.get("vmid");
    if vmid.is_none() {
        errors.insert("vmid".to_owned(), json!(MISSING));
    }
    refuse_if_any(&errors)?;
    let mut options = Vec::new();
    for (name, value) in params.iter() {
        if NO_OPTIONS.iter().all(|(known, _)| *known != name) {
            options.push((name.to_owned(), value.to_owned()));
        } else if !UNDERSTOOD.contains(&name) {
            unimplemented!("a VM created with '{name}'");
        }
    }
    options.sort();
    Ok(CreateOrder {
        node: node.to_owned(),
        vmid: vmid.and_then(|vmid| vmid.parse().ok()).expect("checked"),
        options,
        pool: params.get("pool").map(str::to_owned),
        owner: token.to_owned(),
    })
}

/// A cloud-init drive needs no privilege on its storage.
fn check_storage_access(
    cluster: &Cluster,
    acl: &Acl,
    option: &str,
    drive: &Drive,
) -> Result<(), Answer> {
    let storage = drive.storage().unwrap_or_default();
    if drive.size_to_allocate().is_some() {
        acl.check(&format!("/storage/{storage}"), "Datastore.AllocateSpace")?;
        cluster.setup.storage(storage)?.check_images(storage)?;
    } else if drive.file == "cdrom" {
        acl.check("/", "Sys.Console")?;
    } else if !storage.is_empty() && !drive.is_cloudinit() {
        check_reading(acl, storage)?;
    }
    match drive.get("import-from") {
        Some(source) => check_source(cluster, acl, option, source),
        None => Ok(()),
    }
}

fn check_source(cluster: &Cluster, acl: &Acl, option: &str, source: &str) -> Result<(), Answer> {
    if source.starts_with('/') || !source.contains(':') {
        let refusal = "Only root can pass arbitrary filesystem paths. at \
                       /usr/share/perl5/PVE/Storage.pm line 651.";
        return Err(failure(500, refusal));
    }
    let storage = storage_of(source);
    cluster.setup.storage(storage)?;
    let volume = &source[storage.len() + 1..];
    match volume.split_once('/').map(|(folder, _)| folder) {
        Some("import") => check_reading(acl, storage),
        Some(folder @ ("iso" | "vztmpl" | "backup" | "snippets")) => {
            let why =
                format!("{source} has wrong type '{folder}' - needs to be 'images' or 'import'");
            Err(parameter_error(option, &why))
        }
        _ => unimplemented!("an import from '{source}'"),
    }
}

fn check_reading(acl: &Acl, storage: &str) -> Result<(), Answer> {
    let path = format!("/storage/{storage}");
    if acl.grants(&path, "Datastore.Allocate") {
        return Ok(());
    }
    acl.check_any(&path, &["Datastore.AllocateSpace", "Datastore.Audit"])
}

/// Drives need none but those on their storages, and tags are checked by the worker.
fn check_privileges(acl: &Acl, path: &str, order: &CreateOrder) -> Result<(), Answer> {
    for (option, _) in &order.options {
        check_privilege(acl, path, option)?;
    }
    for (option, value) in &order.options {
        if rank_of_drive(option).is_none() && option != "tags" {
            check_value(acl, path, option, value)?;
        }
    }
    for (option, value) in &order.options {
        check_bridge(acl, option, value)?;
    }
    Ok(())
}

fn check_import_has_no_size(option: &str, drive: &Drive) -> Result<(), Answer> {
    if drive.get("import-from").is_none() || drive.size_to_allocate() == Some(0) {
        return Ok(());
    }
    let why = "'import-from' requires special syntax - use <storage ID>:0,import-from=<source>";
    Err(parameter_error(option, why))
}

impl Cluster {
    /// A pool with a member exists, too.
    fn check_pool(&self, pool: &str) -> Result<(), Answer> {
        let mut pools = self.guests.values().map(|guest| guest.pool.as_deref());
        if pool == POOL || pools.any(|known| known == Some(pool)) {
            return Ok(());
        }
        Err(forbidden(&format!("pool '{pool}' does not exist")))
    }

    /// In the whole cluster, unlike for a clone.
    fn check_vmid_is_free(&self, vmid: u32) -> Result<(), Answer> {
        let Some(guest) = self.guests.get(&vmid) else {
            return Ok(());
        };
        let kind = match guest.kind {
            GuestType::Qemu => "VM",
            GuestType::Lxc => "CT",
        };
        let node = &guest.node;
        let why = format!("{kind} {vmid} already exists on node '{node}'");
        Err(failure(500, &format!("unable to create VM {vmid} - {why}")))
    }
}
