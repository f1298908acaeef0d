//! Reads the state of the VM of a step, once per turn, and checks that it is still the same VM.

use crate::guests::owner::{Expected, VmidState};
use crate::pve::types::{Guest, VmName};
use crate::pve::{self, Pve, VmConfig, VmStatus};
use crate::say::vm::{NamedBy, Vm};
use crate::steps::{ActiveStep, Cause, Stop, Trouble};
use crate::wait::GaveUp;
use crate::wait::server::Judged;

impl ActiveStep<'_> {
    /// The VM's configuration, read again only if something was changed since. An error if the VM no longer
    /// exists. A VM that was migrated is found on its new node.
    pub fn config(&mut self) -> Result<VmConfig, Stop> {
        if let Some(config) = &self.unfinished.existing.config {
            return Ok(config.clone());
        }
        let named_by = self.unfinished.existing.named_by;
        let import = self.existing().import.clone();
        let expected = match &import {
            Some(import) => Expected::WithUuid(&import.uuid),
            None => Expected::AnyVm,
        };
        let found = self.read(|pve, vm| VmidState::of(pve, vm, expected))?;
        let now = self.budget().clock.elapsed();
        let since = *self.missing_since.get_or_insert(now);
        let is_early = now < since + self.budget().restart_time();
        let (vm, config) = match found {
            VmidState::Ours(vm, config) => (vm, config),
            other if named_by.is_some() => return self.other_than_named(other, is_early),
            other => return self.other_than_created(other, is_early),
        };
        self.missing_since = None;
        let existing = &mut self.unfinished.existing;
        let identity = config.identity();
        if !existing
            .identity
            .get_or_insert(identity.clone())
            .may_match(&identity)
        {
            return Err(Cause::replaced_by(&config.into_guest(vm.vmid, vm.node)).into());
        }
        existing.vm = vm;
        existing.config = Some(config.clone());
        Ok(config)
    }

    /// The VMID is in this state, and not that of the VM that the user named.
    fn other_than_named(&mut self, state: VmidState, is_early: bool) -> Result<VmConfig, Stop> {
        let existing = &mut self.unfinished.existing;
        let is_first = existing.identity.is_none();
        Err(match state {
            // The list may show the name of an earlier VM with this VMID.
            VmidState::Another(guest)
                if is_first && existing.named_by == Some(NamedBy::Vmid) && guest.is_vm() =>
            {
                let vm = &mut existing.vm;
                (vm.name, vm.node) = (VmName::of_guest(&guest), guest.node);
                return self.config();
            }
            VmidState::Another(guest) if is_first && guest.template => Cause::is_template().into(),
            // A task is deleting it, or was cut off while it did.
            VmidState::Another(guest) if guest.lock.as_deref() == Some("destroyed") => {
                if is_early {
                    self.not_yet()
                } else {
                    Cause::half_deleted(self.vm()).into()
                }
            }
            VmidState::Another(guest) => self.cause_of(&guest)?.into(),
            VmidState::BeingCreated { .. } if is_first => Cause::being_created().into(),
            // A complete VM does not become an incomplete one.
            VmidState::BeingCreated { .. } => Cause::replaced_by_new_vm().into(),
            VmidState::Free => Cause::Gone { vmid_has: None }.into(),
            state if is_early => self.not_yet_because_of(&state)?,
            _ => Cause::not_found(self.existing()).into(),
        })
    }

    /// The VMID is in this state, and not that of a VM that this command created or found.
    fn other_than_created(&mut self, state: VmidState, is_early: bool) -> Result<VmConfig, Stop> {
        Err(match state {
            VmidState::Another(guest) => self.cause_of(&guest)?.into(),
            state if is_early => self.not_yet_because_of(&state)?,
            VmidState::BeingCreated { .. } => Cause::replaced_by_new_vm().into(),
            _ => Cause::Gone { vmid_has: None }.into(),
        })
    }

    /// The configuration of a new or migrated VM may not have reached every node yet.
    fn not_yet_because_of(&mut self, state: &VmidState) -> Result<Stop, Stop> {
        if let VmidState::Hidden | VmidState::Appeared = state {
            // The failure of this request says which privilege is missing.
            self.read(|pve, vm| pve.vm_config(&vm.node, vm.vmid))?;
        }
        Ok(self.not_yet())
    }

    /// Reads the configuration again: the VM may have been migrated or destroyed.
    pub fn read_config_again(&mut self) -> Result<VmConfig, Stop> {
        self.unfinished.existing.config = None;
        self.config()
    }

    /// Ends the operation with this cause, or because the VM no longer exists, if that is why.
    pub fn gone_or(&mut self, cause: Cause) -> Stop {
        match self.read_config_again() {
            Err(Stop::Failed(gone @ (Cause::Gone { .. } | Cause::State { .. }))) => gone.into(),
            Err(Stop::NotYet) => Stop::NotYet,
            Ok(_) | Err(Stop::Failed(_)) => cause.into(),
        }
    }

    /// Why this guest, which has the VMID now, is not the VM.
    fn cause_of(&mut self, guest: &Guest) -> Result<Cause, Stop> {
        let mut identity = None;
        if !guest.is_container() {
            let config = self.read(|pve, _| pve.vm_config(&guest.node, guest.vmid))?;
            identity = config.map(|config| config.identity());
        }
        let existing = &self.unfinished.existing;
        let is_same = existing
            .identity
            .as_ref()
            .zip(identity)
            .is_some_and(|(first, now)| first.may_match(&now));
        Ok(match &guest.name {
            Some(name) if is_same && name == existing.vm.name.as_str() => Cause::is_template(),
            Some(name) if is_same => Cause::renamed(existing, name, &guest.node),
            _ => Cause::replaced_by(guest),
        })
    }

    /// The status of the VM according to QEMU. Once a change was requested, failed reads are repeated until the
    /// time limit. A VM that is missing on its node may have been migrated or destroyed.
    pub fn status(&mut self) -> Result<VmStatus, Stop> {
        let read = |pve: &Pve, vm: &Vm| pve.vm_status(&vm.node, vm.vmid);
        let status = if self.has_requested {
            let status = self.watch(read)?;
            status.map_err(|error| {
                let cause = self.outcome_unknown(GaveUp::Failed(error));
                self.gone_or(cause)
            })?
        } else {
            self.read(read)?
        };
        if let Some(status) = status {
            return Ok(status);
        }
        self.read_config_again()?;
        Err(self.not_yet())
    }

    /// The status of the VM, if it is still the same one. A status does not show whose it is, so the
    /// configuration of a VM that the user named is read again after it.
    pub fn status_of_same_vm(&mut self) -> Result<VmStatus, Stop> {
        // It may have been migrated to another node.
        self.config()?;
        let status = self.status()?;
        self.check_same_vm()?;
        Ok(status)
    }

    /// Reads the configuration of a VM that the user named again: another VM may have its VMID.
    pub fn check_same_vm(&mut self) -> Result<(), Stop> {
        if self.existing().named_by.is_some() {
            self.read_config_again()?;
        }
        Ok(())
    }

    /// Sends a change that changes nothing, right before one that must not reach another VM. Fails if the cluster
    /// has no quorum. If the token may not send it, most nodes must be online. After a change by somebody else
    /// the configuration is read again.
    pub fn confirm_unchanged(&mut self) -> Result<(), Stop> {
        let config = self.config()?;
        let is_confirmed = match (&config.name, config.digest()) {
            (Some(name), Some(digest)) => self.confirm_by_change(name, &digest)?,
            _ => false,
        };
        if is_confirmed {
            return Ok(());
        }
        let nodes = self.read(|pve, _| pve.nodes())?;
        let online = nodes.iter().filter(|node| node.is_online).count();
        if online * 2 > nodes.len() {
            // Nothing has checked the identity since the configuration was read.
            self.read_config_again()?;
            return Ok(());
        }
        let why = format!("only {online} of its {} nodes are online", nodes.len());
        Err(self.no_quorum(&why).into())
    }

    fn no_quorum(&self, why: &str) -> Cause {
        Cause::no_quorum(self.existing(), why, self.has_requested)
    }

    /// Whether the token may send the change.
    fn confirm_by_change(&mut self, name: &str, digest: &str) -> Result<bool, Stop> {
        let options = [("name", name), ("digest", digest)];
        let result = self.read(|pve, vm| match pve.configure(&vm.node, vm.vmid, &options) {
            Err(error @ (pve::Error::Refused { .. } | pve::Error::NoQuorum { .. })) => {
                Ok(Err(error))
            }
            result => result.map(Ok),
        })?;
        let Err(error) = result else { return Ok(true) };
        match &error {
            pve::Error::Refused { status: 403, .. } => Ok(false),
            pve::Error::NoQuorum {
                is_another_left: true,
                ..
            } => Err(Stop::NotYet),
            pve::Error::NoQuorum { message, .. } => Err(self.no_quorum(message).into()),
            pve::Error::Refused { message, .. } if self.temporary(message).is_some() => {
                self.trouble = Some(Trouble::Message(message.clone()));
                self.unfinished.existing.config = None;
                Err(Stop::NotYet)
            }
            // An earlier request may still be carried out.
            _ if self.is_undecided => Err(self.outcome_unknown(GaveUp::Failed(error)).into()),
            _ => Err(self.request_failed(error).into()),
        }
    }

    /// Reads what must be known before a change. After a request with an unknown outcome, failed reads are
    /// repeated until the time limit.
    pub fn read<T>(
        &mut self,
        read: impl FnOnce(&Pve, &Vm) -> Result<T, pve::Error>,
    ) -> Result<T, Stop> {
        let result = read(self.engine.server.pve, self.vm());
        match self.judge(self.is_undecided, result)? {
            Ok(answer) => Ok(answer),
            Err(error) if self.is_undecided => {
                Err(self.outcome_unknown(GaveUp::Failed(error)).into())
            }
            Err(error) => Err(self.request_failed(error).into()),
        }
    }

    /// Reads what shows the effect of a request that was carried out. Failed reads are repeated until the time
    /// limit.
    pub fn watch<T>(
        &mut self,
        read: impl FnOnce(&Pve, &Vm) -> Result<T, pve::Error>,
    ) -> Result<Result<T, pve::Error>, Stop> {
        let result = read(self.engine.server.pve, self.vm());
        self.judge(true, result)
    }

    pub(super) fn judge<T>(
        &mut self,
        is_ongoing: bool,
        result: Result<T, pve::Error>,
    ) -> Result<Result<T, pve::Error>, Stop> {
        let judged = self
            .engine
            .server
            .judge(is_ongoing, &mut self.grace, result);
        match judged {
            Ok(Judged::Answered(answer)) => Ok(Ok(answer)),
            Ok(Judged::Failed(error)) => {
                self.trouble = Some(Trouble::Request(error));
                Err(Stop::NotYet)
            }
            Ok(Judged::CutShort(error)) => {
                self.trouble.get_or_insert(Trouble::Request(error));
                Err(Stop::NotYet)
            }
            Err(error) => Ok(Err(error)),
        }
    }

    fn not_yet(&mut self) -> Stop {
        self.trouble = Some(Trouble::Nothing);
        Stop::NotYet
    }
}
