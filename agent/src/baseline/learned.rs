//! What was learned in one dimension: entries by key, paths and arguments by template, peers by name
//! and network.

use std::collections::{BTreeMap, HashMap};

use super::{
    arguments::templates::Templates,
    behaviour::{Behaviour, Learning},
    dimension::Dimension,
    entries::{ENTRY_BYTES, Entries, Entry, MOST_ENTRIES, Occasion},
    peer,
    template::{
        tokens,
        trie::{Inserted, Trie},
    },
    write::scope_of_moving,
};

/// Writers, with what they do and where, that paths are kept of; and programs, with who starts them,
/// that arguments are.
const MOST_SCOPES: usize = 512;
/// What a node of a trie takes, in bytes.
const NODE_BYTES: usize = 150;
/// Longest key, in bytes; a longer one is not learned.
pub(super) const MOST_KEY: usize = 1024;

/// What became of a behaviour that was to be learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Learnt {
    /// It was there.
    Known,
    /// It is there now.
    New,
    /// It is longer or deeper than what is kept: it is never learned.
    Unfit,
    /// There is no room.
    Refused,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Learned {
    entries: Entries,
    index: HashMap<Box<str>, u32>,
    tries: BTreeMap<Box<str>, Trie>,
    arguments: BTreeMap<Box<str>, Templates>,
    /// Keys of peers by the template that they may become.
    alike: HashMap<Box<str>, Vec<Box<str>>>,
    key_bytes: usize,
    /// Whether there was more than is kept.
    pub is_full: bool,
}

impl Learned {
    /// The entry of a behaviour.
    pub fn find(&self, it: &Behaviour<'_>) -> Option<u32> {
        match (it.scope, it.learning) {
            (_, Learning::Never) => None,
            ("", _) => self.index.get(it.key).copied().or_else(|| {
                let (template, _) = (it.dimension == Dimension::Peer)
                    .then(|| peer::template_of(it.key))
                    .flatten()?;
                self.index.get(template.as_str()).copied()
            }),
            (scope, Learning::AsTemplate) if it.dimension == Dimension::Write => {
                self.tries.get(scope)?.find(it.key)
            }
            (scope, _) if it.dimension == Dimension::Arguments => {
                self.arguments.get(scope)?.find(it.key, &self.entries)
            }
            (scope, _) => self.index.get(format!("{scope} {}", it.key).as_str()).copied(),
        }
    }

    /// Of the removal of a file, the entry of its being moved there by the same program, where its name
    /// is one of many: who rotates files ends with removing the oldest.
    pub fn find_moved(&self, it: &Behaviour<'_>) -> Option<u32> {
        let trie = self.tries.get(scope_of_moving(it.scope)?.as_str())?;
        let name = it.key.rsplit('/').next().unwrap_or_default();
        let is_one_of_many = it.learning == Learning::AsTemplate && tokens::varies(name);
        is_one_of_many.then(|| trie.find(it.key))?
    }

    /// The entry of a number.
    pub fn entry(&self, number: u32) -> Option<&Entry> {
        self.entries.get(number)
    }

    /// It was seen again.
    pub fn record(&mut self, number: u32, at: &Occasion) {
        self.entries.record(number, at);
    }

    /// Learns a behaviour; `room` is how many bytes may be taken.
    pub fn learn(&mut self, it: &Behaviour<'_>, at: &Occasion, room: usize) -> Learnt {
        if let Some(number) = self.find(it) {
            self.entries.record(number, at);
            return Learnt::Known;
        }
        let length = it.scope.len() + it.key.len();
        if length > MOST_KEY {
            return Learnt::Unfit;
        }
        let inserted = match (it.dimension, it.learning) {
            _ if length + ENTRY_BYTES > room => Inserted::Full,
            (Dimension::Write, Learning::AsTemplate) => self.learn_path(it),
            (Dimension::Arguments, _) => made(self.learn_arguments(it, at)),
            _ => made(self.learn_key(it)),
        };
        let number = match inserted {
            Inserted::Entry(number) => number,
            Inserted::Unfit => return Learnt::Unfit,
            Inserted::Full => {
                self.is_full = true;
                return Learnt::Refused;
            }
        };
        self.entries.record(number, at);
        if it.dimension == Dimension::Peer {
            self.join_peers(it.key);
        }
        Learnt::New
    }

    fn learn_key(&mut self, it: &Behaviour<'_>) -> Option<u32> {
        let number = self.entries.make()?;
        let key =
            if it.scope.is_empty() { it.key.into() } else { format!("{} {}", it.scope, it.key) };
        self.key_bytes += key.len();
        self.index.insert(key.into(), number);
        Some(number)
    }

    fn learn_path(&mut self, it: &Behaviour<'_>) -> Inserted {
        if !self.tries.contains_key(it.scope) && self.tries.len() >= MOST_SCOPES {
            return Inserted::Full;
        }
        let Self { entries, tries, .. } = self;
        let trie = tries.entry(it.scope.into()).or_default();
        let mut merged = Vec::new();
        let inserted = trie
            .insert(it.key, &mut || entries.make(), &mut |stays, goes| merged.push((stays, goes)));
        for (stays, goes) in merged {
            self.entries.merge(stays, goes);
        }
        inserted
    }

