//! A task at the server, from the looks at it to the lines of its log.

use snafu::Snafu;

use crate::pve::types::{ExitStatus, TaskStatus, Upid};
use crate::pve::{self, Pve};
use crate::say::failure::{Kind, Known, Report, Started, kind_of};
use crate::say::hint::{hint_for, with_more};
use crate::say::shell::word;
use crate::say::stage::Stage;
use crate::ui::progress::Progress;
use crate::wait::server::{Server, is_no_such_task};
use crate::wait::{GaveUp, Look};

/// How many of the last lines of a log are shown.
const LAST_LINES: usize = 5;

/// The end of a task.
pub struct Ended {
    /// How it ended.
    pub status: ExitStatus,
    /// Whether it was over at the first look already, perhaps for a long time.
    pub before_we_looked: bool,
}

/// Looks at a task until it has ended, whether or not it can be seen in the meantime.
pub fn wait(
    server: Server,
    upid: &Upid,
    progress: &dyn Progress,
) -> Result<Ended, GaveUp<pve::Error>> {
    server.watch(looks_at(upid, progress))
}

/// The same for a task that is not all there is to know: if it cannot be seen for as long as a
/// daemon takes to restart, that is an answer too.
pub fn wait_while_seen(
    server: Server,
    upid: &Upid,
    progress: &dyn Progress,
) -> Result<Ended, GaveUp<pve::Error>> {
    server.ask_until_done(looks_at(upid, progress))
}

fn looks_at(
    upid: &Upid,
    progress: &dyn Progress,
) -> impl FnMut(&Pve) -> Result<Look<Ended>, pve::Error> {
    let mut before_we_looked = true;
    let mut lines_read = 0;
    move |pve| {
        if let TaskStatus::Stopped(status) = pve.task_status(upid)? {
            return Ok(Look::Done(Ended {
                status,
                before_we_looked,
            }));
        }
        before_we_looked = false;
        if progress.shows_logs()
            && let Ok(lines) = pve.task_log(upid, lines_read)
        {
            lines_read += lines.len();
            progress.log(&lines);
        }
        Ok(Look::NotYet)
    }
}

/// Waits for a task of whatever kind: how it has ended well, and what it warned of.
pub fn wait_for_success(
    server: Server,
    upid: &Upid,
    progress: &dyn Progress,
) -> Result<(ExitStatus, Vec<String>), Error> {
    let upid = upid.clone();
    let waited = wait(server, &upid, progress).map(|ended| ended.status);
    if waited.is_ok() {
        progress.at(Stage::Ended(upid.clone()));
    }
    match waited {
        Ok(ExitStatus::Ok) => Ok((ExitStatus::Ok, Vec::new())),
        Ok(status @ ExitStatus::Warnings(_)) => Ok((status, warnings(server, &upid))),
        Ok(ExitStatus::Unexpected) => Err(Error::EndUnknown { upid }),
        Ok(ExitStatus::Failed(words)) => Err(Error::Failed {
            log: last_words(server, &upid),
            upid,
            words,
        }),
        Err(GaveUp::TimeIsUp(unseen)) => Err(Error::Timeout {
            seconds: server.budget.total.as_secs_f64(),
            stage: Stage::Waiting(upid),
            unseen: unseen.map(Box::new),
        }),
        Err(GaveUp::Failed(source)) => Err(Error::CannotSee {
            upid,
            source: Box::new(source),
        }),
    }
}

/// What a task that ended with warnings warned of; where its log cannot be read, how to read it.
pub fn warnings(server: Server, upid: &Upid) -> Vec<String> {
    let warnings: Vec<String> = log(server, upid)
        .iter()
        .filter_map(|line| line.strip_prefix("WARN: "))
        .map(|warning| warning.trim().to_owned())
        .collect();
    if warnings.is_empty() {
        let log = whole_log(upid);
        return vec![format!("the task ended with warnings; {log}")];
    }
    warnings
}

/// The last lines of a failed task's log that say more than its exit status.
pub fn last_words(server: Server, upid: &Upid) -> Vec<String> {
    let log = log(server, upid);
    let telling = |line: &&String| {
        !line.is_empty() && !line.starts_with("transferred ") && !line.starts_with("TASK ")
    };
    let mut last: Vec<String> = log
        .iter()
        .rev()
        .filter(telling)
        .take(LAST_LINES)
        .cloned()
        .collect();
    last.reverse();
    last
}

/// Nothing if it cannot be read: what is known without it is said all the same.
fn log(server: Server, upid: &Upid) -> Vec<String> {
    server.ask(|pve| pve.task_log(upid, 0)).unwrap_or_default()
}

/// What to type on which node to see the task's log.
pub fn whole_log(upid: &Upid) -> String {
    let (node, upid) = (upid.node(), word(upid.as_str()));
    format!("for the whole log, on node '{node}': pvenode task log {upid}")
}

/// Why a task was not seen to end well.
#[derive(Debug, Snafu)]
#[allow(missing_docs)]
pub enum Error {
    #[snafu(display("Task failed: {words}"))]
    Failed {
        upid: Upid,
        words: String,
        log: Vec<String>,
    },

    #[snafu(display("do not know how the task ended: its worker died or its node went down"))]
    EndUnknown { upid: Upid },

    #[snafu(display("cannot see the task"))]
    CannotSee { upid: Upid, source: Box<pve::Error> },

    #[snafu(display("Timed out after {seconds} s; {}", stage.as_seen_last(unseen.as_ref())))]
    Timeout {
        seconds: f64,
        stage: Stage,
        unseen: Option<Box<pve::Error>>,
    },
}

impl Error {
    /// The failure for people and scripts.
    pub fn report(&self) -> Report {
        let began = |upid: &Upid| Known {
            started: Started::Yes,
            ..Stage::Waiting(upid.clone()).known()
        };
        let (kind, hint, known) = match self {
            Error::Failed { upid, .. } => (Kind::TaskFailed, Some(whole_log(upid)), began(upid)),
            Error::EndUnknown { upid } => {
                (Kind::OutcomeUnknown, Some(whole_log(upid)), began(upid))
            }
            Error::CannotSee { upid, source } => {
                let hint = if is_no_such_task(source) {
                    Some("check the UPID; a node does not keep its tasks for ever".to_owned())
                } else {
                    hint_for(source)
                };
                let started = Started::Unknown;
                (
                    kind_of(source),
                    hint,
                    Known {
                        started,
                        ..began(upid)
                    },
                )
            }
            Error::Timeout { stage, unseen, .. } => {
                let hint = match unseen {
                    Some(error) => {
                        let hint = format!("if the UPID and its node are right, {}", stage.hint());
                        with_more(hint, Some(error))
                    }
                    None => stage.hint(),
                };
                (Kind::Timeout, Some(hint), stage.known())
            }
        };
        let log = match self {
            Error::Failed { log, .. } => log.clone(),
            _ => Vec::new(),
        };
        Report {
            known,
            log,
            ..Report::of(kind, self).with_hint(hint)
        }
    }
}
