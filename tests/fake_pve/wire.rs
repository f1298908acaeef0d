//! The transport of requests and answers: a socket, or TLS on top of it.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::{ServerConnection, StreamOwned};

/// A socket that leaves what it has read last in the kernel until the next read. The kernel answers a close
/// with unread bytes with a TCP reset, which is the only way to send one without `unsafe`.
pub(super) struct Socket {
    tcp: Arc<TcpStream>,
    unread: usize,
}

impl Socket {
    pub(super) fn new(tcp: Arc<TcpStream>) -> Self {
        Self { tcp, unread: 0 }
    }

    pub(super) fn peer(&self) -> io::Result<SocketAddr> {
        self.tcp.peer_addr()
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.consume()?;
        self.unread = self.tcp.peek(buffer)?;
        Ok(self.unread)
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self.tcp).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub(super) trait Wire: Read + Write {
    fn socket(&mut self) -> &mut Socket;

    /// Consumes the bytes in the kernel, so that closing does not send a reset.
    fn consume(&mut self) -> io::Result<()> {
        self.socket().consume()
    }

    /// Ends the sending side, then waits for the client to do the same: closing at once could discard an
    /// answer that is still in transit.
    fn close_gracefully(&mut self) -> io::Result<()> {
        let socket = self.socket();
        socket.tcp.shutdown(Shutdown::Write)?;
        io::copy(socket, &mut io::sink()).map(|_| ())
    }

    /// Without a time limit; dropping the fake ends it too.
    fn wait_for_disconnect(&mut self) -> io::Result<()> {
        let socket = self.socket();
        socket.tcp.set_read_timeout(None)?;
        io::copy(socket, &mut io::sink()).map(|_| ())
    }
}

impl Wire for Socket {
    fn socket(&mut self) -> &mut Socket {
        self
    }

    fn consume(&mut self) -> io::Result<()> {
        let mut taken = vec![0; self.unread];
        self.unread = 0;
        (&*self.tcp).read_exact(&mut taken)
    }
}

impl Wire for StreamOwned<ServerConnection, Socket> {
    fn socket(&mut self) -> &mut Socket {
        &mut self.sock
    }

    fn close_gracefully(&mut self) -> io::Result<()> {
        self.conn.send_close_notify();
        self.flush()?;
        self.sock.close_gracefully()
    }
}
