//! `task wait`

use serde::Serialize;

use super::{Session, Success};
use crate::cli::TaskWait;
use crate::pve;
use crate::pve::types::{ExitStatus, Upid};
use crate::say::failure::{Facts, Failure, Kind, Started, chain, kind_of};
use crate::say::hint::with_more;
use crate::say::stage::Stage;
use crate::ui::text::clean;
use crate::wait::GaveUp;
use crate::wait::task::{hint_for_unread, how_to_read_log, last_lines, wait, warnings};

#[derive(Serialize)]
struct Document<'w> {
    upid: &'w Upid,
    exitstatus: String,
    warnings: &'w [String],
}

/// Waits for a task of any kind, and fails unless it succeeds.
pub fn run(session: &Session, arguments: &TaskWait) -> Result<Success, Failure> {
    session.check_output_options()?;
    let upid = &arguments.upid;
    let access = session.configuration()?.access;
    session.progress().set_stage(Stage::Waiting(upid.clone()));
    session.handle_signals(|| {});
    let pve = session.connect(&access, Some(arguments.timeout.0))?;
    let server = session.server(&pve, arguments.timeout, arguments.poll_interval);
    let ended = wait(server, upid, true);
    let ended =
        ended.map_err(|gave_up| wait_failure(upid, gave_up, arguments.timeout.0.as_secs_f64()))?;
    session.progress().set_stage(Stage::Ended(upid.clone()));
    let warnings = match &ended.status {
        ExitStatus::Ok => Vec::new(),
        ExitStatus::Warnings(_) => warnings(server, upid),
        ExitStatus::Unexpected => {
            let message = "it is unknown how the task ended: its worker died or its node went down";
            return Err(failed(upid, Kind::OutcomeUnknown, message.to_owned()));
        }
        ExitStatus::Failed(message) => {
            let failure = failed(upid, Kind::TaskFailed, format!("Task failed: {message}"));
            return Err(failure.with_log(last_lines(server, upid)));
        }
    };
    let document = Document {
        upid,
        exitstatus: ended.status.to_string(),
        warnings: &warnings,
    };
    let success = session.result(&document, |out, _| {
        let upid = clean(upid.as_str());
        writeln!(out, "Task {upid} ended: {}", document.exitstatus)
    })?;
    Ok(Success {
        warnings,
        ..success
    })
}

fn failed(upid: &Upid, kind: Kind, message: String) -> Failure {
    Failure::new(kind, message)
        .with_hint(how_to_read_log(upid))
        .about(Facts {
            started: Started::Yes,
            ..Stage::Waiting(upid.clone()).facts()
        })
}

fn wait_failure(upid: &Upid, gave_up: GaveUp<pve::Error>, seconds: f64) -> Failure {
    let stage = Stage::Waiting(upid.clone());
    let failure = match gave_up {
        GaveUp::TimedOut(last_error) => {
            let certain = stage.after_last_poll(last_error.as_ref());
            let doubt = last_error
                .as_ref()
                .map(|_| "if the UPID and its node are right, ");
            let hint = format!("{}{}", doubt.unwrap_or_default(), stage.hint());
            let message = format!("Timed out after {seconds} s; {certain}");
            Failure::new(Kind::Timeout, message).with_hint(with_more(hint, last_error.as_ref()))
        }
        GaveUp::Failed(error) => {
            let message = format!("cannot read the task: {}", chain(&error));
            Failure::new(kind_of(&error), message).with_hint(hint_for_unread(upid, &error))
        }
    };
    failure.about(stage.facts())
}
