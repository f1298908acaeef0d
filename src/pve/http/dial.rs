//! Opens TCP connections: to a host, or through a proxy.
//!
//! - A name can have several addresses, and some may not answer. Each address is tried as soon as the one
//!   before it has failed or has not answered for 300 ms. The first connection to succeed is used.
//! - For the rest of the run, the address that answered is tried first.
//! - A proxy is dialled in the same way, and then asked with CONNECT to connect to the host.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use ureq::unversioned::resolver::{DefaultResolver, Resolver};
use ureq::unversioned::transport::{
    ConnectProxyConnector, ConnectionDetails, Connector, NextTimeout, TcpConnector, Transport,
};

/// How long one address is tried before the next one is tried too; browsers and curl use similar times.
const HEAD_START: Duration = Duration::from_millis(300);

/// The first link of ureq's connector chain. Clones share the address that answered.
#[derive(Clone, Default, Debug)]
pub struct Dialer {
    answered: Arc<Mutex<Option<SocketAddr>>>,
}

type Dialled = Result<Box<dyn Transport>, ureq::Error>;

impl Connector for Dialer {
    type Out = Box<dyn Transport>;

    fn connect(
        &self,
        details: &ConnectionDetails,
        _chained: Option<()>,
    ) -> Result<Option<Box<dyn Transport>>, ureq::Error> {
        if details.config.proxy().is_none() {
            return self.dial(details).map(Some);
        }
        let dialer = self.clone();
        // ureq would run the whole chain, including TLS, to reach the proxy, which does not speak TLS.
        let details = ConnectionDetails {
            uri: details.uri,
            addrs: details.addrs.clone(),
            config: details.config,
            request_level: details.request_level,
            resolver: details.resolver,
            now: details.now,
            timeout: details.timeout,
            current_time: Arc::clone(&details.current_time),
            run_connector: Arc::new(move |proxy| dialer.dial(proxy)),
            register_shutdown: Arc::clone(&details.register_shutdown),
        };
        let tunnel = ConnectProxyConnector::default().connect(&details, None::<()>)?;
        Ok(tunnel.map(Transport::boxed))
    }
}

