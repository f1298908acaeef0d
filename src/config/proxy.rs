//! The proxy that the environment names, and the hosts that are reached without it.

use std::ffi::OsString;
use std::net::IpAddr;

use crate::pve::network::Network;
use crate::pve::{Host, Proxy};

/// The first one that is set is used. Hosts with `http://` are on this machine and need no proxy.
const NAMES: [&str; 4] = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
const EXCEPTIONS: [&str; 2] = ["no_proxy", "NO_PROXY"];

/// The environment's proxy settings.
pub(super) struct Proxies {
    /// The proxy, or why it is ignored.
    proxy: Option<Result<Proxy, String>>,
    exceptions: String,
}

impl Proxies {
    pub(super) fn of(environment: &dyn Fn(&str) -> Option<OsString>) -> Proxies {
        let text = |name: &'static str| Some((name, environment(name)?.into_string().ok()?));
        let proxy = NAMES.into_iter().find_map(text).map(|(name, url)| {
            Proxy::parse(url.trim(), name).map_err(|why| format!("{name} is ignored: {why}"))
        });
        let exceptions = EXCEPTIONS.into_iter().find_map(text);
        Proxies {
            proxy,
            exceptions: exceptions.map_or_else(String::new, |(_, hosts)| hosts),
        }
    }

    /// The proxy through which to reach this host.
    pub(super) fn proxy_for(&self, host: &Host) -> Option<Proxy> {
        let proxy = self.proxy.as_ref()?.as_ref().ok()?;
        self.applies_to(host).then(|| proxy.clone())
    }

    /// Warns that a proxy is ignored, if any of the hosts would be reached through it.
    pub(super) fn warning(&self, hosts: &[Host]) -> Option<String> {
        let ignored = self.proxy.as_ref()?.as_ref().err()?;
        let is_needed = hosts.iter().any(|host| self.applies_to(host));
        is_needed.then(|| format!("{ignored}; connecting without a proxy"))
    }

    fn applies_to(&self, host: &Host) -> bool {
        let mut exceptions = self.exceptions.split([',', ' ']);
        host.tls() && !host.is_loopback() && !exceptions.any(|entry| matches(entry, host.name()))
    }
}

/// Whether an entry of `NO_PROXY` matches this host. An entry is `*`, an IP address, a network like
/// `10.0.0.0/8`, or a domain, with or without a leading dot.
fn matches(entry: &str, name: &str) -> bool {
    let (entry, name) = (entry.trim().to_ascii_lowercase(), name.to_ascii_lowercase());
    if entry == "*" {
        return true;
    }
    if let Ok(address) = name.parse::<IpAddr>() {
        let network = entry.trim_matches(['[', ']']).parse::<Network>();
        return network.is_ok_and(|network| network.contains(address));
    }
    let domain = entry.trim_start_matches('*').trim_start_matches('.');
    let before = name.strip_suffix(domain);
    before.is_some_and(|before| !domain.is_empty() && (before.is_empty() || before.ends_with('.')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::name("pve.lan", "pve.lan", true)]
    #[case::another_name("pve.lan", "pve2.lan", false)]
    #[case::in_capitals("PVE.lan", "pve.LAN", true)]
    #[case::domain("lan", "pve.lan", true)]
    #[case::domain_with_a_dot(".lan", "pve.lan", true)]
    #[case::domain_with_an_asterisk("*.lan", "pve.lan", true)]
    #[case::part_of_a_name("ve.lan", "pve.lan", false)]
    #[case::empty("", "pve.lan", false)]
    #[case::dot(".", "pve.lan", false)]
    #[case::everything("*", "192.0.2.7", true)]
    #[case::address("192.0.2.7", "192.0.2.7", true)]
    #[case::another_address("192.0.2.7", "192.0.2.70", false)]
    #[case::ipv6("2001:DB8::7", "2001:db8::7", true)]
    #[case::ipv6_in_brackets("[2001:db8::7]", "2001:db8::7", true)]
    #[case::network("10.0.0.0/8", "10.1.2.3", true)]
    #[case::another_network("10.0.0.0/8", "11.1.2.3", false)]
    #[case::network_not_at_a_byte("192.0.2.64/26", "192.0.2.127", true)]
    #[case::beyond_that_network("192.0.2.64/26", "192.0.2.128", false)]
    #[case::ipv6_network("2001:db8::/32", "2001:db8:1::7", true)]
    #[case::network_of_another_family("::/0", "192.0.2.7", false)]
    #[case::invalid_network("10.0.0.0/x", "10.1.2.3", false)]
    fn an_entry_of_no_proxy_matches(
        #[case] entry: &str,
        #[case] host: &str,
        #[case] expected: bool,
    ) {
        assert_eq!(matches(entry, host), expected);
    }

    #[rstest]
    #[case::https(&[("HTTPS_PROXY", "http://a:1")], Some("a:1 (HTTPS_PROXY)"))]
    #[case::without_a_scheme(&[("https_proxy", "a:1")], Some("a:1 (https_proxy)"))]
    #[case::with_a_password(&[("https_proxy", "http://u:p@a:1/")], Some("a:1 (https_proxy)"))]
    #[case::all(&[("ALL_PROXY", "http://a:1")], Some("a:1 (ALL_PROXY)"))]
    #[case::https_before_all(
        &[("ALL_PROXY", "http://a:1"), ("HTTPS_PROXY", "http://b")], Some("b:80 (HTTPS_PROXY)")
    )]
    #[case::http_proxy_is_not_for_https(&[("http_proxy", "http://a:1")], None)]
    #[case::an_exception(&[("HTTPS_PROXY", "a:1"), ("NO_PROXY", "x, pve.lan")], None)]
    #[case::unsupported_scheme(&[("HTTPS_PROXY", "socks5://a:1")], None)]
    fn the_proxy_for_a_host_is_found(#[case] set: &[(&str, &str)], #[case] expected: Option<&str>) {
        let proxies = Proxies::of(&|name| {
            let (_, value) = set.iter().find(|(known, _)| *known == name)?;
            Some(OsString::from(value))
        });
        let proxy = proxies.proxy_for(&"pve.lan".parse().unwrap());
        let shown = proxy.map(|proxy| format!("{proxy} ({})", proxy.origin()));
        assert_eq!(shown.as_deref(), expected);
    }
}
