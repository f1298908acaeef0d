//! A task on the server: waiting for its end, and the lines of its log.

use crate::pve;
use crate::pve::types::{ExitStatus, TaskStatus, Upid};
use crate::say::shell::word;
use crate::wait::server::Server;
use crate::wait::{GaveUp, Look};

/// How many of the last lines of a log are shown.
const LAST_LINES: usize = 5;

/// The end of a task.
pub struct Ended {
    /// How it ended.
    pub status: ExitStatus,
    /// Whether it had ended before the first look, perhaps long before.
    pub before_first_look: bool,
}

/// Polls a task until it has ended. Failed looks at one that `goes_on` are forgiven to the end, because it
/// runs whether or not it can be seen. One that may belong to another token, or to a node that is gone, is
/// given up after as long as a daemon takes to restart.
pub fn wait(server: Server, upid: &Upid, goes_on: bool) -> Result<Ended, GaveUp<pve::Error>> {
    let mut before_first_look = true;
    let mut lines_read = 0;
    server.look(goes_on, |pve| {
        if let TaskStatus::Stopped(status) = pve.task_status(upid)? {
            return Ok(Look::Done(Ended {
                status,
                before_first_look,
            }));
        }
        before_first_look = false;
        server.progress.follow_log(|| {
            // What cannot be read now is read with the next look.
            let lines = pve.task_log(upid, lines_read).unwrap_or_default();
            lines_read += lines.len();
            lines
        });
        Ok(Look::NotYet)
    })
}

/// The warnings in the log of a task that ended with some; if none can be read, how to read the log.
pub fn warnings(server: Server, upid: &Upid) -> Vec<String> {
    let log = log(server, upid);
    let warnings = log.iter().filter_map(|line| line.strip_prefix("WARN: "));
    let mut warnings: Vec<String> = warnings.map(|it| it.trim().to_owned()).collect();
    if warnings.is_empty() {
        let log = how_to_read_log(upid);
        warnings.push(format!("the task ended with warnings; {log}"));
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

/// Empty if it cannot be read: what is known without it must be said nevertheless.
fn log(server: Server, upid: &Upid) -> Vec<String> {
    server.ask(|pve| pve.task_log(upid, 0)).unwrap_or_default()
}

/// The command that shows the task's log, and on which node.
pub fn how_to_read_log(upid: &Upid) -> String {
    let (node, upid) = (upid.node(), word(upid.as_str()));
    format!("for the whole log, on node '{node}': pvenode task log {upid}")
}
