//! The only place that asks for the time.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

fn read(clock: ClockId) -> u64 {
    let now = clock_gettime(clock);
    (now.tv_sec as u64).saturating_mul(1_000_000_000).saturating_add(now.tv_nsec as u64)
}

/// Nanoseconds since the Unix epoch.
pub fn now_ns() -> u64 {
    read(ClockId::Realtime)
}

/// Nanoseconds since boot, time asleep included, as kernel records count.
pub fn boot_ns() -> u64 {
    read(ClockId::Boottime)
}

/// What to add to a moment since boot to get one since the Unix epoch.
pub fn boot_to_epoch_ns() -> u64 {
    let boot = boot_ns();
    now_ns().saturating_sub(boot)
}

/// A monotonic moment, for deadlines.
pub fn instant() -> std::time::Instant {
    std::time::Instant::now()
}

/// Time passed since a moment from [`instant`].
pub fn since(start: std::time::Instant) -> Duration {
    instant().saturating_duration_since(start)
}
