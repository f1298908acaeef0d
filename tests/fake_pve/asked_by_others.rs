//! Requests of other clients, which are neither counted nor recorded in the journal.

use serde_json::Value;

use super::answers;
use super::cluster::Cluster;
use super::http::{Body, Request};
use super::setup::SECRET;

impl Cluster {
    /// Another client sends this request, written as in the journal: `PUT /nodes/…/config protection=1`.
    /// Returns the status and the data of the answer.
    pub(crate) fn ask_as(&mut self, token: &str, line: &str) -> (u16, Value) {
        let mut words = line.splitn(3, ' ');
        let mut next = || words.next().unwrap_or_default();
        let request = Request {
            method: next().to_owned(),
            target: format!("/api2/json{}", next()),
            headers: vec![(
                "Authorization".to_owned(),
                format!("PVEAPIToken={token}={SECRET}"),
            )],
            body: next().to_owned(),
        };
        let answer = answers::answer(self, &request);
        let data = match answer.body {
            Some(Body::Json(mut body)) => body["data"].take(),
            _ => Value::Null,
        };
        (answer.status, data)
    }
}
