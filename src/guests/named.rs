//! Which VM a user means by a name or a VMID.
//!
//! - A number that is no VM's name is a VMID.
//! - A name must belong to exactly one VM. What cannot be read may hide a second one, so a change needs
//!   certainty, or the VMID.

use snafu::Snafu;

use super::{Guests, Unread, listed};
use crate::pve;
use crate::pve::types::{Guest, Vmid};
use crate::say::failure::{Facts, Failure, Kind, Started};
use crate::say::grant::how_to_see_vms;
use crate::say::hint::SHOW_VMS;
use crate::wait::server::Server;

/// What a user calls a VM.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wanted {
    /// Its name or VMID.
    pub text: String,
    /// The VMID that it must have as well.
    pub vmid: Option<Vmid>,
}

/// A VM in a list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Named {
    /// Its row. Its name may be outdated.
    pub guest: Guest,
    /// Whether it was found by its name.
    pub by_name: bool,
}

impl Named {
    fn by_name(guest: &Guest) -> Named {
        Named {
            guest: guest.clone(),
            by_name: true,
        }
    }
}

/// Why no VM, or not exactly one, is meant.
#[derive(Debug, Snafu)]
pub enum Error {
    /// No guest has this name or VMID.
    #[snafu(display("VM '{text}' not found"))]
    Absent { text: String },
    /// No visible VM has this name, but something could not be read.
    #[snafu(display("VM '{text}' not found, but it may exist: {}", listed(unread)))]
    Unseen { text: String, unread: Vec<Unread> },
    /// One VM has this name, but something unreadable may hide another one.
    #[snafu(display(
        "{guest} exists, but another VM may have the same name: {}",
        listed(unread)
    ))]
    Doubtful { guest: Guest, unread: Vec<Unread> },
    /// A guest that the token cannot see has this VMID.
    #[snafu(display("VMID {vmid} belongs to a guest that this token cannot see"))]
    Hidden { vmid: Vmid, hint: String },
    /// Several VMs fit.
    #[snafu(display("several VMs are named '{text}': {}", vmids.join(", ")))]
    Several { text: String, vmids: Vec<String> },
    /// The text is the name of one VM and the VMID of another.
    #[snafu(display("'{vmid}' is the name of VM {named} and also the VMID of another guest"))]
    NameAndVmid { vmid: Vmid, named: Vmid },
    /// The name and the VMID belong to different guests.
    #[snafu(display("VM '{text}' does not have VMID {vmid}: it has {}", vmids.join(", ")))]
    Mismatch {
        text: String,
        vmid: Vmid,
        vmids: Vec<String>,
    },
    /// It is a guest of another kind: `container 300 'db'`.
    #[snafu(display("'{text}' is not a VM but {guest}"))]
    NotAVm { text: String, guest: Guest },
    /// Whether the VMID is free could not be read.
    #[snafu(transparent)]
    Request { source: Box<pve::Error> },
}

impl Wanted {
    /// What a user typed.
    pub fn of(text: &str, vmid: Option<Vmid>) -> Wanted {
        Wanted {
            text: text.to_owned(),
            vmid,
        }
    }

    /// Whether a guest in a list may be meant.
    pub fn may_be(&self, guest: &Guest) -> bool {
        guest.is_named(&self.text) || self.as_vmid() == Some(guest.vmid)
    }

    fn as_vmid(&self) -> Option<Vmid> {
        self.text.parse().ok()
    }
}

