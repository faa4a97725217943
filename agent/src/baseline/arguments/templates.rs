//! The arguments that one program is given by another, as a few templates (after Drain): arguments as
//! many as those of a template, of which half are the same, widen it; of too many, nothing is said.

use std::collections::BTreeSet;

use super::{
    vector::MORE,
    word::{covers, is_path, is_said, is_same, joined},
};
use crate::baseline::{
    dimension::Context,
    entries::{Entries, Entry},
};

/// Templates of one program at most.
pub const MOST_TEMPLATES: usize = 16;
/// Those that differ in paths of one directory alone, from which on they are one.
const ALIKE: usize = 3;
/// Units that a program was seen in, at least, before its arguments are judged; and how many there
/// are, at least, for each that showed arguments of its own.
const LEAST_UNITS: u32 = 5;
const UNITS_FOR_EACH: usize = 10;
/// Units with arguments of their own from which on, if no arguments were seen in more, nothing is
/// said.
const RESTLESS_UNITS: usize = 4;
/// What a template takes beside its letters, and a word of it, in bytes.
const WORD_BYTES: usize = 24;

/// The contexts that count for arguments; what is done in sessions is never looked at.
const CONTEXTS: [Context; 3] = [Context::Start, Context::Steady, Context::Health];

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Templates {
    all: Vec<Template>,
}

/// How fast units pass.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Length of one, in real seconds.
    pub unit_s: f64,
    /// How many containers have them side by side.
    pub containers: usize,
}

impl Pace {
    /// Units in which an entry was seen. Of containers that take turns each turn is counted as one, so
    /// that it may say more than there were.
    fn units(self, entry: &Entry) -> u32 {
        let span_s = entry.last_s.saturating_sub(entry.first_s) as f64;
        let most = (span_s / self.unit_s + 1.0) * self.containers.max(1) as f64;
        entry.units(&CONTEXTS).min(most as u32)
    }
}

#[derive(Clone, Debug)]
struct Template {
    words: Vec<Box<str>>,
    /// Its number.
    entry: u32,
}

impl Template {
    fn of(key: &str, entry: u32) -> Self {
        Self { words: key.split(' ').map(Box::from).collect(), entry }
    }

    fn key(&self) -> String {
        self.words.join(" ")
    }

    /// Whether it takes in arguments of any kind.
    fn is_any(&self) -> bool {
        matches!(self.words.as_slice(), [word] if **word == *MORE)
    }

    fn covers(&self, words: &[Box<str>]) -> bool {
        let is_like = self.words.len() == words.len();
        self.is_any() || is_like && self.words.iter().zip(words).all(|(it, word)| covers(it, word))
    }

    /// How many words are the same in both.
    fn same(&self, words: &[Box<str>]) -> usize {
        self.words.iter().zip(words).filter(|(a, b)| is_same(a, b)).count()
    }

    /// The words that take in both; `None` where they are not one behaviour. What comes first of what
    /// is said stays, but for paths.
    fn joined(&self, words: &[Box<str>]) -> Option<Vec<Box<str>>> {
        let first = |it: &[Box<str>]| it.iter().position(|it| is_said(it));
        let is_same_first = match (first(&self.words), first(words)) {
            (Some(a), Some(b)) => {
                let (one, other) = (&self.words[a], &words[b]);
                a == b && (one == other || is_path(one) && is_path(other))
            }
            (a, b) => a == b,
        };
        if self.words.len() != words.len() || !is_same_first || self.is_any() {
            return None;
        }
        self.words.iter().zip(words).map(|(a, b)| joined(a, b).map(Box::from)).collect()
    }

    /// Whether they differ in paths alone.
    fn differs_in_paths(&self, words: &[Box<str>]) -> bool {
        let mut pairs = self.words.iter().zip(words).filter(|(a, b)| !is_same(a, b));
        pairs.all(|(a, b)| is_path(a) && is_path(b))
    }
}

