//! Raises [`Connect`], and for datagram sockets [`Listen`].

use aya_ebpf::{bindings::bpf_sock_addr, macros::cgroup_sock_addr, programs::SockAddrContext};
use plimsoll_ebpf::{
    events::{connect::Connect, listen::Listen},
    record::{Header, Wire},
    rules::outcome,
};

use crate::{
    emit::{Ring, emit},
    enforce::network::{ALLOW, Endpoint, REFUSE, stops_listener, stops_peer},
    filter::{self, Act},
    task, traffic,
};

const SOCK_DGRAM: u32 = 2;
const PROTOCOL_UDP: u32 = 17;

#[cgroup_sock_addr(connect4)]
fn on_connect4(ctx: SockAddrContext) -> i32 {
    on_peer(&ctx, ipv4(ctx.sock_addr), 0)
}

#[cgroup_sock_addr(connect6)]
fn on_connect6(ctx: SockAddrContext) -> i32 {
    on_peer(&ctx, ipv6(ctx.sock_addr), 0)
}

#[cgroup_sock_addr(sendmsg4)]
fn on_sendmsg4(ctx: SockAddrContext) -> i32 {
    on_peer(&ctx, ipv4(ctx.sock_addr), 1)
}

#[cgroup_sock_addr(sendmsg6)]
fn on_sendmsg6(ctx: SockAddrContext) -> i32 {
    on_peer(&ctx, ipv6(ctx.sock_addr), 1)
}

#[cgroup_sock_addr(bind4)]
fn on_bind4(ctx: SockAddrContext) -> i32 {
    on_bind(&ctx, ipv4(ctx.sock_addr))
}

#[cgroup_sock_addr(bind6)]
fn on_bind6(ctx: SockAddrContext) -> i32 {
    on_bind(&ctx, ipv6(ctx.sock_addr))
}

/// IPv4 mapped into IPv6.
#[inline(always)]
pub fn mapped(address: u32) -> [u32; 4] {
    [0, 0, 0xffff_u32.to_be(), address]
}

#[inline(always)]
fn ipv4(address: *mut bpf_sock_addr) -> [u32; 4] {
    // SAFETY: the context of this hook; the verifier checks the load.
    mapped(unsafe { (*address).user_ip4 })
}

#[inline(always)]
fn ipv6(address: *mut bpf_sock_addr) -> [u32; 4] {
    // SAFETY: the context of this hook; the verifier checks the loads, one word at a time.
    unsafe {
        let word = |index: usize| {
            core::ptr::read_volatile((&raw const (*address).user_ip6).cast::<u32>().add(index))
        };
        [word(0), word(1), word(2), word(3)]
    }
}

/// Bytes of four words in network order.
#[inline(always)]
pub fn bytes(words: [u32; 4]) -> [u8; 16] {
    let mut bytes = [0; 16];
    let mut index = 0;
    while index < 4 {
        let word = words[index].to_ne_bytes();
        bytes[index * 4] = word[0];
        bytes[index * 4 + 1] = word[1];
        bytes[index * 4 + 2] = word[2];
        bytes[index * 4 + 3] = word[3];
        index += 1;
    }
    bytes
}

#[inline(always)]
fn act(container: u64, words: [u32; 4], place: u32, kind: u16, detail: u32) -> Act {
    let exe = task::program(task::current());
    Act {
        container,
        exe_ino: exe.ino,
        exe_dev: exe.dev,
        kind,
        detail,
        object: address_object(words, place),
    }
}

/// An address and what belongs to it, as the object of an act.
#[inline(always)]
pub fn address_object(words: [u32; 4], place: u32) -> [u64; 4] {
    let [a, b, c, d] = words.map(u64::from);
    [a << 32 | b, c << 32 | d, u64::from(place), 0]
}

#[inline(always)]
fn on_peer(ctx: &SockAddrContext, words: [u32; 4], datagram: u8) -> i32 {
    let Some(container) = filter::current_container() else { return ALLOW };
    // SAFETY: the context of this hook; the verifier checks the loads.
    let (port, protocol) = unsafe {
        let address = ctx.sock_addr;
        (u16::from_be((*address).user_port as u16), (*address).protocol)
    };
    let peer = Endpoint { address: words, port, protocol: protocol as u8 };
    let from = if datagram == 0 { 0 } else { local_port(ctx) };
    let outcome = outcome_of(stops_peer(container, peer, from));
    let place = u32::from(port) << 16 | protocol & 0xffff;
    let detail = u32::from(outcome) << 8 | u32::from(datagram);
    let act = act(container, words, place, Connect::KIND, detail);
    if let Some(report) = filter::report(&act) {
        let header = Header { outcome, ..report.header(task::header(container)) };
        let protocol = protocol as u8;
        let body = Connect { address: bytes(words), port, protocol, datagram, reserved: 0 };
        emit(ring(outcome), header, body);
        // Each time it is told, so that it costs nothing each time it happens.
        if outcome == outcome::DONE {
            traffic::expect(container, words);
        }
    }
    answer(outcome)
}

/// The port that the socket is bound to; 0 where it is not.
#[inline(always)]
fn local_port(ctx: &SockAddrContext) -> u16 {
    // SAFETY: the context of this hook; the verifier checks the loads.
    unsafe {
        let socket = (*ctx.sock_addr).__bindgen_anon_1.sk;
        if socket.is_null() { 0 } else { (*socket).src_port as u16 }
    }
}

const fn outcome_of(is_stopped: bool) -> u8 {
    if is_stopped { outcome::DENIED } else { outcome::DONE }
}

const fn answer(outcome: u8) -> i32 {
    if outcome == outcome::DENIED { REFUSE } else { ALLOW }
}

const fn ring(outcome: u8) -> Ring {
    if outcome == outcome::DENIED { Ring::Priority { urgent: true } } else { Ring::Bulk }
}

/// A datagram socket that takes a port of its choice waits for peers; streams are seen when they
/// listen, and here where they are refused.
#[inline(always)]
fn on_bind(ctx: &SockAddrContext, words: [u32; 4]) -> i32 {
    // SAFETY: the context of this hook; the verifier checks the loads.
    let (port, kind, protocol) = unsafe {
        let address = ctx.sock_addr;
        (u16::from_be((*address).user_port as u16), (*address).type_, (*address).protocol)
    };
    if port == 0 {
        return ALLOW;
    }
    let Some(container) = filter::current_container() else { return ALLOW };
    let local = Endpoint { address: words, port, protocol: protocol as u8 };
    let outcome = outcome_of(stops_listener(container, local));
    let is_told = kind == SOCK_DGRAM && protocol == PROTOCOL_UDP || outcome == outcome::DENIED;
    if !is_told {
        return ALLOW;
    }
    let place = u32::from(port) << 16 | protocol;
    let act = act(container, words, place, Listen::KIND, u32::from(outcome) << 8);
    if let Some(report) = filter::report(&act) {
        let header = Header { outcome, ..report.header(task::header(container)) };
        let protocol = protocol as u8;
        let body = Listen { address: bytes(words), port, protocol, reserved: [0; 5] };
        emit(ring(outcome), header, body);
    }
    answer(outcome)
}
