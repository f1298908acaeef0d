//! Reports which verbs the token has the privileges for: for all guests, for some, or for none.
//!
//! - [`VERBS`] is the table of verbs and privileges. The manual has the same table.
//! - The privileges by path of the token are known already, so nothing is requested.
//! - A path below another one shows up in them if it has its own access control list, or is a VM in a pool.
//!   All other paths inherit.

use std::collections::BTreeMap;

use super::finding::{Finding, Report};
use super::image::supports_images;
use super::privileges::{INSTEAD_OF_NETWORK, warn_about_user};
use crate::guests::Guests;
use crate::pve::Permissions;
use crate::pve::types::{Guest, TokenId, Version, Vmid};
use crate::say::grant::{ALL_VMS, NETWORK_ROLE, Role, commands_of_role, grant_command};

/// Verbs that need the same privileges.
struct Verbs {
    /// Their names.
    names: &'static str,
    /// What they need. They are permitted where the token has the first of these, if it has the others
    /// anywhere.
    needs: &'static [Need],
    /// How to say that they are permitted everywhere.
    everywhere: &'static str,
}

/// Privileges that are needed together, on one path.
struct Need {
    on: Target,
    /// Their names in Proxmox VE 9. The role that grants the last one includes the others.
    privileges: &'static [&'static str],
}

/// What a verb acts on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Target {
    Guests,
    Vms,
    NewVms,
    Templates,
    /// New ones, which are in no pool.
    NewTemplates,
    Storages,
    Networks,
    Nodes,
    /// The tasks on a node. A token needs no privilege for those that it started.
    Tasks,
}

const VERBS: [Verbs; 8] = [
    Verbs {
        names: "template list, vm list, container list, vm show",
        needs: &[Need::new(Target::Guests, &["VM.Audit"])],
        everywhere: "all guests",
    },
    Verbs {
        names: "vm ssh, --ip, --wait-ip",
        needs: &[Need::new(Target::Vms, &["VM.Audit", AGENT])],
        everywhere: "all VMs",
    },
    Verbs {
        names: "vm create",
        needs: &[
            Need::new(Target::NewVms, &["VM.Allocate"]),
            Need::new(Target::Templates, &["VM.Audit", "VM.Clone"]),
            Need::new(Target::Storages, &["Datastore.AllocateSpace"]),
            Need::new(Target::Networks, &["SDN.Use"]),
        ],
        everywhere: "all new VMs",
    },
    Verbs {
        names: "template create",
        needs: &[
            Need::new(
                Target::NewTemplates,
                &[
                    "VM.Allocate",
                    "VM.Audit",
                    "VM.Config.CPU",
                    "VM.Config.Disk",
                    "VM.Config.HWType",
                    "VM.Config.Memory",
                    "VM.Config.Network",
                    "VM.Config.Options",
                ],
            ),
            Need::new(Target::Storages, &["Datastore.AllocateSpace"]),
            Need::new(Target::Storages, &["Datastore.AllocateTemplate"]),
            Need::new(Target::Networks, &["SDN.Use"]),
            Need::new(Target::Nodes, &["Sys.AccessNetwork"]),
        ],
        everywhere: "all new templates",
    },
    Verbs {
        names: "vm start, vm shutdown, vm stop, vm reboot",
        needs: &[Need::new(Target::Vms, &["VM.Audit", "VM.PowerMgmt"])],
        everywhere: "all VMs",
    },
    Verbs {
        names: "vm delete",
        needs: &[Need::new(Target::Vms, &["VM.Audit", "VM.Allocate"])],
        everywhere: "all VMs",
    },
    Verbs {
        names: "task wait",
        needs: &[Need::new(Target::Tasks, &["Sys.Audit"])],
        everywhere: "all tasks",
    },
    Verbs {
        names: "task cancel",
        needs: &[Need::new(Target::Tasks, &["Sys.Audit", "Sys.Modify"])],
        everywhere: "all tasks",
    },
];

/// Permits reading addresses from guest agents since Proxmox VE 9.
const AGENT: &str = "VM.GuestAgent.Audit";
/// How many paths a finding lists.
const LISTED: usize = 5;

/// Reports for each group of verbs whether the token has the privileges, and how to grant those that it
/// lacks. Reading the guests must have been reported before.
pub fn check_verbs(permissions: &Permissions, guests: &Guests, version: &Version, report: Report) {
    let token = TokenPrivileges {
        permissions,
        token: guests.token(),
        guests: guests.all().map(|guest| (guest.vmid, guest)).collect(),
        major: version.major,
    };
    let creates_templates = |it: &&Verbs| it.needs[0].on == Target::NewTemplates;
    let is_known = |it: &&Verbs| !creates_templates(it) || supports_images(version);
    let mut is_any_lacking = false;
    for verbs in VERBS.iter().filter(is_known) {
        let finding = token.finding(verbs);
        is_any_lacking |= finding.hint.is_some();
        report(finding);
    }
    if is_any_lacking {
        warn_about_user(guests.token(), report);
    }
}

