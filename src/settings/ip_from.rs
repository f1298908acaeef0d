//! `--ip-from`, and which of a guest's addresses is taken.
//!
//! - Without the option: an address of the first network card; after a while one of another card.
//! - With it: only an address that it names; of several options the first that has one.
//! - IPv4 before IPv6, which is taken after a while: DHCP may take longer than a router's advertisement.
//! - A static address in the VM's configuration is known: no other one of that card is taken.
//! - An interface that only the guest knows, like a container bridge, counts only for a network that was
//!   named, and after a while.

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
    /// No other one will be better.
    Best,
    /// A better one may come.
    Good,
    /// The configuration has another static address for that card, or for the first one.
    Unexpected,
}

impl FromStr for IpFrom {
    type Err = String;

    fn from_str(text: &str) -> Result<IpFrom, Self::Err> {
        const NEITHER: &str =
            "this is no network card (net0), network (10.0.0.0/8), 'ipv4' or 'ipv6'";

        match text {
            "ipv4" => return Ok(IpFrom::Family(Family::V4)),
            "ipv6" => return Ok(IpFrom::Family(Family::V6)),
            _ if is_net(text) => return Ok(IpFrom::Card(text.to_owned())),
            _ => {}
        }
        text.parse()
            .map(IpFrom::Network)
            .map_err(|error| match error {
                NotANetwork::Syntax => NEITHER.to_owned(),
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

/// The address to take of those that a guest has, and how well it fits. `from` is what `--ip-from` names;
/// `addresses` are in the order of the cards.
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
            // The option that stands first may still get an address.
            let ranks =
                ranks.map(|(fit, place)| (if place > 0 { fit.max(Fit::Good) } else { fit }, place));
            ranks.min()?
        };
        Some((rank, address))
    });
    let ((fit, _), address) = ranked.min_by_key(|(rank, _)| *rank)?;
    Some((fit, address))
}

