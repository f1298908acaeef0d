//! Whether the VM is there already, or another guest is where it shall be.

use std::path::PathBuf;

use snafu::ResultExt;

use super::error::{
    AlreadyExistsSnafu, AmbiguousSnafu, Error, LookAtVmSnafu, NameMayBeTakenSnafu, Unseen,
    VmidTakenSnafu, Whose,
};
use super::run::{Ready, Run};
use super::sight::{Prospect, Settled, Sought};
use crate::guests::Guests;
use crate::ledger::Claim;
use crate::pve::VmConfig;
use crate::pve::types::{Guest, Vmid};
use crate::say::shell::word;
use crate::say::stage::{Stage, Vm};

/// The VM of that name, if there is one: Proxmox would make a second one without a word.
pub fn vm_of_that_name(
    run: &Run,
    guests: &Guests,
    template: &Guest,
) -> Result<Option<Ready>, Error> {
    let name = run.plan.name.as_str();
    let mut holders = holders(run, guests.vms_with_row_named(name))?;
    if holders.is_empty() {
        holders = self::holders(run, guests.vms_behind_rows_named(name))?;
    }
    if holders.is_empty() {
        return refuse_if_in_doubt(run, guests).map(|()| None);
    }
    let is_meant = |holder: &&Guest| run.plan.vmid.is_none_or(|vmid| vmid == holder.vmid);
    let meant: Vec<&Guest> = holders.iter().filter(is_meant).collect();
    let name = run.plan.name.clone();
    match meant[..] {
        [holder] if run.plan.ensure => {
            let vm = run.vm(holder.vmid, &holder.node);
            tell_if_being_cloned(run, holder);
            match settled(run, &vm, template)? {
                Settled::Ours(node) => exists(run, Vm { node, ..vm }).map(Some),
                Settled::Free | Settled::Anothers(_) => Ok(None),
                Settled::Hidden => {
                    let token = run.token();
                    Err(Error::CannotSee { vm, token })
                }
            }
        }
        [_, _, ..] if run.plan.ensure => AmbiguousSnafu { name, holders }.fail(),
        _ => AlreadyExistsSnafu {
            name,
            holders,
            ensure: run.plan.ensure,
        }
        .fail(),
    }
}

/// Those that have the name indeed: a reused VMID keeps the dead guest's name in its row for
/// seconds, and only the VM's configuration is the truth.
fn holders<'g>(run: &Run, vms: impl Iterator<Item = &'g Guest>) -> Result<Vec<Guest>, Error> {
    let name = &run.plan.name;
    let is_holder =
        |config: VmConfig| !config.template && config.name.as_deref() == Some(name.as_str());
    let mut holders = Vec::new();
    for vm in vms {
        let config = run.server.ask(|pve| pve.vm_config(&vm.node, vm.vmid));
        let config = config.with_context(|_| LookAtVmSnafu {
            vmid: vm.vmid,
            name: name.clone(),
        })?;
        if config.is_some_and(is_holder) {
            holders.push(vm.clone());
        }
    }
    Ok(holders)
}

fn refuse_if_in_doubt(run: &Run, guests: &Guests) -> Result<(), Error> {
    let name = run.plan.name.clone();
    let doubts = guests.doubts().join("; ");
    if doubts.is_empty() {
        return Ok(());
    }
    if run.plan.vmid.is_none() {
        return NameMayBeTakenSnafu { name, doubts }.fail();
    }
    // Whoever names the VMID knows which VM is meant, even if another one bears its name.
    run.progress
        .warning(&format!("another VM may be named '{name}': {doubts}"));
    Ok(())
}

