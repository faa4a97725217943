//! Raises [`Listen`] and [`Accept`] from the states of TCP sockets.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use plimsoll_ebpf::{
    events::{accept::Accept, listen::Listen},
    record::Wire,
};

use super::connect::{address_object, bytes, mapped};
use crate::{
    emit::{Ring, emit},
    filter::{self, Act},
    task,
};

/// `include/net/tcp_states.h`
const ESTABLISHED: i32 = 1;
const SYN_RECV: i32 = 3;
const LISTEN: i32 = 10;

pub const AF_INET: u16 = 2;
pub const AF_INET6: u16 = 10;
const PROTOCOL_TCP: u8 = 6;

// match-proto:v5.10: (const struct sock *sk, const int oldstate, const int newstate)
#[btf_tracepoint(function = "inet_sock_set_state")]
fn on_socket_state(ctx: BtfTracePointContext) -> i32 {
    let socket = ctx.arg::<*const u8>(0) as usize;
    let from = ctx.arg::<i32>(1);
    let to = ctx.arg::<i32>(2);
    let is_accept = from == SYN_RECV && to == ESTABLISHED;
    if to != LISTEN && !is_accept {
        return 0;
    }
    let cgroup = member!(socket, sock_cgroup, usize);
    let Some(container) = filter::container_of(task::cgroup_id_of(cgroup)) else { return 0 };
    if to == LISTEN {
        let body = Listen {
            address: bytes(local(socket)),
            port: member!(socket, sock_num, u16),
            protocol: PROTOCOL_TCP,
            reserved: [0; 5],
        };
        emit(Ring::Bulk, task::header(container), body);
    } else {
        on_accept(socket, container);
    }
    0
}

/// The kernel completes connections in the middle of whatever runs: no task can be named.
#[inline(always)]
fn on_accept(socket: usize, container: u64) {
    let peer = peer(socket);
    let port = member!(socket, sock_num, u16);
    let act = Act {
        container,
        exe_ino: 0,
        exe_dev: 0,
        kind: Accept::KIND,
        detail: 0,
        object: address_object(peer, u32::from(port)),
    };
    let Some(report) = filter::report(&act) else { return };
    let header = report.header(task::header_of_nobody(container));
    let body = Accept {
        peer: bytes(peer),
        address: bytes(local(socket)),
        peer_port: u16::from_be(member!(socket, sock_dport, u16)),
        port,
        reserved: 0,
    };
    emit(Ring::Bulk, header, body);
}

#[inline(always)]
fn local(socket: usize) -> [u32; 4] {
    match member!(socket, sock_family, u16) {
        AF_INET => mapped(member!(socket, sock_saddr, u32)),
        AF_INET6 => member!(socket, sock_saddr6, [u32; 4]),
        _ => [0; 4],
    }
}

#[inline(always)]
fn peer(socket: usize) -> [u32; 4] {
    match member!(socket, sock_family, u16) {
        AF_INET => mapped(member!(socket, sock_daddr, u32)),
        AF_INET6 => member!(socket, sock_daddr6, [u32; 4]),
        _ => [0; 4],
    }
}
