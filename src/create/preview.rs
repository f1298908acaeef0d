//! What a run would do, up to its first change.

use std::collections::BTreeMap;

use super::attempt::Attempt;
use super::failure::not_read;
use super::fit::{check_vm, kept_values, template_config};
use super::set_up::{not_changed, sizes};
use super::spec::Run;
use crate::pve::types::{Guest, Vmid};
use crate::pve::{Size, VmConfig};
use crate::say::failure::{Failure, Kind};
use crate::say::vm::{Existing, Vm};
use crate::settings::Change;
use crate::settings::resize::NewSize;

/// What a run would do.
#[derive(Debug)]
pub struct Preview {
    /// The VM. The VMID of a new one is free now.
    pub vm: Vm,
    /// Where the VM comes from.
    pub origin: Origin,
    /// The disks that the VM would have, CD drives aside.
    pub disks: Vec<PlannedDisk>,
    /// The options that would be changed from their values in the template or in the existing VM.
    pub changes: Vec<Change>,
    /// Whether the VM would be started: it is to run, and does not yet.
    pub would_start: bool,
    /// The warnings about the request, and those of the task that created an existing VM.
    pub warnings: Vec<String>,
}

/// Where a VM comes from.
#[derive(Debug)]
pub enum Origin {
    /// It would be cloned from this template, which has this configuration.
    Template(Box<(Guest, VmConfig)>),
    /// It exists. It was created by an earlier run that did not finish it.
    EarlierRun,
    /// It exists.
    Existing,
}

/// A disk that a VM would have.
#[derive(Debug)]
pub struct PlannedDisk {
    /// Its key in the VM's configuration: `scsi0`.
    pub key: String,
    /// Its storage, if it is on one.
    pub storage: Option<String>,
    /// Its size, if the configuration contains it.
    pub size: Option<Size>,
    /// Its size in the template or in the existing VM, if it would be grown.
    pub grown_from: Option<Size>,
    /// Whether `--set` adds it.
    pub is_new: bool,
}

impl Preview {
    /// A clone of this template to this VMID.
    pub fn of_clone(
        attempt: &mut Attempt,
        template: Guest,
        vmid: Vmid,
    ) -> Result<Preview, Failure> {
        let run = attempt.run;
        let config = match attempt.template_config.take() {
            Some(config) => config,
            None => template_config(run, &template)?,
        };
        let setup = &run.spec.setup;
        let growth = attempt.growth.take().unwrap_or_default();
        let size = |disk: &str, to| match to {
            NewSize::Absolute(size) => Some(size),
            NewSize::MoreThanTemplate(_) => growth.get(disk).map(|growth| growth.to),
        };
        let resizes = setup.resizes.iter();
        let sizes = resizes.filter_map(|it| Some((it.disk.clone(), size(&it.disk, it.to)?)));
        let mut disks = disks(run, &config, &sizes.collect());
        if let Some(storage) = run.spec.storage() {
            for disk in disks.iter_mut().filter(|disk| !disk.is_new) {
                disk.storage = Some(storage.0.clone());
            }
        }
        Ok(Preview {
            vm: run.vm(vmid, run.node_for(&template)),
            disks,
            changes: setup.settings.changes(&config, &[].into(), true),
            origin: Origin::Template(Box::new((template, config))),
            would_start: setup.start,
            warnings: run.warnings.take(),
        })
    }

    /// The steps on a VM that exists.
    pub fn of_vm(attempt: &Attempt, existing: Existing) -> Result<Preview, Failure> {
        let (run, Vm { vmid, node, .. }) = (attempt.run, &existing.vm);
        let setup = &run.spec.setup;
        let config = config_of(run, &existing)?;
        let note = attempt.journal.note_of(*vmid);
        if setup.may_not_fit() {
            check_vm(run, &existing, &config, &note.set)?;
        }
        let sizes = sizes(setup, &existing, attempt.journal.record())?;
        for key in kept_values(&setup.settings, &config, &note) {
            run.warn(&not_changed(key, &existing.vm));
        }
        let is_running = || {
            let status = run.server.ask(|pve| pve.vm_status(node, *vmid));
            let running = status.map(|status| status.is_some_and(|it| it.is_running()));
            running.map_err(|error| {
                not_read(format!("cannot read the status of {}", existing.vm), error)
            })
        };
        let would_start = setup.start && !is_running()?;
        let changes = setup.settings.changes(&config, &note.set, existing.created);
        for warning in &existing.warnings {
            run.warn(warning);
        }
        Ok(Preview {
            disks: disks(run, &config, &sizes.into_iter().collect()),
            changes,
            origin: if existing.created {
                Origin::EarlierRun
            } else {
                Origin::Existing
            },
            vm: existing.vm,
            would_start,
            warnings: run.warnings.take(),
        })
    }

    /// The template that would be cloned, unless the VM exists.
    pub fn template(&self) -> Option<&Guest> {
        match &self.origin {
            Origin::Template(template) => Some(&template.0),
            Origin::EarlierRun | Origin::Existing => None,
        }
    }

    /// Whether the VM exists and would stay as it is.
    pub fn changes_nothing(&self) -> bool {
        let is_same = |disk: &PlannedDisk| !disk.is_new && disk.grown_from.is_none();
        self.template().is_none()
            && self.changes.is_empty()
            && self.disks.iter().all(is_same)
            && !self.would_start
    }
}

/// The configuration of a VM that exists, which may have been read before.
fn config_of(run: &Run, existing: &Existing) -> Result<VmConfig, Failure> {
    let (vm, Vm { vmid, node, .. }) = (&existing.vm, &existing.vm);
    if let Some(config) = &existing.config {
        return Ok(config.clone());
    }
    let config = run.server.ask(|pve| pve.vm_config(node, *vmid));
    let config = config
        .map_err(|source| not_read(format!("cannot read the configuration of {vm}"), source))?;
    config.ok_or_else(|| {
        let message = format!("{vm} was just deleted or migrated");
        Failure::new(Kind::Failed, message).about(existing.facts())
    })
}

/// The disks in a configuration with at least these sizes, and those that `--set` adds.
fn disks(run: &Run, config: &VmConfig, sizes: &BTreeMap<String, Size>) -> Vec<PlannedDisk> {
    let storage_of = |key: &str| {
        let mut volumes = config.volumes();
        let volume = volumes.find(|(volume, ..)| *volume == key);
        volume.map(|(.., storage)| storage.to_owned())
    };
    let present = config.disks().into_iter().map(|key| {
        let current = config.size_of(&key);
        let larger = sizes.get(&key).filter(|size| Some(**size) > current);
        PlannedDisk {
            storage: storage_of(&key),
            size: larger.copied().or(current),
            grown_from: current.filter(|_| larger.is_some()),
            is_new: false,
            key,
        }
    });
    let new = run.spec.setup.settings.new_disks(config);
    let new = new.map(|(key, storage, size)| PlannedDisk {
        key: key.to_owned(),
        storage: Some(storage.to_owned()),
        size,
        grown_from: None,
        is_new: true,
    });
    present.chain(new).collect()
}
