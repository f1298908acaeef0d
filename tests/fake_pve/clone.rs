//! `POST /nodes/{node}/qemu/{vmid}/clone`, with its many ways to refuse.

use serde_json::json;

use super::acl::Acl;
use super::clones::{Race, file_exists};
use super::cluster::Cluster;
use super::copies::drives_of;
use super::devices::check_device;
use super::guests::Guest;
use super::http::Answer;
use super::params::{Params, Schema};
use super::replies::{failure, forbidden, parameter_error, proxied};
use super::tasks::CloneOrder;
use super::values::{Kind, dns_name};

const PARAMETERS: &Schema = &[
    ("newid", Kind::Vmid),
    ("name", Kind::Checked(dns_name)),
    ("full", Kind::Boolean),
    ("target", Kind::Text),
    ("storage", Kind::Text),
    ("format", Kind::OneOf(&["raw", "qcow2", "vmdk"])),
    ("pool", Kind::Text),
    ("snapname", Kind::Text),
    ("description", Kind::Text),
    ("bwlimit", Kind::Integer(0, i64::MAX)),
];
/// The pool that every fake has.
pub(super) const POOL: &str = "clients";

/// Checks in the order of Proxmox VE: privileges, the node, the parameters, what they name, and only then
/// the source.
pub(super) fn clone(
    cluster: &mut Cluster,
    token: &str,
    node: &str,
    vmid: &str,
    params: &Params,
) -> Result<Answer, Answer> {
    let acl = cluster.acl_of(token);
    acl.check(&format!("/vms/{vmid}"), "VM.Clone")?;
    check_vmid_may_be_used(&acl, params)?;
    cluster.reach(node)?;
    let vmid = params.check_for(vmid, &["newid"], PARAMETERS)?;
    let Some(source) = cluster.vm(node, vmid) else {
        let missing = format!("unable to find configuration file for VM {vmid} on node '{node}'");
        return Err(failure(500, &missing));
    };
    if let Some(pool) = params.get("pool").filter(|pool| *pool != POOL) {
        return Err(forbidden(&format!("pool '{pool}' does not exist")));
    }
    check_target_is_known(cluster, params)?;
    check_storage(cluster, node, params)?;
    if !cluster.has_quorum() {
        return Err(failure(500, "cluster not ready - no quorum?"));
    }

    if let Some(lock) = source.lock() {
        return Err(failure(500, &format!("VM is locked ({lock})")));
    }
    // No guest here has a snapshot.
    if let Some(snapshot) = params.get("snapname") {
        let refusal = format!("snapshot '{snapshot}' does not exist");
        return Err(failure(500, &refusal));
    }
    let full = params
        .get("full")
        .map_or(!source.is_template(), |full| full == "1");
    check_mode(params, full)?;
    let is_shared = check_storages(cluster, &acl, source, params)?;
    check_devices(&acl, source)?;
    check_bridges(&acl, source)?;
    if let (Some(target), false) = (other_node(node, params), is_shared) {
        let refusal = format!("can't clone VM to node '{target}' (VM uses local storage)");
        return Err(failure(500, &refusal));
    }
    check_links(cluster, source, full)?;

    let newid = params.get("newid").and_then(|newid| newid.parse().ok());
    let text = |name| params.get(name).map(str::to_owned);
    let order = CloneOrder {
        node: node.to_owned(),
        source: vmid,
        newid: newid.expect("checked with the other parameters"),
        name: text("name").unwrap_or_else(|| name_of_copy(source)),
        full,
        storage: text("storage"),
        format: text("format"),
        pool: text("pool"),
        target: text("target"),
        description: text("description"),
        owner: token.to_owned(),
    };
    begin(cluster, order)
}

/// The last check sees configurations that exist by now, on this node only.
fn begin(cluster: &mut Cluster, order: CloneOrder) -> Result<Answer, Answer> {
    let faster = cluster.who_is_faster(order.newid);
    if matches!(faster, Some(Race::Refused)) {
        cluster.give_to_stranger(Race::Refused, &order);
    }
    if cluster.vm(&order.node, order.newid).is_some() {
        cluster.races[Race::Refused as usize] += 1;
        return Err(failure(500, &file_exists(order.newid)));
    }
    if let Some(race) = faster {
        cluster.give_to_stranger(race, &order);
    }
    let upid = cluster.begin_clone(order);
    Ok(proxied(&json!(upid)))
}

