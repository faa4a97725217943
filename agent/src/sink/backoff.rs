//! How long to wait before something that failed is tried again.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    time::Duration,
};

const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(30);
/// What a receiver may ask for at most.
const LONGEST_ASKED: Duration = Duration::from_mins(5);

/// Twice as long each time, up to a bound; a random part of it keeps many agents from trying at
/// once.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// It worked.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }

    /// How long to wait; what the receiver asked for is the least.
    pub(super) fn next(&mut self, asked: Option<Duration>) -> Duration {
        let whole = FIRST.saturating_mul(1 << self.failures.min(16)).min(LONGEST);
        self.failures += 1;
        let share = RandomState::new().build_hasher().finish() as u32;
        let jitter = whole / 2 * (share >> 16) / (1 << 16);
        (whole / 2 + jitter).max(asked.unwrap_or_default().min(LONGEST_ASKED))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_a_bound_and_begins_anew() {
        let mut backoff = Backoff::default();
        for whole_ms in [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000] {
            let wait = backoff.next(None);
            let whole = Duration::from_millis(whole_ms);
            assert!((whole / 2..=whole).contains(&wait), "{wait:?} of {whole:?}");
        }
        backoff.reset();
        assert!(backoff.next(None) <= FIRST);
    }

    #[test]
    fn what_the_receiver_asks_for_is_heeded_within_reason() {
        let mut backoff = Backoff::default();
        assert_eq!(backoff.next(Some(Duration::from_mins(1))), Duration::from_mins(1));
        assert_eq!(backoff.next(Some(Duration::from_hours(9))), LONGEST_ASKED);
    }
}