/// Who has the only VMID that will do, once nothing is in the making there. `None` if it has become
/// free.
pub fn vm_of_that_vmid(
    run: &Run,
    rival: Option<&Guest>,
    vmid: Vmid,
    template: &Guest,
) -> Result<Option<Ready>, Error> {
    if !run.plan.ensure {
        let guest = rival.cloned();
        return VmidTakenSnafu { vmid, guest }.fail();
    }
    if let Some(rival) = rival {
        tell_if_being_cloned(run, rival);
    }
    let vm = run.vm(vmid, rival.map_or(&template.node, |rival| &rival.node));
    match settled(run, &vm, template)? {
        Settled::Free => Ok(None),
        Settled::Ours(node) => exists(run, Vm { node, ..vm }).map(Some),
        Settled::Anothers(guest) => VmidTakenSnafu { vmid, guest }.fail(),
        Settled::Hidden => VmidTakenSnafu { vmid, guest: None }.fail(),
    }
}

fn tell_if_being_cloned(run: &Run, guest: &Guest) {
    if guest.is_being_cloned() {
        let vmid = guest.vmid;
        run.progress
            .note(&format!("Waiting for whoever is making VM {vmid}..."));
    }
}

/// A VM that is there stays where it is, be that not where the user wants it. No warning: it may have
/// been moved on purpose, and then a quiet run would say so every night.
pub fn tell_if_elsewhere(run: &Run, ready: &Ready) {
    let target = run.plan.options.target.as_ref();
    if let Some(target) = target.filter(|target| **target != ready.node) {
        let vm = run.vm(ready.vmid, &ready.node);
        run.progress.note(&format!(
            "{vm} stays there, though --node asks for '{target}'; to move it, on node '{}': qm migrate \
             {} {}",
            ready.node,
            ready.vmid,
            word(&target.0)
        ));
    }
}

/// What there is at a VMID where no clone of this run is under way, once nothing is in the making
/// there.
fn settled(run: &Run, vm: &Vm, template: &Guest) -> Result<Settled, Error> {
    let sought = Sought {
        vm: vm.clone(),
        template: Some((template.vmid, template.node.clone())),
        prospect: Prospect::NotOurs,
    };
    run.progress.at(Stage::InTheWay(vm.clone()));
    settle(run, &sought, Whose::Anybodys, PathBuf::new())
}

/// The same where an earlier run has made a VM, which may have any disks by now.
pub fn settled_as_made(run: &Run, vm: &Vm, is_finished: bool) -> Result<Settled, Error> {
    let sought = Sought {
        vm: vm.clone(),
        template: None,
        prospect: Prospect::NotOurs,
    };
    run.progress.at(Stage::InTheWay(vm.clone()));
    settle(run, &sought, Whose::Made { is_finished }, PathBuf::new())
}

/// The same where an earlier run's clone may still come, for which nobody can ask any more.
pub fn settled_by_itself(run: &Run, vm: &Vm, claim: &Claim) -> Result<Settled, Error> {
    let sought = Sought {
        vm: vm.clone(),
        template: None,
        prospect: Prospect::MayCome,
    };
    run.progress.at(Stage::Undecided(vm.clone()));
    settle(run, &sought, Whose::AskedFor, claim.path().to_owned())
}

fn settle(run: &Run, sought: &Sought, whose: Whose, claim: PathBuf) -> Result<Settled, Error> {
    let now = run.server.budget.clock.elapsed();
    let unseen = Unseen {
        vm: sought.vm.clone(),
        whose,
        claim,
        seconds: run.server.budget.total.as_secs_f64(),
        lost: None,
    };
    sought
        .settled(run.server, now)
        .map_err(|unclear| unseen.because(unclear))
}

/// It was there before, which is what the user wants or the very thing to be told.
pub fn exists(run: &Run, vm: Vm) -> Result<Ready, Error> {
    let is_meant = run.plan.vmid.is_none_or(|vmid| vmid == vm.vmid);
    if !run.plan.ensure || !is_meant {
        let ensure = run.plan.ensure;
        return Err(Error::Exists { vm, ensure });
    }
    Ok(Ready {
        vmid: vm.vmid,
        node: vm.node,
        created: false,
        upid: None,
        ip: None,
        warnings: Vec::new(),
    })
}
