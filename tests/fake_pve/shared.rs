//! What the threads of one fake have in common.

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use rustls::ServerConfig;

use super::cluster::Cluster;
use super::faults::{Faults, Mishap};
use super::http::{self, Manners, Request};
use super::setup::Setup;

pub(super) struct Shared {
    cluster: Mutex<Cluster>,
    chronicle: Mutex<Chronicle>,
    pub(super) connections: AtomicUsize,
    pub(super) manners: Manners,
    pub(super) unauthorized_delay: Duration,
    pub(super) tls: Option<Arc<ServerConfig>>,
}

/// Journal and faults under one lock: both count requests, and must agree on their order.
struct Chronicle {
    seen: Vec<Seen>,
    faults: Faults,
}

/// A request as the journal keeps it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) line: String,
    /// Path and query as they were sent, escapes and all.
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        http::header(&self.headers, name)
    }
}

impl Shared {
    pub(super) fn new(setup: Setup, tls: Option<Arc<ServerConfig>>) -> Self {
        Self {
            chronicle: Mutex::new(Chronicle {
                seen: Vec::new(),
                faults: Faults::new(&setup.faults),
            }),
            connections: AtomicUsize::new(0),
            manners: Manners {
                reason_only: setup.reason_only,
                gzip: setup.gzip,
                keep_alive: !setup.close_every,
            },
            unauthorized_delay: Duration::from_millis(setup.unauthorized_delay_ms),
            tls,
            cluster: Mutex::new(Cluster::new(setup)),
        }
    }

    pub(super) fn cluster(&self) -> MutexGuard<'_, Cluster> {
        self.cluster.lock().expect("no thread panicked over it")
    }

    fn chronicle(&self) -> MutexGuard<'_, Chronicle> {
        self.chronicle.lock().expect("no thread panicked over it")
    }

    /// Writes the request down, and tells what shall happen to it.
    pub(super) fn witness(&self, request: &Request) -> Option<Mishap> {
        let line = request.journal_line();
        let mut chronicle = self.chronicle();
        let mishap = chronicle.faults.befall(&line);
        chronicle.seen.push(Seen {
            line,
            target: request.target.clone(),
            headers: request.headers.clone(),
        });
        mishap
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.chronicle().seen.clone()
    }

    pub(super) fn take_seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.chronicle().seen)
    }
}
