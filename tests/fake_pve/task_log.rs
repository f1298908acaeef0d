//! The log of the worker of a clone.

use super::copies::Copied;
use super::drives::Drive;
use super::processes::{ends_well, log_end};
use super::setup::CloneLog;
use super::tasks::Task;

/// The number of progress steps of a disk, as on the real server for 2 GiB.
const STEPS: u64 = 375;
const PER_STEP: u64 = 4;
const HALF: u64 = 47;

impl Task {
    /// The line that the winners of a race write, and some of its losers.
    pub(super) fn creating_line(&self) -> String {
        let order = &self.order;
        format!(
            "creating a clone of VM {} with ID {}",
            order.source, order.newid
        )
    }

    /// Writes the first lines, and keeps the rest for later.
    pub(super) fn log_copying(&mut self, drives: &[Copied], how: CloneLog) {
        let mut lines = vec![self.creating_line()];
        let mut now = 1;
        for drive in drives {
            lines.extend(lines_of(drive));
            if drive.is_linked || drive.original.is_cloudinit() {
                continue;
            }
            let last = (STEPS - 1) / PER_STEP;
            let steps: Vec<u64> = match how {
                CloneLog::Whole => vec![0, HALF],
                CloneLog::Growing => (0..=last).collect(),
            };
            let size = drive.original.size().unwrap_or_default();
            let parts = steps.into_iter().map(|step| step * PER_STEP);
            // The last line always comes twice.
            let parts = parts.chain([STEPS, STEPS]);
            let is_first = now == 1;
            let begins = lines.len();
            lines.extend(parts.map(|part| transferred(size, part, STEPS)));
            now = match how {
                CloneLog::Whole => lines.len() - 2,
                CloneLog::Growing if is_first => begins + 1,
                CloneLog::Growing => now,
            };
        }
        if now == 1 {
            now = lines.len();
        }
        self.log_to_come = lines.split_off(now);
        self.log.append(&mut lines);
    }

    /// Called when a poll finds it still copying.
    pub(super) fn log_more(&mut self) {
        if self.log_to_come.len() <= 2 {
            return;
        }
        let more = self.log_to_come.len() / self.pace.polls_of_log();
        self.log.extend(self.log_to_come.drain(..more));
    }

    /// Fails because this drive could not be created.
    pub(super) fn fail_at(&mut self, drive: &Copied, why: &str) {
        let lines = [self.creating_line(), full_clone_line(drive)];
        self.log.extend(lines);
        self.fail(None, format!("clone failed: {why}"));
    }

    pub(super) fn log_end(&mut self) {
        let last = self.log.last();
        let copied = last.is_some_and(|line| line.starts_with("transferred"));
        if ends_well(&self.exit) {
            self.log.append(&mut self.log_to_come);
        }
        if copied && self.exit.ends_with("exit code 1") {
            let full_disk =
                "qemu-img: error while writing at byte 522190848: No space left on device";
            self.log.push(full_disk.to_owned());
        }
        let warning = "failed to get path and owner of volume 'small:230/vm-230-disk-0.qcow2': \
                       storage 'small' does not exist";
        log_end(&mut self.log, &self.exit, warning);
    }
}

fn lines_of(drive: &Copied) -> Vec<String> {
    if drive.is_linked {
        let (source, option) = (&drive.original.file, &drive.option);
        return vec![format!("create linked clone of drive {option} ({source})")];
    }
    let volume = &drive.copy.file;
    let size = drive.original.size().unwrap_or_default();
    vec![
        full_clone_line(drive),
        formatting(&drive.copy, size),
        format!("allocated target volume '{volume}'"),
    ]
}

/// The line about a new file in a directory.
pub(super) fn formatting(drive: &Drive, size: u64) -> String {
    let path = drive.path();
    let how = if path.split('.').next_back() == Some("qcow2") {
        format!(
            "fmt=qcow2 cluster_size=65536 extended_l2=off preallocation=metadata \
             compression_type=zlib size={size} lazy_refcounts=off refcount_bits=16"
        )
    } else {
        format!("fmt=raw size={size} preallocation=off")
    };
    format!("Formatting '{path}', {how}")
}

fn full_clone_line(drive: &Copied) -> String {
    let (source, option) = (&drive.original.file, &drive.option);
    format!("create full clone of drive {option} ({source})")
}

/// The line for this many of all steps of a disk.
pub(super) fn transferred(size: u64, part: u64, steps: u64) -> String {
    let hundredths = (part * 10_000 + steps / 2) / steps;
    format!(
        "transferred {} of {} ({}.{:02}%)",
        // Computed from the rounded percentage, not from what was copied.
        in_units(size * hundredths / 10_000),
        in_units(size),
        hundredths / 100,
        hundredths % 100
    )
}

fn in_units(bytes: u64) -> String {
    let units = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10), ("B", 0)];
    let (unit, shift) = units
        .into_iter()
        .find(|(_, shift)| bytes >> shift > 0)
        .unwrap_or(("B", 0));
    let tenths = (u128::from(bytes) * 10 + (1 << shift) / 2) >> shift;
    format!("{}.{} {unit}", tenths / 10, tenths % 10)
}
