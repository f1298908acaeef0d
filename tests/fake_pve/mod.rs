//! A Proxmox VE API server in a thread, which remembers what was done to it.

#![allow(
    dead_code,
    unused_imports,
    reason = "two binaries include this module, and neither uses all of it"
)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a fake that cannot go on fails its test"
)]

mod answers;
mod clone;
mod cluster;
mod connection;
mod faults;
mod guests;
mod http;
mod params;
mod replies;
mod setup;
mod shared;
mod tasks;
mod tls;
mod wire;

use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, MutexGuard, Weak};
use std::thread::{self, JoinHandle};

pub(crate) use cluster::Cluster;
pub(crate) use setup::{SECRET, Setup, TOKEN};
pub(crate) use shared::Seen;

use shared::Shared;
use tls::Identity;

/// Ends with all its connections when it is dropped.
pub(crate) struct FakePve {
    address: SocketAddr,
    identity: Option<Identity>,
    shared: Arc<Shared>,
    closing: Arc<AtomicBool>,
    listening: Option<JoinHandle<()>>,
}

impl FakePve {
    /// Listens for plain HTTP.
    pub(crate) fn start(setup: Setup) -> Self {
        Self::listen(setup, None)
    }

    /// Listens for TLS, with a certificate for `localhost`, `127.0.0.1` and `::1`.
    pub(crate) fn start_tls(setup: Setup) -> Self {
        Self::listen(setup, Some(Identity::new()))
    }

    fn listen(setup: Setup, identity: Option<Identity>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port on loopback");
        let address = listener.local_addr().expect("a bound socket has one");
        let tls = identity.as_ref().map(|identity| identity.config.clone());
        let shared = Arc::new(Shared::new(setup, tls));
        let closing = Arc::new(AtomicBool::new(false));
        let listening = {
            let (shared, closing) = (shared.clone(), closing.clone());
            thread::spawn(move || accept_until(&closing, &listener, &shared))
        };
        Self {
            address,
            identity,
            shared,
            closing,
            listening: Some(listening),
        }
    }

    pub(crate) fn url(&self) -> String {
        let scheme = if self.identity.is_some() {
            "https"
        } else {
            "http"
        };
        format!("{scheme}://{}", self.address)
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(crate) fn ca_pem(&self) -> &str {
        &self.identity().ca_pem
    }

    /// The certificate that clients are shown.
    pub(crate) fn leaf_pem(&self) -> &str {
        &self.identity().leaf_pem
    }

    fn identity(&self) -> &Identity {
        self.identity.as_ref().expect("started with TLS")
    }

    /// Every request so far: `METHOD /path?query body`, the path percent-decoded.
    pub(crate) fn journal(&self) -> Vec<String> {
        lines(self.shared.seen())
    }

    /// The journal up to now, which begins anew.
    pub(crate) fn take_journal(&self) -> Vec<String> {
        lines(self.shared.take_seen())
    }

    /// The journal with headers and raw targets.
    pub(crate) fn headers_seen(&self) -> Vec<Seen> {
        self.shared.seen()
    }

    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Nothing is answered while this guard is held.
    pub(crate) fn cluster(&self) -> MutexGuard<'_, Cluster> {
        self.shared.cluster()
    }
}

impl Drop for FakePve {
    fn drop(&mut self) {
        self.closing.store(true, Ordering::SeqCst);
        // Wakes the thread that waits for a connection.
        drop(TcpStream::connect(self.address));
        if let Some(listening) = self.listening.take() {
            let ended = listening.join();
            assert!(
                ended.is_ok() || thread::panicking(),
                "the fake panicked while it served"
            );
        }
    }
}

/// A CA that has not signed any fake's certificate.
pub(crate) fn unrelated_ca_pem() -> String {
    tls::unrelated_ca_pem()
}

fn lines(seen: Vec<Seen>) -> Vec<String> {
    seen.into_iter().map(|seen| seen.line).collect()
}

/// The thread's own handle keeps a connection open; this one only shuts it down.
type Open = (Weak<TcpStream>, JoinHandle<()>);

fn accept_until(closing: &AtomicBool, listener: &TcpListener, shared: &Arc<Shared>) {
    let mut open: Vec<Open> = Vec::new();
    for tcp in listener.incoming() {
        if closing.load(Ordering::SeqCst) {
            break;
        }
        let Ok(tcp) = tcp.map(Arc::new) else {
            continue;
        };
        shared.connections.fetch_add(1, Ordering::SeqCst);
        let handle = Arc::downgrade(&tcp);
        let shared = shared.clone();
        let thread = thread::spawn(move || {
            // Clients hang up, time out and refuse certificates: their affair.
            let _ended = connection::serve(tcp, &shared);
        });
        open.retain(|(_, thread)| !thread.is_finished());
        open.push((handle, thread));
    }
    for (tcp, thread) in open {
        if let Some(tcp) = tcp.upgrade() {
            let _already_closed = tcp.shutdown(Shutdown::Both);
        }
        thread.join().expect("a connection's thread panicked");
    }
}
