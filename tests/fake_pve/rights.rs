//! What each token may do and see.

use std::collections::BTreeSet;

use super::acl::{Acl, TOPS};
use super::cluster::Cluster;
use super::privileges::privileges_of;
use super::processes::Process;
use super::setup::{Rights, RightsPreset, TOKEN};

impl Cluster {
    pub(super) fn knows_token(&self, token: &str) -> bool {
        token == TOKEN || self.setup.tokens.contains_key(token)
    }

    /// The privileges of a token, with presets expanded; an unknown token has none.
    pub(super) fn acl_of(&self, token: &str) -> Acl {
        let mut acl = self.acl_without_pools(token);
        for member in self.guests.values() {
            if let Some(pool) = &member.pool {
                acl.add_privileges_of_pool(
                    &format!("/pool/{pool}"),
                    &format!("/vms/{}", member.vmid),
                );
            }
        }
        acl
    }

    fn acl_without_pools(&self, token: &str) -> Acl {
        match self.setup.tokens.get(token) {
            Some(Rights::Listed(acl)) => acl.clone(),
            Some(Rights::Preset(RightsPreset::All)) => self.everything(),
            Some(Rights::Preset(RightsPreset::Blind)) => self.templates_only(),
            Some(Rights::Preset(RightsPreset::Late)) => self.own_clones_too(token),
            None if token == TOKEN => self.everything(),
            Some(Rights::Preset(RightsPreset::None)) | None => Acl::default(),
        }
    }

    fn everything(&self) -> Acl {
        let mut acl = Acl::default();
        acl.list("/", privileges_of(&self.setup.version));
        acl
    }

    fn templates_only(&self) -> Acl {
        let mut acl = Acl::default();
        acl.list("/sdn", ["SDN.Use"]);
        acl.list("/storage", ["Datastore.AllocateSpace"]);
        acl.list("/vms", ["VM.Allocate"]);
        let templates = self.guests.values().filter(|guest| guest.is_template());
        for template in templates {
            let path = format!("/vms/{}", template.vmid);
            acl.list(&path, ["VM.Allocate", "VM.Audit", "VM.Clone"]);
        }
        acl
    }

    fn own_clones_too(&self, token: &str) -> Acl {
        let mut acl = self.templates_only();
        let guests = self.guests.values();
        for own in guests.filter(|guest| guest.cloned_by.as_deref() == Some(token)) {
            let path = format!("/vms/{}", own.vmid);
            acl.list(&path, ["VM.Allocate", "VM.Audit"]);
        }
        acl
    }

    /// The paths in the lists of all tokens; a token may inherit its privileges there.
    pub(super) fn paths_with_lists(&self) -> BTreeSet<String> {
        let lists = self.setup.tokens.keys().map(|token| self.acl_of(token));
        let mut paths: BTreeSet<_> = TOPS.map(str::to_owned).into();
        for acl in lists {
            paths.extend(acl.paths().map(str::to_owned));
        }
        paths
    }

    /// Tasks of other tokens need Sys.Audit, even those of the same user.
    pub(super) fn may_see_task(&self, token: &str, process: &Process) -> bool {
        let node = format!("/nodes/{}", process.node);
        process.owner == token || self.acl_of(token).grants(&node, "Sys.Audit")
    }
}
