//! Scripted faults: which requests are affected, and what happens to them.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::fault_fields::FaultFields;
use super::floods::Flood;

#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "FaultFields")]
pub(crate) struct Fault {
    pub(super) victim: Victim,
    pub(super) mishap: Mishap,
}

impl Fault {
    /// A fault of the k-th request, with fields as in a story: `{"hang": true}`.
    pub(crate) fn at_request(request: usize, mut fields: Value) -> Self {
        fields["request"] = request.into();
        serde_json::from_value(fields).expect("a valid fault")
    }
}

#[derive(Clone, Debug)]
pub(super) enum Victim {
    /// The k-th request of all.
    Request(usize),
    /// Requests whose journal line begins with this: the nth of them, or all.
    Line { on: String, nth: Option<usize> },
}

#[derive(Clone, Debug)]
pub(super) enum Mishap {
    /// Another answer.
    Answer(ScriptedAnswer),
    /// Success with this data; the request is not executed.
    Json(ScriptedJson),
    Close(Closing),
    /// Executed; the answer stops after this many bytes of its body.
    Truncate(usize),
    /// Executed; a TCP reset follows after this many bytes of the body.
    ResetAfter(usize),
    /// Executed; the answer is delayed.
    Slow(Duration),
    /// No answer until the client disconnects.
    Hang {
        acted: bool,
    },
    /// A daemon hangs: the request is executed when its client no longer waits.
    Late(LateAnswer),
    /// An endless answer.
    Flood(Flood),
    /// An endless body, a byte at a time.
    Drip(Duration),
    /// The port is closed for this long before the request.
    Refuse(Duration),
}

impl Mishap {
    /// Whether the request is executed when it arrives.
    pub(super) fn executes(&self) -> bool {
        match self {
            Self::Answer(scripted) => scripted.acted,
            Self::Hang { acted } => *acted,
            Self::Close(closing) => matches!(closing, Closing::Lost),
            Self::Truncate(_) | Self::ResetAfter(_) | Self::Slow(_) | Self::Refuse(_) => true,
            Self::Json(_) | Self::Late(_) | Self::Flood(_) | Self::Drip(_) => false,
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ScriptedAnswer {
    pub(super) status: u16,
    pub(super) reason: String,
    #[serde(rename = "type", default = "json_type")]
    pub(super) content_type: String,
    pub(super) body: Option<String>,
    /// Whether the request is executed nevertheless.
    #[serde(default)]
    pub(super) acted: bool,
}

fn json_type() -> String {
    super::http::JSON.to_owned()
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ScriptedJson {
    #[serde(default = "ok")]
    pub(super) status: u16,
    pub(super) data: Value,
}

fn ok() -> u16 {
    200
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LateAnswer {
    pub(super) status: u16,
    pub(super) reason: String,
    /// Executed after this many further requests; otherwise when the test wakes the daemon.
    pub(super) after: Option<usize>,
    /// One option of a configuration then, and one more with every this many requests.
    pub(super) each: Option<usize>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Closing {
    /// The request was not executed.
    Before,
    /// The request was executed, and only the answer is lost.
    Lost,
    /// The request was not executed, and the kernel sends a TCP reset.
    Reset,
}

/// The faults of a story, and how often each has matched.
pub(super) struct Faults {
    waiting: Vec<(Fault, usize)>,
    requests: usize,
}

impl Faults {
    pub(super) fn new(faults: &[Fault]) -> Self {
        Self {
            waiting: faults.iter().map(|fault| (fault.clone(), 0)).collect(),
            requests: 0,
        }
    }

    /// The mishap of the request with this journal line. Every fault counts the requests that match it,
    /// even if an earlier one in the list applies.
    pub(super) fn mishap_of(&mut self, line: &str) -> Option<Mishap> {
        self.requests += 1;
        let mut mishap = None;
        for (fault, matched) in &mut self.waiting {
            let hit = match &fault.victim {
                Victim::Request(request) => *request == self.requests,
                Victim::Line { on, nth } => {
                    let matches = line.starts_with(on);
                    *matched += usize::from(matches);
                    matches && nth.is_none_or(|nth| nth == *matched)
                }
            };
            if hit && mishap.is_none() {
                mishap = Some(fault.mishap.clone());
            }
        }
        mishap
    }

    /// A daemon that hung answers again.
    pub(super) fn wake(&mut self) {
        self.waiting.retain(
            |(fault, _)| !matches!(&fault.mishap, Mishap::Late(late) if late.after.is_none()),
        );
    }

    /// How long the port is to be closed before the next request.
    pub(super) fn pause_before_next(&self) -> Option<Duration> {
        let next = self.requests + 1;
        self.waiting.iter().find_map(|(fault, _)| match fault {
            Fault {
                victim: Victim::Request(request),
                mishap: Mishap::Refuse(pause),
            } if *request == next => Some(*pause),
            _ => None,
        })
    }

    /// The number of requests received so far.
    pub(super) fn requests(&self) -> usize {
        self.requests
    }
}
