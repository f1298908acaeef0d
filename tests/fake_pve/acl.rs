//! Access control lists: privileges by path.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::http::Answer;
use super::privileges::is_privilege;
use super::replies::forbidden;
use super::values::what_is_wrong_with_vmid;

/// Privileges listed at a path also hold below it, down to the next path with a list of its own, which
/// replaces them.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(try_from = "BTreeMap<String, BTreeSet<String>>")]
pub(crate) struct Acl(BTreeMap<String, BTreeSet<String>>);

/// The paths that every answer about permissions contains, listed or not.
pub(super) const TOPS: [&str; 7] = [
    "/", "/access", "/nodes", "/pool", "/sdn", "/storage", "/vms",
];

impl Acl {
    /// Adds to the list at exactly this path, which then no longer inherits.
    pub(super) fn list<'a>(&mut self, path: &str, privileges: impl IntoIterator<Item = &'a str>) {
        let privileges = privileges.into_iter().map(str::to_owned);
        let listed = self.0.entry(path.to_owned()).or_default();
        listed.extend(privileges);
    }

    /// Removes the list at exactly this path, which then inherits again.
    pub(super) fn forget(&mut self, path: &str) {
        self.0.remove(path);
    }

    /// Privileges on a pool hold for its members, in addition to their own.
    pub(super) fn add_privileges_of_pool(&mut self, pool: &str, member: &str) {
        let both = self.privileges_at(pool).chain(self.privileges_at(member));
        let both: BTreeSet<String> = both.map(str::to_owned).collect();
        self.0.insert(member.to_owned(), both);
    }

    pub(super) fn paths(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    pub(super) fn privileges_at<'a>(&'a self, path: &str) -> impl Iterator<Item = &'a str> {
        let mut above = Some(path);
        let listed = loop {
            let Some(path) = above else {
                break None;
            };
            if let Some(listed) = self.0.get(path) {
                break Some(listed);
            }
            above = parent(path);
        };
        listed.into_iter().flatten().map(String::as_str)
    }

    pub(super) fn grants(&self, path: &str, privilege: &str) -> bool {
        self.privileges_at(path).any(|granted| granted == privilege)
    }

    /// An error that names the missing privilege.
    pub(super) fn check(&self, path: &str, privilege: &str) -> Result<(), Answer> {
        if self.grants(path, privilege) {
            return Ok(());
        }
        Err(forbidden(&format!("{path}, {privilege}")))
    }

    /// One of these is enough; the error names all of them.
    pub(super) fn check_any(&self, path: &str, privileges: &[&str]) -> Result<(), Answer> {
        if privileges.iter().any(|one| self.grants(path, one)) {
            return Ok(());
        }
        Err(forbidden(&format!("{path}, {}", privileges.join("|"))))
    }

    pub(super) fn shows(&self, vmid: u32) -> bool {
        self.grants(&format!("/vms/{vmid}"), "VM.Audit")
    }
}

impl TryFrom<BTreeMap<String, BTreeSet<String>>> for Acl {
    type Error = String;

    fn try_from(lists: BTreeMap<String, BTreeSet<String>>) -> Result<Self, Self::Error> {
        if let Some(path) = lists.keys().find(|path| !is_acl_path(path)) {
            return Err(format!("invalid ACL path '{path}'"));
        }
        let mut names = lists.values().flatten();
        if let Some(name) = names.find(|name| !is_privilege(name)) {
            return Err(format!("unknown privilege '{name}'"));
        }
        Ok(Self(lists))
    }
}

fn parent(path: &str) -> Option<&str> {
    match path.rsplit_once('/')? {
        ("", "") => None,
        ("", _) => Some("/"),
        (parent, _) => Some(parent),
    }
}

/// Whether Proxmox VE accepts a list for this path.
pub(super) fn is_acl_path(path: &str) -> bool {
    let steps: Vec<&str> = path.split('/').collect();
    match steps[..] {
        ["", "vms", vmid] => what_is_wrong_with_vmid(vmid).is_none(),
        ["", "mapping", ref names @ ..] => {
            names.len() <= 2 && names.iter().all(|name| !name.is_empty())
        }
        ["", "access" | "nodes" | "pool" | "storage", name] => !name.is_empty(),
        ["", "sdn", "zones", ref names @ ..] => {
            names.len() <= 3 && names.iter().all(|name| !name.is_empty())
        }
        _ => TOPS.contains(&path),
    }
}
