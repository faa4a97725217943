//! Counts the bytes of watched containers: all of them, and those of each peer that they addressed.

use aya_ebpf::programs::SkBuffContext;
use plimsoll_ebpf::orders::{Traffic, TrafficKey};

use crate::{
    filter,
    maps::{PEER_TRAFFIC, TRAFFIC},
    probes::connect::mapped,
};

/// `LOOPBACK_IFINDEX` of `include/net/flow.h`: the same in every network namespace.
const LOOPBACK: u32 = 1;
/// Docker's own resolver, at 127.0.0.11, passes on what it is asked: that leaves the container.
const RESOLVER: u32 = u32::from_ne_bytes([127, 0, 0, 11]);
/// `BPF_NOEXIST`
const IF_NEW: u64 = 1;
const IPV4: u32 = 0x0800;
const IPV6: u32 = 0x86dd;

/// Which way a packet goes, and where it names its peer: in an IPv4 and in an IPv6 header.
pub struct Way {
    is_sent: bool,
    at: [usize; 2],
}

/// To the destination.
pub const SENT: Way = Way { is_sent: true, at: [16, 24] };
/// From the source.
pub const RECEIVED: Way = Way { is_sent: false, at: [12, 8] };

/// The packets that a container exchanges with a peer are counted from now on.
#[inline(always)]
pub fn expect(container: u64, address: [u32; 4]) {
    let key = TrafficKey { container, address };
    // Without room or there already: either way there is nothing more to do.
    let _ = PEER_TRAFFIC.insert(key, Traffic { sent_bytes: 0, received_bytes: 0 }, IF_NEW);
}

/// Counts a packet of a container.
#[inline(always)]
pub fn count(ctx: &SkBuffContext, container: u64, way: &Way) {
    let Some(address) = peer(ctx, way) else { return };
    // SAFETY: the context of this hook; the verifier checks the load.
    let interface = unsafe { (*ctx.skb.skb).ifindex };
    if interface == LOOPBACK && address[3] != RESOLVER {
        return;
    }
    let bytes = u64::from(ctx.len());
    count_all(container, bytes, way);
    let Some(traffic) = PEER_TRAFFIC.get_ptr_mut(TrafficKey { container, address }) else { return };
    // SAFETY: the map returned a valid pointer; other processors count in the same place.
    let counter = unsafe {
        if way.is_sent {
            &raw mut (*traffic).sent_bytes
        } else {
            &raw mut (*traffic).received_bytes
        }
    };
    filter::add(counter, bytes);
}

#[inline(always)]
fn count_all(container: u64, bytes: u64, way: &Way) {
    let (sent_bytes, received_bytes) = if way.is_sent { (bytes, 0) } else { (0, bytes) };
    let Some(traffic) = TRAFFIC.get_ptr_mut(container) else {
        let _ = TRAFFIC.insert(container, Traffic { sent_bytes, received_bytes }, 0);
        return;
    };
    // SAFETY: a per-processor value; a packet that interrupts another here may be missed.
    unsafe {
        (*traffic).sent_bytes += sent_bytes;
        (*traffic).received_bytes += received_bytes;
    }
}

/// The peer as the container addressed it, which the socket tells where it is connected: of a Swarm
/// service the packet names one of its tasks. Else as the packet names it.
#[inline(always)]
fn peer(ctx: &SkBuffContext, way: &Way) -> Option<[u32; 4]> {
    let [ipv4, ipv6] = way.at;
    // SAFETY: the context of this hook; the verifier checks the loads.
    let (protocol, socket) = unsafe {
        let skb = ctx.skb.skb;
        (u32::from(u16::from_be((*skb).protocol as u16)), (*skb).__bindgen_anon_2.sk)
    };
    match protocol {
        IPV4 => {
            let told = if socket.is_null() {
                0
            } else {
                // SAFETY: as above; not merged with other loads, which the verifier would refuse.
                unsafe { core::ptr::read_volatile(&raw const (*socket).dst_ip4) }
            };
            let address = if told == 0 { ctx.load::<u32>(ipv4).ok()? } else { told };
            Some(mapped(address))
        }
        IPV6 => {
            if !socket.is_null() {
                // SAFETY: as above.
                let told = unsafe {
                    let word = |index: usize| {
                        core::ptr::read_volatile(
                            (&raw const (*socket).dst_ip6).cast::<u32>().add(index),
                        )
                    };
                    [word(0), word(1), word(2), word(3)]
                };
                if told[0] | told[1] | told[2] | told[3] != 0 {
                    return Some(told);
                }
            }
            let word = |index: usize| ctx.load::<u32>(ipv6 + index * 4).ok();
            Some([word(0)?, word(1)?, word(2)?, word(3)?])
        }
        _ => None,
    }
}
