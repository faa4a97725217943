//! How often the host is asked on behalf of each container: a look takes longer than many records, and a
//! container can make them necessary.

use std::collections::HashMap;

/// Looks for one container between two ticks. What one container uses up is no other's.
const MOST: u32 = 1000;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Looks {
    /// How many were taken since the last tick, by container cgroup.
    taken: HashMap<u64, u32>,
    /// What was not looked for although it should have been, likewise, since it was last asked.
    refused: HashMap<u64, u64>,
}

impl Looks {
    /// Takes a look, if there is one left.
    pub(super) fn take(&mut self, cgroup_id: u64) -> bool {
        let taken = self.taken.entry(cgroup_id).or_default();
        let is_left = *taken < MOST;
        if is_left {
            *taken += 1;
        } else {
            *self.refused.entry(cgroup_id).or_default() += 1;
        }
        is_left
    }

    /// A look took as long as so many more.
    pub(super) fn cost(&mut self, cgroup_id: u64, more: u32) {
        let taken = self.taken.entry(cgroup_id).or_default();
        *taken = taken.saturating_add(more);
    }

    /// A second is over.
    pub(super) fn tick(&mut self) {
        self.taken.clear();
    }

    /// What was refused, by container cgroup.
    pub(super) fn take_refused(&mut self) -> impl Iterator<Item = (u64, u64)> + use<> {
        std::mem::take(&mut self.refused).into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_container_uses_up_is_no_others_and_what_is_refused_is_counted() {
        let mut looks = Looks::default();
        assert!(looks.take(1));
        looks.cost(1, MOST);
        assert!(!looks.take(1) && !looks.take(1) && looks.take(2));
        looks.tick();
        assert!(looks.take(1));
        assert_eq!(looks.take_refused().collect::<Vec<_>>(), [(1, 2)]);
        assert_eq!(looks.take_refused().count(), 0);
    }
}