impl Templates {
    /// The entry of arguments. What is denied is so whatever else takes it in.
    pub fn find(&self, key: &str, entries: &Entries) -> Option<u32> {
        let given = Template::of(key, 0).words;
        let exact = self.all.iter().find(|it| it.words == given);
        let covering = || self.all.iter().filter(|it| it.covers(&given));
        let denied = || covering().find(|it| is_denied(entries, it));
        exact.or_else(denied).or_else(|| covering().next()).map(|it| it.entry)
    }

    /// Learns arguments that no template takes in, seen in this unit.
    pub fn insert(&mut self, key: &str, entries: &mut Entries, unit: u64) -> Option<u32> {
        let mut template = Template::of(key, 0);
        let best = (0..self.all.len())
            .filter(|at| !is_denied(entries, &self.all[*at]))
            .map(|at| (self.all[at].same(&template.words), at))
            .filter(|(same, _)| same * 2 >= template.words.len())
            .filter_map(|(same, at)| Some((same, at, self.all[at].joined(&template.words)?)))
            .max_by_key(|(same, at, _)| (*same, std::cmp::Reverse(*at)));
        let at = if let Some((_, at, words)) = best {
            self.all[at].words = words;
            at
        } else {
            template.entry = entries.make()?;
            self.all.push(template);
            self.join_siblings(entries)
        };
        let number = self.absorb(at, entries);
        if self.is_excessive(entries) || self.is_restless(entries, unit) {
            return Some(self.open(entries, number));
        }
        Some(number)
    }

    /// Makes one of the latest and those that differ from it in paths alone, where they are enough;
    /// returns its place.
    fn join_siblings(&mut self, entries: &Entries) -> usize {
        let latest = self.all.len() - 1;
        let words = self.all[latest].words.clone();
        let is_sibling = |it: &&Template| {
            !is_denied(entries, it) && it.differs_in_paths(&words) && it.joined(&words).is_some()
        };
        let siblings: Vec<Vec<Box<str>>> =
            self.all.iter().filter(is_sibling).map(|it| it.words.clone()).collect();
        if siblings.len() >= ALIKE {
            let mut wide = self.all[latest].clone();
            for words in siblings {
                if let Some(joined) = wide.joined(&words) {
                    wide.words = joined;
                }
            }
            self.all[latest] = wide;
        }
        latest
    }

    /// Has a template take in those that it covers by now; returns its entry.
    fn absorb(&mut self, at: usize, entries: &mut Entries) -> u32 {
        let wide = self.all[at].clone();
        self.all.retain(|it| {
            let is_covered = it.entry != wide.entry && wide.covers(&it.words);
            let goes = is_covered && !is_denied(entries, it);
            if goes {
                entries.merge(wide.entry, it.entry);
            }
            !goes
        });
        wide.entry
    }

    fn is_excessive(&self, entries: &Entries) -> bool {
        self.learned(entries).count() > MOST_TEMPLATES
    }

    /// Whether there is something new in most units.
    fn is_restless(&self, entries: &Entries, unit: u64) -> bool {
        let mut sole = self.sole(entries);
        sole.insert(unit);
        sole.len() >= RESTLESS_UNITS && sole.len() >= self.units(entries) as usize
    }

    /// From now on nothing is said of these arguments; returns the entry of any.
    fn open(&mut self, entries: &mut Entries, number: u32) -> u32 {
        if let Some(it) = self.all.iter_mut().find(|it| it.entry == number) {
            it.words = vec![MORE.into()];
        }
        let at = self.all.iter().position(|it| it.entry == number).unwrap_or_default();
        self.absorb(at, entries)
    }

