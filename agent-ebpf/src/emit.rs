//! The only way out of the kernel: records onto one of two rings, or a counted loss.

use core::ptr::{read_volatile, write_volatile};

use aya_ebpf::{
    bindings::{BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP},
    helpers::generated,
    maps::RingBuf,
};
use plimsoll_ebpf::{
    orders::{Lost, LostKey, Share, reason},
    record::{HEADER_BYTES, Header, Span, Wire, flags},
};

use crate::{
    filter::add,
    maps::{BULK, FILL, LOST, LOST_UNNAMED, PRIORITY, SEEN, SHARES, TAIL_MASK, TEXT_BYTES, WOKEN},
    path,
    read::mask,
    scratch::Slot,
};

/// The two ways out.
#[derive(Clone, Copy, PartialEq)]
pub enum Ring {
    /// For what must not be lost; the agent is woken at once if `urgent`.
    Priority { urgent: bool },
    /// For everything else.
    Bulk,
}

/// Sends a record of fixed size. It may be called in any context.
#[inline(always)]
pub fn emit<B: Wire>(ring: Ring, header: Header, body: B) {
    #[repr(C)]
    struct Entry<B> {
        header: Header,
        body: B,
    }
    let size = (HEADER_BYTES + size_of::<B>()) as u32;
    let header = Header { kind: B::KIND, size, ..header };
    let Some(waiting) = admit(ring, &header) else { return };
    match ring_of(ring).reserve::<Entry<B>>(0) {
        Some(mut entry) => {
            entry.write(Entry { header, body });
            entry.submit(wakeup(ring, &header, waiting));
        }
        None => lose(&header, reason::RING_FULL),
    }
}

/// A record with texts, under construction.
pub struct Draft<B> {
    slot: Slot,
    header: Header,
    body: core::marker::PhantomData<B>,
}

impl<B: Wire> Draft<B> {
    /// Begins a record. Only for programs in process context.
    #[inline(always)]
    pub fn new(header: Header) -> Option<Self> {
        Self::within(Slot::claim(), header)
    }

    /// Begins a record in a slot that was claimed before; without one it is lost.
    #[inline(always)]
    pub fn within(slot: Option<Slot>, header: Header) -> Option<Self> {
        let Some(slot) = slot else {
            lose(&Header { kind: B::KIND, ..header }, reason::NO_SLOT);
            return None;
        };
        // SAFETY: a valid map value, which nobody else uses now.
        unsafe { write_volatile(&raw mut (*slot.memory()).tail_bytes, 0) };
        Some(Self { slot, header, body: core::marker::PhantomData })
    }

    /// Where the next text goes, and its offset in the tail.
    #[inline(always)]
    fn end(&self) -> (*mut u8, u64) {
        // SAFETY: the position is masked to the tail, which has room for one more text behind it.
        unsafe {
            let position =
                mask(read_volatile(&raw const (*self.slot.memory()).tail_bytes), TAIL_MASK);
            let record = (&raw mut (*self.slot.memory()).record).cast::<u8>();
            (record.add(HEADER_BYTES + size_of::<B>()).add(position as usize), position)
        }
    }

    #[inline(always)]
    fn grow(&self, from: u64, bytes: u64) -> Span {
        // SAFETY: a valid map value.
        unsafe { write_volatile(&raw mut (*self.slot.memory()).tail_bytes, from + bytes) };
        Span { offset: from as u16, len: bytes as u16 }
    }

    /// Appends the path of (`dentry`, `mount`).
    #[inline(always)]
    pub fn path(&self, dentry: usize, mount: usize, flags: &mut u32) -> Span {
        let walked = path::walk(self.slot.number(), dentry, mount, flags);
        let bytes = walked.bytes();
        let (end, position) = self.end();
        // SAFETY: `bytes` is below the room for one text; the helper checks the source.
        unsafe {
            let path = (&raw const (*self.slot.memory()).path).cast::<u8>();
            generated::bpf_probe_read_kernel(
                end.cast(),
                bytes as u32,
                path.add(mask(walked.start, 4095) as usize).cast(),
            );
        }
        self.grow(position, bytes)
    }