    fn learn_arguments(&mut self, it: &Behaviour<'_>, at: &Occasion) -> Option<u32> {
        if !self.arguments.contains_key(it.scope) && self.arguments.len() >= MOST_SCOPES {
            return None;
        }
        let templates = self.arguments.entry(it.scope.into()).or_default();
        templates.insert(it.key, &mut self.entries, at.unit)
    }

    /// What is known of the arguments that a program is given by another.
    pub fn arguments(&self, scope: &str) -> Option<&Templates> {
        self.arguments.get(scope)
    }

    /// Programs of whose arguments nothing is said, since they are too varied.
    pub fn any_arguments(&self) -> usize {
        self.arguments.values().filter(|it| it.is_open()).count()
    }

    /// Makes one template of peers that are alike once they are many.
    fn join_peers(&mut self, key: &str) {
        let Some((template, least)) = peer::template_of(key) else { return };
        let alike = self.alike.entry(template.as_str().into()).or_default();
        if !alike.iter().any(|it| **it == *key) {
            alike.push(key.into());
        }
        if alike.len() < least {
            return;
        }
        let joined = self.alike.remove(template.as_str()).unwrap_or_default();
        let mut stays = None;
        for key in joined {
            let Some(number) = self.index.get(&key).copied() else { continue };
            // What was denied stays so, whatever it resembles.
            if self.entries.get(number).is_some_and(|it| it.is_denied) {
                continue;
            }
            self.index.remove(&key);
            self.key_bytes -= key.len();
            match stays {
                None => stays = Some(number),
                Some(stays) => self.entries.merge(stays, number),
            }
        }
        if let Some(number) = stays {
            self.key_bytes += template.len();
            self.index.insert(template.into(), number);
        }
    }

    /// Puts back what [`Self::visit`] handed out; `false` where it does not fit.
    pub fn restore(&mut self, dimension: Dimension, scope: &str, key: &str, entry: Entry) -> bool {
        if scope.len() + key.len() > MOST_KEY {
            return false;
        }
        let Some(number) = self.entries.restore(entry) else { return false };
        let is_placed = if scope.is_empty() {
            self.key_bytes += key.len();
            self.index.insert(key.into(), number).is_none()
        } else if dimension == Dimension::Arguments {
            let Self { entries, arguments, .. } = self;
            let may_scope = arguments.len() < MOST_SCOPES || arguments.contains_key(scope);
            may_scope && arguments.entry(scope.into()).or_default().restore(key, number, entries)
        } else {
            let may_scope = self.tries.len() < MOST_SCOPES || self.tries.contains_key(scope);
            may_scope && self.tries.entry(scope.into()).or_default().restore(key, number)
        };
        if !is_placed {
            self.entries.remove(number);
            return false;
        }
        if dimension == Dimension::Peer
            && let Some((template, _)) = peer::template_of(key)
        {
            self.alike.entry(template.into()).or_default().push(key.into());
        }
        true
    }

    /// Hands each scope, key and entry to `take`, in a fixed order. The scope of what is known by
    /// its key is empty.
    pub fn visit(&self, take: &mut dyn FnMut(&str, &str, &Entry)) {
        let mut keys: Vec<(&str, u32)> = self.index.iter().map(|(key, it)| (&**key, *it)).collect();
        keys.sort_unstable();
        for (key, number) in keys {
            if let Some(entry) = self.entries.get(number) {
                take("", key, entry);
            }
        }
        for (scope, templates) in &self.arguments {
            templates.visit(&mut |template, number| {
                if let Some(entry) = self.entries.get(number) {
                    take(scope, template, entry);
                }
            });
        }
        for (scope, trie) in &self.tries {
            trie.visit(&mut |template, number| {
                if let Some(entry) = self.entries.get(number) {
                    take(scope, template, entry);
                }
            });
        }
    }

    /// Hands the template and entry of each path of a scope below a directory to `take` until it returns
    /// `false`.
    pub fn visit_below(
        &self,
        scope: &str,
        directory: &str,
        take: &mut dyn FnMut(&str, &Entry) -> bool,
    ) {
        let Some(trie) = self.tries.get(scope) else { return };
        trie.visit_below(directory, &mut |template, number| {
            self.entries.get(number).is_none_or(|entry| take(template, entry))
        });
    }

    /// Makes another of each entry, or drops it where `keep` returns none; returns how many went.
    pub fn retain(
        &mut self,
        dimension: Dimension,
        keep: impl Fn(&str, &str, &Entry) -> Option<Entry>,
    ) -> usize {
        let mut kept = Self { is_full: self.is_full, ..Self::default() };
        self.visit(&mut |scope, key, entry| {
            if let Some(entry) = keep(scope, key, entry) {
                kept.restore(dimension, scope, key, entry);
            }
        });
        let gone = self.entries.len().saturating_sub(kept.entries.len());
        *self = kept;
        gone
    }

    /// Denies the entries for which `is_meant` holds; returns how many.
    pub fn deny(&mut self, is_meant: impl Fn(&Entry) -> bool) -> usize {
        self.entries.deny(is_meant)
    }

