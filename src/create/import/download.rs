//! The download of an image by the server.
//!
//! - Nothing is downloaded twice: a file that is on the storage is used, and a download that an earlier run
//!   began is waited for. With a checksum the server verifies the file, whether it was there or not.
//! - A download changes nothing else, so it needs no record. The VM is requested only after it.
//! - At the time limit the download is cancelled; then the server removes the partial file.

use std::cell::RefCell;
use std::time::Duration;

use crate::create::failure::{is_out_of_time, not_read};
use crate::create::import::ImageSpec;
use crate::create::spec::Run;
use crate::pve::types::{ExitStatus, Node, Upid};
use crate::pve::{self, Checksum, Delivery, ImageVolume};
use crate::say::failure::{Facts, Failure, Kind, Started, chain, kind_of};
use crate::say::hint::hint_for_download;
use crate::say::shell::word;
use crate::say::stage::Stage;
use crate::settings::image::ImageSource;
use crate::ui::progress::Activity;
use crate::wait::refusal::is_temporary;
use crate::wait::server::{Server, is_no_such_task};
use crate::wait::task::{self, Ended, how_to_read_log};
use crate::wait::{BackOff, Budget, GaveUp};

/// Makes sure that the image is on its storage, as this file. Returns whether that took time, in which other users
/// may have changed anything. `is_vm_pending` is whether an earlier request may still create the VM.
pub fn fetch(
    run: &Run,
    image: &ImageSpec,
    node: &Node,
    volume: &ImageVolume,
    is_vm_pending: bool,
) -> Result<bool, Failure> {
    let download = Download {
        run,
        node,
        volume,
        checksum: image.checksum.as_ref(),
        is_vm_pending,
        doubt: RefCell::default(),
    };
    match &image.source {
        ImageSource::Url(url) => download.fetch(url),
        ImageSource::Volume(_) => download.must_exist().map(|()| false),
    }
}

/// The image file, and whether and how it gets there.
struct Download<'r> {
    run: &'r Run<'r>,
    node: &'r Node,
    volume: &'r ImageVolume,
    checksum: Option<&'r Checksum>,
    /// Whether a VM may still be created by an earlier request: then that is what is certain.
    is_vm_pending: bool,
    /// The URL of a download that was requested and whose outcome is unknown, and why it is.
    doubt: RefCell<Option<(String, String)>>,
}