    /// Appends a slash, to go on with a name below a directory.
    #[inline(always)]
    pub fn slash(&self) -> Span {
        let (end, position) = self.end();
        // SAFETY: there is room for one text.
        unsafe { *end = b'/' };
        self.grow(position, 1)
    }

    /// Appends a text of kernel memory that ends with NUL.
    #[inline(always)]
    pub fn kernel_text(&self, address: usize) -> Option<Span> {
        let (end, position) = self.end();
        // SAFETY: there is room for one text; the helper checks the source.
        let read = unsafe {
            generated::bpf_probe_read_kernel_str(end.cast(), TEXT_BYTES as u32, address as *const _)
        };
        self.grow_by_text(position, read)
    }

    /// Appends a text of the running process's memory that ends with NUL.
    #[inline(always)]
    pub fn user_text(&self, address: u64) -> Option<Span> {
        let (end, position) = self.end();
        // SAFETY: there is room for one text; the helper checks the source.
        let read = unsafe {
            generated::bpf_probe_read_user_str(end.cast(), TEXT_BYTES as u32, address as *const _)
        };
        self.grow_by_text(position, read)
    }

    #[inline(always)]
    fn grow_by_text(&self, position: u64, read: i64) -> Option<Span> {
        // The helpers count the NUL.
        if read <= 0 { None } else { Some(self.grow(position, mask(read as u64 - 1, 4095))) }
    }

    /// Appends bytes of the running process's memory, at most [`TEXT_BYTES`]; `None` if there are
    /// none or they cannot be read.
    #[inline(always)]
    pub fn user_bytes(&self, address: u64, bytes: u64) -> Option<Span> {
        if bytes == 0 {
            return None;
        }
        let bytes = if bytes > TEXT_BYTES as u64 { TEXT_BYTES as u64 } else { bytes };
        // What the verifier sees is neither 0 nor too long.
        let bytes = mask(bytes.wrapping_sub(1), TEXT_BYTES as u64 - 1) + 1;
        let (end, position) = self.end();
        // SAFETY: `bytes` is at most the room for one text; the helper checks the source.
        let failed = unsafe {
            generated::bpf_probe_read_user(end.cast(), bytes as u32, address as *const _)
        };
        if failed != 0 { None } else { Some(self.grow(position, bytes)) }
    }

    /// Sends the record.
    #[inline(always)]
    #[allow(clippy::cast_ptr_alignment, reason = "only numbers of 8 bytes stand before the record")]
    pub fn send(self, ring: Ring, body: B) {
        // SAFETY: the buffer holds header, body and the masked tail; it is aligned to 8 bytes.
        unsafe {
            let tail = mask(read_volatile(&raw const (*self.slot.memory()).tail_bytes), TAIL_MASK);
            let size = (HEADER_BYTES + size_of::<B>()) as u64 + tail;
            let header = Header { kind: B::KIND, size: size as u32, ..self.header };
            let Some(waiting) = admit(ring, &header) else { return };
            let record = (&raw mut (*self.slot.memory()).record).cast::<u8>();
            record.cast::<Header>().write(header);
            record.add(HEADER_BYTES).cast::<B>().write(body);
            let failed = generated::bpf_ringbuf_output(
                core::ptr::from_ref(ring_of(ring)).cast_mut().cast(),
                record.cast(),
                size,
                wakeup(ring, &header, waiting),
            );
            if failed != 0 {
                lose(&header, reason::RING_FULL);
            }
        }
    }
}

/// The flags of a body whose text could not be read.
pub const UNREADABLE: u32 = flags::PATH_UNREADABLE;

#[inline(always)]
fn ring_of(ring: Ring) -> &'static RingBuf {
    match ring {
        Ring::Priority { .. } => &PRIORITY,
        Ring::Bulk => &BULK,
    }
}

/// How long a container's share is counted before it begins anew.
const SHARE_NS: u64 = 1_000_000_000;

/// What is urgent, and a ring that fills, wakes the agent at most once in this time; it looks again
/// by itself soon after.
const HURRY_NS: u64 = 1_000_000;

