//! A task at the server: waiting for its end, and the lines of its log.

use crate::pve::types::{ExitStatus, TaskStatus, Upid};
use crate::pve::{self, Pve};
use crate::say::shell::word;
use crate::ui::progress::Progress;
use crate::wait::server::Server;
use crate::wait::{GaveUp, Look};

/// How many of the last lines of a log are shown.
const LAST_LINES: usize = 5;

/// The end of a task.
pub struct Ended {
    /// How it ended.
    pub status: ExitStatus,
    /// Whether it was over at the first look already, perhaps for a long time.
    pub before_first_look: bool,
}

/// Polls a task until it has ended. Failed looks are forgiven to the end: it runs whether or not it
/// can be seen.
pub fn wait(server: Server, upid: &Upid, progress: &Progress) -> Result<Ended, GaveUp<pve::Error>> {
    server.watch(poll(upid, progress))
}

/// Polls a task that may be another token's, or of a node that is gone: failed looks are forgiven for
/// as long as a daemon takes to restart.
pub fn wait_while_visible(
    server: Server,
    upid: &Upid,
    progress: &Progress,
) -> Result<Ended, GaveUp<pve::Error>> {
    server.ask_until_done(poll(upid, progress))
}

fn poll(upid: &Upid, progress: &Progress) -> impl FnMut(&Pve) -> Result<Look<Ended>, pve::Error> {
    let mut before_first_look = true;
    let mut lines_read = 0;
    move |pve| {
        if let TaskStatus::Stopped(status) = pve.task_status(upid)? {
            return Ok(Look::Done(Ended {
                status,
                before_first_look,
            }));
        }
        before_first_look = false;
        progress.follow_log(|| {
            // What cannot be read now is read with the next look.
            let lines = pve.task_log(upid, lines_read).unwrap_or_default();
            lines_read += lines.len();
            lines
        });
        Ok(Look::NotYet)
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
        let log = how_to_read_log(upid);
        return vec![format!("the task ended with warnings; {log}")];
    }
    warnings
}

/// The last lines of a failed task's log that say more than its exit status.
pub fn last_lines(server: Server, upid: &Upid) -> Vec<String> {
    let is_telling = |line: &String| {
        !line.is_empty() && !line.starts_with("transferred ") && !line.starts_with("TASK ")
    };
    let mut lines = log(server, upid);
    lines.retain(is_telling);
    lines.split_off(lines.len().saturating_sub(LAST_LINES))
}

/// Nothing if it cannot be read: what is known without it is said all the same.
fn log(server: Server, upid: &Upid) -> Vec<String> {
    server.ask(|pve| pve.task_log(upid, 0)).unwrap_or_default()
}

/// What to type on which node to see the task's log.
pub fn how_to_read_log(upid: &Upid) -> String {
    let (node, upid) = (upid.node(), word(upid.as_str()));
    format!("for the whole log, on node '{node}': pvenode task log {upid}")
}