impl Download<'_> {
    fn set_stage(&self, stage: Stage) {
        if !self.is_vm_pending {
            self.run.progress().set_stage(stage);
        }
    }

    /// No download of this run is known to be running.
    fn set_stage_of_none(&self) {
        self.set_stage(if self.doubt.borrow().is_some() {
            Stage::Downloading(self.volume.to_string(), None)
        } else {
            Stage::NothingStarted
        });
    }

    /// Whether the file is on the storage, completely.
    fn exists(&self) -> Result<bool, Failure> {
        let storage = &self.volume.storage;
        let images = self.run.server.ask(|pve| pve.images(self.node, storage));
        let images = images.map_err(|source| {
            let what = format!("cannot list the images on storage '{storage}'");
            self.with_doubt(not_read(what, source))
        })?;
        Ok(images.contains(self.volume))
    }

    fn must_exist(&self) -> Result<(), Failure> {
        let Download { volume, node, .. } = self;
        if self.exists()? {
            return Ok(());
        }
        let message = format!("image '{volume}' not found on node '{node}'");
        let storage = word(&volume.storage.0);
        let hint = format!(
            "'pvesm list {storage} --content import' on node '{node}' lists the images there; --node chooses \
             another node"
        );
        Err(Failure::new(Kind::Failed, message).with_hint(hint))
    }

    /// Downloads the file unless it is there. Returns whether that took time.
    fn fetch(&self, url: &str) -> Result<bool, Failure> {
        let (run, server) = (self.run, self.run.server);
        let mut back_off = BackOff::new(&server.budget);
        let (mut is_requested, mut has_taken_time, mut deaths) = (false, false, 0);
        loop {
            if let Some(upid) = self.running()? {
                self.follow(&upid, url, !is_requested)?;
                has_taken_time = true;
            }
            // With a checksum the server has to compare it.
            if self.checksum.is_none() {
                let exists = self.exists()?;
                if !has_taken_time {
                    run.warn(&self.is_unverified(exists));
                }
                if exists {
                    self.set_stage(Stage::Downloaded(self.volume.to_string()));
                    return Ok(has_taken_time);
                }
            }
            self.set_stage(Stage::Downloading(self.volume.to_string(), None));
            let request = server.ask_for_change(|pve| {
                pve.download_image(self.node, self.volume, url, self.checksum)
            });
            let why = match request {
                Ok(upid) => match self.follow(&upid, url, false)? {
                    Outcome::Done => return Ok(true),
                    Outcome::Unknown(why) => why,
                    Outcome::Died(_) if deaths == MOST_DEATHS => {
                        return Err(self.failed(&upid, url, "its worker died again and again"));
                    }
                    Outcome::Died(why) => {
                        deaths += 1;
                        why
                    }
                },
                Err(error) if error.delivery() == Delivery::Unknown => {
                    self.doubt_because(url, &error)
                }
                Err(error) => return Err(self.refused(url, error)),
            };
            (is_requested, has_taken_time) = (true, true);
            run.progress().note(&format!(
                "Outcome of the download unknown ({why}); checking..."
            ));
            if !back_off.pause() {
                return Err(self.timed_out(url, None, Some(&why), None));
            }
        }
    }

    /// The warning about an image without a checksum.
    fn is_unverified(&self, exists: bool) -> String {
        let volume = self.volume;
        let what = if exists {
            format!(
                "image '{volume}' is used as it is on the storage: it may be older than that of the URL"
            )
        } else {
            "the image is not verified".to_owned()
        };
        format!("{what}; --checksum sha256:… or sha512:… lets the server verify it")
    }

    /// A download of this file that an earlier run or request of this token began.
    fn running(&self) -> Result<Option<Upid>, Failure> {
        let tasks = self
            .run
            .server
            .ask(|pve| pve.running_tasks("download", None, self.node));
        let tasks = tasks
            .map_err(|source| self.with_doubt(not_read("cannot list the downloads", source)))?;
        Ok(tasks
            .into_iter()
            .find(|upid| upid.subject() == self.volume.file))
    }

    /// Remembers that the outcome of a download is unknown, and returns why. That the time limit cut a request
    /// short says less than what happened before.
    fn doubt_because(&self, url: &str, error: &pve::Error) -> String {
        let is_cut_short = matches!(error, pve::Error::NoAnswer { cut_short, .. } if *cut_short);
        let mut doubt = self.doubt.borrow_mut();
        match &*doubt {
            Some((_, before)) if is_cut_short => before.clone(),
            _ => {
                let why = error.to_string();
                *doubt = Some((url.to_owned(), why.clone()));
                why
            }
        }
    }

    /// Completes a failure: it must not say that nothing was started while a download may be running.
    fn with_doubt(&self, mut failure: Failure) -> Failure {
        let doubt = self.doubt.borrow().clone();
        let Some((url, why)) = doubt else {
            return failure;
        };
        if is_out_of_time(self.run, &failure) {
            return self.timed_out(&url, None, Some(&why), None);
        }
        let earlier = "an earlier request for the download got no answer and may be carried out";
        failure.message = format!("{failure}; {earlier}");
        failure.facts.started = Started::Unknown;
        failure
    }

    fn announce(&self, upid: &Upid, is_anothers: bool) {
        self.set_stage(Stage::Downloading(
            self.volume.to_string(),
            Some(upid.clone()),
        ));
        let announcement = if is_anothers {
            format!(
                "A download of '{}' is already running; waiting for it...",
                self.volume
            )
        } else {
            format!("Downloading it to '{}'...", self.volume)
        };
        self.run.progress().begin(
            &Activity::Downloading(&self.volume.file),
            Some(&announcement),
        );
    }

    /// Waits for the end of a download, which may be that of `another` request.
    fn follow(&self, upid: &Upid, url: &str, is_anothers: bool) -> Result<Outcome, Failure> {
        let (run, server) = (self.run, self.run.server);
        self.announce(upid, is_anothers);
        let mut interruptions = Interruptions::default();
        let early = Server {
            budget: before_the_end(&server.budget),
            ..server
        };
        let waited = task::follow(early, upid, true, |lines| {
            if let Some(note) = interruptions.read(lines) {
                run.progress().note(&note);
            }
        });
        let ended = match waited {
            Ok(Ended { status, .. }) => status,
            Err(GaveUp::TimedOut(_)) => {
                // Another run may still be waiting for its own download.
                let cancelled = if is_anothers { None } else { self.cancel(upid) };
                let last = interruptions.last.as_deref();
                return Err(self.timed_out(url, Some(upid), last, cancelled.as_ref()));
            }
            Err(GaveUp::Failed(error)) if is_no_such_task(&error) || is_anothers => {
                let why = self.doubt_because(url, &error);
                self.set_stage_of_none();
                return Ok(Outcome::Unknown(why));
            }
            Err(GaveUp::Failed(error)) => return Err(self.unseen(upid, &error)),
        };
        self.set_stage_of_none();
        match ended {
            ExitStatus::Ok | ExitStatus::Warnings(_) => {
                self.set_stage(Stage::Downloaded(self.volume.to_string()));
                Ok(Outcome::Done)
            }
            ExitStatus::Unexpected => {
                run.warn(&format!(
                    "the worker of the download died or its node went down; {}",
                    self.how_to_remove_partial_file(upid)
                ));
                let why = format!("its worker died or its node went down: {upid}");
                Ok(Outcome::Died(why))
            }
            // Somebody else has put the file there in the meantime.
            ExitStatus::Failed(why)
                if is_anothers || why.contains("refusing to override") || is_temporary(&why) =>
            {
                Ok(Outcome::Unknown(why))
            }
            ExitStatus::Failed(why) => Err(self.failed(upid, url, &why)),
        }
    }

    /// Cancels the download and returns how it has ended, if it has.
    fn cancel(&self, upid: &Upid) -> Option<ExitStatus> {
        let server = self.run.server;
        let requested = server.ask_for_change(|pve| pve.cancel_task(upid));
        requested.ok()?;
        let ended = task::wait(server, upid, true).ok()?;
        Some(ended.status)
    }

    /// The server writes to a file of its own until the download is complete.
    fn how_to_remove_partial_file(&self, upid: &Upid) -> String {
        let Download { node, volume, .. } = self;
        let (file, process) = (&volume.file, upid.process());
        format!(
            "it may have left the partial file {file}.tmp_dwnl.{process}; to remove it, as root on node '{node}': rm \
             \"$(pvesm path {})\".tmp_dwnl.{process}",
            word(&volume.to_string())
        )
    }

    fn about(&self, upid: &Upid, started: Started) -> Facts {
        Facts {
            vmid: None,
            node: Some(self.node.clone()),
            upid: Some(upid.clone()),
            started,
        }
    }

    /// `cancelled` is how the download has ended after its cancellation was requested.
    fn timed_out(
        &self,
        url: &str,
        upid: Option<&Upid>,
        last: Option<&str>,
        cancelled: Option<&ExitStatus>,
    ) -> Failure {
        let seconds = self.run.server.budget.seconds();
        let (state, started) = match (upid, cancelled) {
            (Some(_), Some(ExitStatus::Ok | ExitStatus::Warnings(_))) => {
                ("has just ended; the image is there, but", Started::No)
            }
            (Some(_), Some(ExitStatus::Unexpected)) => ("was cancelled;", Started::No),
            (Some(_), Some(ExitStatus::Failed(_))) => {
                ("was cancelled; nothing is left of it and", Started::No)
            }
            (Some(_), None) => ("may still be running;", Started::Yes),
            (None, _) if self.doubt.borrow().is_some() => {
                ("may or may not be running;", Started::Unknown)
            }
            (None, _) => ("has failed;", Started::No),
        };
        let last = last.map_or_else(String::new, |last| format!(" ({last})"));
        let message = format!(
            "Timed out after {seconds} s; the download of {url} {state} nothing was created{last}"
        );
        let longer = "run the same command again, with a longer --timeout if the download is slow";
        let hint = match (upid, cancelled) {
            (_, Some(ExitStatus::Ok | ExitStatus::Warnings(_))) => {
                "run the same command again".to_owned()
            }
            (Some(upid), Some(ExitStatus::Unexpected)) => format!(
                "{longer}; the worker of the download was killed, and {}",
                self.how_to_remove_partial_file(upid)
            ),
            (Some(upid), None) => {
                let upid = word(upid.as_str());
                format!("{longer}; to cancel the download: homelab proxmox task cancel {upid}")
            }
            _ => longer.to_owned(),
        };
        let facts = match upid {
            Some(upid) => self.about(upid, started),
            None => Facts {
                started,
                ..Facts::default()
            },
        };
        Failure::new(Kind::Timeout, message)
            .with_hint(hint)
            .about(facts)
    }

    fn unseen(&self, upid: &Upid, error: &pve::Error) -> Failure {
        let message = format!(
            "the download of '{}' may still be running: {}",
            self.volume,
            chain(error)
        );
        let hint = "run the same command again to continue".to_owned();
        Failure::new(kind_of(error), message)
            .with_hint(hint)
            .about(self.about(upid, Started::Unknown))
    }

    fn refused(&self, url: &str, error: pve::Error) -> Failure {
        let message = format!(
            "node '{}' cannot download {url}: {}",
            self.node,
            chain(&error)
        );
        let hint = hint_for_download(&error, self.node);
        self.set_stage_of_none();
        let failure = Failure::new(kind_of(&error), message).with_hint(hint);
        self.with_doubt(failure.because_of(Box::new(error)))
    }

    fn failed(&self, upid: &Upid, url: &str, why: &str) -> Failure {
        let log = task::last_lines(self.run.server, upid);
        let Download { volume, node, .. } = self;
        let (why, hint) = if why.contains("aborting") && why.contains("checksum mismatch") {
            let file = word(&volume.to_string());
            let why = format!("'{volume}' exists and has another checksum: {why}");
            (
                why,
                format!(
                    "check --checksum; if it is right, that file is damaged: to delete it, on node '{node}': pvesm \
                     free {file}"
                ),
            )
        } else if why.contains("checksum mismatch") {
            let hint = "use the checksum published beside the image; if it is correct, the download was corrupted, \
                        or the file was replaced";
            (why.to_owned(), hint.to_owned())
        } else if let Some(answer) = log.iter().find_map(|line| line.split_once(" ERROR ")) {
            let answer = answer.1.trim_end_matches('.').replacen(": ", " ", 1);
            let hint = format!("check the URL: curl -IL {}", word(url));
            (format!("{answer} ({why})"), hint)
        } else if why.contains("not in") && why.contains("format") {
            let hint = "the file must be a disk image in the format that its name ends with; a .img file must \
                        contain qcow2";
            (why.to_owned(), hint.to_owned())
        } else if ["unable to resolve", "Connecting to", "exit code 4"]
            .iter()
            .any(|it| why.contains(it))
        {
            let hint = format!(
                "node '{node}' must reach that server; or copy the image to a storage and use it with --image \
                 {}:import/FILE",
                volume.storage
            );
            (why.to_owned(), hint)
        } else {
            (why.to_owned(), how_to_read_log(upid))
        };
        let message = format!("node '{node}' cannot download {url}: {why}; nothing was created");
        let failure = Failure::new(Kind::TaskFailed, message)
            .with_hint(hint)
            .about(self.about(upid, Started::No))
            .with_log(log);
        self.with_doubt(failure)
    }
}

