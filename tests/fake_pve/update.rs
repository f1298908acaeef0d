//! `PUT /nodes/{node}/qemu/{vmid}/config`, which is written before the answer.

use serde_json::{Map, Value, json};

use super::acl::Acl;
use super::changes::Change;
use super::cluster::Cluster;
use super::http::Answer;
use super::nets::Net;
use super::options::{Needs, find};
use super::params::{Params, Schema};
use super::replies::{failure, forbidden, parameter_error, proxied, refuse_if_any};
use super::values::{Kind, UNKNOWN, items_of, what_is_wrong};

/// Parameters that are not options.
const NO_OPTIONS: &Schema = &[
    ("delete", Kind::Text),
    ("digest", Kind::Text),
    ("force", Kind::Boolean),
    ("revert", Kind::Text),
    ("skiplock", Kind::Boolean),
];
/// One of these is needed for any change; the privileges for each option are checked later.
const TO_CHANGE_ANYTHING: [&str; 8] = [
    "VM.Config.Disk",
    "VM.Config.CDROM",
    "VM.Config.CPU",
    "VM.Config.Memory",
    "VM.Config.Network",
    "VM.Config.HWType",
    "VM.Config.Options",
    "VM.Config.Cloudinit",
];

/// Checks in the order of Proxmox VE: the token, the node, the parameters, the privileges for each, and
/// only then whether there is such a VM and whether it is locked.
pub(super) fn update(
    cluster: &mut Cluster,
    token: &str,
    node: &str,
    vmid: &str,
    params: &Params,
) -> Result<Answer, Answer> {
    let acl = cluster.acl_of(token);
    let path = format!("/vms/{vmid}");
    acl.check_any(&path, &TO_CHANGE_ANYTHING)?;
    cluster.reach(node)?;
    let change = checked(token, node, vmid, params)?;
    let options = change
        .delete
        .iter()
        .chain(change.set.iter().map(|(option, _)| option));
    for option in options {
        check_privilege(&acl, &path, option)?;
    }
    change.check_storages(cluster, &acl)?;
    for (option, value) in &change.set {
        check_bridge(&acl, option, value)?;
    }
    let digest = params.get("digest");
    // Before it waits for the lock, and again with the lock.
    for has_lock in [false, true] {
        if has_lock {
            cluster.lock_or_time_out(change.vmid)?;
        }
        let vm = cluster.unlocked_vm(node, change.vmid, digest)?;
        change.check_balloon(vm)?;
    }
    cluster.write(change.steps())?;
    Ok(proxied(&json!(null)))
}

/// All errors of the values are reported in one answer.
fn checked(token: &str, node: &str, vmid: &str, params: &Params) -> Result<Change, Answer> {
    let mut errors = errors_of(params, NO_OPTIONS);
    let why = what_is_wrong(Kind::Vmid, "vmid", vmid);
    errors.extend(why.map(|why| ("vmid".to_owned(), json!(why))));
    refuse_if_any(&errors)?;
    params.leave_to_root("skiplock")?;
    if let Some(keys) = params.get("sshkeys") {
        check_ssh_keys(keys)?;
    }
    let is_option = |(name, _): &(&str, &str)| NO_OPTIONS.iter().all(|(known, _)| known != name);
    let set = params.iter().filter(is_option);
    let set: Vec<_> = set
        .map(|(option, value)| (option.to_owned(), value.to_owned()))
        .collect();
    let delete = items_of(params.get("delete").unwrap_or_default());
    let delete: Vec<_> = delete.map(str::to_owned).collect();
    if set.is_empty() && delete.is_empty() {
        return Err(failure(500, "no options specified"));
    }
    for option in &delete {
        if set.iter().any(|(known, _)| known == option) {
            let why = format!("you can't use '-{option}' and -delete {option}' at the same time");
            return Err(parameter_error("delete", &why));
        }
        if find(option).is_none() {
            let why = format!("unknown option '{option}'");
            return Err(parameter_error("delete", &why));
        }
    }
    let force = params.get("force") == Some("1");
    Ok(Change {
        vmid: vmid.parse().expect("a valid VMID is a number"),
        node: node.to_owned(),
        token: token.to_owned(),
        set,
        delete,
        force,
    })
}

/// What is wrong with each parameter that is neither an option with a valid value nor one of these.
pub(super) fn errors_of(params: &Params, no_options: &Schema) -> Map<String, Value> {
    let errors = params.iter().filter_map(|(name, value)| {
        let no_option = no_options.iter().find(|(known, _)| *known == name);
        let kind = no_option
            .map(|(_, kind)| *kind)
            .or_else(|| Some(find(name)?.0));
        let why = match kind {
            None => UNKNOWN.to_owned(),
            Some(kind) => what_is_wrong(kind, name, value)?,
        };
        Some((name.to_owned(), json!(why)))
    });
    errors.collect()
}

/// Proxmox VE checks each line with ssh-keygen.
pub(super) fn check_ssh_keys(encoded: &str) -> Result<(), Answer> {
    let text = super::http::percent_decode(encoded);
    let mut lines = text.split('\n').filter(|line| !line.trim().is_empty());
    if lines.all(is_ssh_key) {
        return Ok(());
    }
    Err(failure(500, "SSH public key validation error"))
}

/// Options may precede the type of the key, and a comment may follow the key.
fn is_ssh_key(line: &str) -> bool {
    let is_kind = |part: &&str| {
        let kinds = ["ssh-", "ecdsa-", "sk-"];
        kinds.iter().any(|kind| part.starts_with(kind))
    };
    let mut parts = line.split_whitespace();
    parts.find(is_kind).is_some() && parts.next().is_some_and(|key| key.starts_with("AAAA"))
}

pub(super) fn check_privilege(acl: &Acl, path: &str, option: &str) -> Result<(), Answer> {
    match find(option).map(|(_, needs)| needs) {
        Some(Needs::One(privilege)) => acl.check(path, privilege)?,
        Some(Needs::Either(privileges)) => acl.check_any(path, privileges)?,
        Some(Needs::ByValue) => {}
        Some(Needs::Root) | None => {
            return Err(failure(
                500,
                &format!("only root can set '{option}' config"),
            ));
        }
    }
    // The start order affects the host.
    if option == "startup" && !acl.grants("/", "Sys.Modify") {
        return Err(forbidden("/, Sys.Modify"));
    }
    Ok(())
}

pub(super) fn check_bridge(acl: &Acl, option: &str, value: &str) -> Result<(), Answer> {
    let is_net = option
        .strip_prefix("net")
        .is_some_and(|number| number.parse::<u32>().is_ok());
    match Net::parse(value).bridge() {
        Some(bridge) if is_net => {
            acl.check(&format!("/sdn/zones/localnetwork/{bridge}"), "SDN.Use")
        }
        _ => Ok(()),
    }
}
