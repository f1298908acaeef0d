//! Scripted mishaps: which request they befall, and what happens to it.

use serde::Deserialize;
use serde_json::Value;

#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "FaultWords")]
pub(crate) struct Fault {
    victim: Victim,
    mishap: Mishap,
}

#[derive(Clone, Debug)]
enum Victim {
    /// The k-th request of all.
    Request(usize),
    /// Requests whose journal line begins so; of these the nth or all.
    Line { on: String, nth: Option<usize> },
}

#[derive(Clone, Debug)]
pub(super) enum Mishap {
    /// Another answer; the request is not acted upon.
    Answer(ScriptedAnswer),
    /// Success with this data; the request is not acted upon.
    Json(ScriptedJson),
    Close(Closing),
    /// Acted upon; the answer stops after so many bytes of its body.
    Truncate(usize),
    /// No answer until the client goes away.
    Hang,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ScriptedAnswer {
    pub(super) status: u16,
    pub(super) reason: String,
    #[serde(rename = "type", default = "json_type")]
    pub(super) content_type: String,
    pub(super) body: Option<String>,
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

/// A fault as it is written. What must not stand together is sorted out in `try_from`,
/// because serde cannot both flatten an enum and refuse unknown fields.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FaultWords {
    on: Option<String>,
    nth: Option<usize>,
    request: Option<usize>,
    answer: Option<ScriptedAnswer>,
    json: Option<ScriptedJson>,
    close: Option<Closing>,
    truncate: Option<usize>,
    hang: Option<bool>,
}

impl TryFrom<FaultWords> for Fault {
    type Error = &'static str;

    fn try_from(words: FaultWords) -> Result<Self, Self::Error> {
        let victim = match (words.on, words.request, words.nth) {
            (Some(on), None, nth) => Victim::Line { on, nth },
            (None, Some(request), None) => Victim::Request(request),
            _ => return Err("a fault needs `on`, which may have `nth`, or `request`"),
        };
        let mishaps = [
            words.answer.map(Mishap::Answer),
            words.json.map(Mishap::Json),
            words.close.map(Mishap::Close),
            words.truncate.map(Mishap::Truncate),
            words.hang.filter(|hang| *hang).map(|_| Mishap::Hang),
        ];
        let mut mishaps = mishaps.into_iter().flatten();
        match (mishaps.next(), mishaps.next()) {
            (Some(mishap), None) => Ok(Self { victim, mishap }),
            _ => Err("a fault needs one of `answer`, `json`, `close`, `truncate`, `hang`"),
        }
    }
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
}
