//! Faults as stories write them.

use std::time::Duration;

use serde::Deserialize;

use super::faults::{Closing, Fault, LateAnswer, Mishap, ScriptedAnswer, ScriptedJson, Victim};
use super::floods::Flood;

/// A fault as it is written. What must not stand together is sorted out in `try_from`,
/// because serde cannot both flatten an enum and refuse unknown fields.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FaultWords {
    on: Option<String>,
    nth: Option<usize>,
    request: Option<usize>,
    answer: Option<ScriptedAnswer>,
    json: Option<ScriptedJson>,
    close: Option<Closing>,
    truncate: Option<usize>,
    reset_after: Option<usize>,
    slow_ms: Option<u64>,
    hang: Option<HangWord>,
    late: Option<LateAnswer>,
    flood: Option<Flood>,
    /// Milliseconds between two bytes.
    drip: Option<u64>,
    refuse_ms: Option<u64>,
}

/// `true`, or `"after"` the request was acted upon.
#[derive(Clone, Copy, Deserialize)]
#[serde(untagged)]
enum HangWord {
    Whether(bool),
    When(HangAfter),
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum HangAfter {
    After,
}

impl HangWord {
    fn mishap(self) -> Option<Mishap> {
        match self {
            Self::Whether(hang) => hang.then_some(Mishap::Hang { acted: false }),
            Self::When(HangAfter::After) => Some(Mishap::Hang { acted: true }),
        }
    }
}

impl TryFrom<FaultWords> for Fault {
    type Error = &'static str;

    fn try_from(words: FaultWords) -> Result<Self, Self::Error> {
        let victim = match (words.on, words.request, words.nth) {
            (Some(_), None, _) if words.refuse_ms.is_some() => {
                return Err("`refuse_ms` must know its request before that comes");
            }
            (Some(on), None, nth) => Victim::Line { on, nth },
            (None, Some(request), None) => Victim::Request(request),
            _ => return Err("a fault needs `on`, which may have `nth`, or `request`"),
        };
        let drip = words.drip.map(Duration::from_millis);
        let refuse = words.refuse_ms.map(Duration::from_millis);
        let slow = words.slow_ms.map(Duration::from_millis);
        let mishaps = [
            words.answer.map(Mishap::Answer),
            words.json.map(Mishap::Json),
            words.close.map(Mishap::Close),
            words.truncate.map(Mishap::Truncate),
            words.reset_after.map(Mishap::ResetAfter),
            slow.map(Mishap::Slow),
            words.hang.and_then(HangWord::mishap),
            words.late.map(Mishap::Late),
            words.flood.map(Mishap::Flood),
            drip.map(Mishap::Drip),
            refuse.map(Mishap::Refuse),
        ];
        let mut mishaps = mishaps.into_iter().flatten();
        match (mishaps.next(), mishaps.next()) {
            (Some(mishap), None) => Ok(Self { victim, mishap }),
            _ => Err(
                "a fault needs one of `answer`, `json`, `close`, `truncate`, `reset_after`, \
                 `slow_ms`, `hang`, `late`, `flood`, `drip`, `refuse_ms`",
            ),
        }
    }
}
