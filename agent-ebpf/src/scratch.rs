//! Slots of memory to build in what the stack has no room for.

use aya_ebpf::helpers::bpf_get_smp_processor_id;

use crate::maps::{FREE_SLOTS, SCRATCH, Scratch};

/// A slot, nobody else's while it is held.
pub struct Slot {
    /// Its number in [`SCRATCH`].
    pub number: u32,
    /// Its memory.
    pub memory: *mut Scratch,
}

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
        let memory = SCRATCH.get_ptr_mut(number)?;
        Some(Self { number, memory })
    }
}

impl Drop for Slot {
    #[inline(always)]
    fn drop(&mut self) {
        if setting!(is_preemptible) != 0 {
            // It has room for every slot there is.
            let _ = FREE_SLOTS.push(self.number, 0);
        }
    }
}
