//! Peers and ports, as an exception names them: an address or block of them, a port, a protocol.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
};

use plimsoll_ebpf::rules::RAW;

use crate::probe::policies::Sockets;

/// Internet Assigned Numbers Authority, protocol numbers.
const TCP: u8 = 6;
const UDP: u8 = 17;

/// The text for sockets whose peers are not judged.
const RAW_TEXT: &str = "raw";

/// Bits of an address.
const ADDRESS_BITS: u8 = 128;
/// Bits before an IPv4 address that is mapped into IPv6.
const MAPPED_BITS: u8 = 96;

/// A peer that was addressed, or a local address at which peers are waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// The address, IPv4 mapped into IPv6.
    pub address: [u8; 16],
    /// The port; 0 where there is none.
    pub port: u16,
    /// Number of the protocol, or [`RAW`].
    pub protocol: u8,
}

impl Endpoint {
    /// Any socket whose peers are not judged.
    pub const UNJUDGED: Self = Self { address: [0; 16], port: 0, protocol: RAW };
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.protocol == RAW {
            return f.write_str(RAW_TEXT);
        }
        let protocol = match self.protocol {
            TCP => "tcp",
            UDP => "udp",
            other => return write!(f, "{}/{other}", Socket(self)),
        };
        write!(f, "{}/{protocol}", Socket(self))
    }
}

/// An address with its port.
struct Socket<'e>(&'e Endpoint);

impl fmt::Display for Socket<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Ipv6Addr::from(self.0.address).to_canonical() {
            IpAddr::V4(address) => write!(f, "{address}:{}", self.0.port),
            IpAddr::V6(address) => write!(f, "[{address}]:{}", self.0.port),
        }
    }
}

/// `10.0.0.0/8:5432/tcp`, `[fd00::/8]:443/tcp`, `*:53/udp`, `10.1.2.3:*`; `raw`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Peers {
    text: String,
    address: [u8; 16],
    /// Bits of the address that count.
    bits: u8,
    /// 0 for any.
    port: u16,
    /// 0 for TCP and UDP.
    protocol: u8,
}

/// Why a text names no peers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeersError {
    /// Its parts are not there.
    #[error(
        "peers are ADDRESS:PORT/PROTOCOL, such as 10.0.0.0/8:5432/tcp, *:53/udp or [fd00::1]:443/tcp"
    )]
    Form,
    /// The part before the port is no address.
    #[error("'{0}' is no address, block of addresses such as 10.0.0.0/8, or *")]
    Address(String),
    /// Somebody meant another block.
    #[error("'{0}' has bits set behind its prefix")]
    HostBits(String),
    /// The part after the colon is no port.
    #[error("'{0}' is no port: 1 to 65535, or *")]
    Port(String),
    /// The kernel side tells no others apart.
    #[error("'{0}' is no protocol: tcp or udp; left out it is both")]
    Protocol(String),
    /// Nothing would be left to judge.
    #[error("every port of every address is too wide: leave the class unenforced instead")]
    Wide,
}

impl Peers {
    /// Reads what an operator wrote.
    ///
    /// # Errors
    /// When it is none of the forms, or names everything.
    pub fn parse(text: &str) -> Result<Self, PeersError> {
        if text == RAW_TEXT {
            let text = text.to_owned();
            return Ok(Self { text, address: [0; 16], bits: 0, port: 0, protocol: RAW });
        }
        let (socket, protocol) = match text.rsplit_once('/') {
            Some((before, "tcp")) => (before, TCP),
            Some((before, "udp")) => (before, UDP),
            Some((_, other)) if other.starts_with(|c: char| c.is_ascii_alphabetic()) => {
                return Err(PeersError::Protocol(other.to_owned()));
            }
            _ => (text, 0),
        };
        let (block, port) = socket.rsplit_once(':').ok_or(PeersError::Form)?;
        let (address, bits) = match block.strip_prefix('[').and_then(|it| it.strip_suffix(']')) {
            Some(inner) if inner.contains(':') => self::block(inner)?,
            Some(inner) => return Err(PeersError::Address(inner.to_owned())),
            // Without brackets it cannot be told where the port begins.
            None if block.contains(':') => return Err(PeersError::Form),
            None => self::block(block)?,
        };
        let port = match port {
            "*" => 0,
            digits => {
                let port = digits.parse().ok().filter(|port| *port > 0);
                port.ok_or_else(|| PeersError::Port(digits.to_owned()))?
            }
        };
        if bits == 0 && port == 0 {
            return Err(PeersError::Wide);
        }
        Ok(Self { text: text.to_owned(), address, bits, port, protocol })
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether this is one of them.
    pub fn matches(&self, endpoint: &Endpoint) -> bool {
        self.kernel_keys().any(|key| is_of(endpoint, &key))
    }

    /// What the kernel side looks up.
    pub fn kernel_keys(&self) -> impl Iterator<Item = Sockets> + use<> {
        let Self { address, bits, port, .. } = *self;
        let protocols: &[u8] = match self.protocol {
            0 => &[TCP, UDP],
            TCP => &[TCP],
            UDP => &[UDP],
            _ => &[RAW],
        };
        protocols.iter().map(move |&protocol| Sockets { address, bits, port, protocol })
    }
}

/// Whether this is one of them.
pub fn is_of(endpoint: &Endpoint, sockets: &Sockets) -> bool {
    sockets.protocol == endpoint.protocol
        && (sockets.port == 0 || sockets.port == endpoint.port)
        && cut(endpoint.address, sockets.bits) == sockets.address
}

/// Whether whatever `narrow` names, `wide` does too.
pub fn covers(wide: &Sockets, narrow: &Sockets) -> bool {
    wide.protocol == narrow.protocol
        && (wide.port == 0 || wide.port == narrow.port)
        && wide.bits <= narrow.bits
        && cut(narrow.address, wide.bits) == wide.address
}

/// The number of a protocol that Docker names.
pub fn protocol(name: &str) -> Option<u8> {
    match name {
        "tcp" => Some(TCP),
        "udp" => Some(UDP),
        _ => None,
    }
}

fn block(text: &str) -> Result<([u8; 16], u8), PeersError> {
    if text == "*" {
        return Ok(([0; 16], 0));
    }
    let wrong = || PeersError::Address(text.to_owned());
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits.parse::<u8>().map_err(|_| wrong())?)),
        None => (text, None),
    };
    let (octets, head, most) = match address.parse().map_err(|_| wrong())? {
        IpAddr::V4(it) => (it.to_ipv6_mapped().octets(), MAPPED_BITS, 32),
        IpAddr::V6(it) => (it.octets(), 0, ADDRESS_BITS),
    };
    let bits = bits.unwrap_or(most);
    if bits > most {
        return Err(wrong());
    }
    let bits = head + bits;
    if cut(octets, bits) != octets {
        return Err(PeersError::HostBits(text.to_owned()));
    }
    Ok((octets, bits))
}

