//! Updates the ledger and the progress in one call, so that they cannot disagree.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::pending::{damaged, name_locked, no_ledger, pending_elsewhere};
use super::spec::Run;
use crate::ledger::{self, Event, Intent, Ledger, Lock, Note, Record};
use crate::pve::types::Vmid;
use crate::say::failure::{Failure, chain};
use crate::say::stage::Stage;
use crate::wait::{GaveUp, Poll, Retry};

/// The ledger of the VM's name, locked for this run.
pub struct Journal<'r> {
    run: &'r Run<'r>,
    ledger: Ledger,
}

impl Drop for Journal<'_> {
    /// Waits while a signal is handled: the handler may remove the file too, and then another run may already
    /// have a new one at the path.
    fn drop(&mut self) {
        let _stage = self.run.progress().stage();
        self.ledger = Ledger::without_file();
    }
}

impl<'r> Journal<'r> {
    /// Locks the ledger; with `--ensure`, waits until a run that holds the lock has ended. Must be called
    /// before the first request, so that everything is read after that run's last change. A dry run only reads
    /// the ledger.
    pub fn open(run: &'r Run<'r>) -> Result<Journal<'r>, Failure> {
        let open = if run.preview_only {
            Ledger::read
        } else {
            Ledger::lock
        };
        let (mut holder, mut is_second_try) = (None, false);
        let locked = run.server.budget.poll_until_done(
            |_| Retry::Never,
            || match open(run.state, &run.spec.name) {
                Ok(Lock::Ours(ledger, written)) => Ok(Poll::Done((ledger, written))),
                Ok(Lock::HeldBy(process)) if run.spec.ensure => {
                    if holder.is_none() {
                        run.progress().note(&format!(
                            "Waiting for another run that is creating the same {}...",
                            run.spec.noun()
                        ));
                    }
                    holder = Some(process);
                    run.progress().set_stage(Stage::WaitingForRun(process));
                    Ok(Poll::NotYet)
                }
                // It has the lock and is about to write its process id.
                Ok(Lock::HeldBy(None)) if !is_second_try => {
                    is_second_try = true;
                    Ok(Poll::NotYet)
                }
                Ok(Lock::HeldBy(holder)) => Err(name_locked(&run.spec, holder, None)),
                Err(ledger::Error::Damaged { path, source }) => Err(damaged(&path, &source)),
                Err(source) => Ok(Poll::Done((Ledger::without_file(), Err(source)))),
            },
        );
        let (ledger, written) = locked.map_err(|gave_up| match gave_up {
            GaveUp::Failed(error) => error,
            GaveUp::TimedOut(_) => {
                let seconds = run.server.budget.seconds();
                name_locked(&run.spec, holder.flatten(), Some(seconds))
            }
        })?;
        run.progress().set_stage(Stage::NothingStarted);
        let mut journal = Journal { run, ledger };
        match journal.ledger.record() {
            Record::Requested(intent, _) if !run.is_of_this_cluster(&intent.hosts) => {
                let vm = run.vm(intent.vmid, &intent.node);
                return Err(pending_elsewhere(&vm, &intent.hosts, journal.path()));
            }
            Record::Requested(intent, _) => {
                run.progress()
                    .set_stage(Stage::Undecided(run.vm(intent.vmid, &intent.node)));
                // The VMID is already recorded, so this run need not write.
                journal.warn_of(written);
                return Ok(journal);
            }
            Record::Created(intent) | Record::Finished(intent)
                if !run.is_of_this_cluster(&intent.hosts) =>
            {
                journal.ledger.set_aside();
            }
            _ => {}
        }
        written.or_else(|error| journal.continue_without(&error))?;
        Ok(journal)
    }

    /// What was requested and done so far.
    pub fn record(&self) -> &Record {
        self.ledger.record()
    }

    /// Ignores the record, which remains in the file until this run requests something.
    pub fn set_aside(&mut self) {
        self.ledger.set_aside();
    }

    /// The file, if a user has to remove it.
    pub fn path(&self) -> Option<&Path> {
        self.ledger.path()
    }

    /// Records that a clone is about to be requested, unless it is recorded already. A later run could not find
    /// a request that is not recorded.
    pub fn write_intent(&mut self, intent: Intent) -> Result<(), Failure> {
        let stage = Stage::Undecided(self.run.vm(intent.vmid, &intent.node));
        self.run.progress().set_stage(stage);
        if self.record().intent() != Some(&intent) {
            let written = self.ledger.write(Event::Intent(intent));
            written.or_else(|error| self.continue_without(&error))?;
        }
        Ok(())
    }

    /// Records an event, and sets what is certain from then on.
    pub fn write(&mut self, event: Event, stage: Stage) {
        self.run.progress().set_stage(stage);
        let written = self.ledger.write(event);
        self.warn_of(written);
    }

    /// The note about a VM; an empty one if there is none.
    pub fn note_of(&self, vmid: Vmid) -> Note {
        let note = self.ledger.note_of(vmid);
        let note = note.filter(|note| self.run.is_of_this_cluster(&note.hosts));
        note.cloned().unwrap_or_else(|| Note {
            vmid,
            hosts: self.run.hosts.clone(),
            sizes: BTreeMap::new(),
            set: BTreeSet::new(),
            hashes: BTreeMap::new(),
        })
    }

    /// Replaces the note about a VM.
    pub fn write_note(&mut self, note: Note) {
        let written = self.ledger.write(Event::Note(note));
        self.warn_of(written);
    }

    /// A failure to record what the server has done is a warning: the VM exists nevertheless.
    fn warn_of(&self, written: Result<(), ledger::Error>) {
        if let Err(error) = written {
            self.run.warn(&chain(&error));
        }
    }

    /// `--ensure` requires a record of earlier runs, or a VMID to check. Without `--ensure`, a run continues
    /// without a record, with a warning.
    fn continue_without(&self, source: &ledger::Error) -> Result<(), Failure> {
        if self.run.spec.ensure && self.run.spec.vmid.is_none() {
            return Err(no_ledger(source));
        }
        self.run.warn(&format!(
            "a second run of this command may create a second VM: {}",
            chain(source)
        ));
        Ok(())
    }
}
