//! The activities of a run that take time, as text.

use crate::pve::Size;
use crate::pve::types::Vmid;

/// Something that takes time.
pub enum Activity<'a> {
    /// Copying the template's disks; their number, if known.
    Cloning(Option<usize>),
    /// Downloading this file.
    Downloading(&'a str),
    /// Copying an image to a disk.
    Importing,
    /// Setting these options.
    Configuring(&'a str),
    /// Converting the VM to a template.
    Converting,
    /// Resizing a disk to a size.
    Resizing(&'a str, Size),
    /// Starting the VM.
    Starting,
    /// Waiting until the guest agent reports an address.
    AwaitingAddress,
    /// Waiting until the guest has shut down.
    ShuttingDown,
    /// Powering the VM off.
    PoweringOff,
    /// Restarting the VM.
    Rebooting,
    /// Deleting the VM and its disks.
    Deleting,
}

impl Activity<'_> {
    /// The line that announces it where there is no progress line, if it needs one.
    pub(super) fn announcement(&self, vmid: Vmid, created: bool) -> Option<String> {
        Some(match self {
            Activity::Configuring(options) if created => {
                format!("Configuring VM {vmid}: {options}...")
            }
            Activity::Configuring(options) => format!("Changing VM {vmid}: {options}..."),
            Activity::Resizing(disk, size) => {
                format!("Growing disk {disk} of VM {vmid} to {size}...")
            }
            Activity::Converting => format!("Converting VM {vmid} to a template..."),
            Activity::Starting => format!("Starting VM {vmid}..."),
            Activity::ShuttingDown => format!("Shutting down VM {vmid}..."),
            Activity::PoweringOff => format!("Powering off VM {vmid}..."),
            Activity::Rebooting => format!("Rebooting VM {vmid}..."),
            Activity::Deleting => format!("Deleting VM {vmid}..."),
            Activity::AwaitingAddress if created => {
                format!("Waiting for an address of VM {vmid}...")
            }
            // A clone is announced when the run begins; waiting does not change an existing VM.
            Activity::Cloning(_)
            | Activity::Downloading(_)
            | Activity::Importing
            | Activity::AwaitingAddress => return None,
        })
    }

    /// What the progress line shows.
    pub fn label(&self) -> String {
        match self {
            Activity::Cloning(_) => "cloning".to_owned(),
            Activity::Downloading(file) => format!("downloading {file}"),
            Activity::Importing => "importing".to_owned(),
            Activity::Converting => "converting to a template".to_owned(),
            Activity::Configuring(_) => "configuring".to_owned(),
            Activity::Resizing(disk, size) => format!("growing {disk} to {size}"),
            Activity::Starting => "starting".to_owned(),
            Activity::AwaitingAddress => "waiting for an address".to_owned(),
            Activity::ShuttingDown => "shutting down".to_owned(),
            Activity::PoweringOff => "powering off".to_owned(),
            Activity::Rebooting => "rebooting".to_owned(),
            Activity::Deleting => "deleting".to_owned(),
        }
    }
}
