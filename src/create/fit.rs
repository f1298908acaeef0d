//! Whether a template, or a VM that exists, can become what is asked for: all that can be known to be
//! wrong is said before the first change.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use super::failure::not_read;
use super::order::Run;
use crate::ledger::{Growth, Record};
use crate::pve::VmConfig;
use crate::pve::types::Guest;
use crate::say::failure::{Failure, Kind};
use crate::say::shell::word;
use crate::say::vm::{Existing, Vm};
use crate::settings::setup::Unfit;
use crate::steps::FIX_AND_RESUME;

/// Whether a clone of this template can become what is asked for, and what relative sizes come to.
pub fn check_template(run: &Run, template: &Guest) -> Result<BTreeMap<String, Growth>, Failure> {
    let setup = &run.order.setup;
    if !setup.may_not_fit() {
        return Ok(BTreeMap::new());
    }
    let Guest { vmid, node, .. } = template;
    let config = run.server.ask(|pve| pve.vm_config(node, *vmid));
    let config = config.map_err(|source| {
        let what = format!("cannot read the configuration of template {vmid}");
        not_read(what, source)
    })?;
    // The row of a VM that has reused the VMID may still have the deleted template's name and flag.
    let Some(config) = config.filter(|config| config.template) else {
        let words = format!("template {vmid} was removed or moved a moment ago");
        let hint = "'homelab proxmox template list' lists the templates";
        let failure = Failure::new(Kind::TemplateNotFound, words);
        return Err(failure.with_hint(hint.to_owned()));
    };
    let growth = setup.fit_of_template(*vmid, &config).map_err(|unfit| {
        let words = format!("{template} {unfit}");
        Failure::new(Kind::Failed, words).with_hint(unfit.hint())
    })?;
    warn_of_ineffective(run, &config, template, |_| true);
    Ok(growth)
}

/// Whether an existing VM can become what is asked for. Its owner may have changed it since it was
/// created. `known` are the options that are known to have been set and cannot be read.
pub fn check_vm(
    run: &Run,
    existing: &Existing,
    config: &VmConfig,
    known: &BTreeSet<String>,
) -> Result<(), Failure> {
    let setup = &run.order.setup;
    let fit = setup.fit_of_vm(existing.vm.vmid, config);
    fit.map_err(|unfit| unfit_vm(existing, &unfit))?;
    // The user was told of the others when they were set.
    let changes = setup.settings.changes(config, known, existing.created);
    warn_of_ineffective(run, config, &existing.vm, |key| {
        changes.iter().any(|change| change.key == key)
    });
    Ok(())
}

/// The failure where an existing VM does not fit.
pub fn unfit_vm(existing: &Existing, unfit: &Unfit) -> Failure {
    let words = format!("{existing}, but {unfit}");
    let hint = match unfit {
        Unfit::NoAgent { .. } => Some(AGENT_OFF.to_owned()),
        unfit => unfit.hint(),
    };
    Failure::new(Kind::Failed, words)
        .with_hint(hint.unwrap_or_else(|| FIX_AND_RESUME.to_owned()))
        .about(existing.facts())
        .of_existing_vm()
}

/// What to do about a VM whose agent the server does not ask.
pub const AGENT_OFF: &str = "if it is installed in the guest, --set agent=1 enables it from the VM's next \
                             start on";

/// A VM that exists stays where it is, even if another node was asked for. No warning: it may have been
/// moved on purpose, and then a quiet run would say so every night.
pub fn note_if_elsewhere(run: &Run, vm: &Vm) {
    let target = run.order.options.target.as_ref();
    if let Some(target) = target.filter(|target| **target != vm.node) {
        run.progress().note(&format!(
            "{vm} stays there, though --node asks for '{target}'; to move it, on node '{}': qm migrate {} \
             {}",
            vm.node,
            vm.vmid,
            word(&target.0)
        ));
    }
}

/// A VM is not cloned again, even if another template was asked for. Of a VM that is not finished yet that
/// was refused before.
pub fn note_if_from_another_template(run: &Run, vm: &Vm, record: &Record) {
    let Record::Finished(begun) = record else {
        return;
    };
    let (vmid, asked) = (begun.template, &run.order.template);
    if let Some(name) = &begun.template_name
        && name != asked
        && vmid.to_string() != *asked
    {
        run.progress().note(&format!(
            "{vm} was created from template {vmid} '{name}' and stays so, though '{asked}' was asked for"
        ));
    }
}

/// A password among the arguments is warned of each time: other users can see it each time.
pub fn warn_of_exposed_password(run: &Run) {
    if run.order.setup.settings.exposes_password() {
        run.progress().warning(
            "every user of this machine can see the password in --set cipassword=…; --set \
             cipassword=@FILE reads it from a file",
        );
    }
}

fn warn_of_ineffective(
    run: &Run,
    config: &VmConfig,
    of: &impl Display,
    is_meant: impl Fn(&str) -> bool,
) {
    for mut ineffective in run.order.setup.settings.ineffective(config) {
        ineffective.keys.retain(|key| is_meant(key));
        if !ineffective.keys.is_empty() {
            run.progress().warning(&ineffective.warning(of));
        }
    }
}
