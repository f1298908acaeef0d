//! A reverse proxy that changes what it forwards: it answers only below `/pve`, omits reason phrases, writes
//! headers in lower case, and sends chunks.

use std::io::{self, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use super::head::Head;

/// Starts one for `server`, which runs until the tests end.
pub(crate) fn in_front_of(server: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("a bound socket has one");
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            // A client may go away at any time.
            thread::spawn(move || serve(client, server).ok());
        }
    });
    address
}

fn serve(mut client: TcpStream, server: SocketAddr) -> io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    while let Some(head) = Head::read(&mut reader)? {
        let length = head.header("Content-Length").unwrap_or("0");
        let mut body = vec![0; length.parse().map_err(io::Error::other)?];
        reader.read_exact(&mut body)?;
        let answer = match head.first_line.split_once(" /pve/") {
            Some((method, target)) => {
                answer_of(server, &head, &format!("{method} /{target}"), &body)?
            }
            None => {
                b"HTTP/1.1 404 Not Found\r\ncontent-type: text/html\r\ncontent-length: 0\r\n\r\n"
                    .to_vec()
            }
        };
        client.write_all(&answer)?;
    }
    Ok(())
}

/// The server's answer, rewritten.
fn answer_of(
    server: SocketAddr,
    head: &Head,
    first_line: &str,
    body: &[u8],
) -> io::Result<Vec<u8>> {
    let mut server = TcpStream::connect(server)?;
    let mut request = format!("{first_line}\r\nConnection: close\r\n").into_bytes();
    for (name, value) in &head.headers {
        write!(request, "{name}: {value}\r\n")?;
    }
    request.extend_from_slice(b"\r\n");
    request.extend_from_slice(body);
    server.write_all(&request)?;
    let mut server = BufReader::new(server);
    let head = Head::read(&mut server)?.ok_or(io::ErrorKind::UnexpectedEof)?;
    let mut body = Vec::new();
    server.read_to_end(&mut body)?;

    let status = head.first_line.split(' ').nth(1).unwrap_or_default();
    let mut answer = format!("HTTP/1.1 {status} \r\ntransfer-encoding: chunked\r\n").into_bytes();
    for (name, value) in &head.headers {
        let name = name.to_ascii_lowercase();
        if name != "connection" && name != "content-length" {
            write!(answer, "{name}: {value}\r\n")?;
        }
    }
    answer.extend_from_slice(b"\r\n");
    for chunk in body.chunks(7) {
        write!(answer, "{:x}\r\n", chunk.len())?;
        answer.extend_from_slice(chunk);
        answer.extend_from_slice(b"\r\n");
    }
    answer.extend_from_slice(b"0\r\n\r\n");
    Ok(answer)
}
