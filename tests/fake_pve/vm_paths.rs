//! Common steps of all changes to a VM: finding it, its lock, and writing it.

use serde_json::{Map, Value, json};

use super::cluster::Cluster;
use super::guests::Guest;
use super::setup::Refresh;

fn no_such_config(node: &str, vmid: u32) -> String {
    format!("Configuration file 'nodes/{node}/qemu-server/{vmid}.conf' does not exist")
}

/// `/etc/pve` is read-only without quorum.
pub(super) fn cannot_write(node: &str, vmid: u32) -> String {
    let file = format!("/etc/pve/nodes/{node}/qemu-server/{vmid}.conf.tmp.227");
    format!("unable to open file '{file}' - Permission denied")
}

impl Cluster {
    pub(super) fn existing_vm(&self, node: &str, vmid: u32) -> Result<&Guest, String> {
        let vm = self.vm(node, vmid);
        vm.ok_or_else(|| no_such_config(node, vmid))
    }

    /// A VM that is not locked and has the digest that the client expects.
    pub(super) fn unlocked_vm(
        &self,
        node: &str,
        vmid: u32,
        digest: Option<&str>,
    ) -> Result<&Guest, String> {
        let vm = self.existing_vm(node, vmid)?;
        let now = vm.config.get("digest").and_then(Value::as_str);
        if digest.is_some_and(|seen| Some(seen) != now) {
            return Err("checksum mismatch (file change by other user?)".to_owned());
        }
        match vm.lock() {
            Some(lock) => Err(format!("VM is locked ({lock})")),
            None => Ok(vm),
        }
    }

    /// Writes a configuration, with a new digest if anything has changed.
    pub(super) fn change_config(
        &mut self,
        vmid: u32,
        change: impl FnOnce(&mut Map<String, Value>),
    ) {
        let at_once = matches!(self.setup.rows, Refresh::AtOnce);
        let vm = self.guests.get_mut(&vmid).expect("found before");
        let before = vm.config.clone();
        change(&mut vm.config);
        if vm.config != before {
            self.changes += 1;
            let digest = json!(format!("{vmid:032x}{:08x}", self.changes));
            vm.config.insert("digest".to_owned(), digest);
        }
        if at_once {
            vm.refresh_row();
        }
    }
}
