//! What runs on this host have requested and done: one file per VM name, locked by one run at a time.
//!
//! - A run locks the file before its first request, so that everything it reads from the server is newer than
//!   the last change of the run before.
//! - It appends each event as a JSON line and syncs the file: the intent to clone before the request is sent,
//!   the outcome afterwards. So after a `kill -9` or a power cut the next run knows which VMID may be being
//!   created. An incomplete last line is ignored.
//! - A file without information for the next run is removed, by the run that holds the lock. A run that gets a
//!   lock checks that the path is still the file that it has locked.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use snafu::{ResultExt, Snafu};

use crate::pve::types::{CloneMode, CloneOptions, Node, Pool, Storage, Upid, VmName, Vmid};
use crate::pve::{ImageVolume, Size};

/// The VM that a run is about to request.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Intent {
    /// The VMID that the new VM gets.
    pub vmid: Vmid,
    /// The node that it will be on.
    pub node: Node,
    /// What it is created from.
    #[serde(flatten)]
    pub source: Source,
    /// The storage of its disks that was requested, if one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<Storage>,
    /// The node that was requested, if one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Node>,
    /// The servers of the cluster, as configured: `pve.lan:8006`.
    pub hosts: Vec<String>,
    /// The resolved sizes of `--resize DISK=+SIZE`, by disk.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub growth: BTreeMap<String, Growth>,
}

/// What a VM is created from.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Source {
    /// It is a clone.
    Template(ClonedFrom),
    /// Its disk is imported.
    Image(Box<ImportedFrom>),
}

/// The template of a clone.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClonedFrom {
    /// The template.
    pub template: Vmid,
    /// The name of that template. Absent in files of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template_name: Option<String>,
    /// How to clone it.
    pub mode: Mode,
    /// The pool that the clone joins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<Pool>,
}

/// The image of an imported disk.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImportedFrom {
    /// The file that is imported.
    pub volume: ImageVolume,
    /// The URL of that file, unless it was on the storage already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The storage of the imported disk.
    pub disks: Storage,
    /// The `uuid` in `smbios1` that the request gives the VM: it proves later whose VM it is.
    pub uuid: String,
}

/// How to clone.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The clone gets disks of its own.
    Full,
    /// The clone depends on its template.
    Linked,
}

impl Mode {
    /// The mode of a clone with these options.
    pub fn of(options: &CloneOptions) -> Mode {
        match options.mode {
            CloneMode::Full { .. } => Mode::Full,
            CloneMode::Linked => Mode::Linked,
        }
    }
}

/// A relative size, resolved when the clone was requested: the template may grow after that.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Growth {
    /// By how much the disk was to be larger than the template's.
    pub by: Size,
    /// The resulting absolute size.
    pub to: Size,
}

/// What cannot be read from the server later about a VM that exists or is being created.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Note {
    /// The VM.
    pub vmid: Vmid,
    /// The servers of its cluster, as in its intent.
    pub hosts: Vec<String>,
    /// Only in files of earlier versions: the sizes of the template's disks to which relative sizes refer.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sizes: BTreeMap<String, Size>,
    /// The options that were set and cannot be read.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub set: BTreeSet<String>,
    /// Salted hashes of their values, by option.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub hashes: BTreeMap<String, String>,
}

/// A line of the file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Event {
    /// A process has got the lock.
    Run {
        /// Its process id.
        process: u32,
        /// When, in seconds since 1970.
        time: u64,
    },
    /// Written before the request is sent.
    Intent(Intent),
    /// The server has started the clone of the last intent.
    Upid(Upid),
    /// That clone has succeeded.
    Created(Vmid),
    /// This program's VM with that VMID does not exist, and no request is expected to create it any more.
    Failed(Vmid),
    /// Nothing is left to do for that VM.
    Finished(Vmid),
    /// Replaces the earlier note about that VM.
    Note(Note),
}

/// The result of the events so far.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Record {
    /// No VM that could exist.
    None,
    /// A clone that may be running, and its last known task.
    Requested(Intent, Option<Upid>),
    /// A VM that was cloned, and may not be set up.
    Created(Intent),
    /// A VM that was set up as requested.
    Finished(Intent),
}

