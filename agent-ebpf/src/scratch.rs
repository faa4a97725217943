//! Slots of memory to build in what the stack has no room for.

use core::ptr::{NonNull, read_volatile, write_volatile};

use aya_ebpf::helpers::bpf_get_smp_processor_id;

use crate::maps::{FREE_SLOTS, SCRATCH, Scratch};

/// A slot, nobody else's while it is held. One word, whose number lies in the memory: the verifier
/// of some kernels refuses to store the half of an absent one that has no value.
pub struct Slot(NonNull<Scratch>);

impl Slot {
    /// Takes a slot: the processor's own where nothing comes between, else a free one. `None` where
    /// all are in use.
    #[inline(always)]
    pub fn claim() -> Option<Self> {
        let number = if setting!(is_preemptible) == 0 {
            // SAFETY: the helper takes no pointers.
            unsafe { bpf_get_smp_processor_id() }
        } else {
            FREE_SLOTS.pop().ok()??
        };
        let memory = NonNull::new(SCRATCH.get_ptr_mut(number)?)?;
        // SAFETY: a valid map value, which nobody else uses now.
        unsafe { write_volatile(&raw mut (*memory.as_ptr()).number, number) };
        Some(Self(memory))
    }

    /// Its memory.
    #[inline(always)]
    pub fn memory(&self) -> *mut Scratch {
        self.0.as_ptr()
    }

    /// Its number in [`SCRATCH`].
    #[inline(always)]
    pub fn number(&self) -> u32 {
        // SAFETY: a valid map value.
        unsafe { read_volatile(&raw const (*self.0.as_ptr()).number) }
    }
}

impl Drop for Slot {
    #[inline(always)]
    fn drop(&mut self) {
        if setting!(is_preemptible) != 0 {
            // It has room for every slot there is.
            let _ = FREE_SLOTS.push(self.number(), 0);
        }
    }
}
