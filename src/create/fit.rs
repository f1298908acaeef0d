//! Checks whether a clone of a template, or a VM that exists, can be set up as requested. Known errors
//! are reported before the first change.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use super::failure::not_read;
use super::spec::Run;
use crate::ledger::{Growth, Note, Record};
use crate::pve::VmConfig;
use crate::pve::types::Guest;
use crate::say::failure::{Failure, Kind};
use crate::say::hint::SHOW_TEMPLATES;
use crate::say::shell::word;
use crate::say::vm::{Existing, Vm};
use crate::settings::Settings;
use crate::settings::setup::{AGENT_OFF, Unfit};
use crate::steps::fix_and_resume;

/// A template that fits.
#[derive(Default)]
pub struct FittingTemplate {
    /// The absolute values of relative sizes.
    pub growth: BTreeMap<String, Growth>,
    /// Its configuration, if the check required it.
    pub config: Option<VmConfig>,
}

/// Checks whether a clone of this template can get what is requested.
pub fn check_template(run: &Run, template: &Guest) -> Result<FittingTemplate, Failure> {
    let setup = &run.spec.setup;
    if !setup.may_not_fit() {
        return Ok(FittingTemplate::default());
    }
    let config = template_config(run, template)?;
    let growth = setup
        .fit_of_template(template.vmid, &config)
        .map_err(|unfit| {
            let message = format!("{template} {unfit}");
            Failure::new(Kind::Failed, message).with_hint(unfit.hint())
        })?;
    warn_of_ineffective(run, &config, template, |_| true);
    Ok(FittingTemplate {
        growth,
        config: Some(config),
    })
}

/// The configuration of a template.
pub fn template_config(run: &Run, template: &Guest) -> Result<VmConfig, Failure> {
    let Guest { vmid, node, .. } = template;
    let config = run.server.ask(|pve| pve.vm_config(node, *vmid));
    let config = config.map_err(|source| {
        let what = format!("cannot read the configuration of template {vmid}");
        not_read(what, source)
    })?;
    // The list may still show the name and flag of a deleted template for a VM that has reused its VMID.
    config.filter(|config| config.template).ok_or_else(|| {
        let message = format!("template {vmid} was just deleted or migrated");
        let failure = Failure::new(Kind::TemplateNotFound, message);
        failure.with_hint(SHOW_TEMPLATES.to_owned())
    })
}

/// Checks whether an existing VM can get what is requested. Its owner may have changed it since it was created.
/// `known` are the options that were set earlier and cannot be read.
pub fn check_vm(
    run: &Run,
    existing: &Existing,
    config: &VmConfig,
    known: &BTreeSet<String>,
) -> Result<(), Failure> {
    let setup = &run.spec.setup;
    let fit = setup.fit_of_vm(existing.vm.vmid, config);
    fit.map_err(|unfit| unfit_vm(existing, &unfit))?;
    // The others were warned about when they were set.
    let changes = setup.settings.changes(config, known, existing.created);
    // An import has set them already.
    let is_new = |key: &str| existing.import.is_some() || changes.iter().any(|it| it.key == key);
    warn_of_ineffective(run, config, &existing.vm, is_new);
    Ok(())
}

/// The options that cannot be read and were set earlier to another value, which they keep.
pub fn kept_values<'s>(settings: &'s Settings, config: &'s VmConfig, note: &Note) -> Vec<&'s str> {
    let kept = settings.unreadable(config).filter(|(key, value)| {
        let is_kept = note.set.contains(*key) && config.option(key).is_some();
        let hash = note.hashes.get(*key);
        is_kept && hash.is_some_and(|hash| !value.has_hash(hash))
    });
    kept.map(|(key, _)| key).collect()
}

/// The failure for a VM that cannot get what is requested.
pub fn unfit_vm(existing: &Existing, unfit: &Unfit) -> Failure {
    let message = format!("{existing}, but {unfit}");
    let hint = match unfit {
        Unfit::NoAgent { .. } => Some(AGENT_OFF.to_owned()),
        unfit => unfit.hint(),
    };
    Failure::new(Kind::Failed, message)
        .with_hint(hint.unwrap_or_else(|| fix_and_resume(existing).to_owned()))
        .about(existing.facts())
        .of_existing_vm()
}

/// A VM that exists keeps its node, storage and pool, even if others are requested. That is a note, not a
/// warning: a VM may be migrated on purpose, and a nightly --quiet run must stay silent.
pub fn note_ignored_places(run: &Run, vm: &Vm, record: &Record) {
    let spec = &run.spec;
    let places = record.intent().map(|intent| spec.places(intent));
    let is_ignored = |option: &str, requested: Option<String>| {
        let mut places = places.iter().flatten();
        let recorded = places.find(|(what, ..)| *what == option);
        requested.is_some() && recorded.is_none_or(|(.., recorded)| *recorded != requested)
    };
    let options = [
        ("storage", spec.storage().map(ToString::to_string)),
        (
            "image-storage",
            spec.image()
                .and_then(|image| Some(image.image_storage.as_ref()?.to_string())),
        ),
        ("pool", spec.pool().map(ToString::to_string)),
    ];
    for (option, requested) in options {
        if is_ignored(option, requested) {
            let called = run.called(vm);
            run.progress().note(&format!(
                "{called} already exists, so --{option} has no effect"
            ));
        }
    }
    let target = spec.target();
    if let Some(target) = target.filter(|target| **target != vm.node) {
        run.progress().note(&format!(
            "{} already exists, so --node has no effect; to migrate it, if node '{target}' exists, on node \
             '{}': qm migrate {} {}",
            run.called(vm),
            vm.node,
            vm.vmid,
            word(&target.0)
        ));
    }
}

/// Warns of a password in the arguments, in each run: other users can see it each time.
pub fn warn_of_exposed_password(run: &Run) {
    if run.spec.setup.settings.exposes_password() {
        run.warn(
            "every user of this machine can see the password in --set cipassword=…; --set \
             cipassword=@FILE reads it from a file",
        );
    }
}

fn warn_of_ineffective(
    run: &Run,
    config: &VmConfig,
    of: &impl Display,
    matches: impl Fn(&str) -> bool,
) {
    for mut ineffective in run.spec.setup.settings.ineffective(config) {
        ineffective.keys.retain(|key| matches(key));
        if !ineffective.keys.is_empty() {
            run.warn(&ineffective.warning(of));
        }
    }
}
