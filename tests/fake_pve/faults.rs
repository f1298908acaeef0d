//! Scripted mishaps: which request they befall, and what happens to it.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::fault_words::FaultWords;
use super::floods::Flood;

#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "FaultWords")]
pub(crate) struct Fault {
    pub(super) victim: Victim,
    pub(super) mishap: Mishap,
}

impl Fault {
    /// A fault of the k-th request, with words as a story has them: `{"hang": true}`.
    pub(crate) fn at_request(request: usize, mut words: Value) -> Self {
        words["request"] = request.into();
        serde_json::from_value(words).expect("a fault that makes sense")
    }
}

#[derive(Clone, Debug)]
pub(super) enum Victim {
    /// The k-th request of all.
    Request(usize),
    /// Requests whose journal line begins so; of these the nth or all.
    Line { on: String, nth: Option<usize> },
}

#[derive(Clone, Debug)]
pub(super) enum Mishap {
    /// Another answer.
    Answer(ScriptedAnswer),
    /// Success with this data; the request is not acted upon.
    Json(ScriptedJson),
    Close(Closing),
    /// Acted upon; the answer stops after so many bytes of its body.
    Truncate(usize),
    /// Acted upon; after so many bytes of the answer's body comes a TCP reset.
    ResetAfter(usize),
    /// Acted upon; the answer comes so much later.
    Slow(Duration),
    /// No answer until the client goes away.
    Hang {
        acted: bool,
    },
    /// A daemon that hangs: acted upon when nobody waits for the answer any more.
    Late(LateAnswer),
    /// An answer without end.
    Flood(Flood),
    /// A body without end, a byte at a time.
    Drip(Duration),
    /// Nobody listens for so long before the request.
    Refuse(Duration),
}

impl Mishap {
    /// Whether the request is acted upon when it comes.
    pub(super) fn lets_act(&self) -> bool {
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
    /// Whether the request is acted upon all the same.
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
    /// Acted upon when so many requests more have come; else when the test wakes the daemon.
    pub(super) after: Option<usize>,
    /// Of a configuration, one option then, and the next one with every so many requests.
    pub(super) each: Option<usize>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Closing {
    /// Nothing was done.
    Before,
    /// Everything was done, and only the answer is lost.
    Lost,
    /// Nothing was done, and the kernel sends a TCP reset.
    Reset,
}

/// The faults of a story and how often each has been up for its turn.
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

    /// The mishap of the request with this journal line. Every fault counts the requests
    /// that match it, also when an earlier one in the list has its way.
    pub(super) fn befall(&mut self, line: &str) -> Option<Mishap> {
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

    /// How long nobody shall listen before the next request.
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

    /// How many requests have come so far.
    pub(super) fn requests(&self) -> usize {
        self.requests
    }
}
