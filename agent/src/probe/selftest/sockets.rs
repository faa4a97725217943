//! Acts on sockets. They address nobody but this host, by loopback, which is judged as anybody while
//! the agent tests itself.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
};

use rustix::net::{AddressFamily, Protocol, SocketType, socket};

use super::Act;

/// The act for each program of [`plimsoll_ebpf::catalog::NETWORK_GUARDS`].
pub(super) const ACTS: &[(&str, Act)] = &[
    ("on_connect4", |_| connect(IPV4)),
    ("on_connect6", |_| connect(IPV6)),
    ("on_sendmsg4", |_| send(IPV4)),
    ("on_sendmsg6", |_| send(IPV6)),
    ("on_bind4", |_| bind(IPV4)),
    ("on_bind6", |_| bind(IPV6)),
    ("guard_socket", |_| unjudged()),
];

const IPV4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const IPV6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

/// RFC 863: whoever listens there throws away what comes.
const DISCARD: u16 = 9;

/// `include/uapi/linux/in.h`
const IPPROTO_UDPLITE: u32 = 136;

fn unbound(address: IpAddr) -> io::Result<UdpSocket> {
    let any = if address.is_ipv4() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED)
    } else {
        IpAddr::V6(Ipv6Addr::UNSPECIFIED)
    };
    UdpSocket::bind((any, 0))
}

fn connect(address: IpAddr) -> io::Result<()> {
    unbound(address)?.connect((address, DISCARD))
}

fn send(address: IpAddr) -> io::Result<()> {
    unbound(address)?.send_to(b"", (address, DISCARD)).map(|_| ())
}

/// Takes a port that was free a moment ago.
fn bind(address: IpAddr) -> io::Result<()> {
    let port = UdpSocket::bind((address, 0))?.local_addr()?.port();
    UdpSocket::bind(SocketAddr::new(address, port)).map(|_| ())
}

/// Makes a socket of a protocol whose peers are not judged, and that anybody may have. Later kernels
/// have it no more.
fn unjudged() -> io::Result<()> {
    let protocol = rustix::net::RawProtocol::new(IPPROTO_UDPLITE).map(Protocol::from_raw);
    socket(AddressFamily::INET, SocketType::DGRAM, protocol)?;
    Ok(())
}
