//! What runs on this host have begun and done: one file per VM name, locked by one run at a time.
//!
//! - A run locks the file before its first request, so what it reads from the server is newer than what
//!   the run before has done.
//! - It appends each event as a JSON line and syncs it: the intent to clone before the request leaves,
//!   what came of it afterwards. So the next run knows after a `kill -9` or a power cut which VMID may be
//!   in the making. An incomplete last line is ignored.
//! - A file that would tell the next run nothing is removed. Only the run that holds the lock removes it,
//!   and whoever gets a lock checks that the path still is the file it locked.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use snafu::{ResultExt, Snafu};

use crate::pve::Size;
use crate::pve::types::{Node, Pool, Storage, Upid, VmName, Vmid};

/// What a run is going to ask the server for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Intent {
    /// The VMID that the new VM gets.
    pub vmid: Vmid,
    /// The node that it will be on.
    pub node: Node,
    /// The template to clone.
    pub template: Vmid,
    /// The name of that template. Absent in files of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template_name: Option<String>,
    /// How to clone it.
    pub mode: Mode,
    /// Where its disks go, if not where the template's are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<Storage>,
    /// The pool that it becomes a member of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<Pool>,
    /// The node that was asked for, if one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Node>,
    /// The servers, any of which can be asked about it: `pve.lan:8006`.
    pub hosts: Vec<String>,
    /// What `--resize DISK=+SIZE` came to, by disk.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub growth: BTreeMap<String, Growth>,
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

/// A relative size as resolved when the clone was asked for: the template may grow after that.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Growth {
    /// By how much the disk was to outgrow the template's.
    pub by: Size,
    /// The absolute size that this came to.
    pub to: Size,
}

/// What cannot be asked of the server later about a VM that exists or is in the making.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Note {
    /// The VM.
    pub vmid: Vmid,
    /// The servers that it is at, as in its intent.
    pub hosts: Vec<String>,
    /// Only in files of earlier versions: the sizes of the template's disks that others are to outgrow.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sizes: BTreeMap<String, Size>,
    /// The options that were set and that nobody may read.
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
    /// A process has the lock, since that many seconds after 1970.
    Run {
        /// Its id.
        process: u32,
        /// Since when.
        time: u64,
    },
    /// Written before the request leaves.
    Intent(Intent),
    /// The server has begun the clone of the intent before.
    Upid(Upid),
    /// That clone is done.
    Created(Vmid),
    /// There is no such VM of ours, and no request is expected to create it any more.
    Failed(Vmid),
    /// Nothing is left to do for that VM.
    Finished(Vmid),
    /// Replaces what was noted about that VM before.
    Note(Note),
}

/// What the events so far come to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Record {
    /// Nothing that could exist.
    None,
    /// A clone that may be in the making; its last known task.
    Asked(Intent, Option<Upid>),
    /// A VM that was cloned, and perhaps not set up.
    Created(Intent),
    /// A VM that was finished.
    Finished(Intent),
}

/// The file of one VM name, locked until this is dropped.
pub struct Ledger {
    /// None if there is nowhere to write: nothing is locked then, and nothing outlives the run.
    file: Option<(File, PathBuf)>,
    record: Record,
    notes: BTreeMap<Vmid, Note>,
    /// Why nothing is written any more: a line is missing, and what followed it would be misread.
    broken: Option<String>,
    /// It speaks of another cluster, which this run leaves as it is.
    is_set_aside: bool,
}

/// Whether the lock could be had.
#[allow(clippy::large_enum_variant, reason = "there is one in a run")]
pub enum Lock {
    /// It is ours, and whether anything could be written down.
    Ours(Ledger, Result<(), Error>),
    /// Another process has it, this one as far as it has said so.
    HeldBy(Option<u32>),
}

