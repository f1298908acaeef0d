//! What wget writes to the log of a download. The clock stands still, and every server is equally fast.

const MIB: u64 = 1 << 20;
/// The bytes of a line of progress, and the dots that stand for them.
const LINE: u64 = DOTS * MIB;
const DOTS: u64 = 32;
const DOTS_IN_A_GROUP: u64 = 8;
/// Bytes per second.
const SPEED: u64 = 4 * MIB;
const TIME: &str = "2026-11-20 08:48:32";
const ADDRESS: &str = "203.0.113.80";

/// A transfer from a URL into a file.
#[derive(Clone)]
pub(super) struct Wget {
    pub(super) url: String,
    /// The name of the temporary file.
    pub(super) file: String,
    /// Bytes of the whole file.
    pub(super) size: u64,
}

impl Wget {
    /// The lines up to the name of the file.
    pub(super) fn begin(&self, attempt: usize) -> Vec<String> {
        let Self { url, file, size } = self;
        let mut lines = vec![request(url, attempt)];
        lines.extend(resolving(url).map(|resolving| format!("{resolving}{ADDRESS}")));
        lines.push(format!("{}connected.", connecting(url)));
        lines.push("HTTP request sent, awaiting response... 200 OK".to_owned());
        let human = human(*size);
        lines.push(format!(
            "Length: {size} ({human}) [application/octet-stream]"
        ));
        lines.push(format!("Saving to: '{file}'"));
        lines
    }

    /// The lines of progress of a complete transfer.
    pub(super) fn progress(&self) -> Vec<String> {
        self.progress_until(self.size, self.size)
    }

    /// The lines of progress of a transfer that the server ends after this many bytes.
    pub(super) fn cut(&self, received: u64, is_last: bool) -> Vec<String> {
        let mut lines = self.progress_until(received, received);
        let next = if is_last { "Giving up" } else { "Retrying" };
        lines.push(format!(
            "{TIME} ({}) - Connection closed at byte {received}. {next}.",
            speed()
        ));
        lines
    }

    /// The lines of progress of a transfer to a storage with this many free bytes. The last of them cannot
    /// be written.
    pub(super) fn no_space(&self, free: u64) -> Vec<String> {
        self.progress_until(free, free.saturating_sub(1))
    }

    pub(super) fn saved(&self) -> String {
        let Self { file, size, .. } = self;
        format!("{TIME} ({}) - '{file}' saved [{size}/{size}]", speed())
    }

    fn progress_until(&self, received: u64, written: u64) -> Vec<String> {
        let lines = written.div_ceil(LINE).max(1);
        let line = |number: u64| {
            let begin = number * LINE;
            let is_last = number + 1 == lines;
            let until = if is_last { received } else { begin + LINE };
            let dots = (written - begin).min(LINE) / MIB;
            let percent = until * 100 / self.size.max(1);
            let end = if is_last {
                format!("={}", duration(received / SPEED))
            } else {
                format!(" {}", duration((self.size - until) / SPEED))
            };
            format!("{:>6}K{}{percent:>3}% 4.00M{end}", begin / 1024, row(dots))
        };
        (0..lines).map(line).collect()
    }
}

/// The lines of a transfer that is answered with 404.
pub(super) fn not_found(url: &str) -> Vec<String> {
    let mut lines = vec![request(url, 1)];
    lines.extend(resolving(url).map(|resolving| format!("{resolving}{ADDRESS}")));
    lines.push(format!("{}connected.", connecting(url)));
    lines.push("HTTP request sent, awaiting response... 404 Not Found".to_owned());
    lines.push(format!("{TIME} ERROR 404: Not Found."));
    lines
}

/// The lines of a transfer whose server refuses the connection, and the error.
pub(super) fn refused(url: &str) -> (Vec<String>, String) {
    let mut lines = vec![request(url, 1)];
    lines.extend(resolving(url).map(|resolving| format!("{resolving}{ADDRESS}")));
    let error = format!("{}failed: Connection refused.", connecting(url));
    (lines, error)
}

/// The lines of a transfer from a host without an address, and the error.
pub(super) fn unresolved(url: &str) -> (Vec<String>, String) {
    let (host, _) = host_and_port(url);
    let mut lines = vec![request(url, 1)];
    let why = "failed: Temporary failure in name resolution.";
    lines.extend(resolving(url).map(|resolving| format!("{resolving}{why}")));
    let error = format!("wget: unable to resolve host address '{host}'");
    (lines, error)
}

/// `HOST` and `PORT` of a URL.
pub(super) fn host_and_port(url: &str) -> (&str, &str) {
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let authority = rest.split(['/', '?']).next().unwrap_or(rest);
    let usual = if scheme == "https" { "443" } else { "80" };
    authority.rsplit_once(':').unwrap_or((authority, usual))
}

fn request(url: &str, attempt: usize) -> String {
    match attempt {
        1 => format!("--{TIME}--  {url}"),
        _ => format!("--{TIME}--  (try:{attempt:>2})  {url}"),
    }
}

/// Nothing for an address.
fn resolving(url: &str) -> Option<String> {
    let (host, _) = host_and_port(url);
    (!is_address(host)).then(|| format!("Resolving {host} ({host})... "))
}

fn connecting(url: &str) -> String {
    let (host, port) = host_and_port(url);
    if is_address(host) {
        format!("Connecting to {host}:{port}... ")
    } else {
        format!("Connecting to {host} ({host})|{ADDRESS}|:{port}... ")
    }
}

fn is_address(host: &str) -> bool {
    host.parse::<std::net::Ipv4Addr>().is_ok()
}

fn row(dots: u64) -> String {
    let mut row = String::new();
    for dot in 0..DOTS {
        if dot.is_multiple_of(DOTS_IN_A_GROUP) {
            row.push(' ');
        }
        row.push(if dot < dots { '.' } else { ' ' });
    }
    row
}

fn speed() -> String {
    format!("{}.00 MB/s", SPEED / MIB)
}

fn duration(seconds: u64) -> String {
    match seconds {
        0..100 => format!("{seconds}s"),
        100..6000 => format!("{}m{}s", seconds / 60, seconds % 60),
        _ => format!("{}h{}m", seconds / 3600, seconds / 60 % 60),
    }
}

/// `48M`, and `4.8M` below 10.
fn human(bytes: u64) -> String {
    let units = [('G', 30), ('M', 20), ('K', 10)];
    let unit = units.into_iter().find(|(_, shift)| bytes >> shift > 0);
    let (unit, shift) = unit.unwrap_or(('K', 10));
    let tenths = (u128::from(bytes) * 10) >> shift;
    if tenths < 100 {
        format!("{}.{}{unit}", tenths / 10, tenths % 10)
    } else {
        format!("{}{unit}", (tenths + 5) / 10)
    }
}
