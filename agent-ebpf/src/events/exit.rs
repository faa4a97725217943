//! `exit`: the last thread of a process ended.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::record::Wire;

/// Raised at `sched_process_exit` of a process's last thread.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct Exit {
    /// Processor time in user mode of the threads that ended before, in nanoseconds.
    pub user_ns: u64,
    /// Processor time in the kernel of the threads that ended before, in nanoseconds.
    pub system_ns: u64,
    /// Largest resident memory, in pages of 4 KiB.
    pub max_rss_pages: u64,
    /// Status as `wait` reports it: code << 8 | signal.
    pub status: u32,
    /// Zero.
    pub reserved: u32,
}

impl Wire for Exit {
    const KIND: u16 = 3;
}

#[cfg(not(target_arch = "bpf"))]
mod meaning {
    use super::Exit;
    use crate::{
        catalog::{EventType, Field, Hook, Probe},
        value::{Value, ValueType},
    };

    impl EventType for Exit {
        const NAME: &'static str = "exit";
        const SUMMARY: &'static str = "The last thread of a process ended.";
        const PROBES: &'static [Probe] =
            &[Probe::required("on_exit", Hook::Tracepoint("sched_process_exit"))];
        const FIELDS: &'static [Field<Self>] = &[
            Field::noted("exit.code", ValueType::Number, "Exit code.", |e, _| {
                Some(Value::Number(u64::from(e.status >> 8 & 0xff)))
            }),
            Field::noted(
                "exit.signal",
                ValueType::Number,
                "Signal that ended it; absent where none did.",
                |e, _| (e.status & 0x7f != 0).then_some(Value::Number(u64::from(e.status & 0x7f))),
            ),
            Field::noted(
                "exit.user_ns",
                ValueType::Number,
                "Processor time in user mode, in nanoseconds.",
                |e, _| Some(Value::Number(e.user_ns)),
            ),
            Field::noted(
                "exit.system_ns",
                ValueType::Number,
                "Processor time in the kernel, in nanoseconds.",
                |e, _| Some(Value::Number(e.system_ns)),
            ),
            Field::noted(
                "exit.max_rss_bytes",
                ValueType::Number,
                "Largest resident memory, in bytes.",
                |e, _| Some(Value::Number(e.max_rss_pages.saturating_mul(4096))),
            ),
        ];
    }
}