/// The file of one VM name, locked until this is dropped.
pub struct Ledger {
    /// None if no file can be used: then nothing is locked, and nothing is recorded for other runs.
    file: Option<(File, PathBuf)>,
    record: Record,
    notes: BTreeMap<Vmid, Note>,
    /// Why nothing is written any more: a line could not be written, and later ones would be misread without
    /// it.
    broken: Option<String>,
    /// Whether the record is ignored, and the file kept.
    is_set_aside: bool,
    /// Whether this run changes nothing: it did not keep the lock, and events are not written.
    is_read_only: bool,
}

/// The result of locking a file.
#[allow(clippy::large_enum_variant, reason = "there is one in a run")]
pub enum Lock {
    /// This process has it. The second value is whether the file can be written.
    Ours(Ledger, Result<(), Error>),
    /// Another process has it; its id, if it was written already.
    HeldBy(Option<u32>),
}

impl Ledger {
    /// Locks the file of a VM name, unless another process has.
    pub fn lock(directory: &Path, name: &VmName) -> Result<Lock, Error> {
        let path = path_of(directory, name);
        let unusable = |source| Error::unusable(&path, source);
        create_directory(directory).map_err(|source| Error::unusable(directory, source))?;
        let (mut file, is_locked) = open(&path).map_err(unusable)?;
        let mut text = Vec::new();
        file.read_to_end(&mut text).map_err(unusable)?;
        if !is_locked {
            return Ok(Lock::HeldBy(process_of(&text)));
        }
        if text.is_empty() {
            sync_directory(directory).map_err(unusable)?;
        }
        let mut ledger = Ledger::without_file();
        let end = ledger.replay(&text).context(DamagedSnafu { path: &path })?;
        // Cuts off an incomplete last line, and the entries of runs that did nothing.
        file.set_len(end as u64).map_err(unusable)?;
        ledger.file = Some((file, path));
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
        let written = ledger.write(Event::Run {
            process: std::process::id(),
            time: since_1970.map_or(0, |time| time.as_secs()),
        });
        Ok(Lock::Ours(ledger, written))
    }