impl Ledger {
    /// Locks the file of a VM name, if no other process has.
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
        // An incomplete last line, and that runs before had the lock and did nothing.
        file.set_len(end as u64).map_err(unusable)?;
        ledger.file = Some((file, path));
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
        let written = ledger.write(Event::Run {
            process: std::process::id(),
            time: since_1970.map_or(0, |time| time.as_secs()),
        });
        Ok(Lock::Ours(ledger, written))
    }

    /// For a run that has nowhere to write.
    pub fn without_file() -> Ledger {
        Ledger {
            file: None,
            record: Record::None,
            notes: BTreeMap::new(),
            broken: None,
            is_set_aside: false,
        }
    }

    /// What the runs before and this one have begun and done.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// What the runs before and this one have noted about a VM.
    pub fn note_of(&self, vmid: Vmid) -> Option<&Note> {
        self.notes.get(&vmid)
    }

    /// The file, for those who have to look at it themselves.
    pub fn path(&self) -> Option<&Path> {
        self.file.as_ref().map(|(_, path)| path.as_path())
    }

    /// Goes on as if there was no record: it speaks of another cluster.
    pub fn set_aside(&mut self) {
        self.record = Record::None;
        self.is_set_aside = true;
    }

    /// Appends an event. One that cannot be written is an error once; an intent each time, for the next
    /// run would know nothing of it.
    pub fn write(&mut self, event: Event) -> Result<(), Error> {
        let is_intent = matches!(event, Event::Intent(_));
        let line = serde_json::to_string(&event).map_err(io::Error::other);
        self.apply(event);
        let Some((file, path)) = &mut self.file else {
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
            // The next run need not guess what was meant.
            let _ = end.and_then(|end| file.set_len(end));
            unusable(error)
        })
    }

    /// Reads what earlier runs have written; where the events end that the next run needs.
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

    /// Whether this event can follow those before.
    fn apply(&mut self, event: Event) -> bool {
        let record = std::mem::replace(&mut self.record, Record::None);
        // What was noted about a VM says nothing of the next one that has its VMID.
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
            (_, Event::Intent(intent)) => Record::Asked(intent, None),
            (_, Event::Failed(_)) => Record::None,
            (Record::Asked(intent, _), Event::Upid(upid)) => Record::Asked(intent, Some(upid)),
            (Record::Asked(intent, _), Event::Created(_)) => Record::Created(intent),
            (Record::Created(intent) | Record::Asked(intent, _), Event::Finished(_)) => {
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
    /// A file that would tell the next run nothing goes while it is still locked.
    fn drop(&mut self) {
        let is_needed = self.record != Record::None || !self.notes.is_empty() || self.is_set_aside;
        if let (Some((file, path)), false) = (&self.file, is_needed)
            && is_at(file, path).unwrap_or(false)
        {
            // What cannot be removed does no harm.
            let _ = fs::remove_file(path);
        }
    }
}

impl Record {
    /// The intent, unless there is none.
    pub fn intent(&self) -> Option<&Intent> {
        match self {
            Record::None => None,
            Record::Asked(intent, _) | Record::Created(intent) | Record::Finished(intent) => {
                Some(intent)
            }
        }
    }

    /// Takes over the template's sizes from a note of an earlier version.
    fn resolve(&mut self, note: &Note) {
        if let Record::Asked(intent, _) | Record::Created(intent) | Record::Finished(intent) = self
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

/// Removes the file of a name if this process has locked it and nothing but that is written there. For an
/// end in which no ledger is dropped, and before which nothing more is begun.
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

/// Does once what every run does there, and leaves nothing but the directory behind. No VM's name begins
/// with a dot.
pub fn probe(directory: &Path) -> Result<(), Error> {
    let path = directory.join(format!(".try-{}", std::process::id()));
    let tried = || {
        create_directory(directory)?;
        let (mut file, _) = open(&path)?;
        file.write_all(b"\n")?;
        file.sync_data()
    };
    let tried = tried().map_err(|source| Error::unusable(directory, source));
    let _ = fs::remove_file(&path);
    tried
}

/// The file at this path, and whether this process has locked it. The file that was locked may have
/// been removed between opening and locking it; then the next one is opened.
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

/// Whether this file is the one at this path, for somebody may have removed it.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let file = file.metadata()?;
    match fs::metadata(path) {
        Ok(there) => Ok((there.dev(), there.ino()) == (file.dev(), file.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// With mode 0700, as far as it does not exist yet.
fn create_directory(directory: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = directory
        .ancestors()
        .take_while(|ancestor| !ancestor.is_dir())
        .collect();
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)?;
    // A power cut must not take the new directories away again.
    let mut parents = missing.iter().filter_map(|missing| missing.parent());
    parents.try_for_each(sync_directory)
}

fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// The process that has locked the file last, if it still runs: one that has just got the lock may not
/// have written its own id yet.
fn process_of(text: &[u8]) -> Option<u32> {
    let events = complete_lines(text).filter_map(|line| serde_json::from_slice(line).ok());
    let processes = events.filter_map(|event| match event {
        Event::Run { process, .. } => Some(process),
        _ => None,
    });
    let runs = |process: &u32| Path::new(&format!("/proc/{process}")).exists();
    processes.last().filter(runs)
}

/// The lines that end with a newline, which they keep.
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
    #[snafu(display("line {number} is not what this version writes"))]
    NotAnEvent { number: usize },

    #[snafu(display("line {number} cannot follow on those before"))]
    OutOfOrder { number: usize },
}

#[cfg(test)]
pub mod tests;
