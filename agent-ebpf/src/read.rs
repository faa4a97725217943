//! Reads of kernel memory, by offsets that the agent resolved from the running kernel's BTF.

use core::{mem::MaybeUninit, ptr};

use aya_ebpf::helpers::generated;
use plimsoll_ebpf::{
    offsets::Offsets,
    orders::{SYSCALLS, Settings, Syscall},
};

/// Filled by the agent at load and frozen: the verifier sees constants.
#[unsafe(no_mangle)]
pub static OFFSETS: Offsets = Offsets::NONE;

/// Filled by the agent at load.
#[unsafe(no_mangle)]
pub static SETTINGS: Settings = Settings {
    window_ns: 0,
    known_ns: 0,
    seed: 0,
    bulk_share: 0,
    priority_share: 0,
    bulk_pressure: 0,
    priority_pressure: 0,
    wakeup_ns: 0,
    agent_pid: 0,
    has_typed_task: 0,
    is_preemptible: 0,
    reserved: 0,
};

/// Filled by the agent at load.
#[unsafe(no_mangle)]
static SYSCALL_TABLE: [Syscall; SYSCALLS] =
    [Syscall { class: 0, op: 0, dir: 0, path: 0, to_dir: 0, to_path: 0, number: 0, fd: 0 };
        SYSCALLS];

/// One of the [`SETTINGS`] that the agent chose at load.
#[inline(always)]
pub fn setting<T: Copy>(entry: *const T) -> T {
    // SAFETY: callers pass a field of the static. Volatile, because the loader changes it after
    // compilation.
    unsafe { ptr::read_volatile(entry) }
}

/// The entry of a system call as one word, which is 0 for those of no interest; `index` is cut to
/// the table.
#[inline(always)]
pub fn syscall(index: u64) -> u64 {
    let index = mask(index, SYSCALLS as u64 - 1) as usize;
    // SAFETY: the index was just cut to the table, whose entries are words. Volatile as above.
    unsafe { ptr::read_volatile((&raw const SYSCALL_TABLE).cast::<u64>().add(index)) }
}

/// `value & bits`, done where the verifier sees it: LLVM would drop a mask it knows to be idle.
#[inline(always)]
pub fn mask(value: u64, bits: u64) -> u64 {
    let mut masked = value;
    // SAFETY: one arithmetic instruction on registers.
    unsafe {
        core::arch::asm!("{masked} &= {bits}", masked = inout(reg) masked, bits = in(reg) bits);
    }
    masked
}

/// Reads a `T` of kernel memory; zero where the address cannot be read.
#[inline(always)]
pub fn kernel<T: Copy>(address: usize) -> T {
    let mut value = MaybeUninit::<T>::zeroed();
    // SAFETY: the helper checks the address and zeroes the value on failure; it is used for
    // integers only, for which every bit pattern is valid.
    unsafe {
        generated::bpf_probe_read_kernel(
            value.as_mut_ptr().cast(),
            size_of::<T>() as u32,
            address as *const _,
        );
        value.assume_init()
    }
}

/// Reads a `T` of the running process's memory; zero where the address cannot be read.
#[inline(always)]
pub fn user<T: Copy>(address: u64) -> T {
    let mut value = MaybeUninit::<T>::zeroed();
    // SAFETY: as in `kernel`.
    unsafe {
        generated::bpf_probe_read_user(
            value.as_mut_ptr().cast(),
            size_of::<T>() as u32,
            address as *const _,
        );
        value.assume_init()
    }
}

/// Reads an entry of [`OFFSETS`].
#[inline(always)]
pub fn offset(entry: *const u32) -> usize {
    // SAFETY: callers pass a field of the static. Volatile, because the loader changes it.
    unsafe { ptr::read_volatile(entry) as usize }
}

/// The offset of a kernel member.
macro_rules! offset {
    ($member:ident) => {
        $crate::read::offset(&raw const $crate::read::OFFSETS.$member)
    };
}

/// One of the settings that the agent chose at load.
macro_rules! setting {
    ($field:ident) => {
        $crate::read::setting(&raw const $crate::read::SETTINGS.$field)
    };
}

/// Whether this kernel has a member.
macro_rules! has {
    ($member:ident) => {
        offset!($member) != plimsoll_ebpf::offsets::ABSENT as usize
    };
}

/// Reads a member of the kernel struct at an address.
macro_rules! member {
    ($address:expr, $member:ident, $type:ty) => {
        $crate::read::kernel::<$type>(($address as usize).wrapping_add(offset!($member)))
    };
}

/// Reads a member of the running task or of an argument of a typed tracepoint, or of what such a
/// member points to. The verifier knows the type of these and checks the offset: a plain load then
/// serves, where reading any address takes the call of a helper.
macro_rules! typed_member {
    ($pointer:expr, $member:ident, $type:ty) => {
        if setting!(has_typed_task) != 0 {
            let member = ($pointer as *const u8).wrapping_add(offset!($member));
            // SAFETY: the verifier accepts this load for pointers to kernel structs only, and the
            // kernel gives zero where it faults.
            #[allow(clippy::cast_ptr_alignment, reason = "kernel structs are aligned")]
            unsafe {
                core::ptr::read_volatile(member.cast::<$type>())
            }
        } else {
            member!($pointer, $member, $type)
        }
    };
}
