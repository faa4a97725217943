//! The behaviours of one dimension, by numbers.

use std::collections::HashMap;

use super::dimension::Context;
pub use super::entry::{Entry, Lone, Occasion, Seen};

/// Entries of one dimension at most.
pub const MOST_ENTRIES: usize = 4096;
/// What an entry takes beside its key, in bytes.
pub const ENTRY_BYTES: usize = 230;

/// See the module. Entries have numbers, which are used again.
#[derive(Clone, Debug, Default)]
pub struct Entries {
    slots: Vec<Option<Entry>>,
    free: Vec<u32>,
    /// By context, units with entries that no other unit showed, and how many.
    sole: [HashMap<u64, u32>; Context::COUNT],
}

impl Entries {
    /// A new one that nothing has shown yet; `None` where there is no room.
    pub fn make(&mut self) -> Option<u32> {
        if let Some(number) = self.free.pop() {
            self.slots[number as usize] = Some(Entry::default());
            return Some(number);
        }
        if self.slots.len() >= MOST_ENTRIES {
            return None;
        }
        self.slots.push(Some(Entry::default()));
        Some((self.slots.len() - 1) as u32)
    }

    /// Puts one back that was kept.
    pub fn restore(&mut self, mut entry: Entry) -> Option<u32> {
        entry.tell_contexts_apart();
        let number = self.make()?;
        for (sole, seen) in self.sole.iter_mut().zip(&entry.seen) {
            if seen.units == 1 {
                *sole.entry(seen.last).or_default() += 1;
            }
        }
        self.slots[number as usize] = Some(entry);
        Some(number)
    }

    /// The entry of a number.
    pub fn get(&self, number: u32) -> Option<&Entry> {
        self.slots.get(number as usize)?.as_ref()
    }

    /// It was seen.
    pub fn record(&mut self, number: u32, at: &Occasion) {
        let Some(entry) = self.slots.get_mut(number as usize).and_then(Option::as_mut) else {
            return;
        };
        let context = at.context as usize;
        let seen = &mut entry.seen[context];
        entry.last_s = at.now_s;
        if seen.units > 0 && seen.last == at.unit {
            return;
        }
        let sole = &mut self.sole[context];
        match seen.units {
            0 => *sole.entry(at.unit).or_default() += 1,
            1 => forget(sole, seen.last),
            _ => {}
        }
        let is_first = seen.units == 0;
        *seen = Seen { units: seen.units.saturating_add(1), last: at.unit };
        if entry.first_s == 0 {
            entry.first_s = at.now_s;
        }
        entry.support(at, is_first);
    }

    /// Two become one.
    pub fn merge(&mut self, stays: u32, goes: u32) {
        if stays == goes {
            return;
        }
        let Some(gone) = self.slots.get_mut(goes as usize).and_then(Option::take) else { return };
        self.free.push(goes);
        let Some(entry) = self.slots.get_mut(stays as usize).and_then(Option::as_mut) else {
            return;
        };
        let before = entry.clone();
        entry.absorb(&gone);
        for (at, sole) in self.sole.iter_mut().enumerate() {
            for seen in [&before.seen[at], &gone.seen[at]] {
                if seen.units == 1 {
                    forget(sole, seen.last);
                }
            }
            if entry.seen[at].units == 1 {
                *sole.entry(entry.seen[at].last).or_default() += 1;
            }
        }
    }

    /// Denies those for which `is_meant` holds; returns how many.
    pub fn deny(&mut self, is_meant: impl Fn(&Entry) -> bool) -> usize {
        let mut denied = 0;
        for entry in self.slots.iter_mut().flatten().filter(|it| !it.is_denied && is_meant(it)) {
            for (sole, seen) in self.sole.iter_mut().zip(&mut entry.seen) {
                if seen.units == 1 {
                    forget(sole, seen.last);
                }
                *seen = Seen::default();
            }
            entry.lone.clear();
            entry.is_denied = true;
            denied += 1;
        }
        denied
    }

    /// Removes one.
    pub fn remove(&mut self, number: u32) {
        let Some(gone) = self.slots.get_mut(number as usize).and_then(Option::take) else { return };
        self.free.push(number);
        for (sole, seen) in self.sole.iter_mut().zip(&gone.seen) {
            if seen.units == 1 {
                forget(sole, seen.last);
            }
        }
    }

    /// Units of a context that showed something no other unit did.
    pub fn novel_units(&self, context: Context) -> u32 {
        self.sole[context as usize].len() as u32
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All, with their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &Entry)> {
        let numbered = self.slots.iter().enumerate();
        numbered.filter_map(|(number, slot)| Some((number as u32, slot.as_ref()?)))
    }
}

