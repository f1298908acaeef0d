//! A CONNECT proxy that always connects to the same server, whatever host is requested.

use std::io::{self, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use super::head::Head;

pub(crate) struct ConnectProxy {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Head>>>,
}

impl ConnectProxy {
    /// Answers the requests with these statuses in turn, repeating the last one. After 200 it connects to
    /// `server`.
    pub(crate) fn to(server: SocketAddr, statuses: &'static [u16]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound socket has one");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let heads = Arc::clone(&asked);
        thread::spawn(move || {
            for (index, client) in listener.incoming().flatten().enumerate() {
                let heads = Arc::clone(&heads);
                let status = statuses[index.min(statuses.len() - 1)];
                // A client may go away at any time.
                thread::spawn(move || serve(client, server, status, &heads).ok());
            }
        });
        Self { address, asked }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The requests that it received.
    pub(crate) fn asked(&self) -> Vec<Head> {
        self.asked.lock().expect("no panic before").clone()
    }
}

fn serve(
    mut client: TcpStream,
    server: SocketAddr,
    status: u16,
    asked: &Mutex<Vec<Head>>,
) -> io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let Some(head) = Head::read(&mut reader)? else {
        return Ok(());
    };
    asked.lock().expect("no panic before").push(head);
    write!(client, "HTTP/1.1 {status} whatever\r\n\r\n")?;
    if status != 200 {
        return client.shutdown(Shutdown::Both);
    }
    let mut server = TcpStream::connect(server)?;
    let (mut to_client, mut from_server) = (client.try_clone()?, server.try_clone()?);
    thread::spawn(move || {
        let _until_the_server_closes = io::copy(&mut from_server, &mut to_client);
        to_client.shutdown(Shutdown::Write)
    });
    io::copy(&mut reader, &mut server)?;
    server.shutdown(Shutdown::Write)
}
