//! What takes its time, in words.

use crate::pve::Size;
use crate::pve::types::Vmid;

/// What takes its time.
#[derive(Clone)]
pub enum Doing<'d> {
    /// The template's disks are copied, so many of them, if that is known.
    Cloning(Option<usize>),
    /// Options are changed, these.
    Configuring(&'d str),
    /// A disk is made that large.
    Enlarging(&'d str, Size),
    /// It is started.
    Starting,
    /// Its guest has yet to tell its address.
    AwaitingAddress,
}

impl Doing<'_> {
    /// For whoever does not look on.
    pub(super) fn line(&self, vmid: Vmid, created: bool) -> Option<String> {
        Some(match self {
            Doing::Configuring(options) if created => {
                format!("Configuring VM {vmid}: {options}...")
            }
            Doing::Configuring(options) => format!("Changing VM {vmid}: {options}..."),
            Doing::Enlarging(disk, size) => {
                format!("Enlarging disk {disk} of VM {vmid} to {size}...")
            }
            Doing::Starting => format!("Starting VM {vmid}..."),
            Doing::AwaitingAddress if created => {
                format!("Waiting for an address of VM {vmid}...")
            }
            // The clone is announced before all else, and by waiting nothing is changed.
            Doing::Cloning(_) | Doing::AwaitingAddress => return None,
        })
    }

    /// For whoever does.
    pub(super) fn words(&self) -> String {
        match self {
            Doing::Cloning(_) => "cloning".to_owned(),
            Doing::Configuring(_) => "configuring".to_owned(),
            Doing::Enlarging(disk, size) => format!("enlarging {disk} to {size}"),
            Doing::Starting => "starting".to_owned(),
            Doing::AwaitingAddress => "waiting for an address".to_owned(),
        }
    }
}
