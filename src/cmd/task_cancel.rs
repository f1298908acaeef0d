//! `task cancel`
//!
//! - Cancels the task unless it has ended, and waits for its end: the server lets it clean up for 5 s.
//! - Of a task that works on a VM, says whether the VM exists.

use serde::Serialize;

use super::{Session, Success};
use crate::cli::TaskCancel;
use crate::pve::types::{ExitStatus, TaskStatus, Upid, Vmid};
use crate::pve::{self, Delivery};
use crate::say::failure::{Failure, Kind, chain, kind_of};
use crate::say::hint::with_more;
use crate::say::stage::{Stage, task_wait};
use crate::ui::text::clean;
use crate::wait::server::Server;
use crate::wait::task::{hint_for_unread, wait};
use crate::wait::{BackOff, GaveUp};

#[derive(Serialize)]
struct Document<'c> {
    upid: &'c Upid,
    exitstatus: String,
    /// Whether this command ended it.
    cancelled: bool,
    /// The VM that the task worked on, if it did.
    vmid: Option<Vmid>,
    /// Whether that VM exists now; null if that is unknown.
    vm_exists: Option<bool>,
}

/// Cancels a task, and waits until it has ended.
pub fn run(session: &Session, arguments: &TaskCancel) -> Result<Success, Failure> {
    session.check_output_options()?;
    let upid = &arguments.upid;
    let access = session.configuration()?.access;
    session.progress().set_stage(Stage::Cancelling {
        upid: upid.clone(),
        is_requested: false,
    });
    session.handle_signals(|| {});
    let pve = session.connect(&access, Some(arguments.timeout.0))?;
    let server = session.server(&pve, arguments.timeout, arguments.poll_interval);
    let has_ended = cancel(session, server, upid)?;
    let ended = wait(server, upid, true).map_err(|gave_up| not_seen(upid, gave_up, &server))?;
    session.progress().set_stage(Stage::Ended(upid.clone()));
    let vmid = vmid_of(server, upid);
    let is_free = |vmid| server.ask(|pve| pve.is_free(vmid)).ok();
    let lock = vmid.and_then(|vmid| {
        let config = server.ask(|pve| pve.vm_config(&upid.node(), vmid)).ok()??;
        config.lock
    });
    let document = Document {
        upid,
        exitstatus: ended.status.to_string(),
        cancelled: !has_ended && !is_success(&ended.status),
        vmid,
        vm_exists: vmid.and_then(is_free).map(|is_free| !is_free),
    };
    let success = session.result(&document, |out, _| {
        writeln!(out, "{}", clean(&document.text()))
    })?;
    Ok(Success {
        hint: lock.and_then(|lock| document.hint(&lock)),
        ..success
    })
}

/// Requests to cancel a task, unless it has ended. Returns whether it had.
fn cancel(session: &Session, server: Server, upid: &Upid) -> Result<bool, Failure> {
    let stage = |is_requested| Stage::Cancelling {
        upid: upid.clone(),
        is_requested,
    };
    // A task of another token may be cancelled although it cannot be read.
    let status = server.ask(|pve| pve.task_status(upid));
    if matches!(status, Ok(TaskStatus::Stopped(_))) {
        return Ok(true);
    }
    session.progress().set_stage(stage(true));
    let mut back_off = BackOff::new(&server.budget);
    loop {
        match server.ask_for_change(|pve| pve.cancel_task(upid)) {
            Ok(()) => return Ok(false),
            Err(error) if error.delivery() != Delivery::Unknown => {
                return Err(Failure::new(kind_of(&error), chain(&error))
                    .with_hint(hint_for_unread(upid, &error))
                    .about(stage(false).facts()));
            }
            // Cancelling a task twice does no harm.
            Err(_) => {}
        }
        let has_time = back_off.pause();
        // Whether it was cancelled shows when it ends.
        if !has_time || matches!(server.pve.task_status(upid), Ok(TaskStatus::Stopped(_))) {
            return Ok(false);
        }
    }
}

impl Document<'_> {
    fn text(&self) -> String {
        let upid = self.upid.as_str();
        let ended = if self.cancelled {
            format!("Task {upid} was cancelled")
        } else {
            format!(
                "Task {upid} had ended before it could be cancelled: {}",
                self.exitstatus
            )
        };
        match self.vmid.zip(self.vm_exists) {
            Some((vmid, true)) => format!("{ended}; VM {vmid} exists"),
            Some((vmid, false)) => format!("{ended}; no VM {vmid} is left"),
            None => ended,
        }
    }

    /// What to do about a VM that is left with this lock.
    fn hint(&self, lock: &str) -> Option<String> {
        let is_half_made = self.cancelled && matches!(lock, "clone" | "create");
        let (vmid, node) = (self.vmid.filter(|_| is_half_made)?, self.upid.node());
        Some(format!(
            "VM {vmid} is locked ({lock}): another task is creating it, or its clean-up was cut off; to see which, \
             on node '{node}': pvenode task list --source active; to remove it, as root: qm unlock {vmid} && qm \
             destroy {vmid} --destroy-unreferenced-disks 1"
        ))
    }
}

fn is_success(status: &ExitStatus) -> bool {
    matches!(status, ExitStatus::Ok | ExitStatus::Warnings(_))
}

/// The VMID of the VM that the task worked on, or was creating.
fn vmid_of(server: Server, upid: &Upid) -> Option<Vmid> {
    match upid.kind() {
        "qmclone" => {
            let log = server.ask(|pve| pve.task_log(upid, 0)).ok()?;
            log.iter().find_map(|line| cloned_to(line))
        }
        kind if kind.starts_with("qm") => upid.subject().parse().ok(),
        _ => None,
    }
}

/// `creating a clone of VM 9000 with ID 101`; before qemu-server 9.1.6 only names of volumes contain the VMID:
/// `allocated target volume 'data:101/vm-101-disk-0.raw'`.
fn cloned_to(line: &str) -> Option<Vmid> {
    if let Some((_, vmid)) = line.rsplit_once(" with ID ") {
        return vmid.parse().ok();
    }
    let (_, volume) = line.rsplit_once("target volume '")?;
    let (vmid, _) = volume.split_once("vm-")?.1.split_once('-')?;
    vmid.parse().ok()
}

fn not_seen(upid: &Upid, gave_up: GaveUp<pve::Error>, server: &Server) -> Failure {
    let stage = Stage::Cancelling {
        upid: upid.clone(),
        is_requested: true,
    };
    let hint = format!("to see how it ends: {}", task_wait(upid));
    let failure = match gave_up {
        GaveUp::TimedOut(error) => {
            let why = error
                .as_ref()
                .map_or_else(String::new, |why| format!(": {why}"));
            let seconds = server.budget.seconds();
            let message = format!("after {seconds} s the task is still being cancelled{why}");
            Failure::new(Kind::Timeout, message).with_hint(with_more(hint, error.as_ref()))
        }
        GaveUp::Failed(error) => {
            let message = format!(
                "the task may or may not have been cancelled: {}",
                chain(&error)
            );
            Failure::new(kind_of(&error), message).with_hint(with_more(hint, Some(&error)))
        }
    };
    failure.about(stage.facts())
}
