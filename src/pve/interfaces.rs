//! A guest's network interfaces as its agent reports them, and the address to reach the guest at.

use std::net::IpAddr;

use serde::Deserialize;
use serde_json::Value;

/// A network interface inside a guest.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(from = "Value")]
pub struct Interface {
    /// The hardware address in lower case; absent for interfaces that are no card.
    pub mac: Option<String>,
    /// As the guest lists them.
    pub addresses: Vec<IpAddr>,
}

/// The report cannot be trusted: the owner of the guest controls the agent.
impl From<Value> for Interface {
    fn from(entry: Value) -> Interface {
        // Indexing what is no object, or has no such key, gives null.
        let addresses = entry["ip-addresses"].as_array().into_iter().flatten();
        let address = |address: &Value| address["ip-address"].as_str()?.parse().ok();
        Interface {
            mac: entry["hardware-address"]
                .as_str()
                .map(str::to_ascii_lowercase),
            addresses: addresses.filter_map(address).collect(),
        }
    }
}

/// The first address that other machines can use, of the cards with these hardware addresses, which
/// are in lower case and in order of preference. IPv4 is preferred over IPv6. Interfaces with other
/// hardware addresses are internal to the guest: container bridges, tunnels, loopback.
pub fn best_address(interfaces: &[Interface], macs: &[String]) -> Option<IpAddr> {
    let cards = macs.iter().flat_map(|mac| {
        let interfaces = interfaces.iter();
        interfaces.filter(move |interface| interface.mac.as_ref() == Some(mac))
    });
    let addresses = cards.flat_map(|interface| &interface.addresses);
    let addresses = addresses.copied().filter(is_for_others);
    // Of several equal ones this is the first.
    addresses.min_by_key(IpAddr::is_ipv6)
}

fn is_for_others(address: &IpAddr) -> bool {
    let is_link_local = match address {
        IpAddr::V4(address) => address.is_link_local() || address.is_broadcast(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    !is_link_local && !address.is_loopback() && !address.is_unspecified() && !address.is_multicast()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const CARD: &str = "bc:24:11:00:00:65";
    const SECOND_CARD: &str = "bc:24:11:00:01:65";
    const BRIDGE: &str = "02:42:00:00:00:01";

    fn best(told: &[(&str, &str)]) -> Option<String> {
        let interfaces: Vec<Interface> = told
            .iter()
            .map(|(mac, addresses)| Interface {
                mac: (!mac.is_empty()).then(|| (*mac).to_owned()),
                addresses: addresses
                    .split(", ")
                    .map(|it| it.parse().unwrap())
                    .collect(),
            })
            .collect();
        let macs = [CARD.to_owned(), SECOND_CARD.to_owned()];
        best_address(&interfaces, &macs).map(|address| address.to_string())
    }

    #[rstest]
    #[case::one(&[(CARD, "10.0.0.5")], Some("10.0.0.5"))]
    #[case::the_first(&[(CARD, "10.0.0.5, 10.0.0.6")], Some("10.0.0.5"))]
    #[case::not_its_loopback(&[(CARD, "127.0.0.1, ::1, 10.0.0.5")], Some("10.0.0.5"))]
    #[case::not_a_link_local_one(&[(CARD, "169.254.1.1, fe80::1")], None)]
    #[case::ipv4_before_ipv6(&[(CARD, "2001:db8::5, 10.0.0.5")], Some("10.0.0.5"))]
    #[case::ipv4_of_a_later_card(
        &[(CARD, "2001:db8::5"), (SECOND_CARD, "10.1.0.5")],
        Some("10.1.0.5")
    )]
    #[case::ipv6_if_that_is_all(&[(CARD, "fe80::1, 2001:db8::5")], Some("2001:db8::5"))]
    #[case::of_the_first_card(
        &[(SECOND_CARD, "10.1.0.5"), (CARD, "10.0.0.5")],
        Some("10.0.0.5")
    )]
    #[case::not_of_a_bridge(
        &[(BRIDGE, "172.17.0.1"), (CARD, "10.0.0.5")],
        Some("10.0.0.5")
    )]
    #[case::only_of_a_bridge(&[(BRIDGE, "172.17.0.1")], None)]
    #[case::without_a_mac(&[("", "10.8.0.1")], None)]
    #[case::nothing_that_is_one(&[(CARD, "0.0.0.0, 224.0.0.1, 255.255.255.255, ::")], None)]
    #[case::none(&[], None)]
    fn the_best_address_is_one_that_other_machines_can_use(
        #[case] told: &[(&str, &str)],
        #[case] expected: Option<&str>,
    ) {
        assert_eq!(best(told).as_deref(), expected);
    }

    #[test]
    fn invalid_parts_of_the_agents_report_are_ignored() {
        let data = r#"[{"name":"lo","hardware-address":"00:00:00:00:00:00","ip-addresses":[
            {"ip-address":"127.0.0.1","ip-address-type":"ipv4","prefix":8}]},
            {"name":"eth0","hardware-address":"BC:24:11:00:00:65","ip-addresses":[{"ip-address":7},
            {"ip-address":"x"},{"ip-address":"10.0.0.5"}]},{"name":"sit0"},7]"#;
        let interfaces: Vec<Interface> = serde_json::from_str(data).unwrap();
        let seen: Vec<(Option<&str>, usize)> = interfaces
            .iter()
            .map(|interface| (interface.mac.as_deref(), interface.addresses.len()))
            .collect();
        assert_eq!(
            seen,
            [
                (Some("00:00:00:00:00:00"), 1),
                (Some(CARD), 1),
                (None, 0),
                (None, 0)
            ]
        );
    }
}
