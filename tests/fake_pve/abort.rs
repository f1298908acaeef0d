//! `DELETE /nodes/{node}/tasks/{upid}`, answered when the worker has ended.

use serde_json::json;

use super::cluster::Cluster;
use super::file_tasks::FileTask;
use super::http::Answer;
use super::node_tasks::check_upid;
use super::params::Params;
use super::processes::was_killed;
use super::replies::{forbidden, parameter_error, proxied};

const INTERRUPTED: &str = "received interrupt";
const KILLED: &str = "unexpected status";

/// A success for a task that has already ended, too. Tasks of other tokens need Sys.Modify, even those of
/// the same user.
pub(super) fn abort(
    cluster: &mut Cluster,
    token: &str,
    node: &str,
    upid: &str,
    params: &Params,
) -> Result<Answer, Answer> {
    cluster.reach(node)?;
    params.check(&[])?;
    check_upid(upid)?;
    let Some(task) = cluster.task(node, upid) else {
        return Err(parameter_error("upid", "no such task"));
    };
    let path = format!("/nodes/{node}");
    if task.process.owner != token && !cluster.acl_of(token).grants(&path, "Sys.Modify") {
        return Err(forbidden(&format!("{path}, Sys.Modify")));
    }
    cluster.interrupt(node, upid);
    Ok(proxied(&json!(null)))
}

impl Cluster {
    /// Workers clean up when they are interrupted, unless that takes them too long.
    fn interrupt(&mut self, node: &str, upid: &str) {
        let is_killed = self.setup.abort_kills;
        if let Some(number) = self.tasks.iter().position(|task| task.is(node, upid)) {
            self.interrupt_clone(number, is_killed);
        }
        if let Some(number) = self.creations.iter().position(|task| task.is(node, upid)) {
            self.interrupt_creation(number, is_killed);
        }
        if let Some(number) = self.actions.iter().position(|task| task.is(node, upid)) {
            let exit = if is_killed { KILLED } else { INTERRUPTED };
            self.interrupt_action(number, exit);
        }
        let of_file = |task: &FileTask| task.is(node, upid);
        if let Some(number) = self.file_tasks.iter().position(of_file) {
            let exit = if is_killed {
                KILLED.to_owned()
            } else {
                format!("download failed: {INTERRUPTED}")
            };
            self.interrupt_file_task(number, exit);
        }
    }

    fn interrupt_clone(&mut self, number: usize, is_killed: bool) {
        let task = &self.tasks[number];
        if task.is_forked() {
            return self.tasks[number].fail(None, INTERRUPTED.to_owned());
        }
        if !task.is_copying() {
            return;
        }
        let exit = if is_killed {
            KILLED.to_owned()
        } else {
            task.exit_if_interrupted.clone()
        };
        let task = &mut self.tasks[number];
        task.exit = exit;
        // The configuration gets its name when the first disk is there.
        task.named |= was_killed(&task.exit);
        self.end_clone(number);
    }
}
