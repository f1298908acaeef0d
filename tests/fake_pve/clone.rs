//! `POST /nodes/{node}/qemu/{vmid}/clone`, with its many ways to say no.

use serde_json::{Map, Value, json};

use super::acl::Acl;
use super::clones::{Race, file_exists};
use super::cluster::Cluster;
use super::drives::STORAGES;
use super::guests::Guest;
use super::http::Answer;
use super::params::{MISSING, Params, is_dns_name, what_is_wrong_with_vmid};
use super::replies::{failure, forbidden, proxied, refuse_if_any};
use super::tasks::CloneOrder;

const PARAMETERS: [&str; 10] = [
    "newid",
    "name",
    "full",
    "target",
    "storage",
    "format",
    "pool",
    "snapname",
    "description",
    "bwlimit",
];
/// The pool that every fake has.
const POOL: &str = "clients";

/// Privileges come first, then the way to the node, then the parameters: Proxmox's order.
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
    if let Some(pool) = params.get("pool").filter(|pool| *pool != POOL) {
        return Err(forbidden(&format!("pool '{pool}' does not exist")));
    }
    cluster.reach(node)?;
    check_parameters(params)?;
    if cluster.setup.no_quorum {
        return Err(failure(500, "cluster not ready - no quorum?"));
    }

    let missing = || {
        failure(
            500,
            &format!("unable to find configuration file for VM {vmid} on node '{node}'"),
        )
    };
    let vmid: u32 = vmid.parse().map_err(|_| missing())?;
    let source = cluster.vm(node, vmid).ok_or_else(missing)?;
    if let Some(lock) = source.lock() {
        return Err(failure(500, &format!("VM is locked ({lock})")));
    }
    let full = params
        .get("full")
        .map_or(!source.is_template(), |full| full == "1");
    check_storage(params, full)?;
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
    format!(
        "Copy-of-{}",
        name.unwrap_or_else(|| format!("VM-{}", source.vmid))
    )
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

/// All that is wrong with the parameters is said in one answer.
fn check_parameters(params: &Params) -> Result<(), Answer> {
    let mut errors = params.unknown(&PARAMETERS);
    let mut wrong = |name: &str, why: String| errors.insert(name.to_owned(), Value::String(why));
    match params.get("newid") {
        None => {
            wrong("newid", MISSING.to_owned());
        }
        Some(newid) => {
            if let Some(why) = what_is_wrong_with_vmid(newid) {
                wrong("newid", why);
            }
        }
    }
    if params.get("name").is_some_and(|name| !is_dns_name(name)) {
        let why = "invalid format - value does not look like a valid DNS name\n";
        wrong("name", why.to_owned());
    }
    if let Some(full) = params
        .get("full")
        .filter(|full| !matches!(*full, "0" | "1"))
    {
        wrong(
            "full",
            format!("type check ('boolean') failed - got '{full}'"),
        );
    }
    refuse_if_any(&errors)
}

fn check_storage(params: &Params, full: bool) -> Result<(), Answer> {
    for name in ["storage", "format"] {
        if !full && params.get(name).is_some() {
            let refusal = format!("parameter '{name}' not allowed for linked clones");
            return Err(failure(500, &refusal));
        }
    }
    match params.get("storage") {
        Some("local") => {
            let mut errors = Map::new();
            let why = "storage 'local' does not support vm images";
            errors.insert("storage".to_owned(), json!(why));
            refuse_if_any(&errors)
        }
        Some(storage) if !STORAGES.contains(&storage) => {
            Err(failure(500, &format!("storage '{storage}' does not exist")))
        }
        _ => Ok(()),
    }
}

/// Disks on local storage can be cloned on their own node only.
fn check_target(cluster: &Cluster, node: &str, params: &Params) -> Result<(), Answer> {
    match params.get("target").filter(|target| *target != node) {
        None => Ok(()),
        Some(target) if !cluster.knows(target) => {
            Err(failure(500, &format!("no such cluster node '{target}'")))
        }
        Some(_) if cluster.setup.shared_storage => Ok(()),
        Some(target) => {
            let refusal = format!("can't clone VM to node '{target}' (VM uses local storage)");
            Err(failure(500, &refusal))
        }
    }
}
