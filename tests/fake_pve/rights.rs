//! What each token may do and see.

use super::cluster::Cluster;
use super::guests::Guest;
use super::setup::{Rights, TOKEN};
use super::tasks::Task;

impl Cluster {
    pub(super) fn rights_of(&self, token: &str) -> Option<Rights> {
        if token == TOKEN {
            return Some(Rights::All);
        }
        self.setup.tokens.get(token).copied()
    }

    pub(super) fn may_clone(&self, token: &str, vmid: &str) -> bool {
        let vmid: Option<u32> = vmid.parse().ok();
        match self.rights_of(token) {
            Some(Rights::All) => true,
            Some(Rights::Blind | Rights::Late) => vmid
                .and_then(|vmid| self.guests.get(&vmid))
                .is_some_and(Guest::is_template),
            Some(Rights::None) | None => false,
        }
    }

    /// VM.Audit. Where a guest is not there only the token that may do everything learns so.
    pub(super) fn may_see(&self, token: &str, vmid: u32) -> bool {
        let guest = self.guests.get(&vmid);
        match self.rights_of(token) {
            Some(Rights::All) => true,
            Some(Rights::Blind) => guest.is_some_and(Guest::is_template),
            Some(Rights::Late) => guest.is_some_and(|guest| {
                guest.is_template() || guest.cloned_by.as_deref() == Some(token)
            }),
            Some(Rights::None) | None => false,
        }
    }

    /// Other tokens' tasks take Sys.Audit, also those of the same user.
    pub(super) fn may_see_task(&self, token: &str, task: &Task) -> bool {
        task.order.owner == token || self.rights_of(token) == Some(Rights::All)
    }
}
