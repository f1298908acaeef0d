//! Tasks about files on storages, and what advances them.

use super::cluster::Cluster;
use super::downloads::DownloadOrder;
use super::images::FileSetup;
use super::processes::{Process, Shown, ends_well, log_end};
use super::wget::Wget;

/// How often wget tries.
const ATTEMPTS: usize = 20;

pub(crate) struct FileTask {
    pub(crate) upid: String,
    pub(super) process: Process,
    pub(crate) log: Vec<String>,
    /// Once it has stopped.
    pub(crate) exit: Option<String>,
    /// While a file is received.
    pub(super) transfer: Option<Transfer>,
}

/// A file that is being received, and what will be logged until its end.
pub(super) struct Transfer {
    pub(super) order: DownloadOrder,
    pub(super) file: FileSetup,
    pub(super) wget: Wget,
    pub(super) pace: Pace,
    /// The number of bytes after which the server closes the connection, each time.
    pub(super) cut_at: Option<u64>,
    pub(super) attempts: usize,
    pub(super) progress: Vec<String>,
    /// The lines after the last one of progress.
    pub(super) finale: Vec<String>,
    /// The exit status if nobody interrupts it.
    pub(super) exit: String,
    /// Another one, of a worker that gets no further than its last poll.
    pub(super) scripted: Option<String>,
}

/// What advances a download.
#[derive(Clone, Copy)]
pub(super) enum Pace {
    /// Polls of its status; this many still find it running.
    Polls(u32),
    /// It ends with this request, of any kind and from any client.
    Requests(usize),
}

impl FileTask {
    pub(super) fn forked(process: Process) -> Self {
        Self {
            upid: process.upid(),
            process,
            log: Vec::new(),
            exit: None,
            transfer: None,
        }
    }

    pub(super) fn is(&self, node: &str, upid: &str) -> bool {
        self.process.node == node && self.upid == upid
    }

    pub(super) fn shown(&self) -> Shown<'_> {
        Shown {
            process: &self.process,
            log: &self.log,
            exit: self.exit.as_deref(),
        }
    }

    pub(super) fn end(&mut self, exit: String) {
        self.transfer = None;
        log_end(&mut self.log, &exit, "");
        self.exit = Some(exit);
    }

    /// Connects to the server, which may cut the transfer.
    ///
    /// That the line after the last attempt is empty, so that the error is only an exit code, was read in
    /// the source of wget, not seen.
    pub(super) fn attempt(&mut self) {
        let Some(transfer) = &mut self.transfer else {
            return;
        };
        transfer.attempts += 1;
        let attempts = transfer.attempts;
        self.log.extend(transfer.wget.begin(attempts));
        let Some(at) = transfer.cut_at else {
            return;
        };
        let is_last = attempts == ATTEMPTS;
        self.log.extend(transfer.wget.cut(at, is_last));
        if is_last {
            self.end("download failed: exit code 4".to_owned());
        }
    }

    fn is_cut(&self) -> bool {
        let transfer = self.transfer.as_ref();
        transfer.is_some_and(|transfer| transfer.cut_at.is_some())
    }
}

impl Transfer {
    /// The lines of progress that are due, if this many more polls find it running.
    fn take_progress(&mut self, polls: usize) -> Vec<String> {
        let due = self.progress.len() / (polls + 2);
        self.progress.drain(..due).collect()
    }
}

impl Cluster {
    /// A poll of the status of a task.
    pub(super) fn poll_file_task(&mut self, number: usize) {
        let task = &mut self.file_tasks[number];
        let Some(transfer) = &mut task.transfer else {
            return;
        };
        let left = match &mut transfer.pace {
            _ if transfer.cut_at.is_some() => return task.attempt(),
            Pace::Polls(0) => return self.finish_file_task(number),
            Pace::Polls(left) => {
                *left -= 1;
                *left as usize
            }
            Pace::Requests(end) => end.saturating_sub(self.requests),
        };
        let lines = transfer.take_progress(left);
        task.log.extend(lines);
    }

    /// Ends every download that a request has ended.
    pub(super) fn advance_downloads(&mut self) {
        for number in 0..self.file_tasks.len() {
            let transfer = self.file_tasks[number].transfer.as_ref();
            let pace = transfer.map(|transfer| transfer.pace);
            let is_due = matches!(pace, Some(Pace::Requests(end)) if end <= self.requests);
            if is_due && !self.file_tasks[number].is_cut() {
                self.finish_file_task(number);
            }
        }
    }

    pub(super) fn finish_file_tasks(&mut self) {
        for number in 0..self.file_tasks.len() {
            while self.file_tasks[number].is_cut() {
                self.file_tasks[number].attempt();
            }
            self.finish_file_task(number);
        }
    }

    /// From now on nothing cuts a transfer, and every worker does all its work.
    pub(super) fn end_faults_of_downloads(&mut self) {
        self.setup.internet.end_cuts();
        for task in &mut self.file_tasks {
            let Some(transfer) = &mut task.transfer else {
                continue;
            };
            transfer.scripted = None;
            if transfer.cut_at.take().is_some() {
                task.attempt();
            }
        }
    }

    fn finish_file_task(&mut self, number: usize) {
        let task = &mut self.file_tasks[number];
        let Some(transfer) = task.transfer.take() else {
            return;
        };
        let exit = transfer.scripted.unwrap_or_else(|| {
            task.log.extend(transfer.progress);
            task.log.extend(transfer.finale);
            transfer.exit
        });
        let is_complete = ends_well(&exit);
        task.end(exit);
        if is_complete {
            self.finish_download(&transfer.order, &transfer.file);
        }
    }

    /// Ends a worker before its work is done.
    pub(super) fn interrupt_file_task(&mut self, number: usize, exit: String) {
        let task = &mut self.file_tasks[number];
        if task.exit.is_none() {
            task.end(exit);
        }
    }
}
