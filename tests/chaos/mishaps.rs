//! What may happen to a request.

use serde_json::{Value, json};

#[derive(Clone)]
pub(super) struct Mishap {
    pub(super) name: &'static str,
    /// As in a story file.
    pub(super) fault: Value,
    /// Whether the client must wait for its own timeout.
    pub(super) is_silence: bool,
    /// Whether the server executes the request only when the test wakes the daemon.
    pub(super) is_kept: bool,
}

pub(super) fn all() -> Vec<Mishap> {
    let page = json!("<html><h1>502 Bad Gateway</h1></html>");
    let error = json!(r#"{"data":null,"message":"internal error\n"}"#);
    let broken = json!(r#"{"data":[{"vm"#);
    let faults = [
        ("refused", json!({"refuse_ms": 30})),
        ("closed before the answer", json!({"close": "before"})),
        ("reset before the answer", json!({"close": "reset"})),
        ("reset in the body", json!({"reset_after": 5})),
        ("cut in the body", json!({"truncate": 5})),
        ("answer lost", json!({"close": "lost"})),
        (
            "401",
            answer(401, "Authentication failed!", &Value::Null, false),
        ),
        ("500", answer(500, "internal error", &error, false)),
        ("502, not done", answer(502, "Bad Gateway", &page, false)),
        ("502, done", answer(502, "Bad Gateway", &page, true)),
        (
            "595",
            answer(595, "Connection refused", &Value::Null, false),
        ),
        ("596, done at the next", late(Some(1))),
        ("596, done a little later", late(Some(4))),
        ("596, done when all is over", late(None)),
        ("silence, not done", json!({"hang": true})),
        ("silence, done", json!({"hang": "after"})),
        (
            "null, done",
            answer(200, "OK", &json!(r#"{"data":null}"#), true),
        ),
        ("garbage, not done", answer(200, "OK", &broken, false)),
        ("garbage, done", answer(200, "OK", &broken, true)),
    ];
    let mishap = |(name, fault): (&'static str, Value)| Mishap {
        name,
        is_silence: fault.get("hang").is_some(),
        is_kept: fault == late(None),
        fault,
    };
    faults.into_iter().map(mishap).collect()
}

/// Those after which a client cannot know whether the request was executed.
pub(super) fn doubtful() -> Vec<Mishap> {
    let names = [
        "answer lost",
        "502, not done",
        "596, done a little later",
        "596, done when all is over",
    ];
    let is_doubtful = |mishap: &Mishap| names.contains(&mishap.name);
    all().into_iter().filter(is_doubtful).collect()
}

/// The option that keeps a run from waiting long for a silent server. Elsewhere a short limit would only be
/// one more mishap on a busy machine.
pub(super) fn patience(is_silence: bool) -> &'static str {
    if is_silence {
        "--request-timeout 0.3"
    } else {
        ""
    }
}

fn answer(status: u16, reason: &str, body: &Value, acted: bool) -> Value {
    json!({"answer": {"status": status, "reason": reason, "body": body, "acted": acted}})
}

fn late(after: Option<usize>) -> Value {
    json!({"late": {"status": 596, "reason": "Connection timed out", "after": after}})
}