/// What is known about a download that does not run any more, or is not seen.
enum Outcome {
    /// The file is there.
    Done,
    /// The file must be checked, for this reason.
    Unknown(String),
    /// Its worker died: the file is not there.
    Died(String),
}

/// After so many deaths of its worker a download is requested once more: each may leave a partial file.
const MOST_DEATHS: usize = 2;

/// Leaves time to cancel a download: at most 10 s.
fn before_the_end<'c>(budget: &Budget<'c>) -> Budget<'c> {
    let reserve = Duration::from_secs(10).min(budget.total / 10);
    Budget {
        total: budget.total.saturating_sub(reserve),
        ..*budget
    }
}

/// How often a download was interrupted, according to its log.
#[derive(Default)]
struct Interruptions {
    count: usize,
    /// The last interruption, as a text.
    last: Option<String>,
    /// The last line that is not empty.
    line_before: String,
}

impl Interruptions {
    /// Reads more lines of the log. Returns what to tell the user: at the first interruption.
    fn read(&mut self, lines: &[String]) -> Option<String> {
        let before = self.count;
        for line in lines {
            // `2026-11-30 10:22:31 (259 MB/s) - Connection closed at byte 11534336. Retrying.`, or the reason and
            // `Retrying.` in two lines
            let why = match line.strip_suffix(". Retrying.") {
                Some(why) => why.to_owned(),
                None if line == "Retrying." => std::mem::take(&mut self.line_before),
                None => {
                    if !line.is_empty() {
                        line.trim_end_matches('.').clone_into(&mut self.line_before);
                    }
                    continue;
                }
            };
            let why = why.rsplit_once(" - ").map_or(&*why, |(_, why)| why);
            self.count += 1;
            let times = if self.count == 1 {
                "once"
            } else {
                "several times"
            };
            self.last = Some(format!("interrupted {times}, last: {why}"));
        }
        let last = self.last.as_ref().filter(|_| before == 0)?;
        Some(format!(
            "The download was {last}; the server tries again..."
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::none(&["HTTP request sent, awaiting response... 200 OK"], None)]
    #[case::cut(
        &["2026-11-30 10:22:31 (259 MB/s) - Connection closed at byte 11534336. Retrying."],
        Some("interrupted once, last: Connection closed at byte 11534336")
    )]
    #[case::reason_on_the_line_before(
        &["HTTP request sent, awaiting response... No data received.", "Retrying.", ""],
        Some("interrupted once, last: HTTP request sent, awaiting response... No data received")
    )]
    #[case::again(
        &["x - A. Retrying.", "", "y - B. Retrying."],
        Some("interrupted several times, last: B")
    )]
    fn the_log_tells_why_a_download_was_interrupted(
        #[case] lines: &[&str],
        #[case] expected: Option<&str>,
    ) {
        let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        let mut interruptions = Interruptions::default();
        interruptions.read(&lines);
        assert_eq!(interruptions.last.as_deref(), expected);
    }
}