/// An address with only its first bits left.
fn cut(address: [u8; 16], bits: u8) -> [u8; 16] {
    let kept = u32::from(ADDRESS_BITS - bits.min(ADDRESS_BITS));
    (u128::from_be_bytes(address) & u128::MAX.checked_shl(kept).unwrap_or(0)).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn endpoint(address: &str, port: u16, protocol: u8) -> Endpoint {
        let address = match address.parse().expect("is an address") {
            IpAddr::V4(it) => it.to_ipv6_mapped().octets(),
            IpAddr::V6(it) => it.octets(),
        };
        Endpoint { address, port, protocol }
    }

    #[test]
    fn peers_are_named_by_block_port_and_protocol() {
        let matches = |text: &str, it: Endpoint| {
            Peers::parse(text).unwrap_or_else(|error| panic!("{text}: {error}")).matches(&it)
        };
        let database = endpoint("10.9.8.7", 5432, TCP);
        for text in ["10.0.0.0/8:5432/tcp", "10.9.8.7:*", "*:5432", "10.9.8.7:5432/tcp"] {
            assert!(matches(text, database), "{text}");
        }
        for text in ["11.0.0.0/8:5432/tcp", "*:5432/udp", "10.0.0.0/8:5433", "raw"] {
            assert!(!matches(text, database), "{text}");
        }
        let six = endpoint("fd00::12", 53, UDP);
        assert!(matches("[fd00::/8]:53/udp", six) && matches("*:53/udp", six));
        assert!(!matches("0.0.0.0/0:53/udp", six), "every IPv4 address");
        assert!(matches("raw", Endpoint::UNJUDGED));
    }

    #[test]
    fn what_names_no_peers_is_told_why() {
        use PeersError as E;
        for (text, error) in [
            ("10.0.0.1", E::Form),
            ("fd00::1:443", E::Form),
            ("db:5432/tcp", E::Address("db".to_owned())),
            ("10.0.0.0/40:1/tcp", E::Address("10.0.0.0/40".to_owned())),
            ("10.0.0.1/8:1/tcp", E::HostBits("10.0.0.1/8".to_owned())),
            ("10.0.0.1:0/tcp", E::Port("0".to_owned())),
            ("10.0.0.1:http", E::Port("http".to_owned())),
            ("10.0.0.1:80/sctp", E::Protocol("sctp".to_owned())),
            ("*:*", E::Wide),
            ("*:*/tcp", E::Wide),
        ] {
            assert_eq!(Peers::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn an_endpoint_is_written_as_it_is_read() {
        for text in ["10.1.2.3:80/tcp", "[fd00::1]:53/udp", "raw"] {
            let peers = Peers::parse(text).expect("is one");
            let key = peers.kernel_keys().next().expect("has a key");
            let told = Endpoint { address: key.address, port: key.port, protocol: key.protocol };
            assert_eq!(told.to_string(), text);
        }
    }

    proptest! {
        #[test]
        fn what_a_key_covers_it_matches(
            wide in 0_u8..=128, narrow in 0_u8..=128, address: [u8; 16], other: [u8; 16],
            port in 0_u16..3, endpoint_port in 1_u16..3,
        ) {
            let key = |address, bits, port| {
                Sockets { address: cut(address, bits), bits, port, protocol: TCP }
            };
            let (a, b) = (key(address, wide, 0), key(other, narrow, port));
            let endpoint = Endpoint { address: other, port: endpoint_port, protocol: TCP };
            if covers(&a, &b) && is_of(&endpoint, &b) {
                prop_assert!(is_of(&endpoint, &a));
            }
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[0-9a-f:./*\\[\\]tcpudraw]{0,24}|.{0,20}") {
            if let Ok(peers) = Peers::parse(&text) {
                prop_assert_eq!(peers.as_str(), text.as_str());
                prop_assert!(peers.kernel_keys().count() > 0);
            }
        }
    }
}
