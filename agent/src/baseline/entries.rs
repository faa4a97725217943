//! The behaviours of one dimension, each with the units, containers and starts that showed it.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::dimension::Context;

/// Entries of one dimension at most.
pub const MOST_ENTRIES: usize = 4096;
/// Containers remembered of one entry.
pub const MOST_SUPPORTERS: usize = 4;
/// What an entry takes beside its key, in bytes.
pub const ENTRY_BYTES: usize = 200;

/// Units of one context in which a behaviour was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// How many.
    pub units: u32,
    /// The latest.
    pub last: u64,
}

/// A behaviour that was learned.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// By context.
    pub seen: [Seen; Context::COUNT],
    /// The first containers that showed it, as hashes of their ids; 0 for none.
    pub supporters: [u64; MOST_SUPPORTERS],
    /// Starts far enough apart that showed it, at most 2.
    pub starts: u8,
    /// When the latest of them was, in seconds since the Unix epoch.
    pub last_start_s: u64,
    /// When it was seen first, likewise.
    pub first_s: u64,
    /// When it was seen last, likewise.
    pub last_s: u64,
    /// Whether an operator said that it does not belong here: it is told, and never learned.
    #[serde(default)]
    pub is_denied: bool,
    /// Whether it was taken over from the version of the image before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_inherited: bool,
}

/// When and by whom something is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Occasion {
    /// The context.
    pub context: Context,
    /// Number of the unit, which no other of the profile has.
    pub unit: u64,
    /// The container, as a hash of its id.
    pub container: u64,
    /// When it was started, in seconds since the Unix epoch; `None` where nobody saw that.
    pub start_s: Option<u64>,
    /// The moment, likewise.
    pub now_s: u64,
    /// How far two starts must lie apart to be told apart, in seconds.
    pub apart_s: u64,
}

impl Entry {
    /// Whether more than one container, or more than one start, showed it.
    pub fn is_confirmed(&self) -> bool {
        let has_two = self.supporters.iter().filter(|it| **it != 0).count() >= 2;
        has_two || self.starts >= 2 || self.seen[Context::Health as usize].units > 0
    }

    /// Units of some contexts.
    pub fn units(&self, contexts: &[Context]) -> u32 {
        contexts.iter().map(|it| self.seen[*it as usize].units).sum()
    }

    /// What was seen after a unit, by these containers; `None` where nothing was.
    pub fn since_unit(&self, unit: u64, containers: &[u64]) -> Option<Self> {
        let seen = self.seen.map(|it| {
            if it.last > unit { Seen { units: 1, last: it.last } } else { Seen::default() }
        });
        let supporters = self.supporters.map(|it| if containers.contains(&it) { it } else { 0 });
        let is_seen = seen.iter().any(|it| it.units > 0);
        let since = Self { seen, supporters, starts: 1, is_inherited: false, ..self.clone() };
        is_seen.then_some(Self { first_s: self.last_s, ..since })
    }

    fn support(&mut self, at: &Occasion) {
        if !self.supporters.contains(&at.container)
            && let Some(free) = self.supporters.iter_mut().find(|it| **it == 0)
        {
            *free = at.container;
        }
        // That the agent comes anew makes no second start of who runs on.
        let start_s = at.start_s.unwrap_or(at.now_s);
        let is_apart = at.start_s.is_some_and(|start_s| {
            start_s != self.last_start_s && start_s.abs_diff(self.last_start_s) >= at.apart_s
        });
        if self.starts == 0 || self.starts < 2 && is_apart {
            self.starts += 1;
            self.last_start_s = start_s;
        }
    }

    fn absorb(&mut self, other: &Self) {
        for (own, others) in self.seen.iter_mut().zip(&other.seen) {
            // Who showed both in one unit showed the joined one in one.
            let is_same_unit = own.units == 1 && others.units == 1 && own.last == others.last;
            own.units = own.units.saturating_add(others.units) - u32::from(is_same_unit);
            own.last = own.last.max(others.last);
        }
        for supporter in other.supporters.into_iter().filter(|it| *it != 0) {
            if !self.supporters.contains(&supporter)
                && let Some(free) = self.supporters.iter_mut().find(|it| **it == 0)
            {
                *free = supporter;
            }
        }
        // What resembles a denied one so much that both become one template is not told from it.
        self.is_denied |= other.is_denied;
        self.is_inherited &= other.is_inherited;
        self.starts = self.starts.max(other.starts);
        self.last_start_s = self.last_start_s.max(other.last_start_s);
        self.first_s = self.first_s.min(other.first_s);
        self.last_s = self.last_s.max(other.last_s);
    }
}

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
    pub fn restore(&mut self, entry: Entry) -> Option<u32> {
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
        *seen = Seen { units: seen.units.saturating_add(1), last: at.unit };
        if entry.first_s == 0 {
            entry.first_s = at.now_s;
        }
        entry.support(at);
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
