//! Faults as written in stories.

use std::time::Duration;

use serde::Deserialize;

use super::faults::{Closing, Fault, LateAnswer, Mishap, ScriptedAnswer, ScriptedJson, Victim};
use super::floods::Flood;

/// A fault as written. `try_from` rejects combinations, because serde cannot both flatten an enum and
/// refuse unknown fields.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FaultFields {
    on: Option<String>,
    nth: Option<usize>,
    request: Option<usize>,
    answer: Option<ScriptedAnswer>,
    json: Option<ScriptedJson>,
    close: Option<Closing>,
    truncate: Option<usize>,
    reset_after: Option<usize>,
    slow_ms: Option<u64>,
    hang: Option<HangField>,
    late: Option<LateAnswer>,
    flood: Option<Flood>,
    /// Milliseconds between two bytes.
    drip: Option<u64>,
    refuse_ms: Option<u64>,
}

/// `true`, or `"after"` for a request that is executed first.
#[derive(Clone, Copy, Deserialize)]
#[serde(untagged)]
enum HangField {
    Whether(bool),
    When(HangAfter),
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum HangAfter {
    After,
}

impl HangField {
    fn mishap(self) -> Option<Mishap> {
        match self {
            Self::Whether(hang) => hang.then_some(Mishap::Hang { acted: false }),
            Self::When(HangAfter::After) => Some(Mishap::Hang { acted: true }),
        }
    }
}

impl TryFrom<FaultFields> for Fault {
    type Error = &'static str;

    fn try_from(fields: FaultFields) -> Result<Self, Self::Error> {
        let victim = match (fields.on, fields.request, fields.nth) {
            (Some(_), None, _) if fields.refuse_ms.is_some() => {
                return Err("`refuse_ms` needs `request`");
            }
            (Some(on), None, nth) => Victim::Line { on, nth },
            (None, Some(request), None) => Victim::Request(request),
            _ => return Err("a fault needs `on`, which may have `nth`, or `request`"),
        };
        let drip = fields.drip.map(Duration::from_millis);
        let refuse = fields.refuse_ms.map(Duration::from_millis);
        let slow = fields.slow_ms.map(Duration::from_millis);
        let mishaps = [
            fields.answer.map(Mishap::Answer),
            fields.json.map(Mishap::Json),
            fields.close.map(Mishap::Close),
            fields.truncate.map(Mishap::Truncate),
            fields.reset_after.map(Mishap::ResetAfter),
            slow.map(Mishap::Slow),
            fields.hang.and_then(HangField::mishap),
            fields.late.map(Mishap::Late),
            fields.flood.map(Mishap::Flood),
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
