//! Why a VM that is there did not become all that it shall be.

use snafu::Snafu;

use super::wanted::Unfit;
use crate::pve;
use crate::pve::types::Upid;
use crate::say::failure::{Kind, kind_of};
use crate::say::hint::{hint_for, with_more};
use crate::say::stage::{GO_ON, Step, go_on_or_wait};
use crate::wait::task;

/// What went wrong, said behind `VM 101 'web-1' was created on node 'pve1', but …`.
#[derive(Debug, Snafu)]
#[allow(missing_docs)]
pub enum Cause {
    #[snafu(display("{}", step.failed()))]
    Request { step: Step, source: Box<pve::Error> },

    #[snafu(display("{}: Task failed: {words}", step.failed()))]
    Task {
        step: Step,
        upid: Upid,
        words: String,
        log: Vec<String>,
    },

    /// What was in the way at last, where that is known.
    #[snafu(display("after {seconds} s {}{}", step.ongoing(), match last {
        Some(why) => format!(": {why}"),
        None => String::new(),
    }))]
    TimeIsUp {
        seconds: f64,
        step: Step,
        task: Option<Upid>,
        last: Option<String>,
    },

    /// It was asked for, and what came of it was not to be seen.
    #[snafu(display("{}{}: {why}", match seconds {
        Some(seconds) => format!("after {seconds} s "),
        None => String::new(),
    }, step.perhaps()))]
    NotKnown {
        /// The whole budget, if it is used up.
        seconds: Option<f64>,
        step: Step,
        task: Option<Upid>,
        why: Doubt,
    },

    #[snafu(display("it cannot become that"))]
    Unfit { source: Unfit },

    #[snafu(display("it was started and does not run"))]
    NotRunning { upid: Option<Upid> },

    #[snafu(display("it does not run, so nobody can tell its address"))]
    RunsNoMore,

    #[snafu(display("it has no guest agent, and only that could tell its address"))]
    NoAgent,

    #[snafu(display("it is not there any more"))]
    Gone,
}

/// Why it is not known what came of a request.
#[derive(Debug, Snafu)]
#[allow(missing_docs)]
pub enum Doubt {
    #[snafu(display("{error}"))]
    Look { error: Box<pve::Error> },

    #[snafu(display("{words}"))]
    Answer { words: String },
}

/// What to do where the words of the command are wrong.
const MENDED: &str = "correct what it complains of, and add --ensure: that goes on with this VM";

/// What to do about a VM whose agent the server does not ask.
const AGENT_OFF: &str = "if the agent is installed in it, --set agent=1 turns it on, and it can be \
                         asked after the VM's next start";

impl Cause {
    /// What sort of failure it is.
    pub fn kind(&self) -> Kind {
        match self {
            Cause::Request { source, .. } => kind_of(source),
            Cause::Task { .. } => Kind::TaskFailed,
            Cause::TimeIsUp { .. }
            | Cause::NotKnown {
                seconds: Some(_), ..
            } => Kind::Timeout,
            Cause::NotKnown { seconds: None, .. } => Kind::OutcomeUnknown,
            Cause::Unfit { .. }
            | Cause::NotRunning { .. }
            | Cause::RunsNoMore
            | Cause::NoAgent
            | Cause::Gone => Kind::Failed,
        }
    }

    /// What to do now.
    pub fn hint(&self) -> String {
        match self {
            Cause::Unfit {
                source: Unfit::NoAgent { .. },
            } => AGENT_OFF.to_owned(),
            Cause::Unfit { source } => source.hint().unwrap_or_else(|| MENDED.to_owned()),
            Cause::Request { source, .. } if is_refusal_of_a_value(source) => MENDED.to_owned(),
            Cause::Request { source, .. } => match hint_for(source) {
                Some(hint) => format!("{hint}; then {GO_ON}"),
                None => GO_ON.to_owned(),
            },
            Cause::Task { upid, .. } => {
                format!("{}; once that is mended, {GO_ON}", task::whole_log(upid))
            }
            Cause::TimeIsUp {
                step: Step::Address,
                ..
            } => format!(
                "the guest must have qemu-guest-agent installed and running, and an address; {GO_ON}, \
                 with a longer --timeout if it starts slowly"
            ),
            Cause::TimeIsUp { task, .. } => go_on_or_wait(task.as_ref()),
            Cause::NotKnown { task, why, .. } => {
                let error = match why {
                    Doubt::Look { error } => Some(&**error),
                    Doubt::Answer { .. } => None,
                };
                with_more(go_on_or_wait(task.as_ref()), error)
            }
            Cause::NotRunning { upid: Some(upid) } => format!("{}; {GO_ON}", task::whole_log(upid)),
            Cause::NotRunning { upid: None } | Cause::RunsNoMore => {
                format!("see on its console why it went off; {GO_ON}")
            }
            Cause::NoAgent => format!("{AGENT_OFF}; {GO_ON}"),
            Cause::Gone => {
                "somebody has moved or destroyed it since; 'homelab proxmox vm list' shows what is there"
                    .to_owned()
            }
        }
    }

    /// The task that it is about.
    pub fn upid(&self) -> Option<&Upid> {
        match self {
            Cause::Task { upid, .. } => Some(upid),
            Cause::NotRunning { upid } => upid.as_ref(),
            Cause::TimeIsUp { .. }
            | Cause::NotKnown { .. }
            | Cause::Request { .. }
            | Cause::Unfit { .. }
            | Cause::RunsNoMore
            | Cause::NoAgent
            | Cause::Gone => None,
        }
    }

    /// The last lines of a failed task's log.
    pub fn log(&self) -> &[String] {
        match self {
            Cause::Task { log, .. } => log,
            _ => &[],
        }
    }
}

fn is_refusal_of_a_value(error: &pve::Error) -> bool {
    matches!(error, pve::Error::Refused { status: 400, .. })
}