/// The privileges of a token, and the guests that it sees.
struct TokenPrivileges<'c> {
    permissions: &'c Permissions,
    token: &'c TokenId,
    guests: BTreeMap<Vmid, &'c Guest>,
    major: u32,
}

/// Where a need is met.
enum Scope<'c> {
    All { except: Vec<&'c str> },
    Only(Vec<&'c str>),
}

impl<'c> TokenPrivileges<'c> {
    fn finding(&self, verbs: &Verbs) -> Finding {
        let needs = verbs.needs.iter();
        let is_known = |need: &&Need| need.on != Target::Networks || self.major >= 8;
        let unmet = needs
            .filter(is_known)
            .filter(|need| self.scope(need).is_none());
        let unmet: Vec<&Need> = unmet.collect();
        let lacking: Vec<String> = unmet.iter().map(|need| self.lacking(need)).collect();
        let lacking = lacking.join(", ");
        let first = &verbs.needs[0];
        let is_task = first.on == Target::Tasks;
        let detail = match self.scope(first) {
            None if is_task => format!("only the token's own tasks: it lacks {lacking}"),
            _ if !unmet.is_empty() => {
                let detail = format!("not permitted: the token lacks {lacking}");
                return Finding::warn(verbs.names, detail).with_hint(self.how_to_grant(&unmet));
            }
            Some(Scope::Only(paths)) if is_task => {
                format!("only the token's own tasks and those on {}", listed(&paths))
            }
            Some(Scope::Only(paths)) => format!("only on {}", listed(&paths)),
            Some(Scope::All { except }) if !except.is_empty() => {
                format!("{}, except on {}", verbs.everywhere, listed(&except))
            }
            _ => verbs.everywhere.to_owned(),
        };
        Finding::ok(verbs.names, detail)
    }

    /// Where a need is met, if anywhere.
    fn scope(&self, need: &Need) -> Option<Scope<'c>> {
        let is_met = |path: &&str| self.missing(need, path).is_empty();
        let (root, pools) = (need.on.root(), self.pools(need.on));
        let is_below = |path: &&str| self.is_target(need.on, path);
        if is_met(&root) {
            let below = self.permissions.paths().filter(is_below);
            let except = below.filter(|path| !is_met(path)).collect();
            return Some(Scope::All { except });
        }
        let below = self.permissions.paths().filter(is_below);
        let only: Vec<&str> = pools.chain(below).filter(is_met).collect();
        (!only.is_empty()).then_some(Scope::Only(only))
    }

    /// The privileges that the token lacks on a path, which may be that of all targets, of one, or of a
    /// pool. What it has on all VMs also holds in a pool, and on a VM that has no list of its own.
    fn missing(&self, need: &Need, path: &str) -> Vec<&'static str> {
        let root = need.on.root();
        let is_permitted_by = |privilege| self.permissions.have("/", privilege);
        if need.on == Target::Nodes && INSTEAD_OF_NETWORK.into_iter().all(is_permitted_by) {
            return Vec::new();
        }
        let inherits = is_pool(path) || self.permissions.on(path).next().is_none();
        let is_held = |privilege: &str| {
            let is_inherited = || self.permissions.have_below(root, privilege);
            if path == root {
                is_inherited()
            } else {
                self.permissions.have(path, privilege) || inherits && is_inherited()
            }
        };
        let names = need.privileges.iter().map(|name| self.of_version(name));
        names.filter(|name| !is_held(name)).collect()
    }

    /// What Proxmox VE calls the privilege in this version.
    fn of_version(&self, privilege: &'static str) -> &'static str {
        match privilege {
            AGENT if self.major < 9 => "VM.Monitor",
            privilege => privilege,
        }
    }

    /// The pools on which the token has privileges, if those of a pool hold for the target.
    fn pools(&self, target: Target) -> impl Iterator<Item = &'c str> {
        let paths = self.permissions.paths();
        let may_be_in_pool = target.root() == ALL_VMS && target != Target::NewTemplates;
        paths.filter(move |path| may_be_in_pool && is_pool(path))
    }

    /// Whether this path below the root is one of the target's. Guests that the token does not see are not,
    /// and their VMIDs may be those of new VMs.
    fn is_target(&self, target: Target, path: &str) -> bool {
        let Some(name) = below(path, target.root()) else {
            return false;
        };
        let vmid = name.parse().ok().map(Vmid);
        let guest = vmid.and_then(|vmid| self.guests.get(&vmid));
        match target {
            Target::Guests => guest.is_some(),
            Target::Vms => guest.is_some_and(|guest| guest.is_vm()),
            Target::Templates => guest.is_some_and(|guest| guest.is_vm_template()),
            Target::NewVms | Target::NewTemplates => guest.is_none(),
            Target::Storages | Target::Networks | Target::Nodes | Target::Tasks => true,
        }
    }

    /// `VM.Audit and VM.Clone on /vms/9000`
    fn lacking(&self, need: &Need) -> String {
        let path = self.path_to_grant_on(need.on);
        let missing = self.missing(need, &path);
        let missing = match &missing[..] {
            [others @ .., last] if !others.is_empty() => {
                format!("{} and {last}", others.join(", "))
            }
            _ => missing.concat(),
        };
        format!("{missing} on {path}")
    }

    /// The path on which to grant what is missing everywhere: that of a pool only if the token has no
    /// privileges on all VMs.
    fn path_to_grant_on(&self, target: Target) -> String {
        let mut templates = self.guests.values().filter(|it| it.is_vm_template());
        let template = templates.next().filter(|_| target == Target::Templates);
        if let Some(template) = template {
            return format!("{ALL_VMS}/{}", template.vmid);
        }
        if target == Target::Networks {
            return "/sdn/zones/localnetwork".to_owned();
        }
        let is_any_on_all = self.permissions.on(target.root()).next().is_some();
        let pool = self.pools(target).next().filter(|_| !is_any_on_all);
        pool.unwrap_or(target.root()).to_owned()
    }

    fn how_to_grant(&self, unmet: &[&Need]) -> String {
        let [need] = unmet else {
            return "'homelab help permissions' has the commands for a role with all of them"
                .to_owned();
        };
        let path = self.path_to_grant_on(need.on);
        if need.on == Target::Nodes {
            return commands_of_role(NETWORK_ROLE, &path, self.token);
        }
        grant_command(self.role(need, &path), &path, self.token)
    }

    /// The smallest role with the missing privileges, or if it might replace other privileges on VMs that
    /// the token inherits, the one with all of them.
    fn role(&self, need: &Need, path: &str) -> Role {
        let is_kept = |held: &str| need.privileges.contains(&held) || held.ends_with(".Audit");
        let mut held = self.permissions.on(path);
        let may_lose = held.any(|held| held.starts_with("VM.") && !is_kept(held));
        let last = need.privileges.last().map(|last| self.of_version(last));
        let smallest = last.and_then(Role::with);
        smallest.filter(|_| !may_lose).unwrap_or(Role::VM_ADMIN)
    }
}

