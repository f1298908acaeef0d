//! Options of a running VM that its process does not have yet: `GET …/pending`, and `…/config?current=1`.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::cluster::Cluster;
use super::drives::rank_of_drive;
use super::guests::Guest;
use super::http::Answer;
use super::params::Params;
use super::replies::{failure, proxied};

/// These take effect at once, like drives and network devices. All other options wait for the next start.
const AT_ONCE: [&str; 21] = [
    "cicustom",
    "cipassword",
    "citype",
    "ciupgrade",
    "ciuser",
    "description",
    "digest",
    "hookscript",
    "ipconfig",
    "lock",
    "name",
    "nameserver",
    "net",
    "onboot",
    "protection",
    "searchdomain",
    "sshkeys",
    "startup",
    "tags",
    "unused",
    "usb",
];

pub(super) fn pending(
    cluster: &Cluster,
    token: &str,
    node: &str,
    vmid: &str,
    params: &Params,
) -> Result<Answer, Answer> {
    let acl = cluster.acl_of(token);
    acl.check(&format!("/vms/{vmid}"), "VM.Audit")?;
    cluster.reach(node)?;
    let vm = cluster.existing_vm(node, params.check_for(vmid, &[], &[])?);
    let vm = vm.map_err(|missing| failure(500, &missing))?;
    let live = vm.live_config();
    let options: BTreeSet<&String> = live.keys().chain(vm.config.keys()).collect();
    let entries = options.into_iter().map(|option| {
        let mut entry = json!({"key": option});
        let (now, next) = (live.get(option), vm.config.get(option));
        if let Some(now) = now {
            entry["value"] = now.clone();
        }
        match next {
            None => entry["delete"] = json!(1),
            Some(next) if now != Some(next) => entry["pending"] = next.clone(),
            Some(_) => {}
        }
        entry
    });
    Ok(proxied(&entries.collect::<Value>()))
}

impl Guest {
    /// The configuration without what is pending.
    pub(super) fn live_config(&self) -> Map<String, Value> {
        let is_running = self.runs_since().is_some() && !self.live.is_empty();
        let mut live = self.config.clone();
        if is_running {
            live.retain(|option, _| is_at_once(option));
            let waiting = self.live.iter().filter(|(option, _)| !is_at_once(option));
            live.extend(waiting.map(|(option, value)| (option.clone(), value.clone())));
        }
        live
    }
}

fn is_at_once(option: &str) -> bool {
    let name = option.trim_end_matches(|c: char| c.is_ascii_digit());
    AT_ONCE.contains(&name) || rank_of_drive(option).is_some()
}
