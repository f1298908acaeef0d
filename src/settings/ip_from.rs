//! `--ip-from`, and how one of a guest's addresses is chosen.
//!
//! - Without the option: an address of the first network card, or after a delay one of another card.
//! - With it: only an address that it matches. The first of several options that matches one is used.
//! - IPv4 before IPv6, which is used after a delay: DHCP may take longer than a router advertisement.
//! - If the VM's configuration contains a static address for a card, no other address of it is used.
//! - An address of an interface inside the guest, like a container bridge, is used only if a network in
//!   `--ip-from` contains it, and after a delay.

use std::fmt;
use std::str::FromStr;

use crate::pve::network::{Network, NotANetwork};
use crate::pve::property::is_net;
use crate::pve::{Address, Card, Family};

/// Where an address may come from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum IpFrom {
    /// A network card: `net1`.
    Card(String),
    /// Any network card, in one family.
    Family(Family),
    /// A network.
    Network(Network),
}

/// How well an address fits, the best first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Fit {
    /// No other address can fit better.
    Best,
    /// A better one may still appear, so it is used after a delay.
    Good,
    /// The configuration has a different static address for this card, or for the first one.
    Unexpected,
}

impl FromStr for IpFrom {
    type Err = String;

    fn from_str(text: &str) -> Result<IpFrom, Self::Err> {
        const EXPECTED: &str =
            "expected a network card (net0), a network (10.0.0.0/8), 'ipv4' or 'ipv6'";

        match text {
            "ipv4" => return Ok(IpFrom::Family(Family::V4)),
            "ipv6" => return Ok(IpFrom::Family(Family::V6)),
            _ if is_net(text) => return Ok(IpFrom::Card(text.to_owned())),
            _ if text.ends_with(".0") => {
                return Err(format!(
                    "expected a network with its prefix length, like {text}/24"
                ));
            }
            _ => {}
        }
        text.parse()
            .map(IpFrom::Network)
            .map_err(|error| match error {
                NotANetwork::Syntax => EXPECTED.to_owned(),
                NotANetwork::TooLong => error.to_string(),
            })
    }
}

/// `an address on net1`
impl fmt::Display for IpFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IpFrom::Card(key) => write!(f, "an address on {key}"),
            IpFrom::Family(Family::V4) => f.write_str("an IPv4 address"),
            IpFrom::Family(Family::V6) => f.write_str("an IPv6 address"),
            IpFrom::Network(network) => write!(f, "an address in {network}"),
        }
    }
}

/// The best of a guest's addresses, and how well it fits. `from` are the values of `--ip-from`; `addresses`
/// are ordered by card.
pub fn choose<'a>(
    from: &[IpFrom],
    cards: &[Card],
    addresses: &'a [Address],
) -> Option<(Fit, &'a Address)> {
    let ranked = addresses.iter().filter_map(|address| {
        let rank = if from.is_empty() {
            (fit_of_any_card(cards, None, address)?, 0)
        } else {
            let fits = from.iter().enumerate();
            let ranks = fits.filter_map(|(place, from)| Some((from.fit(cards, address)?, place)));
            // An earlier option may still match an address.
            let ranks =
                ranks.map(|(fit, place)| (if place > 0 { fit.max(Fit::Good) } else { fit }, place));
            ranks.min()?
        };
        Some((rank, address))
    });
    let ((fit, _), address) = ranked.min_by_key(|(rank, _)| *rank)?;
    Some((fit, address))
}

/// Describes what `choose` expects: `10.0.0.5, which ipconfig0 sets`.
pub fn expected(from: &[IpFrom], cards: &[Card]) -> String {
    let static_address = |card: Option<&Card>, family| {
        let card = card?;
        let address = card.static_address(family)?;
        let set_by = card.key.replace("net", "ipconfig");
        Some(format!("{address}, which {set_by} sets"))
    };
    if from.is_empty() {
        let known = static_address(cards.first(), None);
        return known.unwrap_or_else(|| "an address on one of its network cards".to_owned());
    }
    let each = from.iter().map(|from| {
        let known = match from {
            IpFrom::Card(key) => static_address(cards.iter().find(|it| it.key == *key), None),
            IpFrom::Family(family) => static_address(cards.first(), Some(*family)),
            IpFrom::Network(..) => None,
        };
        known.unwrap_or_else(|| from.to_string())
    });
    each.collect::<Vec<_>>().join(" or ")
}