    /// Reads the file of a VM name for a run that changes nothing. A missing file is not created, and the lock
    /// is only tested: another process may get it afterwards.
    pub fn read(directory: &Path, name: &VmName) -> Result<Lock, Error> {
        let path = path_of(directory, name);
        let unusable = |source| Error::unusable(&path, source);
        let mut ledger = Ledger::without_file();
        ledger.is_read_only = true;
        // A run that changes something could not begin without write permission.
        let file = OpenOptions::new().read(true).append(true).open(&path);
        let mut file = match file {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Lock::Ours(ledger, Ok(())));
            }
            Err(source) if source.kind() == io::ErrorKind::NotADirectory => {
                return Err(Error::unusable(directory, source));
            }
            file => file.map_err(unusable)?,
        };
        // A shared lock, which other runs that change nothing can get too.
        let is_locked = match file.try_lock_shared() {
            Ok(()) => true,
            Err(TryLockError::WouldBlock) => false,
            Err(TryLockError::Error(error)) => return Err(unusable(error)),
        };
        let mut text = Vec::new();
        file.read_to_end(&mut text).map_err(unusable)?;
        if !is_locked {
            return Ok(Lock::HeldBy(process_of(&text)));
        }
        file.unlock().map_err(unusable)?;
        ledger.replay(&text).context(DamagedSnafu { path: &path })?;
        ledger.file = Some((file, path));
        Ok(Lock::Ours(ledger, Ok(())))
    }

    /// For a run without a file.
    pub fn without_file() -> Ledger {
        Ledger {
            file: None,
            record: Record::None,
            notes: BTreeMap::new(),
            broken: None,
            is_set_aside: false,
            is_read_only: false,
        }
    }

    /// What earlier runs and this one have requested and done.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// The note about a VM by earlier runs or this one.
    pub fn note_of(&self, vmid: Vmid) -> Option<&Note> {
        self.notes.get(&vmid)
    }

    /// The path of the file, for messages.
    pub fn path(&self) -> Option<&Path> {
        self.file.as_ref().map(|(_, path)| path.as_path())
    }

    /// Ignores the record, because it is about another cluster, or about a template instead of a VM.
    pub fn set_aside(&mut self) {
        self.record = Record::None;
        self.is_set_aside = true;
    }

    /// Appends an event. After a failure, later events are skipped without another error; but an intent that is
    /// not written is always an error, because the next run would not know about the clone.
    pub fn write(&mut self, event: Event) -> Result<(), Error> {
        let is_intent = matches!(event, Event::Intent(_));
        let line = serde_json::to_string(&event).map_err(io::Error::other);
        self.apply(event);
        let Some((file, path)) = self.file.as_mut().filter(|_| !self.is_read_only) else {
            return Ok(());
        };
        let unusable = |source| Err(Error::unusable(path, source));
        match &self.broken {
            Some(why) if is_intent => return unusable(io::Error::other(why.clone())),
            Some(_) => return Ok(()),
            None => {}
        }
        let end = file.metadata().map(|metadata| metadata.len());
        let written = line.and_then(|line| {
            file.write_all(format!("{line}\n").as_bytes())?;
            file.sync_data()
        });
        written.or_else(|error| {
            self.broken = Some(error.to_string());
            // Removes what was written of the line.
            let _ = end.and_then(|end| file.set_len(end));
            unusable(error)
        })
    }

    /// Reads the events of earlier runs. Returns the position after the last one that the next run needs.
    fn replay(&mut self, text: &[u8]) -> Result<usize, Unreadable> {
        let (mut end, mut position) = (0, 0);
        for (line, number) in complete_lines(text).zip(1_usize..) {
            position += line.len();
            let Ok(event) = serde_json::from_slice(line) else {
                return NotAnEventSnafu { number }.fail();
            };
            if !matches!(event, Event::Run { .. }) {
                end = position;
            }
            if !self.apply(event) {
                return OutOfOrderSnafu { number }.fail();
            }
        }
        Ok(end)
    }

    /// Applies an event. Returns whether it can follow the ones before.
    fn apply(&mut self, event: Event) -> bool {
        let record = std::mem::replace(&mut self.record, Record::None);
        // A note about a VM does not apply to the next VM with its VMID.
        if let Event::Intent(Intent { vmid, .. }) | Event::Failed(vmid) = &event {
            self.notes.remove(vmid);
        }
        self.record = match (record, event) {
            (record, Event::Run { .. }) => record,
            (mut record, Event::Note(note)) => {
                record.resolve(&note);
                self.notes.insert(note.vmid, note);
                record
            }
            (_, Event::Intent(intent)) => Record::Requested(intent, None),
            (_, Event::Failed(_)) => Record::None,
            (Record::Requested(intent, _), Event::Upid(upid)) => {
                Record::Requested(intent, Some(upid))
            }
            (Record::Requested(intent, _), Event::Created(_)) => Record::Created(intent),
            (Record::Created(intent) | Record::Requested(intent, _), Event::Finished(_)) => {
                Record::Finished(intent)
            }
            (record, _) => {
                self.record = record;
                return false;
            }
        };
        true
    }
}

impl Drop for Ledger {
    /// Removes a file without information for the next run, while it is still locked.
    fn drop(&mut self) {
        let is_needed = self.record != Record::None
            || !self.notes.is_empty()
            || self.is_set_aside
            || self.is_read_only;
        if let (Some((file, path)), false) = (&self.file, is_needed)
            && is_at(file, path).unwrap_or(false)
        {
            // A file that cannot be removed does no harm.
            let _ = fs::remove_file(path);
        }
    }
}

impl Record {
    /// The intent, unless there is none.
    pub fn intent(&self) -> Option<&Intent> {
        match self {
            Record::None => None,
            Record::Requested(intent, _) | Record::Created(intent) | Record::Finished(intent) => {
                Some(intent)
            }
        }
    }

