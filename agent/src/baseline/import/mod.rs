//! Profiles as text for version control, read again: the form that [`super::export`] writes and
//! nothing wider, so that a line that was slipped in is found by its number.

mod check;
mod reader;

use std::fmt;

use super::{
    dimension::{Context, Dimension},
    entries::{Entry, MOST_ENTRIES, Seen},
    learned::Learned,
    profile::{MOST_BYTES, Profile},
    saved::Saved,
    subject::Subject,
};

/// Longest text, in bytes.
pub const MOST_TEXT: usize = 4 << 20;
/// Profiles of one text.
pub const MOST_DOCUMENTS: usize = 64;
/// Faults that are told of one text.
const MOST_FAULTS: usize = 20;
/// Units that stand for the word of whoever wrote it.
const SAID_UNITS: u32 = 2;

/// A profile as it was written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Its first line.
    pub line: usize,
    /// Whose profile it is.
    pub subject: Subject,
    /// The image as it is asked for.
    pub image: String,
    /// What it knows.
    pub items: Vec<Item>,
}

/// A behaviour as it was written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its first line.
    pub line: usize,
    /// What it is about.
    pub dimension: Dimension,
    /// Of a path template, who writes it how and where; else empty.
    pub scope: String,
    /// The key or template.
    pub key: String,
    /// In which contexts it is known.
    pub seen: [bool; Context::COUNT],
    /// Whether more than one container, or more than one start, showed it.
    pub is_confirmed: bool,
    /// Whether an operator said that it does not belong here.
    pub is_denied: bool,
}

/// What is wrong with a text, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong.
    pub text: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.text)
    }
}

/// Reads a text.
///
/// # Errors
/// What is wrong with it, by lines: the first faults, where there are many.
pub fn parse(text: &str) -> Result<Vec<Document>, Vec<Fault>> {
    if text.len() > MOST_TEXT {
        let text = format!("the text is longer than {MOST_TEXT} bytes");
        return Err(vec![Fault { line: 1, text }]);
    }
    let documents = reader::read(text)?;
    let mut faults = Vec::new();
    for document in &documents {
        for item in &document.items {
            let seen = Context::ALL.into_iter().filter(|it| item.seen[*it as usize]);
            let seen: Vec<Context> = seen.collect();
            let fault = check::fault(item.dimension, &item.scope, &item.key, &seen);
            faults.extend(fault.map(|text| Fault { line: item.line, text }));
        }
        faults.extend(document.misfit());
    }
    faults.sort_by_key(|it| it.line);
    faults.truncate(MOST_FAULTS);
    if faults.is_empty() { Ok(documents) } else { Err(faults) }
}

impl Document {
    /// What a profile that was kept would be written down as.
    pub fn of(saved: &Saved) -> Self {
        let all = saved.dimensions.iter().flat_map(|of| of.entries.iter().map(move |it| (of, it)));
        let items = all.map(|(of, (scope, key, entry))| Item {
            line: 0,
            dimension: of.dimension,
            scope: scope.clone(),
            key: key.clone(),
            seen: entry.seen.map(|it| it.units > 0),
            is_confirmed: entry.is_confirmed() && !entry.is_denied,
            is_denied: entry.is_denied,
        });
        let (subject, image) = (saved.subject.clone(), saved.image.clone());
        Self { line: 0, subject, image, items: items.collect() }
    }

    /// What of it finds no place in a profile.
    fn misfit(&self) -> Option<Fault> {
        let mut all: [Learned; Dimension::ALL.len()] = Default::default();
        let at = |item: &Item, text: String| Some(Fault { line: item.line, text });
        let mut bytes = 0;
        for item in &self.items {
            let learned = &mut all[item.dimension as usize];
            if learned.entries().len() >= MOST_ENTRIES {
                return at(item, format!("a dimension has at most {MOST_ENTRIES} behaviours"));
            }
            let entry = item.entry(None, 1);
            if !learned.restore(item.dimension, &item.scope, &item.key, entry) {
                return at(item, "it is there already, or finds no room".to_owned());
            }
            bytes += item.scope.len() + item.key.len();
            if bytes > MOST_BYTES {
                return at(item, format!("a profile has at most {MOST_BYTES} bytes"));
            }
        }
        None
    }
}

impl Item {
    /// The entry that it becomes, of the one that is there.
    fn entry(&self, there: Option<&Entry>, now_s: u64) -> Entry {
        let made = || Entry { starts: 1, first_s: now_s, last_s: now_s, ..Entry::default() };
        let mut entry = there.cloned().unwrap_or_else(made);
        for (seen, is_meant) in entry.seen.iter_mut().zip(self.seen) {
            if !is_meant || self.is_denied {
                *seen = Seen::default();
            } else if seen.units < SAID_UNITS {
                // No unit has this number, so none is taken for the only one that showed it.
                *seen = Seen { units: SAID_UNITS, last: 0 };
            }
        }
        if self.is_confirmed {
            entry.starts = entry.starts.max(2);
            entry.lone.clear();
        }
        entry.is_denied = self.is_denied;
        entry
    }
}

impl Profile {
    /// Knows from now on what a document says, and nothing else; of what it knew, the evidence stays.
    /// `approves` says that departures are told from now on.
    pub fn import(&mut self, document: &Document, approves: bool, now_s: u64) {
        let mut there = std::collections::HashMap::new();
        for dimension in self.dimensions() {
            self.learned[dimension as usize].visit(&mut |scope, key, entry| {
                there.insert((dimension, scope.to_owned(), key.to_owned()), entry.clone());
            });
            self.learned[dimension as usize] = Learned::default();
        }
        for item in &document.items {
            let place = (item.dimension, item.scope.clone(), item.key.clone());
            let entry = item.entry(there.get(&place), now_s);
            let learned = &mut self.learned[item.dimension as usize];
            learned.restore(item.dimension, &item.scope, &item.key, entry);
        }
        if self.image.is_empty() {
            self.image.clone_from(&document.image);
        }
        if approves {
            self.approved_s = now_s.max(1);
            self.settle(now_s);
            for dimension in self.dimensions().filter(|it| *it != Dimension::Volume) {
                for &context in dimension.contexts() {
                    let standing = &mut self.standing[dimension as usize];
                    let since_s = &mut standing.monitored_s[context as usize];
                    if *since_s == 0 {
                        *since_s = now_s.max(1);
                    }
                }
            }
        }
        self.is_unsaved = true;
    }
}

#[cfg(test)]
mod tests;