fn forget(sole: &mut HashMap<u64, u32>, unit: u64) {
    if let Some(count) = sole.get_mut(&unit) {
        *count -= 1;
        if *count == 0 {
            sole.remove(&unit);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use proptest::prelude::*;

    use super::*;

    fn at(unit: u64, container: u64) -> Occasion {
        Occasion {
            context: Context::Steady,
            unit,
            container,
            start_s: Some(container),
            now_s: unit,
            apart_s: 3600,
        }
    }

    #[test]
    fn a_unit_is_novel_as_long_as_no_other_shows_the_same() {
        let mut entries = Entries::default();
        let entry = entries.make().expect("has room");
        entries.record(entry, &at(1, 1));
        entries.record(entry, &at(1, 1));
        assert_eq!(entries.novel_units(Context::Steady), 1);
        assert_eq!(entries.novel_units(Context::Start), 0);
        entries.record(entry, &at(2, 1));
        assert_eq!(entries.novel_units(Context::Steady), 0);
    }

    #[test]
    fn one_container_confirms_nothing_until_it_starts_again() {
        let mut entries = Entries::default();
        let entry = entries.make().expect("has room");
        (1..50).for_each(|unit| entries.record(entry, &at(unit, 7)));
        let is_confirmed = |entries: &Entries| entries.get(entry).expect("is there").is_confirmed();
        assert!(!is_confirmed(&entries));
        entries.record(entry, &Occasion { start_s: None, now_s: 9000, ..at(51, 7) });
        assert!(!is_confirmed(&entries), "the agent was started, and not the container");
        entries.record(entry, &Occasion { start_s: Some(8 + 3600), ..at(52, 7) });
        assert!(is_confirmed(&entries));
    }

    #[test]
    fn what_is_confirmed_in_one_context_is_not_in_another() {
        let mut entries = Entries::default();
        let entry = entries.make().expect("has room");
        let of = |context, unit, container| Occasion { context, ..at(unit, container) };
        (1..=3).for_each(|it| entries.record(entry, &of(Context::Start, it, it)));
        let get = |entries: &Entries| entries.get(entry).expect("is there").clone();
        assert!(get(&entries).is_confirmed());
        entries.record(entry, &of(Context::Steady, 4, 3));
        let hostile = get(&entries);
        assert!(hostile.is_confirmed_in(Context::Start) && !hostile.is_confirmed());
        let confirmed = hostile.confirmed().expect("its start is");
        assert_eq!(confirmed.seen.map(|it| it.units), [3, 0, 0, 0]);
        entries.record(entry, &of(Context::Health, 5, 3));
        assert!(
            !get(&entries).is_confirmed_in(Context::Steady),
            "its health check is another thing"
        );
        entries.record(entry, &of(Context::Steady, 6, 1));
        assert!(get(&entries).is_confirmed());
        // So it is read that was kept before contexts were told apart.
        let kept = Entry { supporters: [3, 0, 0, 0], starts: 1, lone: Vec::new(), ..hostile };
        let mut read = Entries::default();
        let number = read.restore(kept).expect("has room");
        let alone = read.get(number).and_then(|it| it.lone_in(Context::Steady));
        assert_eq!(alone.map(|it| it.container), Some(3));
    }

    #[test]
    fn names_that_become_one_are_as_sure_as_both_were() {
        let joined = |one: u64, other: u64| {
            let mut entries = Entries::default();
            let (a, b) = (entries.make().expect("has room"), entries.make().expect("has room"));
            entries.record(a, &at(1, one));
            entries.record(b, &at(2, other));
            entries.merge(a, b);
            entries.get(a).expect("is there").is_confirmed()
        };
        assert!(!joined(7, 7));
        assert!(joined(7, 8), "two containers showed one each");
    }

    #[test]
    fn a_name_that_all_show_vouches_for_no_multitude_of_one() {
        let joined = |names: &[&[u64]]| {
            let mut entries = Entries::default();
            let mut unit = 0;
            let mut all = names.iter().map(|containers| {
                let number = entries.make().expect("has room");
                for container in *containers {
                    unit += 1;
                    entries.record(number, &at(unit, *container));
                }
                number
            });
            let first = all.next().expect("is there");
            for other in all.collect::<Vec<_>>() {
                entries.merge(first, other);
            }
            // What all show they show again.
            entries.record(first, &at(unit + 1, 1));
            entries.get(first).expect("is there").clone()
        };
        let (common, own): (&[u64], &[u64]) = (&[1, 2], &[3]);
        let before = [&[common][..], &[own; 64]].concat();
        let after = [&[own; 64][..], &[common]].concat();
        assert!(!joined(&before).is_confirmed() && !joined(&after).is_confirmed());
        let few = [&[common][..], &[own; 8]].concat();
        let usual = [&[common; 33][..], &[own; 32]].concat();
        let shared = [[own, &[2]]; 32].concat();
        assert!([few, usual, shared].iter().all(|it| joined(it).is_confirmed()));
    }

    #[test]
    fn a_second_container_confirms() {
        let mut entries = Entries::default();
        let entry = entries.make().expect("has room");
        entries.record(entry, &at(1, 7));
        entries.record(entry, &at(2, 8));
        assert!(entries.get(entry).expect("is there").is_confirmed());
    }

    proptest! {
        #[test]
        fn novel_units_are_those_of_the_definition(
            shown in proptest::collection::vec((0..12_u32, 0..20_u64), 0..200),
        ) {
            let mut entries = Entries::default();
            for _ in 0..12 {
                entries.make();
            }
            // Units come one after the other, as they do in a container.
            let mut shown = shown;
            shown.sort_by_key(|(_, unit)| *unit);
            let mut units: HashMap<u32, HashSet<u64>> = HashMap::new();
            for (entry, unit) in &shown {
                entries.record(*entry, &at(*unit, 1));
                units.entry(*entry).or_default().insert(*unit);
            }
            let novel: HashSet<u64> = units
                .values()
                .filter(|units| units.len() == 1)
                .flat_map(|units| units.iter().copied())
                .collect();
            prop_assert_eq!(entries.novel_units(Context::Steady) as usize, novel.len());
            let mut kept = Entries::default();
            for (_, entry) in entries.iter() {
                kept.restore(entry.clone());
            }
            prop_assert_eq!(kept.novel_units(Context::Steady) as usize, novel.len());
        }
    }
}
