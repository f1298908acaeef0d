//! The address of a Proxmox VE API server, as users write it.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use snafu::{OptionExt, Snafu, ensure};

/// pveproxy's port.
const DEFAULT_PORT: u16 = 8006;

/// A server: `pve.lan`, `pve.lan:8006`, `https://pve.lan`, or behind a reverse proxy
/// `https://proxy.lan/pve`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Host {
    /// A name, an IPv4 address, or an IPv6 address in brackets.
    name: String,
    /// `None` for the default port.
    pub port: Option<u16>,
    /// Only a loopback host may be used without it.
    tls: bool,
    /// The path before `/api2/json`, for a reverse proxy: empty, or like `/pve`.
    prefix: String,
}

impl Host {
    /// Whether to use TLS.
    pub fn tls(&self) -> bool {
        self.tls
    }

    /// Its name, or its IP address without brackets.
    pub fn name(&self) -> &str {
        self.name.trim_matches(['[', ']'])
    }

    /// Whether it is this machine.
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.name)
    }

    /// The base URL of the API.
    pub fn base_url(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://{self}/api2/json")
    }

    /// The default port of a URL.
    fn url_port(&self) -> u16 {
        if self.tls { 443 } else { 80 }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let port = self.port.unwrap_or(if self.prefix.is_empty() {
            DEFAULT_PORT
        } else {
            self.url_port()
        });
        write!(f, "{}:{port}{}", self.name, self.prefix)
    }
}

/// Several hosts, separated by commas.
pub fn parse_hosts(text: &str) -> Result<Vec<Host>, Error> {
    let entries: Vec<&str> = text.split(',').map(str::trim).collect();
    let has_gap = entries.len() > 1 && entries.contains(&"");
    ensure!(!has_gap, EmptyEntrySnafu);
    entries.into_iter().map(str::parse).collect()
}

/// Several hosts as in other tools' variables, where a URL without a port has its scheme's default port.
pub fn parse_urls(text: &str) -> Result<Vec<Host>, Error> {
    let mut hosts = parse_hosts(text)?;
    for (host, text) in hosts.iter_mut().zip(text.split(',')) {
        if text.contains("://") {
            host.port = host.port.or(Some(host.url_port()));
        }
    }
    Ok(hosts)
}

impl FromStr for Host {
    type Err = Error;

    fn from_str(text: &str) -> Result<Host, Error> {
        ensure!(!text.is_empty(), EmptySnafu);
        let (scheme, rest) = text.split_once("://").unwrap_or(("https", text));
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return SchemeSnafu { scheme }.fail(),
        };
        ensure!(!rest.contains('@'), UserSnafu);
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let prefix = parse_prefix(path)?;
        let (name, port) = split_port(authority)?;
        ensure!(is_host_name(name), NameSnafu { name });
        ensure!(tls || is_loopback(name), ClearTextSnafu);
        Ok(Host {
            name: name.to_owned(),
            port,
            tls,
            prefix,
        })
    }
}

/// The part of a URL's path before the API's own path, which the URL may include or not.
fn parse_prefix(path: &str) -> Result<String, Error> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "/-._~".contains(c);
    ensure!(path.chars().all(is_allowed), PathSnafu { path });
    let whole = format!("/{}", path.trim_matches('/'));
    let without_api = ["/api2/json", "/api2", "/"].map(|api| whole.strip_suffix(api));
    let prefix = without_api.into_iter().flatten().next();
    Ok(prefix.unwrap_or(&whole).to_owned())
}

fn split_port(authority: &str) -> Result<(&str, Option<u16>), Error> {
    ensure!(authority.parse::<Ipv6Addr>().is_err(), BareIpv6Snafu);
    let (name, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let end = rest.find(']').context(BareIpv6Snafu)?;
            authority.split_at(end + "[]".len())
        }
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    if port.is_empty() {
        return Ok((name, None));
    }
    let port = port
        .strip_prefix(':')
        .context(NameSnafu { name: authority })?;
    Ok((name, Some(parse_port(port)?)))
}