impl IpFrom {
    fn fit(&self, cards: &[Card], address: &Address) -> Option<Fit> {
        match self {
            IpFrom::Card(key) => {
                let card = cards.iter().find(|card| card.key == *key)?;
                fit_of_card(card, None, address)
            }
            IpFrom::Family(family) => fit_of_any_card(cards, Some(*family), address),
            IpFrom::Network(network) => {
                let is_on_a_card = address.card.is_some();
                let fit = if is_on_a_card { Fit::Best } else { Fit::Good };
                network.contains(address.ip).then_some(fit)
            }
        }
    }
}

fn fit_of_any_card(cards: &[Card], family: Option<Family>, address: &Address) -> Option<Fit> {
    let (first, others) = cards.split_first()?;
    fit_of_card(first, family, address).or_else(|| {
        let mut others = others.iter();
        let fit = others.find_map(|card| fit_of_card(card, family, address))?;
        Some(match first.static_address(family) {
            Some(_) => Fit::Unexpected,
            None => fit.max(Fit::Good),
        })
    })
}

fn fit_of_card(card: &Card, family: Option<Family>, address: &Address) -> Option<Fit> {
    let its_family = Family::of(address.ip);
    if family.is_some_and(|family| family != its_family) {
        return None;
    }
    let is_on_card = address.card.as_ref() == Some(&card.key);
    match card.static_address(family) {
        // On any interface: the guest may have put the card into a bridge.
        Some(known) if known == address.ip => Some(Fit::Best),
        _ if !is_on_card => None,
        Some(_) => Some(Fit::Unexpected),
        None if its_family == Family::V4 || family.is_some() => Some(Fit::Best),
        None => Some(Fit::Good),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    /// Cards like `net0`, or `net0 ip=10.0.0.5/24` with cloud-init's configuration.
    fn cards(texts: &[&str]) -> Vec<Card> {
        let cards = texts.iter().map(|text| {
            let (key, ipconfig) = text.split_once(' ').unwrap_or((text, ""));
            Card {
                key: key.to_owned(),
                mac: String::new(),
                ipconfig: ipconfig.to_owned(),
            }
        });
        cards.collect()
    }

    /// Addresses like `net0 10.0.0.5`, or `docker0 172.17.0.1` for an interface inside the guest.
    fn addresses(texts: &[&str]) -> Vec<Address> {
        let addresses = texts.iter().map(|text| {
            let (place, address) = text.split_once(' ').unwrap();
            Address {
                card: is_net(place).then(|| place.to_owned()),
                ip: address.parse().unwrap(),
                interface: Some(place.to_owned()),
            }
        });
        addresses.collect()
    }

    fn options(texts: &[&str]) -> Vec<IpFrom> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn assert_chosen(
        from: &[&str],
        configured: &[&str],
        reported: &[&str],
        expected: Option<(Fit, &str)>,
    ) {
        let addresses = addresses(reported);
        let chosen = choose(&options(from), &cards(configured), &addresses);
        let expected = expected.map(|(fit, ip)| (fit, ip.parse().unwrap()));
        assert_eq!(chosen.map(|(fit, address)| (fit, address.ip)), expected);
    }

    #[rstest]
    #[case::address_of_the_first_card(&["net0 10.0.0.5", "net1 10.1.0.5"], Some((Fit::Best, "10.0.0.5")))]
    #[case::another_card_after_a_delay(&["net1 10.1.0.5"], Some((Fit::Good, "10.1.0.5")))]
    #[case::the_next_card(&["net1 10.1.0.5", "net2 10.2.0.5"], Some((Fit::Good, "10.1.0.5")))]
    #[case::ipv4_before_ipv6(&["net0 10.0.0.5", "net0 2001:db8::5"], Some((Fit::Best, "10.0.0.5")))]
    #[case::ipv6_alone_after_a_delay(&["net0 2001:db8::5"], Some((Fit::Good, "2001:db8::5")))]
    #[case::the_card_before_the_family(
        &["net0 2001:db8::5", "net1 10.1.0.5"],
        Some((Fit::Good, "2001:db8::5"))
    )]
    #[case::no_bridge_inside_the_guest(&["docker0 172.17.0.1"], None)]
    #[case::none(&[], None)]
    fn without_the_option_it_is_an_address_of_the_first_card(
        #[case] reported: &[&str],
        #[case] expected: Option<(Fit, &str)>,
    ) {
        assert_chosen(&[], &["net0", "net1", "net2"], reported, expected);
    }

    #[rstest]
    #[case::card(&["net1"], &["net0 10.0.0.5", "net1 10.1.0.5"], Some((Fit::Best, "10.1.0.5")))]
    #[case::card_with_ipv6(&["net1"], &["net1 2001:db8::5"], Some((Fit::Good, "2001:db8::5")))]
    #[case::card_without_one(&["net1"], &["net0 10.0.0.5"], None)]
    #[case::no_such_card(&["net7"], &["net0 10.0.0.5"], None)]
    #[case::network(&["10.1.0.0/16"], &["net0 10.0.0.5", "net1 10.1.0.5"], Some((Fit::Best, "10.1.0.5")))]
    #[case::network_of_two_cards(
        &["10.0.0.0/8"],
        &["net0 10.0.0.5", "net1 10.1.0.5"],
        Some((Fit::Best, "10.0.0.5"))
    )]
    #[case::network_inside_the_guest_after_a_delay(
        &["100.64.0.0/10"],
        &["net0 10.0.0.5", "tailscale0 100.101.102.103"],
        Some((Fit::Good, "100.101.102.103"))
    )]
    #[case::a_card_before_an_interface_inside_the_guest(
        &["172.16.0.0/12"],
        &["net1 172.20.0.5", "docker0 172.17.0.1"],
        Some((Fit::Best, "172.20.0.5"))
    )]
    #[case::one_address(&["10.1.0.5"], &["net1 10.1.0.5"], Some((Fit::Best, "10.1.0.5")))]
    #[case::ipv6_network(&["2001:db8::/32"], &["net0 10.0.0.5", "net0 2001:db8::5"], Some((Fit::Best, "2001:db8::5")))]
    #[case::an_ipv4_network_contains_no_ipv6_address(&["0.0.0.0/0"], &["net0 2001:db8::5"], None)]
    #[case::ipv6(&["ipv6"], &["net0 10.0.0.5", "net0 2001:db8::5"], Some((Fit::Best, "2001:db8::5")))]
    #[case::ipv6_of_another_card_after_a_delay(
        &["ipv6"],
        &["net0 10.0.0.5", "net1 2001:db8::5"],
        Some((Fit::Good, "2001:db8::5"))
    )]
    #[case::ipv4(&["ipv4"], &["net0 2001:db8::5"], None)]
    #[case::the_first_option_wins(
        &["net1", "net0"],
        &["net0 10.0.0.5", "net1 10.1.0.5"],
        Some((Fit::Best, "10.1.0.5"))
    )]
    #[case::the_second_option_after_a_delay(
        &["net1", "10.0.0.0/8"],
        &["net0 10.0.0.5"],
        Some((Fit::Good, "10.0.0.5"))
    )]
    #[case::the_first_options_ipv6_before_the_seconds_ipv4(
        &["net1", "net0"],
        &["net0 10.0.0.5", "net1 2001:db8::5"],
        Some((Fit::Good, "2001:db8::5"))
    )]
    fn with_the_option_only_matching_addresses_count(
        #[case] from: &[&str],
        #[case] reported: &[&str],
        #[case] expected: Option<(Fit, &str)>,
    ) {
        assert_chosen(from, &["net0", "net1"], reported, expected);
    }

    #[rstest]
    #[case::reported(&[], &["net0 10.0.0.5"], Some((Fit::Best, "10.0.0.5")))]
    #[case::reported_beside_another(&[], &["net0 10.0.0.4", "net0 10.0.0.5"], Some((Fit::Best, "10.0.0.5")))]
    #[case::on_a_bridge_over_the_card(&[], &["br0 10.0.0.5"], Some((Fit::Best, "10.0.0.5")))]
    #[case::another_on_the_first_card(&[], &["net0 10.0.0.77"], Some((Fit::Unexpected, "10.0.0.77")))]
    #[case::ipv6_is_another(&[], &["net0 2001:db8::5"], Some((Fit::Unexpected, "2001:db8::5")))]
    #[case::on_another_card(&[], &["net1 10.1.0.5"], Some((Fit::Unexpected, "10.1.0.5")))]
    #[case::another_on_the_requested_card(&["net0"], &["net0 10.0.0.77"], Some((Fit::Unexpected, "10.0.0.77")))]
    #[case::a_network_that_contains_another_address(
        &["10.0.0.77"],
        &["net0 10.0.0.77"],
        Some((Fit::Best, "10.0.0.77"))
    )]
    #[case::the_other_family_is_dynamic(&["ipv6"], &["net0 2001:db8::5"], Some((Fit::Best, "2001:db8::5")))]
    fn a_static_address_of_the_first_card_is_waited_for(
        #[case] from: &[&str],
        #[case] reported: &[&str],
        #[case] expected: Option<(Fit, &str)>,
    ) {
        let cards = ["net0 ip=10.0.0.5/24,gw=10.0.0.1", "net1"];
        assert_chosen(from, &cards, reported, expected);
    }

    #[rstest]
    #[case::the_first_card_may_still_get_one("net1 10.1.0.5", Some((Fit::Good, "10.1.0.5")))]
    #[case::another_on_that_card("net1 10.1.0.77", Some((Fit::Unexpected, "10.1.0.77")))]
    fn a_static_address_of_another_card_is_used_after_a_delay(
        #[case] reported: &str,
        #[case] expected: Option<(Fit, &str)>,
    ) {
        let cards = ["net0 ip=dhcp", "net1 ip=10.1.0.5/24"];
        assert_chosen(&[], &cards, &[reported], expected);
    }

    #[rstest]
    #[case::any(&[], "net0", "an address on one of its network cards")]
    #[case::static_address(&[], "net0 ip=10.0.0.5/24", "10.0.0.5, which ipconfig0 sets")]
    #[case::card(&["net1"], "net0 ip=10.0.0.5/24", "an address on net1")]
    #[case::card_with_a_static_address(&["net0"], "net0 ip6=2001:db8::5/64", "2001:db8::5, which ipconfig0 sets")]
    #[case::several(
        &["net1", "10.0.0.5/8", "ipv6", "ipv4"],
        "net0",
        "an address on net1 or an address in 10.0.0.0/8 or an IPv6 address or an IPv4 address"
    )]
    fn the_expected_address_is_described(
        #[case] from: &[&str],
        #[case] card: &str,
        #[case] description: &str,
    ) {
        assert_eq!(expected(&options(from), &cards(&[card])), description);
    }

    #[rstest]
    #[case::host_bits("10.1.2.3/8", Ok("an address in 10.0.0.0/8"))]
    #[case::all("0.0.0.0/0", Ok("an address in 0.0.0.0/0"))]
    #[case::one("10.0.0.5", Ok("an address in 10.0.0.5/32"))]
    #[case::ipv6("2001:db8:1:2::5/48", Ok("an address in 2001:db8:1::/48"))]
    #[case::all_of_ipv6("::/0", Ok("an address in ::/0"))]
    #[case::card("net31", Ok("an address on net31"))]
    #[case::too_long("10.0.0.0/33", Err("the prefix is longer than the address"))]
    #[case::no_length("10.0.0.0/", Err(OTHER))]
    #[case::negative("10.0.0.0/-1", Err(OTHER))]
    #[case::interface_of_the_guest("eth0", Err(OTHER))]
    #[case::bridge("vmbr0", Err(OTHER))]
    #[case::empty("", Err(OTHER))]
    fn the_option_is_parsed(#[case] text: &str, #[case] expected: Result<&str, &str>) {
        let parsed = text.parse::<IpFrom>().map(|from| from.to_string());
        assert_eq!(parsed.as_deref().map_err(String::as_str), expected);
    }

    const OTHER: &str = "expected a network card (net0), a network (10.0.0.0/8), 'ipv4' or 'ipv6'";
}
