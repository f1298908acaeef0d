//! What the threads of one fake have in common.

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use rustls::ServerConfig;

use super::answers;
use super::cluster::Cluster;
use super::door::{Door, PATIENCE};
use super::faults::{Fault, Faults, Mishap};
use super::http::{self, Answer, Manners, Request};
use super::quorum::Here;
use super::setup::Setup;
use super::watcher::Watcher;

pub(super) struct Shared {
    pub(super) cluster: Arc<Mutex<Cluster>>,
    /// Where requests come in.
    pub(super) here: Here,
    chronicle: Mutex<Chronicle>,
    arrived: Condvar,
    pub(super) watcher: Mutex<Option<Box<dyn Watcher>>>,
    pub(super) door: Door,
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
    /// Names and values, decoded as the server does it.
    pub(crate) params: Vec<(String, String)>,
}

impl Seen {
    pub(super) fn of(request: &Request) -> Self {
        Self {
            line: request.journal_line(),
            target: request.target.clone(),
            headers: request.headers.clone(),
            params: request.parameters(),
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        http::header(&self.headers, name)
    }

    pub(crate) fn param(&self, name: &str) -> Option<&str> {
        let (_, value) = self.params.iter().find(|(known, _)| known == name)?;
        Some(value)
    }
}

impl Shared {
    pub(super) fn new(setup: Setup, door: Door, tls: Option<Arc<ServerConfig>>) -> Self {
        let faults = setup.faults.clone();
        Self::of(
            Arc::new(Mutex::new(Cluster::new(setup))),
            &faults,
            door,
            tls,
        )
    }

    /// Of a cluster that others have, too.
    pub(super) fn of(
        cluster: Arc<Mutex<Cluster>>,
        faults: &[Fault],
        door: Door,
        tls: Option<Arc<ServerConfig>>,
    ) -> Self {
        let setup = cluster.lock().expect("a cluster in order").setup.clone();
        let here = Here {
            node: setup.nodes[0].clone(),
            is_cut_off: false,
        };
        Self {
            here,
            chronicle: Mutex::new(Chronicle {
                seen: Vec::new(),
                faults: Faults::new(faults),
            }),
            arrived: Condvar::new(),
            watcher: Mutex::new(None),
            door,
            connections: AtomicUsize::new(0),
            manners: Manners {
                reason_only: setup.reason_only,
                gzip: setup.gzip,
                keep_alive: !setup.close_every,
            },
            unauthorized_delay: Duration::from_millis(setup.unauthorized_delay_ms),
            tls,
            cluster,
        }
    }

    pub(super) fn at(self, here: Here) -> Self {
        Self { here, ..self }
    }

    pub(super) fn cluster(&self) -> MutexGuard<'_, Cluster> {
        self.cluster.lock().expect("no thread panicked over it")
    }

    fn chronicle(&self) -> MutexGuard<'_, Chronicle> {
        self.chronicle.lock().expect("no thread panicked over it")
    }

    /// Writes the request down, lets the cluster go on, and acts as far as the mishap lets it.
    ///
    /// All under one lock: the journal's order is the order in which things were done, and who
    /// has seen a request in the journal finds it acted upon.
    pub(super) fn receive(&self, request: &Request) -> (Option<Mishap>, Option<Answer>) {
        let mut cluster = self.cluster();
        let mut watcher = self.watcher.lock().expect("no watcher panicked");
        let mishap = self.witness(request).or_else(|| {
            let fault = watcher.as_mut()?.before(&mut cluster, &Seen::of(request));
            fault.map(|fault| fault.mishap)
        });
        cluster.count_request();
        cluster.here.clone_from(&self.here);
        if let Some(Mishap::Late(late)) = &mishap {
            cluster.keep(request.clone(), late);
        }
        let acts = mishap.as_ref().is_none_or(Mishap::lets_act);
        let answer = acts.then(|| answers::answer(&mut cluster, request));
        if let Some(watcher) = watcher.as_mut() {
            watcher.after(&mut cluster);
        }
        (mishap, answer)
    }

    /// Writes the request down, and tells what shall happen to it.
    pub(super) fn witness(&self, request: &Request) -> Option<Mishap> {
        let seen = Seen::of(request);
        let mut chronicle = self.chronicle();
        let mishap = chronicle.faults.befall(&seen.line);
        chronicle.seen.push(seen);
        self.arrived.notify_all();
        mishap
    }

    /// Carries out what a hung daemon has kept; from here on it answers at once.
    pub(super) fn wake(&self) -> MutexGuard<'_, Cluster> {
        let mut cluster = self.cluster();
        self.chronicle().faults.wake();
        cluster.act_on_all_kept();
        cluster
    }

    /// How long nobody shall listen before the next request.
    pub(super) fn pause_before_next(&self) -> Option<Duration> {
        self.chronicle().faults.pause_before_next()
    }

    /// Until so many requests have come in all, also those whose journal was taken.
    pub(super) fn wait_for_requests(&self, count: usize) {
        let too_few = |chronicle: &mut Chronicle| chronicle.faults.requests() < count;
        let waited = self
            .arrived
            .wait_timeout_while(self.chronicle(), PATIENCE, too_few);
        let (mut chronicle, _) = waited.expect("no thread panicked over it");
        assert!(
            !too_few(&mut chronicle),
            "waited for {count} requests, and only {} came",
            chronicle.faults.requests()
        );
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.chronicle().seen.clone()
    }

    pub(super) fn take_seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.chronicle().seen)
    }
}