/// A TCP port: 1 to 65535.
pub fn parse_port(text: &str) -> Result<u16, Error> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    let port = text.parse().ok().filter(|port| *port != 0 && is_number);
    port.context(PortSnafu { text })
}

fn is_host_name(name: &str) -> bool {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    match name.strip_prefix('[').and_then(|n| n.strip_suffix(']')) {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => !name.is_empty() && name.chars().all(is_allowed),
    }
}

fn is_loopback(name: &str) -> bool {
    let bare = name.trim_matches(['[', ']']);
    name == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Why a text is not the address of a server.
#[derive(Debug, Snafu, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Error {
    #[snafu(display("must not be empty"))]
    Empty,

    #[snafu(display("a host is missing before or after a comma"))]
    EmptyEntry,

    #[snafu(display("'{scheme}://' is not https://"))]
    Scheme { scheme: String },

    #[snafu(display(
        "http:// would send the token unencrypted, so it is allowed only for loopback addresses"
    ))]
    ClearText,

    #[snafu(display("'/{path}' is not a reverse proxy path such as /pve; omit it"))]
    Path { path: String },

    #[snafu(display("must not contain a user name or a token"))]
    User,

    #[snafu(display(
        "'{name}' is not a host name{}",
        if name.contains([' ', ';']) { "; commas separate several hosts" } else { "" }
    ))]
    Name { name: String },

    #[snafu(display("an IPv6 address must be in brackets: [::1] or [::1]:8006"))]
    BareIpv6,

    #[snafu(display("'{text}' is not a port (1 to 65535)"))]
    Port { text: String },
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::name("pve.lan", "https://pve.lan:8006/api2/json")]
    #[case::name_and_port("pve.lan:443", "https://pve.lan:443/api2/json")]
    #[case::address("192.0.2.7", "https://192.0.2.7:8006/api2/json")]
    #[case::url("https://pve.lan", "https://pve.lan:8006/api2/json")]
    #[case::url_of_the_api("https://pve.lan:8006/api2/json", "https://pve.lan:8006/api2/json")]
    #[case::trailing_slash("https://pve.lan:8006/", "https://pve.lan:8006/api2/json")]
    #[case::path_of_a_proxy("https://proxy.lan/pve/", "https://proxy.lan:443/pve/api2/json")]
    #[case::path_of_a_proxy_and_port(
        "https://proxy.lan:8443/pve",
        "https://proxy.lan:8443/pve/api2/json"
    )]
    #[case::path_of_a_proxy_and_the_api(
        "https://proxy.lan/lab/pve/api2/json/",
        "https://proxy.lan:443/lab/pve/api2/json"
    )]
    #[case::path_that_ends_like_the_api("proxy.lan/xapi2", "https://proxy.lan:443/xapi2/api2/json")]
    #[case::ipv6("[2001:db8::1]", "https://[2001:db8::1]:8006/api2/json")]
    #[case::ipv6_and_port("[2001:db8::1]:443", "https://[2001:db8::1]:443/api2/json")]
    #[case::loopback_without_tls("http://127.0.0.1:8080", "http://127.0.0.1:8080/api2/json")]
    #[case::ipv6_loopback_without_tls("http://[::1]:8080", "http://[::1]:8080/api2/json")]
    fn an_address_becomes_a_base_url(#[case] text: &str, #[case] url: &str) {
        let host: Host = text.parse().unwrap();
        assert_eq!(host.base_url(), url);
    }

    #[rstest]
    #[case::empty("", Error::Empty)]
    #[case::several("pve1,pve2", Error::Name { name: "pve1,pve2".into() })]
    #[case::without_tls("http://pve.lan", Error::ClearText)]
    #[case::name_that_begins_like_loopback("http://127.0.0.1.example.org", Error::ClearText)]
    #[case::other_scheme("ftp://pve.lan", Error::Scheme { scheme: "ftp".into() })]
    #[case::address_of_the_web_interface(
        "https://pve.lan:8006/#v1:0:18",
        Error::Path { path: "#v1:0:18".into() }
    )]
    #[case::query("https://pve.lan/pve?x=1", Error::Path { path: "pve?x=1".into() })]
    #[case::space("pve lan", Error::Name { name: "pve lan".into() })]
    #[case::port_only(":8006", Error::Name { name: String::new() })]
    #[case::user("root@pve.lan", Error::User)]
    #[case::token("https://root@pam!cli=secret@pve.lan", Error::User)]
    #[case::port_without_a_colon("[::1]8006", Error::Name { name: "[::1]8006".into() })]
    #[case::port_with_plus_sign("pve.lan:+8006", Error::Port { text: "+8006".into() })]
    #[case::bare_ipv6("fe80::1", Error::BareIpv6)]
    #[case::unclosed_bracket("[::1", Error::BareIpv6)]
    #[case::port_zero("pve.lan:0", Error::Port { text: "0".into() })]
    #[case::port_too_high("pve.lan:65536", Error::Port { text: "65536".into() })]
    #[case::port_is_not_a_number("pve.lan:abc", Error::Port { text: "abc".into() })]
    #[case::no_port_after_the_colon("pve.lan:", Error::Port { text: String::new() })]
    fn invalid_hosts_are_refused(#[case] text: &str, #[case] reason: Error) {
        assert_eq!(text.parse::<Host>(), Err(reason));
    }

    #[rstest]
    #[case::one("pve1", &["pve1:8006"])]
    #[case::two("pve1,pve2:443", &["pve1:8006", "pve2:443"])]
    #[case::with_spaces("pve1, [::1]:8007 ,https://pve3", &["pve1:8006", "[::1]:8007", "pve3:8006"])]
    fn commas_separate_hosts(#[case] text: &str, #[case] expected: &[&str]) {
        let hosts = parse_hosts(text).unwrap();
        let shown: Vec<String> = hosts.iter().map(Host::to_string).collect();
        assert_eq!(shown, expected);
    }

    /// The ledger distinguishes clusters behind one proxy by this text, and hints show it.
    #[rstest]
    #[case::name("pve.lan", "pve.lan:8006")]
    #[case::path("https://proxy.lan/pve/api2/json", "proxy.lan:443/pve")]
    fn the_displayed_form_of_a_host_parses_to_the_same_host(
        #[case] text: &str,
        #[case] shown: &str,
    ) {
        let host: Host = text.parse().unwrap();
        let again: Host = shown.parse().unwrap();
        assert_eq!(
            (host.to_string(), host.base_url()),
            (shown.into(), again.base_url())
        );
    }

    #[rstest]
    #[case::url("https://pve.lan/", "https://pve.lan:443/api2/json")]
    #[case::url_with_a_port("https://pve.lan:8006/", "https://pve.lan:8006/api2/json")]
    #[case::http_url("http://127.0.0.1", "http://127.0.0.1:80/api2/json")]
    #[case::name_only("pve.lan", "https://pve.lan:8006/api2/json")]
    #[case::path("https://pve.lan/api2/json", "https://pve.lan:443/api2/json")]
    fn a_url_of_another_tool_has_the_port_of_its_scheme(#[case] text: &str, #[case] url: &str) {
        let hosts = parse_urls(text).unwrap();
        assert_eq!(hosts[0].base_url(), url);
    }

    #[rstest]
    #[case::empty("", Error::Empty)]
    #[case::only_a_comma(",", Error::EmptyEntry)]
    #[case::at_the_end("pve1,", Error::EmptyEntry)]
    #[case::in_the_middle("pve1, ,pve2", Error::EmptyEntry)]
    #[case::one_of_them("pve1,pve 2", Error::Name { name: "pve 2".into() })]
    fn a_list_with_an_invalid_entry_is_refused(#[case] text: &str, #[case] reason: Error) {
        assert_eq!(parse_hosts(text), Err(reason));
    }
}
