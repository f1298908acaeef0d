//! A Proxmox VE API server in a thread, with a cluster that requests change.

#![allow(
    dead_code,
    unused_imports,
    reason = "two binaries include this module, and neither uses all of it"
)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a fake that cannot continue fails its test"
)]

mod abort;
mod acl;
mod actions;
mod agent;
mod answers;
mod asked_by_others;
mod certificates;
mod changes;
mod clone;
mod clones;
mod cluster;
mod connection;
mod containers;
mod controls;
mod convert;
mod copies;
mod create;
mod creations;
mod current;
mod deeds;
mod delayed_requests;
mod destroy;
mod devices;
mod download;
mod downloads;
mod drives;
mod fault_fields;
mod faults;
mod file_tasks;
mod floods;
mod guests;
mod ha;
mod http;
mod identity;
mod images;
mod interfaces;
mod internet;
mod listener;
mod nets;
mod new_disks;
mod node_rows;
mod node_tasks;
mod options;
mod other_users;
mod params;
mod pending;
mod permissions;
mod places;
mod planned_acts;
mod port;
mod power;
mod prebuilt;
mod privileges;
mod processes;
mod pveum;
mod quorum;
mod replies;
mod resize;
mod rights;
mod setup;
mod shared;
mod shutdown;
mod sizes;
mod slow_updates;
mod starts;
mod storage_content;
mod storages;
mod stored_values;
mod task_log;
mod tasks;
mod tls;
mod update;
mod values;
mod vm_paths;
mod watcher;
mod wget;
mod wire;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard};
use std::thread;

pub(crate) use certificates::Shown;
pub(crate) use cluster::Cluster;
pub(crate) use deeds::{Deed, Did, ImageDeed, ImageDid};
pub(crate) use faults::Fault;
pub(crate) use guests::Guest;
pub(crate) use images::{FileSetup, Image, ImageSetup};
pub(crate) use internet::{Internet, Site};
pub(crate) use port::Port;
pub(crate) use prebuilt::Prebuilt;
pub(crate) use setup::{SECRET, Setup, TOKEN};
pub(crate) use shared::Seen;
pub(crate) use watcher::{Stamp, Watcher};

use listener::Listener;
use quorum::Here;
use shared::Shared;
use tls::Identity;

/// Dropping it closes all its connections.
pub(crate) struct FakePve {
    identity: Option<Identity>,
    shared: Arc<Shared>,
}

impl FakePve {
    /// Listens for plain HTTP.
    pub(crate) fn start(setup: Setup) -> Self {
        Self::start_at(setup, Ipv4Addr::LOCALHOST)
    }

    /// Listens for plain HTTP on an address of loopback.
    pub(crate) fn start_at(setup: Setup, address: impl Into<IpAddr>) -> Self {
        Self::listen(setup, address.into(), None)
    }

    /// Listens for TLS, with a certificate for `localhost`, `127.0.0.1` and `::1`.
    pub(crate) fn start_tls(setup: Setup) -> Self {
        Self::start_tls_at(setup, Ipv4Addr::LOCALHOST)
    }

    /// Listens for TLS on another address of loopback.
    pub(crate) fn start_tls_at(setup: Setup, address: impl Into<IpAddr>) -> Self {
        let identity = Identity::new(Shown::Good);
        Self::listen(setup, address.into(), Some(identity))
    }

    /// Listens for TLS, with this kind of certificate.
    pub(crate) fn start_tls_as(setup: Setup, shown: Shown) -> Self {
        let identity = Identity::new(shown);
        Self::listen(setup, Ipv4Addr::LOCALHOST.into(), Some(identity))
    }

    /// Listens for TLS with the certificate of another fake, without its key.
    pub(crate) fn start_impostor(setup: Setup, other: &Self) -> Self {
        let identity = Identity::stolen_from(other.identity());
        Self::listen(setup, Ipv4Addr::LOCALHOST.into(), Some(identity))
    }

    /// Another node of the same cluster, with faults of its own.
    pub(crate) fn start_beside(other: &Self, faults: &[Fault]) -> Self {
        let cluster = other.shared.cluster.clone();
        let address = Ipv4Addr::LOCALHOST.into();
        Self::open(address, None, |listener| {
            Shared::of(cluster, faults, listener, None)
        })
    }

    /// A node of the same cluster that has lost the others, and with them its quorum.
    pub(crate) fn start_cut_off(other: &Self, node: &str) -> Self {
        let cluster = other.shared.cluster.clone();
        let here = Here {
            node: node.to_owned(),
            is_cut_off: true,
        };
        Self::open(Ipv4Addr::LOCALHOST.into(), None, |listener| {
            Shared::of(cluster, &[], listener, None).at(here)
        })
    }

    fn listen(setup: Setup, address: IpAddr, identity: Option<Identity>) -> Self {
        let tls = identity.as_ref().map(|identity| identity.config.clone());
        Self::open(address, identity, |listener| {
            Shared::new(setup, listener, tls)
        })
    }

    fn open(
        address: IpAddr,
        identity: Option<Identity>,
        behind: impl FnOnce(Listener) -> Shared,
    ) -> Self {
        let shared = Arc::new(behind(Listener::of(Port::on(address))));
        shared.listener.open(&shared);
        if let Some(pause) = shared.pause_before_next() {
            shared.listener.close_for(pause, None, &shared);
        }
        Self { identity, shared }
    }

    pub(crate) fn url(&self) -> String {
        let scheme = if self.identity.is_some() {
            "https"
        } else {
            "http"
        };
        format!("{scheme}://{}", self.address())
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.shared.listener.address()
    }

    pub(crate) fn port(&self) -> u16 {
        self.address().port()
    }

    /// The certificate of the authority that signed.
    pub(crate) fn ca_pem(&self) -> &str {
        &self.identity().certificates.ca_pem
    }

    /// The certificate that is presented to clients.
    pub(crate) fn leaf_pem(&self) -> &str {
        &self.identity().certificates.leaf_pem
    }

    /// `YYYY-MM-DD`, the first day on which the certificate is valid.
    pub(crate) fn leaf_not_before(&self) -> String {
        self.identity().certificates.not_before.clone()
    }

    /// `YYYY-MM-DD`, the day on which it expires.
    pub(crate) fn leaf_not_after(&self) -> String {
        self.identity().certificates.not_after.clone()
    }

    /// SHA-256 of the certificate: `AA:BB:…`.
    pub(crate) fn fingerprint(&self) -> String {
        self.identity().fingerprint()
    }

    fn identity(&self) -> &Identity {
        self.identity.as_ref().expect("started with TLS")
    }

    /// Every request so far: `METHOD /path?query body`, the path percent-decoded.
    pub(crate) fn journal(&self) -> Vec<String> {
        lines(self.shared.seen())
    }

    /// Takes the journal, which is empty afterwards.
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

    /// No request is answered while this guard is held.
    pub(crate) fn cluster(&self) -> MutexGuard<'_, Cluster> {
        self.shared.cluster()
    }
}

impl Drop for FakePve {
    fn drop(&mut self) {
        let ended = self.shared.listener.close_for_good();
        assert!(
            ended.is_ok() || thread::panicking(),
            "the fake panicked while it served"
        );
    }
}

/// A CA that has not signed any fake's certificate.
pub(crate) fn unrelated_ca_pem() -> String {
    certificates::unrelated_ca_pem()
}

fn lines(seen: Vec<Seen>) -> Vec<String> {
    seen.into_iter().map(|seen| seen.line).collect()
}