/// Finds the VM that is meant.
pub fn find(server: Server, guests: &Guests, wanted: &Wanted) -> Result<Named, Error> {
    let text = wanted.text.clone();
    let by_vmid = wanted.as_vmid();
    // A number is hardly ever a name: nodes need not be asked for one.
    let known: Vec<&Guest> = match by_vmid {
        Some(_) => guests.known().collect(),
        None => guests.all().collect(),
    };
    let named: Vec<&Guest> = known.into_iter().filter(|it| it.is_named(&text)).collect();
    let vms: Vec<&Guest> = named.iter().copied().filter(|it| it.is_vm()).collect();
    let has_vmid = |vm: &&Guest| wanted.vmid.is_none_or(|vmid| vm.vmid == vmid);
    let fitting: Vec<&Guest> = vms.iter().copied().filter(has_vmid).collect();
    let vmids = |vms: &[&Guest]| vms.iter().map(|vm| vm.vmid.to_string()).collect();
    match (&fitting[..], wanted.vmid) {
        ([vm], Some(_)) => Ok(Named::by_name(vm)),
        ([vm], None) => match by_vmid.filter(|vmid| *vmid != vm.vmid && guests.is_taken(*vmid)) {
            Some(vmid) => Err(Error::NameAndVmid {
                vmid,
                named: vm.vmid,
            }),
            None => match guests.doubts() {
                unread if unread.is_empty() => Ok(Named::by_name(vm)),
                unread => Err(Error::Doubtful {
                    guest: (*vm).clone(),
                    unread,
                }),
            },
        },
        // A number that is this VMID means it, although another VM has the number as its name.
        ([], Some(vmid)) if !vms.is_empty() && by_vmid != Some(vmid) => Err(Error::Mismatch {
            text,
            vmid,
            vmids: vmids(&vms),
        }),
        ([], _) => match (named.iter().find(|guest| !guest.is_vm()), by_vmid) {
            (_, Some(vmid)) => find_by_vmid(server, guests, wanted, vmid),
            (Some(guest), None) => Err(Error::NotAVm {
                text,
                guest: (*guest).clone(),
            }),
            (None, None) => Err(match guests.doubts() {
                unread if unread.is_empty() => Error::Absent { text },
                unread => Error::Unseen { text, unread },
            }),
        },
        (several, _) => Err(Error::Several {
            text,
            vmids: vmids(several),
        }),
    }
}

fn find_by_vmid(
    server: Server,
    guests: &Guests,
    wanted: &Wanted,
    vmid: Vmid,
) -> Result<Named, Error> {
    let text = wanted.text.clone();
    if let Some(other) = wanted.vmid.filter(|other| *other != vmid) {
        let vmids = vec![vmid.to_string()];
        return Err(Error::Mismatch {
            text,
            vmid: other,
            vmids,
        });
    }
    match guests.with_vmid(vmid) {
        Some(guest) if guest.is_vm() => Ok(Named {
            guest: guest.clone(),
            by_name: false,
        }),
        Some(guest) => Err(Error::NotAVm {
            text,
            guest: guest.clone(),
        }),
        None if server.ask(|pve| pve.is_free(vmid)).map_err(Box::new)? => {
            Err(Error::Absent { text })
        }
        None => Err(Error::Hidden {
            vmid,
            hint: how_to_see_vms(guests.token()),
        }),
    }
}

impl Error {
    /// The failure, with what to do about it.
    pub fn failure(&self) -> Failure {
        let list = || format!("{SHOW_VMS} that this token can see");

        let (kind, hint) = match self {
            Error::Absent { .. } => (Kind::VmNotFound, list()),
            Error::Unseen { .. } => (
                Kind::Failed,
                "if the nodes that are offline have no VM of that name, add --ignore-offline"
                    .to_owned(),
            ),
            Error::Doubtful { guest, .. } => (
                Kind::Ambiguous,
                format!(
                    "use its VMID, {}, instead of the name; or, if the nodes that are offline have no VM of that name, add \
                     --ignore-offline",
                    guest.vmid
                ),
            ),
            Error::Hidden { hint, .. } => (Kind::Forbidden, hint.clone()),
            Error::Several { .. } => (Kind::Ambiguous, "use the VMID instead".to_owned()),
            Error::NameAndVmid { named, .. } => (
                Kind::Ambiguous,
                format!(
                    "'vm delete' takes --vmid {named} or the other VMID; to rename VM {named}, on its node: qm set \
                     {named} --name NAME"
                ),
            ),
            Error::NotAVm { guest, .. } if guest.is_vm_template() => (
                Kind::Failed,
                format!(
                    "to create a VM from it: homelab proxmox vm create VM-NAME {}",
                    guest.vmid
                ),
            ),
            Error::Mismatch { .. } | Error::NotAVm { .. } => (Kind::Failed, list()),
            Error::Request { source } => return Failure::of_request(source),
        };
        let vmid = match self {
            Error::Hidden { vmid, .. } => Some(*vmid),
            Error::NotAVm { guest, .. } | Error::Doubtful { guest, .. } => Some(guest.vmid),
            _ => None,
        };
        let facts = Facts {
            vmid,
            started: Started::No,
            ..Facts::default()
        };
        Failure::of(kind, self).with_hint(hint).about(facts)
    }
}
