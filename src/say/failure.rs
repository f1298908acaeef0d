//! What a failed run reports, to people and to scripts.

use std::collections::BTreeMap;

use serde::Serialize;
use snafu::{CleanedErrorText, Snafu};

use crate::pve;
use crate::pve::types::{Node, Upid, Vmid};
use crate::say::hint::hint_for;

/// One failure, ready to be shown.
#[derive(Debug, Serialize, Snafu)]
#[snafu(display("{message}"))]
pub struct Failure {
    /// The kind, for scripts.
    pub kind: Kind,
    /// What failed and why, in one line.
    pub message: String,
    /// What to do now.
    pub hint: Option<String>,
    /// What exists, or may exist.
    #[serde(flatten)]
    pub facts: Facts,
    /// The last lines of a failed task's log.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<String>,
    /// Whether the VM exists despite the failure; the message then begins with it.
    #[serde(skip)]
    pub vm_exists: bool,
    /// The failed request, if a request failed.
    #[serde(skip)]
    pub request: Option<Box<pve::Error>>,
}

/// What a failed run knows about its VM.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Facts {
    /// The VM that was being created, or the one that prevented it.
    pub vmid: Option<Vmid>,
    /// The task.
    pub upid: Option<Upid>,
    /// The node of that VM.
    pub node: Option<Node>,
    /// Whether the server has started to carry out the command.
    pub started: Started,
}

impl Facts {
    /// The same facts, with this task.
    pub fn of_task(self, task: &Upid) -> Facts {
        let upid = Some(task.clone());
        Facts { upid, ..self }
    }
}

/// Whether the server has started to carry out the command: creating a VM, or the change to one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Started {
    /// Not by this run.
    #[default]
    No,
    /// The server said so.
    Yes,
    /// The request was sent, and no usable answer was received.
    Unknown,
}

/// The kind of a failure.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The command line is wrong.
    Usage,
    /// The configuration is wrong or incomplete.
    Config,
    /// The server cannot be reached, or does not answer.
    Unreachable,
    /// The server could not prove its identity.
    Untrusted,
    /// The token was not accepted.
    Unauthorized,
    /// The token lacks a privilege.
    Forbidden,
    /// There is no VM with that name or VMID.
    VmNotFound,
    /// There is no template with that name.
    TemplateNotFound,
    /// A VM with that name exists.
    AlreadyExists,
    /// Several VMs have that name.
    Ambiguous,
    /// Another run is creating that VM, or has started to.
    InProgress,
    /// The VMID belongs to another guest.
    VmidTaken,
    /// The VM exists, but its clone did not finish.
    HalfMade,
    /// A task ended with an error.
    TaskFailed,
    /// The time limit was reached.
    Timeout,
    /// Whether the VM exists is unknown.
    OutcomeUnknown,
    /// A signal ended the run.
    Interrupted,
    /// Anything else.
    Failed,
}

impl Failure {
    /// A failure with this message and nothing else.
    pub fn new(kind: Kind, message: impl Into<String>) -> Failure {
        Failure {
            kind,
            message: message.into(),
            hint: None,
            facts: Facts::default(),
            log: Vec::new(),
            vm_exists: false,
            request: None,
        }
    }

    /// A failure with the message of an error and its causes.
    pub fn of(kind: Kind, error: &dyn std::error::Error) -> Failure {
        Failure::new(kind, chain(error))
    }

    /// A failed request, with what to do about it.
    pub fn of_request(error: &pve::Error) -> Failure {
        Failure::of(kind_of(error), error).with_hint(hint_for(error))
    }

    /// Sets what to do about it.
    pub fn with_hint(self, hint: impl Into<Option<String>>) -> Failure {
        let hint = hint.into();
        Failure { hint, ..self }
    }

    /// Sets what is known about the VM.
    pub fn about(self, facts: Facts) -> Failure {
        Failure { facts, ..self }
    }

    /// Sets the last lines of a task's log.
    pub fn with_log(self, log: Vec<String>) -> Failure {
        Failure { log, ..self }
    }

    /// Sets the request that failed.
    pub fn because_of(self, request: Box<pve::Error>) -> Failure {
        Failure {
            request: Some(request),
            ..self
        }
    }

    /// Marks the VM as existing despite the failure; the message must begin with it.
    pub fn of_existing_vm(self) -> Failure {
        Failure {
            vm_exists: true,
            ..self
        }
    }

    /// The document that `--json` prints.
    pub fn document(&self) -> impl Serialize {
        BTreeMap::from([("error", self)])
    }
}

/// An error and its causes in one line, without repetitions.
pub fn chain(error: &dyn std::error::Error) -> String {
    let texts = CleanedErrorText::new(error).map(|(_, text, _)| text);
    let texts: Vec<String> = texts.filter(|text| !text.is_empty()).collect();
    texts.join(": ")
}

/// The kind of a failed request.
pub fn kind_of(error: &pve::Error) -> Kind {
    match error {
        pve::Error::Tls { .. } => Kind::Config,
        pve::Error::Untrusted { .. } => Kind::Untrusted,
        pve::Error::NoneReached { each } if each.iter().all(is_untrusted) => Kind::Untrusted,
        pve::Error::Refused { status: 401, .. } => Kind::Unauthorized,
        pve::Error::Refused { status: 403, .. } => Kind::Forbidden,
        pve::Error::NoTimeLeft { .. }
        | pve::Error::Unreachable { .. }
        | pve::Error::NoneReached { .. }
        | pve::Error::Undelivered { .. }
        | pve::Error::UpstreamLost { .. }
        | pve::Error::NoAnswer { .. } => Kind::Unreachable,
        pve::Error::Refused { .. }
        | pve::Error::NoQuorum { .. }
        | pve::Error::Unusable { .. }
        | pve::Error::Unexpected { .. } => Kind::Failed,
    }
}

fn is_untrusted(error: &pve::Error) -> bool {
    kind_of(error) == Kind::Untrusted
}