fn name_of_copy(source: &Guest) -> String {
    let name = source.name().map(str::to_owned);
    let name = name.unwrap_or_else(|| source.vmid.to_string());
    format!("Copy-of-VM-{name}")
}

/// The VMID may be allowed by its own path or by that of a pool; the refusal names neither.
fn check_vmid_may_be_used(acl: &Acl, params: &Params) -> Result<(), Answer> {
    let vmid = format!("/vms/{}", params.get("newid").unwrap_or_default());
    let pool = params.get("pool").map(|pool| format!("/pool/{pool}"));
    let mut paths = [Some(vmid), pool].into_iter().flatten();
    if paths.any(|path| acl.grants(&path, "VM.Allocate")) {
        return Ok(());
    }
    Err(failure(403, "Permission check failed"))
}

/// The target node, if it is not that of the source.
fn other_node<'a>(node: &str, params: &'a Params) -> Option<&'a str> {
    params.get("target").filter(|target| *target != node)
}

fn check_target_is_known(cluster: &Cluster, params: &Params) -> Result<(), Answer> {
    match params.get("target") {
        Some(target) if !cluster.knows(target) => {
            Err(failure(500, &format!("no such cluster node '{target}'")))
        }
        _ => Ok(()),
    }
}

/// Checks the storage that is named.
fn check_storage(cluster: &Cluster, node: &str, params: &Params) -> Result<(), Answer> {
    let Some(name) = params.get("storage") else {
        return Ok(());
    };
    let storage = cluster.setup.storage_on(name, node)?;
    storage.check_enabled(name)?;
    storage.check_images(name)?;
    if let Some(target) = other_node(node, params) {
        cluster.setup.storage_on(name, target)?;
        if !storage.shared {
            return Err(format!("can't clone to non-shared storage '{name}'").into());
        }
    }
    Ok(())
}

/// Disks go to their own storage unless another one is named. Returns whether all drives of the source, CD
/// drives included, are on shared storages.
fn check_storages(
    cluster: &Cluster,
    acl: &Acl,
    source: &Guest,
    params: &Params,
) -> Result<bool, Answer> {
    let mut is_shared = true;
    for (_, drive) in drives_of(&source.config) {
        if drive.file == "cdrom" {
            acl.check("/", "Sys.Console")?;
        }
        let Some(own) = drive.storage() else {
            continue;
        };
        is_shared &= cluster.setup.storage(own)?.shared;
        if !drive.is_cdrom() {
            let storage = params.get("storage").unwrap_or(own);
            acl.check(&format!("/storage/{storage}"), "Datastore.AllocateSpace")?;
        }
    }
    Ok(is_shared)
}

/// A device of the host needs a resource mapping, and a privilege on that.
fn check_devices(acl: &Acl, source: &Guest) -> Result<(), Answer> {
    for (option, value) in &source.config {
        let name = option.trim_end_matches(|c: char| c.is_ascii_digit());
        let value = value.as_str().unwrap_or_default();
        if ["hostpci", "usb"].contains(&name) {
            check_device(acl, option, value)?;
        }
    }
    Ok(())
}

fn check_bridges(acl: &Acl, source: &Guest) -> Result<(), Answer> {
    for bridge in source.bridges() {
        let path = format!("/sdn/zones/localnetwork/{bridge}");
        acl.check(&path, "SDN.Use")?;
    }
    Ok(())
}

/// Not every storage supports linked clones, and only the disk of a template can be a base.
fn check_links(cluster: &Cluster, source: &Guest, full: bool) -> Result<(), Answer> {
    for (option, drive) in drives_of(&source.config) {
        let Some(storage) = drive.storage().filter(|_| !full && !drive.is_cdrom()) else {
            continue;
        };
        let kind = cluster.setup.storage(storage)?.kind;
        if !kind.has_linked_clones() || !drive.is_base() {
            let (file, message) = (&drive.file, "Linked clone feature is not supported for");
            return Err(format!("{message} '{file}' ({option})").into());
        }
    }
    Ok(())
}

/// A linked clone stays on the storage of its template.
fn check_mode(params: &Params, full: bool) -> Result<(), Answer> {
    let mut given = ["storage", "format"].into_iter();
    match given.find(|name| !full && params.get(name).is_some()) {
        None => Ok(()),
        Some(name) => {
            let refusal = format!("parameter '{name}' not allowed for linked clones");
            Err(failure(500, &refusal))
        }
    }
}
