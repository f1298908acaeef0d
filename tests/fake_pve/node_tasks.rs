//! `/nodes/{node}/tasks`: the list, and status and log of each.

use serde_json::json;

use super::actions::Action;
use super::cluster::Cluster;
use super::creations::Creation;
use super::file_tasks::FileTask;
use super::http::Answer;
use super::params::{Params, Schema};
use super::processes::{Shown, is_upid};
use super::replies::{forbidden, parameter_error, proxied, success};
use super::tasks::Task;
use super::values::Kind;

const LIST: &Schema = &[
    ("source", Kind::OneOf(&["archive", "active", "all"])),
    ("typefilter", Kind::Text),
    ("vmid", Kind::Vmid),
    ("limit", Kind::Integer(0, i64::MAX)),
    ("start", Kind::Integer(0, i64::MAX)),
];

/// Newest first, running tasks before all others. Tasks of other tokens are omitted.
pub(super) fn list(
    cluster: &Cluster,
    token: &str,
    node: &str,
    params: &Params,
) -> Result<Answer, Answer> {
    cluster.reach(node)?;
    params.check(LIST)?;
    let (running, ended) = match params.get("source") {
        None | Some("archive") => (false, true),
        Some("active") => (true, false),
        Some(_all) => (true, true),
    };
    let matches = |task: &Shown| {
        let process = task.process;
        let of_type = params
            .get("typefilter")
            .is_none_or(|kind| kind == process.kind);
        let of_vmid = params.get("vmid").is_none_or(|vmid| vmid == process.id);
        let of_source = if task.is_stopped() { ended } else { running };
        let mine = process.node == node && cluster.may_see_task(token, process);
        mine && of_type && of_vmid && of_source
    };
    let tasks = cluster.all_tasks().into_iter().rev();
    let (ended, running): (Vec<_>, Vec<_>) = tasks.filter(matches).partition(Shown::is_stopped);
    let (start, limit) = (params.number("start", 0)?, params.number("limit", 50)?);
    let total = running.len() + ended.len();
    let mut left = limit;
    let shown = running.into_iter().chain(ended).skip(start);
    let shown = shown.take_while(|task| {
        let fits = left > 0;
        // As recorded: a running task counts twice against the limit.
        left = left.saturating_sub(if task.is_stopped() { 1 } else { 2 });
        fits
    });
    let entries: Vec<_> = shown.map(|task| task.entry()).collect();
    Ok(success(&json!(entries)).with_total(total))
}

pub(super) fn task_status(
    cluster: &mut Cluster,
    token: &str,
    node: &str,
    upid: &str,
    params: &Params,
) -> Result<Answer, Answer> {
    cluster.reach(node)?;
    params.check(&[])?;
    check_upid(upid)?;
    check_owner(cluster, token, node, upid)?;
    cluster.poll_task(node, upid);
    match cluster.task(node, upid) {
        Some(task) => Ok(proxied(&task.status())),
        None => Err(parameter_error("upid", "no such task")),
    }
}

/// The log of an unknown task is not an error, but one line.
pub(super) fn task_log(
    cluster: &Cluster,
    token: &str,
    node: &str,
    upid: &str,
    params: &Params,
) -> Result<Answer, Answer> {
    cluster.reach(node)?;
    let number = Kind::Integer(0, i64::MAX);
    params.check(&[
        ("start", number),
        ("limit", number),
        ("download", Kind::Boolean),
    ])?;
    check_upid(upid)?;
    check_owner(cluster, token, node, upid)?;
    let Some(task) = cluster.task(node, upid) else {
        let line = "unable to open file - No such file or directory";
        return Ok(proxied(&json!([{"n": 1, "t": line}])).with_total(1));
    };
    let start = params.number("start", 0)?;
    let limit = params.number("limit", 50)?;
    let lines = task.log_lines(start, limit);
    Ok(proxied(&json!(lines)).with_total(task.log.len()))
}

pub(super) fn check_upid(upid: &str) -> Result<(), Answer> {
    if is_upid(upid) {
        return Ok(());
    }
    let why = format!("unable to parse worker upid '{upid}'");
    Err(parameter_error("upid", &why))
}

fn check_owner(cluster: &Cluster, token: &str, node: &str, upid: &str) -> Result<(), Answer> {
    match cluster.task(node, upid) {
        Some(task) if !cluster.may_see_task(token, task.process) => {
            Err(forbidden(&format!("/nodes/{node}, Sys.Audit")))
        }
        _ => Ok(()),
    }
}

impl Cluster {
    /// Oldest first.
    fn all_tasks(&self) -> Vec<Shown<'_>> {
        let clones = self.tasks.iter().map(Task::shown);
        let creations = self.creations.iter().map(Creation::shown);
        let others = self.actions.iter().map(Action::shown);
        let about_files = self.file_tasks.iter().map(FileTask::shown);
        let all = clones.chain(creations).chain(others);
        let mut all: Vec<_> = all.chain(about_files).collect();
        all.sort_by_key(|task| task.process.number);
        all
    }

    /// The task with this UPID, which only its own node knows.
    pub(super) fn task(&self, node: &str, upid: &str) -> Option<Shown<'_>> {
        let is_match = |task: &Shown| task.process.node == node && task.process.upid() == upid;
        self.all_tasks().into_iter().find(is_match)
    }

    fn poll_task(&mut self, node: &str, upid: &str) {
        if let Some(number) = self.tasks.iter().position(|task| task.is(node, upid)) {
            self.poll_clone(number);
        }
        if let Some(number) = self.creations.iter().position(|task| task.is(node, upid)) {
            self.poll_creation(number);
        }
        if let Some(number) = self.actions.iter().position(|task| task.is(node, upid)) {
            self.poll_action(number);
        }
        let of_file = |task: &FileTask| task.is(node, upid);
        if let Some(number) = self.file_tasks.iter().position(of_file) {
            self.poll_file_task(number);
        }
    }
}
