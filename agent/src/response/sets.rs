//! Sets of exceptions as the kernel side keeps them: containers with the same ones share a set.

use std::{cmp::Reverse, collections::HashMap};

use plimsoll_ebpf::rules::Rule;

use crate::{policy::peers::covers, probe::policies::Sockets};

/// One exception as the kernel side compares it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Entry {
    /// The rule that may be broken.
    pub rule: Rule,
    /// What a path begins with, or all of it.
    pub text: Vec<u8>,
    /// Whether that is all of it.
    pub is_whole: bool,
    /// How many components the path has; 0 for any number.
    pub components: u32,
    /// Until when, in nanoseconds since boot.
    pub until_ns: u64,
}

/// An exception on the network as the kernel side compares it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerEntry {
    /// The rule that may be broken.
    pub rule: Rule,
    /// The peers or ports.
    pub sockets: Sockets,
    /// Until when, in nanoseconds since boot.
    pub until_ns: u64,
}

/// Everything that is let pass in a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Allowances {
    /// At paths.
    pub paths: Vec<Entry>,
    /// With peers.
    pub peers: Vec<PeerEntry>,
}

/// The sets in use, and by how many containers each is.
#[derive(Debug, Default)]
pub struct Sets {
    numbers: HashMap<Allowances, Set>,
    last: u32,
}

#[derive(Debug)]
struct Set {
    number: u32,
    users: usize,
}

/// A set that is used from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Use {
    /// Its number, never 0.
    pub number: u32,
    /// Whether the kernel side does not have it yet.
    pub is_new: bool,
}

impl Sets {
    /// Uses a set once more.
    pub fn acquire(&mut self, entries: &Allowances) -> Use {
        if let Some(set) = self.numbers.get_mut(entries) {
            set.users += 1;
            return Use { number: set.number, is_new: false };
        }
        self.last = self.last.wrapping_add(1).max(1);
        self.numbers.insert(entries.clone(), Set { number: self.last, users: 1 });
        Use { number: self.last, is_new: true }
    }

    /// Uses a set once less; returns its number if nobody does any more.
    pub fn release(&mut self, entries: &Allowances) -> Option<u32> {
        let set = self.numbers.get_mut(entries)?;
        set.users -= 1;
        if set.users > 0 {
            return None;
        }
        self.numbers.remove(entries).map(|set| set.number)
    }
}

/// Brings exceptions into the form in which the kernel side finds the right one.
///
/// It takes the longest that a path begins with. One below another of any depth is left out where
/// that one holds as long; else, until the other ends and a new set is made, it covers what the
/// other does.
pub fn prepare(mut entries: Vec<Entry>) -> Vec<Entry> {
    entries.sort();
    entries.dedup();
    let wide: Vec<Entry> =
        entries.iter().filter(|it| it.components == 0 && !it.is_whole).cloned().collect();
    let above = |entry: &Entry| {
        let is_above = |it: &&Entry| {
            it.rule == entry.rule
                && it.text.len() < entry.text.len()
                && entry.text.starts_with(&it.text)
        };
        wide.iter().filter(is_above).map(|it| it.until_ns).max()
    };
    entries.retain(|entry| above(entry).is_none_or(|until_ns| until_ns < entry.until_ns));
    for entry in entries.iter_mut().filter(|it| it.components != 0) {
        if let Some(until_ns) = above(entry) {
            entry.components = 0;
            entry.until_ns = until_ns;
        }
    }
    // Of the same text only one is kept: the one of any depth, which covers the others until it ends
    // and a new set is made; else the one that allows longest.
    let by_reach = |it: &Entry| (it.components != 0, Reverse(it.until_ns));
    entries.sort_by(|a, b| {
        (a.rule, &a.text, a.is_whole, by_reach(a)).cmp(&(b.rule, &b.text, b.is_whole, by_reach(b)))
    });
    entries.dedup_by(|a, b| (a.rule, &a.text, a.is_whole) == (b.rule, &b.text, b.is_whole));
    entries
}

/// Likewise for exceptions on the network. The kernel side looks at the one with the longest prefix,
/// first at the port and then at any, and no further: each lasts as long as any that covers it.
pub fn prepare_peers(mut entries: Vec<PeerEntry>) -> Vec<PeerEntry> {
    entries.sort();
    let all = entries.clone();
    for entry in &mut entries {
        let wider =
            all.iter().filter(|it| it.rule == entry.rule && covers(&it.sockets, &entry.sockets));
        entry.until_ns = wider.map(|it| it.until_ns).max().unwrap_or(entry.until_ns);
    }
    entries.sort();
    entries.dedup();
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(text: &str, components: u32, until_ns: u64) -> Entry {
        Entry {
            rule: Rule::NewExecutable,
            text: text.as_bytes().to_vec(),
            is_whole: false,
            components,
            until_ns,
        }
    }

    #[test]
    fn containers_with_the_same_exceptions_share_a_set() {
        let mut sets = Sets::default();
        let of = |paths| Allowances { paths, peers: Vec::new() };
        let (a, b) = (of(vec![entry("/a/", 0, 9)]), of(vec![entry("/b/", 0, 9)]));
        let first = sets.acquire(&a);
        assert!(first.is_new && first.number != 0);
        assert_eq!(sets.acquire(&a), Use { is_new: false, ..first });
        assert_ne!(sets.acquire(&b).number, first.number);
        assert_eq!(sets.release(&a), None);
        assert_eq!(sets.release(&a), Some(first.number));
        assert!(sets.acquire(&a).is_new);
    }

    #[test]
    fn what_lies_below_a_wide_exception_neither_narrows_nor_outlives_it() {
        let (wide, apart) = (entry("/a/", 0, 9), entry("/c/", 2, 5));
        let shorter = vec![wide.clone(), entry("/a/b/", 3, 5), apart.clone()];
        assert_eq!(prepare(shorter), [wide.clone(), apart]);
        let longer = vec![wide.clone(), entry("/a/b/", 3, 20)];
        assert_eq!(prepare(longer), [wide, entry("/a/b/", 0, 9)]);
    }

    #[test]
    fn a_narrow_block_lasts_as_long_as_the_widest_around_it() {
        let entry = |bits: u8, port, until_ns| {
            let mut address = [0; 16];
            address[0] = 0xfd;
            let sockets = Sockets { address, bits, port, protocol: 6 };
            PeerEntry { rule: Rule::ForeignPeer, sockets, until_ns }
        };
        let given = vec![entry(8, 0, 9), entry(64, 443, 5), entry(64, 443, 5), entry(16, 80, 20)];
        let prepared = prepare_peers(given);
        assert_eq!(prepared, [entry(8, 0, 9), entry(16, 80, 20), entry(64, 443, 9)]);
    }

    #[test]
    fn any_depth_is_not_narrowed_by_an_exception_of_the_same_text_that_lasts_longer() {
        let (any, one) = (entry("/a/", 0, 5), entry("/a/", 2, 9));
        assert_eq!(prepare(vec![one.clone(), any.clone()]), [any]);
        assert_eq!(prepare(vec![one.clone(), entry("/a/", 2, 5)]), [one]);
    }

    #[test]
    fn of_two_alike_the_longer_one_holds() {
        assert_eq!(prepare(vec![entry("/a/", 0, 5), entry("/a/", 0, 9)]), [entry("/a/", 0, 9)]);
    }
}
