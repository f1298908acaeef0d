//! `POST /nodes/{node}/qemu/{vmid}/clone`, with its many ways to say no.

use serde_json::json;

use super::acl::Acl;
use super::clones::{Race, file_exists};
use super::cluster::Cluster;
use super::drives::STORAGES;
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
const POOL: &str = "clients";

/// In Proxmox's order: privileges, the way to the node, the parameters, what they name, and only
/// then the source.
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
    check_storage_is_there(params)?;
    if cluster.setup.no_quorum {
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
    check_what_copies_use(&acl, source, params)?;
    check_target(cluster, node, params)?;

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

/// The last check sees configurations that are there by now, on this node only.
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

/// By its own path or by that of a pool; either would do, so the refusal names neither.
fn check_vmid_may_be_used(acl: &Acl, params: &Params) -> Result<(), Answer> {
    let vmid = format!("/vms/{}", params.get("newid").unwrap_or_default());
    let pool = params.get("pool").map(|pool| format!("/pool/{pool}"));
    let mut paths = [Some(vmid), pool].into_iter().flatten();
    if paths.any(|path| acl.grants(&path, "VM.Allocate")) {
        return Ok(());
    }
    Err(failure(403, "Permission check failed"))
}

/// Disks go to the storage of their own unless another one is named.
fn check_what_copies_use(acl: &Acl, source: &Guest, params: &Params) -> Result<(), Answer> {
    for storage in source.storages() {
        let storage = params.get("storage").unwrap_or(&storage);
        acl.check(&format!("/storage/{storage}"), "Datastore.AllocateSpace")?;
    }
    for bridge in source.bridges() {
        let path = format!("/sdn/zones/localnetwork/{bridge}");
        acl.check(&path, "SDN.Use")?;
    }
    Ok(())
}

fn check_storage_is_there(params: &Params) -> Result<(), Answer> {
    match params.get("storage") {
        Some("local") => {
            let why = "storage 'local' does not support vm images";
            Err(parameter_error("storage", why))
        }
        Some(storage) if !STORAGES.contains(&storage) => {
            Err(failure(500, &format!("storage '{storage}' does not exist")))
        }
        _ => Ok(()),
    }
}

/// A linked clone is where its template is.
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

fn check_target_is_known(cluster: &Cluster, params: &Params) -> Result<(), Answer> {
    match params.get("target") {
        Some(target) if !cluster.knows(target) => {
            Err(failure(500, &format!("no such cluster node '{target}'")))
        }
        _ => Ok(()),
    }
}

/// Disks on local storage can be cloned on their own node only.
fn check_target(cluster: &Cluster, node: &str, params: &Params) -> Result<(), Answer> {
    match params.get("target").filter(|target| *target != node) {
        None => Ok(()),
        Some(_) if cluster.setup.shared_storage => Ok(()),
        Some(target) => {
            let refusal = format!("can't clone VM to node '{target}' (VM uses local storage)");
            Err(failure(500, &refusal))
        }
    }
}
