//! What could not be stored: counted by cause and event, and told once the store works again.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering},
};

use plimsoll_ebpf::catalog::CATALOG;

/// Observations of one event that were lost for one reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loss {
    /// Why, as in the metric's label.
    pub reason: &'static str,
    /// The event.
    pub kind: &'static str,
    /// How many.
    pub count: u64,
    /// Earliest moment, in nanoseconds since the Unix epoch.
    pub from_ns: u64,
    /// Latest moment, in nanoseconds since the Unix epoch.
    pub to_ns: u64,
}

/// Why observations are not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The store thread is behind by more than its queue.
    QueueFull,
    /// The file system has no space.
    DiskFull,
    /// Writing failed otherwise.
    Error,
}

impl Cause {
    /// Every cause.
    pub const ALL: [Self; 3] = [Self::QueueFull, Self::DiskFull, Self::Error];

    /// The reason as it stands in metrics and gap records.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::QueueFull => "store_queue_full",
            Self::DiskFull => "disk_full",
            Self::Error => "store_error",
        }
    }
}

/// How many rows of each event, and from when to when.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally([Count; CATALOG_LEN]);

const CATALOG_LEN: usize = 32;
const _: () = assert!(CATALOG_LEN <= 64, "kinds are a set of bits in a block");

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    rows: u64,
    from_ns: u64,
    to_ns: u64,
}

impl Count {
    fn join(&mut self, other: Self) {
        if other.rows > 0 {
            self.from_ns =
                if self.rows == 0 { other.from_ns } else { self.from_ns.min(other.from_ns) };
            self.to_ns = self.to_ns.max(other.to_ns);
            self.rows += other.rows;
        }
    }
}

impl Tally {
    pub(super) fn add(&mut self, kind: usize, ts_ns: u64) {
        let one = Count { rows: 1, from_ns: ts_ns, to_ns: ts_ns };
        self.0[kind % CATALOG_LEN].join(one);
    }

    /// Only the events that `are_meant`, by their place in the catalogue.
    pub(super) fn only(&self, are_meant: impl Fn(usize) -> bool) -> Self {
        let count = |kind: usize| if are_meant(kind) { self.0[kind] } else { Count::default() };
        Self(std::array::from_fn(count))
    }

    fn total(&self) -> u64 {
        self.0.iter().map(|count| count.rows).sum()
    }
}

/// Losses of the pipeline's and the store's side, gathered for the pipeline.
#[derive(Default)]
pub(super) struct Losses {
    waiting: Mutex<[Tally; 3]>,
    any: AtomicBool,
    /// 0, or one more than the number of the cause.
    stopped_by: AtomicU8,
    totals: [AtomicU64; 3],
}

impl Losses {
    pub(super) fn record(&self, tally: &Tally, cause: Cause) {
        let total = tally.total();
        if total == 0 {
            return;
        }
        self.totals[cause as usize].fetch_add(total, Ordering::Relaxed);
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let mine = &mut waiting[cause as usize];
        mine.0.iter_mut().zip(tally.0).for_each(|(sum, count)| sum.join(count));
        self.any.store(true, Ordering::Release);
    }

    /// Nothing is stored from now on because of this; `None` where everything is again.
    pub(super) fn set_stopped(&self, cause: Option<Cause>) {
        self.stopped_by.store(cause.map_or(0, |it| it as u8 + 1), Ordering::Release);
    }

    pub(super) fn stopped_by(&self) -> Option<Cause> {
        let number = self.stopped_by.load(Ordering::Acquire).checked_sub(1)?;
        Cause::ALL.get(usize::from(number)).copied()
    }

    pub(super) fn total(&self, cause: Cause) -> u64 {
        self.totals[cause as usize].load(Ordering::Relaxed)
    }

    /// The losses since the last call. While nothing can be stored they are kept back: a gap
    /// record made then would be lost itself.
    pub(super) fn take(&self) -> Vec<Loss> {
        if !self.any.load(Ordering::Acquire) || self.stopped_by().is_some() {
            return Vec::new();
        }
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        self.any.store(false, Ordering::Release);
        let taken = std::mem::take(&mut *waiting);
        drop(waiting);
        let of = |cause: Cause| {
            let counts = CATALOG.iter().zip(taken[cause as usize].0);
            counts.filter(|(_, count)| count.rows > 0).map(move |(kind, count)| Loss {
                reason: cause.reason(),
                kind: kind.name,
                count: count.rows,
                from_ns: count.from_ns,
                to_ns: count.to_ns,
            })
        };
        Cause::ALL.into_iter().flat_map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_joined_by_cause_and_event_and_told_once() {
        assert!(CATALOG.len() <= CATALOG_LEN);
        let losses = Losses::default();
        let mut tally = Tally::default();
        tally.add(0, 7);
        tally.add(0, 5);
        tally.add(1, 9);
        losses.record(&tally, Cause::QueueFull);
        losses.record(&tally, Cause::QueueFull);
        let exec =
            Loss { reason: "store_queue_full", kind: "exec", count: 4, from_ns: 5, to_ns: 7 };
        let taken = losses.take();
        assert_eq!(taken[0], exec);
        assert_eq!(taken[1].count, 2);
        assert!(losses.take().is_empty());
        assert_eq!(losses.total(Cause::QueueFull), 6);
    }

    #[test]
    fn losses_wait_while_nothing_can_be_stored() {
        let losses = Losses::default();
        let mut tally = Tally::default();
        tally.add(0, 7);
        losses.set_stopped(Some(Cause::Error));
        losses.record(&tally, Cause::DiskFull);
        assert!(losses.take().is_empty());
        losses.set_stopped(None);
        assert_eq!(losses.take().len(), 1);
    }
}
