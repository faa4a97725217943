//! Raises [`Connect`], and for datagram sockets [`Listen`].

use aya_ebpf::{bindings::bpf_sock_addr, macros::cgroup_sock_addr, programs::SockAddrContext};
use plimsoll_ebpf::{
    events::{connect::Connect, listen::Listen},
    record::Wire,
};

use crate::{
    emit::{Ring, emit},
    filter::{self, Act},
    task,
};

/// What these hooks return to let the call go on.
const ALLOW: i32 = 1;

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
    let place = u32::from(port) << 16 | protocol & 0xffff;
    let act = act(container, words, place, Connect::KIND, u32::from(datagram));
    let Some(report) = filter::report(&act) else { return ALLOW };
    let header = report.header(task::header(container));
    let body =
        Connect { address: bytes(words), port, protocol: protocol as u8, datagram, reserved: 0 };
    emit(Ring::Bulk, header, body);
    ALLOW
}

/// A datagram socket that takes a port of its choice waits for peers; streams are seen when they
/// listen.
#[inline(always)]
fn on_bind(ctx: &SockAddrContext, words: [u32; 4]) -> i32 {
    // SAFETY: the context of this hook; the verifier checks the loads.
    let (port, kind, protocol) = unsafe {
        let address = ctx.sock_addr;
        (u16::from_be((*address).user_port as u16), (*address).type_, (*address).protocol)
    };
    if kind != SOCK_DGRAM || protocol != PROTOCOL_UDP || port == 0 {
        return ALLOW;
    }
    let Some(container) = filter::current_container() else { return ALLOW };
    let place = u32::from(port) << 16 | protocol;
    let act = act(container, words, place, Listen::KIND, 0);
    let Some(report) = filter::report(&act) else { return ALLOW };
    let header = report.header(task::header(container));
    let body = Listen { address: bytes(words), port, protocol: protocol as u8, reserved: [0; 5] };
    emit(Ring::Bulk, header, body);
    ALLOW
}
