//! Peers and ports that a container must not use: refused before anything is sent.

use aya_ebpf::{
    helpers::bpf_ktime_get_boot_ns, macros::cgroup_sock, maps::lpm_trie::Key, programs::SockContext,
};
use plimsoll_ebpf::{
    events::privilege::{Privilege, op},
    orders::{AllowedPeer, PEER_HEAD_BITS},
    record::{Header, Span, Wire},
    rules::{self, Class, Rule, outcome},
};

use super::{Guard, Means, guard};
use crate::{
    emit::{Ring, emit},
    filter::{self, Act},
    maps::PEERS,
    task,
};

/// What these hooks return to let the call go on, and to have it fail with `EPERM`.
pub const ALLOW: i32 = 1;
pub const REFUSE: i32 = 0;

/// Bits of an address.
const ADDRESS_BITS: u32 = 128;

const SOCK_STREAM: u32 = 1;
const SOCK_DGRAM: u32 = 2;
const PROTOCOL_TCP: u32 = 6;
const PROTOCOL_UDP: u32 = 17;
const PROTOCOL_MPTCP: u32 = 262;

/// A peer, or a local address at which peers are waited for.
#[derive(Clone, Copy)]
pub struct Endpoint {
    /// IPv4 mapped into IPv6.
    pub address: [u32; 4],
    /// In host order.
    pub port: u16,
    /// Of the Internet assigned numbers.
    pub protocol: u8,
}

/// Whether the running task is kept from addressing a peer.
#[inline(always)]
pub fn stops_peer(container: u64, peer: Endpoint) -> bool {
    let Some(guard) = guard(container, Means::Deny, Class::Network) else { return false };
    let Some(rule) = judged(guard, rules::of_peer(peer.address), Rule::ForeignPeer) else {
        return false;
    };
    !allows(guard, rule, peer)
}

/// Whether the running task is kept from waiting for peers.
#[inline(always)]
pub fn stops_listener(container: u64, local: Endpoint) -> bool {
    let Some(guard) = guard(container, Means::Deny, Class::Network) else { return false };
    let rule = rules::of_listener(local.address, local.port);
    let Some(rule) = judged(guard, rule, Rule::ForeignListener) else { return false };
    !allows(guard, rule, local)
}

/// The rule that is broken; while the agent tests itself, loopback is as foreign as anybody.
#[inline(always)]
fn judged(guard: Guard, rule: Option<Rule>, strict: Rule) -> Option<Rule> {
    if guard.is_for_every_layer() { Some(strict) } else { rule }
}

/// Whether an exception of the container's set covers this: at its port, or at any.
#[inline(always)]
fn allows(guard: Guard, rule: Rule, it: Endpoint) -> bool {
    if guard.policy.exceptions == 0 {
        return false;
    }
    let mut data = AllowedPeer {
        set: guard.policy.exceptions,
        rule: rule as u8,
        protocol: it.protocol,
        port: it.port,
        address: it.address,
    };
    if holds(data) {
        return true;
    }
    data.port = 0;
    it.port != 0 && holds(data)
}

#[inline(always)]
fn holds(data: AllowedPeer) -> bool {
    let key = Key::new(PEER_HEAD_BITS + ADDRESS_BITS, data);
    let Some(allowed) = PEERS.get(&key) else { return false };
    // SAFETY: the helper takes no pointers.
    unsafe { bpf_ktime_get_boot_ns() <= allowed.until_ns }
}

/// Sockets whose peers are not judged are refused where peers are.
#[cgroup_sock(sock_create)]
fn guard_socket(ctx: SockContext) -> i32 {
    // SAFETY: the context of this hook; the verifier checks the loads.
    let (kind, protocol) = unsafe { ((*ctx.sock).type_, (*ctx.sock).protocol) };
    let is_judged = kind == SOCK_STREAM && (protocol == PROTOCOL_TCP || protocol == PROTOCOL_MPTCP)
        || kind == SOCK_DGRAM && protocol == PROTOCOL_UDP;
    if is_judged {
        return ALLOW;
    }
    let Some(container) = filter::current_container() else { return ALLOW };
    let Some(guard) = guard(container, Means::Deny, Class::Network) else { return ALLOW };
    let raw = Endpoint { address: [0; 4], port: 0, protocol: rules::RAW };
    if allows(guard, Rule::RawSocket, raw) {
        return ALLOW;
    }
    tell_socket(container, u64::from(protocol));
    REFUSE
}

#[inline(always)]
fn tell_socket(container: u64, protocol: u64) {
    let exe = task::program(task::current());
    let act = Act {
        container,
        exe_ino: exe.ino,
        exe_dev: exe.dev,
        kind: Privilege::KIND,
        detail: u32::from(outcome::DENIED) << 8 | u32::from(op::RAW_SOCKET),
        object: [protocol, 0, 0, 0],
    };
    let Some(report) = filter::report(&act) else { return };
    let header = Header { outcome: outcome::DENIED, ..report.header(task::header(container)) };
    let body = Privilege {
        result: -i64::from(super::EPERM),
        number: protocol,
        path: Span::default(),
        to: Span::default(),
        op: op::RAW_SOCKET,
        capability: 0,
        reserved: [0; 6],
    };
    emit(Ring::Priority { urgent: true }, header, body);
}
