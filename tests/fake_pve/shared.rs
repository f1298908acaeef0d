//! The state shared by the threads of one fake.

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use rustls::ServerConfig;

use super::answers;
use super::cluster::Cluster;
use super::faults::{Fault, Faults, Mishap};
use super::http::{self, Answer, Request, SendOptions};
use super::listener::{Listener, PATIENCE};
use super::quorum::Here;
use super::setup::Setup;
use super::watcher::Watcher;

pub(super) struct Shared {
    pub(super) cluster: Arc<Mutex<Cluster>>,
    /// The node that receives the requests.
    pub(super) here: Here,
    journal: Mutex<Journal>,
    arrived: Condvar,
    pub(super) watcher: Mutex<Option<Box<dyn Watcher>>>,
    pub(super) listener: Listener,
    pub(super) connections: AtomicUsize,
    pub(super) send_options: SendOptions,
    pub(super) unauthorized_delay: Duration,
    pub(super) tls: Option<Arc<ServerConfig>>,
}

/// Journal and faults under one lock: both count requests, and must agree on their order.
struct Journal {
    seen: Vec<Seen>,
    faults: Faults,
}

/// A request as recorded in the journal.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) line: String,
    /// Path and query as sent, with escapes.
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    /// Names and values, decoded as the server does.
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
    pub(super) fn new(setup: Setup, listener: Listener, tls: Option<Arc<ServerConfig>>) -> Self {
        let faults = setup.faults.clone();
        Self::of(
            Arc::new(Mutex::new(Cluster::new(setup))),
            &faults,
            listener,
            tls,
        )
    }

    /// For a cluster that other fakes share.
    pub(super) fn of(
        cluster: Arc<Mutex<Cluster>>,
        faults: &[Fault],
        listener: Listener,
        tls: Option<Arc<ServerConfig>>,
    ) -> Self {
        let setup = cluster.lock().expect("a cluster in order").setup.clone();
        let here = Here {
            node: setup.nodes[0].clone(),
            is_cut_off: false,
        };
        Self {
            here,
            journal: Mutex::new(Journal {
                seen: Vec::new(),
                faults: Faults::new(faults),
            }),
            arrived: Condvar::new(),
            watcher: Mutex::new(None),
            listener,
            connections: AtomicUsize::new(0),
            send_options: SendOptions {
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

    fn journal(&self) -> MutexGuard<'_, Journal> {
        self.journal.lock().expect("no thread panicked over it")
    }

    /// Records the request, advances the cluster, and executes the request if the mishap allows it.
    ///
    /// All under one lock: the journal has the order of execution, and a request in the journal has been
    /// executed.
    pub(super) fn receive(&self, request: &Request) -> (Option<Mishap>, Option<Answer>) {
        let mut cluster = self.cluster();
        let mut watcher = self.watcher.lock().expect("no watcher panicked");
        let mishap = self.record(request).or_else(|| {
            let fault = watcher.as_mut()?.before(&mut cluster, &Seen::of(request));
            fault.map(|fault| fault.mishap)
        });
        cluster.act_as_planned(&request.journal_line());
        cluster.count_request();
        cluster.here.clone_from(&self.here);
        if let Some(Mishap::Late(late)) = &mishap {
            cluster.keep(request.clone(), late);
        }
        let acts = mishap.as_ref().is_none_or(Mishap::executes);
        let answer = acts.then(|| answers::answer(&mut cluster, request));
        if let Some(watcher) = watcher.as_mut() {
            watcher.after(&mut cluster);
        }
        (mishap, answer)
    }

    /// Records the request, and returns what is to happen to it.
    pub(super) fn record(&self, request: &Request) -> Option<Mishap> {
        let seen = Seen::of(request);
        let mut journal = self.journal();
        let mishap = journal.faults.mishap_of(&seen.line);
        journal.seen.push(seen);
        self.arrived.notify_all();
        mishap
    }

    /// Executes the requests that a hanging daemon has kept; from then on it answers at once.
    pub(super) fn wake(&self) -> MutexGuard<'_, Cluster> {
        let mut cluster = self.cluster();
        self.journal().faults.wake();
        cluster.act_on_all_delayed();
        cluster
    }

    /// How long the port is to be closed before the next request.
    pub(super) fn pause_before_next(&self) -> Option<Duration> {
        self.journal().faults.pause_before_next()
    }

    /// Waits until `count` requests were received in all, including those whose journal was taken.
    pub(super) fn wait_for_requests(&self, count: usize) {
        let too_few = |journal: &mut Journal| journal.faults.requests() < count;
        let waited = self
            .arrived
            .wait_timeout_while(self.journal(), PATIENCE, too_few);
        let (mut journal, _) = waited.expect("no thread panicked over it");
        assert!(
            !too_few(&mut journal),
            "waited for {count} requests, but received only {}",
            journal.faults.requests()
        );
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.journal().seen.clone()
    }

    pub(super) fn take_seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.journal().seen)
    }
}