impl Dialer {
    fn dial(&self, details: &ConnectionDetails) -> Dialled {
        let start = Instant::now();
        let mut addresses = details.addrs.to_vec();
        let answered = *self.lock();
        addresses.sort_by_key(|address| Some(*address) != answered);
        if let [only] = addresses[..] {
            return attempt(details, only, details.timeout)();
        }
        let (sender, results) = mpsc::channel();
        let (mut untried, mut running, mut failure) = (addresses.into_iter(), 0, None);
        loop {
            let left = details.timeout.after.saturating_sub(start.elapsed());
            let pause = match untried.next() {
                Some(address) => {
                    let timeout = NextTimeout {
                        after: left.into(),
                        ..details.timeout
                    };
                    let attempt = attempt(details, address, timeout);
                    let sender = sender.clone();
                    thread::Builder::new().spawn(move || sender.send((address, attempt())))?;
                    running += 1;
                    left.min(HEAD_START)
                }
                None if running == 0 => return Err(failure.unwrap_or(ureq::Error::HostNotFound)),
                None => left,
            };
            match results.recv_timeout(pause) {
                Ok((address, Ok(transport))) => {
                    *self.lock() = Some(address);
                    return Ok(transport);
                }
                Ok((_, Err(error))) => {
                    running -= 1;
                    failure = Some(error);
                }
                Err(_) if start.elapsed() >= *details.timeout.after => {
                    return Err(failure.unwrap_or(ureq::Error::Timeout(details.timeout.reason)));
                }
                Err(_) => {}
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<SocketAddr>> {
        self.answered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A function that connects to one address. It can run in its own thread, which may outlive the request.
fn attempt(
    details: &ConnectionDetails,
    address: SocketAddr,
    timeout: NextTimeout,
) -> impl FnOnce() -> Dialled + Send + 'static {
    let (uri, config) = (details.uri.clone(), details.config.clone());
    let (request_level, now) = (details.request_level, (details.current_time)());
    let current_time = Arc::clone(&details.current_time);
    let run_connector = Arc::clone(&details.run_connector);
    let register_shutdown = Arc::clone(&details.register_shutdown);
    move || {
        let resolver = DefaultResolver::default();
        let mut addrs = resolver.empty();
        addrs.push(address);
        let details = ConnectionDetails {
            uri: &uri,
            addrs,
            config: &config,
            request_level,
            resolver: &resolver,
            now,
            timeout,
            current_time,
            run_connector,
            register_shutdown,
        };
        let transport = TcpConnector::default().connect(&details, None::<()>)?;
        let transport = transport.ok_or(ureq::Error::ConnectionFailed)?;
        Ok(transport.boxed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{Ipv4Addr, TcpListener, TcpStream};

    use rustix::net::{AddressFamily, SocketType, bind, listen, socket};
    use ureq::Agent;
    use ureq::http::Uri;
    use ureq::unversioned::resolver::ResolvedSocketAddrs;

    /// Resolves every name to these addresses.
    #[derive(Debug)]
    struct Name(Vec<SocketAddr>);

    impl Resolver for Name {
        fn resolve(
            &self,
            _uri: &Uri,
            _config: &ureq::config::Config,
            _timeout: NextTimeout,
        ) -> Result<ResolvedSocketAddrs, ureq::Error> {
            let mut addresses = self.empty();
            self.0.iter().for_each(|address| addresses.push(*address));
            Ok(addresses)
        }
    }

    fn name_with(addresses: &[SocketAddr]) -> Agent {
        let config = Agent::config_builder().proxy(None);
        let config = config.timeout_connect(Some(Duration::from_mins(1)));
        let name = Name(addresses.to_vec());
        Agent::with_parts(config.build(), Dialer::default(), name)
    }

    /// The answer of the server that the agent connects to.
    fn ask(agent: &Agent) -> String {
        let mut answer = agent.get("http://name:8006/").call().unwrap();
        answer.body_mut().read_to_string().unwrap()
    }

    /// Answers one request on each connection with `name`, and closes it.
    fn serve(listener: TcpListener, name: &'static str) -> SocketAddr {
        let address = listener.local_addr().unwrap();
        let head = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length";
        let answer = format!("{head}: {}\r\n\r\n{name}", name.len());
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                if stream.read(&mut [0; 4096]).is_ok_and(|length| length > 0) {
                    stream.write_all(answer.as_bytes()).unwrap();
                }
            }
        });
        address
    }

    fn server(name: &'static str) -> SocketAddr {
        serve(TcpListener::bind("127.0.0.1:0").unwrap(), name)
    }

    /// A listener with a full backlog: the kernel drops further connection attempts until some of these
    /// connections are accepted.
    fn silent() -> (TcpListener, Vec<TcpStream>) {
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        bind(&socket, &SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0)).unwrap();
        listen(&socket, 0).unwrap();
        let listener = TcpListener::from(socket);
        let address = listener.local_addr().unwrap();
        let connect = || TcpStream::connect_timeout(&address, Duration::from_secs(1));
        let waiting = std::iter::from_fn(|| connect().ok()).collect();
        (listener, waiting)
    }

    /// The first address is still being tried meanwhile: once it accepts connections, one more arrives.
    #[test]
    fn while_one_address_does_not_answer_the_next_one_is_tried() {
        let (listener, waiting) = silent();
        let first = listener.local_addr().unwrap();
        assert_eq!(ask(&name_with(&[first, server("second")])), "second");
        let (sender, accepted) = mpsc::channel();
        let all = waiting.len() + 1;
        thread::spawn(move || sender.send(listener.incoming().take(all).count()));
        assert_eq!(accepted.recv_timeout(Duration::from_mins(1)), Ok(all));
    }

    #[test]
    fn the_address_that_answered_is_tried_first_from_then_on() {
        let (listener, waiting) = silent();
        let first = listener.local_addr().unwrap();
        let agent = name_with(&[first, server("second")]);
        assert_eq!(ask(&agent), "second");
        drop(waiting);
        serve(listener, "first");
        assert_eq!(ask(&name_with(&[first])), "first");
        assert_eq!(ask(&agent), "second");
    }

    #[test]
    fn after_a_refusal_the_next_address_is_tried_at_once() {
        let refusing = TcpListener::bind("127.0.0.1:0").unwrap();
        let dead = refusing.local_addr().unwrap();
        drop(refusing);
        assert_eq!(ask(&name_with(&[dead, dead, server("third")])), "third");
    }

    #[test]
    fn if_no_address_answers_the_last_failure_is_reported() {
        let refusing = TcpListener::bind("127.0.0.1:0").unwrap();
        let dead = refusing.local_addr().unwrap();
        drop(refusing);
        let error = name_with(&[dead, dead]).get("http://name:8006/").call();
        assert_eq!(
            error.unwrap_err().to_string(),
            "io: Connection refused (os error 111)"
        );
    }
}
