//! Checks whether a template can be created from an image that the server downloads: the server's version, the
//! storages, and the required privileges.

use super::finding::{Finding, Report, Verdict};
use super::privileges::{NewVm, TokenPrivileges};
use crate::create::{DEFAULT_BRIDGE, RequestedPlace, find_place, needed_for_default_options};
use crate::pve::types::{Storage, Version};
use crate::pve::{self, Pve};
use crate::say::grant::Role;
use crate::say::hint::refusal::NO_IMPORT;
use crate::wait::server::Server;

/// Permits using the space of a storage, and seeing it.
const SPACE: &str = "Datastore.AllocateSpace";
/// One of these permits seeing a storage and the images on it.
const SEE: [&str; 2] = ["Datastore.Audit", SPACE];

/// What creating, reading and converting the VM requires on it, in addition to what its options require.
pub const NEEDED_ON_NEW: [&str; 2] = ["VM.Allocate", "VM.Audit"];

/// The storages of a new template.
pub struct ImagePlan<'w> {
    /// The storage that keeps the image.
    pub images: &'w Storage,
    /// The storage for the disks, if one is requested.
    pub disks: Option<&'w Storage>,
}

/// Checks whether the token can create a template from an image on this storage.
pub fn check_image(
    plan: &ImagePlan,
    version: &Version,
    server: Server,
    report: Report,
) -> Result<(), Finding> {
    if !supports_images(version) {
        let detail = format!("the server is Proxmox VE {}", version.text);
        let finding = Finding::new(Verdict::Fail, "template create", detail);
        return Err(finding.with_hint(NO_IMPORT.to_owned()));
    }
    let failed = |check| move |error| Finding::of_request(check, &error);
    let vmid = server.ask(Pve::next_vmid).map_err(failed("free VMID"))?;
    let new = NewVm {
        path: format!("/vms/{vmid}"),
        pool: None,
        creation: "import",
    };
    check_place(plan, &new, server, report).map_err(failed("privileges"))
}

/// Whether servers of this version import images of disks.
pub fn supports_images(version: &Version) -> bool {
    version.imports_images()
}

/// Checks the node and the storages as `template create` chooses them, then the privileges there.
fn check_place(
    plan: &ImagePlan,
    new: &NewVm,
    server: Server,
    report: Report,
) -> Result<(), pve::Error> {
    let requested = RequestedPlace {
        node: None,
        image_storage: Some(plan.images),
        storage: plan.disks,
    };
    let place = find_place(server, &requested);
    let images = storage_path(plan.images);
    let disks = place.as_ref().ok().map(|place| &place.storage);
    let disks = disks.or(plan.disks).map(storage_path);
    let mut held = TokenPrivileges::new(server, report);
    let mut can_see = held.has_any(&SEE, &images)?;
    if let Some(disks) = &disks {
        can_see = held.has_any(&SEE, disks)? && can_see;
    }
    let node = match place {
        Ok(place) => {
            let (images, disks) = (&place.image_storage, &place.storage);
            let detail = format!(
                "node '{}' has '{images}' for images, '{disks}' for disks",
                place.node
            );
            held.add(Finding::ok("storages", detail));
            format!("/nodes/{}", place.node)
        }
        Err(failure) => {
            // A storage that the token cannot see is reported with the privileges.
            if can_see {
                held.add(Finding::fail("storages", failure));
            }
            "/nodes".to_owned()
        }
    };
    held.check_any(&SEE, &images, Role::DATASTORE_USER)?;
    held.check("Datastore.AllocateTemplate", &images, Role::DATASTORE_ADMIN)?;
    held.check_download(&node)?;
    if let Some(disks) = &disks {
        held.check(SPACE, disks, Role::DATASTORE_USER)?;
    }
    held.check_network(DEFAULT_BRIDGE)?;
    for privilege in NEEDED_ON_NEW {
        held.check_on_new(&[privilege], new, None)?;
    }
    for any_of in needed_for_default_options() {
        held.check_on_new(any_of, new, None)?;
    }
    let purpose = "to set its user, keys and addresses";
    held.check_on_new(&["VM.Config.Cloudinit"], new, Some(purpose))?;
    held.end();
    Ok(())
}

fn storage_path(storage: &Storage) -> String {
    format!("/storage/{storage}")
}
