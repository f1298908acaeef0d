//! One run per VM name on this host, and what an interrupted run left behind.
//!
//! Each VM name has a file of JSON lines. Whoever works on that VM holds the file's lock, and writes
//! down what it is going to do before it asks the server for it, so that a run that comes after a
//! `kill -9` or a power cut knows which VMID may be in the making. The file is never unlinked or
//! renamed: a lock on a file that has lost its name guards nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
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
    /// How to clone it.
    pub mode: Mode,
    /// Where its disks go, if not where the template's are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<Storage>,
    /// The pool that it becomes a member of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<Pool>,
    /// The node that it was asked to be on, if that was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Node>,
    /// The servers, any of which can be asked about it: `pve.lan:8006`.
    pub hosts: Vec<String>,
}

/// How to clone.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The clone gets disks of its own.
    Full,
    /// The clone needs its template for ever.
    Linked,
}

/// What cannot be asked of the server later, about a VM that is there or in the making.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Note {
    /// The VM.
    pub vmid: Vmid,
    /// The servers that it is at, as in its intent.
    pub hosts: Vec<String>,
    /// How large disks of its template were, where its own are to be so much larger: the template may
    /// grow after that.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sizes: BTreeMap<String, Size>,
    /// The options that were set and that nobody may read.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub set: BTreeSet<String>,
}

/// What runs have noted, by VMID.
type Notes = BTreeMap<Vmid, Note>;

/// A line of the file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
enum Record {
    /// A process has the lock, since that many seconds after 1970.
    Run { process: u32, time: u64 },
    /// Written before the request leaves.
    Intent(Intent),
    /// The server has begun the clone of the intent before.
    Upid(Upid),
    /// That clone is done.
    Created(Vmid),
    /// There is no such VM, and nothing is on its way that could still make it.
    Failed(Vmid),
    /// Nothing is left to do for that VM.
    Finished(Vmid),
    /// In the place of what was noted about that VM before.
    Note(Note),
}

/// What the runs before have left.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LeftBehind {
    /// Nothing that is known of.
    Nothing,
    /// A clone that may be in the making; the last task that was begun for it.
    Open(Intent, Option<Upid>),
    /// A VM that was cloned, and perhaps not seen to its end.
    Created(Intent),
    /// A VM that was finished.
    Finished(Intent),
}

/// The right to work on a VM name, until it is dropped.
pub struct Claim {
    file: Option<File>,
    path: PathBuf,
    left_behind: LeftBehind,
    notes: Notes,
    /// Why nothing is written any more: a line is missing, and what followed it would be misread.
    mute: Option<String>,
}

/// Whether the claim could be had.
#[allow(clippy::large_enum_variant, reason = "there is one in a run")]
pub enum Taken {
    /// It is ours, and whether anything could be written down.
    Ours(Claim, Result<(), Error>),
    /// Another process has it, this one as far as it has said so.
    HeldBy(Option<u32>),
}

impl Claim {
    /// Takes the claim of a VM name, if no other process has it.
    pub fn take(directory: &Path, name: &VmName) -> Result<Taken, Error> {
        let path = directory.join(format!("{name}.jsonl"));
        let unusable = |error| Error::unusable(&path, error);
        make_directory(directory).map_err(|error| Error::unusable(directory, error))?;
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&path)
            .map_err(unusable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let text = read(&mut file).map_err(unusable)?;
                return Ok(Taken::HeldBy(process_of(&text)));
            }
            Err(TryLockError::Error(error)) => return Err(unusable(error)),
        }
        let text = read(&mut file).map_err(unusable)?;
        if text.is_empty() {
            sync_directory(directory).map_err(unusable)?;
        }
        let history = History::read(&text).context(DamagedSnafu { path: &path })?;
        // An incomplete last line, and what only says that a run looked and found nothing to do.
        file.set_len(history.end as u64).map_err(unusable)?;
        let mut claim = Claim {
            file: Some(file),
            path,
            left_behind: history.left_behind,
            notes: history.notes,
            mute: None,
        };
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
        let written = claim.write(Record::Run {
            process: std::process::id(),
            time: since_1970.unwrap_or_default().as_secs(),
        });
        Ok(Taken::Ours(claim, written))
    }

    /// For a run that has nowhere to write: it claims nothing and remembers nothing.
    pub fn without_file() -> Claim {
        Claim {
            file: None,
            path: PathBuf::new(),
            left_behind: LeftBehind::Nothing,
            notes: Notes::new(),
            mute: None,
        }
    }

    /// What the runs before have left, and this one has done since.
    pub fn left_behind(&self) -> &LeftBehind {
        &self.left_behind
    }

    /// What the runs before and this one have noted about a VM.
    pub fn note_of(&self, vmid: Vmid) -> Option<&Note> {
        self.notes.get(&vmid)
    }

    /// The file, for those who have to look at it themselves.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Before the server is asked for the clone. An intent that is not written down is an error each
    /// time, for the next run would know nothing of it.
    pub fn intend(&mut self, intent: &Intent) -> Result<(), Error> {
        if let Some(why) = &self.mute {
            let why = io::Error::other(why.clone());
            return Err(Error::unusable(&self.path, why));
        }
        self.write(Record::Intent(intent.clone()))
    }

    /// The server has begun.
    pub fn begun(&mut self, upid: &Upid) -> Result<(), Error> {
        self.write(Record::Upid(upid.clone()))
    }

    /// The VM is there.
    pub fn created(&mut self, vmid: Vmid) -> Result<(), Error> {
        self.write(Record::Created(vmid))
    }

    /// There is no such VM of ours, and there will be none.
    pub fn failed(&mut self, vmid: Vmid) -> Result<(), Error> {
        self.write(Record::Failed(vmid))
    }

    /// Nothing is left to do.
    pub fn finished(&mut self, vmid: Vmid) -> Result<(), Error> {
        self.write(Record::Finished(vmid))
    }

    /// To be known from now on about a VM, as long as it is that one.
    pub fn note(&mut self, note: Note) -> Result<(), Error> {
        self.write(Record::Note(note))
    }

    fn write(&mut self, record: Record) -> Result<(), Error> {
        let line = serde_json::to_string(&record).map_err(io::Error::other);
        keep_notes(&mut self.notes, &record);
        if let Some(left_behind) = self.left_behind.clone().and_then(record) {
            self.left_behind = left_behind;
        }
        let Some(file) = self.file.as_mut().filter(|_| self.mute.is_none()) else {
            return Ok(());
        };
        let end = file.metadata().map(|metadata| metadata.len());
        let written = line.and_then(|line| {
            file.write_all(format!("{line}\n").as_bytes())?;
            file.sync_data()
        });
        written.map_err(|error| {
            self.mute = Some(error.to_string());
            // The next run need not guess what was meant.
            let _ = end.and_then(|end| file.set_len(end));
            Error::unusable(&self.path, error)
        })
    }
}

