//! Sets up a VM that exists as requested: settings, disks, start, address.

use super::attempt::Attempt;
use super::fit::{check_vm, kept_values, unfit_vm};
use super::journal::Journal;
use super::spec::Run;
use crate::ledger::{Event, Record};
use crate::pve::{Size, VmConfig};
use crate::say::failure::{Failure, Started};
use crate::say::shell::word;
use crate::say::stage::{Stage, Step};
use crate::say::vm::{Existing, Vm};
use crate::settings::resize::{NewSize, Resize};
use crate::settings::setup::{Setup, Unfit};
use crate::settings::{Change, Settings};
use crate::steps::address::AwaitAddress;
use crate::steps::convert::{Convert, is_converted};
use crate::steps::power::Start;
use crate::steps::{ActiveStep, Engine, Next, Stop};
use crate::ui::progress::Activity;

/// Carries out each step that is not done yet. If the VM was destroyed meanwhile, its record is ended: it must
/// not apply to the next VM that gets its VMID.
pub fn set_up(run: &Run, existing: Existing, mut attempt: Attempt) -> Result<Existing, Failure> {
    let (vmid, is_created) = (existing.vm.vmid, existing.created);
    take_steps(run, existing, &mut attempt).map_err(|mut failure| {
        if is_created && failure.facts.started == Started::No {
            let failed = Event::Failed(vmid);
            attempt.journal.write(failed, Stage::NothingStarted);
            if attempt.creation.undecided {
                failure.facts.started = Started::Unknown;
            }
        }
        attempt.with_pending_request(failure)
    })
}

fn take_steps(
    run: &Run,
    mut existing: Existing,
    attempt: &mut Attempt,
) -> Result<Existing, Failure> {
    let setup = &run.spec.setup;
    if let (Some(_), Some(config)) = (run.spec.image(), &existing.config)
        && (config.template && !existing.created || is_converted(config, existing.vm.vmid))
    {
        warn_of_differences(run, &existing, config, attempt);
        return Ok(finished(run, existing, attempt));
    }
    warn_of_kept_bridge(run, &existing);
    let mask = |text| setup.settings.masked_in(text);
    let engine = Engine {
        server: run.server,
        mask: &mask,
        pool: run.spec.pool(),
    };
    // A new clone needs no check: its template passed it.
    let is_checked = existing.created && attempt.growth.is_some();
    if setup.may_not_fit() && !is_checked {
        let config = read_config(engine, &mut existing)?;
        let known = attempt.journal.note_of(existing.vm.vmid).set;
        check_vm(run, &existing, &config, &known)?;
    }
    let sizes = sizes(setup, &existing, attempt.journal.record())?;
    configure(engine, &setup.settings, &mut existing, &mut attempt.journal)?;
    for (disk, size) in sizes {
        let step = Step::Resize(disk.clone(), size);
        engine.run(&mut existing, step, &mut |active: &mut ActiveStep| {
            resize(active, &disk, size)
        })?;
    }
    if setup.start {
        engine.run(&mut existing, Step::Start, &mut Start::default())?;
    }
    if let Some(from) = &setup.address {
        engine.run(&mut existing, Step::Address, &mut AwaitAddress::new(from))?;
    }
    if run.spec.image().is_some() {
        engine.run(&mut existing, Step::Convert, &mut Convert::default())?;
    }
    Ok(finished(run, existing, attempt))
}

/// Records that nothing is left to do.
fn finished(run: &Run, existing: Existing, attempt: &mut Attempt) -> Existing {
    let stage = Stage::Done(existing.clone());
    match attempt.journal.record() {
        Record::Created(created) if created.vmid == existing.vm.vmid => {
            let finished = Event::Finished(existing.vm.vmid);
            attempt.journal.write(finished, stage);
        }
        _ => run.progress().set_stage(stage),
    }
    existing
}

/// Warns of what was requested and differs in a template that exists: it is not changed.
fn warn_of_differences(run: &Run, existing: &Existing, config: &VmConfig, attempt: &Attempt) {
    let setup = &run.spec.setup;
    let known = attempt.journal.note_of(existing.vm.vmid).set;
    let changes = setup.settings.changes(config, &known, false);
    // Whether a password is another one cannot be read.
    let has_password = config.option("cipassword").is_some();
    let changes = changes
        .into_iter()
        .filter(|it| !has_password || it.key != "cipassword");
    let differs = |Change { key, from, to, .. }: Change| {
        let requested = to.map_or_else(|| key.clone(), |to| format!("{key}={to}"));
        match from {
            Some(from) => format!("{key}={from}, not {requested}"),
            None => format!("no {requested}"),
        }
    };
    let smaller = setup.resizes.iter().filter_map(|Resize { disk, to }| {
        let current = config.size_of(disk)?;
        match to {
            NewSize::Absolute(size) if current < *size => {
                Some(format!("{disk} of {current}, not {size}"))
            }
            _ => None,
        }
    });
    let bridge = run
        .spec
        .image()
        .and_then(|image| image.other_bridge(config));
    let bridge = bridge.map(|(other, existing)| format!("bridge={existing}, not bridge={other}"));
    let different: Vec<String> = changes.map(differs).chain(smaller).chain(bridge).collect();
    if !different.is_empty() {
        run.warn(&format!(
            "{} already exists and is not changed; it has {}",
            run.called(&existing.vm),
            different.join("; ")
        ));
    }
}