impl Need {
    const fn new(on: Target, privileges: &'static [&'static str]) -> Need {
        Need { on, privileges }
    }
}

impl Target {
    /// The path above all of them.
    fn root(self) -> &'static str {
        match self {
            Target::Guests
            | Target::Vms
            | Target::NewVms
            | Target::Templates
            | Target::NewTemplates => ALL_VMS,
            Target::Storages => "/storage",
            Target::Networks => "/sdn",
            Target::Nodes | Target::Tasks => "/nodes",
        }
    }
}

fn is_pool(path: &str) -> bool {
    path == "/pool" || below(path, "/pool").is_some()
}

/// The rest of a path below another one: `101` of `/vms/101` below `/vms`.
fn below<'p>(path: &'p str, root: &str) -> Option<&'p str> {
    path.strip_prefix(root)?.strip_prefix('/')
}

/// The first of these paths, and how many others there are.
fn listed(paths: &[&str]) -> String {
    let first = paths[..paths.len().min(LISTED)].join(", ");
    match paths.len().saturating_sub(LISTED) {
        0 => first,
        others => format!("{first} and {others} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cmd::check::image::NEEDED_ON_NEW;
    use crate::create::needed_for_default_options;
    use std::collections::BTreeSet;

    #[test]
    fn the_manual_has_the_same_table() {
        let manual = include_str!("../../help/permissions.txt");
        let (_, section) = manual.split_once("# What each verb needs\n\n").unwrap();
        let items: Vec<String> = section
            .split("\n\n")
            .take_while(|block| block.starts_with("- "))
            .map(|block| block.replace("\n  ", " "))
            .collect();
        let expected = VERBS.each_ref().map(|verbs| {
            let privileges = verbs.needs.iter().flat_map(|need| need.privileges);
            let privileges: Vec<&str> = privileges.copied().collect();
            format!("- {}: {}.", verbs.names, privileges.join(", "))
        });
        assert_eq!(items, expected);
    }

    #[test]
    fn creating_a_template_needs_the_privileges_of_its_options() {
        let mut needs = VERBS.iter().flat_map(|verbs| verbs.needs);
        let on_vm = needs.find(|need| need.on == Target::NewTemplates).unwrap();
        let on_vm = on_vm.privileges.iter().copied();
        let of_options = needed_for_default_options().into_iter().flatten().copied();
        let expected: BTreeSet<&str> = NEEDED_ON_NEW.into_iter().chain(of_options).collect();
        assert_eq!(on_vm.collect::<BTreeSet<&str>>(), expected);
    }
}