/// Does once what every run does there, and leaves nothing but the directory behind. No VM's name
/// begins with a dot.
pub fn try_out(directory: &Path) -> Result<(), Error> {
    make_directory(directory).map_err(|error| Error::unusable(directory, error))?;
    let path = directory.join(format!(".try-{:016x}", fastrand::u64(..)));
    let tried = || {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        file.try_lock()?;
        file.write_all(b"\n")?;
        file.sync_data()
    };
    let tried = tried().map_err(|error| Error::unusable(directory, error));
    let _ = std::fs::remove_file(&path);
    tried
}

/// With mode 0700, as far as it is not there yet.
fn make_directory(directory: &Path) -> io::Result<()> {
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

fn read(file: &mut File) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    Ok(text)
}

/// The process that has taken the claim last, if it is still there: one that has just got the lock
/// may not have written its own id yet.
fn process_of(text: &[u8]) -> Option<u32> {
    let records = complete_lines(text).filter_map(|line| serde_json::from_slice(line).ok());
    let processes = records.filter_map(|record| match record {
        Record::Run { process, .. } => Some(process),
        _ => None,
    });
    let is_there = |process: &u32| Path::new(&format!("/proc/{process}")).exists();
    processes.last().filter(is_there)
}

/// The lines that end with a newline, which they keep.
fn complete_lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let lines = text.split_inclusive(|byte| *byte == b'\n');
    lines.filter(|line| line.ends_with(b"\n"))
}

struct History {
    left_behind: LeftBehind,
    notes: Notes,
    /// Where the records end that are worth keeping.
    end: usize,
}

impl History {
    fn read(text: &[u8]) -> Result<History, Unreadable> {
        let mut left_behind = LeftBehind::Nothing;
        let mut notes = Notes::new();
        let (mut end, mut position) = (0, 0);
        for (index, line) in complete_lines(text).enumerate() {
            let number = index + 1;
            position += line.len();
            let Ok(record) = serde_json::from_slice(line) else {
                return NotARecordSnafu { number }.fail();
            };
            if !matches!(record, Record::Run { .. }) {
                end = position;
            }
            keep_notes(&mut notes, &record);
            left_behind = match left_behind.and_then(record) {
                Some(after) => after,
                None => return OutOfOrderSnafu { number }.fail(),
            };
        }
        Ok(History {
            left_behind,
            notes,
            end,
        })
    }
}

/// What was noted about a VM says nothing of the next one that has its VMID.
fn keep_notes(notes: &mut Notes, record: &Record) {
    match record {
        Record::Note(note) => {
            notes.insert(note.vmid, note.clone());
        }
        Record::Intent(Intent { vmid, .. }) | Record::Failed(vmid) => {
            notes.remove(vmid);
        }
        _ => {}
    }
}

impl LeftBehind {
    /// `None` if no run writes one after the other.
    fn and_then(self, record: Record) -> Option<LeftBehind> {
        Some(match (self, record) {
            (left_behind, Record::Run { .. } | Record::Note(_)) => left_behind,
            (_, Record::Intent(intent)) => LeftBehind::Open(intent, None),
            (LeftBehind::Open(intent, _), Record::Upid(upid)) => {
                LeftBehind::Open(intent, Some(upid))
            }
            (LeftBehind::Open(intent, _), Record::Created(_)) => LeftBehind::Created(intent),
            (LeftBehind::Created(intent) | LeftBehind::Open(intent, _), Record::Finished(_)) => {
                LeftBehind::Finished(intent)
            }
            (_, Record::Failed(_)) => LeftBehind::Nothing,
            _ => return None,
        })
    }
}

/// Why there is no claim.
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
    NotARecord { number: usize },

    #[snafu(display("line {number} cannot follow on those before"))]
    OutOfOrder { number: usize },
}

#[cfg(test)]
mod tests;