    /// Whether the arguments are known well enough for others to be told: they were seen often, and
    /// seldom something new among them.
    pub fn is_settled(&self, entries: &Entries, pace: Pace) -> bool {
        // Who wrote them down says that these are all.
        let is_told = |it: &Entry| it.seen.iter().any(|seen| seen.units > 0 && seen.last == 0);
        let sole = self.sole(entries).len();
        let units = self.learned(entries).map(|(_, entry)| pace.units(entry));
        let units = units.max().unwrap_or_default();
        let is_enough = units >= LEAST_UNITS && sole * UNITS_FOR_EACH <= units as usize;
        !self.is_open() && (is_enough || self.learned(entries).any(|(_, entry)| is_told(entry)))
    }

    /// Whether they are too varied for anything to be said.
    pub fn is_open(&self) -> bool {
        self.all.iter().any(Template::is_any)
    }

    /// Units in which those were seen that were seen in most.
    fn units(&self, entries: &Entries) -> u32 {
        let units = self.learned(entries).map(|(_, entry)| entry.units(&CONTEXTS));
        units.max().unwrap_or_default()
    }

    /// Units that showed arguments that no other did.
    fn sole(&self, entries: &Entries) -> BTreeSet<u64> {
        let all = self.learned(entries).map(|(_, entry)| entry);
        let sole = all.filter(|entry| entry.units(&CONTEXTS) == 1);
        let last = |entry: &Entry| CONTEXTS.map(|it| entry.seen[it as usize].last);
        sole.filter_map(|entry| last(entry).into_iter().max()).collect()
    }

    /// Those that are not denied.
    fn learned<'t>(
        &'t self,
        entries: &'t Entries,
    ) -> impl Iterator<Item = (&'t Template, &'t Entry)> {
        let all = self.all.iter().filter_map(|it| Some((it, entries.get(it.entry)?)));
        all.filter(|(_, entry)| !entry.is_denied)
    }

    /// Hands each template and its entry to `take`, in a fixed order.
    pub fn visit(&self, take: &mut dyn FnMut(&str, u32)) {
        let mut all: Vec<(String, u32)> = self.all.iter().map(|it| (it.key(), it.entry)).collect();
        all.sort();
        for (key, entry) in all {
            take(&key, entry);
        }
    }

    /// Puts a template back that [`Self::visit`] handed out; `false` where it is there or does not
    /// fit.
    pub fn restore(&mut self, key: &str, entry: u32, entries: &Entries) -> bool {
        let template = Template::of(key, entry);
        let is_there = self.all.iter().any(|it| it.words == template.words);
        let is_full =
            self.learned(entries).count() >= MOST_TEMPLATES && !is_denied(entries, &template);
        if is_there || is_full {
            return false;
        }
        self.all.push(template);
        true
    }

    /// The template that is most like a key, and its entry.
    pub fn nearest(&self, key: &str, entries: &Entries) -> Option<(String, u32)> {
        let words = Template::of(key, 0).words;
        let learned = self.learned(entries).map(|(it, _)| it);
        let nearest = learned.max_by_key(|it| {
            let is_as_long = it.words.len() == words.len();
            (it.same(&words), is_as_long, std::cmp::Reverse(it.entry))
        });
        nearest.map(|it| (it.key(), it.entry))
    }

    /// What they take, about, in bytes.
    pub fn bytes(&self) -> usize {
        let words = self.all.iter().flat_map(|it| &it.words);
        words.map(|it| it.len() + WORD_BYTES).sum::<usize>() + self.all.len() * WORD_BYTES
    }
}

fn is_denied(entries: &Entries, it: &Template) -> bool {
    entries.get(it.entry).is_some_and(|entry| entry.is_denied)
}

/// What stands for arguments and those that are like them, where they are told: the commands of a
/// program, else the options, else what is said first.
pub fn print_of(key: &str) -> String {
    let words = || key.split(' ');
    if let Some(code) = words().find(|it| it.starts_with('{')) {
        return code.to_owned();
    }
    let options = words().filter(|it| it.starts_with('-')).map(|it| it.split('=').next());
    let options: Vec<&str> = options.flatten().collect();
    if options.is_empty() {
        return words().find(|it| is_said(it)).unwrap_or_default().to_owned();
    }
    options.join(" ")
}