    /// Adopts the template's sizes from a note of an earlier version.
    fn resolve(&mut self, note: &Note) {
        if let Record::Requested(intent, _) | Record::Created(intent) | Record::Finished(intent) =
            self
            && intent.vmid == note.vmid
        {
            for (disk, size) in &note.sizes {
                let growth = Growth {
                    by: Size(0),
                    to: *size,
                };
                intent.growth.entry(disk.clone()).or_insert(growth);
            }
        }
    }
}

/// Removes the file of a name if this process has locked it and recorded nothing else. For a run that ends
/// without dropping its ledger. The caller must not start anything afterwards.
pub fn remove_unused(directory: &Path, name: &VmName) {
    let path = path_of(directory, name);
    let Ok(text) = fs::read(&path) else { return };
    let mut events = complete_lines(&text).map(serde_json::from_slice);
    let is_ours = process_of(&text) == Some(std::process::id());
    if is_ours && events.all(|event| matches!(event, Ok(Event::Run { .. }))) {
        let _ = fs::remove_file(path);
    }
}

fn path_of(directory: &Path, name: &VmName) -> PathBuf {
    directory.join(format!("{name}.jsonl"))
}

/// Checks that the directory can be used, by writing a file there as every run does and removing it. No VM's
/// name begins with a dot.
pub fn probe(directory: &Path) -> Result<(), Error> {
    let path = directory.join(format!(".try-{}", std::process::id()));
    let write = || {
        create_directory(directory)?;
        let (mut file, _) = open(&path)?;
        file.write_all(b"\n")?;
        file.sync_data()
    };
    let written = write().map_err(|source| Error::unusable(directory, source));
    let _ = fs::remove_file(&path);
    written
}

/// Opens the file at this path and tries to lock it. Returns whether this process has locked it. If the
/// file was removed between opening and locking it, the new file at the path is opened.
fn open(path: &Path) -> io::Result<(File, bool)> {
    loop {
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok((file, false)),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        if is_at(&file, path)? {
            return Ok((file, true));
        }
    }
}

/// Whether this file is still the one at this path.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let file = file.metadata()?;
    match fs::metadata(path) {
        Ok(current) => Ok((current.dev(), current.ino()) == (file.dev(), file.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Creates a directory and its missing parents with mode 0700.
fn create_directory(directory: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = directory
        .ancestors()
        .take_while(|ancestor| !ancestor.is_dir())
        .collect();
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)?;
    // So that the new directories survive a power cut.
    let mut parents = missing.iter().filter_map(|missing| missing.parent());
    parents.try_for_each(sync_directory)
}

fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// The process that locked the file last, if it is still running. A process that has just got the lock may not
/// have written its id yet.
fn process_of(text: &[u8]) -> Option<u32> {
    let events = complete_lines(text).filter_map(|line| serde_json::from_slice(line).ok());
    let processes = events.filter_map(|event| match event {
        Event::Run { process, .. } => Some(process),
        _ => None,
    });
    let runs = |process: &u32| Path::new(&format!("/proc/{process}")).exists();
    processes.last().filter(runs)
}

/// The lines that end with a newline, including it.
fn complete_lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let lines = text.split_inclusive(|byte| *byte == b'\n');
    lines.filter(|line| line.ends_with(b"\n"))
}

/// Why the file cannot be used.
#[derive(Debug, Snafu)]
#[allow(missing_docs)]
pub enum Error {
    #[snafu(display("cannot use {}", path.display()))]
    Unusable { path: PathBuf, source: io::Error },

    #[snafu(display("{} is damaged", path.display()))]
    Damaged { path: PathBuf, source: Unreadable },
}

impl Error {
    fn unusable(path: &Path, source: io::Error) -> Error {
        let path = path.to_owned();
        Error::Unusable { path, source }
    }
}

/// What is wrong with a line.
#[derive(Debug, Snafu)]
#[allow(missing_docs)]
pub enum Unreadable {
    #[snafu(display("line {number} is not an event that this version knows"))]
    NotAnEvent { number: usize },

    #[snafu(display("line {number} is out of order"))]
    OutOfOrder { number: usize },
}

#[cfg(test)]
pub mod tests;