/// Fill of a ring above which containers have only their share of it, and that share.
#[inline(always)]
fn bounds(ring: Ring) -> (u64, u64) {
    match ring {
        Ring::Priority { .. } => (setting!(priority_pressure), setting!(priority_share)),
        Ring::Bulk => (setting!(bulk_pressure), setting!(bulk_share)),
    }
}

/// Whether a record may go onto a ring: while that is under pressure, every container has only its
/// share of it. Returns how many bytes wait there; what finds no room is counted here.
#[inline(always)]
pub fn admit(ring: Ring, header: &Header) -> Option<u64> {
    let (pressure, share) = bounds(ring);
    let waiting = ring_of(ring).query(u64::from(BPF_RB_AVAIL_DATA));
    if let Some(most) = FILL.get_ptr_mut(u32::from(ring == Ring::Bulk)) {
        // SAFETY: the map returned a valid pointer; a race between processors shows the less full.
        unsafe {
            if waiting > read_volatile(most) {
                write_volatile(most, waiting);
            }
        }
    }
    if waiting > pressure && spend(ring, header) > share {
        lose(header, reason::OVER_SHARE);
        return None;
    }
    Some(waiting)
}

/// Charges a record to its container; returns what that has put on the ring in this window.
#[inline(always)]
fn spend(ring: Ring, header: &Header) -> u64 {
    let now = header.boot_ns;
    let Some(spent) = SHARES.get_ptr_mut(header.cgroup_id) else {
        let share = Share { since_ns: now, ..Share::default() };
        let _ = SHARES.insert(header.cgroup_id, share, 0);
        return 0;
    };
    // SAFETY: the map returned a valid pointer; a race between processors miscounts by a record.
    unsafe {
        if now.wrapping_sub((*spent).since_ns) > SHARE_NS {
            *spent = Share { since_ns: now, ..Share::default() };
        }
        let bytes = match ring {
            Ring::Priority { .. } => &raw mut (*spent).priority_bytes,
            Ring::Bulk => &raw mut (*spent).bulk_bytes,
        };
        *bytes += u64::from(header.size);
        *bytes
    }
}

/// Whether the agent is woken for a record. It polls for a while after it was, so that one wakeup
/// serves many records.
#[inline(always)]
pub fn wakeup(ring: Ring, header: &Header, waiting: u64) -> u64 {
    let Some(woken) = WOKEN.get_ptr_mut(0) else { return 0 };
    let now = header.boot_ns;
    // SAFETY: the map returned a valid pointer, and a race between processors costs one wakeup too
    // many.
    unsafe {
        let ago = now.wrapping_sub(read_volatile(woken));
        let is_filling = waiting > bounds(ring).0 / 2;
        let is_urgent = ring == (Ring::Priority { urgent: true });
        if (is_urgent || is_filling) && ago > HURRY_NS || ago > setting!(wakeup_ns) {
            write_volatile(woken, now);
            return u64::from(BPF_RB_FORCE_WAKEUP);
        }
    }
    u64::from(BPF_RB_NO_WAKEUP)
}

/// Counts a record that could not be sent. The act it is of is to be reported when it is next done.
#[inline(always)]
pub fn lose(header: &Header, reason: u16) {
    if header.act != 0 {
        let _ = SEEN.remove(header.act);
    }
    let key = LostKey { cgroup_id: header.cgroup_id, kind: header.kind, reason, reserved: 0 };
    if LOST.get_ptr_mut(key).is_none() {
        // Another processor may have been first: keep its count.
        let _ = LOST.insert(key, Lost::default(), u64::from(aya_ebpf::bindings::BPF_NOEXIST));
    }
    if let Some(lost) = LOST.get_ptr_mut(key) {
        // SAFETY: the map returned a valid pointer.
        unsafe {
            add(&raw mut (*lost).count, u64::from(header.count));
            (*lost).last_ns = header.boot_ns;
        }
    } else if let Some(unnamed) = LOST_UNNAMED.get_ptr_mut(0) {
        // SAFETY: a per-processor value.
        unsafe { *unnamed += 1 };
    }
}
