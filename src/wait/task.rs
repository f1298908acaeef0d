//! A task on the server: waiting for its end, and reading its log.

use crate::pve;
use crate::pve::types::{ExitStatus, TaskStatus, Upid};
use crate::say::hint::hint_for;
use crate::say::shell::word;
use crate::wait::server::{Server, is_no_such_task, is_unknown_node};
use crate::wait::{GaveUp, Poll};

/// How many of the last lines of a log are shown.
const LAST_LINES: usize = 5;

/// The end of a task.
pub struct Ended {
    /// How it ended.
    pub status: ExitStatus,
    /// Whether it had ended before the first poll, perhaps long before.
    pub before_first_poll: bool,
}

/// Polls a task until it has ended. Failed polls are repeated until the time limit if the task `is_ongoing`:
/// it runs whether or not it can be seen. A task that may belong to another token, or to a removed node, is
/// given up once a daemon would have restarted.
pub fn wait(server: Server, upid: &Upid, is_ongoing: bool) -> Result<Ended, GaveUp<pve::Error>> {
    poll(server, upid, is_ongoing, |read| {
        server.progress.follow_log(read);
    })
}

/// Does what [`wait`] does, and passes new lines of the task's log to `watch` after each poll.
pub fn follow(
    server: Server,
    upid: &Upid,
    is_ongoing: bool,
    mut watch: impl FnMut(&[String]),
) -> Result<Ended, GaveUp<pve::Error>> {
    poll(server, upid, is_ongoing, |read| {
        let lines = read();
        watch(&lines);
        server.progress.follow_log(|| lines);
    })
}

fn poll(
    server: Server,
    upid: &Upid,
    is_ongoing: bool,
    mut watch: impl FnMut(&mut dyn FnMut() -> Vec<String>),
) -> Result<Ended, GaveUp<pve::Error>> {
    let mut before_first_poll = true;
    let mut lines_read = 0;
    server.poll(is_ongoing, |pve| {
        if let TaskStatus::Stopped(status) = pve.task_status(upid)? {
            return Ok(Poll::Done(Ended {
                status,
                before_first_poll,
            }));
        }
        before_first_poll = false;
        watch(&mut || {
            // What cannot be read now is read after the next poll.
            let lines = pve.task_log(upid, lines_read).unwrap_or_default();
            lines_read += lines.len();
            lines
        });
        Ok(Poll::NotYet)
    })
}

/// The warnings in the log of a task that ended with warnings. If they cannot be read: how to read the log.
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

/// The last lines of a failed task's log, without those that explain nothing.
pub fn last_lines(server: Server, upid: &Upid) -> Vec<String> {
    let is_progress = |line: &str| line.starts_with("transferred ") || line.contains("K .....");
    let is_useful =
        |line: &String| !line.is_empty() && !is_progress(line) && !line.starts_with("TASK ");
    let mut lines = log(server, upid);
    lines.retain(is_useful);
    lines.split_off(lines.len().saturating_sub(LAST_LINES))
}

/// Empty if it cannot be read: the failure is reported without it.
fn log(server: Server, upid: &Upid) -> Vec<String> {
    server.ask(|pve| pve.task_log(upid, 0)).unwrap_or_default()
}

/// The command that shows the task's log, and on which node.
pub fn how_to_read_log(upid: &Upid) -> String {
    let (node, upid) = (upid.node(), word(upid.as_str()));
    format!("for the whole log, on node '{node}': pvenode task log {upid}")
}

/// What to do about a request about a task that has failed.
pub fn hint_for_unread(upid: &Upid, error: &pve::Error) -> Option<String> {
    let node = upid.node();
    if is_no_such_task(error) {
        let hint =
            format!("check the UPID and that the task ran on '{node}'; nodes delete old tasks");
        Some(hint)
    } else if is_unknown_node(error) {
        Some(format!(
            "check the UPID: the cluster has no node '{node}'; 'pvecm nodes' on any node lists them"
        ))
    } else {
        hint_for(error)
    }
}
