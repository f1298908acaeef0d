//! What a failed run says: one shape for people and for scripts.

use serde::{Serialize, Serializer};
use snafu::{CleanedErrorText, Snafu};

use crate::pve;
use crate::pve::types::{Node, Upid, Vmid};
use crate::say::hint::hint_for;

/// One failure, ready to be shown.
#[derive(Debug, Serialize, Snafu)]
#[snafu(display("{message}"))]
pub struct Failure {
    /// The word that scripts branch on.
    pub kind: Kind,
    /// What was wanted and why it failed, in one line.
    pub message: String,
    /// What to do now.
    pub hint: Option<String>,
    /// What exists, or may exist.
    #[serde(flatten)]
    pub facts: Facts,
    /// The last lines of a failed task's log.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<String>,
    /// Whether the VM exists all the same, which the message then begins with.
    #[serde(skip)]
    pub vm_exists: bool,
    /// The request that failed, if it was one.
    #[serde(skip)]
    pub request: Option<Box<pve::Error>>,
}

/// What a failed run knows about its VM.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Facts {
    /// The VM that was to be created, or the one in its way.
    pub vmid: Option<Vmid>,
    /// The task that it was about.
    pub upid: Option<Upid>,
    /// The node of that VM.
    pub node: Option<Node>,
    /// Whether the server has begun to create a VM.
    pub started: Started,
}

/// Whether the server has begun to create a VM.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Started {
    /// Certainly not by this run.
    #[default]
    No,
    /// The server said so.
    Yes,
    /// The request left, and no usable answer came.
    Unknown,
}

impl Serialize for Started {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(match self {
            Started::No => "no",
            Started::Yes => "yes",
            Started::Unknown => "unknown",
        })
    }
}

/// What sort of failure it was.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The command line is wrong.
    Usage,
    /// The configuration is wrong or incomplete.
    Config,
    /// The server cannot be reached, or does not answer.
    Unreachable,
    /// The server could not show that it is who it claims to be.
    Untrusted,
    /// The token was not accepted.
    Unauthorized,
    /// The token lacks a privilege.
    Forbidden,
    /// No template of that name.
    TemplateNotFound,
    /// A VM of that name is there.
    AlreadyExists,
    /// Several VMs have that name.
    Ambiguous,
    /// Another run is making that VM, or has begun to.
    InProgress,
    /// The VMID belongs to another guest.
    VmidTaken,
    /// A VM is there that no clone has finished.
    HalfMade,
    /// The clone's task ended with an error.
    TaskFailed,
    /// Time is up.
    Timeout,
    /// Nobody knows whether there is a VM.
    OutcomeUnknown,
    /// A signal has ended the run.
    Interrupted,
    /// None of the others.
    Failed,
}

impl Failure {
    /// A failure in words, of which nothing else is known.
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

    /// A failure in the words of an error and its causes.
    pub fn of(kind: Kind, error: &dyn std::error::Error) -> Failure {
        Failure::new(kind, chain(error))
    }

    /// A failed request, with what to do about it.
    pub fn of_request(error: &pve::Error) -> Failure {
        Failure::of(kind_of(error), error).with_hint(hint_for(error))
    }

    /// With what to do about it.
    pub fn with_hint(self, hint: impl Into<Option<String>>) -> Failure {
        let hint = hint.into();
        Failure { hint, ..self }
    }

    /// With what is known about the VM.
    pub fn about(self, facts: Facts) -> Failure {
        Failure { facts, ..self }
    }

    /// With the last lines of a task's log.
    pub fn with_log(self, log: Vec<String>) -> Failure {
        Failure { log, ..self }
    }

    /// With the request that failed.
    pub fn because_of(self, request: Box<pve::Error>) -> Failure {
        Failure {
            request: Some(request),
            ..self
        }
    }

    /// The VM exists all the same, and the message begins with it.
    pub fn of_existing_vm(self) -> Failure {
        Failure {
            vm_exists: true,
            ..self
        }
    }

    /// What `--json` prints of it.
    pub fn document(&self) -> impl Serialize {
        #[derive(Serialize)]
        struct Document<'r> {
            error: &'r Failure,
        }
        Document { error: self }
    }
}

/// An error and its causes as one line, each said once.
pub fn chain(error: &dyn std::error::Error) -> String {
    let texts: Vec<String> = CleanedErrorText::new(error)
        .map(|(_, text, _)| text)
        .filter(|text| !text.is_empty())
        .collect();
    texts.join(": ")
}

/// What sort of failure an unsuccessful request is.
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
        | pve::Error::LostBehind { .. }
        | pve::Error::NoAnswer { .. } => Kind::Unreachable,
        pve::Error::Refused { .. } | pve::Error::Unusable { .. } => Kind::Failed,
    }
}

fn is_untrusted(error: &pve::Error) -> bool {
    kind_of(error) == Kind::Untrusted
}
