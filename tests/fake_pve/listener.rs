//! The listening port: accepting connections, and refusing them for a while.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::connection;
use super::port::{self, Port};
use super::shared::Shared;

/// Longer than anything here takes, so that a broken test ends.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

pub(super) struct Listener {
    port: Port,
    state: Mutex<State>,
    opened: Condvar,
    connections: Mutex<Vec<Connection>>,
}

enum State {
    Open(Listening),
    Shut,
    /// The fake is being dropped.
    ForGood,
}

struct Listening {
    listener: Arc<TcpListener>,
    closing: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

struct Connection {
    /// The thread's own handle keeps the connection open; this one only shuts it down.
    tcp: Weak<TcpStream>,
    peer: SocketAddr,
    thread: JoinHandle<()>,
}

impl Listener {
    /// Not listening yet.
    pub(super) fn of(port: Port) -> Self {
        Self {
            port,
            state: Mutex::new(State::Shut),
            opened: Condvar::new(),
            connections: Mutex::new(Vec::new()),
        }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// Ignores poisoning: the fake is closed while a failed test unwinds, and a second panic would abort
    /// the whole run.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ignores poisoning, as for the state.
    fn connections(&self) -> MutexGuard<'_, Vec<Connection>> {
        let connections = self.connections.lock();
        connections.unwrap_or_else(PoisonError::into_inner)
    }

    /// Does nothing if it is open, or closed for good.
    pub(super) fn open(&self, shared: &Arc<Shared>) {
        let mut state = self.state();
        if matches!(*state, State::Shut) {
            *state = listen(self.port.listen(), shared);
            self.opened.notify_all();
        }
    }

    /// Stops listening and closes all connections but one, which is still to be answered.
    pub(super) fn close(&self, except: Option<SocketAddr>) {
        let mut state = self.state();
        if matches!(*state, State::Open(_))
            && let State::Open(listening) = std::mem::replace(&mut *state, State::Shut)
        {
            listening.end().expect("it only accepts");
        }
        drop(state);
        for connection in &*self.connections() {
            if Some(connection.peer) != except {
                connection.shut_down();
            }
        }
    }

    /// Refuses connections from now on, and accepts them again after the pause.
    pub(super) fn close_for(
        &self,
        pause: Duration,
        except: Option<SocketAddr>,
        shared: &Arc<Shared>,
    ) {
        self.close(except);
        let shared = shared.clone();
        thread::spawn(move || {
            thread::sleep(pause);
            shared.listener.open(&shared);
        });
    }

    pub(super) fn wait_until_open(&self) {
        let is_shut = |state: &mut State| matches!(state, State::Shut);
        let waited = self
            .opened
            .wait_timeout_while(self.state(), PATIENCE, is_shut);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        assert!(matches!(*state, State::Open(_)), "the port still refuses");
    }

    /// Waits for every thread; an error if one of them panicked.
    pub(super) fn close_for_good(&self) -> thread::Result<()> {
        let listening = std::mem::replace(&mut *self.state(), State::ForGood);
        let mut ended = match listening {
            State::Open(listening) => listening.end(),
            State::Shut | State::ForGood => Ok(()),
        };
        for connection in std::mem::take(&mut *self.connections()) {
            connection.shut_down();
            ended = ended.and(connection.thread.join());
        }
        ended
    }

    fn accept(&self, tcp: TcpStream, shared: &Arc<Shared>) -> io::Result<()> {
        let peer = tcp.peer_addr()?;
        let tcp = Arc::new(tcp);
        let handle = Arc::downgrade(&tcp);
        shared.connections.fetch_add(1, Ordering::SeqCst);
        let shared = shared.clone();
        let thread = thread::spawn(move || {
            // Clients may hang up, time out or refuse the certificate.
            let _ended = connection::serve(tcp, &shared);
        });
        let mut connections = self.connections();
        for ended in connections.extract_if(.., |connection| connection.thread.is_finished()) {
            ended.thread.join().expect("a connection's thread panicked");
        }
        connections.push(Connection {
            tcp: handle,
            peer,
            thread,
        });
        Ok(())
    }
}

impl Listening {
    fn end(self) -> thread::Result<()> {
        self.closing.store(true, Ordering::SeqCst);
        port::close(&self.listener);
        self.thread.join()
    }
}

impl Connection {
    fn shut_down(&self) {
        if let Some(tcp) = self.tcp.upgrade() {
            let _already_closed = tcp.shutdown(Shutdown::Both);
        }
    }
}

fn listen(listener: TcpListener, shared: &Arc<Shared>) -> State {
    let closing = Arc::new(AtomicBool::new(false));
    let listener = Arc::new(listener);
    let thread = {
        let (closing, listener, shared) = (closing.clone(), listener.clone(), shared.clone());
        thread::spawn(move || {
            for tcp in listener.incoming() {
                if closing.load(Ordering::SeqCst) {
                    break;
                }
                let _gone_already = tcp.and_then(|tcp| shared.listener.accept(tcp, &shared));
            }
        })
    };
    State::Open(Listening {
        listener,
        closing,
        thread,
    })
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    #[test]
    fn closes_after_a_panic_that_held_its_locks() {
        let listener = Listener::of(Port::on(Ipv4Addr::LOCALHOST));
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let _both = (listener.state(), listener.connections());
            panic!("while both are locked");
        }));
        assert!(panicked.is_err() && listener.close_for_good().is_ok());
    }
}
