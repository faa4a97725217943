//! Bytes by hours: the largest hour that is known, and the running one.

use serde::{Deserialize, Serialize};

/// How often the largest hour fits into one that is told.
pub const TIMES: u64 = 3;

/// Digits of an amount: as far apart are amounts that are told anew.
pub fn magnitude(amount: u64) -> u32 {
    amount.checked_ilog10().unwrap_or_default()
}

/// See the module.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// Bytes of the running hour.
    pub running: u64,
    /// The largest hour, by which others are judged.
    pub largest: u64,
    /// The largest of the running week.
    recent: u64,
    /// The largest of the week before.
    before: u64,
}

impl Budget {
    /// Adds bytes to the running hour; returns whether that has become far more than any hour was,
    /// or ten times as much as when it had.
    pub fn add(&mut self, bytes: u64, floor: u64) -> bool {
        let (was_beyond, before) = (self.is_beyond(floor), self.running);
        self.running = self.running.saturating_add(bytes);
        self.is_beyond(floor) && !(was_beyond && magnitude(before) == magnitude(self.running))
    }

    fn is_beyond(&self, floor: u64) -> bool {
        self.running >= floor && self.running > self.largest.saturating_mul(TIMES)
    }

    /// The hour is over. While it is learned, it counts at once. Later its week has to pass, and one
    /// that was told counts for no more than the largest before it: nobody raises the bound by using
    /// it up hour by hour.
    pub fn close(&mut self, is_learning: bool, floor: u64) {
        let is_told = self.is_beyond(floor);
        let hour = std::mem::take(&mut self.running);
        if is_learning {
            self.largest = self.largest.max(hour);
            self.recent = self.recent.max(hour);
        } else {
            self.recent = self.recent.max(if is_told { self.largest } else { hour });
        }
    }

    /// A week is over.
    pub fn rotate(&mut self) {
        self.largest = self.recent.max(self.before);
        self.before = std::mem::take(&mut self.recent);
    }

    /// Two become one.
    pub fn absorb(&mut self, other: &Self) {
        self.running = self.running.saturating_add(other.running);
        self.largest = self.largest.saturating_add(other.largest);
        self.recent = self.recent.saturating_add(other.recent);
        self.before = self.before.saturating_add(other.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hour(budget: &mut Budget, bytes: u64, is_learning: bool) -> bool {
        let is_told = budget.add(bytes, 10);
        budget.close(is_learning, 10);
        is_told
    }

    #[test]
    fn thrice_the_largest_hour_is_told_once_it_is_worth_it() {
        let mut budget = Budget::default();
        hour(&mut budget, 100, true);
        assert!(!hour(&mut budget, 300, false));
        assert!(hour(&mut budget, 301, false));
        assert!(!budget.add(9, 10), "too little");
        assert!(budget.add(500, 10) && !budget.add(100, 10) && budget.add(9000, 10));
    }

    #[test]
    fn the_bound_rises_by_weeks_and_never_by_what_was_told() {
        let mut budget = Budget::default();
        hour(&mut budget, 100, true);
        hour(&mut budget, 250, false);
        assert!(hour(&mut budget, 301, false), "not yet by what was seen since");
        budget.rotate();
        assert_eq!(budget.largest, 250);
        hour(&mut budget, 5000, false);
        budget.rotate();
        assert_eq!(budget.largest, 250);
        budget.rotate();
        budget.rotate();
        assert_eq!(budget.largest, 0, "what is two weeks old is forgotten");
    }
}
