//! Networks: `10.0.0.0/8`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use snafu::{OptionExt, Snafu, ensure};

/// A network; a single address is one too.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Network {
    lowest: IpAddr,
    /// The prefix length in bits.
    length: u32,
}

/// Why a text is not a network.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Snafu)]
#[allow(missing_docs)]
pub enum NotANetwork {
    #[snafu(display("not a network"))]
    Syntax,

    #[snafu(display("the prefix is longer than the address"))]
    TooLong,
}

impl Network {
    /// Whether an address is in it. An address of the other family never is.
    pub fn contains(&self, address: IpAddr) -> bool {
        let is_same_family = address.is_ipv4() == self.lowest.is_ipv4();
        is_same_family && lowest(address, self.length) == self.lowest
    }
}

impl FromStr for Network {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Network, NotANetwork> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok().context(SyntaxSnafu)?;
        let bits = bits_of(address);
        let length = length.map_or(Some(bits), |length| length.parse().ok());
        let length = length.context(SyntaxSnafu)?;
        ensure!(length <= bits, TooLongSnafu);
        Ok(Network {
            lowest: lowest(address, length),
            length,
        })
    }
}

/// `10.0.0.0/8`
impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.lowest, self.length)
    }
}

fn bits_of(address: IpAddr) -> u32 {
    match address {
        IpAddr::V4(_) => Ipv4Addr::BITS,
        IpAddr::V6(_) => Ipv6Addr::BITS,
    }
}

/// The first address of the network that contains `address` and has a prefix of `length` bits.
fn lowest(address: IpAddr, length: u32) -> IpAddr {
    let host_bits = bits_of(address) - length;
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(host_bits).unwrap_or_default();
            IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() & mask))
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(host_bits).unwrap_or_default();
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask))
        }
    }
}
