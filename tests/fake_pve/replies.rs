//! The forms of Proxmox VE's answers.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::cluster::Unreachable;
use super::http::{Answer, Body};

pub(super) fn success(data: &Value) -> Answer {
    Answer {
        status: 200,
        reason: "OK".to_owned(),
        body: Some(Body::Json(json!({"data": data}))),
        proxied: false,
        through_node: false,
        delay: Duration::ZERO,
    }
}

/// A success from pvedaemon, not from pveproxy itself.
pub(super) fn proxied(data: &Value) -> Answer {
    Answer {
        proxied: true,
        ..success(data)
    }
}

impl Answer {
    /// Adds the total number of entries.
    pub(super) fn with_total(mut self, total: usize) -> Self {
        if let Some(Body::Json(body)) = &mut self.body {
            body["total"] = json!(total);
        }
        self
    }

    /// Delays the answer.
    pub(super) fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }
}

pub(super) fn failure(status: u16, message: &str) -> Answer {
    refusal(
        status,
        message,
        json!({"data": null, "message": format!("{message}\n")}),
    )
}

pub(super) fn forbidden(what: &str) -> Answer {
    failure(403, &format!("Permission check failed ({what})"))
}

/// `Ok` if there are no errors.
pub(super) fn refuse_if_any(errors: &Map<String, Value>) -> Result<(), Answer> {
    if errors.is_empty() {
        Ok(())
    } else {
        Err(parameter_errors(errors))
    }
}

pub(super) fn parameter_error(name: &str, why: &str) -> Answer {
    let mut errors = Map::new();
    errors.insert(name.to_owned(), json!(why));
    parameter_errors(&errors)
}

fn parameter_errors(errors: &Map<String, Value>) -> Answer {
    let message = "Parameter verification failed.";
    let body = json!({"data": null, "errors": errors, "message": format!("{message}\n")});
    refusal(400, message, body)
}

/// The only message without a newline at its end.
pub(super) fn not_implemented(method: &str, path: &str) -> Answer {
    let message = format!("Method '{method} {path}' not implemented");
    refusal(501, &message, json!({"data": null, "message": message}))
}

fn refusal(status: u16, message: &str, body: Value) -> Answer {
    Answer {
        status,
        reason: message.to_owned(),
        body: Some(Body::Json(body)),
        proxied: false,
        through_node: false,
        delay: Duration::ZERO,
    }
}

pub(super) fn without_body(status: u16, reason: &str) -> Answer {
    Answer {
        status,
        reason: reason.to_owned(),
        body: None,
        proxied: false,
        through_node: false,
        delay: Duration::ZERO,
    }
}

impl From<Unreachable> for Answer {
    fn from(unreachable: Unreachable) -> Self {
        match unreachable {
            Unreachable::Offline => without_body(595, "No route to host"),
            Unreachable::Unknown(node) => {
                let lookup = format!(
                    "hostname lookup '{node}' failed - failed to get address info for: {node}: \
                     Name or service not known"
                );
                failure(500, &lookup)
            }
        }
    }
}
