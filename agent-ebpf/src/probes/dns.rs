//! Passes DNS answers on and has bytes counted, from the packets of watched containers.

use aya_ebpf::{EbpfContext as _, helpers::generated, macros::cgroup_skb, programs::SkBuffContext};
use plimsoll_ebpf::{
    orders::reason,
    record::{HEADER_BYTES, Header, Span, Wire as _},
    signals::{DNS_BYTES, DnsAnswer},
};

use super::connect::{bytes, mapped};
use crate::{
    emit::{Ring, admit, lose, wakeup},
    enforce::network,
    filter,
    maps::BULK,
    read::mask,
    task,
    traffic::{self, RECEIVED, SENT},
};

/// What these hooks return to let the packet go on.
const ALLOW: i32 = 1;
/// And to drop it; whoever sends is told `EPERM`.
const DROP: i32 = 0;

const IPV4: u32 = 0x0800;
const IPV6: u32 = 0x86dd;
const UDP: u8 = 17;
/// Internet Assigned Numbers Authority, protocol numbers.
const IPV6_HOP_BY_HOP: u8 = 0;
const IPV6_ROUTING: u8 = 43;
const IPV6_DESTINATION: u8 = 60;
const DNS_PORT: u16 = 53;
const UDP_HEADER: usize = 8;

#[cgroup_skb(egress)]
fn on_egress(ctx: SkBuffContext) -> i32 {
    let Some(container) = container_of(&ctx) else { return ALLOW };
    // It would go elsewhere than to the peer that was judged.
    if network::is_enforced(container) && is_source_routed(&ctx) {
        return DROP;
    }
    traffic::count(&ctx, container, &SENT);
    ALLOW
}

/// Whether the sender says by which way a packet goes: a routing header of IPv6, or options of IPv4.
#[inline(always)]
fn is_source_routed(ctx: &SkBuffContext) -> bool {
    match u32::from(u16::from_be(ctx.skb.protocol() as u16)) {
        IPV4 => ctx.load::<u8>(0).is_ok_and(|first| first & 15 > 5),
        IPV6 => has_routing_header(ctx),
        _ => false,
    }
}

/// Looks past the headers that may stand before it (RFC 8200, section 4.1).
#[inline(always)]
fn has_routing_header(ctx: &SkBuffContext) -> bool {
    let (mut next, mut at) = (ctx.load::<u8>(6).unwrap_or_default(), 40);
    let mut looked_at = 0;
    while looked_at < 3 {
        match next {
            IPV6_ROUTING => return true,
            IPV6_HOP_BY_HOP | IPV6_DESTINATION => {
                let (Ok(following), Ok(units)) = (ctx.load::<u8>(at), ctx.load::<u8>(at + 1))
                else {
                    return false;
                };
                next = following;
                at += (usize::from(units) + 1) * 8;
            }
            _ => return false,
        }
        looked_at += 1;
    }
    // Nobody needs that many.
    true
}

#[cgroup_skb(ingress)]
fn on_ingress(ctx: SkBuffContext) -> i32 {
    if let Some(container) = container_of(&ctx) {
        traffic::count(&ctx, container, &RECEIVED);
        pass_answer(&ctx, container);
    }
    ALLOW
}

#[inline(always)]
fn container_of(ctx: &SkBuffContext) -> Option<u64> {
    // SAFETY: the context of this hook.
    filter::container_of(unsafe { generated::bpf_skb_cgroup_id(ctx.as_ptr().cast()) })
}

/// The UDP source port says that it is an answer; Docker's own resolver answers from 127.0.0.11.
#[inline(always)]
fn pass_answer(ctx: &SkBuffContext, container: u64) {
    let Some((server, header_bytes)) = dns_server(ctx) else { return };
    let from = header_bytes + UDP_HEADER;
    let bytes = u64::from(ctx.len()).wrapping_sub(from as u64);
    if bytes == 0 || bytes > u64::from(u16::MAX) {
        return;
    }
    let kept = if bytes > DNS_BYTES as u64 { DNS_BYTES as u64 } else { bytes };
    send(ctx, container, server, from, kept);
}

/// The sender of a UDP packet from port 53, and the bytes of its IP header.
#[inline(always)]
fn dns_server(ctx: &SkBuffContext) -> Option<([u8; 16], usize)> {
    let (server, header_bytes) = match u32::from(u16::from_be(ctx.skb.protocol() as u16)) {
        IPV4 if ctx.load::<u8>(9).ok()? == UDP => {
            let header_bytes = usize::from(ctx.load::<u8>(0).ok()? & 15) * 4;
            (mapped(ctx.load::<u32>(12).ok()?), header_bytes)
        }
        IPV6 if ctx.load::<u8>(6).ok()? == UDP => {
            let word = |index: usize| ctx.load::<u32>(8 + index * 4).ok();
            ([word(0)?, word(1)?, word(2)?, word(3)?], 40)
        }
        _ => return None,
    };
    if u16::from_be(ctx.load::<u16>(header_bytes).ok()?) != DNS_PORT {
        return None;
    }
    Some((bytes(server), header_bytes))
}

#[repr(C)]
struct Entry {
    header: Header,
    answer: DnsAnswer,
    message: [u8; DNS_BYTES],
}

#[inline(always)]
fn send(ctx: &SkBuffContext, container: u64, server: [u8; 16], from: usize, kept: u64) {
    // The helper wants a length that the verifier can see is neither 0 nor too long.
    let kept = mask(kept.wrapping_sub(1), DNS_BYTES as u64 - 1) + 1;
    let mut header = task::header_of_nobody(container);
    header.kind = DnsAnswer::KIND;
    header.size = (HEADER_BYTES + size_of::<DnsAnswer>()) as u32 + kept as u32;
    let Some(waiting) = admit(Ring::Bulk, &header) else { return };
    let Some(mut entry) = BULK.reserve::<Entry>(0) else {
        lose(&header, reason::RING_FULL);
        return;
    };
    let record = entry.as_mut_ptr();
    // SAFETY: a reserved entry of this size; every field is written, and the part of the message
    // that is not lies beyond the size that the header states.
    unsafe {
        (&raw mut (*record).header).write(header);
        (&raw mut (*record).answer)
            .write(DnsAnswer { server, message: Span { offset: 0, len: kept as u16 } });
        generated::bpf_skb_load_bytes(
            ctx.as_ptr().cast(),
            from as u32,
            (&raw mut (*record).message).cast(),
            kept as u32,
        );
    }
    entry.submit(wakeup(Ring::Bulk, &header, waiting));
}
