//! The identity of a peer: the name it was looked up by, or its address; and what is told of many.

use std::{fmt::Write as _, net::IpAddr};

use plimsoll_ebpf::events::connect::Connect;

use super::rented::is_rented;

/// Names below one domain that are one template.
const ALIKE_NAMES: usize = 3;
/// Addresses of one network that are one template.
const ALIKE_ADDRESSES: usize = 5;
/// Ports from here on are taken for ones that were chosen at random.
pub const EPHEMERAL: u16 = 32_768;
/// Longest ending of a domain that may stand below a country's, as `co` in `co.uk`.
const SHORT_LABEL: usize = 3;

/// Writes the key of a peer: protocol, identity, port.
pub fn push_key(out: &mut String, connect: &Connect, address: IpAddr, name: Option<&str>) {
    out.push_str(protocol(connect.protocol));
    out.push(' ');
    push_identity(out, address, name);
    push_port(out, connect.port);
}

/// Writes the name of a peer, else its address.
pub fn push_identity(out: &mut String, address: IpAddr, name: Option<&str>) {
    let address = address.to_canonical();
    if let Some(name) = name.filter(|name| !name.is_empty()) {
        out.push_str(name.trim_end_matches('.'));
    } else if address.is_loopback() || address.is_unspecified() {
        out.push_str("loopback");
    } else {
        let _ = write!(out, "{address}");
    }
}

/// Writes a port, or its class.
pub fn push_port(out: &mut String, port: u16) {
    if port >= EPHEMERAL {
        out.push_str(" high");
    } else {
        let _ = write!(out, " {port}");
    }
}

/// The name of a transport protocol.
pub const fn protocol(number: u8) -> &'static str {
    match number {
        6 => "tcp",
        17 => "udp",
        _ => "other",
    }
}

/// The names of transport protocols.
pub const PROTOCOLS: [&str; 3] = ["tcp", "udp", "other"];

/// What is wrong with the key of a peer that somebody wrote down.
pub(super) fn fault(key: &str) -> Option<&'static str> {
    let mut words = key.split(' ');
    let (Some(protocol), Some(identity), Some(port), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Some("a peer is `protocol name-or-address port`");
    };
    if !PROTOCOLS.contains(&protocol) {
        return Some("the protocol is tcp, udp or other");
    }
    if port != "high" && !port.parse::<u16>().is_ok_and(|port| port < EPHEMERAL) {
        return Some("the port is a number below 32768, or `high`");
    }
    if let Some(domain) = identity.strip_prefix("<label>.") {
        let is_learned = domain_of(&format!("label.{domain}")).as_deref() == Some(identity);
        let is_plain = !domain.contains(['<', '*', '/']);
        return (!is_learned || !is_plain)
            .then_some("a template of names never covers a public ending");
    }
    if let Some((address, _)) = identity.split_once('/') {
        let network = address.parse::<IpAddr>().ok().map(network_of);
        return (network.as_deref() != Some(identity))
            .then_some("a template of addresses is a network of /24, of IPv6 one of /48");
    }
    (identity.is_empty() || identity.contains(['<', '*']))
        .then_some("a peer is a name, an address, or a template that can be learned")
}

/// The template that a peer's key would be part of, and how many like it make one.
pub fn template_of(key: &str) -> Option<(String, usize)> {
    let mut words = key.split(' ');
    let (protocol, identity, port) = (words.next()?, words.next()?, words.next()?);
    let (wide, least) = wide_of(identity)?;
    Some((format!("{protocol} {wide} {port}"), least))
}

/// The network or domain that a peer is part of, and how many like it make one of them.
pub fn wide_of(identity: &str) -> Option<(String, usize)> {
    match identity.parse::<IpAddr>() {
        Ok(address) => Some((network_of(address), ALIKE_ADDRESSES)),
        Err(_) => Some((domain_of(identity)?, ALIKE_NAMES)),
    }
}

fn network_of(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            format!("{a}.{b}.{c}.0/24")
        }
        IpAddr::V6(address) => {
            let [a, b, c, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}::/48")
        }
    }
}

/// `<label>.example.com` of `a.example.com`; never all of a public ending, nor of a domain below which
/// anybody may have a name.
fn domain_of(name: &str) -> Option<String> {
    let (_, parent) = name.split_once('.')?;
    let labels: Vec<&str> = parent.split('.').collect();
    let is_public = match labels.as_slice() {
        [] | [_] => true,
        [second, top] => top.len() == 2 && second.len() <= SHORT_LABEL,
        _ => false,
    };
    (!is_public && !is_rented(parent)).then(|| format!("<label>.{parent}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(address: &str, name: Option<&str>, port: u16) -> String {
        let mut out = String::new();
        let connect = Connect { protocol: 6, port, ..Connect::default() };
        push_key(&mut out, &connect, address.parse().expect("is an address"), name);
        out
    }

    #[test]
    fn a_peer_goes_by_the_name_it_was_looked_up_by() {
        assert_eq!(key("10.0.0.5", Some("db"), 5432), "tcp db 5432");
        assert_eq!(key("10.0.0.5", None, 5432), "tcp 10.0.0.5 5432");
        assert_eq!(key("127.0.0.1", None, 9000), "tcp loopback 9000");
        assert_eq!(key("10.0.0.5", None, 50_000), "tcp 10.0.0.5 high");
    }

    #[test]
    fn templates_stop_before_they_cover_a_public_ending() {
        let of = |key: &str| template_of(key).map(|(wide, _)| wide);
        assert_eq!(of("tcp a.s3.test 443").as_deref(), Some("tcp <label>.s3.test 443"));
        assert_eq!(of("tcp shop.com 443"), None);
        assert_eq!(of("tcp shop.co.uk 443"), None);
        assert_eq!(of("tcp a.shop.co.uk 443").as_deref(), Some("tcp <label>.shop.co.uk 443"));
        assert_eq!(of("tcp 10.1.2.3 443").as_deref(), Some("tcp 10.1.2.0/24 443"));
        assert_eq!(of("tcp db 5432"), None);
        for rented in ["a.s3.amazonaws.com", "a.b.s3.eu-west-1.amazonaws.com", "me.github.io"] {
            assert_eq!(of(&format!("tcp {rented} 443")), None, "{rented}");
        }
    }
}