    /// The entries.
    pub fn entries(&self) -> &Entries {
        &self.entries
    }

    /// Directories in which more names were seen than are kept.
    pub fn open(&self) -> usize {
        self.tries.values().map(Trie::open).sum()
    }

    /// Whether there are as many behaviours, or as many who show them, as are kept.
    pub fn is_at_bound(&self) -> bool {
        let scopes = self.tries.len().max(self.arguments.len());
        self.entries.len() >= MOST_ENTRIES || scopes >= MOST_SCOPES
    }

    /// What it takes, about, in bytes.
    pub fn bytes(&self) -> usize {
        let nodes: usize = self.tries.values().map(Trie::nodes).sum();
        let scopes = self.tries.keys().chain(self.arguments.keys());
        let scopes: usize = scopes.map(|it| it.len()).sum();
        let arguments: usize = self.arguments.values().map(Templates::bytes).sum();
        let templates = nodes * NODE_BYTES + arguments + scopes;
        self.entries.len() * ENTRY_BYTES + self.key_bytes + templates
    }
}

fn made(entry: Option<u32>) -> Inserted {
    entry.map_or(Inserted::Full, Inserted::Entry)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::baseline::dimension::Context;

    const ROOM: usize = 2 << 20;

    fn behaviour<'a>(dimension: Dimension, scope: &'a str, key: &'a str) -> Behaviour<'a> {
        let learning = Learning::AsTemplate;
        Behaviour { dimension, scope, key, learning, object: "", layer: 0 }
    }

    fn at(unit: u64) -> Occasion {
        Occasion {
            context: Context::Steady,
            unit,
            container: 1,
            start_s: Some(0),
            now_s: unit,
            apart_s: 3600,
        }
    }

    #[test]
    fn peers_become_a_template_once_they_are_many() {
        let mut learned = Learned::default();
        let peer = |key| behaviour(Dimension::Peer, "", key);
        for (unit, key) in ["tcp a.s3.test 443", "tcp b.s3.test 443"].into_iter().enumerate() {
            learned.learn(&peer(key), &at(unit as u64 + 1), ROOM);
        }
        assert!(learned.find(&peer("tcp c.s3.test 443")).is_none());
        learned.learn(&peer("tcp c.s3.test 443"), &at(3), ROOM);
        assert!(learned.find(&peer("tcp z.s3.test 443")).is_some());
        assert!(learned.find(&peer("tcp z.s3.test 80")).is_none());
        assert_eq!(learned.entries().len(), 1);
        assert_eq!(learned.entries().novel_units(Context::Steady), 0);
    }

    #[test]
    fn a_shielded_path_is_known_by_itself_alone() {
        let mut learned = Learned::default();
        let path = |key, learning| Behaviour { learning, ..behaviour(Dimension::Write, "w", key) };
        for key in ["/x/a1.sh", "/x/a2.sh", "/x/a3.sh"] {
            learned.learn(&path(key, Learning::Shielded), &at(1), ROOM);
        }
        assert!(learned.find(&path("/x/a1.sh", Learning::Shielded)).is_some());
        assert!(learned.find(&path("/x/a4.sh", Learning::Shielded)).is_none());
    }

    #[test]
    fn a_flood_is_refused_before_it_takes_more_than_its_room() {
        let mut learned = Learned::default();
        let mut refused = 0;
        for number in 0..20_000_u64 {
            let key = format!("/bin/program-of-letters-{number}");
            let it = behaviour(Dimension::Process, "", &key);
            let room = ROOM.saturating_sub(learned.bytes());
            refused += usize::from(learned.learn(&it, &at(number + 1), room) == Learnt::Refused);
        }
        assert!(refused > 15_000 && learned.is_full);
        assert!(learned.bytes() <= ROOM);
    }

    proptest! {
        #[test]
        fn what_was_learned_is_known_after_it_was_kept(
            paths in proptest::collection::vec("(/[a-c0-9._-]{1,6}){1,4}", 1..30),
            peers in proptest::collection::vec("tcp ([a-c]\\.){1,3}test (80|443)|tcp 10\\.0\\.[01]\\.[0-9]{1,2} 80", 1..30),
        ) {
            let mut learned = Learned::default();
            let all = paths.iter().map(|it| behaviour(Dimension::Write, "w", it));
            let all: Vec<_> =
                all.chain(peers.iter().map(|it| behaviour(Dimension::Peer, "", it))).collect();
            for (unit, it) in all.iter().enumerate() {
                learned.learn(it, &at(unit as u64 + 1), ROOM);
            }
            let mut kept = Learned::default();
            learned.visit(&mut |scope, key, entry| {
                let dimension = if scope.is_empty() { Dimension::Peer } else { Dimension::Write };
                assert!(kept.restore(dimension, scope, key, entry.clone()));
            });
            for it in &all {
                prop_assert!(learned.find(it).is_some() && kept.find(it).is_some(), "{:?}", it);
            }
            let novel = |it: &Learned| it.entries().novel_units(Context::Steady);
            prop_assert_eq!(novel(&learned), novel(&kept));
        }
    }
}