/// What `choose` waits for, in words: `10.0.0.5, which ipconfig0 sets`.
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
    let is_here = address.card.as_ref() == Some(&card.key);
    match card.static_address(family) {
        // On whatever interface: the guest may have put its card into a bridge.
        Some(known) if known == address.ip => Some(Fit::Best),
        _ if !is_here => None,
        Some(_) => Some(Fit::Unexpected),
        None if its_family == Family::V4 || family.is_some() => Some(Fit::Best),
        None => Some(Fit::Good),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    /// `net0`, or `net0 ip=10.0.0.5/24` with what cloud-init configures.
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

    /// `net0 10.0.0.5`, or `docker0 172.17.0.1` for an interface that is no card.
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
        told: &[&str],
        expected: Option<(Fit, &str)>,
    ) {
        let told = addresses(told);
        let chosen = choose(&options(from), &cards(configured), &told);
        let expected = expected.map(|(fit, ip)| (fit, ip.parse().unwrap()));
        assert_eq!(chosen.map(|(fit, address)| (fit, address.ip)), expected);
    }

    #[rstest]
    #[case::at_once(&["net0 10.0.0.5", "net1 10.1.0.5"], Some((Fit::Best, "10.0.0.5")))]
    #[case::another_card_after_a_while(&["net1 10.1.0.5"], Some((Fit::Good, "10.1.0.5")))]
    #[case::the_next_card(&["net1 10.1.0.5", "net2 10.2.0.5"], Some((Fit::Good, "10.1.0.5")))]
    #[case::ipv4_before_ipv6(&["net0 10.0.0.5", "net0 2001:db8::5"], Some((Fit::Best, "10.0.0.5")))]
    #[case::ipv6_alone_after_a_while(&["net0 2001:db8::5"], Some((Fit::Good, "2001:db8::5")))]
    #[case::the_card_before_the_family(
        &["net0 2001:db8::5", "net1 10.1.0.5"],
        Some((Fit::Good, "2001:db8::5"))
    )]
    #[case::never_a_bridge_inside_the_guest(&["docker0 172.17.0.1"], None)]
    #[case::none(&[], None)]
    fn without_the_option_it_is_an_address_of_the_first_card(
        #[case] told: &[&str],
        #[case] expected: Option<(Fit, &str)>,
    ) {
        assert_chosen(&[], &["net0", "net1", "net2"], told, expected);
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
    #[case::network_inside_the_guest_after_a_while(
        &["100.64.0.0/10"],
        &["net0 10.0.0.5", "tailscale0 100.101.102.103"],
        Some((Fit::Good, "100.101.102.103"))
    )]
    #[case::a_card_in_that_network_before_the_guests_own(
        &["172.16.0.0/12"],
        &["net1 172.20.0.5", "docker0 172.17.0.1"],
        Some((Fit::Best, "172.20.0.5"))
    )]
    #[case::one_address(&["10.1.0.5"], &["net1 10.1.0.5"], Some((Fit::Best, "10.1.0.5")))]
    #[case::ipv6_network(&["2001:db8::/32"], &["net0 10.0.0.5", "net0 2001:db8::5"], Some((Fit::Best, "2001:db8::5")))]
    #[case::ipv6_is_in_no_ipv4_network(&["0.0.0.0/0"], &["net0 2001:db8::5"], None)]
    #[case::ipv6(&["ipv6"], &["net0 10.0.0.5", "net0 2001:db8::5"], Some((Fit::Best, "2001:db8::5")))]
    #[case::ipv6_of_another_card_after_a_while(
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
    #[case::the_second_option_after_a_while(
        &["net1", "10.0.0.0/8"],
        &["net0 10.0.0.5"],
        Some((Fit::Good, "10.0.0.5"))
    )]
    #[case::the_first_options_ipv6_before_the_seconds_ipv4(
        &["net1", "net0"],
        &["net0 10.0.0.5", "net1 2001:db8::5"],
        Some((Fit::Good, "2001:db8::5"))
    )]
    fn with_the_option_only_what_it_names_counts(
        #[case] from: &[&str],
        #[case] told: &[&str],
        #[case] expected: Option<(Fit, &str)>,
    ) {
        assert_chosen(from, &["net0", "net1"], told, expected);
    }

    #[rstest]
    #[case::it_is_there(&[], &["net0 10.0.0.5"], Some((Fit::Best, "10.0.0.5")))]
    #[case::beside_another(&[], &["net0 10.0.0.4", "net0 10.0.0.5"], Some((Fit::Best, "10.0.0.5")))]
    #[case::on_a_bridge_over_the_card(&[], &["br0 10.0.0.5"], Some((Fit::Best, "10.0.0.5")))]
    #[case::another_on_that_card(&[], &["net0 10.0.0.77"], Some((Fit::Unexpected, "10.0.0.77")))]
    #[case::ipv6_is_another(&[], &["net0 2001:db8::5"], Some((Fit::Unexpected, "2001:db8::5")))]
    #[case::on_another_card(&[], &["net1 10.1.0.5"], Some((Fit::Unexpected, "10.1.0.5")))]
    #[case::of_the_card_that_is_named(&["net0"], &["net0 10.0.0.77"], Some((Fit::Unexpected, "10.0.0.77")))]
    #[case::a_network_names_it_whatever_is_configured(
        &["10.0.0.77"],
        &["net0 10.0.0.77"],
        Some((Fit::Best, "10.0.0.77"))
    )]
    #[case::the_other_family_is_dynamic(&["ipv6"], &["net0 2001:db8::5"], Some((Fit::Best, "2001:db8::5")))]
    fn a_static_address_of_the_first_card_is_waited_for(
        #[case] from: &[&str],
        #[case] told: &[&str],
        #[case] expected: Option<(Fit, &str)>,
    ) {
        let cards = ["net0 ip=10.0.0.5/24,gw=10.0.0.1", "net1"];
        assert_chosen(from, &cards, told, expected);
    }

    #[rstest]
    #[case::the_first_card_may_still_get_one("net1 10.1.0.5", Some((Fit::Good, "10.1.0.5")))]
    #[case::another_on_that_card("net1 10.1.0.77", Some((Fit::Unexpected, "10.1.0.77")))]
    fn a_static_address_of_another_card_is_taken_after_a_while(
        #[case] told: &str,
        #[case] expected: Option<(Fit, &str)>,
    ) {
        let cards = ["net0 ip=dhcp", "net1 ip=10.1.0.5/24"];
        assert_chosen(&[], &cards, &[told], expected);
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
    fn what_is_waited_for_can_be_said(
        #[case] from: &[&str],
        #[case] card: &str,
        #[case] words: &str,
    ) {
        assert_eq!(expected(&options(from), &cards(&[card])), words);
    }

    #[rstest]
    #[case::host_bits("10.1.2.3/8", Ok("an address in 10.0.0.0/8"))]
    #[case::all("0.0.0.0/0", Ok("an address in 0.0.0.0/0"))]
    #[case::one("10.0.0.5", Ok("an address in 10.0.0.5/32"))]
    #[case::ipv6("2001:db8:1:2::5/48", Ok("an address in 2001:db8:1::/48"))]
    #[case::all_of_ipv6("::/0", Ok("an address in ::/0"))]
    #[case::card("net31", Ok("an address on net31"))]
    #[case::too_long("10.0.0.0/33", Err("the prefix is longer than the address"))]
    #[case::no_length("10.0.0.0/", Err(NEITHER))]
    #[case::negative("10.0.0.0/-1", Err(NEITHER))]
    #[case::interface_of_the_guest("eth0", Err(NEITHER))]
    #[case::bridge("vmbr0", Err(NEITHER))]
    #[case::empty("", Err(NEITHER))]
    fn the_option_is_parsed(#[case] text: &str, #[case] words: Result<&str, &str>) {
        let parsed = text.parse::<IpFrom>().map(|from| from.to_string());
        assert_eq!(parsed.as_deref().map_err(String::as_str), words);
    }

    const NEITHER: &str = "this is no network card (net0), network (10.0.0.0/8), 'ipv4' or 'ipv6'";
}
