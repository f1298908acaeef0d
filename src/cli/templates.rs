//! The commands about templates, as argh parses them.

use std::path::PathBuf;

use argh::{ArgsInfo, FromArgs};

use super::values::{Seconds, not_empty};
use crate::pve::Checksum;
use crate::pve::types::{VmName, Vmid};
use crate::settings::image::ImageSource;
use crate::settings::named::{cores, memory};
use crate::settings::resize::Resize;

/// List templates, or create one from a cloud image.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "template", help_triggers("-h", "--help", "help"))]
#[argh(example = "homelab proxmox template list
homelab proxmox template create --help")]
pub struct Template {
    #[argh(subcommand)]
    pub verb: TemplateVerb,
}

/// A command about templates.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand)]
#[allow(clippy::large_enum_variant, reason = "only one is built per run")]
pub enum TemplateVerb {
    List(TemplateList),
    Create(TemplateCreate),
}

/// List the templates from which a VM can be created.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "list", help_triggers("-h", "--help"))]
#[argh(note = "Container templates and templates that the API token cannot see are not listed.")]
#[argh(example = "$ homelab proxmox template list
VMID  Name          Node
9000  debian-12     pve1
9001  ubuntu-22.04  pve2")]
pub struct TemplateList {
    /// print a JSON array, or for an error a JSON object
    #[argh(switch)]
    pub json: bool,
}

/// Create a template from a cloud image.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "create", help_triggers("-h", "--help"))]
#[argh(
    note = "The server downloads the image to a storage, or uses one that is there, creates a VM from it
with a cloud-init drive and a serial console, and converts the VM to a template. The image is kept.

Running the same command again resumes a run that was interrupted or failed. If a template of that
name exists, the command fails; with --ensure it succeeds. Needs Proxmox VE 8.4 or later.

See 'homelab help images', 'homelab help templates', 'homelab help permissions'."
)]
#[argh(
    example = "latest=https://cloud.debian.org/images/cloud/bookworm/latest
homelab proxmox template create debian-12 --checksum sha512:… \\
    --image $latest/debian-12-genericcloud-amd64.qcow2

homelab proxmox template create debian-12 --image local:import/x.qcow2"
)]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch")]
pub struct TemplateCreate {
    /// name of the new template: letters, digits, '-' and '.'
    #[argh(positional, arg_name = "template-name")]
    pub name: VmName,

    /// cloud image: an http or https URL that the server downloads, or a volume like local:import/FILE
    #[argh(option, arg_name = "URL|VOLUME")]
    pub image: ImageSource,

    /// checksum of the image, sha256:HEX or sha512:HEX, which the server verifies
    #[argh(option, arg_name = "CHECKSUM")]
    pub checksum: Option<Checksum>,

    /// storage for the disks (default: the only one that accepts disks)
    #[argh(option, arg_name = "ID", from_str_fn(not_empty))]
    pub storage: Option<String>,

    /// storage for the image (default: the only one with content type 'import')
    #[argh(option, arg_name = "ID", from_str_fn(not_empty))]
    pub image_storage: Option<String>,

    /// node to create the template on (default: the node that answers, or another one that has the
    /// storages)
    #[argh(option, arg_name = "NAME", from_str_fn(not_empty))]
    pub node: Option<String>,

    /// use this VMID, 100 to 999999999 (default: the next free one)
    #[argh(option, arg_name = "N")]
    pub vmid: Option<Vmid>,

    /// network bridge (default vmbr0)
    #[argh(option, arg_name = "NAME", from_str_fn(not_empty))]
    pub bridge: Option<String>,

    /// number of CPU cores (default 2)
    #[argh(option, arg_name = "N", from_str_fn(cores))]
    pub cores: Option<String>,

    /// memory: 8G, or a number of MiB (default 2048)
    #[argh(option, arg_name = "SIZE", from_str_fn(memory))]
    pub memory: Option<String>,

    /// grow the disk to at least SIZE: scsi0=32G
    #[argh(option, arg_name = "DISK=SIZE")]
    pub resize: Vec<Resize>,

    /// set an option of the template, named as in 'qm config': ciuser=admin; KEY=@FILE reads the value
    /// from FILE; repeatable
    #[argh(option, arg_name = "KEY=VALUE")]
    pub set: Vec<String>,

    /// SSH public keys of the cloud-init user; repeatable
    #[argh(option, arg_name = "FILE")]
    pub ssh_key: Vec<PathBuf>,

    /// succeed if a template of that name exists, without changing it; wait if another run is creating it
    #[argh(switch)]
    pub ensure: bool,

    /// assume that nodes that are offline have no VM or template of that name
    #[argh(switch)]
    pub ignore_offline: bool,

    /// time limit for the whole command (default 1800)
    #[argh(
        option,
        arg_name = "SECONDS",
        default = "Seconds::DEFAULT_TIMEOUT_OF_IMPORT"
    )]
    pub timeout: Seconds,

    /// pause between two polls of the server (default 2)
    #[argh(option, arg_name = "SECONDS", default = "Seconds::DEFAULT_INTERVAL")]
    pub poll_interval: Seconds,

    /// print one JSON document, even for errors
    #[argh(switch)]
    pub json: bool,

    /// print only warnings and errors
    #[argh(switch)]
    pub quiet: bool,
}