/// Warns of another bridge than the one with which an earlier run has imported the VM.
fn warn_of_kept_bridge(run: &Run, existing: &Existing) {
    let (Some(image), Some(config)) = (run.spec.image(), &existing.config) else {
        return;
    };
    if let Some((requested, kept)) = image.other_bridge(config) {
        let Vm { vmid, node, .. } = &existing.vm;
        run.warn(&format!(
            "{} was created with bridge {kept} and keeps it; to change it, on node '{node}': qm set {vmid} --net0 {}",
            existing.vm,
            word(&format!("virtio,bridge={requested}"))
        ));
    }
}

/// The minimum sizes of the disks. A relative size was resolved when the clone was requested. If it was not,
/// it cannot be resolved now: the template may have changed.
pub fn sizes(
    setup: &Setup,
    existing: &Existing,
    record: &Record,
) -> Result<Vec<(String, Size)>, Failure> {
    let resolved = record
        .intent()
        .filter(|intent| intent.vmid == existing.vm.vmid);
    let size = |Resize { disk, to }: &Resize| {
        let size = match *to {
            NewSize::Absolute(size) => size,
            NewSize::MoreThanTemplate(by) => {
                let disk = disk.clone();
                let growth = resolved.and_then(|intent| intent.growth.get(&disk));
                let growth =
                    growth.ok_or_else(|| unfit_vm(existing, &Unfit::SizeUnknown { disk, by }))?;
                growth.to.minus(growth.by).plus(by)
            }
        };
        Ok((disk.clone(), size))
    };
    setup.resizes.iter().map(size).collect()
}

fn configure(
    engine: Engine,
    settings: &Settings,
    existing: &mut Existing,
    journal: &mut Journal,
) -> Result<(), Failure> {
    if settings.is_empty() {
        return Ok(());
    }
    let mut note = journal.note_of(existing.vm.vmid);
    let (known, new) = (&note.set, existing.created);
    let config = read_config(engine, existing)?;
    for key in kept_values(settings, &config, &note) {
        let warning = not_changed(key, &existing.vm);
        engine.server.progress.warning(&warning);
    }
    let is_kept = |key: &str| known.contains(key) && config.option(key).is_some();
    let sent = settings
        .unreadable(&config)
        .filter(|(key, _)| !is_kept(key));
    let hashes: Vec<_> = sent
        .map(|(key, value)| ((*key).to_owned(), value.hash()))
        .collect();
    let has_changed = engine.run(existing, Step::Configure, &mut |active: &mut ActiveStep| {
        let config = active.config()?;
        let changes = settings.changes(&config, known, new);
        if changes.is_empty() {
            return Ok(Next::Done);
        }
        active.announce(&Activity::Configuring(&listed(&changes)));
        let digest = config.digest();
        Ok(Next::Last(Box::new(move |pve, vm| {
            let changes = changes.iter();
            let changes = changes.map(|change| (change.key.as_str(), change.value.expose()));
            // A request that arrives late finds another digest.
            let digest = digest.iter().map(|digest| ("digest", digest.as_str()));
            let options: Vec<(&str, &str)> = changes.chain(digest).collect();
            pve.configure(&vm.node, vm.vmid, &options).map(|()| None)
        })))
    })?;
    if has_changed && !new {
        engine.server.progress.note(&format!(
            "If VM {} is running, stop and start it to apply all changes (a reboot inside the guest is not enough)",
            existing.vm.vmid
        ));
    }
    if !hashes.is_empty() {
        note.set.extend(hashes.iter().map(|(key, _)| key.clone()));
        note.hashes.extend(hashes);
        journal.write_note(note);
    }
    Ok(())
}

/// The warning about an option that cannot be read and keeps the value that was set earlier.
pub fn not_changed(key: &str, vm: &Vm) -> String {
    let Vm { vmid, node, .. } = vm;
    format!(
        "{key} of {vm} was set earlier and is kept; to change it, on node '{node}': qm set {vmid} --{key}"
    )
}

fn listed(changes: &[Change]) -> String {
    let shown: Vec<&str> = changes.iter().map(|change| change.shown.as_str()).collect();
    shown.join(", ")
}

/// Grows a disk to at least this size. A larger disk stays as it is.
fn resize<'q>(active: &mut ActiveStep, disk: &'q str, size: Size) -> Result<Next<'q>, Stop> {
    let config = active.config()?;
    let current = config.size_of(disk);
    if current.is_some_and(|current| current >= size) {
        return Ok(Next::Done);
    }
    active.announce(&Activity::Resizing(disk, size));
    let digest = config.digest();
    Ok(Next::Last(Box::new(move |pve, vm| {
        let digest = digest.as_deref();
        pve.resize_disk(&vm.node, vm.vmid, disk, size, digest)
    })))
}

/// The configuration of a VM, read with the patience of a step.
fn read_config(engine: Engine, existing: &mut Existing) -> Result<VmConfig, Failure> {
    let mut config = VmConfig::default();
    engine.run(existing, Step::Configure, &mut |active: &mut ActiveStep| {
        config = active.config()?;
        Ok(Next::Done)
    })?;
    Ok(config)
}
