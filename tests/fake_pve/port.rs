//! A port that stays reserved whether or not a server listens on it.

use std::net::{IpAddr, SocketAddr, TcpListener};

use rustix::fd::OwnedFd;
use rustix::net::sockopt::set_socket_reuseaddr;
use rustix::net::{AddressFamily, Shutdown, SocketFlags, SocketType, bind, shutdown, socket_with};

/// Holds a port with a socket that does not listen, so that connections are refused.
pub(crate) struct Port {
    address: SocketAddr,
    _socket: OwnedFd,
}

impl Port {
    /// Reserves a free port on this address.
    pub(crate) fn on(address: impl Into<IpAddr>) -> Self {
        let any = SocketAddr::new(address.into(), 0);
        let family = match any {
            SocketAddr::V4(_) => AddressFamily::INET,
            SocketAddr::V6(_) => AddressFamily::INET6,
        };
        // Child processes do not inherit it.
        let flags = SocketFlags::CLOEXEC;
        let socket = socket_with(family, SocketType::STREAM, flags, None).expect("a socket");
        // This allows a second socket of the same kind to listen there.
        set_socket_reuseaddr(&socket, true).expect("an option of every socket");
        bind(&socket, &any).expect("a port on loopback");
        let address = rustix::net::getsockname(&socket).expect("a bound socket has one");
        Self {
            address: address.try_into().expect("an internet address"),
            _socket: socket,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts connections until the listener is closed.
    pub(crate) fn listen(&self) -> TcpListener {
        TcpListener::bind(self.address).expect("a port that is held")
    }
}

/// Stops listening and wakes the thread that waits for a connection. Dropping the listener is not enough: a
/// new child process has a copy of it until it executes its program, and nobody else can listen until then.
pub(crate) fn close(listener: &TcpListener) {
    shutdown(listener, Shutdown::Read).expect("a socket that listens");
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn a_port_can_be_listened_on_again_while_a_copy_of_the_listener_exists() {
        let port = Port::on(Ipv4Addr::LOCALHOST);
        let listener = port.listen();
        let _copy = listener.try_clone().unwrap();
        close(&listener);
        drop(listener);
        drop(port.listen());
    }
}
